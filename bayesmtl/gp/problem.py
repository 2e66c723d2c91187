"""Rows of functions in internal units, and log marginal likelihoods of their hyperparameters."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from bayesmtl.gp.hyperparameters import Gradient, Hyper

__all__ = ["FunctionRows", "Marginal", "complete_design"]


class FunctionRows(NamedTuple):
    """Rows, sorted by task, internal units.

    Parameters
    ----------
    inputs : (row, input)
    task : (row,)
    response : (row,)
        Less the prior mean of the intercept of its task.
    n_tasks : int
    level_sd : (task,)
        Prior sd of the intercepts, 0 without.
    """

    inputs: np.ndarray
    task: np.ndarray
    response: np.ndarray
    n_tasks: int
    level_sd: np.ndarray


class Marginal(Protocol):
    """A log marginal likelihood, functions and intercepts integrated out."""

    def __call__(self, hyper: Hyper) -> tuple[float, Gradient]:
        """Value and gradient."""


def complete_design(rows: FunctionRows) -> tuple[np.ndarray, np.ndarray] | None:
    """Inputs (n, input) that all tasks have once each, and the response (n, task); else None."""
    counts = np.bincount(rows.task, minlength=rows.n_tasks)
    n = len(rows.task) // rows.n_tasks
    if (counts != n).any():
        return None
    order = np.lexsort([*rows.inputs.T[::-1], rows.task])
    inputs = rows.inputs[order].reshape(rows.n_tasks, n, -1)
    if (inputs != inputs[0]).any():
        return None
    if n > 1 and (np.diff(inputs[0], axis=0) == 0.0).all(axis=1).any():
        return None
    return inputs[0], rows.response[order].reshape(rows.n_tasks, n).T
