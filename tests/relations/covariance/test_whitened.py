"""Weights of correlated tasks as standard normals, and proposals around sites, by dense algebra."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected import start_corrected
from bayesmtl.inference.corrected_state import CorrectedState, corrections, row_values
from bayesmtl.numerics.joint_weights import DENSE, factor_dense, whiten_dense
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance.collapsed_scales import _log_evidence
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.factors import independent_tasks
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.covariance.whitened import (
    place_factors,
    place_jointly,
    slope_of_rest,
    whiten_factors,
)
from bayesmtl.sites import GaussianSites, collapse

N_TASKS = 9
pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")


def start(kind: str, feature: str = "full") -> tuple[Problem, CorrectedState]:
    """A state away from any mode."""
    rng = np.random.default_rng(3)
    task = np.repeat(np.arange(N_TASKS), 6)
    x = rng.normal(size=(len(task), 2))
    data = pd.DataFrame({"y": rng.integers(0, 2, len(task)), "task": task})
    data = data.assign(x0=x[:, 0], x1=x[:, 1])
    relation = bm.MatrixNormal(kind, feature)
    problem = bm.Model("y ~ x0 + x1", "task", relation, bm.Bernoulli()).prepare(data).problem
    return problem, start_corrected(problem, rng)


def omega(state: CorrectedState) -> np.ndarray:
    assert state.tasks is not None
    return state.tasks.covariance


def dense_mean(problem: Problem, state: CorrectedState, omega: np.ndarray) -> np.ndarray:
    """Mean (task p,) of the weights given sites, for this prior covariance of the deviations."""
    population, p = state.population, state.population.scale.size
    gram = unpack_symmetric(state.sites.gram, N_TASKS)
    whole = np.zeros((N_TASKS, p, N_TASKS, p))
    for t in range(N_TASKS):
        whole[t, :, t] = gram[t]
    design = unpack_tasks(problem.prior.task_features, N_TASKS)
    center = (design @ population.means.T).ravel()
    scale = np.tile(population.scale, N_TASKS)
    prior = np.zeros((N_TASKS, p, N_TASKS, p))
    prior[:, 1:, :, 1:] = np.einsum("st,ij->sitj", omega, population.covariance[1:, 1:])
    prior[np.arange(N_TASKS), 0, np.arange(N_TASKS), 0] = 1.0
    covariance = scale[:, None] * prior.reshape(N_TASKS * p, -1) * scale
    precision = whole.reshape(N_TASKS * p, -1) + np.linalg.inv(covariance)
    right = unpack_tasks(state.sites.moment, N_TASKS).ravel() + np.linalg.solve(covariance, center)
    return np.linalg.solve(precision, right)


def factor(problem: Problem, state: CorrectedState) -> tuple[np.ndarray, np.ndarray]:
    prior, population = problem.prior, state.population
    assert isinstance(state.tasks, DenseTasks)
    dense, _ = dense_sites(state.sites, prior, DENSE)
    center = dense.design @ population.means.T
    gram, score = standard_sites(dense, state.sites.precision, population.scale, center)
    features = population.precision[1:, 1:].copy()
    lower, shift = factor_dense(gram, score, state.tasks.precision, features, 1)
    return lower, shift


def test_weights_of_q_zero_are_the_mean_given_all_sites() -> None:
    problem, state = start("full")
    lower, shift = factor(problem, state)
    place_jointly(problem.prior, state.population, lower, shift, np.zeros(shift.size))
    found = unpack_tasks(state.population.weights, N_TASKS).ravel()
    np.testing.assert_allclose(found, dense_mean(problem, state, omega(state)), rtol=1e-8)


def test_q_of_all_tasks_gives_their_weights_again() -> None:
    problem, state = start("full")
    lower, shift = factor(problem, state)
    weights = state.population.weights.copy()
    deviation = unpack_tasks(state.population.deviation, N_TASKS).ravel()
    q = whiten_dense(lower, shift, deviation)
    # |q|^2 is the quadratic form of the posterior precision.
    mean = np.linalg.solve(lower.T, shift)
    away = deviation - mean
    assert q @ q == pytest.approx(away @ lower @ lower.T @ away)
    place_jointly(problem.prior, state.population, lower, shift, q)
    np.testing.assert_allclose(state.population.weights, weights, atol=1e-9)


def test_the_slope_is_the_gradient_of_what_sites_leave() -> None:
    problem, state = start("full")
    lower, shift = factor(problem, state)
    q = 0.3 * np.random.default_rng(0).normal(size=shift.size)

    def rest(q: np.ndarray) -> float:
        place_jointly(problem.prior, state.population, lower, shift, q)
        return float(corrections(state, row_values(problem, state)).sum())

    expected = np.empty(q.size)
    for i in range(q.size):
        step = np.zeros(q.size)
        step[i] = 1e-5
        expected[i] = (rest(q + step) - rest(q - step)) / 2e-5
    rest(q)
    kernels, score = problem.row_kernels, np.zeros_like(state.population.weights)
    assert kernels is not None
    kernels.score(problem.row_data, state.population.weights, state.parameters, score)
    found = slope_of_rest(state.sites, problem.prior, state.population, score, lower)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def structured(problem: Problem, state: CorrectedState) -> FactorTasks:
    assert isinstance(state.tasks, FactorTasks)
    return state.tasks


def test_q_of_tasks_with_factors_gives_their_weights_again() -> None:
    problem, state = start("low_rank")
    tasks, population = structured(problem, state), state.population
    weights = population.weights.copy()
    whiten_factors(state.sites, problem.prior, population, tasks, state.whitened)
    place_factors(state.sites, problem.prior, population, tasks, state.whitened)
    np.testing.assert_allclose(population.weights, weights, atol=1e-9)


def test_factors_at_q_zero_give_the_mean_of_each_task() -> None:
    """As dense algebra with the means and variances of own parts."""
    problem, state = start("low_rank", "diagonal")
    tasks, population = structured(problem, state), state.population
    place_factors(state.sites, problem.prior, population, tasks, np.zeros_like(state.whitened))
    found = unpack_tasks(population.weights, N_TASKS).ravel()
    common = np.zeros((N_TASKS, 3))
    common[:, 1:] = population.scale[1:] * (tasks.loadings @ tasks.factors)
    # The common parts as effects of task features, one for each task.
    moved = state.sites._replace(moment=state.sites.moment.copy())
    gram = unpack_symmetric(state.sites.gram, N_TASKS)
    moved.moment[:] -= pack_tasks(np.einsum("tij,tj->ti", gram, common))
    expected = dense_mean(problem, state._replace(sites=moved), np.diag(tasks.specific))
    np.testing.assert_allclose(found, expected + common.ravel(), rtol=1e-8)


def test_a_feature_without_a_scale_keeps_its_q() -> None:
    problem, state = start("low_rank", "diagonal")
    state.population.scale[2] = 0.0
    before = state.whitened[:, 2].copy()
    tasks = structured(problem, state)
    whiten_factors(state.sites, problem.prior, state.population, tasks, state.whitened)
    np.testing.assert_array_equal(state.whitened[:, 2], before)


@pytest.mark.parametrize("feature", ["full", "diagonal"])
def test_the_evidence_of_scales_is_that_of_collapsed_sites(feature: str) -> None:
    problem, state = start("low_rank", feature)
    tasks, population, sites = structured(problem, state), state.population, state.sites
    gram, moment, center = independent_tasks(sites, problem.prior, population, tasks)
    none, values = np.zeros_like(center), []

    def by_collapse(scale: np.ndarray) -> float:
        own = GaussianSites(
            unpack_symmetric(gram, N_TASKS), unpack_tasks(moment, N_TASKS), np.zeros(N_TASKS)
        )
        covariance = scale[:, None] * np.linalg.inv(population.precision) * scale
        after, mean = collapse(own, covariance), unpack_tasks(center, N_TASKS)
        linear = np.einsum("ti,ti->", after.moment, mean)
        quadratic = np.einsum("ti,tij,tj->", mean, after.gram, mean)
        return float(after.constant.sum() + linear - 0.5 * quadratic)

    for scale in (population.scale, population.scale * [2.0, 0.3, 1.5]):
        found = _log_evidence(
            gram, moment, sites.precision, center, none, scale, population.precision
        )
        values.append((found, by_collapse(scale)))
    (one, first), (other, second) = values
    assert other - one == pytest.approx(second - first, rel=1e-9)


@pytest.mark.parametrize(
    "likelihood",
    [bm.Binomial("n"), bm.NegativeBinomial(), bm.Ordinal([0, 1, 2]), bm.StudentT(), bm.Poisson()],
    ids=lambda one: type(one).__name__,
)
def test_scores_of_all_likelihoods_are_those_of_their_moments(likelihood: Any) -> None:
    rng = np.random.default_rng(3)
    task, x = np.repeat(np.arange(3), 9), rng.normal(size=27)
    data = pd.DataFrame({"y": np.tile([0, 1, 2], 9), "x": x, "task": task, "n": 4})
    problem = bm.Model("y ~ x", "task", likelihood=likelihood).prepare(data).problem
    kernels, rows = problem.row_kernels, problem.row_data
    assert kernels is not None
    weights = pack_tasks(0.4 * rng.normal(size=(3, 2)))
    parameters = problem.row_parameters.start
    gram, score = np.zeros_like(problem.sites.gram), np.zeros_like(weights)
    kernels.moments(rows, weights, parameters, gram, score)
    found = np.zeros_like(weights)
    kernels.score(rows, weights, parameters, found)
    np.testing.assert_allclose(found, score, rtol=1e-12, atol=1e-12)
