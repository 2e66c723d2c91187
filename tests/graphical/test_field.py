"""Probabilities of patterns of edges against enumeration and quadrature in one dimension."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import roots_jacobi
from scipy.stats import beta, gamma

from bayesmtl.graphical.field import (
    beta_quadrature,
    log_patterns,
    pattern_codes,
    propensity_nodes,
    update_theta,
)

THETA = np.array([[0.0, 0.7, 0.0], [0.7, 0.0, 1.4], [0.0, 1.4, 0.0]])


def exact(theta: np.ndarray, shape: tuple[float, float]) -> np.ndarray:
    """p(z) for all patterns z, bit g for graph g, with nu integrated out by quadrature."""
    patterns = [z[::-1] for z in itertools.product([0, 1], repeat=len(theta))]
    energy = np.array([np.array(z) @ theta @ np.array(z) for z in patterns])
    size = np.array([sum(z) for z in patterns])

    def weights(q: float) -> np.ndarray:
        each = (q / (1 - q)) ** size * np.exp(energy)
        return each / each.sum()

    return np.array(
        [
            quad(lambda q, c=c: weights(q)[c] * beta(*shape).pdf(q), 0.0, 1.0, epsabs=1e-11)[0]
            for c in range(len(patterns))
        ]
    )


@pytest.mark.parametrize("shape", [(1.0, 4.0), (1.2, 1.8), (1.0, 19.0)])
def test_patterns(shape: tuple[float, float]) -> None:
    found = np.exp(log_patterns(THETA, *propensity_nodes(shape, 3)))
    np.testing.assert_allclose(found, exact(THETA, shape), rtol=1e-6)
    assert found.sum() == pytest.approx(1.0, abs=1e-9)


def test_one_graph_has_the_mean_of_the_beta() -> None:
    found = np.exp(log_patterns(np.zeros((1, 1)), *propensity_nodes((1.0, 3.0), 1)))
    np.testing.assert_allclose(found, [0.75, 0.25], rtol=1e-10)


@pytest.mark.parametrize(
    "shape", [(1.0, 4.0), (0.5, 0.5), (1.0, 1.0), (0.01, 0.19), (100.0, 200.0)]
)
def test_quadrature_is_that_of_jacobi(shape: tuple[float, float]) -> None:
    nodes, weight = (part[::-1] for part in beta_quadrature(*shape))
    x, expected = roots_jacobi(len(nodes), shape[1] - 1.0, shape[0] - 1.0)
    np.testing.assert_allclose(nodes, 0.5 * (1.0 + x), rtol=1e-9)
    np.testing.assert_allclose(weight, expected / expected.sum(), atol=1e-9)


@pytest.mark.parametrize("shape", [(1.0, 1999.0), (100.0, 1900.0), (1e8, 1e10), (1e-30, 1e-32)])
def test_quadrature_of_extreme_shapes_has_their_moments(shape: tuple[float, float]) -> None:
    nodes, weight = beta_quadrature(*shape)
    assert weight.sum() == pytest.approx(1.0, rel=1e-12)
    assert weight @ nodes == pytest.approx(beta(*shape).mean(), rel=1e-9)
    assert weight @ nodes**2 == pytest.approx(beta(*shape).moment(2), rel=1e-9)
    found = np.exp(log_patterns(np.zeros((1, 1)), *propensity_nodes(shape, 1)))
    assert found[1] == pytest.approx(beta(*shape).mean(), rel=1e-9)


def test_large_relatedness_does_not_overflow() -> None:
    theta = 8.0 * (1.0 - np.eye(8))
    found = log_patterns(theta, *propensity_nodes((1.0, 4.0), 8))
    assert np.isfinite(found).all()
    assert np.exp(found).sum() == pytest.approx(1.0)


def test_codes_count_graphs_as_bits() -> None:
    edge = np.zeros((3, 2, 2), dtype=bool)
    edge[[0, 2], 0, 1] = edge[[0, 2], 1, 0] = True
    assert pattern_codes(edge).tolist() == [[0, 5], [5, 0]]


@pytest.mark.mcmc
def test_relatedness_given_edges() -> None:
    """One pair of graphs: theta against its density on a grid, and its chance to be 0."""
    nodes, counts = propensity_nodes((1.0, 4.0), 2), np.array([30.0, 3.0, 2.0, 6.0])
    hyper = (2.0, 5.0, 0.6)
    grid = np.linspace(0.0, 4.0, 1601)
    pair = np.array([[0.0, 1.0], [1.0, 0.0]])
    log_likelihood = np.array([counts @ log_patterns(t * pair, *nodes) for t in grid])
    likelihood = np.exp(log_likelihood - log_likelihood.max())
    slab = likelihood * gamma(2.0, scale=0.2).pdf(grid)
    mass = np.trapezoid(slab, grid)
    related = 0.6 * mass / (0.6 * mass + 0.4 * likelihood[0])
    mean = np.trapezoid(slab * grid, grid) / mass
    rng, theta = np.random.default_rng(3), np.zeros((2, 2))
    draws = np.empty(20_000)
    for i in range(len(draws)):
        update_theta(theta, counts, *nodes, hyper, rng)
        draws[i] = theta[0, 1]
    assert (draws > 0).mean() == pytest.approx(related, abs=0.02)
    assert draws[draws > 0].mean() == pytest.approx(mean, rel=0.04)
