"""Full conditionals of the population: means, scales, covariance and the joint prior."""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density, log_signal_prior
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import draw_gaussian
from bayesmtl.numerics.slicing import slice_sampler

__all__ = [
    "HUANG_WAND_DOF",
    "SMALLEST_SHARE",
    "expansion_target",
    "mean_variance",
    "scale_target",
    "shared_target",
    "update_expansion",
    "update_means",
    "update_rescaling",
    "update_scale",
    "update_shared",
]

HUANG_WAND_DOF = 2.0
# Shared fractions nearer to 0 or 1 are lost to rounding, and with them the signal variance.
SMALLEST_SHARE = 1e-12


@kernel
def mean_variance(deviation_variance, shared, n_means):
    """Prior variance of one mean: the shared part of the signal, split evenly.

    The signal V has the part ``(1 - shared) V = deviation_variance``, the sum of the squared
    scales.
    """
    return shared * deviation_variance / ((1.0 - shared) * n_means)


@kernel
def _mean_target(x, args):
    precision, linear, location, unit, row = args
    return -0.5 * precision * x * x + linear * x + log_density(row, location + unit * x)


_slice_mean = slice_sampler(_mean_target)


@kernel
def update_means(precision, linear, kind, active, rows, location, unit, joint_variance, means, rng):
    """Draw the means from likelihood ``-x'K x / 2 + k'x`` times their priors, in place.

    All means with a normal prior in one block, the others one at a time; in random order and so
    reversibly. ``kind`` is 0 for fixed numbers, 1 Normal, 2 another prior, 3 the joint prior ``N(0,
    joint_variance)``; means that are not ``active`` keep their value.
    """
    n = means.shape[0]
    for i in rng.permutation(n + 1):
        if i == n:
            _update_normal_means(
                precision, linear, kind, active, rows, location, unit, joint_variance, means, rng
            )
        elif kind[i] == 2 and active[i]:
            rest = linear[i]
            for j in range(n):
                if j != i:
                    rest -= precision[i, j] * means[j]
            width = 3.0 / math.sqrt(precision[i, i] + 1e-2)
            args = (precision[i, i], rest, location[i], unit[i], rows[i])
            means[i] = _slice_mean(args, means[i], width, rng)


@kernel
def _update_normal_means(
    precision, linear, kind, active, rows, location, unit, joint_variance, means, rng
):
    n = means.shape[0]
    free = np.flatnonzero(active & ((kind == 1) | (kind == 3)))
    m = free.shape[0]
    if m > 0:
        block = np.empty((m, m))
        right = np.empty(m)
        for a in range(m):
            i = free[a]
            right[a] = linear[i]
            for j in range(n):
                right[a] -= precision[i, j] * means[j]
            for b in range(m):
                block[a, b] = precision[i, free[b]]
                right[a] += precision[i, free[b]] * means[free[b]]
            if kind[i] == 1:
                weight = (unit[i] / rows[i, 2]) ** 2
                block[a, a] += weight
                right[a] += weight * (rows[i, 1] - location[i]) / unit[i]
            else:
                block[a, a] += 1.0 / joint_variance
        drawn = draw_gaussian(block, right, rng)
        for a in range(m):
            means[free[a]] = drawn[a]


@kernel
def scale_target(x, args):
    """Log conditional of a log-scale x, Jacobian included."""
    count, square, cross, precision, linear, unit, row, joint = args
    e = math.exp(x)
    value = -0.5 * precision * e * e + linear * e
    if count > 0.0:
        inverse = math.exp(-x)
        value += -count * x - 0.5 * square * inverse * inverse - cross * inverse
    in_joint, others, signal, n_means, n_scales, mean_square, shared_row = joint
    if in_joint:
        # At a given signal V the squared scales are (1 - shared) V * Dirichlet(1, ..., 1): their
        # density is that of shared times S^(1 - n_scales), S their sum.
        total = others + e * e
        if not total < signal:
            return -np.inf
        variance = (signal - total) / n_means
        value += log_density(shared_row, 1.0 - total / signal) + 2.0 * x
        value -= (n_scales - 1.0) * math.log(total)
        value -= 0.5 * n_means * math.log(variance) + 0.5 * mean_square / variance
    else:
        value += log_density(row, unit * e) + x
    return value


_slice_scale = slice_sampler(scale_target)


@kernel
def update_scale(scale, count, square, cross, precision, linear, unit, row, joint, rng):
    """Draw one scale given means and weights, or means and standardised deviations.

    From ``s^-count exp(-square / (2 s^2) - cross / s - precision s^2 / 2 + linear s)`` times the
    prior of s: the first three terms are the centred likelihood (``count`` tasks), the last two
    the non-centred one. ``joint`` is ``(in_joint, sum of the other squared scales, signal
    variance, number of means, number of scales, sum of squared means, prior row of the shared
    fraction)``; the signal variance is held fixed, so the shared fraction follows the scale.
    """
    args = (count, square, cross, precision, linear, unit, row, joint)
    return math.exp(_slice_scale(args, math.log(scale), 1.0, rng))


@kernel
def expansion_target(x, args):
    """Log conditional of a log-expansion x, see `update_expansion`."""
    dimension, inverse_diagonal, half_t_precision, precision, linear = args
    e = math.exp(x)
    inner = HUANG_WAND_DOF * inverse_diagonal / (e * e) + half_t_precision
    return (
        (dimension + 1.0 - HUANG_WAND_DOF - 2.0 * dimension) * x
        - 0.5 * (HUANG_WAND_DOF + dimension) * math.log(inner)
        - 0.5 * precision * e * e
        + linear * e
    )


_slice_expansion = slice_sampler(expansion_target)


@kernel
def update_expansion(dimension, inverse_diagonal, half_t_scale, precision, linear, rng):
    """Factor g for one feature's deviations and its row of a Huang-Wand covariance.

    Target in log g (Haar measure): the marginal Huang-Wand density (Huang and Wand 2013, Bayesian
    Anal. 8, eq. 3) ``|D|^-((nu + 2 d) / 2) prod_j (nu (D^-1)_jj + 1 / A_j^2)^-((nu + d) / 2)`` at
    ``g D g``, the Jacobian ``g^(d + 1)`` of its elements, and the likelihood; density and Jacobian
    of the deviations cancel (Liu and Sabatti 2000, Biometrika 87).
    """
    args = (dimension, inverse_diagonal, 1.0 / half_t_scale**2, precision, linear)
    return math.exp(_slice_expansion(args, 0.0, 0.5, rng))


@kernel
def shared_target(x, args):
    """Log conditional of the logit of the shared fraction."""
    deviation_variance, n_means, mean_square, noise_variance, r2_row, shared_row = args
    shared = 1.0 / (1.0 + math.exp(-x))
    if not SMALLEST_SHARE < shared < 1.0 - SMALLEST_SHARE:
        return -np.inf
    variance = mean_variance(deviation_variance, shared, n_means)
    if not variance > 0.0:
        return -np.inf
    # V = deviation_variance / (1 - shared): one factor 1 / (1 - shared) from this change of
    # variable.
    return (
        log_signal_prior(deviation_variance / (1.0 - shared), noise_variance, r2_row)
        + log_density(shared_row, shared)
        + math.log(shared)
        - 0.5 * n_means * math.log(variance)
        - 0.5 * mean_square / variance
    )


_slice_shared = slice_sampler(shared_target)


@kernel
def update_shared(
    shared, deviation_variance, n_means, mean_square, noise_variance, r2_row, shared_row, rng
):
    """Draw the shared fraction of the joint prior given means and scales."""
    args = (deviation_variance, n_means, mean_square, noise_variance, r2_row, shared_row)
    x = _slice_shared(args, math.log(shared / (1.0 - shared)), 2.0, rng)
    return 1.0 / (1.0 + math.exp(-x))


@kernel
def _rescaling_target(x, args):
    precision, linear, signal, noise_variance, r2_row = args
    e = math.exp(x)
    return (
        -0.5 * precision * e * e
        + linear * e
        + log_signal_prior(signal * e * e, noise_variance, r2_row)
        + 2.0 * x
    )


_slice_rescaling = slice_sampler(_rescaling_target)


@kernel
def update_rescaling(precision, linear, signal, noise_variance, r2_row, rng):
    """Factor by which all means and deviations of the joint prior are multiplied at once.

    Everything but the signal V stays as it is in units of ``sqrt(V)``, so only the prior of V and
    the likelihood ``-precision g^2 / 2 + linear g`` appear.
    """
    return math.exp(
        _slice_rescaling((precision, linear, signal, noise_variance, r2_row), 0.0, 0.5, rng)
    )
