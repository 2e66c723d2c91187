"""Writing what every chain has, population and partition, as draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import (
    Draws,
    PartitionDraws,
    SelectionDraws,
    SparseDraws,
    TaskDraws,
    widen,
)
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.clusters.state import PartitionState
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks, TaskCovariancePrior
from bayesmtl.relations.exchangeable.selection import SelectionState, log_selection
from bayesmtl.relations.exchangeable.state import HUANG_WAND, PopulationState
from bayesmtl.relations.sparse.gibbs import log_sparse
from bayesmtl.relations.sparse.state import SparseState

__all__ = [
    "record_selection",
    "record_sparse",
    "record_structure",
    "record_tasks",
    "structure_storage",
    "task_draw",
    "task_storage",
]

# Clusters that a draw has room for at first.
_FEW_CLUSTERS = 16


def structure_storage(
    problem: Problem, partition: PartitionState | None, draws: int, *, keep_weights: bool
) -> Draws:
    """Empty arrays for the draws of one chain, without noise and parameters of the likelihood."""
    prior = problem.prior
    p, q = prior.mean_location.shape
    return Draws(
        means=np.empty((draws, p, q)),
        scale=np.empty((draws, p)),
        correlation=np.empty((draws, p, p)) if problem.correlated_features else None,
        shared=np.empty(draws) if prior.joint.any() else None,
        noise_median=None,
        noise_spread=None,
        log_noise=None,
        weights=np.empty((draws, prior.n_tasks, p)) if keep_weights else None,
        lp=np.empty(draws),
        partition=None if partition is None else _partition_storage(partition, draws),
        selection=None
        if problem.selection is None
        else SelectionDraws(np.empty((draws, p, q)), np.empty((draws, 3))),
        sparse=None
        if problem.sparse is None
        else SparseDraws(
            np.empty((draws, prior.n_tasks, p)),
            np.empty((draws, prior.n_tasks, p)),
            np.empty((draws, 3)),
        ),
    )


def record_structure(
    problem: Problem,
    population: PopulationState,
    partition: PartitionState | None,
    storage: Draws,
    draw: int,
) -> Draws:
    """Write population, weights and partition; the storage grows with the number of clusters."""
    storage.means[draw] = population.means
    storage.scale[draw] = population.scale
    if storage.correlation is not None:
        storage.correlation[draw] = population.covariance
        if problem.prior.covariance == HUANG_WAND:
            sd = np.sqrt(np.diag(population.covariance))
            storage.scale[draw] *= sd
            storage.correlation[draw] /= np.outer(sd, sd)
    if storage.shared is not None:
        storage.shared[draw] = population.shared[0]
    if storage.weights is not None:
        storage.weights[draw] = unpack_tasks(population.weights, problem.prior.n_tasks)
    if partition is None or storage.partition is None:
        return storage
    return storage._replace(partition=_record_partition(partition, storage.partition, draw))


def record_selection(
    problem: Problem, selection: SelectionState | None, storage: Draws, draw: int
) -> float:
    """Write what selects features; its log prior density, 0 without selection."""
    if selection is None or storage.selection is None:
        return 0.0
    storage.selection.local[draw] = selection.local
    storage.selection.hyper[draw] = selection.hyper
    return float(log_selection(problem.selection, selection))


def record_sparse(problem: Problem, sparse: SparseState | None, storage: Draws, draw: int) -> float:
    """Write sparse deviations and add them to the weights; their log density, 0 without."""
    if sparse is None or storage.sparse is None or problem.sparse is None:
        return 0.0
    for values, part in zip(sparse, storage.sparse, strict=True):
        part[draw] = values
    if storage.weights is not None:
        storage.weights[draw] += sparse.part
    return log_sparse(problem.sparse, sparse, problem.prior.block)


def _partition_storage(partition: PartitionState, draws: int) -> PartitionDraws:
    """Empty arrays for the draws of one chain."""
    n_tasks, d = partition.center.shape
    return PartitionDraws(
        labels=np.empty((draws, n_tasks), dtype=np.int32),
        concentration=np.empty(draws),
        discount=np.empty(draws),
        between=np.empty(draws),
        n_components=np.empty(draws, dtype=np.int32),
        centers=np.full((draws, min(n_tasks, _FEW_CLUSTERS), d), np.nan),
    )


def _record_partition(
    partition: PartitionState, storage: PartitionDraws, draw: int
) -> PartitionDraws:
    """Write the current state as one draw; the storage grows with the number of clusters."""
    storage.labels[draw] = partition.labels
    storage.concentration[draw] = partition.concentration[0]
    storage.discount[draw] = partition.discount[0]
    storage.between[draw] = partition.between[0]
    storage.n_components[draw] = partition.n_components[0]
    count = int(partition.n_clusters[0])
    if count > storage.centers.shape[1]:
        storage = storage._replace(centers=widen(storage.centers, 2 * count))
    storage.centers[draw, :count] = partition.center[:count]
    return storage


def task_draw(
    prior: TaskCovariancePrior,
    tasks: DenseTasks | FactorTasks,
    own: Any,
    population: PopulationState | None,
) -> TaskDraws:
    """The covariance of the tasks as one draw.

    Parameters
    ----------
    prior : TaskCovariancePrior
    tasks : DenseTasks or FactorTasks
    own : NamedTuple of arrays or None
        Of a structure of the tasks.
    population : PopulationState or None
        Factors are divided by the sds of its covariance, if it is given.
    """
    if isinstance(tasks, DenseTasks):
        recorded = {} if prior.structure is None else prior.structure.recorded(own)
        return TaskDraws(tasks.covariance, **recorded)
    factors = tasks.factors
    if population is not None:
        factors = factors / np.sqrt(np.diag(population.covariance))[-factors.shape[1] :]
    rank = np.array(tasks.active.sum(), dtype=np.int32)
    return TaskDraws(None, tasks.loadings, factors, tasks.specific, tasks.variance, rank)


def task_storage(
    prior: TaskCovariancePrior, tasks: DenseTasks | FactorTasks, own: Any, draws: int
) -> TaskDraws:
    """Empty arrays for the draws of one chain."""
    parts = task_draw(prior, tasks, own, None)
    return TaskDraws(
        *(None if x is None else np.empty((draws, *x.shape), dtype=x.dtype) for x in parts)
    )


def record_tasks(
    prior: TaskCovariancePrior,
    tasks: DenseTasks | FactorTasks,
    own: Any,
    population: PopulationState,
    storage: TaskDraws,
    draw: int,
) -> None:
    """Write the covariance of the tasks as one draw."""
    for values, part in zip(task_draw(prior, tasks, own, population), storage, strict=True):
        if part is not None:
            part[draw] = values
