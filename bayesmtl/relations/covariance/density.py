"""Log joint density of weights, means, scales and both covariances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import gammaln, xlogy

from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.state import (
    HALF_T_DOF,
    HALF_T_SCALE,
    SLAB_RATE,
    SLAB_SHAPE,
    SPECIFIC_DOF,
    SPECIFIC_SCALE,
    STICK,
    DenseTasks,
    FactorTasks,
    TaskCovariancePrior,
)
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = ["log_dense", "log_population"]


def _log_rows(rows: np.ndarray, precision: np.ndarray) -> float:
    """Log density of standardised rows (row, d), up to a constant."""
    sign, log_det = np.linalg.slogdet(precision)
    del sign
    return 0.5 * len(rows) * float(log_det) - 0.5 * float(((rows @ precision) * rows).sum())


def log_dense(covariance: np.ndarray, precision: np.ndarray) -> float:
    """Log density of a covariance (task, task): Huang and Wand 2013, Bayesian Anal. 8, eq. 3."""
    n = len(precision)
    log_det = float(np.linalg.slogdet(covariance)[1])
    rate = HALF_T_DOF * np.diag(precision) + 1.0 / HALF_T_SCALE**2
    value = -0.5 * (HALF_T_DOF + 2.0 * n) * log_det
    return value - 0.5 * (HALF_T_DOF + n) * float(np.log(rate).sum())


def _log_factors(tasks: FactorTasks, precision: np.ndarray, *, common: bool) -> float:
    """Loadings, factors, their variances, which are active, sticks, and sds of own parts."""
    ratio = (tasks.specific[:1] if common else tasks.specific) / (SPECIFIC_DOF * SPECIFIC_SCALE**2)
    value = -0.5 * (SPECIFIC_DOF + 1.0) * float(np.log1p(ratio).sum())
    value -= 0.5 * float((tasks.loadings**2 / tasks.variance).sum())
    value -= 0.5 * len(tasks.loadings) * float(np.log(tasks.variance).sum())
    spike = 1.0 - np.cumprod(1.0 - tasks.sticks)
    slab = tasks.variance[tasks.active]
    value += float(xlogy(tasks.active, 1.0 - spike).sum() + xlogy(~tasks.active, spike).sum())
    log_slab = SLAB_SHAPE * math.log(SLAB_RATE) - gammaln(SLAB_SHAPE)
    value += float((log_slab - (SLAB_SHAPE + 1.0) * np.log(slab) - SLAB_RATE / slab).sum())
    value += float((STICK - 1.0) * np.log1p(-tasks.sticks).sum())
    return value + _log_rows(tasks.factors, precision)


def log_population(
    prior: PopulationPrior,
    state: PopulationState,
    tasks: DenseTasks | FactorTasks,
    task_prior: TaskCovariancePrior,
    noise_variance: float,
    own: Any = None,
) -> float:
    """Log density of structure and weights, up to a constant, in internal units.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks or FactorTasks
    task_prior : TaskCovariancePrior
    noise_variance : float
    own : NamedTuple of arrays or None
        Of a structure of the tasks.
    """
    first, n_tasks = prior.block, prior.n_tasks
    value = float(log_structure(prior, state, noise_variance))
    deviation = unpack_tasks(state.deviation, n_tasks)
    scale = state.scale[state.scale > 0.0]
    value -= n_tasks * float(np.log(scale).sum())
    varying = state.scale > 0.0
    value -= 0.5 * float((deviation[:, :first][:, varying[:first]] ** 2).sum())
    members = first + np.flatnonzero(varying[first:])
    precision = state.precision[np.ix_(members, members)]
    if isinstance(tasks, DenseTasks):
        if task_prior.structure is not None:
            value += task_prior.structure.log_prior(own, tasks)
        elif task_prior.kind != "given":
            value += log_dense(tasks.covariance, tasks.precision)
        root = np.linalg.cholesky(tasks.covariance)
        white = np.linalg.solve(root, deviation[:, members])
        value -= len(members) * float(np.log(np.diag(root)).sum())
        return value + _log_rows(white, precision)
    value += _log_factors(tasks, state.precision[first:, first:], common=task_prior.common)
    common = tasks.loadings @ tasks.factors
    own = (deviation[:, first:] - common) / np.sqrt(tasks.specific)[:, None]
    value -= 0.5 * len(members) * float(np.log(tasks.specific).sum())
    return value + _log_rows(own[:, members - first], precision)
