"""Rows of a likelihood that is not Gaussian, and the loops over them that samplers need."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["RowData", "RowKernels", "sort_rows"]


class RowData(NamedTuple):
    """Rows sorted by task.

    Parameters
    ----------
    features : (p, row)
        Internal features, intercept first where it is separate.
    response, offset, size, weight : (row,)
        ``offset`` is all of the predictor that no coefficient enters; ``size`` the number of
        trials, else 1.
    start : (task + 1,)
        The rows of task t are those from ``start[t]`` to before ``start[t + 1]``.
    """

    features: np.ndarray
    response: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    weight: np.ndarray
    start: np.ndarray


class RowKernels(NamedTuple):
    """Compiled loops of one likelihood.

    Parameters
    ----------
    evaluate : function (rows, weights, parameters, out)
        Log-likelihood of each task, (block, lane).
    moments : function (rows, weights, parameters, gram, score)
        Adds information (block, p (p + 1) / 2, lane) and gradient (block, p, lane).
    move : function
        Draws the weights of each task; see `bayesmtl.numerics.row_loops`.
    """

    evaluate: Callable[..., None]
    moments: Callable[..., None]
    move: Callable[..., None]


def sort_rows(
    features: np.ndarray,
    response: np.ndarray,
    task: np.ndarray,
    n_tasks: int,
    *,
    offset: np.ndarray,
    size: np.ndarray,
    weight: np.ndarray,
) -> RowData:
    """Rows in the order of their tasks, features (row, p) side by side."""
    order = np.argsort(task, kind="stable")
    counts = np.bincount(task, minlength=n_tasks)
    return RowData(
        np.ascontiguousarray(features[order].T),
        response[order].astype(np.float64),
        offset[order],
        size[order],
        weight[order],
        np.concatenate([[0], np.cumsum(counts)]),
    )
