"""Gibbs updates of sparse deviations, given what the tasks share.

The other relation sees sites of ``y - X e``. Given its structure, deviations and the own parts of
the weights are drawn together, and each local scale with its deviation integrated out.
"""

import math
from typing import Any

import numpy as np

from bayesmtl.numerics.densities import log_regularised
from bayesmtl.numerics.jit import inner_kernel, kernel, lane_kernel
from bayesmtl.numerics.lanes import multiply_lanes, pack_tasks, unpack_tasks
from bayesmtl.numerics.matrices import cholesky, draw_gaussian, invert_lower
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.horseshoe import log_hyper, update_hyper
from bayesmtl.relations.exchangeable.population import joint_term, learns_scale, set_scale
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState
from bayesmtl.relations.exchangeable.updates import scale_target
from bayesmtl.relations.sparse.state import SparsePrior, SparseState

__all__ = ["log_sparse", "shift_sites", "update_sparse"]


@lane_kernel
def shift_sites(gram, moment, total, part, out_moment, out_total):
    """Moments (block, p, lane) and totals (block, lane) of sites whose rows are less ``x'part``."""
    n_lanes, p = gram.shape[2], part.shape[1]
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        multiply_lanes(gram, k, part[k], x)
        out_total[k] = total[k]
        for i in range(p):
            for v in range(n_lanes):
                out_moment[k, i, v] = moment[k, i, v] - x[i, v]
                both = moment[k, i, v] + out_moment[k, i, v]
                out_total[k, v] -= part[k, i, v] * both


@inner_kernel
def _local_target(x, args):
    """Log conditional of the log of a local scale, its deviation integrated out."""
    quadratic, linear, scale, slab = args
    square = math.exp(2.0 * x)
    whole = 1.0 + quadratic * square
    value = log_regularised(math.exp(x), scale, slab) + x
    return value + 0.5 * (linear * linear * square / whole - math.log(whole))


_slice_local = slice_sampler(_local_target)


@inner_kernel
def _own_and_sparse(gram, score, own, local, rng):
    """Draw own part and deviation (p,) together; sds ``own`` and ``local`` may be zero."""
    p = score.shape[0]
    scaled, whole = np.empty((p, p)), np.empty((p, p))
    for i in range(p):
        for j in range(p):
            scaled[i, j] = own[i] * gram[i, j]
            whole[i, j] = scaled[i, j] * own[j]
        whole[i, i] += 1.0
    inverse = invert_lower(cholesky(whole))
    half = np.dot(inverse, scaled)
    rest = score - np.dot(half.T, np.dot(inverse, own * score))
    collapsed = gram - np.dot(half.T, half)
    inner = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            inner[i, j] = local[i] * collapsed[i, j] * local[j]
        inner[i, i] += 1.0
    deviation = local * draw_gaussian(inner, local * rest, rng)
    right = own * (score - np.dot(gram, deviation))
    return own * draw_gaussian(whole, right, rng), deviation


@kernel
def _update_tasks(sites, first, center, own, weights, part, local, hyper, rng):
    """Own parts, deviations and local scales, task by task, in place."""
    n_tasks, p = part.shape
    n_lanes = weights.shape[2]
    gram, score, sds = np.empty((p, p)), np.empty(p), np.empty(p)
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        precision = sites.precision[k, v]
        for i in range(p):
            score[i], sds[i] = precision * sites.moment[k, i, v], own[k, i, v]
            for j in range(i + 1):
                value = precision * sites.gram[k, i * (i + 1) // 2 + j, v]
                gram[i, j] = gram[j, i] = value
        for i in range(p):
            for j in range(p):
                score[i] -= gram[i, j] * center[k, j, v]
        own_part, deviation = _own_and_sparse(gram, score, sds, local[t], rng)
        rest = score - np.dot(gram, own_part + deviation)
        for j in range(first, p):
            linear = rest[j] + gram[j, j] * deviation[j]
            args = (gram[j, j], linear, hyper[1], hyper[2])
            local[t, j] = math.exp(_slice_local(args, math.log(local[t, j]), 2.0, rng))
            inverse = 1.0 / local[t, j] ** 2 + gram[j, j]
            drawn = linear / inverse + rng.standard_normal() / math.sqrt(inverse)
            for i in range(p):
                rest[i] -= gram[i, j] * (drawn - deviation[j])
            deviation[j] = drawn
        part[t] = deviation
        for i in range(p):
            weights[k, i, v] = center[k, i, v] + own_part[i]


@inner_kernel
def _scale_target(x, args):
    """Log conditional of the log of one scale, own parts and deviations known by their sums."""
    whole, local, prior_args = args
    value = scale_target(x, prior_args)
    if value == -np.inf:
        return value
    square = math.exp(2.0 * x)
    for t in range(whole.shape[0]):
        variance = square + local[t] ** 2
        value -= 0.5 * (math.log(variance) + whole[t] ** 2 / variance)
    return value


_slice_scale = slice_sampler(_scale_target)


@kernel
def _update_scales(prior, state, whole, local, rng):
    """Scales of the weights around their means given own parts plus deviations (task, p)."""
    for j in rng.permutation(whole.shape[1]):
        if j < prior.block or not learns_scale(prior, j):
            continue
        joint = joint_term(prior, state, j)
        prior_args = (0.0, 0.0, 0.0, 0.0, 0.0, prior.scale_unit[j], prior.scale_prior[j], joint)
        args = (whole[:, j].copy(), local[:, j].copy(), prior_args)
        scale = math.exp(_slice_scale(args, math.log(state.scale[j]), 1.0, rng))
        set_scale(prior, state, j, scale)


def update_sparse(
    sites: Any,
    population: tuple[PopulationPrior, PopulationState],
    moments: tuple[np.ndarray, np.ndarray],
    sparse: tuple[SparsePrior, SparseState],
    *,
    alone: bool,
    rng: np.random.Generator,
) -> None:
    """Update deviations, their scales, and the own parts of the weights, in place.

    Parameters
    ----------
    sites : Sites
        Of the rows as they are.
    population : (PopulationPrior, PopulationState)
        Its weights are those without deviations.
    moments : two arrays (block, p, lane)
        Mean and sd of these weights given the structure.
    sparse : (SparsePrior, SparseState)
    alone : bool
        Whether the structure is a population alone: then its scales are updated too.
    rng : numpy.random.Generator
    """
    (prior, weights_of), (center, own), (rules, state) = population, moments, sparse
    first, weights, n_tasks = prior.block, weights_of.weights, len(state.part)
    _update_tasks(sites, first, center, own, weights, state.part, state.local, state.hyper, rng)
    # Own parts and deviations are known by their sums until the end.
    own_part = unpack_tasks(weights - center, n_tasks)
    whole, sd = own_part + state.part, unpack_tasks(own, n_tasks)
    scales, added = state.local[:, first:].ravel(), sd[:, first:].ravel() ** 2
    of_means, count = np.zeros(scales.size, dtype=np.bool_), np.ones(scales.size)
    square, of_globals = whole[:, first:].ravel() ** 2, rules.global_scale
    update_hyper(scales, of_means, count, square, added, state.hyper, of_globals, 1, 3, rng)
    state.local[:, first:] = scales.reshape(n_tasks, -1)
    if alone:
        _update_scales(prior, weights_of, whole, state.local, rng)
        sd[:, first:] = weights_of.scale[first:]
    share = state.local**2 / np.maximum(state.local**2 + sd**2, np.finfo(float).tiny)
    noise = np.sqrt(share) * sd * rng.normal(size=whole.shape)
    state.part[:, first:] = (share * whole + noise)[:, first:]
    weights[:] = center + pack_tasks(whole - state.part)


def log_sparse(prior: SparsePrior, state: SparseState, first: int) -> float:
    """Log density of deviations, local scales and hyperparameters, up to a constant."""
    return float(_log_sparse(state.part, state.local, state.hyper, prior.global_scale, first))


@kernel
def _log_sparse(part, local, hyper, global_scale, first):
    value = log_hyper(hyper, global_scale, 1)
    for t in range(part.shape[0]):
        for j in range(first, part.shape[1]):
            sd = local[t, j]
            value += log_regularised(sd, hyper[1], hyper[2])
            value -= math.log(sd) + 0.5 * (part[t, j] / sd) ** 2
    return value
