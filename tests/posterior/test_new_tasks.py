"""Tasks of which some rows are given: exact conditionals, weights of the draws, refusals."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl.errors import BayesMTLWarning, InvalidDataError
from bayesmtl.posterior.predict import predict
from tests.oracles.new_tasks import (
    Prior,
    assert_moments,
    dense_conditional,
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
@pytest.mark.parametrize("noise", ["shared", "known"])
def test_given_rows_condition_a_new_task_exactly(
    build: Any, options: dict[str, Any], noise: str
) -> None:
    idata, frame = build(**options, noise=noise, offset="off", samples=(4, 2500))
    freeze(idata)
    new = new_frame(frame)
    given = frame.iloc[3:8].assign(school="q", size=6.0)
    predict(idata, new, given=given, new_task="population", random_seed=1)
    draws = idata["predictions"]["mean"].to_numpy().reshape(10_000, 6)
    variance = given["se"].to_numpy() ** 2
    if noise == "shared":
        variance = np.full(5, idata["posterior"]["noise_sd"][0, 0].item() ** 2)
    response = (given["y"] - given["off"]).to_numpy()
    conditional, _ = dense_conditional(
        prior_of(idata, 6.0), design_of(idata, given), response, variance
    )
    rows = np.flatnonzero(new["school"] == "q")
    x, off = design_of(idata, new)[rows], new["off"].to_numpy()
    assert_moments(
        draws[:, rows], x @ conditional.mean + off[rows], x @ conditional.covariance @ x.T
    )
    others, prior = np.flatnonzero(new["school"] == "p"), prior_of(idata, 2.0)
    x = design_of(idata, new)[others]
    assert_moments(draws[:, others], x @ prior.mean + off[others], x @ prior.covariance @ x.T)


def test_draws_are_weighted_by_how_well_they_predict_the_given_rows(build: Any) -> None:
    idata, frame = build("y ~ x", noise="hierarchical", samples=(4, 1000))
    new = new_frame(frame).query("school == 'q'")
    given = frame.iloc[3:8].assign(school="q")
    means = []
    for seed in range(4):
        predict(idata, new, given=given, random_seed=seed)
        means.append(idata["predictions"]["mean"].mean(("chain", "draw")).to_numpy())
    # self-normalised importance sampling with dense algebra; noise sds drawn afresh
    names = ["intercept_mean", "population_mean", "intercept_sd", "population_sd"]
    names += ["noise_median", "noise_spread"]
    columns = [idata["posterior"][name].to_numpy().ravel() for name in names]
    x, y, x_new = design_of(idata, given), given["y"].to_numpy(), design_of(idata, new)
    rng, logs, values = np.random.default_rng(0), [], []
    for a, w, a_sd, w_sd, median, spread in zip(*columns, strict=True):
        sd = median * np.exp(spread * rng.normal())
        prior = Prior(np.array([a, w]), np.diag([a_sd**2, w_sd**2]))
        conditional, log_evidence = dense_conditional(prior, x, y, np.full(5, sd**2))
        logs.append(log_evidence)
        values.append(x_new @ conditional.mean)
    weights = np.exp(np.array(logs) - np.max(logs))
    expected = weights @ np.array(values) / weights.sum()
    unweighted = np.mean(values, axis=0)
    np.testing.assert_allclose(np.mean(means, axis=0), expected, atol=0.1)
    assert np.abs(expected - unweighted).max() > 0.2  # the weights matter here


def test_given_rows_without_information_leave_the_population(build: Any) -> None:
    idata, frame = build(noise="known", correlated=True, samples=(4, 2500))
    freeze(idata)
    new = new_frame(frame).query("school == 'p'")
    given = frame.iloc[3:8].assign(school="p", se=1e8)
    predict(idata, new, given=given, random_seed=3)
    draws = idata["predictions"]["mean"].to_numpy().reshape(10_000, 3)
    prior, x = prior_of(idata, 2.0), design_of(idata, new)
    assert_moments(draws, x @ prior.mean, x @ prior.covariance @ x.T)


def test_many_given_rows_recover_a_task_and_their_row_weights_count(build: Any) -> None:
    idata, _ = build("y ~ x", noise="shared", weights="count", samples=(2, 500))
    freeze(idata)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    given = pd.DataFrame({"school": "p", "x": x, "y": 2 + 3 * x + rng.normal(0, 1, 400)})
    given["count"] = 1.0
    broken = given["y"].where(given["x"] < 1, -100.0)
    given = given.assign(y=broken, count=(given["x"] < 1).astype(float))
    table = predict(
        idata,
        given.iloc[:5].drop(columns=["y", "count"]),
        given=given,
        as_frame=True,
        random_seed=1,
    )
    np.testing.assert_allclose(table["mean"], 2 + 3 * x[:5], atol=0.3)


def test_intervals_of_given_tasks_cover_new_responses(build: Any) -> None:
    idata, _ = build("y ~ x", noise="hierarchical", samples=(2, 200))
    freeze(idata, noise_spread=0.3)
    one = idata["posterior"].to_dataset().isel(chain=0, draw=0)
    rng = np.random.default_rng(5)
    n_tasks, n_rows = 300, 6
    task = np.repeat([f"t{i:03d}" for i in range(n_tasks)], n_rows)
    a = one["intercept_mean"].item() + one["intercept_sd"].item() * rng.normal(size=n_tasks)
    w = one["population_mean"].item() + one["population_sd"].item() * rng.normal(size=n_tasks)
    sd = one["noise_median"].item() * np.exp(0.3 * rng.normal(size=n_tasks))
    x = rng.normal(size=(n_tasks, n_rows))
    y = a[:, None] + (x - 0.5) * w[:, None] + sd[:, None] * rng.normal(size=x.shape)
    rows = pd.DataFrame({"school": task, "x": x.ravel(), "y": y.ravel()})
    held_out = rows.groupby("school", sort=False).tail(1)
    given = rows.drop(index=held_out.index)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = predict(idata, held_out, given=given, kind="response", as_frame=True, random_seed=1)
    assert len(caught) <= 0.02 * n_tasks  # tasks with extreme noise, of 400 draws each
    inside = (held_out["y"].to_numpy() > table["lower"]) & (
        held_out["y"].to_numpy() < table["upper"]
    )
    assert abs(inside.mean() - 0.9) < 4 * np.sqrt(0.9 * 0.1 / n_tasks)
    # the same intervals without the rows are wider by far
    wide = predict(idata, held_out, new_task="population", kind="response", as_frame=True)
    ratio = (table["upper"] - table["lower"]).mean() / (wide["upper"] - wide["lower"]).mean()
    assert ratio < 0.8


def test_given_rows_far_from_every_draw_are_warned_of(build: Any) -> None:
    idata, frame = build(noise="shared", samples=(4, 250))
    given = frame.iloc[:6].assign(school="q", y=60.0)
    with pytest.warns(BayesMTLWarning, match="task 'q' .*refit with these rows"):
        predict(idata, given, given=given)


def test_given_rows_of_known_tasks_are_refused(build: Any) -> None:
    idata, frame = build()
    with pytest.raises(
        InvalidDataError, match=r"2 tasks \('a', 'c'\) are in given= and in the fit"
    ):
        predict(idata, frame, given=frame[frame["school"].isin(["a", "c"])])


def test_a_task_without_given_rows_follows_new_task(build: Any) -> None:
    idata, frame = build(samples=(2, 200))
    new, given = new_frame(frame), frame.iloc[3:5].assign(school="q")
    with pytest.raises(InvalidDataError, match="task 'p' is in column 'school' but not in the fit"):
        predict(idata, new, given=given)
    predict(idata, new[new["school"] == "q"], given=given)


def test_given_rows_need_response_standard_errors_and_weights(build: Any) -> None:
    idata, frame = build(noise="known", weights="count")
    new, given = frame.iloc[:2].assign(school="q"), frame.iloc[3:6].assign(school="q")
    predict(idata, new.drop(columns=["y", "se", "count"]), given=given)
    for column in ("y", "se", "count"):
        with pytest.raises(InvalidDataError, match=column):
            predict(idata, new, given=given.drop(columns=column))
