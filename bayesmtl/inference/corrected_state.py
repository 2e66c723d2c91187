"""The state of a chain around fixed sites, and surrogate transitions of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.task_scales import TaskScales
from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.rows import RowKernels
from bayesmtl.numerics.lanes import site_values, unpack_tasks
from bayesmtl.relations.clusters.state import PartitionState
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.selection import SelectionState
from bayesmtl.relations.exchangeable.state import PopulationState

__all__ = [
    "CorrectedState",
    "attempt",
    "attempt_by_task",
    "corrections",
    "row_values",
    "rows_of",
]


class CorrectedState(NamedTuple):
    """All that one chain changes.

    Parameters
    ----------
    sites : Sites
        Of unit precision.
    population : PopulationState
    whitened : (block, p, lane)
        q.
    value : (block, lane)
        Log-likelihood of each task at the current weights.
    parameters : (parameter,)
        Of the likelihood.
    kicks : (task,)
        Gradients in a move of each task's weights.
    accepted : (task,) bool
        Whether the last move was.
    partition : PartitionState or None
        Where tasks fall into clusters.
    center_step : (2,)
        Step of the moves of cluster means with the labels summed out, and the acceptance rate of
        the last one; NaN where there was none.
    scales : TaskScales or None
        Where tasks have different likelihoods.
    selection : SelectionState or None
        Under feature selection.
    tasks : DenseTasks or FactorTasks or None
        Where tasks are correlated.
    root_step : (2,) or None
        Where they have a dense covariance: see `bayesmtl.relations.covariance.root.move_root`.
    own : NamedTuple of arrays or None
        What a structure of the tasks has beside their covariance.
    """

    sites: Sites
    population: PopulationState
    whitened: np.ndarray
    value: np.ndarray
    parameters: np.ndarray
    kicks: np.ndarray
    accepted: np.ndarray
    partition: PartitionState | None
    center_step: np.ndarray
    scales: TaskScales | None = None
    selection: SelectionState | None = None
    tasks: DenseTasks | FactorTasks | None = None
    root_step: np.ndarray | None = None
    own: Any = None


def rows_of(problem: Problem, state: CorrectedState) -> tuple[Any, RowKernels]:
    """The rows of a problem at the scales of a chain, and the loops over them."""
    assert problem.row_kernels is not None
    rows = problem.row_data if state.scales is None else state.scales.rows
    return rows, problem.row_kernels


def row_values(problem: Problem, state: CorrectedState) -> np.ndarray:
    """Log-likelihood (block, lane) of the tasks at the current weights."""
    rows, kernels = rows_of(problem, state)
    value = np.zeros_like(state.value)
    kernels.evaluate(rows, state.population.weights, state.parameters, value)
    return value


def corrections(state: CorrectedState, value: np.ndarray, sites: Sites | None = None) -> np.ndarray:
    """What the sites, of the state or others, leave (block, lane) of log-likelihoods."""
    of, site = state.sites if sites is None else sites, np.empty_like(value)
    site_values(of.gram, of.moment, state.population.weights, site)
    return value - site


def attempt(
    problem: Problem,
    state: CorrectedState,
    propose: Callable[[], bool | None],
    rng: np.random.Generator,
) -> bool:
    """Accept or undo a change of the structure that is reversible under the sites.

    Parameters
    ----------
    problem : Problem
    state : CorrectedState
    propose : function
        Changes the state in place, weights included, at a fixed q or fixed deviations; returns
        False where it has changed nothing.
    rng : numpy.random.Generator
    """
    parts = [*state.population, *(state.partition or ()), *(state.tasks or ()), *(state.own or ())]
    before = [part.copy() for part in parts]
    start = corrections(state, state.value).sum()
    if propose() is False:
        return False
    value = row_values(problem, state)
    # A correction that is not a number compares as false: rejected.
    if math.log1p(-rng.random()) < corrections(state, value).sum() - start:
        state.value[:] = value
        return True
    for part, old in zip(parts, before, strict=True):
        part[:] = old
    return False


def attempt_by_task(
    problem: Problem,
    state: CorrectedState,
    propose: Callable[[], None],
    of_tasks: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """As `attempt`, of changes that are independent over tasks, accepted task by task.

    Parameters
    ----------
    problem : Problem
    state : CorrectedState
    propose : function
        Changes ``of_tasks`` and the weights in place.
    of_tasks : (task, ...)
    rng : numpy.random.Generator

    Returns
    -------
    (task,) bool
        Which were accepted.
    """
    lanes = (state.population.deviation, state.population.weights)
    before, of_before = [part.copy() for part in lanes], of_tasks.copy()
    start = corrections(state, state.value)
    propose()
    value = row_values(problem, state)
    accepted = np.log1p(-rng.random(start.shape)) < corrections(state, value) - start
    np.copyto(state.value, value, where=accepted)
    for part, old in zip(lanes, before, strict=True):
        np.copyto(part, old, where=~accepted[:, None])
    kept = unpack_tasks(accepted, problem.prior.n_tasks)
    of_tasks[~kept] = of_before[~kept]
    return kept
