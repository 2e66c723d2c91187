"""Means, scales and feature covariance given weights of correlated tasks.

Weights of correlated tasks are linear combinations of *innovations*, which are rows of one normal
population: with ``Omega = R R'`` the rows of ``R^-1 (W - M Z)`` are independent, as are factors and
the tasks' own parts. Given them, the updates are those of exchangeable tasks.
"""

import math

import numpy as np

from bayesmtl.numerics.densities import log_signal_prior
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import LANES, VECTOR
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.collapsed import shared_with_means
from bayesmtl.relations.exchangeable.moves import (
    centred_means,
    centred_moments,
    centred_scales,
    draw_correlations,
    draw_huang_wand,
    standardise,
)
from bayesmtl.relations.exchangeable.population import joint_sums, update_means_of
from bayesmtl.relations.exchangeable.state import OTHER, PopulationPrior, PopulationState
from bayesmtl.relations.exchangeable.updates import mean_variance

__all__ = ["by_task", "place_deviations_of", "update_from_rows"]


@inner_kernel
def _to_lanes(rows):
    """(row, n) -> (block, n, lane), padded with zeros, as `pack_tasks`."""
    n_rows, n = rows.shape
    n_blocks = max(1, -(-n_rows // LANES))
    n_lanes = VECTOR * max(1, -(-n_rows // (n_blocks * VECTOR)))
    out = np.zeros((n_blocks, n, n_lanes))
    for r in range(n_rows):
        for i in range(n):
            out[r // n_lanes, i, r % n_lanes] = rows[r, i]
    return out


@inner_kernel
def by_task(values, n_tasks, first, last):
    """Coefficients ``first`` to ``last`` of (block, p, lane) as (task, last - first)."""
    n_lanes = values.shape[2]
    out = np.empty((n_tasks, last - first))
    for t in range(n_tasks):
        for i in range(first, last):
            out[t, i - first] = values[t // n_lanes, i, t % n_lanes]
    return out


@inner_kernel
def _part(prior, state, weights, design, first, last, covariance):
    """Coefficients ``first`` to ``last`` of rows (row, n) and (row, q) as a population."""
    q = prior.mean_location.shape[1]
    lanes = _to_lanes(weights)
    of_part = PopulationPrior(
        prior.mean_prior[first:last].copy(),
        prior.mean_location[first:last].copy(),
        prior.mean_unit[first:last].copy(),
        prior.mean_kind[first * q : last * q].copy(),
        prior.scale_prior[first:last].copy(),
        prior.scale_unit[first:last].copy(),
        prior.joint[first:last].copy(),
        prior.r2_prior,
        prior.shared_prior,
        covariance,
        0,
        prior.half_t_scale[first:last].copy(),
        prior.correlation_shape,
        _to_lanes(design),
        np.dot(design.T, design),
        weights.shape[0],
    )
    return of_part, PopulationState(
        state.means[first:last].copy(),
        state.scale[first:last].copy(),
        state.covariance[first:last, first:last].copy(),
        state.precision[first:last, first:last].copy(),
        state.shared,
        np.zeros_like(lanes),
        np.zeros_like(lanes),
        lanes,
    )


@inner_kernel
def _normal_means(prior, state, noise_variance, rng):
    """All means that have a normal prior, with the shared fraction of the joint prior.

    They come first and in one block: the covariance of the tasks may have been drawn without them.
    """
    precision, linear, active = centred_moments(prior, state)
    if prior.joint.any():
        shared_with_means(prior, state, precision, linear, noise_variance, rng)
    normal = active & (prior.mean_kind != OTHER)
    update_means_of(prior, state, precision, linear, normal, rng)
    standardise(prior, state)


@inner_kernel
def _signal_target(x, args):
    """Log conditional of the log of one scale of the joint prior, the signal following it.

    `scale_target` holds the signal and lets the shared fraction follow, here that is held.
    """
    count, square, others, n_scales, n_means, mean_square, shared, noise_variance, r2_row = args
    own = math.exp(2.0 * x)
    total = others + own
    variance = mean_variance(total, shared, n_means)
    value = (2.0 - count) * x - 0.5 * square / own - (n_scales - 1.0) * math.log(total)
    value += log_signal_prior(total / (1.0 - shared), noise_variance, r2_row)
    return value - 0.5 * n_means * math.log(variance) - 0.5 * mean_square / variance


_slice_signal = slice_sampler(_signal_target)


@inner_kernel
def _scales_with_signal(prior, state, noise_variance, rng):
    """Scales of the joint prior given weights, means and the shared fraction."""
    n_lanes = state.weights.shape[2]
    for j in rng.permutation(state.scale.shape[0]):
        if not prior.joint[j]:
            continue
        square = 0.0
        for k in range(state.deviation.shape[0]):
            for v in range(n_lanes):
                square += state.deviation[k, j, v] ** 2
        old = state.scale[j]
        total, n_means, n_scales, mean_square = joint_sums(prior, state)
        args = (
            float(prior.n_tasks),
            square * old**2,
            total - old**2,
            n_scales,
            n_means,
            mean_square,
            state.shared[0],
            noise_variance,
            prior.r2_prior,
        )
        state.scale[j] = math.exp(_slice_signal(args, math.log(old), 1.0, rng))
        for k in range(state.deviation.shape[0]):
            for v in range(n_lanes):
                state.deviation[k, j, v] *= old / state.scale[j]


@inner_kernel
def _update_part(prior, state, weights, design, first, last, covariance, noise_variance, rng):
    of_part, part = _part(prior, state, weights, design, first, last, covariance)
    standardise(of_part, part)
    _normal_means(of_part, part, noise_variance, rng)
    if of_part.joint.any():
        _scales_with_signal(of_part, part, noise_variance, rng)
    centred_means(of_part, part, rng)
    if covariance == 1:
        draw_huang_wand(of_part, part, rng)
    centred_scales(of_part, part, rng)
    if covariance == 2:
        draw_correlations(of_part, part, rng)
    state.means[first:last] = part.means
    state.scale[first:last] = part.scale
    state.covariance[first:last, first:last] = part.covariance
    state.precision[first:last, first:last] = part.precision


@kernel
def update_from_rows(prior, state, weights, design, noise_variance, rng):
    """Update means, scales and covariance given the innovations of the features, in place.

    Separate intercepts are independent of the features and of each other. Standardised deviations
    are left stale.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
        With the weights of the tasks.
    weights : (row, d)
        Innovations: independent, ``Normal(means @ design, scale covariance scale)``.
    design : (row, q)
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    first, p = prior.block, state.scale.shape[0]
    if first > 0:
        own = by_task(state.weights, prior.n_tasks, 0, first)
        of_tasks = by_task(prior.task_features, prior.n_tasks, 0, prior.task_features.shape[1])
        _update_part(prior, state, own, of_tasks, 0, first, 0, noise_variance, rng)
    if p > first:
        kind = prior.covariance
        _update_part(prior, state, weights, design, first, p, kind, noise_variance, rng)


@inner_kernel
def place_deviations_of(state, deviation, first):
    """Write standardised deviations (task, d) of the coefficients from ``first`` on."""
    n_lanes = state.deviation.shape[2]
    for t in range(deviation.shape[0]):
        for i in range(deviation.shape[1]):
            state.deviation[t // n_lanes, first + i, t % n_lanes] = deviation[t, i]
