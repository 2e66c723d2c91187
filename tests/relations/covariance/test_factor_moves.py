"""Updates of tasks that share factors, against dense algebra."""

import numpy as np
import pytest

from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance.factor_moves import (
    expand_factors,
    propose_factors,
    propose_loadings,
)
from bayesmtl.sites import GaussianSites, collapse
from tests.oracles.cases import agree
from tests.relations.covariance.test_whitened import N_TASKS, start, structured

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")


@pytest.mark.mcmc
@pytest.mark.parametrize("feature", ["full", "diagonal"])
def test_loadings_and_factors_are_drawn_given_sites_with_the_weights_integrated_out(
    feature: str,
) -> None:
    problem, state = start("low_rank", feature)
    tasks, population, rng = structured(problem, state), state.population, np.random.default_rng(0)
    scale, gram = population.scale, unpack_symmetric(state.sites.gram, N_TASKS)
    moment = unpack_tasks(state.sites.moment, N_TASKS)
    own = np.linalg.inv(population.precision) * np.outer(scale, scale)
    each = np.tile(own, (N_TASKS, 1, 1))
    each[:, 1:, 1:] *= tasks.specific[:, None, None]
    sites = collapse(GaussianSites(gram, moment, np.zeros(N_TASKS)), each)
    design = unpack_tasks(problem.prior.task_features, N_TASKS)
    center = design @ population.means.T
    rest = sites.moment - np.einsum("tij,tj->ti", sites.gram, center)
    linear = rest[:, 1:] * scale[1:]
    quadratic = sites.gram[:, 1:, 1:] * np.outer(scale[1:], scale[1:])
    n_factors, d = tasks.factors.shape

    factors = tasks.factors.copy()
    prior = np.diag(1.0 / tasks.variance)
    wanted = [
        np.linalg.solve(prior + factors @ quadratic[t] @ factors.T, factors @ linear[t])
        for t in range(N_TASKS)
    ]
    settings = (state.sites, problem.prior, population, tasks, state.whitened, rng)
    draws = np.empty((1, 4000, N_TASKS, n_factors))
    for i in range(draws.shape[1]):
        propose_loadings(*settings)
        draws[0, i] = tasks.loadings
    for t in range(N_TASKS):
        for h in range(n_factors):
            assert agree(draws[..., t, h], float(wanted[t][h]), 4.5)

    precision = np.kron(np.eye(n_factors), population.precision[1:, 1:])
    right = (tasks.loadings.T @ linear).ravel()
    for t in range(N_TASKS):
        precision += np.kron(np.outer(tasks.loadings[t], tasks.loadings[t]), quadratic[t])
    mean = np.linalg.solve(precision, right)
    values = np.empty((1, 4000, n_factors * d))
    for i in range(values.shape[1]):
        propose_factors(*settings)
        values[0, i] = tasks.factors.ravel()
    for j in range(n_factors * d):
        assert agree(values[..., j], float(mean[j]), 4.5)


@pytest.mark.parametrize("common", [False, True])
def test_weights_follow_the_factor_of_their_task(common: bool) -> None:
    """All of a task's deviations, or its common part alone."""
    problem, state = start("low_rank", "diagonal")
    tasks, population = structured(problem, state), state.population
    factor = np.ones(N_TASKS)
    part = tasks.loadings @ tasks.factors
    before = unpack_tasks(population.deviation, N_TASKS)
    rng = np.random.default_rng(0)
    expand_factors(state.sites, problem.prior, population, tasks, common, factor, rng)
    after = unpack_tasks(population.deviation, N_TASKS)
    moving = part if common else before[:, 1:]
    assert (np.abs(np.log(factor)) > 0.0).all()
    expected = before[:, 1:] + (factor[:, None] - 1.0) * moving
    np.testing.assert_allclose(after[:, 1:], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    weights = population.center + population.scale[:, None] * population.deviation
    np.testing.assert_allclose(population.weights, weights, atol=1e-12)
