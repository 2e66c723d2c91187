"""Leroux's autoregression: against dense definitions, quadrature and the joint distribution."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayesmtl.relations.graph.leroux import (
    CarBasis,
    car_basis,
    car_covariance,
    car_precision,
    log_car,
    update_rho_centred,
    update_rho_noncentred,
    whiten_car,
)
from tests.oracles.autoregression import car_log_det, scaled_laplacian

PRIOR = np.array([1.5, 0.8])


def _graph(*edges: tuple[int, int, float], n: int) -> np.ndarray:
    out = np.zeros((n, n))
    for i, j, weight in edges:
        out[i, j] = out[j, i] = weight
    return out


# Components {0, 2, 3} and {1, 5}, and the task 4 alone.
PARTS = _graph((0, 2, 1.0), (2, 3, 0.3), (1, 5, 7.0), n=6)
PATH = _graph((0, 1, 1.0), (1, 2, 2.0), (2, 3, 1.0), n=4)
SMALL = _graph((0, 2, 1.0), (0, 3, 1.0), n=4)  # 1 alone


def _dense_laplacian(adjacency: np.ndarray, components: list[list[int]]) -> np.ndarray:
    out = np.eye(len(adjacency))
    for tasks in components:
        if len(tasks) > 1:
            weights = adjacency[np.ix_(tasks, tasks)]
            plain = np.diag(weights.sum(0)) - weights
            scale = np.exp(np.log(np.diag(np.linalg.pinv(plain))).mean())
            out[np.ix_(tasks, tasks)] = scale * plain
    return out


CASES = [
    (PARTS, [[0, 2, 3], [1, 5], [4]]),
    (PATH, [[0, 1, 2, 3]]),
    (SMALL, [[0, 2, 3], [1]]),
    (np.zeros((3, 3)), [[0], [1], [2]]),
]


@pytest.mark.parametrize(("adjacency", "components"), CASES)
def test_precision_and_covariance_are_those_of_the_definition(
    adjacency: np.ndarray, components: list[list[int]]
) -> None:
    dense = _dense_laplacian(adjacency, components)
    np.testing.assert_allclose(scaled_laplacian(adjacency), dense, atol=1e-12)
    basis = car_basis(adjacency)
    n = len(adjacency)
    np.testing.assert_allclose(basis.vectors @ basis.vectors.T, np.eye(n), atol=1e-12)
    assert (basis.values == 0.0).sum() == sum(len(tasks) > 1 for tasks in components)
    for rho in (0.0, 0.3, 0.99):
        expected = rho * dense + (1.0 - rho) * np.eye(n)
        np.testing.assert_allclose(car_precision(basis, rho), expected, atol=1e-12)
        np.testing.assert_allclose(car_covariance(basis, rho) @ expected, np.eye(n), atol=1e-12)
        assert car_log_det(basis, rho) == pytest.approx(np.linalg.slogdet(expected)[1], abs=1e-12)


@pytest.mark.parametrize(("adjacency", "components"), CASES)
def test_variances_of_each_component_have_the_geometric_mean_one(
    adjacency: np.ndarray, components: list[list[int]]
) -> None:
    inverse = np.linalg.pinv(scaled_laplacian(adjacency))
    for tasks in components:
        assert np.log(np.diag(inverse)[tasks]).mean() == pytest.approx(0.0, abs=1e-10)


def test_the_unit_of_the_weights_does_not_matter() -> None:
    for unit in (1e-12, 1e9):
        np.testing.assert_allclose(
            scaled_laplacian(unit * PARTS), scaled_laplacian(PARTS), atol=1e-12
        )


def test_a_task_without_neighbours_has_variance_one_and_is_independent() -> None:
    for rho in (0.1, 0.999):
        covariance = car_covariance(car_basis(PARTS), rho)
        np.testing.assert_allclose(covariance[4], np.eye(6)[4], atol=1e-12)
        np.testing.assert_allclose(covariance[[0, 2, 3]][:, [1, 5]], 0.0, atol=1e-12)


def test_log_density_is_that_of_the_multivariate_normal() -> None:
    rng = np.random.default_rng(2)
    deviation = rng.normal(size=(6, 2))
    sigma = np.array([[1.0, 0.4], [0.4, 0.7]])
    basis = car_basis(PARTS)
    image = basis.vectors.T @ deviation
    squares = np.einsum("ti,ij,tj->t", image, np.linalg.inv(sigma), image)

    def dense(rho: float) -> float:
        covariance = np.kron(np.linalg.inv(car_precision(basis, rho)), sigma)
        return float(stats.multivariate_normal.logpdf(deviation.ravel(), cov=covariance))

    for rho in (0.05, 0.6, 0.98):
        found = log_car(rho, basis.values, squares, 2) - log_car(0.5, basis.values, squares, 2)
        assert found == pytest.approx(dense(rho) - dense(0.5), abs=1e-9)
        white = whiten_car(basis, rho, deviation)
        assert 0.5 * 2 * car_log_det(basis, rho) - 0.5 * np.einsum(
            "ti,ij,tj->", white, np.linalg.inv(sigma), white
        ) == pytest.approx(log_car(rho, basis.values, squares, 2), abs=1e-9)


def _distribution(log_density: Callable[[float], float]) -> tuple[np.ndarray, np.ndarray]:
    """Grid of logits, and the distribution function of the density of rho there."""
    x = np.linspace(-18.0, 18.0, 1201)
    rho = 1.0 / (1.0 + np.exp(-x))
    density = np.array([log_density(value) for value in rho]) + np.log(rho) + np.log1p(-rho)
    weight = np.exp(density - density.max())
    cumulative = np.cumsum(0.5 * (weight[1:] + weight[:-1]))
    return x, np.r_[0.0, cumulative / cumulative[-1]]


def _assert_follows(draws: np.ndarray, log_density: Callable[[float], float]) -> None:
    x, distribution = _distribution(log_density)
    uniform = np.interp(np.log(draws) - np.log1p(-draws), x, distribution)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def _log_beta(rho: float) -> float:
    return float(stats.beta.logpdf(rho, *PRIOR))


@pytest.mark.parametrize("adjacency", [PARTS, SMALL, np.zeros((3, 3))])
def test_the_centred_update_follows_the_conditional(adjacency: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    basis, n = car_basis(adjacency), len(adjacency)
    deviation, precision = 0.6 * rng.normal(size=(n, 2)), np.array([[1.5, 0.4], [0.4, 1.0]])
    sigma = np.linalg.inv(precision)
    rho, draws = np.array([0.5]), np.empty(3000)
    for i in range(len(draws)):
        for _ in range(3):
            update_rho_centred(basis, deviation, precision, PRIOR, rho, rng)
        draws[i] = rho[0]

    def target(value: float) -> float:
        covariance = np.kron(np.linalg.inv(car_precision(basis, value)), sigma)
        return _log_beta(value) + float(
            stats.multivariate_normal.logpdf(deviation.ravel(), cov=covariance)
        )

    _assert_follows(draws, target)


def test_features_that_say_nothing_do_not_count() -> None:
    basis, rng = car_basis(PATH), np.random.default_rng(4)
    deviation = rng.normal(size=(4, 2))
    one, both = np.array([0.5]), np.array([0.5])
    for _ in range(20):
        seed = int(rng.integers(1 << 30))
        update_rho_centred(
            basis,
            np.ascontiguousarray(deviation[:, :1]),
            np.array([[1.3]]),
            PRIOR,
            one,
            np.random.default_rng(seed),
        )
        update_rho_centred(
            basis, deviation, np.diag([1.3, 0.0]), PRIOR, both, np.random.default_rng(seed)
        )
        assert one[0] == pytest.approx(both[0], rel=1e-12)


@pytest.mark.parametrize("adjacency", [PARTS, SMALL])
def test_the_noncentred_update_follows_the_conditional(adjacency: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    basis, n = car_basis(adjacency), len(adjacency)
    factor = rng.normal(size=(n, 2, 2))
    gram = factor @ factor.transpose(0, 2, 1)
    gram[0] = 0.0  # no rows
    score = 2.0 * rng.normal(size=(n, 2)) * (gram[:, 0, :1] != 0.0)
    start = rng.normal(size=(n, 2))
    white = whiten_car(basis, 0.4, start)
    rho, deviation, draws = np.array([0.4]), start.copy(), np.empty(3000)
    for i in range(len(draws)):
        for _ in range(3):
            update_rho_noncentred(basis, gram, score, deviation, PRIOR, rho, rng)
        draws[i] = rho[0]
    np.testing.assert_allclose(whiten_car(basis, rho[0], deviation), white, atol=1e-6)

    def target(value: float) -> float:
        root = basis.vectors / np.sqrt(value * basis.values + 1.0 - value)
        x = root @ white
        said = np.sum(score * x) - 0.5 * np.einsum("ti,tij,tj->", x, gram, x)
        return _log_beta(value) + float(said)

    _assert_follows(draws, target)


def _joint_scores(adjacency: np.ndarray, update: Callable[..., None], seed: int) -> np.ndarray:
    """Changes of statistics from exact joint draws over a few sweeps, in standard errors."""
    rng = np.random.default_rng(seed)
    basis, n, d = car_basis(adjacency), len(adjacency), 2
    precision = np.array([[1.5, 0.4], [0.4, 1.0]])
    sigma_root = np.linalg.cholesky(np.linalg.inv(precision))
    gram = np.stack([np.diag([2.0, 0.5])] * (n - 1) + [np.zeros((d, d))])
    changes = []
    for _ in range(4000):
        rho = rng.beta(PRIOR[0], PRIOR[1], size=1)
        root = basis.vectors / np.sqrt(rho[0] * basis.values + 1.0 - rho[0])
        deviation = root @ rng.normal(size=(n, d)) @ sigma_root.T
        score = np.einsum("tij,tj->ti", gram, deviation)
        score += np.sqrt(np.einsum("tii->ti", gram)) * rng.normal(size=(n, d))
        before = _statistics(rho[0], deviation, adjacency)
        for _ in range(2):
            update(basis, gram, score, deviation, precision, rho, rng)
            # Weights given rho and the sites.
            whole = np.kron(car_precision(basis, rho[0]), precision)
            for t in range(n):
                whole[t * d : (t + 1) * d, t * d : (t + 1) * d] += gram[t]
            lower = np.linalg.cholesky(whole)
            noise = np.linalg.solve(lower, score.ravel()) + rng.normal(size=n * d)
            deviation[:] = np.linalg.solve(lower.T, noise).reshape(n, d)
        changes.append(_statistics(rho[0], deviation, adjacency) - before)
    array = np.array(changes)
    return np.asarray(array.mean(0) / (array.std(0) / math.sqrt(len(array))))


def _statistics(rho: float, deviation: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    i, j = np.argwhere(adjacency)[0]
    smooth, rough = deviation[i] * deviation[j], (deviation[i] - deviation[j]) ** 2
    # Squares of deviations have heavy tails where rho is near one.
    return np.array(
        [
            rho,
            rho**2,
            rho * (1.0 - rho),
            *np.arctan(smooth),
            *np.log(rough),
            *np.log(deviation[-1] ** 2),
            rho * math.atan(deviation[0, 0] ** 2),
            rho * math.log(rough[0]),
        ]
    )


def _both(
    basis: CarBasis, gram: Any, score: Any, deviation: Any, precision: Any, rho: Any, rng: Any
) -> None:
    update_rho_centred(basis, deviation, precision, PRIOR, rho, rng)
    update_rho_noncentred(basis, gram, score, deviation, PRIOR, rho, rng)


@pytest.mark.mcmc
@pytest.mark.parametrize("adjacency", [PATH, SMALL])
def test_the_updates_leave_the_joint_distribution_invariant(adjacency: np.ndarray) -> None:
    assert np.abs(_joint_scores(adjacency, _both, 6)).max() < 4.0


@pytest.mark.mcmc
def test_a_wrong_prior_is_seen() -> None:
    def wrong(
        basis: CarBasis, gram: Any, score: Any, deviation: Any, precision: Any, rho: Any, rng: Any
    ) -> None:
        update_rho_centred(basis, deviation, precision, PRIOR * [2.0, 1.0], rho, rng)
        update_rho_noncentred(basis, gram, score, deviation, PRIOR, rho, rng)

    assert np.abs(_joint_scores(PATH, wrong, 6)).max() > 6.0


def test_rho_stays_within_its_bounds() -> None:
    """Constant deviations pull rho to one, without end."""
    basis, rng, rho = car_basis(PATH), np.random.default_rng(7), np.array([0.5])
    smooth, prior = np.full((4, 30), 1e3), np.array([1.0, 1.0])
    for _ in range(200):
        update_rho_centred(basis, smooth, np.eye(30), prior, rho, rng)
        assert 0.0 < rho[0] < 1.0
    assert rho[0] > 0.999
    rho[0] = 1.0
    update_rho_centred(basis, smooth, np.eye(30), prior, rho, rng)
    assert 0.0 < rho[0] < 1.0
