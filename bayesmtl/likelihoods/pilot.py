"""Gaussian sites of a likelihood that is not Gaussian, at each task's penalised mode."""

from __future__ import annotations

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.rows import RowData, RowKernels
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.priors import Prior

__all__ = [
    "SD_OF_MAD",
    "inside",
    "maximise",
    "pilot_noise",
    "pilot_sites",
    "pilot_weights",
    "residual_scale",
    "sites_at",
]

# Of a normal distribution, the sd over the median absolute deviation.
SD_OF_MAD = 1.4826022185056018

_STEPS, _HALVINGS = 30, 30
# At the first modes the noise is that of the response itself.
_NOISE_ROUNDS = 2
# Prior sds, in internal units, of the pooled weights and of a task's deviation from them.
_POOLED_SD, _TASK_SD = 2.5, 1.0
_CONVERGED = 1e-6
# Share of the rows that are taken to be left for the noise, at least.
_LEAST_SPARE = 0.1


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
    return sites_at(rows, kernels, parameters, pilot_weights(rows, kernels, parameters))


def pilot_weights(rows: RowData, kernels: RowKernels, parameters: np.ndarray) -> np.ndarray:
    """Weights (task, p) at the mode of each task."""
    n_tasks, p = rows.start.size - 1, rows.features.shape[0]
    pooled = maximise(rows, kernels, parameters, np.zeros((1, p)), _POOLED_SD)
    return maximise(rows, kernels, parameters, np.tile(pooled, (n_tasks, 1)), _TASK_SD)


def residual_scale(rows: RowData, kernels: RowKernels, parameters: np.ndarray) -> float:
    """Robust sd of the noise, from the residuals at the mode of each task.

    1.4826 times their median absolute value, which is the sd of normal ones, for as many
    coefficients as the rows determine, rather than the prior.
    """
    weights, used = pilot_weights(rows, kernels, parameters), rows.weight > 0.0
    fitted = np.einsum("jr,rj->r", rows.features, np.repeat(weights, np.diff(rows.start), axis=0))
    gram, _ = _moments(rows, kernels, parameters, weights)
    information = np.linalg.eigvalsh(gram) * _TASK_SD**2
    determined = (information / (1.0 + information)).sum()
    spare = max(_LEAST_SPARE, 1.0 - determined / used.sum())
    size = np.abs(rows.response - rows.offset - fitted)[used]
    return float(SD_OF_MAD * np.median(size) / np.sqrt(spare))


def pilot_noise(
    rows: RowData, kernels: RowKernels, parameters: np.ndarray, prior: Prior, unit: float
) -> None:
    """Set the first parameter, the log of the noise sd in units of ``unit``, from the residuals."""
    for _ in range(_NOISE_ROUNDS):
        scale = residual_scale(rows, kernels, parameters)
        parameters[0] = np.log(inside(prior, unit * scale) / unit)


def inside(value: Prior | float, estimate: float) -> float:
    """A known value, or an estimate where the prior allows it, else the median of the prior."""
    if not isinstance(value, Prior):
        return value
    allowed = value.lower < estimate < value.upper
    return estimate if allowed else float(value.quantile(np.array(0.5)))


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
