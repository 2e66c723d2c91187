"""Noise standard deviations given the population alone, with the task weights integrated out.

Given the weights, the noise moves slowly where a task has fewer rows than coefficients: the weights
then fit its rows almost exactly, whatever the noise was.
"""

import math

import numpy as np

from bayesmtl.likelihoods.noise import shared_prior_term
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import ROUNDING
from bayesmtl.numerics.slicing import slice_sampler

__all__ = ["gather_task", "log_evidence", "slice_task_noise", "update_collapsed_noise"]


@inner_kernel
def log_evidence(x, gram, score, square, rows, prior_precision, lower):
    """Log evidence of one task at log noise sd x, up to a constant.

    ``gram`` and ``score`` are of the standardised deviations, ``square`` the sum of squares about
    the population mean: ``-n x - square / (2 s^2) + b'A^-1 b / 2 - log|A| / 2`` with ``A = P + gram
    / s^2`` and ``b = score / s^2``.
    """
    precision = math.exp(-2.0 * x)
    p = score.shape[0]
    value = -rows * x - 0.5 * square * precision
    # Row p of the factor is the forward solution L^-1 b.
    for i in range(p + 1):
        for j in range(min(i + 1, p)):
            if i < p:
                total = prior_precision[i, j] + gram[i, j] * precision
            else:
                total = score[j] * precision
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            if i == j:
                lower[i, i] = math.sqrt(total)
                value -= math.log(lower[i, i])
            else:
                lower[i, j] = total / lower[j, j]
                if i == p:
                    value += 0.5 * lower[i, j] * lower[i, j]
    return value


@inner_kernel
def gather_task(sites, k, v, center, scale, gram, score):
    """Fill in the task's gram and score in standardised deviations; return the sum of squares."""
    p = scale.shape[0]
    square = sites.total[k, v]
    for i in range(p):
        image = 0.0
        for j in range(p):
            e = i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i
            image += sites.gram[k, e, v] * center[k, j, v]
            gram[i, j] = sites.gram[k, e, v] * scale[i] * scale[j]
        score[i] = (sites.moment[k, i, v] - image) * scale[i]
        square += center[k, i, v] * (image - 2.0 * sites.moment[k, i, v])
    # The allowance keeps the evidence from growing without bound where the fit is exact.
    return max(square, 0.0) + 10.0 * ROUNDING * sites.total[k, v]


@inner_kernel
def _task_target(x, args):
    gram, score, square, rows, prior_precision, lower, mean, sd = args
    u = (x - mean) / sd
    return log_evidence(x, gram, score, square, rows, prior_precision, lower) - 0.5 * u * u


@inner_kernel
def _shared_target(x, args):
    grams, scores, squares, rows, offsets, prior_precision, lower, prior_args = args
    value = shared_prior_term(x, prior_args)
    for t in range(squares.shape[0]):
        log_sd = x + offsets[t]
        value += log_evidence(
            log_sd, grams[t], scores[t], squares[t], rows[t], prior_precision, lower
        )
    return value


@inner_kernel
def _spread_target(x, args):
    """Log of the spread, the tasks' deviations in units of it held fixed."""
    grams, scores, squares, rows, units, prior_precision, lower, log_median, row = args
    spread = math.exp(x)
    value = log_density(row, spread) + x
    for t in range(squares.shape[0]):
        log_sd = log_median + spread * units[t]
        value += log_evidence(
            log_sd, grams[t], scores[t], squares[t], rows[t], prior_precision, lower
        )
    return value


_slice_spread = slice_sampler(_spread_target)
slice_task_noise = slice_sampler(_task_target)
_slice_shared = slice_sampler(_shared_target)


@kernel
def update_collapsed_noise(noise, sites, center, scale, prior_precision, signal, r2_row, rng):
    """Draw the shared noise sd, or that of every task, given the population, in place.

    Parameters
    ----------
    noise : NoiseState
    sites : Sites
    center : (block, p, lane)
        Population mean of each task.
    scale : (p,), prior_precision : (p, p)
        ``w_t ~ N(center_t, scale prior_precision^-1 scale)``.
    signal : float
        Signal variance of the joint prior, 0 where it is not in use.
    r2_row : (6,)
    rng : numpy.random.Generator
    """
    n_lanes = noise.rows.shape[1]
    n_tasks, p = noise.n_tasks, scale.shape[0]
    lower = np.empty((p + 1, p))
    grams, scores = np.empty((n_tasks, p, p)), np.empty((n_tasks, p))
    squares, rows, offsets = np.empty(n_tasks), np.empty(n_tasks), np.zeros(n_tasks)
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        squares[t] = gather_task(sites, k, v, center, scale, grams[t], scores[t])
        rows[t] = noise.rows[k, v]
        if noise.kind == 2:
            args = (
                grams[t],
                scores[t],
                squares[t],
                rows[t],
                prior_precision,
                lower,
                noise.log_median[0],
                noise.spread[0],
            )
            log_sd = slice_task_noise(args, noise.log_sd[k, v], noise.spread[0], rng)
            offsets[t] = log_sd - noise.log_median[0]
    if noise.sd_prior[0] != 0.0:
        # The shared noise, or the median with the tasks' deviations from it held fixed.
        prior_args = (noise.unit, noise.sd_prior, signal, r2_row)
        common = (grams, scores, squares, rows, offsets, prior_precision, lower, prior_args)
        noise.log_median[0] = _slice_shared(common, noise.log_median[0], 0.3, rng)
    if noise.kind == 2 and noise.spread_prior[0] != 0.0:
        units = offsets / noise.spread[0]
        stretch = (
            grams,
            scores,
            squares,
            rows,
            units,
            prior_precision,
            lower,
            noise.log_median[0],
            noise.spread_prior,
        )
        noise.spread[0] = math.exp(_slice_spread(stretch, math.log(noise.spread[0]), 1.0, rng))
        offsets = units * noise.spread[0]
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        noise.log_sd[k, v] = noise.log_median[0] + offsets[t]
        noise.precision[k, v] = math.exp(-2.0 * noise.log_sd[k, v])
