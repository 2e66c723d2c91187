"""The sampler around fixed sites: its state, its tuning, and posteriors known otherwise."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesmtl import Bernoulli, Exchangeable, Model, Poisson, Pooled, Prior
from bayesmtl.assembly import Problem
from bayesmtl.inference import corrected
from bayesmtl.inference.corrected import corrected_sweep, sample_corrected, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState, attempt
from bayesmtl.inference.draws import Draws
from bayesmtl.numerics.lanes import multiply_lanes
from bayesmtl.relations.exchangeable.whitened import place
from tests.oracles.cases import agree
from tests.oracles.monte_carlo import mcse

COVARIANCES = {
    "joint": Exchangeable(),
    "diagonal": Exchangeable(scale=Prior("HalfNormal", sigma=1.0)),
    "huang_wand": Exchangeable(feature_covariance="full"),
    "pooled": Pooled(),
}


def yes_or_no(n_tasks: int = 6, n_rows: int = 10, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), 2))
    eta = 0.5 + rng.normal(size=n_tasks)[task] + x @ [1.0, -0.5]
    y = (rng.random(len(task)) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "x0": x[:, 0], "x1": 10.0 * x[:, 1], "task": task})


def problem_of(relation: Any = None, likelihood: Any = None, data: Any = None) -> Problem:
    model = Model(
        "y ~ x0 + x1",
        "task",
        relation or Exchangeable(),
        likelihood or Bernoulli(),
    )
    return model.prepare(yes_or_no() if data is None else data).problem


def sample(problem: Problem, **settings: Any) -> Draws:
    options = {"draws": 200, "tune": 200, "chains": 2, "cores": 1, "random_seed": 3}
    return sample_corrected(problem, **{**options, **settings}, progressbar=False)[0]


def assert_consistent(problem: Problem, state: CorrectedState) -> None:
    """Weights, deviations, q and log-likelihoods speak of one point."""
    population = state.population
    weights = population.weights.copy()
    expected = population.center + population.scale[:, None] * population.deviation
    np.testing.assert_allclose(weights, expected, atol=1e-10)
    value = np.zeros_like(state.value)
    assert problem.row_kernels is not None
    problem.row_kernels.evaluate(problem.row_data, weights, state.parameters, value)
    np.testing.assert_allclose(state.value, value, rtol=1e-10, atol=1e-10)
    place(state.sites, problem.prior, population, state.whitened)
    np.testing.assert_allclose(population.weights, weights, atol=1e-9)


@pytest.mark.parametrize("relation", COVARIANCES)
def test_the_state_stays_consistent(relation: str) -> None:
    problem = problem_of(COVARIANCES[relation])
    rng = np.random.default_rng(2)
    state = start_corrected(problem, rng)
    assert_consistent(problem, state)
    moved = 0.0
    for _ in range(40):
        moved += corrected_sweep(problem, state, rng)
        assert_consistent(problem, state)
    assert 0.0 < moved < 40.0


@pytest.mark.parametrize("shift", [np.nan, 8.0])
def test_a_refused_proposal_changes_nothing(shift: float) -> None:
    problem = problem_of(likelihood=Poisson())
    rng = np.random.default_rng(2)
    state = start_corrected(problem, rng)
    before = [part.copy() for part in (*state.population, state.value, state.whitened)]

    def far_away() -> None:
        for part in state.population:
            np.add(part, shift, out=part)

    assert not attempt(problem, state, far_away, rng)
    after = (*state.population, state.value, state.whitened)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_proposal_without_change_is_accepted() -> None:
    problem = problem_of()
    rng = np.random.default_rng(2)
    state = start_corrected(problem, rng)
    assert attempt(problem, state, lambda: None, rng)


def test_tuning_changes_sites_and_kicks_and_then_stops() -> None:
    problem = problem_of()
    tune = 120
    rng = np.random.default_rng(4)
    state = start_corrected(problem, rng)
    tuning = corrected.CorrectedTuning(problem, tune)
    grams, kicks = [], []
    for iteration in range(tune + 60):
        corrected_sweep(problem, state, rng)
        if iteration >= tune:
            state.accepted[:] = False  # would ask for more gradients
        tuning.observe(iteration, problem, state)
        assert_consistent(problem, state)
        grams.append(state.sites.gram.copy())
        kicks.append(state.kicks.copy())
    changes = [i for i in range(1, len(grams)) if np.any(grams[i] != grams[i - 1])]
    assert changes == [17, 41, 71]
    assert not np.array_equal(kicks[0], kicks[tune - 1])
    np.testing.assert_array_equal(kicks[tune - 1], kicks[-1])
    # The problem's own sites are those of all chains.
    np.testing.assert_array_equal(problem.sites.gram, grams[0])


def test_sites_are_the_average_information_and_score() -> None:
    """At a point: the second-order expansion of the log-likelihood there."""
    problem = problem_of()
    rng = np.random.default_rng(4)
    state = start_corrected(problem, rng)
    tuning = corrected.CorrectedTuning(problem, 100)
    for iteration in range(5, 15):
        tuning.observe(iteration, problem, state)
    kernels, weights = problem.row_kernels, state.population.weights
    assert kernels is not None
    gram, score = np.zeros_like(state.sites.gram), np.zeros_like(weights)
    kernels.moments(problem.row_data, weights, state.parameters, gram, score)
    np.testing.assert_allclose(state.sites.gram, gram, rtol=1e-12)
    at_weights = np.zeros_like(score)
    for k in range(len(gram)):
        multiply_lanes(gram, k, weights[k], at_weights[k])
    np.testing.assert_allclose(state.sites.moment - at_weights, score, atol=1e-9)


def test_more_gradients_where_moves_fail_and_fewer_where_they_succeed() -> None:
    problem = problem_of()
    tuning = corrected.CorrectedTuning(problem, 1000)
    kicks = np.array([4, 4, 4, 40, 2, 5])
    tuning._moves[:] = [10, 25, 21, 0, 25, 17]
    tuning._set_kicks(kicks)
    np.testing.assert_array_equal(kicks, [6, 3, 4, 40, 2, 8])
    assert not tuning._moves.any()


def test_draws_depend_on_the_seed_and_not_on_the_cores() -> None:
    problem = problem_of()
    one, two = sample(problem), sample(problem, cores=2)
    np.testing.assert_array_equal(one.means, two.means)
    other = sample(problem, random_seed=4)
    assert not np.array_equal(one.means, other.means)


def test_short_tuning_samples_around_the_pilot_sites() -> None:
    problem = problem_of()
    draws = sample(problem, tune=0, draws=400)
    assert draws.weights is not None
    assert np.isfinite(draws.weights).all()


def binomial_rows() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows, successes and trials of four tasks."""
    successes, trials = np.array([1, 7, 3, 0]), np.array([9, 10, 4, 6])
    y = np.concatenate(
        [np.repeat([1, 0], [a, n - a]) for a, n in zip(successes, trials, strict=True)]
    )
    return pd.DataFrame({"y": y, "task": np.repeat(list("abcd"), trials)}), successes, trials


class Grid:
    """Posterior of mean and scale of intercepts by sums over a grid, the intercepts integrated."""

    def __init__(self, log_likelihood: Any, mean: Any, scale: Any, n_tasks: int) -> None:
        """``log_likelihood(t, intercepts)``; frozen distributions of the mean and the scale."""
        means, scales = np.linspace(-4.0, 4.0, 121), np.linspace(0.01, 5.0, 120)
        z, weight = np.polynomial.hermite_e.hermegauss(80)
        a = means[:, None, None] + scales[None, :, None] * z
        log = mean.logpdf(means)[:, None] + scale.logpdf(scales)[None]
        averages = []
        for t in range(n_tasks):
            likelihood = weight * np.exp(log_likelihood(t, a))
            log = log + np.log(likelihood.sum(axis=2))
            averages.append((a * likelihood).sum(axis=2) / likelihood.sum(axis=2))
        probability = np.exp(log - log.max())
        probability /= probability.sum()

        def moments(values: np.ndarray) -> tuple[float, float]:
            first = float((probability * values).sum())
            return first, float((probability * values**2).sum())

        self.mean = moments(means[:, None] + 0.0 * scales)
        self.scale = moments(0.0 * means[:, None] + scales)
        self.intercepts = [float((probability * average).sum()) for average in averages]


def assert_equals_the_grid(draws: Draws, grid: Grid, center: float) -> None:
    found = {"mean": center + draws.means[..., 0, 0], "scale": draws.scale[..., 0]}
    for name, values in found.items():
        first, second = getattr(grid, name)
        assert agree(values, first), name
        assert agree(values**2, second), name
    assert draws.weights is not None
    for t, expected in enumerate(grid.intercepts):
        assert agree(center + draws.weights[..., t, 0], expected), t


@pytest.mark.mcmc
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_intercepts_of_yes_or_no_equal_a_grid(link: str) -> None:
    data, successes, trials = binomial_rows()
    intercept = Exchangeable(
        mean=Prior("Normal", mu=0.3, sigma=1.0), scale=Prior("HalfNormal", sigma=1.2)
    )
    model = Model("y ~ 1", "task", likelihood=Bernoulli(link=link), intercept=intercept)
    cdf = (stats.logistic if link == "logit" else stats.norm).logcdf

    def log_likelihood(t: int, a: np.ndarray) -> np.ndarray:
        return np.asarray(successes[t] * cdf(a) + (trials[t] - successes[t]) * cdf(-a))

    grid = Grid(log_likelihood, stats.norm(0.3, 1.0), stats.halfnorm(scale=1.2), 4)
    draws = sample(model.prepare(data).problem, draws=8000, tune=500)
    assert_equals_the_grid(draws, grid, 0.0)


@pytest.mark.mcmc
def test_intercepts_of_rates_equal_a_grid() -> None:
    counts = np.array([[4, 6], [0, 1], [2, 0], [11, 9]])
    exposure = np.array([[1.0, 2.0], [1.5, 0.7], [3.0, 1.0], [2.0, 1.2]])
    task = np.repeat(list("abcd"), 2)
    data = pd.DataFrame({"y": counts.ravel(), "e": exposure.ravel(), "task": task})
    data["w"] = np.tile([1.0, 0.5], 4)
    intercept = Exchangeable(
        mean=Prior("Normal", mu=0.5, sigma=0.8), scale=Prior("Gamma", alpha=2, beta=3)
    )
    model = Model("y ~ 1", "task", likelihood=Poisson("e"), intercept=intercept, weights="w")

    def log_likelihood(t: int, a: np.ndarray) -> np.ndarray:
        parts = [
            weight * stats.poisson.logpmf(counts[t, i], exposure[t, i] * np.exp(a))
            for i, weight in enumerate([1.0, 0.5])
        ]
        return np.asarray(sum(parts))

    grid = Grid(log_likelihood, stats.norm(0.5, 0.8), stats.gamma(2, scale=1 / 3), 4)
    problem = model.prepare(data).problem
    draws = sample(problem, draws=8000, tune=500)
    assert_equals_the_grid(draws, grid, problem.scaling.response_center)


@pytest.mark.mcmc
def test_pooled_weights_equal_a_grid() -> None:
    """Without deviations: two coefficients, sums over a plane."""
    data = yes_or_no(3, 6)
    normal = Prior("Normal", mu=0.0, sigma=1.0)
    model = Model("y ~ x0", "task", Pooled(mean=normal), Bernoulli(), intercept=Pooled(mean=normal))
    problem = model.prepare(data).problem
    draws = sample(problem, draws=8000, tune=500)
    axis = np.linspace(-5.0, 5.0, 401)
    a, b = np.meshgrid(axis, axis, indexing="ij")
    x = data["x0"].to_numpy() - data["x0"].mean()
    log = -0.5 * (a**2 + b**2)
    for xi, yi in zip(x, data["y"], strict=True):
        eta = a + b * xi
        log += stats.logistic.logcdf(eta if yi else -eta)
    probability = np.exp(log - log.max())
    probability /= probability.sum()
    user = problem.prior.mean_unit[:, 0] * draws.means[..., 0]
    for i, values in enumerate((a, b)):
        assert agree(user[..., i], float((probability * values).sum()))
        assert agree(user[..., i] ** 2, float((probability * values**2).sum()))
    both = float((probability * a * b).sum())
    product = user[..., 0] * user[..., 1]
    assert abs(product.mean() - both) < 4 * mcse(product)
