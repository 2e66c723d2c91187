"""Draws of the covariance of tasks from its prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.numerics.matrices import draw_inverse_wishart
from bayesmtl.relations.covariance.state import (
    HALF_T_DOF,
    HALF_T_SCALE,
    LKJ_SHAPE,
    SLAB_RATE,
    SLAB_SHAPE,
    SPECIFIC_DOF,
    SPECIFIC_SCALE,
    SPIKE,
    STICK,
    DenseTasks,
    FactorTasks,
    TaskCovariancePrior,
)
from bayesmtl.relations.exchangeable.simulate import draw_lkj

__all__ = ["simulate_deviations", "simulate_tasks"]


def simulate_tasks(
    prior: TaskCovariancePrior, root: np.ndarray, rng: np.random.Generator
) -> tuple[DenseTasks | FactorTasks, Any]:
    """Draw from the prior: the covariance, and what a structure has beside it.

    Parameters
    ----------
    prior : TaskCovariancePrior
    root : (d, d)
        Cholesky factor of the covariance of the features' standardised deviations.
    rng : numpy.random.Generator
    """
    n_tasks = prior.n_tasks
    if prior.structure is not None:
        precision, own = prior.structure.simulate(rng)
        return DenseTasks(np.linalg.inv(precision), precision), own
    if prior.kind == "low_rank":
        return _simulate_factors(prior, root, rng), None
    covariance = prior.given
    if prior.kind == "full":
        inverse_a = rng.gamma(0.5, HALF_T_SCALE**2, n_tasks)
        scale = 2.0 * HALF_T_DOF * np.diag(inverse_a)
        covariance, _ = draw_inverse_wishart(HALF_T_DOF + n_tasks - 1.0, scale, rng)
    elif prior.kind == "lkj":
        sd = HALF_T_SCALE * np.abs(rng.standard_t(HALF_T_DOF, n_tasks))
        covariance = draw_lkj(n_tasks, LKJ_SHAPE, rng) * np.outer(sd, sd)
    return DenseTasks(covariance, np.linalg.inv(covariance)), None


def _simulate_factors(
    prior: TaskCovariancePrior, root: np.ndarray, rng: np.random.Generator
) -> FactorTasks:
    number, n_tasks = prior.n_factors, prior.n_tasks
    sticks = rng.beta(1.0, STICK, number)
    active = rng.random(number) < np.cumprod(1.0 - sticks)
    own = (SPECIFIC_SCALE * rng.standard_t(SPECIFIC_DOF, 1 if prior.common else n_tasks)) ** 2
    variance = np.where(active, SLAB_RATE / rng.gamma(SLAB_SHAPE, size=number), SPIKE)
    return FactorTasks(
        loadings=np.sqrt(variance) * rng.normal(size=(n_tasks, number)),
        factors=rng.normal(size=(number, len(root))) @ root.T,
        specific=own * np.ones(n_tasks),
        variance=variance,
        active=active,
        sticks=sticks,
    )


def simulate_deviations(
    tasks: DenseTasks | FactorTasks, root: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Standardised deviations (task, d) of the features given the covariance of the tasks."""
    n_tasks = len(tasks.covariance)
    white = rng.normal(size=(n_tasks, len(root))) @ root.T
    if isinstance(tasks, FactorTasks):
        return np.asarray(tasks.loadings @ tasks.factors + np.sqrt(tasks.specific)[:, None] * white)
    return np.asarray(np.linalg.cholesky(tasks.covariance) @ white)
