"""Prior density of point estimates, slopes, and the climb to their maximum."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL
from bayesmtl.numerics.densities import log_density
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.hyperparameters import LOWEST_SD, Layout, Point, unpack
from bayesmtl.relations.exchangeable.state import JOINT, NORMAL, SET
from bayesmtl.sites import GaussianSites

__all__ = [
    "DataSlope",
    "climb",
    "expected_squares",
    "log_prior",
    "slope_of_data",
    "slope_of_prior",
]

_STEP, _REACH = 1e-5, 3.0


class DataSlope(NamedTuple):
    """Slope of the expected log-likelihood in the hyperparameters.

    Parameters
    ----------
    base : (p, q)
        In the population means.
    scale : (p,)
        In the log scales, means of the joint prior held.
    of_means : (m,)
        In the log sds of the population means that are integrated out.
    between : float
        In the logit of the share between clusters.
    square : (task,)
        Expected sums of squared residuals over the noise variance.
    """

    base: np.ndarray
    scale: np.ndarray
    of_means: np.ndarray
    between: float
    square: np.ndarray


def slope_of_data(layout: Layout, point: Point, slope: DataSlope) -> np.ndarray:
    """The same in the vector x (n,)."""
    prior = layout.problem.prior
    of_scale = slope.scale.copy()
    joint = (prior.mean_kind == JOINT).reshape(point.base.shape)
    of_joint = float(slope.of_means[joint[point.spread_of_means > 0.0]].sum())
    if prior.joint.any():
        squared = np.where(prior.joint, point.scale**2, 0.0)
        of_scale += of_joint * squared / squared.sum()
    parts = [of_scale[layout.scales], slope.base.reshape(-1)[layout.means]]
    four = np.array([0.5 * of_joint, slope.between, 0.0, 0.0])
    if layout.noise_kind == FIXED_NOISE:
        return np.concatenate([*parts, four[layout.flags]])
    of_noise = np.where(point.log_sd > LOWEST_SD, slope.square - layout.rows, 0.0)
    four[2:] = of_noise.sum(), of_noise @ (point.log_sd - point.log_median)
    last = point.spread * of_noise if layout.n_deltas else np.zeros(0)
    return np.concatenate([*parts, four[layout.flags], last])


def expected_squares(
    layout: Layout, point: Point, sites: GaussianSites, mean: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Expected sums of squared residuals (task,) over the noise variance.

    Parameters
    ----------
    layout : Layout
    point : Point
    sites : GaussianSites
        At the noise of the point.
    mean, covariance : (task, p), (task, p, p)
        Of the coefficients.
    """
    fitted = (sites.gram @ mean[..., None])[..., 0]
    total = layout.total * np.exp(-2.0 * point.log_sd)
    spread = (sites.gram * covariance).sum(axis=(1, 2))
    return total + (mean * (fitted - 2.0 * sites.moment)).sum(axis=1) + spread


def log_prior(layout: Layout, point: Point) -> float:
    """Log prior density of x, up to a constant."""
    problem, prior = layout.problem, layout.problem.prior
    population = layout.population
    population.scale[:] = point.scale
    population.shared[0] = point.shared
    population.means[:] = point.base
    kind = prior.mean_kind
    others = prior._replace(mean_kind=np.where(kind == NORMAL, SET, kind))
    noise = problem.reference_noise
    if layout.noise_kind != FIXED_NOISE:
        noise = float(np.exp(2.0 * point.log_median))
    value = log_structure(others, population, noise) + np.log(point.scale[layout.scales]).sum()
    # Means of the joint prior are integrated out: minus their density, which is that of zeros.
    value += np.log(point.spread_of_means[(kind == JOINT).reshape(point.base.shape)]).sum()
    shares = np.array([point.shared, point.between])[layout.flags[:2]]
    value += np.log(shares).sum() + np.log1p(-shares).sum()
    value += log_density(layout.between, point.between)
    return float(value + _log_noise_prior(layout, point))


def _log_noise_prior(layout: Layout, point: Point) -> float:
    if layout.noise_kind == FIXED_NOISE:
        return 0.0
    problem = layout.problem
    sd_prior, spread_prior = problem.noise_priors
    median = problem.scaling.response_scale * np.exp(point.log_median)
    value = log_density(sd_prior, median) + layout.flags[2] * point.log_median
    if layout.noise_kind == HIERARCHICAL:
        value += log_density(spread_prior, point.spread) + layout.flags[3] * np.log(point.spread)
        value += _log_deltas(layout, point).sum()
    return float(value)


def _log_deltas(layout: Layout, point: Point) -> np.ndarray:
    """Of each task's noise, Laplace's term included."""
    delta = (point.log_sd - point.log_median) / point.spread
    return -0.5 * (delta**2 + np.log1p(2.0 * layout.rows * point.spread**2))


def slope_of_prior(layout: Layout, x: np.ndarray) -> np.ndarray:
    """Slope (n,) of `log_prior`, by differences but for the noise of the single tasks.

    Scales of the joint prior enter by their logs, twice, and by their sum of squares V: the slope
    in log scale_i is ``2 + 2 scale_i^2 F(V)``, and one of them tells F.
    """
    n = x.size - layout.n_deltas
    slope = np.zeros_like(x)
    slope[n:] = -x[n:]
    joint = np.flatnonzero(layout.problem.prior.joint[layout.scales])
    square = np.exp(2.0 * x[joint])
    largest = joint[np.argmax(square)] if joint.size else -1
    for i in range(n):
        if i in joint and i != largest:
            continue
        low, high = x.copy(), x.copy()
        low[i], high[i] = np.clip([x[i] - _STEP, x[i] + _STEP], *layout.bounds[i])
        rise = log_prior(layout, unpack(layout, high)) - log_prior(layout, unpack(layout, low))
        slope[i] = rise / (high[i] - low[i])
    if joint.size:
        slope[joint] = 2.0 + square / square.max() * (slope[largest] - 2.0)
    return slope


def climb(
    value_and_slope: Callable[[np.ndarray], tuple[float, np.ndarray]],
    x: np.ndarray,
    bounds: np.ndarray,
    n_iterations: int,
) -> np.ndarray:
    """Raise a function from x by L-BFGS: never worse than before.

    Parameters
    ----------
    value_and_slope : callable
        Value and slope (n,) at an x (n,); positive definite matrices may fail there.
    x : (n,)
    bounds : (n, 2)
    n_iterations : int
        At most.
    """
    if not x.size:
        return x

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            value, slope = value_and_slope(x)
        except (np.linalg.LinAlgError, FloatingPointError):
            # So far out that precisions are no longer positive definite to rounding.
            return np.inf, np.zeros_like(x)
        return -value, -slope

    low, high = bounds.T
    found = minimize(
        objective,
        x,
        jac=True,
        method="L-BFGS-B",
        # The first step, along the slope, would go to the ends of the scales.
        bounds=np.column_stack([np.maximum(low, x - _REACH), np.minimum(high, x + _REACH)]),
        options={"maxiter": n_iterations},
    )
    return found.x if found.fun < objective(x)[0] else x
