"""Log marginal likelihood of functions that are all observed at the same inputs."""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.gp.hyperparameters import Gradient, Hyper
from bayesmtl.gp.problem import FunctionRows, complete_design
from bayesmtl.numerics.kernels import kernel_and_slope, scaled_distances

__all__ = ["KroneckerMarginal"]


class KroneckerMarginal:
    """As `bayesmtl.gp.dense.DenseMarginal`, for one component and a complete design.

    The covariance ``B x K + Sigma x I`` is diagonal in the eigenvectors of ``Sigma^-1/2 B
    Sigma^-1/2`` and of K: cubic in the inputs and in the tasks, not in their product (Stegle et
    al. 2011, NeurIPS 24, section 2.2). Intercepts add a matrix of rank T (Woodbury).

    Parameters
    ----------
    rows : FunctionRows
        Of a complete design.
    kernel : str
    """

    def __init__(self, rows: FunctionRows, kernel: str) -> None:
        design = complete_design(rows)
        assert design is not None
        self.inputs, self.response = design
        self.kernel = kernel
        self.level_sd = rows.level_sd

    def __call__(self, hyper: Hyper) -> tuple[float, Gradient]:
        """Value and gradient."""
        lengthscale = hyper.lengthscale[0]
        distance = scaled_distances(self.inputs, self.inputs, lengthscale)
        value, slope = kernel_and_slope(self.kernel, distance)
        spectrum, vectors = np.linalg.eigh(value)
        log_density, by_covariance, by_kernel, by_noise = two_sided(
            np.maximum(spectrum, 0.0),
            vectors.T @ self.response,
            vectors.sum(axis=0),
            hyper.covariance[0],
            hyper.noise,
            self.level_sd,
        )
        weight = (vectors @ by_kernel @ vectors.T) * slope
        across = weight.sum(axis=1)
        by_lengthscale = np.empty((1, len(lengthscale)))
        for j, scale in enumerate(lengthscale):
            x = self.inputs[:, j] / scale
            by_lengthscale[0, j] = 2.0 * (across @ x**2 - x @ (weight @ x))
        return log_density, Gradient(by_covariance[None], by_lengthscale, by_noise)


def _with_levels(
    solved: np.ndarray, images: np.ndarray, weight: np.ndarray, level_sd: np.ndarray
) -> tuple[float, np.ndarray]:
    """What intercepts add: to the log density, and to the vectors that stand for the inverse.

    Parameters
    ----------
    solved : (n, task)
        Inverse without intercepts times the response.
    images : (level, n, task)
        Columns of the intercepts in the eigenvectors.
    weight : (n, task)
        Inverse without intercepts.
    level_sd : (level,)

    Returns
    -------
    more : float
    vectors : (1 + level, n, task)
        The inverse times the response, then a root of what is subtracted from the inverse.
    """
    solved_images = images * weight
    capacity = np.einsum("aij,bij->ab", images, solved_images)
    capacity[np.diag_indices(len(level_sd))] += 1.0 / level_sd**2
    lower = np.linalg.cholesky(capacity)
    inverse = np.linalg.inv(lower)
    score = inverse @ np.einsum("aij,ij->a", images, solved)
    more = 0.5 * score @ score - np.log(np.diag(lower)).sum() - np.log(level_sd).sum()
    rest = solved - np.einsum("a,aij->ij", inverse.T @ score, solved_images)
    root = np.einsum("ab,bij->aij", inverse, solved_images)
    return float(more), np.concatenate([rest[None], root])


def two_sided(
    spectrum: np.ndarray,
    rotated: np.ndarray,
    ones: np.ndarray,
    covariance: np.ndarray,
    noise: np.ndarray,
    level_sd: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Log density of a response matrix in the eigenvectors of the covariance of its rows.

    Parameters
    ----------
    spectrum : (n,)
        Eigenvalues of the covariance of the rows.
    rotated : (n, task)
        Response, rows in the eigenvectors.
    ones : (n,)
        A vector of ones in them.
    covariance : (task, task)
    noise, level_sd : (task,)

    Returns
    -------
    value : float
    by_covariance : (task, task)
    by_kernel : (n, n)
        By the covariance of the rows, in the eigenvectors.
    by_noise : (task,)
        By the logs.
    """
    n, n_tasks = rotated.shape
    scaled = covariance / np.outer(noise, noise)
    gamma, v = np.linalg.eigh(scaled)
    gamma = np.maximum(gamma, 0.0)
    half = v / noise[:, None]
    y = rotated @ half
    weight = 1.0 / (1.0 + spectrum[:, None] * gamma)
    solved = y * weight
    log_density = -0.5 * ((y * solved).sum() - np.log(weight).sum())
    log_density -= n * (np.log(noise).sum() + 0.5 * n_tasks * math.log(2.0 * math.pi))
    there = np.flatnonzero(level_sd > 0.0)
    vectors = solved[None]
    if len(there):
        images = ones[:, None] * half[there][:, None, :]
        more, vectors = _with_levels(solved, images, weight, level_sd[there])
        log_density += more
    by_covariance = np.einsum("zij,i,zik->jk", vectors, spectrum, vectors)
    by_covariance[np.diag_indices(n_tasks)] -= spectrum @ weight
    by_covariance = 0.5 * half @ by_covariance @ half.T
    by_kernel = np.einsum("zij,j,zkj->ik", vectors, gamma, vectors)
    by_kernel[np.diag_indices(n)] -= weight @ gamma
    own = np.einsum("zij,zik->jk", vectors, vectors)
    own[np.diag_indices(n_tasks)] -= weight.sum(axis=0)
    by_noise = noise**2 * np.diag(half @ own @ half.T)
    return float(log_density), by_covariance, 0.5 * by_kernel, by_noise
