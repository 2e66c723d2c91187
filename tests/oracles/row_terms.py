"""Log density, slope and information of single rows, through the compiled loops."""

import numpy as np

from bayesmtl.likelihoods.rows import RowData, RowKernels
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks

__all__ = ["row_terms", "single_rows"]


def single_rows(response: np.ndarray, size: np.ndarray) -> RowData:
    """Rows that are a task each, whose only feature is 1: the weight is the predictor."""
    n = len(response)
    ones, starts = np.ones(n), np.arange(n + 1)
    return RowData(ones[None], response.astype(float), 0.0 * ones, size, ones, starts, starts[:-1])


def row_terms(
    kernels: RowKernels,
    response: np.ndarray,
    predictor: np.ndarray,
    size: np.ndarray,
    parameters: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row,) each: log density up to what has no predictor, its slope, information."""
    rows, n = single_rows(response, size), len(response)
    weights = pack_tasks(predictor[:, None])
    value = np.zeros((weights.shape[0], weights.shape[2]))
    kernels.evaluate(rows, weights, parameters, value)
    score, gram = np.zeros_like(weights), np.zeros_like(weights)
    kernels.moments(rows, weights, parameters, gram, score)
    return tuple(unpack_tasks(part, n).reshape(n) for part in (value, score, gram))  # type: ignore[return-value]
