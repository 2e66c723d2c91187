"""A basis of those sums of many functions of which rows tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.weight_space import BasisSites, HilbertBasis, NystroemBasis
from bayesmtl.numerics.kernels import (
    log_spectral_density,
    spectral_frequencies,
    spectral_slopes,
)

__all__ = ["AnyBasis", "ProjectedBasis", "project", "with_untold"]

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
        return self._mixed(*self.fine.sums(inputs, response))

    def reduced(self, sites: BasisSites) -> BasisSites:
        """The same from sums of the fine basis."""
        gram, moment, total = self._mixed(sites.gram, sites.moment, sites.total)
        return sites._replace(gram=gram, moment=moment, total=total)

    def _mixed(
        self, gram: np.ndarray, moment: np.ndarray, total: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mixing = self.mixing
        return mixing.T @ gram @ mixing, moment @ mixing, total @ mixing

    def log_variance(self, lengthscale: np.ndarray) -> np.ndarray:
        """Logs of the variances (basis,) of their weights."""
        return log_spectral_density(self.kernel, self.frequencies, lengthscale)

    def log_variance_slopes(self, lengthscale: np.ndarray) -> np.ndarray:
        """Derivatives (basis, input) by the logs of the length-scales."""
        return spectral_slopes(self.kernel, self.frequencies, lengthscale)


AnyBasis = HilbertBasis | NystroemBasis | ProjectedBasis


def project(
    fine: HilbertBasis, gram: np.ndarray, lengthscale: np.ndarray, noise: float, most: int
) -> tuple[ProjectedBasis, int]:
    """The principal functions at rows, and of how many these tell.

    Parameters
    ----------
    fine : HilbertBasis
    gram : (fine basis, fine basis)
        Sums of products over the rows of a task, on average.
    lengthscale : (input,)
        Internal units.
    noise : float
        Variance of the noise as a share of that of a function.
    most : int
        Functions that are kept at most, of those of which the rows tell a hundredth of what the
        prior does.

    Returns
    -------
    basis : ProjectedBasis
    told : int
        Functions of which the rows of a task tell more than the prior.
    """
    sd = np.exp(0.5 * fine.log_variance(lengthscale))
    values, vectors = np.linalg.eigh(sd[:, None] * gram * sd)
    values, vectors = values[::-1] / noise, vectors[:, ::-1]
    vectors = vectors[:, : min(most, int((values > _LEAST_TOLD).sum()))]
    slopes = (vectors**2).T @ fine.log_variance_slopes(lengthscale)
    frequencies = spectral_frequencies(fine.kernel, slopes, lengthscale)
    own = np.exp(0.5 * log_spectral_density(fine.kernel, frequencies, lengthscale))
    mixing = sd[:, None] * vectors / own
    return ProjectedBasis(fine, mixing, frequencies, lengthscale), int((values > 1.0).sum())


def with_untold(
    draws: FunctionDraws, basis: ProjectedBasis, rng: np.random.Generator
) -> FunctionDraws:
    """Draws of the weights in the fine basis: what rows tell nothing of has its prior."""
    assert draws.weights is not None
    fine, mixing = basis.fine, basis.mixing
    own, at = (np.exp(one.log_variance(basis.lengthscale)) for one in (basis, fine))
    coordinates = (mixing * own).T / at
    out = np.empty((*draws.weights.shape[:-1], fine.size))
    for index in np.ndindex(draws.lp.shape):
        sd = np.exp(0.5 * fine.log_variance(draws.lengthscale[index][0]))
        root = np.linalg.cholesky(draws.covariance[index][0])
        prior = root @ rng.normal(size=(len(root), fine.size)) * sd
        out[index] = prior + (draws.weights[index] - prior @ coordinates.T) @ mixing.T
    return draws._replace(weights=out)
