"""Gibbs sweep of the normal population: weights in one pass, then centred and non-centred updates.

Centred updates (structure given weights) mix where the tasks' data are strong, non-centred ones (given
standardised deviations) where they are weak; every sweep does both (Yu and Meng 2011, JCGS 20).
"""

import numba
import numpy as np

from bayesmtl.numerics.lanes import (
    LANES,
    draw_deviations,
    mean_moments,
    rescaling_moments,
    scale_moments,
    task_means,
)
from bayesmtl.numerics.matrices import draw_correlation, draw_inverse_wishart, inverse_spd
from bayesmtl.relations.exchangeable.updates import (
    HUANG_WAND_DOF,
    mean_variance,
    update_expansion,
    update_means,
    update_rescaling,
    update_scale,
    update_shared,
)

__all__ = ["signal_variance", "sweep"]

_OPTIONS = {"nogil": True, "cache": True}


@numba.njit(**_OPTIONS)
def _set_weights(prior, state):  # type: ignore[no-untyped-def]
    task_means(state.means, prior.task_features, state.center)
    for k in range(state.weights.shape[0]):
        for i in range(state.scale.shape[0]):
            for v in range(LANES):
                state.weights[k, i, v] = (
                    state.center[k, i, v] + state.scale[i] * state.deviation[k, i, v]
                )


@numba.njit(**_OPTIONS)
def _standardise(prior, state):  # type: ignore[no-untyped-def]
    """Deviations of the current weights from the current means; kept where the scale is zero."""
    task_means(state.means, prior.task_features, state.center)
    for i in range(state.scale.shape[0]):
        if state.scale[i] > 0.0:
            inverse = 1.0 / state.scale[i]
            for k in range(state.weights.shape[0]):
                for v in range(LANES):
                    state.deviation[k, i, v] = (
                        state.weights[k, i, v] - state.center[k, i, v]
                    ) * inverse
    _clear_padding(prior, state)


@numba.njit(**_OPTIONS)
def _clear_padding(prior, state):  # type: ignore[no-untyped-def]
    last = state.deviation.shape[0] - 1
    for v in range(prior.n_tasks - last * LANES, LANES):
        state.deviation[last, :, v] = 0.0


@numba.njit(**_OPTIONS)
def _scatter(prior, state, full):  # type: ignore[no-untyped-def]
    """``sum_t z_t z_t'`` of the standardised deviations; the diagonal only unless ``full``."""
    p = state.scale.shape[0]
    lanes = np.zeros(LANES)
    out = np.zeros((p, p))
    for i in range(p):
        for j in range(i + 1):
            if j == i or (full and j >= prior.block):
                lanes[:] = 0.0
                for k in range(state.deviation.shape[0]):
                    for v in range(LANES):
                        lanes[v] += state.deviation[k, i, v] * state.deviation[k, j, v]
                out[i, j] = out[j, i] = lanes.sum()
    return out


@numba.njit(**_OPTIONS)
def _joint_sums(prior, state):  # type: ignore[no-untyped-def]
    """Sum of squared scales, number of means, number of scales, sum of squared means of the joint prior."""
    total, count, square = 0.0, 0.0, 0.0
    for i in range(state.scale.shape[0]):
        if prior.joint[i]:
            total += state.scale[i] ** 2
            count += 1.0
            for a in range(state.means.shape[1]):
                square += state.means[i, a] ** 2
    return total, count * state.means.shape[1], count, square


@numba.njit(**_OPTIONS)
def signal_variance(prior, state):  # type: ignore[no-untyped-def]
    """Signal variance V of the joint prior; 0 where no feature follows it."""
    total, _, count, _ = _joint_sums(prior, state)
    return total / (1.0 - state.shared[0]) if count > 0.0 else 0.0


@numba.njit(**_OPTIONS)
def _update_means(prior, state, precision, linear, active, rng):  # type: ignore[no-untyped-def]
    total, n_means, _, _ = _joint_sums(prior, state)
    variance = mean_variance(total, state.shared[0], n_means) if n_means > 0.0 else 1.0
    update_means(
        precision,
        linear,
        prior.mean_kind,
        active,
        prior.mean_prior.reshape(-1, prior.mean_prior.shape[2]),
        prior.mean_location.reshape(-1),
        prior.mean_unit.reshape(-1),
        variance,
        state.means.reshape(-1),
        rng,
    )


@numba.njit(**_OPTIONS)
def _update_scales(prior, state, count, square, cross, precision, linear, noise_variance, rng):  # type: ignore[no-untyped-def]
    """One pass over the learned scales at fixed means; the likelihood terms as in `update_scale`.

    ``square`` and ``cross`` multiply powers of 1 / s_j, ``precision`` and ``linear`` of s_j; ``cross``
    and ``precision`` are (p, p), their off-diagonal parts enter through the other scales.
    """
    p = state.scale.shape[0]
    for j in range(p):
        if prior.scale_prior[j, 0] == 0.0 and not prior.joint[j]:
            continue
        if prior.covariance == 1 and j >= prior.block:
            continue
        total, n_means, n_scales, mean_square = _joint_sums(prior, state)
        joint = (
            prior.joint[j],
            total - state.scale[j] ** 2,
            state.shared[0],
            n_means,
            n_scales,
            mean_square,
            noise_variance,
            prior.r2_prior,
        )
        tilt = 0.0
        slope = linear[j]
        for k in range(p):
            if k != j:
                if state.scale[k] > 0.0:
                    tilt += cross[j, k] / state.scale[k]
                slope -= precision[j, k] * state.scale[k]
        state.scale[j] = update_scale(
            state.scale[j],
            count,
            square[j],
            tilt,
            precision[j, j],
            slope,
            prior.scale_unit[j],
            prior.scale_prior[j],
            joint,
            rng,
        )


@numba.njit(**_OPTIONS)
def _centred(prior, state, noise_variance, rng):  # type: ignore[no-untyped-def]
    """Means, scales and covariance given the weights."""
    p, q = state.means.shape
    active = np.zeros(p * q, dtype=np.bool_)
    precision = np.zeros((p * q, p * q))
    moments = np.zeros((p, q))
    for k in range(state.weights.shape[0]):
        for i in range(p):
            for a in range(q):
                for v in range(LANES):
                    moments[i, a] += state.weights[k, i, v] * prior.task_features[k, a, v]
    linear = np.zeros(p * q)
    for i in range(p):
        if state.scale[i] > 0.0:
            active[i * q : (i + 1) * q] = True
            for j in range(p):
                if state.precision[i, j] != 0.0 and state.scale[j] > 0.0:
                    weight = state.precision[i, j] / (state.scale[i] * state.scale[j])
                    for a in range(q):
                        linear[i * q + a] += weight * moments[j, a]
                        for b in range(q):
                            precision[i * q + a, j * q + b] = weight * prior.task_cross[a, b]
    _update_means(prior, state, precision, linear, active, rng)
    _standardise(prior, state)

    n = float(prior.n_tasks)
    scatter = _scatter(prior, state, prior.covariance != 0)
    if prior.covariance == 1:
        _draw_huang_wand(prior, state, scatter, rng)
    # In terms of the scales: sum_t dev' P dev = sum_ij P_ij S_ij / (s_i s_j), S of the raw deviations.
    raw = scatter * np.outer(state.scale, state.scale)
    square = np.diag(state.precision) * np.diag(raw)
    cross = state.precision * raw
    zero = np.zeros((p, p))
    _update_scales(prior, state, n, square, cross, zero, np.zeros(p), noise_variance, rng)
    _standardise(prior, state)
    if prior.covariance == 2:
        _draw_correlations(prior, state, rng)


@numba.njit(**_OPTIONS)
def _draw_huang_wand(prior, state, scatter, rng):  # type: ignore[no-untyped-def]
    """``D | a, deviations`` and ``a | D`` of the Huang-Wand prior, a drawn first from its conditional."""
    b = prior.block
    d = state.scale.shape[0] - b
    if d == 0:
        return
    scale = scatter[b:, b:].copy()
    for j in range(d):
        rate = HUANG_WAND_DOF * state.precision[b + j, b + j] + 1.0 / prior.half_t_scale[b + j] ** 2
        inverse_a = rng.standard_gamma(0.5 * (HUANG_WAND_DOF + d)) / rate
        scale[j, j] += 2.0 * HUANG_WAND_DOF * inverse_a
    dof = HUANG_WAND_DOF + d - 1.0 + prior.n_tasks
    state.covariance[b:, b:] = draw_inverse_wishart(dof, scale, rng)
    state.precision[b:, b:] = inverse_spd(np.ascontiguousarray(state.covariance[b:, b:]))


@numba.njit(**_OPTIONS)
def _draw_correlations(prior, state, rng):  # type: ignore[no-untyped-def]
    b = prior.block
    if state.scale.shape[0] - b < 2:
        return
    correlation = np.ascontiguousarray(state.covariance[b:, b:])
    scatter = np.ascontiguousarray(_scatter(prior, state, True)[b:, b:])
    draw_correlation(correlation, scatter, prior.n_tasks, prior.correlation_shape, rng)
    state.covariance[b:, b:] = correlation
    state.precision[b:, b:] = inverse_spd(correlation)


@numba.njit(**_OPTIONS)
def _noncentred(sites, prior, state, noise_variance, rng):  # type: ignore[no-untyped-def]
    """Means and scales given the standardised deviations."""
    p, q = state.means.shape
    precision, linear = mean_moments(
        sites.gram,
        sites.moment,
        sites.precision,
        state.deviation,
        state.scale,
        prior.task_features,
    )
    _update_means(prior, state, precision, linear, np.ones(p * q, dtype=np.bool_), rng)
    task_means(state.means, prior.task_features, state.center)
    scale_precision, scale_linear = scale_moments(
        sites.gram, sites.moment, sites.precision, state.center, state.deviation
    )
    none = np.zeros((p, p))
    _update_scales(
        prior, state, 0.0, np.zeros(p), none, scale_precision, scale_linear, noise_variance, rng
    )
    if prior.covariance == 1:
        _expand(prior, state, scale_precision, scale_linear, rng)


@numba.njit(**_OPTIONS)
def _expand(prior, state, scale_precision, scale_linear, rng):  # type: ignore[no-untyped-def]
    """Multiply each feature's deviations and its row of the Huang-Wand covariance by one factor."""
    p = state.scale.shape[0]
    factor = state.scale.copy()
    for j in range(prior.block, p):
        slope = scale_linear[j]
        for k in range(p):
            if k != j:
                slope -= scale_precision[j, k] * factor[k]
        factor[j] = update_expansion(
            float(p - prior.block),
            state.precision[j, j],
            prior.half_t_scale[j],
            scale_precision[j, j],
            slope,
            rng,
        )
    for i in range(prior.block, p):
        for k in range(state.deviation.shape[0]):
            for v in range(LANES):
                state.deviation[k, i, v] *= factor[i]
        for j in range(prior.block, p):
            state.covariance[i, j] *= factor[i] * factor[j]
            state.precision[i, j] /= factor[i] * factor[j]


@numba.njit(**_OPTIONS)
def _update_joint(sites, prior, state, noise_variance, rng):  # type: ignore[no-untyped-def]
    """Shared fraction, then a common rescaling of all that follows the joint prior."""
    total, n_means, count, square = _joint_sums(prior, state)
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
    precision, linear = rescaling_moments(
        sites.gram, sites.moment, sites.precision, state.weights, prior.joint
    )
    signal = total / (1.0 - state.shared[0])
    factor = update_rescaling(precision, linear, signal, noise_variance, prior.r2_prior, rng)
    for i in range(state.scale.shape[0]):
        if prior.joint[i]:
            state.scale[i] *= factor
            for a in range(state.means.shape[1]):
                state.means[i, a] *= factor
    _set_weights(prior, state)


@numba.njit(**_OPTIONS)
def sweep(sites, prior, state, noise_variance, rng):  # type: ignore[no-untyped-def]
    """One Gibbs sweep over weights and population, in place.

    Parameters
    ----------
    sites : Sites
        Lanes of G, h and the noise precision that multiplies both.
    prior : PopulationPrior
    state : PopulationState
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
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
    _clear_padding(prior, state)
    _set_weights(prior, state)
    _centred(prior, state, noise_variance, rng)
    _noncentred(sites, prior, state, noise_variance, rng)
    _set_weights(prior, state)
    _update_joint(sites, prior, state, noise_variance, rng)
