"""Least-squares estimates of each task by itself, to show what sharing changed."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.scaling import INTERCEPT

__all__ = ["unpooled_weights"]

_TASK_LIMIT = 20_000


def unpooled_weights(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and standard error of each weight from its task's rows alone.

    A weight that the rows of its task do not determine is NaN, and so is a standard error where it
    is not known and the task has no rows to spare. Beyond 20,000 tasks all are NaN.

    Returns
    -------
    estimate, sd : (task, feature)
        User scale.
    """
    first = int(problem.separate_intercept)
    n_tasks, n_features = problem.prior.n_tasks, len(problem.features)
    if n_tasks > _TASK_LIMIT:
        return np.full((2, n_tasks, n_features), np.nan)[0], np.full((n_tasks, n_features), np.nan)
    gram = unpack_symmetric(problem.sites.gram, n_tasks)
    moment = unpack_tasks(problem.sites.moment, n_tasks)
    values, vectors = np.linalg.eigh(gram)
    inverse = np.divide(
        1.0, values, out=np.zeros_like(values), where=values > 1e-10 * values[:, -1:]
    )
    pseudo = np.einsum("tij,tj,tkj->tik", vectors, inverse, vectors)
    projection = np.einsum("tij,tj,tij->ti", vectors, (inverse > 0).astype(float), vectors)
    determined = projection > 1.0 - 1e-6
    estimate = np.einsum("tij,tj->ti", pseudo, moment)
    residual = unpack_tasks(problem.sites.total, n_tasks) - (estimate * moment).sum(axis=1)
    counted = np.bincount(problem.rows.task, problem.row_weight > 0.0, minlength=n_tasks)
    spare = counted - (inverse > 0).sum(axis=1)
    variance = np.divide(
        np.clip(residual, 0.0, None), spare, out=np.full(n_tasks, np.nan), where=spare > 0
    )
    if problem.standard_error is not None or problem.row_data is not None:
        # Sites of unit precision: nothing is left to estimate.
        variance = np.ones(n_tasks)
    elif problem.fixed_noise is not None:
        variance = (problem.fixed_noise / problem.scaling.response_scale) ** 2
    sd = np.sqrt(np.einsum("tii->ti", pseudo) * variance[:, None])
    unit, location = problem.prior.scale_unit, problem.prior.mean_location[:, 0]
    estimate = np.where(determined, location + unit * estimate, np.nan)
    sd = np.where(determined, unit * sd, np.nan)
    if problem.groups is not None:
        scale, center = problem.groups.unit[:, None], problem.groups.center
        estimate, sd = estimate * scale, sd * scale
        if not first and INTERCEPT in problem.features:
            estimate[:, problem.features.index(INTERCEPT)] += center
    return estimate[:, first:], sd[:, first:]
