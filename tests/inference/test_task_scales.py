"""Scales of tasks with different likelihoods: against quadrature, and by simulation."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference import corrected
from bayesmtl.inference.corrected import corrected_sweep, sample_corrected, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState
from bayesmtl.inference.task_scales import (
    apply_scales,
    rescale_all,
    rescale_given_predictors,
)
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.relations.exchangeable.whitened import place
from tests.oracles.geweke_mixed import CASES, begin, draw_noise, drift, frame
from tests.oracles.monte_carlo import mcse

LIKELIHOODS: dict[str, Any] = {
    "a": bm.Gaussian(noise_sd=3.0),
    "b": bm.Bernoulli(),
    "c": bm.Poisson(exposure="e"),
}
MEAN, SD = 0.5, 0.3
# The scales move alike under these relations.
LONGER = ("clusters", "correlated", "levels")


def tiny() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 12
    x = rng.normal(size=3 * n)
    y = np.concatenate(
        [
            20.0 + 4.0 * x[:n] + 3.0 * rng.normal(size=n),
            rng.logistic(size=n) < x[n : 2 * n],
            rng.poisson(3.0, n),
        ]
    )
    e = np.r_[np.full(2 * n, np.nan), rng.uniform(0.5, 1.5, n)]
    return pd.DataFrame({"task": np.repeat(["a", "b", "c"], n), "x": x, "y": y, "e": e})


def by_quadrature(data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Mean and sd of weight and log task scale, from the two-dimensional integral of each task."""
    log_s = np.linspace(-2.5, 2.5, 801)[:, None]
    w = np.linspace(MEAN - 8 * SD, MEAN + 8 * SD, 801)[None]
    prior = stats.norm.logpdf(log_s, 0.0, 0.5) + stats.norm.logpdf(w, MEAN, SD)
    out = {}
    for name, rows in data.groupby("task"):
        x, y, e = (rows[c].to_numpy()[:, None, None] for c in ("x", "y", "e"))
        # No intercept: predictors are centred at 0.
        unit = {"a": y.std(), "b": 2.0, "c": np.sqrt(len(y) / (y.sum() + 0.5))}[str(name)]
        eta = unit * np.exp(log_s) * w * x
        density = {
            "a": lambda y, eta, e: stats.norm.logpdf(y, eta, 3.0),
            "b": lambda y, eta, e: y * eta - np.logaddexp(0.0, eta),
            "c": lambda y, eta, e: stats.poisson.logpmf(y, e * np.exp(eta)),
        }[str(name)](y, eta, e)
        log = prior + density.sum(axis=0)
        mass = np.exp(log - log.max())
        mass /= mass.sum()
        weight, scale = unit * np.exp(log_s) * w, log_s + np.log(unit) + 0.0 * w
        means = [(mass * part).sum() for part in (weight, scale)]
        sds = [
            np.sqrt((mass * (part - m) ** 2).sum())
            for part, m in zip((weight, scale), means, strict=True)
        ]
        out[str(name)] = np.array([*means, *sds])
    return out


@pytest.mark.mcmc
def test_weights_and_scales_agree_with_quadrature() -> None:
    data = tiny()
    model = bm.Model("y ~ 0 + x", "task", bm.Independent(mean=MEAN, scale=SD), LIKELIHOODS)
    fit = model.fit(data, draws=2500, tune=300, chains=2, cores=1, random_seed=5, progressbar=False)
    posterior = fit["posterior"]
    for name, expected in by_quadrature(data).items():
        weight = posterior["weights"].sel(task=name, feature="x").to_numpy()
        scale = np.log(posterior["task_scale"].sel(task=name).to_numpy())
        for draws, mean, sd in ((weight, *expected[::2]), (scale, *expected[1::2])):
            assert abs(draws.mean() - mean) < 4.0 * mcse(draws), name
            square = (draws - mean) ** 2
            assert abs(square.mean() - sd**2) < 4.0 * mcse(square), name


@pytest.mark.mcmc
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.calibration] if name in LONGER else [])
        for name in CASES
    ],
)
def test_the_sweep_leaves_the_joint_distribution_invariant(name: str) -> None:
    chains, cycles = (60, 8) if name == "identical" else (100, 10)
    scores = drift(CASES[name](), chains, cycles, 10_000, seed=1)
    wrong = {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 50


def problem_of(name: str) -> Problem:
    return CASES[name]().model.prepare(frame()).problem


@pytest.mark.parametrize("name", ["joint", "pooled"])
def test_the_state_stays_consistent(name: str) -> None:
    """Rows, sites, q and log-likelihoods belong to the current scales; no drift."""
    problem, rng = problem_of(name), np.random.default_rng(3)
    state = start_corrected(problem, rng)
    scales = state.scales
    assert scales is not None
    start = scales.log_scale.copy()
    for _ in range(30):
        corrected_sweep(problem, state, rng)
    assert (scales.log_scale != start).all()
    scale, groups = np.exp(scales.log_scale), problem.groups
    assert groups is not None
    n_tasks = problem.prior.n_tasks
    for base, part in zip(problem.row_data, scales.rows, strict=True):
        of_rows = np.repeat(scale[base.task], np.diff(base.start))
        np.testing.assert_allclose(part.features, base.features * of_rows)
    gram = unpack_symmetric(problem.sites.gram, n_tasks) * scale[:, None, None] ** 2
    np.testing.assert_allclose(unpack_symmetric(state.sites.gram, n_tasks), gram)
    moment = unpack_tasks(problem.sites.moment, n_tasks) * scale[:, None]
    np.testing.assert_allclose(unpack_tasks(state.sites.moment, n_tasks), moment)
    value = np.zeros_like(state.value)
    assert problem.row_kernels is not None
    weights = state.population.weights.copy()
    lanes = pack_tasks(scale)[:, None]
    problem.row_kernels.evaluate(problem.row_data, weights * lanes, state.parameters, value)
    np.testing.assert_allclose(state.value, value, rtol=1e-9, atol=1e-9)
    place(state.sites, problem.prior, state.population, state.whitened)
    np.testing.assert_allclose(state.population.weights, weights, atol=1e-9)


def test_sites_are_fitted_at_scale_one() -> None:
    """Averages of tuning are those of weights times scales, whatever the scales were."""
    problem, rng = problem_of("joint"), np.random.default_rng(5)
    found = []
    for shift in (0.0, 0.7):
        tuning = corrected.CorrectedTuning(problem, 100)
        state = _at_predictors(problem, shift, rng)
        tuning._add_moments(problem, state)
        tuning._set_sites(problem, state, 1)
        assert state.scales is not None
        found.append((state.scales.gram.copy(), state.scales.moment.copy()))
        same = state.sites.gram / np.exp(2.0 * shift)
        np.testing.assert_allclose(same, found[0][0], atol=1e-8)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def _at_predictors(problem: Problem, shift: float, rng: np.random.Generator) -> CorrectedState:
    state = start_corrected(problem, np.random.default_rng(0))
    assert state.scales is not None
    state.scales.log_scale[:] = shift
    apply_scales(problem, state.scales, state.sites)
    fixed = np.random.default_rng(1).normal(size=(problem.prior.n_tasks, 3))
    state.population.weights[:] = pack_tasks(fixed * np.exp(-shift))
    return state


def test_fixed_weights_leave_only_the_likelihood_to_move_scales() -> None:
    """A mean other than 0 without spread: weights do not follow, and stay."""
    model = bm.Model("y ~ 0 + x", "task", bm.Independent(mean=0.4, scale=0.0), LIKELIHOODS)
    problem = model.prepare(tiny()).problem
    draws, _ = sample_corrected(
        problem, draws=50, tune=20, chains=1, cores=1, random_seed=0, progressbar=False
    )
    assert draws.weights is not None
    assert draws.task_scale is not None
    np.testing.assert_allclose(draws.weights * problem.prior.scale_unit, 0.4)
    assert (draws.task_scale.std(axis=1) > 0.05).all()


@pytest.mark.mcmc
def test_scales_mix_where_data_and_population_say_much() -> None:
    """Many rows and equal weights: one scale alone could hardly move."""
    rng = np.random.default_rng(0)
    n = 2000
    x = rng.normal(size=(3 * n, 2))
    eta = x @ [0.8, -0.5]
    y = np.concatenate(
        [
            3.0 * eta[:n] + rng.normal(size=n),
            rng.logistic(size=n) < eta[n : 2 * n],
            rng.poisson(np.exp(0.5 * eta[2 * n :])),
        ]
    )
    data = pd.DataFrame({"y": y, "x0": x[:, 0], "x1": x[:, 1], "task": np.repeat(list("abc"), n)})
    kinds = {"a": bm.Gaussian(), "b": bm.Bernoulli(), "c": bm.Poisson()}
    model = bm.Model("y ~ x0 + x1", "task", bm.Pooled(), kinds)
    fit = model.fit(data, draws=400, tune=400, chains=2, cores=1, random_seed=1, progressbar=False)
    from arviz import ess

    found = ess(fit["posterior"].to_dataset()[["task_scale", "population_mean"]])
    assert float(found["task_scale"].min()) > 200
    assert float(found["population_mean"].min()) > 200


MOVES: dict[str, Any] = {
    "given predictors": lambda problem, scales, state, rng: rescale_given_predictors(
        problem, scales, state.population, state.partition, rng
    ),
    "all": lambda problem, scales, state, rng: rescale_all(problem, scales, state.population, rng),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", CASES)
def test_moves_that_the_likelihood_does_not_see_keep_the_prior(name: str, move: str) -> None:
    """Predictors stay exactly; scales, weights and population keep their distribution."""
    case, problem = CASES[name](), problem_of(name)
    rng = np.random.default_rng(8)
    state = start_corrected(problem, rng)
    scales, change, moved = state.scales, [], 0
    assert scales is not None
    for _ in range(1500):
        draw = case.structure(problem, rng)
        log_scale = 0.5 * rng.normal(size=problem.prior.n_tasks)
        begin(problem, state, draw, log_scale, draw_noise(rng))
        before = _statistics(state)
        weights = state.population.weights.copy()
        MOVES[move](problem, scales, state, rng)
        lanes = pack_tasks(np.exp(scales.log_scale - log_scale))[:, None]
        np.testing.assert_allclose(state.population.weights * lanes, weights, atol=1e-9)
        moved += int((scales.log_scale != log_scale).any())
        change.append(_statistics(state) - before)
    stuck = move == "given predictors" and name in ("pooled", "identical")
    assert moved == (0 if stuck else 1500)
    mean, error = np.mean(change, axis=0), np.std(change, axis=0) / np.sqrt(1500)
    z = np.divide(mean, error, out=np.zeros_like(mean), where=error > 1e-9)
    assert (np.abs(z) < 4.0).all(), z


def _statistics(state: CorrectedState) -> np.ndarray:
    population, scales = state.population, state.scales
    assert scales is not None
    size = np.log(np.abs(unpack_tasks(population.weights, len(scales.log_scale))) + 1e-3)
    spread = np.diag(population.covariance) * population.scale**2
    return np.array(
        [
            scales.log_scale.mean(),
            (scales.log_scale**2).mean(),
            scales.log_scale.sum() ** 2,
            size.mean(),
            (scales.log_scale * size.mean(axis=1)).mean(),
            np.log(np.abs(population.means[:, 0]) + 1e-3).mean(),
            np.log(spread + 1e-6).mean(),
        ]
    )
