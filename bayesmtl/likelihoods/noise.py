"""Updates of the noise sds of a Gaussian likelihood given residual sums of squares."""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density, log_signal_prior
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.slicing import slice_sampler

__all__ = ["FIXED_NOISE", "HIERARCHICAL", "SHARED", "shared_prior_term", "update_noise"]

FIXED_NOISE, SHARED, HIERARCHICAL = 0, 1, 2


@kernel
def _signal_term(log_sd, signal, r2_row):
    return log_signal_prior(signal, math.exp(2.0 * log_sd), r2_row) if signal > 0.0 else 0.0


@kernel
def shared_prior_term(x, args):
    """Log prior of the log of the shared (or median) noise sd, joint R-squared prior included."""
    unit, row, signal, r2_row = args
    return log_density(row, unit * math.exp(x)) + x + _signal_term(x, signal, r2_row)


@kernel
def _shared_target(x, args):
    rows, square, prior_args = args
    return -rows * x - 0.5 * square * math.exp(-2.0 * x) + shared_prior_term(x, prior_args)


@kernel
def _task_target(x, args):
    rows, square, mean, sd = args
    u = (x - mean) / sd
    return -rows * x - 0.5 * square * math.exp(-2.0 * x) - 0.5 * u * u


@kernel
def _median_target(x, args):
    """Centred: the log median given ``n`` log noise sds of mean ``center``."""
    n, center, sd, prior_args = args
    u = (x - center) / sd
    return -0.5 * n * u * u + shared_prior_term(x, prior_args)


@kernel
def _spread_target(x, args):
    """Centred: log of the spread given the sum of squared deviations of the log noise sds."""
    n, square, row = args
    return -n * x - 0.5 * square * math.exp(-2.0 * x) + log_density(row, math.exp(x)) + x


@kernel
def _rows_term(log_median, spread, deviation, rows, square):
    n_lanes = deviation.shape[1]
    total = 0.0
    for k in range(deviation.shape[0]):
        for v in range(n_lanes):
            if rows[k, v] > 0.0:
                x = log_median + spread * deviation[k, v]
                total -= rows[k, v] * x + 0.5 * square[k, v] * math.exp(-2.0 * x)
    return total


@kernel
def _noncentred_median_target(x, args):
    spread, deviation, rows, square, prior_args = args
    return _rows_term(x, spread, deviation, rows, square) + shared_prior_term(x, prior_args)


@kernel
def _noncentred_spread_target(x, args):
    log_median, deviation, rows, square, row = args
    spread = math.exp(x)
    return _rows_term(log_median, spread, deviation, rows, square) + log_density(row, spread) + x


_slice_shared = slice_sampler(_shared_target)
_slice_task = slice_sampler(_task_target)
_slice_median = slice_sampler(_median_target)
_slice_spread = slice_sampler(_spread_target)
_slice_noncentred_median = slice_sampler(_noncentred_median_target)
_slice_noncentred_spread = slice_sampler(_noncentred_spread_target)


@kernel
def update_noise(noise, square, signal, r2_row, rng):
    """Draw the noise parameters given each task's residual sum of squares, in place.

    ``log sd_t ~ Normal(log median, spread)`` where hierarchical, one sd where shared; the last term
    of each target is the joint R-squared prior of the ``signal`` variance (0: not in use), which
    refers to the shared or the median noise.

    Parameters
    ----------
    noise : NoiseState
    square : (block, lane)
        Residual sums of squares.
    signal : float
    r2_row : (6,)
    rng : numpy.random.Generator
    """
    n_lanes = noise.rows.shape[1]
    if noise.kind == 1:
        prior_args = (noise.unit, noise.sd_prior, signal, r2_row)
        args = (noise.rows.sum(), square.sum(), prior_args)
        noise.log_median[0] = _slice_shared(args, noise.log_median[0], 0.3, rng)
        noise.log_sd[:] = noise.log_median[0]
    if noise.kind == 2:
        _update_hierarchical(noise, square, signal, r2_row, rng)
    for k in range(noise.log_sd.shape[0]):
        for v in range(n_lanes):
            noise.precision[k, v] = math.exp(-2.0 * noise.log_sd[k, v])


@kernel
def _update_hierarchical(noise, square, signal, r2_row, rng):
    log_sd, rows, n_lanes = noise.log_sd, noise.rows, noise.rows.shape[1]
    spread = noise.spread[0]
    log_median = noise.log_median[0]
    last = log_sd.shape[0] - 1
    total = 0.0
    for k in range(log_sd.shape[0]):
        for v in range(n_lanes if k < last else noise.n_tasks - last * n_lanes):
            args = (rows[k, v], square[k, v], log_median, spread)
            log_sd[k, v] = _slice_task(args, log_sd[k, v], spread, rng)
            total += log_sd[k, v]
    n = float(noise.n_tasks)
    learn_median = noise.sd_prior[0] != 0.0
    learn_spread = noise.spread_prior[0] != 0.0
    prior_args = (noise.unit, noise.sd_prior, signal, r2_row)
    if learn_median:
        median_args = (n, total / n, spread, prior_args)
        log_median = _slice_median(median_args, log_median, 0.5, rng)
    deviation = np.zeros_like(log_sd)
    for k in range(log_sd.shape[0]):
        for v in range(n_lanes if k < last else noise.n_tasks - last * n_lanes):
            deviation[k, v] = log_sd[k, v] - log_median
    if learn_spread:
        spread_args = (n, (deviation**2).sum(), noise.spread_prior)
        spread = math.exp(_slice_spread(spread_args, math.log(spread), 1.0, rng))
    deviation /= spread
    if learn_median:
        moved = (spread, deviation, rows, square, prior_args)
        log_median = _slice_noncentred_median(moved, log_median, 0.3, rng)
    if learn_spread:
        stretched = (log_median, deviation, rows, square, noise.spread_prior)
        spread = math.exp(_slice_noncentred_spread(stretched, math.log(spread), 1.0, rng))
    noise.log_median[0] = log_median
    noise.spread[0] = spread
    for k in range(log_sd.shape[0]):
        for v in range(n_lanes):
            log_sd[k, v] = log_median + spread * deviation[k, v]
