"""The joint normal factor of factors and population means, given those of the loadings.

The standardised features of task t have the common part ``B'a_t`` with factors B (factor, d) and
loadings a_t. Weights are integrated out: what a task says of ``(B'a_t, u)``, u the standardised
means, is quadratic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from bayesmtl.relations.covariance.joint_normal import Terms, inverse_from_root

__all__ = [
    "FactorNormal",
    "Loadings",
    "common_moments",
    "draw_factors",
    "draw_loadings",
    "fit_factors",
    "fit_loadings",
    "loading_terms",
]


class Loadings(NamedTuple):
    """Normal factors of the loadings of each task.

    Parameters
    ----------
    mean : (task, factor)
    covariance : (task, factor, factor)
    """

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def second(self) -> np.ndarray:
        """Second moments (task, factor, factor)."""
        return self.covariance + self.mean[:, :, None] * self.mean[:, None, :]

    @property
    def squares(self) -> np.ndarray:
        """Expected sums of squares (factor,) over tasks."""
        return np.einsum("thh->h", self.second)

    @property
    def entropy(self) -> float:
        """Of all loadings."""
        log_det = np.linalg.slogdet(self.covariance)[1].sum()
        return 0.5 * float(log_det + self.mean.size * (1.0 + np.log(2.0 * np.pi)))

    def stretched(self, size: np.ndarray | float) -> Loadings:
        """Loadings of each factor (factor,) multiplied by a number."""
        size = np.broadcast_to(size, self.mean.shape[1:])
        return Loadings(self.mean * size, self.covariance * size[:, None] * size)


class FactorNormal(NamedTuple):
    """Normal of the factors, one after the other, then the means.

    Parameters
    ----------
    mean : (n,)
    covariance : (n, n)
    factors : (factor, d)
        Mean of the factors.
    root : (n, n)
        Cholesky factor of the precision.
    log_evidence : float
        But for the log determinant of the prior precision of the features.
    """

    mean: np.ndarray
    covariance: np.ndarray
    factors: np.ndarray
    root: np.ndarray
    log_evidence: float

    @property
    def second(self) -> np.ndarray:
        """Second moments (factor, d, factor, d) of the factors."""
        number, d = self.factors.shape
        whole = self.covariance + np.outer(self.mean, self.mean)
        return whole[: number * d, : number * d].reshape(number, d, number, d)

    @property
    def across(self) -> np.ndarray:
        """Second moments (factor, d, m) of factors and means."""
        number, d = self.factors.shape
        whole = self.covariance + np.outer(self.mean, self.mean)
        return whole[: number * d, number * d :].reshape(number, d, len(whole) - number * d)

    @property
    def of_means(self) -> np.ndarray:
        """Second moments (m, m) of the means."""
        size = self.factors.size
        return self.covariance[size:, size:] + np.outer(self.mean[size:], self.mean[size:])


def fit_factors(terms: Terms, loadings: Loadings, precision: np.ndarray) -> FactorNormal:
    """The optimum given the loadings and the expected precision (d, d) of the features.

    Raises
    ------
    numpy.linalg.LinAlgError
        When the precision is not positive definite to rounding.
    """
    n_tasks, n = terms.linear.shape
    number, d = loadings.mean.shape[1], terms.n_own
    m, size = n - d, number * d
    second = loadings.second.reshape(n_tasks, -1).T
    own = second @ np.ascontiguousarray(terms.gram[:, :d, :d]).reshape(n_tasks, -1)
    own = own.reshape(number, number, d, d).transpose(0, 2, 1, 3).copy()
    each = np.arange(number)
    own[each, :, each, :] += precision
    whole = np.empty((size + m, size + m))
    whole[:size, :size] = own.reshape(size, size)
    whole[:size, size:] = np.einsum("th,tic->hic", loadings.mean, terms.gram[:, :d, d:]).reshape(
        size, m
    )
    whole[size:, :size] = whole[:size, size:].T
    whole[size:, size:] = np.eye(m) + terms.gram[:, d:, d:].sum(axis=0)
    linear = np.concatenate(
        [(loadings.mean.T @ terms.linear[:, :d]).reshape(-1), terms.linear[:, d:].sum(axis=0)]
    )
    root = np.linalg.cholesky(whole)
    half = solve_triangular(root, linear, lower=True)
    mean = solve_triangular(root, half, lower=True, trans=1)
    return FactorNormal(
        mean,
        inverse_from_root(root),
        mean[:size].reshape(number, d),
        root,
        0.5 * float(half @ half) - float(np.log(root.diagonal()).sum()),
    )


def loading_terms(terms: Terms, normal: FactorNormal) -> tuple[np.ndarray, np.ndarray]:
    """Expected precision (task, factor, factor) and linear term of the loadings, from the data."""
    n_tasks, d = len(terms.linear), terms.n_own
    number = len(normal.factors)
    second = normal.second.transpose(1, 3, 0, 2).reshape(d * d, -1)
    gram = np.ascontiguousarray(terms.gram[:, :d, :d]).reshape(n_tasks, -1) @ second
    linear = terms.linear[:, :d] @ normal.factors.T
    linear = linear - np.einsum("tic,hic->th", terms.gram[:, :d, d:], normal.across)
    return gram.reshape(n_tasks, number, number), linear


def fit_loadings(terms: Terms, normal: FactorNormal, precision: np.ndarray) -> Loadings:
    """The optimum given factors, means and the expected prior precisions (factor,)."""
    gram, linear = loading_terms(terms, normal)
    covariance = np.linalg.inv(gram + np.diag(precision))
    covariance = 0.5 * (covariance + covariance.mT)
    return Loadings((covariance @ linear[..., None])[..., 0], covariance)


def common_moments(loadings: Loadings, normal: FactorNormal) -> tuple[np.ndarray, np.ndarray]:
    """First (task, d + m) and second (task, d + m, d + m) moments of ``(B'a_t, u)``."""
    n_tasks, number = loadings.mean.shape
    d = normal.factors.shape[1]
    size = number * d
    n = d + normal.mean.size - size
    mean = np.empty((n_tasks, n))
    mean[:, :d], mean[:, d:] = loadings.mean @ normal.factors, normal.mean[size:]
    second = np.empty((n_tasks, n, n))
    of_factors = normal.second.transpose(0, 2, 1, 3).reshape(number * number, -1)
    second[:, :d, :d] = (loadings.second.reshape(n_tasks, -1) @ of_factors).reshape(n_tasks, d, d)
    second[:, :d, d:] = np.einsum("th,hic->tic", loadings.mean, normal.across)
    second[:, d:, :d] = second[:, :d, d:].mT
    second[:, d:, d:] = normal.of_means
    return mean, second


def draw_factors(
    normal: FactorNormal, n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of factors (draw, factor, d) and means (draw, m), and their log densities.

    Densities (draw,) up to a constant that their number sets.
    """
    number, d = normal.factors.shape
    noise = rng.normal(size=(normal.mean.size, n_draws))
    drawn = normal.mean + solve_triangular(normal.root, noise, lower=True, trans=1).T
    log_q = np.log(normal.root.diagonal()).sum() - 0.5 * (noise**2).sum(axis=0)
    return drawn[:, : number * d].reshape(n_draws, number, d), drawn[:, number * d :], log_q


def draw_loadings(
    gram: np.ndarray, linear: np.ndarray, variance: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Exact draws (task, factor) of loadings of these prior variances, and their log evidence.

    Parameters
    ----------
    gram, linear : (task, factor, factor), (task, factor)
    variance : (factor,)
    rng : numpy.random.Generator
    """
    sd = np.sqrt(variance)
    root = np.linalg.cholesky(np.eye(sd.size) + gram * sd[:, None] * sd)
    inverse = np.linalg.inv(root)
    half = (inverse @ (linear * sd)[..., None])[..., 0]
    log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum()
    drawn = (inverse.mT @ (half + rng.normal(size=half.shape))[..., None])[..., 0]
    return sd * drawn, 0.5 * float((half**2).sum()) - float(log_det)
