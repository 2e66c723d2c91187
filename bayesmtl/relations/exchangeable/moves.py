"""Kernels of a sweep over one normal population: weights, then centred and non-centred updates."""

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import (
    draw_deviations,
    mean_moments,
    rescaling_moments,
    scale_moments,
    task_means,
)
from bayesmtl.numerics.matrices import draw_correlation, draw_inverse_wishart, inverse_spd
from bayesmtl.relations.exchangeable.population import (
    joint_sums,
    joint_term,
    learns_scale,
    set_scale,
    update_means_of,
    varying_features,
)
from bayesmtl.relations.exchangeable.updates import (
    HUANG_WAND_DOF,
    update_expansion,
    update_rescaling,
    update_scale,
    update_shared,
)

__all__ = [
    "centred_means",
    "centred_moments",
    "centred_scales",
    "clear_padding",
    "draw_correlations",
    "draw_huang_wand",
    "draw_weights",
    "noncentred_means",
    "noncentred_scales",
    "rescale_joint",
    "set_weights",
    "shared_given_scales",
    "standardise",
    "update_joint",
    "update_scales",
]


@inner_kernel
def set_weights(prior, state):
    """Weights of the current means, scales and standardised deviations."""
    n_lanes = state.weights.shape[2]
    task_means(state.means, prior.task_features, state.center)
    for k in range(state.weights.shape[0]):
        for i in range(state.scale.shape[0]):
            for v in range(n_lanes):
                state.weights[k, i, v] = (
                    state.center[k, i, v] + state.scale[i] * state.deviation[k, i, v]
                )


@kernel
def standardise(prior, state):
    """Deviations of the current weights from the current means; kept where the scale is zero."""
    n_lanes = state.weights.shape[2]
    task_means(state.means, prior.task_features, state.center)
    for i in range(state.scale.shape[0]):
        if state.scale[i] > 0.0:
            inverse = 1.0 / state.scale[i]
            for k in range(state.weights.shape[0]):
                for v in range(n_lanes):
                    state.deviation[k, i, v] = (
                        state.weights[k, i, v] - state.center[k, i, v]
                    ) * inverse
    clear_padding(prior, state)


@inner_kernel
def clear_padding(prior, state):
    """Tasks that only fill up the last block have no deviation."""
    n_lanes = state.weights.shape[2]
    last = state.deviation.shape[0] - 1
    for v in range(prior.n_tasks - last * n_lanes, n_lanes):
        state.deviation[last, :, v] = 0.0


@inner_kernel
def _scatter(prior, state, full):
    """``sum_t z_t z_t'`` of the standardised deviations; the diagonal only unless ``full``."""
    n_lanes = state.weights.shape[2]
    p = state.scale.shape[0]
    lanes = np.zeros(n_lanes)
    out = np.zeros((p, p))
    for i in range(p):
        for j in range(i + 1):
            if j == i or (full and j >= prior.block):
                lanes[:] = 0.0
                for k in range(state.deviation.shape[0]):
                    for v in range(n_lanes):
                        lanes[v] += state.deviation[k, i, v] * state.deviation[k, j, v]
                out[i, j] = out[j, i] = lanes.sum()
    return out


@inner_kernel
def update_scales(prior, state, count, square, cross, precision, linear, rng):
    """The learned scales one by one at fixed means, in random order and so reversibly.

    The likelihood terms are as in `update_scale`.

    ``count``, ``square`` and ``linear`` are (p,), ``cross`` and ``precision`` (p, p): ``square``
    and ``cross`` multiply powers of 1 / s_j, ``precision`` and ``linear`` of s_j; off-diagonal
    parts enter through the other scales.
    """
    p = state.scale.shape[0]
    for j in rng.permutation(p):
        if not learns_scale(prior, j):
            continue
        if prior.covariance == 1 and j >= prior.block:
            continue
        joint = joint_term(prior, state, j)
        tilt = 0.0
        slope = linear[j]
        for k in range(p):
            if k != j:
                if state.scale[k] > 0.0:
                    tilt += cross[j, k] / state.scale[k]
                slope -= precision[j, k] * state.scale[k]
        scale = update_scale(
            state.scale[j],
            count[j],
            square[j],
            tilt,
            precision[j, j],
            slope,
            prior.scale_unit[j],
            prior.scale_prior[j],
            joint,
            rng,
        )
        set_scale(prior, state, j, scale)


@kernel
def draw_weights(sites, prior, state, rng):
    """Weights given the population, in the form of standardised deviations."""
    task_means(state.means, prior.task_features, state.center)
    draw_deviations(
        sites.gram,
        sites.moment,
        sites.precision,
        state.center,
        state.scale,
        state.precision,
        rng,
        state.deviation,
    )
    clear_padding(prior, state)
    set_weights(prior, state)


@inner_kernel
def centred_moments(prior, state):
    """Precision and linear term of the means given the weights, and which of them these inform."""
    n_lanes = state.weights.shape[2]
    p, q = state.means.shape
    active = np.zeros(p * q, dtype=np.bool_)
    precision = np.zeros((p * q, p * q))
    linear = np.zeros(p * q)
    moments = np.zeros((p, q))
    for k in range(state.weights.shape[0]):
        for i in range(p):
            for a in range(q):
                for v in range(n_lanes):
                    moments[i, a] += state.weights[k, i, v] * prior.task_features[k, a, v]
    for i in range(p):
        for j in range(p):
            if state.precision[i, j] != 0.0 and state.scale[i] > 0.0 and state.scale[j] > 0.0:
                weight = state.precision[i, j] / (state.scale[i] * state.scale[j])
                for a in range(q):
                    active[i * q + a] = True
                    linear[i * q + a] += weight * moments[j, a]
                    for b in range(q):
                        precision[i * q + a, j * q + b] = weight * prior.task_cross[a, b]
    return precision, linear, active


@kernel
def centred_means(prior, state, rng):
    """Means given the weights; those of coefficients without a spread keep their value."""
    precision, linear, active = centred_moments(prior, state)
    update_means_of(prior, state, precision, linear, active, rng)
    standardise(prior, state)


@kernel
def centred_scales(prior, state, rng):
    """Scales given weights and means: ``sum_t dev' P dev = sum_ij P_ij S_ij / (s_i s_j)``."""
    p = state.scale.shape[0]
    scatter = _scatter(prior, state, prior.covariance != 0)
    square = np.empty(p)
    cross = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            raw = scatter[i, j] * state.scale[i] * state.scale[j]
            cross[i, j] = state.precision[i, j] * raw
        square[i] = cross[i, i]
    count = np.full(p, float(prior.n_tasks))
    none = np.zeros((p, p))
    update_scales(prior, state, count, square, cross, none, np.zeros(p), rng)
    standardise(prior, state)


@kernel
def draw_huang_wand(prior, state, rng):
    """``a | D``, then ``D | a, deviations`` of the Huang-Wand prior."""
    b = prior.block
    d = state.scale.shape[0] - b
    if d == 0:
        return
    scale = _scatter(prior, state, True)[b:, b:].copy()
    for j in range(d):
        rate = HUANG_WAND_DOF * state.precision[b + j, b + j] + 1.0 / prior.half_t_scale[b + j] ** 2
        inverse_a = rng.standard_gamma(0.5 * (HUANG_WAND_DOF + d)) / rate
        scale[j, j] += 2.0 * HUANG_WAND_DOF * inverse_a
    dof = HUANG_WAND_DOF + d - 1.0 + prior.n_tasks
    covariance, precision = draw_inverse_wishart(dof, scale, rng)
    state.covariance[b:, b:] = covariance
    state.precision[b:, b:] = precision


@kernel
def draw_correlations(prior, state, rng):
    """Correlations given the deviations; a feature whose scale is zero has none."""
    members = varying_features(prior, state)
    d = members.shape[0]
    if d < 2:
        return
    scatter = _scatter(prior, state, True)
    correlation, sums = np.empty((d, d)), np.empty((d, d))
    for i in range(d):
        for j in range(d):
            correlation[i, j] = state.covariance[members[i], members[j]]
            sums[i, j] = scatter[members[i], members[j]]
    draw_correlation(correlation, sums, prior.n_tasks, prior.correlation_shape, rng)
    precision = inverse_spd(correlation)
    for i in range(d):
        for j in range(d):
            state.covariance[members[i], members[j]] = correlation[i, j]
            state.precision[members[i], members[j]] = precision[i, j]


@kernel
def noncentred_means(sites, prior, state, rng):
    """Means given the standardised deviations."""
    p, q = state.means.shape
    precision, linear = mean_moments(
        sites.gram,
        sites.moment,
        sites.precision,
        state.deviation,
        state.scale,
        prior.task_features,
    )
    active = np.ones(p * q, dtype=np.bool_)
    update_means_of(prior, state, precision, linear, active, rng)
    set_weights(prior, state)


@kernel
def noncentred_scales(sites, prior, state, rng):
    """Scales given the standardised deviations, and the expansion of a Huang-Wand covariance."""
    precision, linear = scale_moments(
        sites.gram, sites.moment, sites.precision, state.center, state.deviation
    )
    if prior.covariance == 1:
        _expand(prior, state, precision, linear, rng)
    else:
        _noncentred_updates(prior, state, precision, linear, rng)
    set_weights(prior, state)


@inner_kernel
def _noncentred_updates(prior, state, precision, linear, rng):
    p = state.scale.shape[0]
    none = np.zeros((p, p))
    update_scales(prior, state, np.zeros(p), np.zeros(p), none, precision, linear, rng)


@inner_kernel
def _expand(prior, state, scale_precision, scale_linear, rng):
    """Multiply each feature's deviations and its row of the Huang-Wand covariance by one factor.

    In random order, the scales of the coefficients before them among them, and so reversibly.
    """
    n_lanes = state.weights.shape[2]
    p, b = state.scale.shape[0], prior.block
    # For the time being the scales of the features are the factors.
    for step in rng.permutation(p - b + 1):
        if step == p - b:
            _noncentred_updates(prior, state, scale_precision, scale_linear, rng)
            continue
        j = b + step
        slope = scale_linear[j]
        for k in range(p):
            if k != j:
                slope -= scale_precision[j, k] * state.scale[k]
        state.scale[j] = update_expansion(
            float(p - b),
            state.precision[j, j],
            prior.half_t_scale[j],
            scale_precision[j, j],
            slope,
            rng,
        )
    for i in range(b, p):
        for k in range(state.deviation.shape[0]):
            for v in range(n_lanes):
                state.deviation[k, i, v] *= state.scale[i]
        for j in range(b, p):
            state.covariance[i, j] *= state.scale[i] * state.scale[j]
            state.precision[i, j] /= state.scale[i] * state.scale[j]
    state.scale[b:] = 1.0


@kernel
def update_joint(sites, prior, state, noise_variance, rng):
    """Shared fraction, then a common rescaling of all that follows the joint prior."""
    shared_given_scales(prior, state, noise_variance, rng)
    rescale_joint(sites, prior, state, noise_variance, rng)


@kernel
def shared_given_scales(prior, state, noise_variance, rng):
    """Shared fraction given means and scales of the joint prior."""
    total, n_means, count, square = joint_sums(prior, state)
    if count == 0.0:
        return
    state.shared[0] = update_shared(
        state.shared[0],
        total,
        n_means,
        square,
        noise_variance,
        prior.r2_prior,
        prior.shared_prior,
        rng,
    )


@kernel
def rescale_joint(sites, prior, state, noise_variance, rng):
    """Multiply means and scales of the joint prior by one factor, standardised deviations fixed."""
    n_lanes = state.weights.shape[2]
    total, _, count, _ = joint_sums(prior, state)
    if count == 0.0:
        return
    # What the signal scales: means of the joint prior and deviations, not effects with own priors.
    p, q = state.means.shape
    part = np.zeros_like(state.weights)
    for k in range(part.shape[0]):
        for i in range(p):
            for v in range(n_lanes):
                if prior.joint[i]:
                    part[k, i, v] = state.scale[i] * state.deviation[k, i, v]
                for a in range(q):
                    if prior.mean_kind[i * q + a] == 3:
                        part[k, i, v] += state.means[i, a] * prior.task_features[k, a, v]
    precision, linear = rescaling_moments(
        sites.gram, sites.moment, sites.precision, state.weights, part
    )
    signal = total / (1.0 - state.shared[0])
    factor = update_rescaling(precision, linear, signal, noise_variance, prior.r2_prior, rng)
    for i in range(p):
        if prior.joint[i]:
            state.scale[i] *= factor
        for a in range(q):
            if prior.mean_kind[i * q + a] == 3:
                state.means[i, a] *= factor
    set_weights(prior, state)
