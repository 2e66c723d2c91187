"""Length-scales of one chain, and how they move."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.gp.hyperparameters import HUANG_WAND, HyperPrior
from bayesmtl.gp.lengthscales import ALONG, given_weights, given_whitened, without_weights
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.numerics.kernels import SMOOTHNESS, spectral_constant
from bayesmtl.relations.covariance.state import DenseTasks

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

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (
            self.free,
            self.squares,
            self.smoothness,
            self.constant,
            self.rows,
            self.units,
            self.log_variance,
        )

    def given_weights(
        self, quadratic: np.ndarray, count: float, own: np.ndarray, rng: np.random.Generator
    ) -> float:
        """Update at fixed weights; ``quadratic`` (basis,) changes its unit.

        ``own`` (task,) is the diagonal of the inverse covariance where that grows with them;
        returns the log of the factor by which it does.
        """
        of_weights = (quadratic, count, self.ridge, own)
        return float(given_weights(self.logs, *self._settings, *of_weights, rng))

    def given_whitened(
        self, linear: np.ndarray, inner: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Update at fixed whitened weights."""
        given_whitened(self.logs, *self._settings, linear, inner, rng)

    def without_weights(
        self, dense: Any, precision: np.ndarray, tasks: DenseTasks, scale: np.ndarray, rng: Any
    ) -> float:
        """Update with the weights integrated out, and the ``scale`` of these; see above.

        In a direction at random, as a move is of either kind: alone, or along the ridge.
        """
        ridge = self.ridge if rng.random() < ALONG else 0.0
        of_tasks = (dense, precision, tasks.precision, scale, ridge)
        return float(without_weights(self.logs, *self._settings, *of_tasks, rng))

    def log_prior(self) -> float:
        """Of the free length-scales, up to a constant."""
        parts = zip(self.rows, self.units, self.logs, self.free, strict=True)
        return float(sum(log_density(r, u * np.exp(x)) + x for r, u, x, free in parts if free))


def start_lengths(
    prior: HyperPrior, basis: HilbertBasis | NystroemBasis, rng: np.random.Generator
) -> LengthState:
    """A dispersed start, or the values that are fixed."""
    rows, units = prior.lengthscale_rows[0], prior.lengthscale_unit
    if isinstance(basis, NystroemBasis):
        still, size = np.zeros(len(units), dtype=np.bool_), basis.centers.shape
        logs, variance = np.log(basis.lengthscale), np.zeros(basis.size)
        fixed = (np.zeros(size), np.inf, 0.0, np.ascontiguousarray(rows), units, 0.0)
        return LengthState(logs, variance, still, *fixed)
    free = rows[:, 0] != FIXED
    logs = np.log(0.6) + rng.normal(0.0, 0.5, len(units))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs[~free] = np.log(rows[~free, 1] / units[~free])
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
