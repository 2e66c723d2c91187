"""What coordinate ascent knows of a covariance matrix: Wishart factors under Huang-Wand priors.

A covariance ``Omega | a ~ IW(nu + n - 1, 2 nu diag(1 / a))`` with ``a_j ~ IG(1 / 2, 1 / A_j^2)``
has the factors ``q(Omega) = IW(dof, scale)`` and ``q(a_j) = IG((nu + n) / 2, rate_j)``. All else
needs the expected precision and its expected log determinant only, as of a given covariance.

References
----------
Huang and Wand 2013, Bayesian Analysis 8; Menictas and Wand 2015, Australian and New Zealand Journal
of Statistics 57 (mean field).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, multigammaln

from bayesmtl.numerics.matrices import draw_inverse_wishart

__all__ = [
    "HuangWand",
    "PrecisionFactor",
    "draw_covariance",
    "given_covariance",
    "log_huang_wand",
    "log_wishart_factor",
    "rescaled",
    "scale_slope",
    "start_factor",
    "updated",
]

# Rounds of the covariance and its scales a, for one of the weights.
_ROUNDS = 3


class HuangWand(NamedTuple):
    """The prior: nu, and the scales A (n,) of the half-t sds."""

    dof: float
    scales: np.ndarray


class PrecisionFactor(NamedTuple):
    """Factor of one covariance matrix.

    Parameters
    ----------
    expected : (n, n)
        Expected precision.
    log_det : float
        Expected log determinant of the precision.
    bound : float
        Expected log prior density minus that of the factors; 0 for a given covariance.
    dof : float
    scale : (n, n)
        Of the inverse Wishart distribution.
    rate : (n,)
        Of the factors of a.
    prior : HuangWand or None
        None where the covariance is given.
    """

    expected: np.ndarray
    log_det: float
    bound: float = 0.0
    dof: float = 0.0
    scale: np.ndarray = np.zeros((0, 0))
    rate: np.ndarray = np.zeros(0)
    prior: HuangWand | None = None

    @property
    def learned(self) -> bool:
        """Whether the covariance is not given."""
        return self.prior is not None

    @property
    def covariance(self) -> np.ndarray:
        """Inverse (n, n) of the expected precision."""
        inverse = np.linalg.inv(self.expected)
        return np.asarray(0.5 * (inverse + inverse.T))


def given_covariance(covariance: np.ndarray) -> PrecisionFactor:
    """A covariance (n, n) that is known."""
    return PrecisionFactor(np.linalg.inv(covariance), -float(np.linalg.slogdet(covariance)[1]))


def start_factor(prior: HuangWand, covariance: np.ndarray, dof: float) -> PrecisionFactor:
    """A factor about a covariance (n, n), as certain as so many degrees of freedom."""
    n = len(covariance)
    rate = prior.dof * np.diag(np.linalg.inv(covariance)) + prior.scales**-2
    return _factor(prior, prior.dof + n - 1.0 + dof, (prior.dof + n - 1.0 + dof) * covariance, rate)


def _factor(prior: HuangWand, dof: float, scale: np.ndarray, rate: np.ndarray) -> PrecisionFactor:
    n = len(scale)
    expected = dof * np.linalg.inv(scale)
    log_det_scale = float(np.linalg.slogdet(scale)[1])
    log_det = float(digamma(0.5 * (dof - np.arange(n))).sum()) + n * np.log(2.0) - log_det_scale
    factor = PrecisionFactor(expected, log_det, 0.0, dof, scale, rate, prior)
    return factor._replace(bound=_bound(factor, prior, log_det_scale))


def _shape(prior: HuangWand, n: int) -> float:
    """Of the factors of a."""
    return 0.5 * (prior.dof + n)


def _bound(factor: PrecisionFactor, prior: HuangWand, log_det_scale: float) -> float:
    """Expected log density of Omega and a under the prior, minus that under the factors."""
    n, dof, nu = len(factor.rate), factor.dof, prior.dof
    shape, own = _shape(prior, n), nu + n - 1.0
    inverse_a, log_inverse_a = shape / factor.rate, digamma(shape) - np.log(factor.rate)
    # In terms of the precision, Wishart distributed.
    value = 0.5 * own * float(np.log(2.0 * nu) * n + log_inverse_a.sum())
    value -= nu * float(inverse_a @ np.diag(factor.expected))
    value += 0.5 * (own - dof) * factor.log_det - 0.5 * own * n * np.log(2.0)
    value += 0.5 * dof * (n + n * np.log(2.0) - log_det_scale)
    value += multigammaln(0.5 * dof, n) - multigammaln(0.5 * own, n)
    of_prior = -np.log(prior.scales) - gammaln(0.5) - 0.5 * log_inverse_a
    of_factor = shape * np.log(factor.rate) - gammaln(shape) + (shape - 1.0) * log_inverse_a
    return float(value + (of_prior - inverse_a / prior.scales**2 - of_factor).sum() + shape * n)


def updated(factor: PrecisionFactor, scatter: np.ndarray, count: float) -> PrecisionFactor:
    """The optimum given the expected scatter (n, n) of so many normal vectors.

    A given covariance stays as it is.
    """
    prior = factor.prior
    if prior is None:
        return factor
    n, rate = len(factor.rate), factor.rate
    shape, dof = _shape(prior, n), prior.dof + n - 1.0 + count
    for _ in range(_ROUNDS):
        scale = scatter + 2.0 * prior.dof * np.diag(shape / rate)
        rate = prior.dof * dof * np.diag(np.linalg.inv(scale)) + prior.scales**-2
    return _factor(prior, dof, scale, rate)


def rescaled(factor: PrecisionFactor, log_size: float) -> PrecisionFactor:
    """The factor of ``e^(2 log_size) Omega``, that of a as it was."""
    if factor.prior is None:
        return factor
    scale = factor.scale * np.exp(2.0 * log_size)
    return _factor(factor.prior, factor.dof, scale, factor.rate)


def scale_slope(factor: PrecisionFactor) -> float:
    """Slope of the bound in ``log_size`` of `rescaled`, at zero."""
    assert factor.prior is not None
    n, nu = len(factor.rate), factor.prior.dof
    inverse_a = _shape(factor.prior, n) / factor.rate
    return float(2.0 * nu * inverse_a @ np.diag(factor.expected) - (nu + n - 1.0) * n)


def draw_covariance(
    factor: PrecisionFactor, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance and precision (n, n), drawn from the factor."""
    return draw_inverse_wishart(factor.dof, factor.scale, rng)


def log_huang_wand(prior: HuangWand, precision: np.ndarray) -> float:
    """Log prior density of a covariance, a integrated out, up to a constant (eq. 3)."""
    n = len(precision)
    rate = prior.dof * np.diag(precision) + prior.scales**-2
    value = 0.5 * (prior.dof + 2.0 * n) * float(np.linalg.slogdet(precision)[1])
    return value - _shape(prior, n) * float(np.log(rate).sum())


def log_wishart_factor(factor: PrecisionFactor, precision: np.ndarray) -> float:
    """Log density of a covariance under its factor, up to a constant that its dof sets."""
    n = len(precision)
    log_det = float(np.linalg.slogdet(precision)[1])
    value = 0.5 * factor.dof * float(np.linalg.slogdet(factor.scale)[1])
    value += 0.5 * (factor.dof + n + 1.0) * log_det
    return value - 0.5 * float((factor.scale * precision).sum())
