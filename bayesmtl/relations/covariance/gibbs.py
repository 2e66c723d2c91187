"""Gibbs sampling of correlated tasks: one of two classes of relation.

Tasks are independent given factors, or coupled through a dense covariance matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.relations.covariance.dense import DenseSites, Route, dense_sites, sweep_dense
from bayesmtl.relations.covariance.factors import sweep_factors
from bayesmtl.relations.covariance.state import (
    DenseTasks,
    FactorTasks,
    TaskCovariancePrior,
    initial_tasks,
)
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = ["TaskChain", "start_tasks", "sweep"]


class TaskChain(NamedTuple):
    """The covariance of tasks in one chain.

    Parameters
    ----------
    prior : TaskCovariancePrior
    tasks : DenseTasks or FactorTasks
    dense : DenseSites or None
        Sites by task, for a dense covariance.
    route : Route or None
    """

    prior: TaskCovariancePrior
    tasks: DenseTasks | FactorTasks
    dense: DenseSites | None = None
    route: Route | None = None


def start_tasks(
    task_prior: TaskCovariancePrior,
    sites: Sites,
    prior: PopulationPrior,
    rng: np.random.Generator,
) -> TaskChain:
    """A dispersed start."""
    n_features = prior.scale_unit.size - prior.block
    tasks = initial_tasks(task_prior, n_features, rng)
    if isinstance(tasks, DenseTasks):
        return TaskChain(task_prior, tasks, *dense_sites(sites, prior))
    return TaskChain(task_prior, tasks)


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
    sweep_dense(
        sites,
        chain.dense,
        chain.route,
        prior,
        state,
        chain.prior,
        chain.tasks,
        noise_variance,
        rng,
    )
