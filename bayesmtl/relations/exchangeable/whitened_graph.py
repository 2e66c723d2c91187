"""The coefficients of tasks as PyMC variables that are almost standard normal in the posterior.

With the Gaussian site (G_t, h_t) of a task, its coefficients are ``w_t = c_t + B e_t``, with e_t
standard normal in the prior. Given the site and the population, e_t has precision ``A_t = I + B'G_t
B = L_t L_t'`` and mean ``A_t^-1 B'(h_t - G_t c_t)``; the variables are ``q_t = L_t'(e_t - mean)``.
What the site gets wrong, the likelihood corrects: the posterior of population and coefficients is
that of the plain graph, whatever the sites (Osmundsen, Kleppe and Liesenfeld 2021, J. Comput.
Graph. Stat. 30).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.relations.exchangeable.graph import (
    Coefficients,
    add_correlation_root,
    add_intercept_population,
    add_population,
    intercept_variable,
    weights_variable,
)

__all__ = ["add_whitened_coefficients"]


def add_whitened_coefficients(
    problem: Problem, z: Any, noise: Any, name: str = "weights", factor: Any = None
) -> Coefficients:
    """Intercepts and weights of the tasks by their sites; without clusters.

    Parameters
    ----------
    problem : Problem
    z : (task, task_feature) or None
        Centred.
    noise : tensor or float
        The sd that the joint prior refers to, user units.
    name : str
        Of the weights.
    factor : (task,) or None
        Of the predictor, over its value where the sites were taken.
    """
    import pytensor.tensor as pt

    first = int(problem.separate_intercept)
    parts, root = [], None
    if first:
        center, sd = add_intercept_population(problem, z)
        parts.append((pt.broadcast_to(center, (problem.prior.n_tasks,))[:, None], sd[None]))
    if problem.features:
        center, sd = add_population(problem, z, noise)
        parts.append((pt.broadcast_to(center, (problem.prior.n_tasks, center.shape[1])), sd))
        root = add_correlation_root(problem, sd)
    if not parts:
        return Coefficients(None, None)
    offset = _place(problem, _population(problem, parts, root), factor)
    intercept = weights = None
    if first:
        center, sd = parts[0]
        intercept = intercept_variable(center[:, 0], sd[0], offset[:, 0])
    if problem.features:
        center, sd = parts[-1]
        weights = weights_variable(center, sd, root, offset[:, first:], name)
    return Coefficients(weights, intercept)


class _Population(NamedTuple):
    """Tensors of all p coefficients in internal units: c (task, p), sds (p,), root (p, p)."""

    center: Any
    scale: Any
    root: Any


def _population(problem: Problem, parts: list[tuple[Any, Any]], root: Any) -> _Population:
    import pytensor.tensor as pt

    prior, first = problem.prior, int(problem.separate_intercept)
    center = pt.concatenate([part for part, _ in parts], axis=1)
    scale = pt.concatenate([part for _, part in parts])
    if root is not None and first:
        whole = pt.eye(prior.scale_unit.size)
        root = whole[first:, first:].set(root)
    unit = prior.scale_unit
    return _Population((center - prior.mean_location[:, 0]) / unit, scale / unit, root)


def _place(problem: Problem, population: _Population, factor: Any) -> Any:
    """Deviations e (task, p), with the Jacobian that leaves them standard normal in the prior."""
    import pymc as pm
    import pytensor.tensor as pt

    center, scale, root = population
    n_tasks, p = problem.prior.n_tasks, problem.prior.scale_unit.size
    gram = pt.as_tensor(unpack_symmetric(problem.sites.gram, n_tasks))
    moment = pt.as_tensor(unpack_tasks(problem.sites.moment, n_tasks))
    if factor is not None:
        gram, moment = gram * factor[:, None, None] ** 2, moment * factor[:, None]
    score = scale * (moment - (gram * center[:, None, :]).sum(axis=2))
    curvature = scale[:, None] * gram * scale
    if root is not None:
        score, curvature = score @ root, root.T @ curvature @ root
    q = pm.Normal("whitened", shape=(n_tasks, p))
    chol = pt.linalg.cholesky(np.eye(p) + curvature)
    # L^-T (L^-1 b + q) is the mean plus L^-T q.
    half = pt.linalg.solve_triangular(chol, score[..., None], lower=True)
    offset = pt.linalg.solve_triangular(chol.mT, half + q[..., None], lower=False)[..., 0]
    log_det = pt.log(pt.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=1)
    change = 0.5 * (q**2).sum(axis=1) - 0.5 * (offset**2).sum(axis=1) - log_det
    pm.Potential("whitening", change, dims="task")
    return offset
