"""Log joint density of the population and the weights, the oracle of the sampler's target."""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density, log_signal_prior
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import log_det_spd
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF, mean_variance

__all__ = ["log_joint", "log_noise", "log_population", "log_rows", "log_structure"]


@kernel
def log_structure(prior, state, noise_variance):
    """Log prior density of means, scales (not their logs), correlations and shared fraction."""
    p, q = state.means.shape
    total, count, n_means, square = 0.0, 0.0, 0.0, 0.0
    value = 0.0
    for i in range(p):
        if prior.joint[i]:
            total += state.scale[i] ** 2
            count += 1.0
            # From squared scales to scales.
            value += math.log(state.scale[i])
        else:
            value += log_density(prior.scale_prior[i], prior.scale_unit[i] * state.scale[i])
        for a in range(q):
            kind = prior.mean_kind[i * q + a]
            mean = state.means[i, a]
            if kind == 3:
                n_means += 1.0
                square += mean * mean
            elif kind != 0:
                user = prior.mean_location[i, a] + prior.mean_unit[i, a] * mean
                value += log_density(prior.mean_prior[i, a], user)
    if count > 0.0:
        shared = state.shared[0]
        variance = mean_variance(total, shared, n_means)
        value += log_signal_prior(total / (1.0 - shared), noise_variance, prior.r2_prior)
        value += log_density(prior.shared_prior, shared) - math.log(1.0 - shared)
        value -= (count - 1.0) * math.log(total)
        value -= 0.5 * n_means * math.log(variance) + 0.5 * square / variance
    return value + _log_covariance(prior, state)


@kernel
def _log_covariance(prior, state):
    b = prior.block
    d = state.scale.shape[0] - b
    if prior.covariance == 0 or d == 0:
        return 0.0
    log_det = log_det_spd(np.ascontiguousarray(state.covariance[b:, b:]))
    if prior.covariance == 2:
        return (prior.correlation_shape - 1.0) * log_det
    value = -0.5 * (HUANG_WAND_DOF + 2.0 * d) * log_det
    for j in range(b, b + d):
        rate = HUANG_WAND_DOF * state.precision[j, j] + 1.0 / prior.half_t_scale[j] ** 2
        value -= 0.5 * (HUANG_WAND_DOF + d) * math.log(rate)
    return value


@kernel
def log_noise(noise):
    """Log prior density of the noise sds: of the shared or median sd, the spread and log sd_t."""
    n_lanes = noise.rows.shape[1]
    if noise.kind == 0:
        return 0.0
    value = log_density(noise.sd_prior, noise.unit * math.exp(noise.log_median[0]))
    if noise.kind == 2:
        spread = noise.spread[0]
        value += log_density(noise.spread_prior, spread) - noise.n_tasks * math.log(spread)
        for t in range(noise.n_tasks):
            u = (noise.log_sd[t // n_lanes, t % n_lanes] - noise.log_median[0]) / spread
            value -= 0.5 * u * u
    return value


@kernel
def log_rows(noise, square):
    """Log-likelihood of the rows given each task's residual sum of squares (block, lane)."""
    n_lanes = noise.rows.shape[1]
    value = 0.0
    for t in range(noise.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        value -= noise.rows[k, v] * noise.log_sd[k, v] + 0.5 * square[k, v] * noise.precision[k, v]
    return value


@kernel
def log_population(prior, state, noise_variance):
    """Log density of structure and weights, up to a constant, in internal units.

    Densities are those of the weights, means, scales, correlation or covariance elements.
    """
    p = state.scale.shape[0]
    value = log_structure(prior, state, noise_variance)
    # Padded tasks have no deviation.
    lanes = np.zeros(state.deviation.shape[2])
    for i in range(p):
        for j in range(i + 1):
            both = state.scale[i] > 0.0 and state.scale[j] > 0.0
            if state.precision[i, j] != 0.0 and both:
                weight = state.precision[i, j] * (0.5 if i == j else 1.0)
                for k in range(state.deviation.shape[0]):
                    for v in range(lanes.shape[0]):
                        lanes[v] += weight * state.deviation[k, i, v] * state.deviation[k, j, v]
    value -= lanes.sum()
    for i in range(p):
        if state.scale[i] > 0.0:
            value -= prior.n_tasks * math.log(state.scale[i])
    if prior.covariance != 0 and p > prior.block:
        block = np.ascontiguousarray(state.covariance[prior.block :, prior.block :])
        value -= 0.5 * prior.n_tasks * log_det_spd(block)
    return value


@kernel
def log_joint(prior, state, noise, square, noise_variance):
    """Log of likelihood x weights x structure, up to a constant, in internal units.

    Beside those of `log_population`, densities are those of the shared or median noise sd, the
    spread and the log noise sds of the tasks.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    noise : NoiseState
    square : (block, lane)
        Residual sums of squares, weighted.
    noise_variance : float
    """
    value = log_population(prior, state, noise_variance)
    return value + log_noise(noise) + log_rows(noise, square)
