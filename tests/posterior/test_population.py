"""Tasks without any rows: moments, coherence of rows, noise, task features, refusals."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.posterior.population import _root
from bayesmtl.posterior.predict import predict
from tests.oracles.new_tasks import (
    assert_moments,
    design_of,
    freeze,
    new_frame,
    prior_of,
)

MODELS: list[dict[str, Any]] = [
    {},
    {"formula": "y ~ 1"},
    {"correlated": True, "task_features": True},
    {"intercept": "relation", "correlated": True},
    {"formula": "y ~ 0 + x", "intercept": "none"},
]


@pytest.mark.parametrize("options", MODELS)
def test_population_draws_have_the_moments_of_the_formula_and_tasks_are_independent(
    build: Any, options: dict[str, Any]
) -> None:
    idata, frame = build(**options, samples=(4, 2500))
    freeze(idata)
    new = new_frame(frame)
    predict(idata, new, new_task="population", random_seed=1)
    draws = idata["predictions"]["mean"].to_numpy().reshape(10_000, 6)
    x, mean, covariance = design_of(idata, new), np.zeros(6), np.zeros((6, 6))
    for task, size in (("p", 2.0), ("q", 6.0)):
        rows = np.flatnonzero(new["school"] == task)
        prior = prior_of(idata, size)
        mean[rows] = x[rows] @ prior.mean
        covariance[np.ix_(rows, rows)] = x[rows] @ prior.covariance @ x[rows].T
    assert_moments(draws, mean, covariance)


def test_rows_of_a_new_task_lie_on_one_plane_in_every_draw(build: Any) -> None:
    idata, frame = build()
    new = pd.concat([frame.iloc[:5]] * 2).assign(school="p")
    new.iloc[5:, new.columns.get_loc("x")] += 1
    predict(idata, new, new_task="population", random_seed=1)
    mean = idata["predictions"]["mean"].to_numpy()
    slopes = mean[..., 5:] - mean[..., :5]
    np.testing.assert_allclose(slopes, np.broadcast_to(slopes[..., :1], slopes.shape), rtol=1e-8)


def test_known_tasks_beside_new_ones_keep_their_draws(build: Any) -> None:
    idata, frame = build()
    predict(idata, frame)
    before = idata["predictions"]["mean"].to_numpy()
    mixed = frame.assign(school=frame["school"].replace("b", "aa"))
    predict(idata, mixed, new_task="population")
    known = (frame["school"] != "b").to_numpy()
    np.testing.assert_array_equal(idata["predictions"]["mean"][..., known], before[..., known])


@pytest.mark.parametrize("noise", ["hierarchical", "shared", "known"])
def test_noise_of_a_new_task_is_that_of_the_population(build: Any, noise: str) -> None:
    idata, frame = build(noise=noise, samples=(4, 2500))
    freeze(idata, **({"noise_spread": 0.5} if noise == "hierarchical" else {}))
    new = new_frame(frame)
    predict(idata, new, new_task="population", kind="response", random_seed=2)
    group = idata["predictions"]
    z = (group["y"] - group["mean"]).to_numpy().reshape(10_000, 6)
    one = idata["posterior"].to_dataset().isel(chain=0, draw=0)
    if noise == "known":
        square = new["se"].to_numpy() ** 2
    elif noise == "shared":
        square = one["noise_sd"].item() ** 2
    else:  # E sd^2 of a log-normal
        square = one["noise_median"].item() ** 2 * np.exp(2 * 0.5**2)
        logs = np.log(np.abs(z))  # rows of p share their sd, of variance 0.5^2, rows of q do not
        assert np.cov(logs[:, [0, 2]].T)[0, 1] == pytest.approx(0.25, abs=0.07)
        assert np.cov(logs[:, [0, 1]].T)[0, 1] == pytest.approx(0, abs=0.07)
    np.testing.assert_allclose((z**2).mean(axis=0), square, rtol=0.1)


def test_task_features_of_unseen_tasks_are_needed_and_one_value_each(build: Any) -> None:
    idata, frame = build(task_features=True)
    new = new_frame(frame)
    options: dict[str, Any] = {"new_task": "population", "as_frame": True, "random_seed": 0}
    with pytest.raises(InvalidDataError, match="size"):
        predict(idata, new.drop(columns="size"), **options)
    with pytest.raises(InvalidDataError, match="size takes 2 values in task 'p'"):
        predict(idata, new.assign(size=[1.0, 6.0, 2.0, 6.0, 2.0, 6.0]), **options)
    # rows of known tasks need none
    assert len(predict(idata, frame.drop(columns="size"), as_frame=True)) == 24


def test_singular_correlations_can_be_drawn_from(build: Any) -> None:
    idata, frame = build(correlated=True)
    posterior = idata["posterior"].to_dataset()
    idata["posterior"] = xr.DataTree(
        posterior.assign(feature_correlation=xr.ones_like(posterior["feature_correlation"]))
    )
    freeze(idata)
    predict(idata, new_frame(frame), new_task="population", random_seed=1)
    assert np.isfinite(idata["predictions"]["mean"]).all()


def test_relations_that_say_nothing_of_new_tasks_are_refused(build: Any) -> None:
    idata, frame = build()
    posterior = idata["posterior"].to_dataset().drop_vars("population_sd")
    idata["posterior"] = xr.DataTree(posterior)
    with pytest.raises(UnsupportedError, match=r"weights of a new task .*'population_sd'"):
        predict(idata, new_frame(frame), new_task="population")


def test_noise_that_differs_by_task_is_refused_where_it_is_needed(build: Any) -> None:
    idata, frame = build()
    posterior = idata["posterior"].to_dataset().drop_vars("noise_median")
    idata["posterior"] = xr.DataTree(posterior)
    predict(idata, new_frame(frame), new_task="population")
    with pytest.raises(UnsupportedError, match="nothing of the noise of a new one"):
        predict(idata, new_frame(frame), new_task="population", kind="response")


def test_singular_root_reproduces_the_correlation() -> None:
    correlation = np.array([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]]])
    root = _root(correlation)
    np.testing.assert_allclose(root @ root.mT, correlation, atol=1e-12)


def test_intervals_are_quantiles_of_the_population(build: Any) -> None:
    idata, frame = build("y ~ 1", samples=(4, 2500))
    freeze(idata)
    table = predict(
        idata, new_frame(frame), new_task="population", as_frame=True, ci_prob=0.8, random_seed=0
    )
    one = idata["posterior"].to_dataset().isel(chain=0, draw=0)
    expected = norm.ppf([0.1, 0.9], one["intercept_mean"].item(), one["intercept_sd"].item())
    spread = one["intercept_sd"].item()
    np.testing.assert_allclose(table["lower"], expected[0], atol=0.1 * spread)
    np.testing.assert_allclose(table["upper"], expected[1], atol=0.1 * spread)
