"""Predictions of a trained sparse Gaussian process, in NumPy."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from bayesmtl.gp.sparse import JITTER, SparseFit
from bayesmtl.numerics.kernels import kernel_matrix

__all__ = ["draw_latent", "sparse_predict"]

_CHUNK = 4096
_BLOCK = 2000


def sparse_predict(
    fit: SparseFit, inputs: np.ndarray, task: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of f_t(x) at rows, under q(u) and the point estimates.

    Parameters
    ----------
    fit : SparseFit
    inputs : numpy.ndarray, shape (row, input)
    task : numpy.ndarray, shape (row,)
        Codes.

    Returns
    -------
    mean, variance : numpy.ndarray, shape (row,)
        In the units of the response, or of its link; without noise.
    """
    mean, variance = np.empty(len(inputs)), np.empty(len(inputs))
    roots = _kernel_roots(fit)
    for start in range(0, len(inputs), _CHUNK):
        rows = slice(start, start + _CHUNK)
        loadings = fit.loadings[task[rows]]
        g_mean = np.empty((len(fit.mean), len(loadings)))
        g_variance = np.empty_like(g_mean)
        for q, v in enumerate(_whitened(fit, roots, inputs[rows])):
            g_mean[q] = fit.mean[q] @ v
            g_variance[q] = 1.0 - (v**2).sum(axis=0) + ((fit.root[q].T @ v) ** 2).sum(axis=0)
        mean[rows] = fit.intercept[task[rows]] + (loadings.T * g_mean).sum(axis=0)
        variance[rows] = (loadings.T**2 * np.maximum(g_variance, 0.0)).sum(axis=0)
    return mean, variance


def draw_latent(
    fit: SparseFit, inputs: np.ndarray, task: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Joint draws of f at rows of any tasks.

    What the inducing values leave open is drawn jointly over blocks of 2,000 distinct inputs, and
    independently between blocks.

    Parameters
    ----------
    fit : SparseFit
    inputs : numpy.ndarray, shape (row, input)
    task : numpy.ndarray, shape (row,)
        Codes.
    n_draws : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (draw, row)
    """
    distinct, position = np.unique(inputs, axis=0, return_inverse=True)
    roots = _kernel_roots(fit)
    values = fit.mean[:, None] + np.einsum(
        "qij,qdj->qdi", fit.root, rng.standard_normal((len(fit.mean), n_draws, fit.mean.shape[1]))
    )
    out = np.repeat(fit.intercept[task][None], n_draws, axis=0)
    g = np.empty((n_draws, len(distinct)))
    for q in range(len(fit.mean)):
        for start in range(0, len(distinct), _BLOCK):
            x = distinct[start : start + _BLOCK]
            kernel = kernel_matrix(fit.kernel, fit.inducing, x, fit.lengthscale[q])
            v = solve_triangular(roots[q], kernel, lower=True, check_finite=False)
            left = kernel_matrix(fit.kernel, x, x, fit.lengthscale[q]) - v.T @ v
            noise = rng.standard_normal((n_draws, len(x)))
            g[:, start : start + _BLOCK] = values[q] @ v + noise @ _root(left).T
        out += g[:, position.ravel()] * fit.loadings[task, q]
    return out


def _root(covariance: np.ndarray) -> np.ndarray:
    """R with R R' = covariance, which may lack full rank; rounding below zero is cut off."""
    covariance[np.diag_indices_from(covariance)] += JITTER
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0))


def _kernel_roots(fit: SparseFit) -> list[np.ndarray]:
    """L (inducing, inducing) of each latent function; functions of equal length-scales share it."""
    roots: list[np.ndarray] = []
    for q, lengthscale in enumerate(fit.lengthscale):
        if q and np.array_equal(lengthscale, fit.lengthscale[q - 1]):
            roots.append(roots[-1])
            continue
        kernel = kernel_matrix(fit.kernel, fit.inducing, fit.inducing, lengthscale)
        kernel[np.diag_indices_from(kernel)] = 1.0 + JITTER
        roots.append(np.linalg.cholesky(kernel))
    return roots


def _whitened(fit: SparseFit, roots: list[np.ndarray], inputs: np.ndarray) -> list[np.ndarray]:
    """L^-1 k(Z, x) (inducing, row) of each latent function."""
    out: list[np.ndarray] = []
    for q, root in enumerate(roots):
        if q and root is roots[q - 1]:
            out.append(out[-1])
            continue
        kernel = kernel_matrix(fit.kernel, fit.inducing, inputs, fit.lengthscale[q])
        out.append(solve_triangular(root, kernel, lower=True, check_finite=False))
    return out
