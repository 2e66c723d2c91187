"""Small matrices: solves against numpy, random matrices against their moments and densities."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayesmtl.numerics import matrices
from tests.oracles.dense import random_spd
from tests.oracles.generative import huang_wand, lkj
from tests.oracles.monte_carlo import ess

TIGHT: Any = {"rtol": 1e-10, "atol": 1e-10}


@pytest.mark.parametrize("p", [1, 2, 5])
def test_solves(p: int) -> None:
    a = random_spd(p, np.random.default_rng(p))
    np.testing.assert_allclose(matrices.cholesky(a), np.linalg.cholesky(a), **TIGHT)
    np.testing.assert_allclose(matrices.inverse_spd(a), np.linalg.inv(a), **TIGHT)
    assert matrices.log_det_spd(a) == pytest.approx(np.linalg.slogdet(a)[1], rel=1e-10)


def test_a_matrix_that_is_not_positive_definite_has_no_factor() -> None:
    assert np.isnan(matrices.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))[1, 1])


def test_gaussian_draws() -> None:
    precision, rng = random_spd(3, np.random.default_rng(0)), np.random.default_rng(1)
    linear = np.array([1.0, -2.0, 0.5])
    draws = np.array([matrices.draw_gaussian(precision, linear, rng) for _ in range(20_000)])
    root = np.linalg.cholesky(precision)
    white = (draws - np.linalg.solve(precision, linear)) @ root
    assert np.abs(white.mean(axis=0)).max() < 4.5 / np.sqrt(20_000)
    assert np.abs(white.T @ white / 20_000 - np.eye(3)).max() < 4.5 * np.sqrt(2 / 20_000)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("extra", [0.5, 7.0])
def test_inverse_wishart_draws(d: int, extra: float) -> None:
    """``a' scale a / a' D^-1... a`` is chi-squared, and the log-determinant has a known mean."""
    rng = np.random.default_rng(2)
    dof, scale = d + extra, random_spd(d, np.random.default_rng(d))
    n = 20_000
    drawn = [matrices.draw_inverse_wishart(dof, scale, rng) for _ in range(n)]
    draws = np.array([covariance for covariance, _ in drawn])
    inverse = np.array([precision for _, precision in drawn])
    np.testing.assert_allclose(draws @ inverse, np.broadcast_to(np.eye(d), draws.shape), atol=1e-6)
    # The inverse is Wishart(dof, scale^-1): a' W a / a' scale^-1 a ~ chi-squared(dof).
    for a in np.eye(d):
        ratio = np.einsum("i,nij,j->n", a, inverse, a) / (a @ np.linalg.inv(scale) @ a)
        assert stats.kstest(ratio, stats.chi2(dof).cdf).pvalue > 1e-4
    # The Schur complement, 1 / D_jj, has d - 1 degrees of freedom less.
    ratio = scale[0, 0] / draws[:, 0, 0]
    assert stats.kstest(ratio, stats.chi2(dof - d + 1).cdf).pvalue > 1e-4
    expected = dof * np.linalg.inv(scale)
    error = inverse.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(inverse.mean(axis=0) - expected) < 4.5 * error + 1e-12)


@pytest.mark.parametrize("eta", [1.0, 3.5])
@pytest.mark.parametrize("d", [2, 4])
def test_correlation_draws_without_data_are_lkj(d: int, eta: float) -> None:
    rng, correlation = np.random.default_rng(3), np.eye(d)
    elements = np.empty((8000, d, d))
    for i in range(len(elements)):
        matrices.draw_correlation(correlation, np.zeros((d, d)), 0, eta, rng)
        elements[i] = correlation
    exact = lkj(100_000, d, eta, rng)
    for j in range(d):
        assert np.all(elements[:, j, j] == 1.0)
        for k in range(j):
            # One element: (r + 1) / 2 ~ Beta(a, a), a = eta + d / 2 - 1.
            a = eta + d / 2 - 1
            uniform = stats.beta(a, a, -1, 2).cdf(elements[:, j, k])
            for values, expected in ((uniform, 1 / 2), (uniform**2, 1 / 3)):
                assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(ess(values))
    log_det = np.linalg.slogdet(elements)[1]
    expected = np.linalg.slogdet(exact)[1].mean()
    assert abs(log_det.mean() - expected) < 4.2 * log_det.std() / np.sqrt(ess(log_det))


def test_correlation_draws_with_data_follow_the_density() -> None:
    scatter, n, eta = np.array([[9.0, 4.0], [4.0, 12.0]]), 10, 2.0
    grid = np.linspace(-1, 1, 4003)[1:-1]
    det = 1 - grid**2
    trace = (scatter[0, 0] + scatter[1, 1] - 2 * grid * scatter[0, 1]) / det
    log_density = (eta - 1 - n / 2) * np.log(det) - 0.5 * trace
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    correlation, rng = np.eye(2), np.random.default_rng(5)
    draws = np.empty(20_000)
    for i in range(draws.size):
        matrices.draw_correlation(correlation, scatter, n, eta, rng)
        draws[i] = correlation[0, 1]
    for power in (1, 2):
        values = draws**power
        expected = weight @ grid**power
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(ess(values))


def test_correlation_draws_of_three_features_follow_the_posterior() -> None:
    """Importance sampling from the LKJ prior gives the moments given some data."""
    rng = np.random.default_rng(6)
    n, eta = 3, 1.5
    z = (
        rng.normal(size=(n, 3))
        @ np.linalg.cholesky(np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])).T
    )
    scatter = z.T @ z
    prior = lkj(300_000, 3, eta, rng)
    inverse, log_det = np.linalg.inv(prior), np.linalg.slogdet(prior)[1]
    weight = np.exp(-0.5 * n * log_det - 0.5 * np.einsum("nij,ij->n", inverse, scatter))
    weight /= weight.sum()
    correlation = np.eye(3)
    draws = np.empty((30_000, 3, 3))
    for i in range(len(draws)):
        matrices.draw_correlation(correlation, scatter, n, eta, rng)
        draws[i] = correlation
    for j, k in ((1, 0), (2, 0), (2, 1)):
        for power in (1, 2):
            values, exact = draws[:, j, k] ** power, prior[:, j, k] ** power
            expected = weight @ exact
            reference_error = np.sqrt(np.sum(weight**2 * (exact - expected) ** 2))
            error = np.hypot(values.std() / np.sqrt(ess(values)), reference_error)
            assert abs(values.mean() - expected) < 4 * error


def test_the_simulated_huang_wand_prior_has_its_marginals() -> None:
    """Half-t(2) sds and uniform correlations: Huang and Wand 2013, properties 2 and 4."""
    sds, correlation = huang_wand(20_000, np.array([1.0, 0.5, 2.0]), np.random.default_rng(1))
    for j, scale in enumerate((1.0, 0.5, 2.0)):
        uniform = 2 * stats.t(2).cdf(sds[:, j] / scale) - 1
        assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    for j, k in ((1, 0), (2, 1)):
        assert stats.kstest(correlation[:, j, k], stats.uniform(-1, 2).cdf).pvalue > 1e-4
