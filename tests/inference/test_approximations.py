"""Normal approximations: exact for a normal target, and errors where there is none."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesmtl as bm
from bayesmtl.inference.approximations import (
    Normal,
    Path,
    Target,
    draw_pathfinder,
    fit_advi,
    fit_laplace,
)
from bayesmtl.posterior.importance import smoothed_weights

N = 6
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(N, N))
COVARIANCE = ROOT @ ROOT.T / N + 0.2 * np.eye(N)
PRECISION = np.linalg.inv(COVARIANCE)
MEAN = 3.0 * RNG.normal(size=N)


def normal_value(x: np.ndarray) -> tuple[float, np.ndarray]:
    slope = -PRECISION @ (x - MEAN)
    return float(0.5 * (x - MEAN) @ slope), slope


NORMAL = Target(normal_value, np.zeros(N), tuple("abcdef"))
ADVI: dict[str, Any] = {"elbo_draws": None, "iterations": 2000}


def covariance_of(normal: Normal) -> np.ndarray:
    return normal.root @ normal.root.T if normal.root.ndim == 2 else np.diag(normal.root**2)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_full_rank_advi_is_exact() -> None:
    found = fit_advi(NORMAL, full=True, rng=rng(), **ADVI)
    np.testing.assert_allclose(found.center, MEAN, atol=1e-3)
    np.testing.assert_allclose(covariance_of(found), COVARIANCE, atol=2e-3)


def test_mean_field_advi_has_the_means_and_conditional_sds() -> None:
    found = fit_advi(NORMAL, full=False, rng=rng(), **ADVI)
    np.testing.assert_allclose(found.center, MEAN, atol=2e-3)
    np.testing.assert_allclose(found.root, np.diagonal(PRECISION) ** -0.5, rtol=1e-3)


def test_laplace_is_exact() -> None:
    found = fit_laplace(NORMAL, iterations=1000, rng=rng())
    np.testing.assert_allclose(found.center, MEAN, atol=2e-5)
    np.testing.assert_allclose(covariance_of(found), COVARIANCE, rtol=1e-6)


def test_laplace_is_the_curvature_at_the_mode() -> None:
    """Log of a Gamma(3, 2) variable: mode log(3 / 2), curvature 3."""

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(3.0 * x[0] - 2.0 * np.exp(x[0])), 3.0 - 2.0 * np.exp(x)

    found = fit_laplace(Target(value, np.zeros(1), ("x",)), iterations=100, rng=rng())
    np.testing.assert_allclose(found.center, np.log(1.5), atol=1e-6)
    np.testing.assert_allclose(covariance_of(found), 1.0 / 3.0, rtol=1e-5)


def test_pathfinder_with_importance_is_exact() -> None:
    points, log_density, log_ratio = draw_pathfinder(
        NORMAL, 2000, paths=4, iterations=200, rng=rng()
    )
    weights, pareto_k = smoothed_weights(log_ratio)
    assert pareto_k < 0.7
    np.testing.assert_allclose(log_density[0], normal_value(points[0])[0])
    np.testing.assert_allclose(weights @ points, MEAN, atol=0.1)
    moments = np.cov(points.T, aweights=weights)
    np.testing.assert_allclose(moments, COVARIANCE, atol=0.15)


def test_densities_of_the_draws() -> None:
    lower = np.linalg.cholesky(COVARIANCE)
    points, density = Normal(MEAN, lower).draw(5, rng())
    np.testing.assert_allclose(density, multivariate_normal(MEAN, COVARIANCE).logpdf(points))
    scale = np.arange(1.0, 5.0)
    basis = np.linalg.qr(RNG.normal(size=(4, 2)))[0]
    inner = np.array([[0.5, 0.0], [0.3, 2.0]])
    middle = np.eye(4) + basis @ (inner @ inner.T - np.eye(2)) @ basis.T
    covariance = np.sqrt(scale)[:, None] * middle * np.sqrt(scale)
    path = Path(np.ones(4), scale, basis, inner)
    points, density = path.draw(200_000, rng())
    expected = multivariate_normal(np.ones(4), covariance).logpdf(points)
    np.testing.assert_allclose(density, expected)
    np.testing.assert_allclose(np.cov(points.T), covariance, atol=0.05)


def line(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(x.sum()), np.ones_like(x)


def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
    return np.nan, np.full_like(x, np.nan)


def plateau(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Concave in the first coordinate alone."""
    return float(-(x[0] ** 2)), np.array([-2.0 * x[0], 0.0])


def target(value: Any) -> Target:
    return Target(value, np.zeros(2), ("a", "b"))


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (line, r"found no mode: no convergence in 50 Newton steps; the density may rise"),
        (broken, r"found no mode: the log density is not finite; use inference='gibbs'"),
        (plateau, r"found no mode: where .* stops, the log density is not concave along 'b'"),
    ],
)
def test_no_mode(value: Any, match: str) -> None:
    with pytest.raises(bm.UnsupportedError, match=match):
        fit_laplace(target(value), iterations=50, rng=rng())


def test_advi_that_does_not_converge() -> None:
    with pytest.raises(bm.UnsupportedError, match=r"still rises; raise iterations= \(now 2\)"):
        fit_advi(NORMAL, full=False, elbo_draws=20, iterations=2, rng=rng())
    with pytest.raises(bm.UnsupportedError, match=r"'advi' did not converge: .* is not finite"):
        fit_advi(target(broken), full=False, rng=rng(), **ADVI)


def test_pathfinder_without_a_path() -> None:
    with pytest.raises(bm.UnsupportedError, match="of 3 paths 0 led to a normal"):
        draw_pathfinder(target(broken), 10, paths=3, iterations=10, rng=rng())


def test_too_few_draws_of_the_bound() -> None:
    with pytest.raises(bm.UnsupportedError, match=r"elbo_draws= of at least 14, got 12"):
        fit_advi(NORMAL, full=True, elbo_draws=12, iterations=10, rng=rng())


def test_too_many_variables_for_covariances() -> None:
    wide = Target(line, np.zeros(2001), ("a",) * 2001)
    with pytest.raises(bm.UnsupportedError, match="'laplace' needs the covariances of 2,001"):
        fit_laplace(wide, iterations=1, rng=rng())
    with pytest.raises(bm.UnsupportedError, match="'fullrank_advi' needs the covariances"):
        fit_advi(wide, full=True, rng=rng(), **ADVI)
