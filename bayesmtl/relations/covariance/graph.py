"""The covariance of tasks as PyMC variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from bayesmtl.assembly import Problem
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
)
from bayesmtl.relations.exchangeable.graph import huang_wand_correction, lkj_root
from bayesmtl.relations.graph.graph import add_structure_root

__all__ = ["add_task_covariance", "draw_active"]


def add_task_covariance(problem: Problem, offset: Any, root: Any) -> Any:
    """Standardised deviations (task, feature) of correlated tasks.

    Parameters
    ----------
    problem : Problem
    offset : (task, feature)
        Standard normal variables.
    root : (feature, feature) or None
        Cholesky factor of the correlations of the features; None where they have none.
    """
    prior = problem.task_covariance
    assert prior is not None
    white = offset if root is None else offset @ root.T
    if prior.kind == "low_rank":
        return _factors(problem, white, root)
    return _task_root(problem) @ white


def _task_root(problem: Problem) -> Any:
    """Root of a dense covariance, which becomes the variable ``task_covariance``."""
    import pymc as pm
    import pytensor.tensor as pt

    prior = problem.task_covariance
    assert prior is not None
    if prior.structure is not None:
        root = add_structure_root(prior.structure)
    elif prior.kind == "given":
        root = pt.as_tensor(np.linalg.cholesky(prior.given))
    else:
        sd = pm.HalfStudentT("task_scale", nu=HALF_T_DOF, sigma=HALF_T_SCALE, dims="task")
        shape = LKJ_SHAPE if prior.kind == "lkj" else 1.0
        small = pt.ones((1, 1))
        if prior.n_tasks > 1:
            small = lkj_root(prior.n_tasks, shape, "task_partial_correlation_unit")
        if prior.kind == "full":
            correction = huang_wand_correction(sd / HALF_T_SCALE, small, prior.n_tasks)
            pm.Potential("task_huang_wand", correction)
        root = sd[:, None] * small
    pm.Deterministic("task_covariance", root @ root.T, dims=("task", "task_bis"))
    return root


def _factors(problem: Problem, white: Any, root: Any) -> Any:
    """Factors with the spike or slab of each summed out; ``slab_variance`` is that if it is one."""
    import pymc as pm
    import pytensor.tensor as pt
    from pytensor.tensor.special import logaddexp

    prior = problem.task_covariance
    assert prior is not None
    n_tasks = prior.n_tasks
    sticks = pm.Beta("sticks", 1.0, STICK, dims="factor")
    slab = pm.InverseGamma("slab_variance", SLAB_SHAPE, SLAB_RATE, dims="factor")
    # The normal is taken back below: what remains is the mixture.
    loadings = pm.Normal("loadings", 0.0, 1.0, dims=("task", "factor"))
    square = (loadings**2).sum(axis=0)
    log_slab_probability = pt.cumsum(pt.log1p(-sticks))
    log_spike_probability = pt.log(-pt.expm1(log_slab_probability))
    mixture = logaddexp(
        log_spike_probability - 0.5 * (square / SPIKE + n_tasks * np.log(SPIKE)),
        log_slab_probability - 0.5 * (square / slab + n_tasks * pt.log(slab)),
    )
    pm.Potential("cumulative_shrinkage", (mixture + 0.5 * square).sum())
    offset = pm.Normal("factors_offset", dims=("factor", "feature"))
    factors = offset if root is None else offset @ root.T
    pm.Deterministic("factors", factors, dims=("factor", "feature"))
    if prior.common:
        one = pm.HalfStudentT("common_sd", nu=SPECIFIC_DOF, sigma=SPECIFIC_SCALE)
        own = pm.Deterministic("specific_sd", one * pt.ones(n_tasks), dims="task")
    else:
        own = pm.HalfStudentT("specific_sd", nu=SPECIFIC_DOF, sigma=SPECIFIC_SCALE, dims="task")
    return loadings @ factors + own[:, None] * white


def draw_active(
    loadings: np.ndarray, slab: np.ndarray, sticks: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Which factors (..., factor) are active, given loadings, slab variances and sticks."""
    square = (loadings**2).sum(axis=-2)
    n_tasks = loadings.shape[-2]
    log_slab = np.cumsum(np.log1p(-sticks), axis=-1)
    log_spike = np.log(-np.expm1(log_slab)) - 0.5 * (square / SPIKE + n_tasks * np.log(SPIKE))
    log_slab = log_slab - 0.5 * (square / slab + n_tasks * np.log(slab))
    return np.asarray(rng.random(square.shape) < expit(log_slab - log_spike))
