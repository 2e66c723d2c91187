"""Ordinal likelihood: density, slope, thresholds, how levels are read and predicted, and NUTS."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.nuisance import update_parameters
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.clusters.whitened import place_in_clusters
from bayesmtl.relations.covariance.density import log_population as log_correlated
from bayesmtl.relations.exchangeable.density import log_population
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.state import PopulationState, initial_state
from bayesmtl.relations.exchangeable.whitened import place
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.monte_carlo import mcse
from tests.oracles.row_terms import row_terms, single_rows

LEVELS = ["low", "mid", "high"]
LIKELIHOOD = bm.Ordinal(levels=LEVELS)
THRESHOLDS = np.array([-0.8, 0.3, 2.0])
FOUR = bm.Ordinal(levels=[1, 2, 3, 4])


def frame(n_tasks: int = 6, n_rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    task = np.repeat(np.arange(n_tasks), n_rows)
    data = pd.DataFrame({"task": task, "x": rng.normal(size=task.size)})
    data["off"] = 0.3 * rng.normal(size=task.size)
    data["w"] = rng.uniform(0.5, 1.5, task.size)
    slope = 1.0 + 0.4 * rng.normal(size=n_tasks)
    latent = slope[task] * data["x"] + data["off"] + rng.logistic(size=task.size)
    data["y"] = np.array(LEVELS)[np.digitize(latent, [-0.7, 1.2])]
    return data


def probabilities(eta: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(row, level) by differences."""
    below = expit(thresholds - np.asarray(eta)[:, None])
    ends = np.zeros((len(below), 1))
    return np.diff(np.hstack([ends, below, ends + 1.0]))


def test_log_density_and_probabilities() -> None:
    eta = np.linspace(-3.0, 4.0, 8)
    expected = probabilities(eta, THRESHOLDS)
    nothing = np.full((8, 1), np.nan)
    rows = Predicted(eta[:, None], np.ones((8, 1)), nothing, THRESHOLDS[:, None])
    np.testing.assert_allclose(FOUR.expected(rows)[:, 0], expected, atol=1e-15)
    for level in range(4):
        response = np.full((8, 1), float(level))
        found = FOUR.log_density(response, rows)[:, 0]
        np.testing.assert_allclose(found, np.log(expected[:, level]), rtol=1e-9)


def test_log_density_far_away_is_exact() -> None:
    rows = Predicted(np.array([[60.0]]), np.ones((1, 1)), np.ones((1, 1)), THRESHOLDS[:, None])
    expected = 0.3 - 60.0 + np.log(-np.expm1(-1.1))
    assert FOUR.log_density(np.array([[1.0]]), rows)[0, 0] == pytest.approx(expected, rel=1e-12)


def test_terms_of_a_row() -> None:
    eta = np.repeat(np.linspace(-3.0, 3.0, 7), 4)
    y = np.tile(np.arange(4.0), 7)

    def terms(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return row_terms(FOUR.kernels, y, eta, np.ones_like(y), THRESHOLDS)

    value, slope, information = terms(eta)
    pick = (np.arange(28), y.astype(int))
    log_p = np.log(probabilities(eta, THRESHOLDS)[pick])
    start = np.log(probabilities(0.0 * eta, THRESHOLDS)[pick])
    np.testing.assert_allclose(value - terms(0.0 * eta)[0], log_p - start, atol=1e-10)
    high, low = terms(eta + 1e-5), terms(eta - 1e-5)
    np.testing.assert_allclose(slope, (high[0] - low[0]) / 2e-5, atol=1e-8)
    np.testing.assert_allclose(information, -(high[1] - low[1]) / 2e-5, atol=1e-8)
    # Its mean over the levels is Fisher's.
    weight = probabilities(eta, THRESHOLDS)[pick]
    fisher = (weight * slope**2).reshape(7, 4).sum(axis=1)
    np.testing.assert_allclose((weight * information).reshape(7, 4).sum(axis=1), fisher)


def density_of(rows: Any, eta: np.ndarray, thresholds: np.ndarray) -> float:
    """Loops and parameters together: log-likelihood and prior."""
    kernels = FOUR.kernels
    assert kernels.log_parameters is not None
    weights = pack_tasks(eta[:, None])
    value = np.zeros((weights.shape[0], weights.shape[2]))
    kernels.evaluate(rows, weights, thresholds, value)
    return float(value.sum() + kernels.log_parameters(rows, thresholds, FOUR.prior))


def test_joint_density_of_the_thresholds() -> None:
    rng = np.random.default_rng(0)
    eta, y = rng.normal(size=20), rng.integers(0, 4, 20)
    weight = rng.uniform(0.5, 1.5, 20)
    rows = single_rows(y, np.ones(20))._replace(weight=weight)
    for thresholds in (THRESHOLDS, np.array([-3.0, -2.9, 4.0])):
        likelihood = weight @ np.log(probabilities(eta, thresholds)[np.arange(20), y])
        prior = np.log(6.0) + stats.logistic.logpdf(thresholds).sum()
        assert density_of(rows, eta, thresholds) == pytest.approx(likelihood + prior)


def test_prior_of_the_thresholds_is_a_flat_dirichlet() -> None:
    rng = np.random.default_rng(4)
    draws = np.array([FOUR.draw_parameters(rng) for _ in range(2000)])
    share = np.diff(np.column_stack([np.zeros(2000), expit(draws), np.ones(2000)]))
    for level in range(4):
        assert stats.kstest(share[:, level], stats.beta(1, 3).cdf).pvalue > 1e-4


def test_updates_draw_from_the_conditional() -> None:
    """Against importance sampling from the prior, a level without rows included."""
    rng = np.random.default_rng(2)
    eta = rng.normal(size=6)
    y = np.array([0, 0, 1, 3, 3, 1])
    rows = single_rows(y, np.ones(6))
    prior = np.array([FOUR.draw_parameters(rng) for _ in range(20_000)])
    below = expit(prior[:, None, :] - eta[:, None])
    ends = np.zeros((20_000, 6, 1))
    p = np.diff(np.concatenate([ends, below, ends + 1.0], axis=2))[:, np.arange(6), y]
    weight = p.prod(axis=1) / p.prod(axis=1).sum()
    kernels, thresholds = FOUR.kernels, THRESHOLDS.copy()
    assert kernels.update is not None
    draws = np.empty((6000, 3))
    for i in range(6000):
        kernels.update(rows, pack_tasks(eta[:, None]), thresholds, FOUR.prior, rng)
        draws[i] = thresholds
    assert (np.diff(draws) > 0.0).all()
    for k in range(3):
        for power in (1, 2):
            values, wanted = draws[:, k] ** power, weight @ prior[:, k] ** power
            spread = np.sqrt((weight**2) @ (prior[:, k] ** power - wanted) ** 2)
            assert abs(values.mean() - wanted) < 4.0 * np.hypot(mcse(values), spread)


@pytest.mark.parametrize("intercept", ["exchangeable", "relation"])
def test_shift_keeps_the_likelihood_and_has_the_right_density(intercept: str) -> None:
    full = bm.Exchangeable(feature_covariance="full", scale=bm.Prior("HalfNormal"))
    model = bm.Model("y ~ x", "task", full, LIKELIHOOD, intercept=intercept)
    problem = model.prepare(frame()).problem
    rng = np.random.default_rng(1)
    state = initial_state(problem.prior, rng)
    state.weights[:] = 0.3 * rng.normal(size=state.weights.shape)
    state.precision[:] = np.linalg.inv(state.covariance)
    standardise(problem.prior, state)
    seen: dict[str, float] = {}

    def record(parameters: np.ndarray, linear: float, square: float, _: Any) -> float:
        seen.update(linear=linear, square=square)
        return 0.7

    kernels = problem.row_kernels
    assert kernels is not None
    problem = problem._replace(row_kernels=kernels._replace(update=lambda *_: None, shift=record))
    before = PopulationState(*(part.copy() for part in state))
    thresholds = problem.row_parameters.start.copy()
    values = [np.zeros_like(problem.sites.precision) for _ in range(2)]
    kernels.evaluate(problem.row_data, state.weights, thresholds, values[0])
    update_parameters(problem, state, thresholds, values[1], rng)
    np.testing.assert_allclose(values[0], values[1], atol=1e-10)
    np.testing.assert_allclose(thresholds, problem.row_parameters.start + 0.7)
    change = log_population(problem.prior, state, 1.0) - log_population(problem.prior, before, 1.0)
    assert seen["linear"] * 0.7 - 0.5 * seen["square"] * 0.49 == pytest.approx(change)
    deviation = state.deviation.copy()
    standardise(problem.prior, state)
    np.testing.assert_allclose(deviation, state.deviation, atol=1e-12)


@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.parametrize("intercept", ["exchangeable", "relation"])
@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
def test_shift_has_the_right_density_where_tasks_are_correlated(kind: str, intercept: str) -> None:
    scale = bm.Prior("HalfNormal", sigma=1.0)
    relation = bm.MatrixNormal(kind, "full", scale=scale)
    model = bm.Model("y ~ x", "task", relation, LIKELIHOOD, intercept=intercept)
    problem, rng = model.prepare(frame()).problem, np.random.default_rng(1)
    state, seen = start_corrected(problem, rng), dict[str, float]()
    tasks, task_prior = state.tasks, problem.task_covariance
    assert tasks is not None
    assert task_prior is not None

    def record(parameters: np.ndarray, linear: float, square: float, _: Any) -> float:
        seen.update(linear=linear, square=square)
        return 0.7

    def density() -> float:
        return log_correlated(problem.prior, state.population, tasks, task_prior, 1.0)

    kernels, before = problem.row_kernels, density()
    assert kernels is not None
    problem = problem._replace(row_kernels=kernels._replace(update=lambda *_: None, shift=record))
    value = state.value.copy()
    update_parameters(problem, state.population, state.parameters, value, rng, tasks=tasks)
    np.testing.assert_allclose(value, state.value, atol=1e-10)
    change = density() - before
    assert seen["linear"] * 0.7 - 0.5 * seen["square"] * 0.49 == pytest.approx(change)


@pytest.mark.parametrize("relation", [bm.Exchangeable(), bm.DirichletProcess()], ids=str)
def test_a_sweep_leaves_a_state_that_agrees_with_itself(relation: Any) -> None:
    """Whitened weights and log-likelihoods are those of the weights after the shift."""
    problem = bm.Model("y ~ x", "task", relation, LIKELIHOOD).prepare(frame()).problem
    rng = np.random.default_rng(0)
    state = start_corrected(problem, rng)
    for _ in range(3):
        weights, value = state.population.weights.copy(), np.zeros_like(state.value)
        problem.row_kernels.evaluate(problem.row_data, weights, state.parameters, value)  # type: ignore[union-attr]
        np.testing.assert_allclose(state.value, value, atol=1e-10)
        if state.partition is None:
            place(state.sites, problem.prior, state.population, state.whitened)
        else:
            partition = state.partition
            place_in_clusters(
                state.sites, problem.prior, state.population, partition, state.whitened
            )
        n_tasks = problem.prior.n_tasks
        again, before = (unpack_tasks(w, n_tasks) for w in (state.population.weights, weights))
        np.testing.assert_allclose(again, before, atol=1e-8)
        corrected_sweep(problem, state, rng)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ("abc", "levels must be a list of two or more levels"),
        (["a"], "levels must be a list of two or more levels"),
        (None, "levels must be a list of two or more levels"),
        (["a", 1], "levels must be all text or all numbers"),
        ([True, False], "levels must be all text or all numbers"),
        ([1.0, np.nan], "levels must be all text or all numbers"),
        (["a", "b", "a"], "levels must differ from each other"),
    ],
)
def test_levels_that_are_refused(levels: Any, message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.Ordinal(levels=levels)


def numbers() -> pd.DataFrame:
    data = frame()
    data["y"] = data["y"].map({"low": 1, "mid": 2, "high": 4})
    return data


@pytest.mark.parametrize("make", [lambda y: y, lambda y: y.astype("category"), pd.Series])
def test_text_responses_become_codes(make: Any) -> None:
    data = frame()
    problem = bm.Model("y ~ x", "task", likelihood=LIKELIHOOD).prepare(
        data.assign(y=make(data["y"]))
    )
    wanted = data["y"].map({"low": 0, "mid": 1, "high": 2})
    np.testing.assert_array_equal(problem.problem.rows.response, wanted)


@pytest.mark.parametrize("dtype", ["int64", "float64", "category"])
def test_numbers_become_codes_and_levels_may_not_occur(dtype: str) -> None:
    data = numbers()
    problem = bm.Model("y ~ x", "task", likelihood=FOUR).prepare(
        data.assign(y=data["y"].astype(dtype))
    )
    np.testing.assert_array_equal(problem.problem.rows.response, data["y"] - 1)
    assert np.isfinite(problem.problem.row_parameters.start).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            bm.Model("y ~ x", "task", likelihood=bm.Ordinal(levels=["low", "mid"])),
            r"column \"y\" holds what is none of the levels 'low', 'mid' in \d+ rows: row \d+ has",
        ),
        (
            bm.Model("y ~ x", "task", likelihood=bm.Ordinal(levels=[1, 2, 3])),
            "none of the levels 1, 2, 3 in 72 rows: row 0 has '",
        ),
    ],
)
def test_unknown_levels_are_refused(model: bm.Model, message: str) -> None:
    with pytest.raises(bm.InvalidDataError, match=message):
        model.prepare(frame())


def test_the_response_must_be_a_column() -> None:
    model = bm.Model("log(y) ~ x", "task", likelihood=FOUR)
    with pytest.raises(bm.InvalidModelError, match=r"must be the name of one, not log\(y\)"):
        model.prepare(numbers())


@pytest.mark.parametrize(
    "settings",
    [
        {"intercept": bm.Exchangeable(mean=bm.Prior("Normal"))},
        {"intercept": bm.Pooled(mean=1.0)},
        {"intercept": "relation", "relation": bm.Exchangeable(mean=bm.Prior("Normal"))},
        {"intercept": "relation", "relation": bm.Exchangeable(mean={"Intercept": 2.0})},
    ],
)
def test_a_mean_of_the_intercepts_is_refused(settings: dict[str, Any]) -> None:
    model = bm.Model("y ~ x", "task", likelihood=LIKELIHOOD, **settings)
    with pytest.raises(bm.InvalidModelError, match="thresholds in place of the mean of the inter"):
        model.prepare(frame())


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({}, 0),
        ({"intercept": bm.Exchangeable(mean=0.0)}, 0),
        ({"intercept": "relation"}, 0),
        ({"intercept": "relation", "relation": bm.Exchangeable(mean={"x": bm.Prior("Normal")})}, 0),
    ],
)
def test_the_mean_of_the_intercepts_is_zero(settings: dict[str, Any], first: int) -> None:
    model = bm.Model("y ~ x", "task", likelihood=LIKELIHOOD, **settings)
    prior = model.prior_predictive(frame(), draws=20, random_seed=1)
    variables = prior["prior"].to_dataset()
    mean = variables.get("intercept_mean")
    if mean is None:
        mean = variables["population_mean"].sel(feature="Intercept")
    assert (mean == 0.0).all()
    assert set(np.unique(prior["prior_predictive"]["y"])) <= set(LEVELS)


@pytest.mark.calibration
def test_same_posterior_as_nuts(tmp_path: Path) -> None:
    data = frame()
    model = bm.Model(
        "y ~ x",
        task="task",
        relation=bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=1), scale=0.4),
        likelihood=LIKELIHOOD,
        intercept=bm.Exchangeable(scale=bm.Prior("Gamma", alpha=4, beta=6)),
        weights="w",
        offset="off",
    )
    assert bm.Model.from_dict(model.to_dict()) == model
    names = ("weights", "intercept", "population_mean", "intercept_sd", "thresholds")
    fit = assert_same_posterior(model, data, *names)
    values = bm.compute_log_likelihood(fit)["log_likelihood"]["y"].to_numpy()
    bm.save(fit, tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    again = bm.compute_log_likelihood(loaded, data)["log_likelihood"]["y"].to_numpy()
    np.testing.assert_allclose(values, again)
    assert loaded["observed_data"]["y"].to_numpy().tolist() == data["y"].tolist()
    predicted = bm.predict(loaded, kind="response", random_seed=2)["posterior_predictive"]
    probability = predicted["probability"]
    assert probability.dims == ("chain", "draw", "obs", "level")
    np.testing.assert_allclose(probability.sum("level"), 1.0)
    share = (predicted["y"] == probability["level"]).mean(("chain", "draw", "obs"))
    expected = probability.mean(("chain", "draw", "obs"))
    np.testing.assert_allclose(share, expected, atol=4.0 * 0.5 / np.sqrt(predicted["y"].size))
    picked = np.log(probability.sel(level=fit["observed_data"]["y"])) * data["w"].to_numpy()
    np.testing.assert_allclose(picked.transpose("chain", "draw", "obs"), values, 1e-6, 1e-9)
    summary = bm.predict(loaded, data, as_frame=True)
    columns = ["task", "P(low)", "P(mid)", "P(high)", "most_likely"]
    assert summary.columns.tolist() == columns
    np.testing.assert_allclose(summary[columns[1:4]], probability.mean(("chain", "draw")))
    assert set(summary["most_likely"]) <= set(LEVELS)
    drawn = bm.predict(loaded, data, kind="response", as_frame=True, random_seed=3)
    np.testing.assert_allclose(drawn[columns[1:4]], summary[columns[1:4]], atol=0.07)


@pytest.mark.mcmc
def test_thresholds_mix() -> None:
    """More effective draws than a quarter of all, where tasks differ in their intercepts."""
    rng = np.random.default_rng(1)
    task = np.repeat(np.arange(30), 10)
    data = pd.DataFrame({"task": task, "x": rng.normal(size=300)})
    latent = 1.5 * rng.normal(size=30)[task] + data["x"] + rng.logistic(size=300)
    data["y"] = 1 + np.digitize(latent, [-1.0, 0.0, 1.0])
    model = bm.Model("y ~ x", "task", likelihood=FOUR)
    with warnings.catch_warnings():
        # Other quantities of so short a fit may not pass.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        tree = model.fit(data, draws=500, tune=500, chains=2, random_seed=1, progressbar=False)
    table = bm.diagnose(tree).table
    assert table.loc["thresholds", "ess_bulk"] > 250
