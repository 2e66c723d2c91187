"""Functions as weighted sums of a basis: what the rows say of the weights, and the evidence.

``f_t(x) = phi(x)'w_t`` with ``cov(w_ti, w_sj) = B_ts S_i [i = j]``: a matrix-normal prior, whose
variances S over the basis follow from the length-scales.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotri

from bayesmtl.gp.dense import factor
from bayesmtl.gp.hyperparameters import Gradient, Hyper
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.gp.weight_kernels import assemble_weights, weight_moments
from bayesmtl.numerics.kernels import (
    hilbert_basis,
    hilbert_frequencies,
    hilbert_sums,
    kernel_matrix,
    log_spectral_density,
    spectral_slopes,
)

__all__ = [
    "Basis",
    "BasisSites",
    "HilbertBasis",
    "NystroemBasis",
    "WeightMarginal",
    "basis_sites",
]

_BLOCK = 1 << 16
_JITTER = 1e-8
_ROUNDING = 1e-9


class Basis(Protocol):
    """Functions whose weighted sums stand for the process."""

    @property
    def size(self) -> int:
        """Number of functions."""

    def columns(self, inputs: np.ndarray) -> np.ndarray:
        """Their values (row, basis) at inputs (row, input)."""

    def sums(
        self, inputs: np.ndarray, response: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Over rows, of products of them (basis, basis), with the response, and alone (basis,)."""

    def log_variance(self, lengthscale: np.ndarray) -> np.ndarray:
        """Logs of the variances (basis,) of their weights."""

    def log_variance_slopes(self, lengthscale: np.ndarray) -> np.ndarray:
        """Derivatives (basis, input) by the logs of the length-scales."""


class HilbertBasis(NamedTuple):
    """Eigenfunctions of a box, see `bayesmtl.numerics.kernels.hilbert_basis`.

    Parameters
    ----------
    kernel : str
    counts : tuple of int
        Number of functions along each input. Of their products those in the corners, rough in
        several inputs at once, are left out.
    half_widths : tuple of float
        Of the box around zero, internal units.
    """

    kernel: str
    counts: tuple[int, ...]
    half_widths: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.frequencies)

    @property
    def frequencies(self) -> np.ndarray:
        """(basis, input)."""
        every = hilbert_frequencies(self.counts, np.array(self.half_widths))
        lowest = np.pi / (2.0 * np.array(self.half_widths))
        steps = np.maximum(np.array(self.counts) - 1.0, 1.0)
        inside = (((every / lowest - 1.0) / steps) ** 2).sum(axis=1) <= 1.0 + _ROUNDING
        return np.asarray(every[inside])

    def columns(self, inputs: np.ndarray) -> np.ndarray:
        """Values (row, basis) at inputs (row, input)."""
        return hilbert_basis(inputs, self.frequencies, np.array(self.half_widths))

    def sums(
        self, inputs: np.ndarray, response: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Over rows, of products of them (basis, basis), with the response, and alone (basis,)."""
        half = np.array(self.half_widths)
        numbers = np.rint(self.frequencies * 2.0 * half / np.pi).astype(np.intp)
        return hilbert_sums(inputs, response, numbers, half)

    def log_variance(self, lengthscale: np.ndarray) -> np.ndarray:
        """Log spectral density (basis,)."""
        return log_spectral_density(self.kernel, self.frequencies, lengthscale)

    def log_variance_slopes(self, lengthscale: np.ndarray) -> np.ndarray:
        """Derivatives (basis, input) by the logs of the length-scales."""
        return spectral_slopes(self.kernel, self.frequencies, lengthscale)


class NystroemBasis(NamedTuple):
    """Covariances with some points at fixed length-scales, whitened: ``L^-1 k(z, x)``.

    With ``L L' = k(z, z)``, independent weights of variance one give the part of the process that
    its values at the points determine (Williams and Seeger 2001, NeurIPS 13).

    Parameters
    ----------
    kernel : str
    centers : (basis, input)
    lengthscale : (input,)
    """

    kernel: str
    centers: np.ndarray
    lengthscale: np.ndarray

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.centers)

    def columns(self, inputs: np.ndarray) -> np.ndarray:
        """Values (row, basis) at inputs (row, input)."""
        own = kernel_matrix(self.kernel, self.centers, self.centers, self.lengthscale)
        own[np.diag_indices(self.size)] += _JITTER
        cross = kernel_matrix(self.kernel, self.centers, inputs, self.lengthscale)
        lower = np.linalg.cholesky(own)
        return np.ascontiguousarray(solve_triangular(lower, cross, lower=True).T)

    def sums(
        self, inputs: np.ndarray, response: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Over rows, of products of them (basis, basis), with the response, and alone (basis,)."""
        gram, (moment, total) = np.zeros((self.size, self.size)), np.zeros((2, self.size))
        for start in range(0, len(inputs), _BLOCK):
            part = slice(start, start + _BLOCK)
            columns = self.columns(inputs[part])
            gram += columns.T @ columns
            moment += columns.T @ response[part]
            total += columns.sum(axis=0)
        return gram, moment, total

    def log_variance(self, lengthscale: np.ndarray) -> np.ndarray:
        """Zeros (basis,): the length-scales are part of the functions."""
        return np.zeros(self.size)

    def log_variance_slopes(self, lengthscale: np.ndarray) -> np.ndarray:
        """Zeros (basis, input)."""
        return np.zeros(self.centers.shape)


class BasisSites(NamedTuple):
    """Sums over the rows of each task.

    Parameters
    ----------
    gram : (task, basis, basis)
    moment, total : (task, basis)
        Products with the response, and with one.
    rows, response, square : (task,)
        Sums of one, the response and its square.
    level_sd : (task,)
        Prior sd of the intercepts.
    """

    gram: np.ndarray
    moment: np.ndarray
    total: np.ndarray
    rows: np.ndarray
    response: np.ndarray
    square: np.ndarray
    level_sd: np.ndarray


def basis_sites(rows: FunctionRows, basis: Basis) -> BasisSites:
    """Sums over rows that are sorted by task."""
    n = rows.n_tasks
    first = np.searchsorted(rows.task, np.arange(n + 1))
    parts = [slice(first[t], first[t + 1]) for t in range(n)]
    sums = [basis.sums(rows.inputs[part], rows.response[part]) for part in parts]
    response = [rows.response[part] for part in parts]
    gram, moment, total = (np.array(own) for own in zip(*sums, strict=True))
    return BasisSites(
        gram=gram,
        moment=moment,
        total=total,
        rows=np.diff(first).astype(np.float64),
        response=np.array([own.sum() for own in response]),
        square=np.array([own @ own for own in response]),
        level_sd=rows.level_sd,
    )


class _Solved(NamedTuple):
    """Whitened weights given hyperparameters: factor of their precision, mean, log evidence."""

    lower: np.ndarray
    half: np.ndarray
    mean: np.ndarray
    log_evidence: float


def _solve(sites: BasisSites, root: np.ndarray, sd: np.ndarray, noise: np.ndarray) -> _Solved:
    matrix, linear, constant = assemble_weights(*sites, root, sd, noise)
    lower = factor(matrix)
    half = solve_triangular(lower, linear.ravel(), lower=True, check_finite=False)
    mean = solve_triangular(lower, half, lower=True, trans="T", check_finite=False)
    value = constant + 0.5 * half @ half - np.log(np.diag(lower)).sum()
    return _Solved(lower, half, mean, float(value))


class WeightMarginal:
    """Log evidence of the sites with weights and intercepts integrated out, one component.

    Cubic in tasks times functions, whatever the number of rows.

    Parameters
    ----------
    sites : BasisSites
    basis : Basis
    """

    def __init__(self, sites: BasisSites, basis: Basis) -> None:
        self.sites = sites
        self.basis = basis

    def __call__(self, hyper: Hyper) -> tuple[float, Gradient]:
        """Value and gradient, the latter by Fisher's identity from moments of the weights."""
        root, lengthscale = hyper.root[0], hyper.lengthscale[0]
        sd = np.exp(0.5 * self.basis.log_variance(lengthscale))
        solved = _solve(self.sites, root, sd, hyper.noise)
        inverse, _ = dpotri(solved.lower, lower=1, overwrite_c=1)
        n, m = self.sites.moment.shape
        mean = solved.mean.reshape(n, m)
        between, of_basis, by_noise = weight_moments(
            *self.sites, root, sd, hyper.noise, inverse.T, mean
        )
        between[np.diag_indices(n)] -= m
        whitening = np.linalg.inv(root)
        by_covariance = 0.5 * whitening.T @ between @ whitening
        slopes = self.basis.log_variance_slopes(lengthscale)
        by_lengthscale = 0.5 * (of_basis - n) @ slopes
        return solved.log_evidence, Gradient(by_covariance[None], by_lengthscale[None], by_noise)
