"""Hyperparameters of multi-task Gaussian processes: one unconstrained vector, its prior, its parts.

Internal units: every task's response has mean zero and unit variance, about, and every input
runs from -1 to 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.pilot import inside
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.priors import prior_of_row

__all__ = ["GIVEN", "HUANG_WAND", "LOW_RANK", "Gradient", "Hyper", "HyperPrior", "inside_prior"]

# Kinds of the covariance B of the tasks.
GIVEN, HUANG_WAND, LOW_RANK = "given", "full", "low_rank"
# Of the Huang-Wand prior: sds of the tasks half-t(2) of scale 1, uniform correlations.
_DOF, _SCALE = 2.0, 1.0
# Sds of the tasks' own parts beside factors: half-normal.
_OWN_SD = 0.5
_STEP = 1e-5
_LARGEST = 30.0
# Logs of scales whose powers are not numbers any more.
_BEYOND = 300.0


class Hyper(NamedTuple):
    """Values of the hyperparameters, internal units.

    Parameters
    ----------
    covariance : (component, task, task)
        B of each component.
    root : (component, task, task)
        Its Cholesky factor.
    lengthscale : (component, input)
    noise : (task,)
        Standard deviations.
    """

    covariance: np.ndarray
    root: np.ndarray
    lengthscale: np.ndarray
    noise: np.ndarray


class Gradient(NamedTuple):
    """Derivatives of a log density.

    Parameters
    ----------
    covariance : (component, task, task)
        By the elements of B, the others fixed: symmetric.
    lengthscale : (component, input)
        By the logs.
    noise : (task,)
        By the logs.
    """

    covariance: np.ndarray
    lengthscale: np.ndarray
    noise: np.ndarray


def inside_prior(logs: np.ndarray, rows: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Logs of positive numbers, known ones at their values, others in the support of their prior.

    Parameters
    ----------
    logs : (...)
        Internal units.
    rows : (..., 6)
        Of the priors of numbers on the user's scale.
    units : (...)
    """
    out, units = logs.copy(), np.broadcast_to(units, logs.shape)
    for k in np.ndindex(logs.shape):
        start = float(units[k] * np.exp(logs[k]))
        placed = inside(prior_of_row(rows[k]), start)
        if placed != start:
            out[k] = np.log(placed / units[k])
    return out


class HyperPrior(NamedTuple):
    """Prior of the hyperparameters, and how they follow from a vector of free ones.

    Parameters
    ----------
    kind : {"given", "full", "low_rank"}
    given : (component, task, task)
        B where it is given, internal units; else anything of this shape.
    rank : int
        Number of factors of each component of low rank.
    lengthscale_rows : (component, input, 6)
        Priors, see `bayesmtl.numerics.densities`, in units of the user.
    lengthscale_unit : (input,)
    noise_rows : (task, 6)
        In units of the user; the first alone counts where the noise is shared.
    noise_unit : (task,)
    shared_noise : bool
        Whether all tasks have one noise sd (then ``noise_unit`` is constant).
    """

    kind: str
    given: np.ndarray
    rank: int
    lengthscale_rows: np.ndarray
    lengthscale_unit: np.ndarray
    noise_rows: np.ndarray
    noise_unit: np.ndarray
    shared_noise: bool = False

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return int(self.given.shape[1])

    @property
    def n_components(self) -> int:
        """Number of kernels."""
        return len(self.given)

    @property
    def n_covariance(self) -> int:
        """Free numbers of the covariances."""
        n = self.n_tasks
        one = {GIVEN: 0, HUANG_WAND: n * (n + 1) // 2, LOW_RANK: n * (self.rank + 1)}
        return self.n_components * one[self.kind]

    @property
    def _free_lengthscales(self) -> np.ndarray:
        return self.lengthscale_rows[..., 0].ravel() != FIXED

    @property
    def _free_noise(self) -> np.ndarray:
        rows = self.noise_rows[:1] if self.shared_noise else self.noise_rows
        return rows[:, 0] != FIXED

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.n_covariance + int(self._free_lengthscales.sum() + self._free_noise.sum())

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """A dispersed start (size,)."""
        n, parts = self.n_tasks, []
        for _ in range(self.n_components):
            share = -0.5 * math.log(self.n_components)
            if self.kind == HUANG_WAND:
                root = rng.normal(0.0, 0.3, (n, n))
                root[np.diag_indices(n)] = rng.normal(share - 0.2, 0.3, n)
                parts.append(root[np.tril_indices(n)])
            elif self.kind == LOW_RANK:
                parts.append(rng.normal(0.0, 0.6 / math.sqrt(self.rank), n * self.rank))
                parts.append(rng.normal(share - 1.0, 0.3, n))
        free = self._free_lengthscales
        median = np.log(0.6) + rng.normal(0.0, 0.4, self.lengthscale_rows[..., 0].shape)
        # Components start apart.
        median += np.linspace(0.7, -0.7, self.n_components)[:, None] * (self.n_components > 1)
        median = inside_prior(median, self.lengthscale_rows, self.lengthscale_unit)
        parts.append(median.ravel()[free])
        free = np.flatnonzero(self._free_noise)
        noise = rng.normal(-0.7, 0.3, len(free))
        parts.append(inside_prior(noise, self.noise_rows[free], self.noise_unit[free]))
        return np.concatenate(parts)

    def values(self, vector: np.ndarray) -> Hyper:
        """The hyperparameters at a vector (size,)."""
        covariance, root = self._covariance(vector)
        first = self.n_covariance
        free = self._free_lengthscales
        fixed = self.lengthscale_rows[..., 1] / self.lengthscale_unit
        lengthscale = fixed.ravel().copy()
        last = first + int(free.sum())
        lengthscale[free] = np.exp(np.clip(vector[first:last], -_LARGEST, _LARGEST))
        free = self._free_noise
        noise = (self.noise_rows[:, 1] / self.noise_unit)[: len(free)].copy()
        noise[free] = np.exp(np.clip(vector[last:], -_LARGEST, _LARGEST))
        if self.shared_noise:
            noise = np.full(self.n_tasks, noise[0])
        return Hyper(covariance, root, lengthscale.reshape(fixed.shape), noise)

    def _covariance(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.kind == GIVEN:
            return self.given, np.linalg.cholesky(self.given)
        if self.kind == HUANG_WAND:
            root = self._roots(vector)
            return root @ np.swapaxes(root, 1, 2), root
        loadings, own = self._factors(vector)
        covariance = loadings @ np.swapaxes(loadings, 1, 2)
        where = np.arange(self.n_tasks)
        covariance[:, where, where] += own**2
        return covariance, np.linalg.cholesky(covariance)

    def _roots(self, vector: np.ndarray) -> np.ndarray:
        n = self.n_tasks
        root = np.zeros((self.n_components, n, n))
        rows, columns = np.tril_indices(n)
        root[:, rows, columns] = vector[: self.n_covariance].reshape(self.n_components, -1)
        where = np.arange(n)
        root[:, where, where] = np.exp(np.clip(root[:, where, where], -_LARGEST, _LARGEST))
        return root

    def _factors(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loadings (component, task, factor) and sds (component, task) of the own parts."""
        n = self.n_tasks
        free = vector[: self.n_covariance].reshape(self.n_components, n * (self.rank + 1))
        loadings = free[:, : n * self.rank].reshape(self.n_components, n, self.rank)
        return loadings, np.exp(np.clip(free[:, n * self.rank :], -_LARGEST, _LARGEST))

    def log_prior(self, vector: np.ndarray, hyper: Hyper) -> tuple[float, np.ndarray]:
        """Log prior density of a vector, up to a constant, and its gradient (size,)."""
        out = np.empty(self.size)
        value, first = 0.0, self.n_covariance
        if self.kind == HUANG_WAND:
            value, out[:first] = self._huang_wand(hyper)
        elif self.kind == LOW_RANK:
            value, out[:first] = self._low_rank(vector)
        free = self._free_lengthscales
        rows = self.lengthscale_rows.reshape(-1, self.lengthscale_rows.shape[-1])[free]
        units = np.tile(self.lengthscale_unit, self.n_components)[free]
        last = first + len(rows)
        more, out[first:last] = _log_scales(rows, units, vector[first:last])
        free = self._free_noise
        least, out[last:] = _log_scales(
            self.noise_rows[: len(free)][free], self.noise_unit[: len(free)][free], vector[last:]
        )
        return value + more + least, out

    def _huang_wand(self, hyper: Hyper) -> tuple[float, np.ndarray]:
        """Huang and Wand 2013, Bayesian Anal. 8, eq. 2 with the scales a_t integrated out."""
        n, total, parts = self.n_tasks, 0.0, []
        rows, columns = np.tril_indices(n)
        powers = n - np.arange(n) + 1.0
        for root in hyper.root:
            inverse = np.linalg.inv(root)
            precision = inverse.T @ inverse
            diagonal = np.log(np.diag(root))
            rate = _DOF * np.diag(precision) + 1.0 / _SCALE**2
            total += -(_DOF + 2.0 * n) * diagonal.sum() - 0.5 * (_DOF + n) * np.log(rate).sum()
            total += powers @ diagonal
            by_covariance = -0.5 * (_DOF + 2.0 * n) * precision
            by_covariance += 0.5 * (_DOF + n) * _DOF * (precision / rate) @ precision
            gradient = 2.0 * by_covariance @ root
            gradient[np.diag_indices(n)] *= np.diag(root)
            gradient[np.diag_indices(n)] += powers
            parts.append(gradient[rows, columns])
        return float(total), np.concatenate(parts)

    def _low_rank(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Loadings normal, so that a task has variance about one from them; own sds half-normal."""
        loadings, own = self._factors(vector)
        value = -0.5 * self.rank * (loadings**2).sum()
        value += (np.log(own) - 0.5 * (own / _OWN_SD) ** 2).sum()
        by_loadings = -self.rank * loadings.reshape(self.n_components, -1)
        by_own = 1.0 - (own / _OWN_SD) ** 2
        return float(value), np.concatenate([by_loadings, by_own], axis=1).ravel()

    def pull_back(self, vector: np.ndarray, hyper: Hyper, gradient: Gradient) -> np.ndarray:
        """Gradient by the vector (size,) of a function with these derivatives by its values."""
        parts = []
        n = self.n_tasks
        if self.kind == HUANG_WAND:
            by_root = 2.0 * gradient.covariance @ hyper.root
            where = np.arange(n)
            by_root[:, where, where] *= hyper.root[:, where, where]
            rows, columns = np.tril_indices(n)
            parts.append(by_root[:, rows, columns].ravel())
        elif self.kind == LOW_RANK:
            loadings, own = self._factors(vector)
            by_loadings = 2.0 * gradient.covariance @ loadings
            diagonal = np.diagonal(gradient.covariance, axis1=1, axis2=2)
            flat = by_loadings.reshape(self.n_components, -1)
            parts.append(np.concatenate([flat, 2.0 * diagonal * own**2], axis=1).ravel())
        parts.append(gradient.lengthscale.ravel()[self._free_lengthscales])
        noise = gradient.noise.sum(keepdims=True) if self.shared_noise else gradient.noise
        parts.append(noise[self._free_noise])
        return np.concatenate(parts)


def _log_scales(rows: np.ndarray, units: np.ndarray, logs: np.ndarray) -> tuple[float, np.ndarray]:
    """Log prior density of logs (scale,) of scales in internal units, and its gradient.

    Scales that are zero or infinite in floating point are outside of the support.
    """
    total, gradient = 0.0, np.zeros(len(rows))
    if not (np.abs(logs) < _BEYOND).all():
        return -np.inf, gradient
    for k, (row, unit, x) in enumerate(zip(rows, units, logs, strict=True)):
        at = [log_density(row, unit * math.exp(x + step)) + x for step in (0.0, _STEP, -_STEP)]
        total += at[0]
        if np.isfinite(at).all():
            gradient[k] = (at[1] - at[2]) / (2.0 * _STEP) + 1.0
    return total, gradient
