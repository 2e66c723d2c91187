"""Length-scales of one chain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.gp.hyperparameters import HUANG_WAND, HyperPrior, inside_prior
from bayesmtl.gp.projected import AnyBasis
from bayesmtl.gp.weight_space import NystroemBasis
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.numerics.kernels import SMOOTHNESS, spectral_constant

__all__ = ["LengthState", "start_lengths"]

# Smoothness of functions that have all derivatives, as far as the ridge of length-scale and
# covariance goes.
_ROUGH = 3.0


class LengthState(NamedTuple):
    """Length-scales of one chain, and the logs of the variances that follow.

    Parameters
    ----------
    logs : (input,)
    log_variance : (basis,)
    free : (input,) bool
    squares : (basis, input)
        Of the frequencies.
    smoothness, constant : float
    rows : (input, 6)
    units : (input,)
    ridge : float
        By how much the log of the covariance grows with that of a length-scale on a move of both, 0
        where the covariance is not a free matrix.
    """

    logs: np.ndarray
    log_variance: np.ndarray
    free: np.ndarray
    squares: np.ndarray
    smoothness: float
    constant: float
    rows: np.ndarray
    units: np.ndarray
    ridge: float

    def log_prior(self) -> float:
        """Of the free length-scales, up to a constant."""
        parts = zip(self.rows, self.units, self.logs, self.free, strict=True)
        return float(sum(log_density(r, u * np.exp(x)) + x for r, u, x, free in parts if free))


def start_lengths(prior: HyperPrior, basis: AnyBasis, rng: np.random.Generator) -> LengthState:
    """A dispersed start, or the values that are fixed."""
    rows, units = prior.lengthscale_rows[0], prior.lengthscale_unit
    if isinstance(basis, NystroemBasis):
        still, size = np.zeros(len(units), dtype=np.bool_), basis.centers.shape
        logs, variance = np.log(basis.lengthscale), np.zeros(basis.size)
        fixed = (np.zeros(size), np.inf, 0.0, np.ascontiguousarray(rows), units, 0.0)
        return LengthState(logs, variance, still, *fixed)
    free = rows[:, 0] != FIXED
    logs = inside_prior(np.log(0.6) + rng.normal(0.0, 0.5, len(units)), rows, units)
    smoothness, learned = SMOOTHNESS[basis.kernel], prior.kind == HUANG_WAND
    return LengthState(
        logs,
        basis.log_variance(np.exp(logs)),
        free,
        np.ascontiguousarray(basis.frequencies**2),
        smoothness,
        spectral_constant(basis.kernel, len(units)),
        np.ascontiguousarray(rows),
        units,
        2.0 * min(smoothness, _ROUGH) / len(units) if learned else 0.0,
    )
