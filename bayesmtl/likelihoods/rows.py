"""Rows of a likelihood that is not Gaussian, and the loops over them that samplers need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.numerics.densities import ROW

__all__ = [
    "NO_PARAMETERS",
    "ParameterBlock",
    "RowData",
    "RowKernels",
    "RowParameters",
    "sort_rows",
]


class RowData(NamedTuple):
    """Rows sorted by task.

    Parameters
    ----------
    features : (p, row)
        Internal features, intercept first where it is separate.
    response, offset, size, weight : (row,)
        ``offset`` is all of the predictor that no coefficient enters; ``size`` the number of
        trials, the exposure or the known noise sd, else 1.
    start : (group + 1,)
        The rows of group g are those from ``start[g]`` to before ``start[g + 1]``.
    task : (group,)
        The task of each group of rows.
    """

    features: np.ndarray
    response: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    weight: np.ndarray
    start: np.ndarray
    task: np.ndarray


class RowKernels(NamedTuple):
    """Compiled loops of one likelihood.

    Parameters
    ----------
    evaluate : function (rows, weights, parameters, out)
        Log-likelihood of each task with rows, (block, lane).
    moments : function (rows, weights, parameters, gram, score)
        Adds information (block, p (p + 1) / 2, lane) and gradient (block, p, lane).
    move : function
        Draws the weights of each task; see `bayesmtl.numerics.row_loops`.
    score : function (rows, weights, parameters, out)
        Gradient of the log-likelihood of each task with rows, (block, p, lane).
    update : function (rows, weights, parameters, prior, rng), or None without parameters
        Draws the parameters given the weights, in place.
    log_parameters : function (rows, parameters, prior), or None
        Log prior density of the parameters on the user's scale, and what of the log-likelihood
        has no predictor and is left out of ``evaluate``.
    shift : function (parameters, linear, square, rng), or None
        Draws what may be added to all parameters and predictors.
    information : function (..., parameter) -> (...), or None
        Fisher information of a row about its predictor, where it depends on nothing else.
    move_centers : function, or None
        Draws means and labels of clusters of equal weights; see `bayesmtl.numerics.center_loops`.
    jumps : bool
        Whether ``move`` leads from mode to mode, as gradients do not.
    """

    evaluate: Callable[..., None]
    moments: Callable[..., None]
    move: Callable[..., None]
    score: Callable[..., None]
    update: Callable[..., None] | None = None
    log_parameters: Callable[..., float] | None = None
    shift: Callable[..., float] | None = None
    information: Callable[[np.ndarray], np.ndarray] | None = None
    move_centers: Callable[..., float] | None = None
    jumps: bool = False


class ParameterBlock(NamedTuple):
    """Posterior variable with parameters of a likelihood that all tasks share.

    Parameters
    ----------
    name : str
    labels : tuple
        Empty for a single number.
    dim : str or None
        Of the labels.
    log : bool
        Whether kernels work on the logarithms.
    fixed : bool or tuple
        Whether they are known numbers, or the labels of those that are.
    noise : bool
        Whether it is the noise sd that the joint prior refers to, in units of the response.
    positions : tuple of int
        Where they stand among the parameters, one may have several labels; empty: after those of
        the block before.
    """

    name: str
    labels: tuple[Any, ...] = ()
    dim: str | None = None
    log: bool = False
    fixed: bool | tuple[Any, ...] = False
    noise: bool = False
    positions: tuple[int, ...] = ()


class RowParameters(NamedTuple):
    """Parameters of a likelihood that all tasks share, as its kernels see them.

    Parameters
    ----------
    blocks : tuple of ParameterBlock
        In the order of the parameters.
    start : (parameter,)
        Known values, or an estimate from all rows.
    prior : array
        For the kernels; where one is a noise sd, see `bayesmtl.inference.nuisance.kernel_prior`.
    """

    blocks: tuple[ParameterBlock, ...]
    start: np.ndarray
    prior: np.ndarray


NO_PARAMETERS = RowParameters((), np.zeros(0), np.zeros((0, ROW)))


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
        np.arange(n_tasks),
    )
