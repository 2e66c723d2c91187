"""Gaussian sites of a likelihood that is not Gaussian, at each task's penalised mode."""

from __future__ import annotations

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.rows import RowData, RowKernels
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks

__all__ = ["maximise", "pilot_sites", "sites_at"]

_STEPS, _HALVINGS = 30, 30
# Prior sds, in internal units, of the pooled weights and of a task's deviation from them.
_POOLED_SD, _TASK_SD = 2.5, 1.0
_CONVERGED = 1e-6


def pilot_sites(rows: RowData, kernels: RowKernels, parameters: np.ndarray) -> Sites:
    """Sites by Laplace's method: information at the mode, and the score that belongs to it.

    The weights of each task have a normal prior around the pooled estimate. Separable data and
    tasks without rows thus have sites too.

    Parameters
    ----------
    rows : RowData
    kernels : RowKernels
    parameters : (parameter,)
        Of the likelihood.

    Returns
    -------
    Sites
        Of unit precision.
    """
    n_tasks, p = rows.start.size - 1, rows.features.shape[0]
    pooled = maximise(rows, kernels, parameters, np.zeros((1, p)), _POOLED_SD)
    weights = maximise(rows, kernels, parameters, np.tile(pooled, (n_tasks, 1)), _TASK_SD)
    return sites_at(rows, kernels, parameters, weights)


def sites_at(
    rows: RowData, kernels: RowKernels, parameters: np.ndarray, weights: np.ndarray
) -> Sites:
    """Sites of the information and score at weights (task, p)."""
    gram, score = _moments(rows, kernels, parameters, weights)
    moment = score + np.einsum("tij,tj->ti", gram, weights)
    row, column = np.tril_indices(weights.shape[1])
    counts = np.array(
        [rows.weight[a:b].sum() for a, b in zip(rows.start[:-1], rows.start[1:], strict=True)]
    )
    lanes = pack_tasks(counts)
    # With this "sum of squares" that of the residuals about the mode is one.
    total = 1.0 + 2.0 * (weights * moment).sum(axis=1)
    total -= np.einsum("ti,tij,tj->t", weights, gram, weights)
    return Sites(
        pack_tasks(gram[:, row, column]),
        pack_tasks(moment),
        np.ones_like(lanes),
        pack_tasks(total),
        lanes,
    )


def _moments(
    rows: RowData, kernels: RowKernels, parameters: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Information (task, p, p) and gradient (task, p)."""
    n_tasks, p = weights.shape
    lanes = pack_tasks(weights)
    score = np.zeros_like(lanes)
    gram = np.zeros((lanes.shape[0], p * (p + 1) // 2, lanes.shape[2]))
    kernels.moments(rows, lanes, parameters, gram, score)
    return unpack_symmetric(gram, n_tasks), unpack_tasks(score, n_tasks)


def _values(
    rows: RowData, kernels: RowKernels, parameters: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    lanes = pack_tasks(weights)
    out = np.zeros((lanes.shape[0], lanes.shape[2]))
    kernels.evaluate(rows, lanes, parameters, out)
    return unpack_tasks(out, len(weights))


def maximise(
    rows: RowData, kernels: RowKernels, parameters: np.ndarray, start: np.ndarray, sd: float
) -> np.ndarray:
    """Fisher scoring with step halving under ``Normal(start, sd)``.

    ``start`` has a row for each task, or one for weights that all tasks share.
    """
    n_tasks, (groups, p) = rows.start.size - 1, start.shape
    weights, precision = start.copy(), np.eye(p) / sd**2

    def objective(weights: np.ndarray) -> np.ndarray:
        wide = np.broadcast_to(weights, (n_tasks, p))
        values = _values(rows, kernels, parameters, np.ascontiguousarray(wide))
        values = values.sum(keepdims=True) if groups == 1 else values
        return np.asarray(values - 0.5 * ((weights - start) ** 2).sum(axis=1) / sd**2)

    current = objective(weights)
    for _ in range(_STEPS):
        wide = np.ascontiguousarray(np.broadcast_to(weights, (n_tasks, p)))
        gram, score = _moments(rows, kernels, parameters, wide)
        if groups == 1:
            gram, score = gram.sum(axis=0, keepdims=True), score.sum(axis=0, keepdims=True)
        score -= (weights - start) / sd**2
        step = np.linalg.solve(gram + precision, score[..., None])[..., 0]
        gain = (step * score).sum(axis=1)
        for _ in range(_HALVINGS):
            proposed = objective(weights + step)
            # Values that are not finite compare as worse.
            worse = ~(proposed >= current - _CONVERGED)
            if not worse.any():
                break
            step[worse] *= 0.5
        else:
            step[worse] = 0.0
            proposed = objective(weights + step)
        weights, current = weights + step, proposed
        if gain.max() < _CONVERGED:
            break
    return weights
