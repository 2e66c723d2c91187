"""Updates of a dense covariance of tasks: given the weights, and given innovations.

Given the weights no likelihood enters. Given whitened deviations the weights follow the covariance,
and with them what the sites say of it.
"""

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.relations.covariance.innovations import (
    by_task,
    place_deviations_of,
    update_from_rows,
)
from bayesmtl.relations.covariance.root import move_root
from bayesmtl.relations.covariance.specific import own_moments
from bayesmtl.relations.covariance.state import HALF_T_SCALE, DenseTasks
from bayesmtl.relations.covariance.task_by_task import draw_covariance, draw_scale
from bayesmtl.relations.covariance.task_rows import update_task_rows
from bayesmtl.relations.exchangeable.moves import set_weights, standardise
from bayesmtl.relations.exchangeable.updates import update_expansion

__all__ = [
    "covariance_given_innovations",
    "expand_tasks",
    "scale_tasks",
    "standard_sites",
    "structure_given_weights",
]


@kernel
def standard_sites(dense, precision, scale, center):
    """Precision (task, p, p) and linear term (task, p) of the standardised deviations."""
    n_tasks, p = dense.moment.shape
    n_lanes = precision.shape[1]
    gram, score = np.empty((n_tasks, p, p)), np.empty((n_tasks, p))
    for t in range(n_tasks):
        own = precision[t // n_lanes, t % n_lanes]
        for i in range(p):
            image = 0.0
            for j in range(p):
                image += dense.gram[t, i, j] * center[t, j]
                gram[t, i, j] = own * scale[i] * scale[j] * dense.gram[t, i, j]
            score[t, i] = own * scale[i] * (dense.moment[t, i] - image)
    return gram, score


@inner_kernel
def _covariance_given_weights(prior, state, tasks, rng):
    """Covariance of the tasks; a feature whose scale is zero says nothing."""
    first, p = prior.block, state.scale.shape[0]
    deviation = by_task(state.deviation, prior.n_tasks, first, p)
    precision = state.precision[first:, first:].copy()
    d = 0
    for i in range(p - first):
        if state.scale[first + i] > 0.0:
            d += 1
        else:
            precision[i, :] = 0.0
            precision[:, i] = 0.0
    scatter = np.dot(np.dot(deviation, precision), deviation.T)
    covariance, inverse = draw_covariance(tasks.precision, scatter, d, rng)
    tasks.covariance[:] = covariance
    tasks.precision[:] = inverse


@kernel
def structure_given_weights(dense, prior, state, tasks, learned, noise_variance, step, rng):
    """The covariance if it is ``learned``, means, scales and covariance of the features.

    ``step`` (2,) is that of `move_root`.
    """
    if learned:
        _covariance_given_weights(prior, state, tasks, rng)
        move_root(prior, state, tasks, dense.design, step, rng)
    inverse = invert_lower(cholesky(tasks.covariance))
    weights = by_task(state.weights, prior.n_tasks, prior.block, state.scale.shape[0])
    rows, design = np.dot(inverse, weights), np.dot(inverse, dense.design)
    update_from_rows(prior, state, rows, design, noise_variance, rng)
    standardise(prior, state)


@kernel
def covariance_given_innovations(sites, dense, prior, state, tasks, rng):
    """Rows of the Cholesky factor, tasks in random order, and with them the weights."""
    first, p, n_tasks = prior.block, state.scale.shape[0], prior.n_tasks
    d = p - first
    order = rng.permutation(n_tasks)
    whole = by_task(state.deviation, n_tasks, 0, p)
    center = np.dot(dense.design, state.means.T)
    gram, score = standard_sites(dense, sites.precision, state.scale, center)
    covariance = np.empty((n_tasks, n_tasks))
    own_gram, own_score = np.empty((n_tasks, d, d)), np.empty((n_tasks, d))
    deviation = np.empty((n_tasks, d))
    psi = np.empty(n_tasks)
    for a in range(n_tasks):
        t = order[a]
        psi[a] = draw_scale(tasks.precision[t, t], n_tasks, rng)
        for b in range(n_tasks):
            covariance[a, b] = tasks.covariance[t, order[b]]
        for i in range(d):
            deviation[a, i] = whole[t, first + i]
            own_score[a, i] = score[t, first + i]
            # Intercepts keep their value.
            for j in range(first):
                own_score[a, i] -= gram[t, first + i, j] * whole[t, j]
            for j in range(d):
                own_gram[a, i, j] = gram[t, first + i, first + j]
    lower = cholesky(covariance)
    inverse = invert_lower(lower)
    white = np.dot(inverse, deviation)
    update_task_rows(own_gram, own_score, lower, inverse, white, psi, rng)
    deviation = np.dot(lower, white)
    inverse = invert_lower(lower)
    covariance, precision = np.dot(lower, lower.T), np.dot(inverse.T, inverse)
    for a in range(n_tasks):
        for i in range(d):
            whole[order[a], first + i] = deviation[a, i]
        for b in range(n_tasks):
            tasks.covariance[order[a], order[b]] = covariance[a, b]
            tasks.precision[order[a], order[b]] = precision[a, b]
    place_deviations_of(state, whole, 0)
    set_weights(prior, state)


@kernel
def expand_tasks(sites, prior, state, tasks, factor, rng):
    """Multiply the deviations of each task by a factor, written to ``factor`` (task,).

    The factors follow the density of the covariance with rows and columns multiplied by them, as
    `scale_tasks` then does, see `bayesmtl.relations.exchangeable.updates.update_expansion`.
    """
    n_tasks, n_lanes = prior.n_tasks, state.weights.shape[2]
    base, direction = state.weights.copy(), np.zeros_like(state.weights)
    for i in range(prior.block, state.scale.shape[0]):
        direction[:, i] = state.scale[i] * state.deviation[:, i]
        base[:, i] -= direction[:, i]
    quadratic, linear = np.empty_like(sites.precision), np.empty_like(sites.precision)
    own_moments(sites.gram, sites.moment, sites.precision, base, direction, quadratic, linear)
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        factor[t] = update_expansion(
            float(n_tasks),
            tasks.precision[t, t],
            HALF_T_SCALE,
            quadratic[k, v],
            linear[k, v],
            rng,
        )
        for i in range(prior.block, state.scale.shape[0]):
            state.deviation[k, i, v] *= factor[t]
    set_weights(prior, state)


def scale_tasks(tasks: DenseTasks, factor: np.ndarray) -> None:
    """Rows and columns of the covariance times the factors (task,), in place."""
    tasks.covariance[:] *= np.outer(factor, factor)
    tasks.precision[:] /= np.outer(factor, factor)
