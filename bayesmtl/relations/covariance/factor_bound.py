"""The bound of coordinate ascent for factors, and its slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.relations.covariance.cumulative_shrinkage import (
    Shrinkage,
    moved,
)
from bayesmtl.relations.covariance.factor_data import (
    FactorData,
    Residuals,
    data_slope,
    factor_data,
    residuals,
)
from bayesmtl.relations.covariance.factor_normal import (
    FactorNormal,
    Loadings,
    common_moments,
    fit_factors,
)
from bayesmtl.relations.covariance.precision_factors import (
    PrecisionFactor,
    rescaled,
    scale_slope,
)
from bayesmtl.relations.covariance.state import SPECIFIC_DOF, SPECIFIC_SCALE
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point, unpack
from bayesmtl.relations.exchangeable.point_slopes import (
    log_prior,
    slope_of_data,
    slope_of_prior,
)

__all__ = [
    "FactorFit",
    "FactorState",
    "evaluate_factors",
    "feature_scatter",
    "split",
    "state_data",
    "value_and_slope",
]


class FactorState(NamedTuple):
    """Point estimates and factors, but for that of B and u.

    Parameters
    ----------
    x : (n,)
        Hyperparameters, see `Layout`.
    own : (task,) or (1,)
        Log sds of own parts, of each task or of all.
    features : PrecisionFactor
    loadings : Loadings
    shrinkage : Shrinkage
    """

    x: np.ndarray
    own: np.ndarray
    features: PrecisionFactor
    loadings: Loadings
    shrinkage: Shrinkage


class FactorFit(NamedTuple):
    """A state, and all that follows from it.

    Parameters
    ----------
    state : FactorState
    normal : FactorNormal
        At its optimum.
    elbo : float
        Lower bound of ``log p(y)`` at the point estimates, user units of y.
    value : float
        Plus their log prior density.
    trace : tuple of float
        Of ``value``, one per step; it never falls.
    """

    state: FactorState
    normal: FactorNormal
    elbo: float
    value: float
    trace: tuple[float, ...]

    @property
    def n_active(self) -> int:
        """Number of factors that are rather active than not."""
        return int((self.state.shrinkage.active > 0.5).sum())


def state_data(layout: Layout, state: FactorState) -> tuple[FactorData, Point]:
    """What the data say, and the hyperparameters; neither depends on loadings or shrinkage."""
    point = unpack(layout, state.x)
    log_own = state.own * np.ones(len(state.loadings.mean))
    return factor_data(layout, point, log_own, state.features.covariance), point


def evaluate_factors(
    layout: Layout,
    state: FactorState,
    trace: tuple[float, ...] = (),
    data: tuple[FactorData, Point] | None = None,
) -> FactorFit:
    """The normal of the factors at its optimum, and the bound.

    Parameters
    ----------
    layout : Layout
    state : FactorState
    trace : tuple of float
        Of the steps before.
    data : tuple, optional
        `state_data`, if it is known.
    """
    given, point = data or state_data(layout, state)
    features, loadings, shrinkage = state[2:]
    n_tasks, number = loadings.mean.shape
    normal = fit_factors(given.terms, loadings, features.expected)
    at_expected = float(np.linalg.slogdet(features.expected)[1])
    elbo = given.terms.constant + normal.log_evidence + 0.5 * number * features.log_det
    elbo += 0.5 * n_tasks * (features.log_det - at_expected)
    elbo += loadings.entropy + shrinkage.bound + features.bound
    value = elbo + log_prior(layout, point) + _log_own(state.own)
    return FactorFit(state, normal, elbo, value, (*trace, value))


def _log_own(own: np.ndarray) -> float:
    """Log prior density of the log sds of own parts, half-t."""
    ratio = np.exp(2.0 * own) / (SPECIFIC_DOF * SPECIFIC_SCALE**2)
    return float((own - 0.5 * (SPECIFIC_DOF + 1.0) * np.log1p(ratio)).sum())


def _slope_of_log_own(own: np.ndarray) -> np.ndarray:
    square = np.exp(2.0 * own)
    return 1.0 - (SPECIFIC_DOF + 1.0) * square / (SPECIFIC_DOF * SPECIFIC_SCALE**2 + square)


def split(layout: Layout, y: np.ndarray, state: FactorState) -> FactorState:
    """What y stands for: x, log sds of own parts, log sizes of loadings and of the features."""
    n, k = len(layout.bounds), state.own.size
    loadings = state.loadings.stretched(np.exp(y[n + k]))
    features = state.features
    return FactorState(
        y[:n],
        y[n : n + k],
        rescaled(features, float(y[-1])) if features.learned else features,
        loadings,
        moved(state.shrinkage, loadings.squares),
    )


def value_and_slope(layout: Layout, y: np.ndarray, state: FactorState) -> tuple[float, np.ndarray]:
    """Bound plus log prior, and its slope, in point estimates and sizes.

    Scales of the features, loadings and own parts change in size together at little cost of
    likelihood: moved one after the other they would hardly move.

    Parameters
    ----------
    layout : Layout
    y : (n,)
        x, log sds of own parts, log size of the loadings, that of a learned covariance of the
        features.
    state : FactorState
        Its factors are those of log size 0.
    """
    now = split(layout, y, state)
    data, point = state_data(layout, now)
    fit = evaluate_factors(layout, now, data=(data, point))
    n_tasks, number = now.loadings.mean.shape
    d = len(now.features.expected)
    rest = residuals(data, *common_moments(now.loadings, fit.normal))
    of_x = slope_of_prior(layout, now.x)
    of_x = of_x + slope_of_data(layout, point, data_slope(layout, point, data, rest))
    covariance = data.roots[:, -d:, -d:] @ data.roots[:, -d:, -d:].mT
    of_own = (rest.excess[:, -d:, -d:] * covariance).sum(axis=(1, 2))
    of_own = of_own if now.own.size > 1 else of_own.sum(keepdims=True)
    of_size = float((rest.products * data.loading)[..., :d].sum()) + n_tasks * number
    of_size -= float(now.shrinkage.precision @ now.loadings.squares)
    parts = [of_x, of_own + _slope_of_log_own(now.own), [of_size]]
    if now.features.learned:
        scatter = feature_scatter(fit, data, rest)
        slope = float((now.features.expected * scatter).sum()) - (n_tasks + number) * d
        parts.append([slope + scale_slope(now.features)])
    return fit.value, np.concatenate(parts)


def feature_scatter(fit: FactorFit, data: FactorData, rest: Residuals) -> np.ndarray:
    """Expected scatter (d, d) of the factors and of the standardised own parts."""
    features = fit.state.features
    d = len(features.expected)
    root = np.linalg.cholesky(features.covariance)
    roots = data.roots[:, :, -d:]
    white = (np.eye(d) + roots.mT @ rest.excess @ roots).sum(axis=0)
    return np.asarray(np.einsum("hihj->ij", fit.normal.second) + root @ white @ root.T)
