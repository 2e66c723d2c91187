"""Gibbs sampling of correlated tasks: one of two classes of relation.

Tasks are independent given factors, or coupled through a dense covariance matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.relations.covariance.dense import DenseSites, Route, dense_sites, sweep_dense
from bayesmtl.relations.covariance.factors import sweep_factors
from bayesmtl.relations.covariance.root import FIRST_STEP
from bayesmtl.relations.covariance.state import (
    DenseTasks,
    FactorTasks,
    TaskCovariancePrior,
    initial_tasks,
)
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = ["TaskChain", "adapt", "start_tasks", "sweep"]

_STEP_RATE, _STEP_ACCEPTANCE = 0.1, 0.8


class TaskChain(NamedTuple):
    """The covariance of tasks in one chain.

    Parameters
    ----------
    prior : TaskCovariancePrior
    tasks : DenseTasks or FactorTasks
    dense : DenseSites or None
        Sites by task, for a dense covariance.
    route : Route or None
    step : (2,)
        Size of the steps of `move_root` and the last probability of acceptance.
    own : NamedTuple of arrays or None
        What a structure of the tasks has beside their covariance.
    """

    prior: TaskCovariancePrior
    tasks: DenseTasks | FactorTasks
    dense: DenseSites | None = None
    route: Route | None = None
    step: np.ndarray | None = None
    own: Any = None


def start_tasks(
    task_prior: TaskCovariancePrior,
    sites: Sites,
    prior: PopulationPrior,
    rng: np.random.Generator,
) -> TaskChain:
    """A dispersed start."""
    n_features, step = prior.scale_unit.size - prior.block, np.array([FIRST_STEP, np.nan])
    if task_prior.structure is not None:
        precision, own = task_prior.structure.start(rng)
        tasks = DenseTasks(np.linalg.inv(precision), precision)
        return TaskChain(task_prior, tasks, *dense_sites(sites, prior), step, own)
    started = initial_tasks(task_prior, n_features, rng)
    if isinstance(started, DenseTasks):
        return TaskChain(task_prior, started, *dense_sites(sites, prior), step)
    return TaskChain(task_prior, started)


def sweep(
    sites: Sites,
    prior: PopulationPrior,
    state: PopulationState,
    chain: TaskChain,
    noise_variance: float,
    rng: np.random.Generator,
) -> None:
    """One sweep over weights, means, scales and both covariances, in place."""
    if isinstance(chain.tasks, FactorTasks):
        sweep_factors(sites, prior, state, chain.tasks, chain.prior.common, noise_variance, rng)
        return
    assert chain.dense is not None
    assert chain.route is not None
    assert chain.step is not None
    sweep_dense(
        sites,
        chain.dense,
        chain.route,
        prior,
        state,
        chain.prior,
        chain.tasks,
        noise_variance,
        chain.step,
        chain.own,
        rng,
    )


def adapt(step: np.ndarray | None) -> None:
    """Nearer to the step whose moves are accepted as they should; while tuning only."""
    if step is not None and np.isfinite(step[1]):
        step[0] *= np.exp(_STEP_RATE * (step[1] - _STEP_ACCEPTANCE))
