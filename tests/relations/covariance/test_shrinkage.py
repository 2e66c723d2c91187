"""Cumulative shrinkage of loadings against quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import invgamma

from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.relations.covariance.shrinkage import (
    recombine_factors,
    update_loadings,
    update_sticks,
)
from bayesmtl.relations.covariance.state import SPIKE, STICK, FactorTasks
from tests.oracles.cases import agree


def one_factor(n_tasks: int, d: int = 1, n_factors: int = 1) -> FactorTasks:
    return FactorTasks(
        loadings=np.zeros((n_tasks, n_factors)),
        factors=np.ones((n_factors, d)),
        specific=np.ones(n_tasks),
        variance=np.full(n_factors, SPIKE),
        active=np.zeros(n_factors, dtype=bool),
        sticks=np.full(n_factors, 0.4),
    )


@pytest.mark.mcmc
def test_kind_variance_and_loadings_follow_their_posterior() -> None:
    gram, score = np.array([3.0, 0.5, 8.0]), np.array([2.0, -0.6, -1.0])

    def evidence(variance: float) -> float:
        whole = 1.0 + variance * gram
        return float(np.exp(0.5 * (variance * score**2 / whole - np.log(whole)).sum()))

    def slab(x: float) -> float:
        return float(invgamma.pdf(x, 2.0, scale=0.5)) * evidence(x)

    def mean(x: float) -> float:
        return float(x * score[0] / (1.0 + x * gram[0]))

    pieces = [(0.0, 1.0), (1.0, 20.0), (20.0, 1e4)]
    total = sum(quad(slab, *ends)[0] for ends in pieces)
    first = sum(quad(lambda x: mean(x) * slab(x), *ends)[0] for ends in pieces)
    spike = 0.4 * evidence(SPIKE)
    probability = 0.6 * total / (0.6 * total + spike)
    loading = (0.6 * first + spike * mean(SPIKE)) / (0.6 * total + spike)

    tasks, rng = one_factor(3), np.random.default_rng(0)
    lanes = pack_tasks(gram[:, None]), pack_tasks(score[:, None])
    n = 40_000
    active, loadings, small = np.empty((1, n)), np.empty((1, n)), np.empty((1, n))
    for i in range(n):
        update_loadings(*lanes, tasks, rng)
        active[0, i], loadings[0, i] = tasks.active[0], tasks.loadings[0, 0]
        small[0, i] = tasks.active[0] and tasks.variance[0] < 0.3
    assert agree(active, probability)
    assert agree(loadings, loading)
    below = sum(quad(slab, *ends)[0] for ends in ((0.0, 0.05), (0.05, 0.3)))
    assert agree(small, 0.6 * below / (0.6 * total + spike))


@pytest.mark.mcmc
def test_sticks_follow_their_posterior() -> None:
    """Two factors, the first inactive and the second active: the density of both breaks."""
    tasks, rng = one_factor(2, n_factors=2), np.random.default_rng(1)
    tasks.active[:] = [False, True]
    v = (np.arange(400) + 0.5) / 400
    one, two = np.meshgrid(v, v, indexing="ij")
    # The first is inactive with probability v1, the second active with (1 - v1) (1 - v2).
    density = one * (1.0 - one) * (1.0 - two) * ((1.0 - one) * (1.0 - two)) ** (STICK - 1.0)
    density /= density.sum()
    draws = np.empty((1, 40_000, 2))
    for i in range(draws.shape[1]):
        update_sticks(tasks, rng)
        draws[0, i] = tasks.sticks
    for j, values in enumerate((one, two)):
        for power in (1, 2):
            assert agree(draws[..., j] ** power, float((density * values**power).sum()))


def test_combinations_keep_the_products() -> None:
    rng = np.random.default_rng(2)
    tasks = one_factor(4, 3, 2)
    tasks.loadings[:], tasks.factors[:] = rng.normal(size=(4, 2)), rng.normal(size=(2, 3))
    before, old = tasks.loadings @ tasks.factors, tasks.loadings.copy()
    recombine_factors(tasks, np.eye(3), rng)
    np.testing.assert_allclose(tasks.loadings @ tasks.factors, before, rtol=1e-12)
    assert (np.abs(tasks.loadings / old - 1.0) > 1e-6).all()


def test_combinations_leave_the_prior_invariant() -> None:
    """Moments of loadings and factors of the prior are those before, of 20,000 draws."""
    rng, tasks = np.random.default_rng(3), one_factor(3, 2, 2)
    tasks.variance[:] = [0.5, 2.0]
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    precision, root = np.linalg.inv(covariance), np.linalg.cholesky(covariance)
    loadings, factors = np.empty((20_000, 3, 2)), np.empty((20_000, 2, 2))
    for draw in range(len(loadings)):
        tasks.loadings[:] = np.sqrt(tasks.variance) * rng.normal(size=(3, 2))
        tasks.factors[:] = rng.normal(size=(2, 2)) @ root.T
        recombine_factors(tasks, precision, rng)
        loadings[draw], factors[draw] = tasks.loadings, tasks.factors
    products = {
        "loadings": (np.einsum("ith,itk->ithk", loadings, loadings), np.diag(tasks.variance)),
        "factors": (np.einsum("ihd,ihe->ihde", factors, factors), covariance),
        "two factors": (np.einsum("id,ie->ide", factors[:, 0], factors[:, 1]), np.zeros((2, 2))),
        "both": (np.einsum("ith,ihd->ithd", loadings, factors), np.zeros((3, 2, 2))),
    }
    for name, (values, expected) in products.items():
        error = values.std(axis=0) / np.sqrt(len(values))
        assert (np.abs(values.mean(axis=0) - expected) < 4.0 * error).all(), name
