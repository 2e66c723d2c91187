"""Binomial likelihood: density, slope, information, refusals, draws beside those of NUTS."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.posterior.unpooled import unpooled_weights
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.row_terms import row_terms

LIKELIHOOD = bm.Binomial(trials="n")
NONE = np.zeros(0)


def frame(n_tasks: int = 6, n_rows: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    task = np.repeat(np.arange(n_tasks), n_rows)
    data = pd.DataFrame({"task": task, "x": rng.normal(size=task.size)})
    data["n"] = rng.integers(1, 9, task.size)
    slope = 1.0 + 0.5 * rng.normal(size=n_tasks)
    data["off"] = 0.3 * rng.normal(size=task.size)
    data["w"] = rng.uniform(0.5, 1.5, task.size)
    data["y"] = rng.binomial(data["n"], expit(slope[task] * data["x"] + data["off"] - 0.3))
    return data


def test_log_density_is_that_of_scipy() -> None:
    n = np.array([[1.0], [7.0], [7.0], [40.0]])
    y = np.array([[1.0], [0.0], [7.0], [13.0]])
    eta = np.array([-8.0, -0.4, 0.0, 3.0])[None]
    rows = Predicted(np.repeat(eta, 4, axis=0), n, np.full((4, 1), np.nan))
    expected = stats.binom.logpmf(y, n, expit(eta))
    np.testing.assert_allclose(LIKELIHOOD.log_density(y, rows), expected, rtol=1e-10)
    np.testing.assert_allclose(LIKELIHOOD.expected(rows), n * expit(eta))


def test_terms_of_a_row() -> None:
    eta = np.linspace(-5.0, 5.0, 24)
    size = np.tile([1.0, 4.0, 11.0], 8)
    y = np.floor(size * 0.6)
    value, slope, information = row_terms(LIKELIHOOD.kernels, y, eta, size, NONE)
    step = 1e-5
    high, low = (row_terms(LIKELIHOOD.kernels, y, eta + s, size, NONE)[0] for s in (step, -step))
    np.testing.assert_allclose(slope, (high - low) / (2.0 * step), rtol=1e-6, atol=1e-8)
    whole = LIKELIHOOD.log_density(y[:, None], Predicted(eta[:, None], size[:, None], NONE))[:, 0]
    at_zero = LIKELIHOOD.log_density(y[:, None], Predicted(0.0 * eta[:, None], size[:, None], NONE))
    start = row_terms(LIKELIHOOD.kernels, y, 0.0 * eta, size, NONE)[0]
    np.testing.assert_allclose(value - start, whole - at_zero[:, 0], atol=1e-10)
    probability = expit(eta)
    np.testing.assert_allclose(information, size * probability * (1.0 - probability))


def test_rows_may_be_added_up() -> None:
    """Successes among trials say the same as each trial on its own."""
    data = frame().assign(off=0.0)
    single = data.loc[data.index.repeat(data["n"])].assign(off=0.0)
    order = single.groupby(level=0).cumcount()
    single["y"] = (order < data["y"].reindex(single.index)).astype(int)
    models = [
        bm.Model("y ~ 0 + x", task="task", likelihood=likelihood, standardize=False)
        for likelihood in (LIKELIHOOD, bm.Bernoulli())
    ]
    many, one = (m.prepare(d).problem for m, d in zip(models, (data, single), strict=True))
    np.testing.assert_allclose(many.sites.gram, one.sites.gram, rtol=1e-6)
    np.testing.assert_allclose(many.sites.moment, one.sites.moment, rtol=1e-6)
    assert many.reference_noise == one.reference_noise


def test_unpooled_estimates_are_those_of_each_task_alone() -> None:
    """By Newton's method; the sites that they come from are at a penalised mode nearby."""
    data = frame(n_tasks=2, n_rows=60).assign(n=50)
    data["y"] = np.random.default_rng(1).binomial(50, expit(0.8 * data["x"]))
    model = bm.Model("y ~ 0 + x", task="task", likelihood=LIKELIHOOD)
    estimate, sd = unpooled_weights(model.prepare(data).problem)
    for task in range(2):
        rows = data[data["task"] == task]
        x, w, information = rows["x"].to_numpy(), 0.0, 1.0
        for _ in range(20):
            p = expit(w * x)
            information = 50.0 * ((p * (1.0 - p)) @ x**2)
            w += (x @ (rows["y"] - 50.0 * p)) / information
        assert estimate[task, 0] == pytest.approx(w, rel=1e-3)
        assert sd[task, 0] == pytest.approx(information**-0.5, rel=1e-2)


def change(column: str, row: int, value: float) -> pd.DataFrame:
    data = frame()
    data[column] = data[column].astype(float)
    data.loc[row, column] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (change("n", 2, 0), "trials in column 'n' must be positive whole .* row 2 has 0"),
        (
            change("n", 2, 2.5),
            "trials in column 'n' must be .* 1 row breaks this rule: row 2 has 2.5",
        ),
        (change("y", 4, -1), r"bm.Binomial\(\) must be a whole number from 0 .* row 4 has -1"),
        (change("y", 4, 0.5), "whole number from 0 to the trials in column 'n' .* row 4 has 0.5"),
        (
            change("y", 4, 99),
            "from 0 to the trials in column 'n' in every row; 1 row breaks this rule",
        ),
    ],
)
def test_rows_that_are_refused(data: pd.DataFrame, message: str) -> None:
    with pytest.raises(bm.InvalidDataError, match=message):
        bm.Model("y ~ x", task="task", likelihood=LIKELIHOOD).prepare(data)


@pytest.mark.parametrize("trials", [None, 5])
def test_trials_are_a_column(trials: Any) -> None:
    with pytest.raises(bm.InvalidModelError, match="trials must be the name of a column"):
        bm.Binomial(trials=trials)


@pytest.mark.mcmc
def test_same_posterior_as_nuts() -> None:
    data = frame()
    model = bm.Model(
        "y ~ x",
        task="task",
        relation=bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=1), scale=0.6),
        likelihood=LIKELIHOOD,
        intercept=bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=1), scale=0.4),
        weights="w",
        offset="off",
    )
    ours = assert_same_posterior(model, data, "weights", "intercept", "population_mean")
    drawn = bm.predict(ours, data, kind="response", random_seed=2)["predictions"]["y"].to_numpy()
    assert (drawn <= data["n"].to_numpy()).all()
    values = bm.compute_log_likelihood(ours)["log_likelihood"]["y"].to_numpy()
    again = bm.compute_log_likelihood(ours, data)["log_likelihood"]["y"].to_numpy()
    np.testing.assert_allclose(values, again)
