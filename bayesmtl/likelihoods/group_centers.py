"""Moves of cluster means of tasks with different likelihoods, the labels summed out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmtl.likelihoods.rows import RowKernels
from bayesmtl.numerics.lanes import unpack_tasks

__all__ = ["move_group_centers"]

# Each gradient takes two calls a group and cluster.
_MOST_GRADIENTS = 8


def move_group_centers(
    kernels: RowKernels,
    rows: Any,
    parameters: np.ndarray,
    population: tuple[np.ndarray, np.ndarray],
    clusters: tuple[np.ndarray, np.ndarray],
    path: tuple[int, float],
    b: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """As `bayesmtl.numerics.center_loops`, through the loops of several likelihoods.

    Parameters
    ----------
    kernels : RowKernels
        Of all groups.
    rows : tuple of RowData
    parameters : (parameter,)
    population : tuple
        Center (block, p, lane) and scale (p,).
    clusters : tuple
        What the sites say (task, d (d + 1) / 2), and log shares (cluster,).
    path : tuple
        Number and size of the steps.
    b : (cluster, d)
        Standardised means, moved in place.
    labels : (task,)
        Drawn in place.
    rng : numpy.random.Generator

    Returns
    -------
    float
        Acceptance rate.
    """
    (a, log_share), (most, step) = clusters, path
    n_tasks, d = len(labels), b.shape[1]
    information = np.zeros((d, d))
    row, column = np.tril_indices(d)
    information[row, column] = information[column, row] = a.sum(axis=0)
    precision = np.eye(d) + np.exp(log_share)[:, None, None] * information
    inverse = np.linalg.inv(np.linalg.cholesky(precision))

    def summed(b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return _summed(kernels, rows, parameters, population, log_share, b, n_tasks)

    momentum, point = rng.standard_normal(b.shape), b.copy()
    density, gradient, values = summed(point)
    level = density - 0.5 * float((momentum**2).sum())
    before = values
    # Paths may diverge.
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(min(most, _MOST_GRADIENTS)):
            momentum += 0.5 * step * np.einsum("kij,kj->ki", inverse, gradient)
            point += step * np.einsum("kij,ki->kj", inverse, momentum)
            density, gradient, values = summed(point)
            momentum += 0.5 * step * np.einsum("kij,kj->ki", inverse, gradient)
        # A density that is not a number is refused.
        change = np.nan_to_num(density - 0.5 * float((momentum**2).sum()) - level, nan=-np.inf)
    if np.log1p(-rng.random()) < change:
        b[:] = point
    else:
        values = before
    labels[:] = np.argmax(values + rng.gumbel(size=values.shape), axis=1)
    return float(np.exp(min(change, 0.0)))


def _summed(
    kernels: RowKernels,
    rows: Any,
    parameters: np.ndarray,
    population: tuple[np.ndarray, np.ndarray],
    log_share: np.ndarray,
    b: np.ndarray,
    n_tasks: int,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log density of b, its gradient, and logs of share times likelihood (task, cluster)."""
    (center, scale), d = population, b.shape[1]
    values, scores = np.empty((n_tasks, len(b))), np.empty((len(b), n_tasks, d))
    for k in range(len(b)):
        weights = center + (scale * b[k])[:, None]
        value, score = np.zeros((center.shape[0], center.shape[2])), np.zeros_like(center)
        gram = np.zeros((center.shape[0], d * (d + 1) // 2, center.shape[2]))
        kernels.evaluate(rows, weights, parameters, value)
        kernels.moments(rows, weights, parameters, gram, score)
        values[:, k] = unpack_tasks(value, n_tasks) + log_share[k]
        scores[k] = unpack_tasks(score, n_tasks)
    whole = logsumexp(values, axis=1, keepdims=True)
    gradient = np.einsum("tk,kti->ki", np.exp(values - whole), scores) * scale - b
    return float(whole.sum() - 0.5 * (b**2).sum()), gradient, values
