"""Gibbs sweep over weights of tasks that share factors.

Given factors, loadings and the variances of their own parts the tasks are independent, so a sweep
costs as much as that of exchangeable tasks and a solve in the factors. Factors and loadings are
drawn with the weights integrated out.
"""

import math

import numpy as np

from bayesmtl.numerics.collapsed_lanes import collapse_lanes, collapsed_scores
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import draw_deviations, task_means
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.relations.covariance.exchange import exchange_factors
from bayesmtl.relations.covariance.innovations import (
    by_task,
    place_deviations_of,
    update_from_rows,
)
from bayesmtl.relations.covariance.shrinkage import (
    recombine_factors,
    update_loadings,
    update_sticks,
)
from bayesmtl.relations.covariance.specific import own_moments, update_specific
from bayesmtl.relations.exchangeable.moves import (
    noncentred_means,
    noncentred_scales,
    set_weights,
    standardise,
    update_joint,
)
from bayesmtl.relations.exchangeable.population import joint_sums
from bayesmtl.relations.exchangeable.rows import row_pass
from bayesmtl.relations.exchangeable.updates import mean_variance

__all__ = [
    "common_sites",
    "draw_factors",
    "independent_tasks",
    "own_sites",
    "specific_given_parts",
    "specific_given_weights",
    "sweep_factors",
    "translate_loadings",
    "update_from_factors",
]

# Draws of factors and loadings in turn, for one pass over the sites.
_REPEATS = 2


@inner_kernel
def own_sites(sites, prior, tasks):
    """Sites of the weights in units of the sds of the tasks' own parts, and these (block, lane)."""
    n_blocks, p, n_lanes = sites.moment.shape
    gram, moment = sites.gram.copy(), sites.moment.copy()
    unit = np.ones((n_blocks, n_lanes))
    for t in range(prior.n_tasks):
        unit[t // n_lanes, t % n_lanes] = math.sqrt(tasks.specific[t])
    for k in range(n_blocks):
        for i in range(prior.block, p):
            row = i * (i + 1) // 2
            for v in range(n_lanes):
                moment[k, i, v] *= unit[k, v]
            for j in range(i + 1):
                for v in range(n_lanes):
                    gram[k, row + j, v] *= unit[k, v] * (unit[k, v] if j >= prior.block else 1.0)
    return gram, moment, unit


@inner_kernel
def _own_centers(prior, state, unit, common):
    """Means (block, p, lane) of the weights in units of own parts; ``common`` is (task, d)."""
    n_lanes = unit.shape[1]
    task_means(state.means, prior.task_features, state.center)
    center = state.center.copy()
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(prior.block, center.shape[1]):
            center[k, i, v] += state.scale[i] * common[t, i - prior.block]
            center[k, i, v] /= unit[k, v]
    return center


@kernel
def independent_tasks(sites, prior, state, tasks):
    """Gram, moment and means of the weights in units of own parts: one normal population."""
    gram, moment, unit = own_sites(sites, prior, tasks)
    common = np.dot(tasks.loadings, tasks.factors)
    return gram, moment, _own_centers(prior, state, unit, common)


@inner_kernel
def common_sites(gram, moment, precision, unit, prior, state):
    """Lanes of sites of the features' common parts, weights and intercepts integrated out."""
    first, p = prior.block, state.scale.shape[0]
    n_blocks, n_lanes = unit.shape
    none = np.zeros((prior.n_tasks, p - first))
    whole, score, _ = collapse_lanes(gram, moment, precision, state.scale, state.precision)
    collapsed_scores(whole, score, _own_centers(prior, state, unit, none))
    d = p - first
    out_gram = np.empty((n_blocks, d * (d + 1) // 2, n_lanes))
    out_score = np.empty((n_blocks, d, n_lanes))
    for k in range(n_blocks):
        for i in range(d):
            own = state.scale[first + i]
            row, inner = i * (i + 1) // 2, (first + i) * (first + i + 1) // 2 + first
            for v in range(n_lanes):
                out_score[k, i, v] = score[k, first + i, v] * own / unit[k, v]
            for j in range(i + 1):
                both = own * state.scale[first + j]
                for v in range(n_lanes):
                    out_gram[k, row + j, v] = whole[k, inner + j, v] * both / unit[k, v] ** 2
    return out_gram, out_score


@inner_kernel
def draw_factors(gram, score, precision, tasks, rng):
    """All factors in one block given the loadings; gram (task, triangle), score (task, d)."""
    n_factors, d = tasks.factors.shape
    n_tasks = score.shape[0]
    products = np.empty((n_factors * (n_factors + 1) // 2, n_tasks))
    for h in range(n_factors):
        for k in range(h + 1):
            for t in range(n_tasks):
                products[h * (h + 1) // 2 + k, t] = tasks.loadings[t, h] * tasks.loadings[t, k]
    sums = np.dot(products, gram)
    size = n_factors * d
    whole = np.empty((size, size))
    for h in range(n_factors):
        for k in range(h + 1):
            packed = sums[h * (h + 1) // 2 + k]
            for i in range(d):
                for j in range(i + 1):
                    value = packed[i * (i + 1) // 2 + j]
                    whole[h * d + i, k * d + j] = value
                    whole[h * d + j, k * d + i] = value
                    whole[k * d + i, h * d + j] = value
                    whole[k * d + j, h * d + i] = value
        for i in range(d):
            for j in range(d):
                whole[h * d + i, h * d + j] += precision[i, j]
    lower = np.linalg.cholesky(whole)
    x = np.dot(tasks.loadings.T, score).reshape(size)
    for i in range(size):
        total = x[i]
        for j in range(i):
            total -= lower[i, j] * x[j]
        x[i] = total / lower[i, i]
    for i in range(size):
        x[i] += rng.standard_normal()
    for i in range(size - 1, -1, -1):
        x[i] /= lower[i, i]
        for j in range(i):
            x[j] -= lower[i, j] * x[i]
    tasks.factors[:] = x.reshape((n_factors, d))


@inner_kernel
def _draw_weights(gram, moment, precision, unit, prior, state, tasks, rng):
    """Draw the weights given the structure, in place."""
    n_lanes = unit.shape[1]
    common = np.dot(tasks.loadings, tasks.factors)
    center = _own_centers(prior, state, unit, common)
    drawn = np.zeros_like(center)
    draw_deviations(gram, moment, precision, center, state.scale, state.precision, rng, drawn)
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(state.scale.shape[0]):
            value = drawn[k, i, v]
            if i >= prior.block:
                value = unit[k, v] * value + common[t, i - prior.block]
            state.deviation[k, i, v] = value
    set_weights(prior, state)


@kernel
def sweep_factors(sites, prior, state, tasks, common, noise_variance, rng):
    """One Gibbs sweep over weights, means, scales, factors and loadings, in place.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
    state : PopulationState
    tasks : FactorTasks
    common : bool
        Whether the own parts have one variance.
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    first = prior.block
    gram, moment, unit = own_sites(sites, prior, tasks)
    of_common, score = common_sites(gram, moment, sites.precision, unit, prior, state)
    packed = by_task(of_common, prior.n_tasks, 0, of_common.shape[1])
    linear = by_task(score, prior.n_tasks, 0, score.shape[1])
    precision = state.precision[first:, first:].copy()
    for _ in range(_REPEATS):
        update_loadings(of_common, score, tasks, rng)
        draw_factors(packed, linear, precision, tasks, rng)
        recombine_factors(tasks, precision, rng)
    update_sticks(tasks, rng)
    _draw_weights(gram, moment, sites.precision, unit, prior, state, tasks, rng)
    update_from_factors(prior, state, tasks, noise_variance, rng)
    specific_given_weights(prior, state, tasks, common, rng)
    specific_given_parts(sites, prior, state, tasks, common, rng)
    translate_loadings(prior, state, tasks, rng)
    noncentred_means(sites, prior, state, rng)
    if prior.covariance == 1:
        inverse = invert_lower(cholesky(state.covariance[first:, first:].copy()))
        noncentred_scales(sites, prior, state, rng)
        row_pass(sites, prior, state, rng)
        # Factors keep their standard form, as the weights do.
        changed = cholesky(state.covariance[first:, first:].copy())
        tasks.factors[:] = np.dot(tasks.factors, np.dot(changed, inverse).T)
    else:
        noncentred_scales(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
    exchange_factors(prior, state, tasks, common, noise_variance, rng)


@inner_kernel
def update_from_factors(prior, state, tasks, noise_variance, rng):
    """Means, scales and covariance given weights and raw factors."""
    first, p, n_tasks = prior.block, state.scale.shape[0], prior.n_tasks
    n_factors, d = tasks.factors.shape
    scale = state.scale.copy()
    common = np.dot(tasks.loadings, tasks.factors)
    design = by_task(prior.task_features, n_tasks, 0, prior.task_features.shape[1])
    weights = by_task(state.weights, n_tasks, first, p)
    rows = np.empty((n_tasks + n_factors, d))
    of_rows = np.zeros((n_tasks + n_factors, design.shape[1]))
    for t in range(n_tasks):
        sd = math.sqrt(tasks.specific[t])
        for i in range(d):
            rows[t, i] = (weights[t, i] - scale[first + i] * common[t, i]) / sd
        for a in range(design.shape[1]):
            of_rows[t, a] = design[t, a] / sd
    for h in range(n_factors):
        for i in range(d):
            rows[n_tasks + h, i] = scale[first + i] * tasks.factors[h, i]
    update_from_rows(prior, state, rows, of_rows, noise_variance, rng)
    for i in range(d):
        if state.scale[first + i] > 0.0:
            tasks.factors[:, i] *= scale[first + i] / state.scale[first + i]
    standardise(prior, state)


@inner_kernel
def _own_parts(prior, state, tasks):
    """Deviations (task, d) of the features less the common parts."""
    deviation = by_task(state.deviation, prior.n_tasks, prior.block, state.scale.shape[0])
    return deviation - np.dot(tasks.loadings, tasks.factors)


@inner_kernel
def specific_given_weights(prior, state, tasks, one, rng):
    """Variances of own parts, or the ``one`` of all, given the weights."""
    first, n_tasks = prior.block, prior.n_tasks
    d = state.scale.shape[0] - first
    square, none = np.zeros(n_tasks), np.zeros(n_tasks)
    count = 0.0
    for i in range(d):
        if state.scale[first + i] > 0.0:
            count += 1.0
    if count == 0.0:
        return
    rest = _own_parts(prior, state, tasks)
    for t in range(n_tasks):
        for i in range(d):
            for j in range(d):
                if state.scale[first + i] > 0.0 and state.scale[first + j] > 0.0:
                    both = rest[t, i] * rest[t, j]
                    square[t] += state.precision[first + i, first + j] * both
    update_specific(count, square, none, none, one, tasks.specific, rng)


@kernel
def specific_given_parts(sites, prior, state, tasks, one, rng):
    """Variances of own parts, or the ``one`` of all, given the parts in units of their sds."""
    first, n_tasks, n_lanes = prior.block, prior.n_tasks, state.weights.shape[2]
    d = state.scale.shape[0] - first
    if not (state.scale[first:] > 0.0).any():
        return
    rest = _own_parts(prior, state, tasks)
    direction, base = np.zeros_like(state.weights), state.weights.copy()
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        sd = math.sqrt(tasks.specific[t])
        for i in range(d):
            own = state.scale[first + i] * rest[t, i]
            base[k, first + i, v] -= own
            rest[t, i] /= sd
            direction[k, first + i, v] = own / sd
    quadratic, linear = np.empty_like(sites.precision), np.empty_like(sites.precision)
    own_moments(sites.gram, sites.moment, sites.precision, base, direction, quadratic, linear)
    squares, slopes, none = np.empty(n_tasks), np.empty(n_tasks), np.zeros(n_tasks)
    for t in range(n_tasks):
        squares[t] = quadratic[t // n_lanes, t % n_lanes]
        slopes[t] = linear[t // n_lanes, t % n_lanes]
    update_specific(0.0, none, squares, slopes, one, tasks.specific, rng)
    deviation = np.dot(tasks.loadings, tasks.factors)
    for t in range(n_tasks):
        for i in range(d):
            deviation[t, i] += math.sqrt(tasks.specific[t]) * rest[t, i]
    place_deviations_of(state, deviation, first)
    set_weights(prior, state)


@inner_kernel
def translate_loadings(prior, state, tasks, rng):
    """Move the mean of each factor's loadings into the means of the weights, or back.

    Only where every mean of a varying feature has a normal prior; the weights stay as they are.
    """
    first, q, n_tasks = prior.block, prior.mean_location.shape[1], prior.n_tasks
    n_factors, d = tasks.factors.shape
    total, n_means, _, _ = joint_sums(prior, state)
    location, variance = np.zeros(d), np.ones(d)
    for i in range(d):
        j = first + i
        kind, row = prior.mean_kind[j * q], prior.mean_prior[j, 0]
        if state.scale[j] > 0.0 and kind in (0, 2):
            return
        if kind == 1:
            location[i] = (row[1] - prior.mean_location[j, 0]) / prior.mean_unit[j, 0]
            variance[i] = (row[2] / prior.mean_unit[j, 0]) ** 2
        elif kind == 3:
            variance[i] = mean_variance(total, state.shared[0], n_means)
    for h in range(n_factors):
        precision, linear = n_tasks / tasks.variance[h], 0.0
        for t in range(n_tasks):
            linear -= tasks.loadings[t, h] / tasks.variance[h]
        for i in range(d):
            direction = state.scale[first + i] * tasks.factors[h, i]
            precision += direction**2 / variance[i]
            linear += (state.means[first + i, 0] - location[i]) * direction / variance[i]
        step = linear / precision + rng.standard_normal() / math.sqrt(precision)
        for t in range(n_tasks):
            tasks.loadings[t, h] += step
        for i in range(d):
            state.means[first + i, 0] -= step * state.scale[first + i] * tasks.factors[h, i]
    standardise(prior, state)
