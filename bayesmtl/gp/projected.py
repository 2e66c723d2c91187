"""A basis of those sums of many functions of which rows tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis
from bayesmtl.numerics.kernels import (
    SMOOTHNESS,
    log_spectral_density,
    spectral_density,
    spectral_slopes,
)

__all__ = ["AnyBasis", "ProjectedBasis", "project", "with_untold"]

_SAMPLE = 100_000
# What the rows tell of a function that is kept, as a share of what the prior does.
_LEAST_TOLD = 0.01


class ProjectedBasis(NamedTuple):
    """Principal functions of a process at rows: a Karhunen-Loeve expansion within a fine basis.

    At one length-scale the weights are independent and so is what rows tell of them, so that
    functions left out are not taken for others. At another, their variances follow from a frequency
    that each is given, of which the change of its variance is right to first order.

    Parameters
    ----------
    fine : HilbertBasis
    mixing : (fine basis, basis)
        Weights of the fine basis that make each function.
    frequencies : (basis, input)
    lengthscale : (input,)
        At which it is exact.
    """

    fine: HilbertBasis
    mixing: np.ndarray
    frequencies: np.ndarray
    lengthscale: np.ndarray

    @property
    def kernel(self) -> str:
        """Name of the kernel."""
        return self.fine.kernel

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.frequencies)

    def columns(self, inputs: np.ndarray) -> np.ndarray:
        """Values (row, basis) at inputs (row, input)."""
        return np.asarray(self.fine.columns(inputs) @ self.mixing)

    def sums(
        self, inputs: np.ndarray, response: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Over rows, of products of them (basis, basis), with the response, and alone (basis,)."""
        gram, moment, total = self.fine.sums(inputs, response)
        mixing = self.mixing
        return mixing.T @ gram @ mixing, mixing.T @ moment, mixing.T @ total

    def log_variance(self, lengthscale: np.ndarray) -> np.ndarray:
        """Logs of the variances (basis,) of their weights."""
        return log_spectral_density(self.kernel, self.frequencies, lengthscale)

    def log_variance_slopes(self, lengthscale: np.ndarray) -> np.ndarray:
        """Derivatives (basis, input) by the logs of the length-scales."""
        return spectral_slopes(self.kernel, self.frequencies, lengthscale)


AnyBasis = HilbertBasis | NystroemBasis | ProjectedBasis


def project(
    fine: HilbertBasis,
    rows: FunctionRows,
    lengthscale: np.ndarray,
    noise: float,
    most: int,
    rng: np.random.Generator,
) -> tuple[ProjectedBasis, int]:
    """The principal functions at the rows, and of how many the rows of a task tell.

    Parameters
    ----------
    fine : HilbertBasis
    rows : FunctionRows
    lengthscale : (input,)
        Internal units.
    noise : float
        Variance of the noise as a share of that of a function.
    most : int
        Functions that are kept at most; otherwise those of which the rows tell a tenth of what the
        prior does.
    rng : numpy.random.Generator

    Returns
    -------
    basis : ProjectedBasis
    told : int
        Functions of which the rows of a task tell more than the prior.
    """
    inputs, n = rows.inputs, len(rows.inputs)
    if n > _SAMPLE:
        inputs = inputs[np.sort(rng.choice(n, _SAMPLE, replace=False))]
    gram = fine.sums(inputs, np.zeros(len(inputs)))[0] * (n / rows.n_tasks / len(inputs))
    sd = np.sqrt(spectral_density(fine.kernel, fine.frequencies, lengthscale))
    values, vectors = np.linalg.eigh(sd[:, None] * gram * sd)
    values, vectors = values[::-1] / noise, vectors[:, ::-1]
    kept = min(most, int((values > _LEAST_TOLD).sum()))
    vectors = vectors[:, :kept]
    slopes = (vectors**2).T @ spectral_slopes(fine.kernel, fine.frequencies, lengthscale)
    frequencies = _frequencies(fine.kernel, slopes, lengthscale)
    own = np.sqrt(spectral_density(fine.kernel, frequencies, lengthscale))
    mixing = sd[:, None] * vectors / own
    return ProjectedBasis(fine, mixing, frequencies, lengthscale), int((values > 1.0).sum())


def _frequencies(kernel: str, slopes: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """The inverse of `spectral_slopes`."""
    if kernel == "rbf":
        return np.sqrt(1.0 - slopes) / lengthscale
    nu, p = SMOOTHNESS[kernel], len(lengthscale)
    shares = (1.0 - slopes) / (2.0 * nu + p)
    square = 2.0 * nu * shares / (1.0 - shares.sum(axis=1, keepdims=True))
    return np.sqrt(square) / lengthscale


def with_untold(
    draws: FunctionDraws, basis: ProjectedBasis, rng: np.random.Generator
) -> FunctionDraws:
    """Draws of the weights in the fine basis: what rows tell nothing of has its prior."""
    assert draws.weights is not None
    fine, mixing = basis.fine, basis.mixing
    at = spectral_density(fine.kernel, fine.frequencies, basis.lengthscale)
    own = spectral_density(fine.kernel, basis.frequencies, basis.lengthscale)
    coordinates = (mixing * own).T / at
    out = np.empty((*draws.weights.shape[:-1], fine.size))
    for index in np.ndindex(draws.lp.shape):
        sd = np.exp(0.5 * fine.log_variance(draws.lengthscale[index][0]))
        root = np.linalg.cholesky(draws.covariance[index][0])
        prior = root @ rng.normal(size=(len(root), fine.size)) * sd
        out[index] = prior + (draws.weights[index] - prior @ coordinates.T) @ mixing.T
    return draws._replace(weights=out)
