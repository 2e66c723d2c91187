"""Kernels of a sweep over functions of a dense covariance of tasks, under a Gaussian likelihood.

Weights are ``w_t = scale d_t``, the deviations d with precision ``B^-1`` over tasks for each
function of the basis, and 1 for the intercept before them.
"""

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.gp.lengthscales import grow, without_weights
from bayesmtl.gp.split_moves import draw_told, split_covariance, split_lengths
from bayesmtl.likelihoods.collapsed_noise import log_evidence
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.joint_weights import factor_dense, place_dense
from bayesmtl.numerics.matrices import draw_gaussian
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.task_by_task import draw_covariance, update_tasks

__all__ = [
    "FunctionSites",
    "FunctionState",
    "NoisePrior",
    "draw_by_factor",
    "given_drawn",
    "residual_squares",
    "standard_moments",
    "sweep_functions",
    "update_noise_sds",
    "without_drawn",
]

_WIDTH = 1.0
_ROUNDING = 1e-13
# Information of the rows of a task, in units of the prior's, beyond which sums in double precision
# lose the latter.
_MOST_INFORMATION = 1e11


class FunctionSites(NamedTuple):
    """What the rows say, at a noise precision of one.

    Parameters
    ----------
    gram : (task, p, p)
    moment : (task, p)
    square, rows : (task,)
        Sum of squares of the response, number of rows.
    """

    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    rows: np.ndarray


class FunctionState(NamedTuple):
    """All but the length-scales that a chain changes, in place.

    Parameters
    ----------
    covariance, precision : (task, task)
        B and its inverse.
    deviation : (task, p)
    scale : (p,)
        Prior sd of an intercept, then roots of the spectral density.
    log_noise : (task,)
    """

    covariance: np.ndarray
    precision: np.ndarray
    deviation: np.ndarray
    scale: np.ndarray
    log_noise: np.ndarray


class NoisePrior(NamedTuple):
    """Priors of the noise sds.

    Parameters
    ----------
    rows : (task, 6)
    units : (task,)
    shared : bool
        Whether the first is that of one sd of all tasks.
    """

    rows: np.ndarray
    units: np.ndarray
    shared: bool


@inner_kernel
def _log_noise(x, args):
    count, square, row, unit = args
    if count * math.exp(-2.0 * x) > _MOST_INFORMATION:
        return -np.inf
    prior = log_density(row, unit * math.exp(x))
    return prior + x - count * x - 0.5 * square * math.exp(-2.0 * x)


@inner_kernel
def _log_noise_alone(x, args):
    """The weights of the task are integrated out."""
    gram, score, square, count, inner, lower, row, unit = args
    if count * math.exp(-2.0 * x) > _MOST_INFORMATION:
        return -np.inf
    prior = log_density(row, unit * math.exp(x))
    return prior + x + log_evidence(x, gram, score, square, count, inner, lower)


_slice_noise = slice_sampler(_log_noise)
_slice_noise_alone = slice_sampler(_log_noise_alone)


@kernel
def update_noise_sds(log_sd, count, square, rows, units, shared, rng):
    """Update logs (task,) of the noise sds given residual sums of squares, each with its prior."""
    if shared:
        if rows[0, 0] != FIXED:
            args = (count.sum(), square.sum(), rows[0], units[0])
            log_sd[:] = _slice_noise(args, log_sd[0], _WIDTH, rng)
        return
    for t in range(log_sd.shape[0]):
        if rows[t, 0] != FIXED:
            args = (count[t], square[t], rows[t], units[t])
            log_sd[t] = _slice_noise(args, log_sd[t], _WIDTH, rng)


@inner_kernel
def _noise_with_weights(sites, state, prior, first, rng):
    """Noise of each task with its weights integrated out, given those of the others, then they.

    Given all weights the noise moves slowly where a task has few rows more than functions.
    """
    n_tasks, p = sites.moment.shape
    mean, inner = np.zeros(p), np.zeros((p, p))
    gram, score, lower = np.empty((p, p)), np.empty(p), np.empty((p + 1, p))
    for t in range(n_tasks):
        if prior.rows[t, 0] == FIXED:
            continue
        own = state.precision[t, t]
        for i in range(p):
            inner[i, i] = own if i >= first else 1.0
            mean[i] = 0.0
            for u in range(n_tasks):
                if u != t and i >= first:
                    mean[i] -= state.precision[t, u] / own * state.deviation[u, i]
        square = sites.square[t]
        for i in range(p):
            image = 0.0
            for j in range(p):
                image += sites.gram[t, i, j] * state.scale[j] * mean[j]
                gram[i, j] = state.scale[i] * sites.gram[t, i, j] * state.scale[j]
            score[i] = state.scale[i] * (sites.moment[t, i] - image)
            square += state.scale[i] * mean[i] * (image - 2.0 * sites.moment[t, i])
        square = max(square, 0.0) + _ROUNDING * sites.square[t]
        row, unit = prior.rows[t], prior.units[t]
        args = (gram, score, square, sites.rows[t], inner, lower, row, unit)
        state.log_noise[t] = _slice_noise_alone(args, state.log_noise[t], _WIDTH, rng)
        weight = math.exp(-2.0 * state.log_noise[t])
        state.deviation[t] = mean + draw_gaussian(inner + weight * gram, weight * score, rng)


@kernel
def standard_moments(sites, state):
    """Sites in standardised deviations: precisions (task, p, p) and linear terms (task, p)."""
    precision = np.exp(-2.0 * state.log_noise).reshape((-1, 1))
    return standard_sites(sites, precision, state.scale, np.zeros(sites.moment.shape))


@inner_kernel
def _covariance_given_drawn(state, first, rng):
    own = state.deviation[:, first:].copy()
    scatter = np.dot(own, own.T)
    covariance, precision = draw_covariance(state.precision, scatter, own.shape[1], rng)
    state.covariance[:] = covariance
    state.precision[:] = precision


@kernel
def residual_squares(sites, state):
    """Sums of squares (task,) of the residuals."""
    n_tasks, p = sites.moment.shape
    out = sites.square.copy()
    for t in range(n_tasks):
        for i in range(p):
            image, own = 0.0, state.scale[i] * state.deviation[t, i]
            for j in range(p):
                image += sites.gram[t, i, j] * state.scale[j] * state.deviation[t, j]
            out[t] += own * (image - 2.0 * sites.moment[t, i])
        out[t] = max(out[t], 0.0)
    return out


@kernel
def without_drawn(sites, state, lengths, noise, rng):
    """Noise sds and length-scales with weights integrated out; the weights must be drawn next."""
    first = state.scale.shape[0] - lengths.log_variance.shape[0]
    if not noise.shared:
        _noise_with_weights(sites, state, noise, first, rng)
    if lengths.free.any():
        precision = np.exp(-2.0 * state.log_noise).reshape((-1, 1))
        of_tasks = (precision, state.precision, state.scale)
        grow(state, without_weights(lengths, sites, *of_tasks, rng))


@kernel
def given_drawn(sites, state, lengths, noise, learned, by_task, rng):
    """Covariance, noise sds and length-scales given weights that were drawn.

    Parameters
    ----------
    sites : FunctionSites
    state : FunctionState
    lengths : LengthState
    noise : NoisePrior
    learned : bool
        Whether the covariance of the tasks is.
    by_task : int
        Number of tasks whose row of the covariance is drawn with their weights integrated out too.
    rng : numpy.random.Generator
    """
    first = state.scale.shape[0] - lengths.log_variance.shape[0]
    if learned:
        _covariance_given_drawn(state, first, rng)
        split_covariance(sites, state, draw_told(sites, state, first, rng), rng)
        if by_task > 0:
            gram, score = standard_moments(sites, state)
            eye = np.eye(lengths.log_variance.shape[0])
            of_tasks = (state.deviation, state.covariance, state.precision)
            update_tasks(gram, score, first, eye, *of_tasks, by_task, rng)
    square = residual_squares(sites, state)
    update_noise_sds(
        state.log_noise, sites.rows, square, noise.rows, noise.units, noise.shared, rng
    )
    if lengths.free.any():
        split_lengths(sites, state, lengths, draw_told(sites, state, first, rng), rng)


@kernel
def draw_by_factor(sites, state, first, rng):
    """Weights of all tasks at once, by one Cholesky factor of their precision."""
    gram, score = standard_moments(sites, state)
    eye = np.eye(score.shape[1] - first)
    lower, half = factor_dense(gram, score, state.precision, eye, first)
    drawn = place_dense(lower, half, rng.standard_normal(score.size))
    state.deviation[:] = drawn.reshape(score.shape)


@kernel
def sweep_functions(sites, state, lengths, noise, learned, rng):
    """One sweep, weights of all tasks drawn by one Cholesky factor.

    Parameters
    ----------
    sites : FunctionSites
    state : FunctionState
    lengths : LengthState
    noise : NoisePrior
    learned : bool
        Whether the covariance of the tasks is.
    rng : numpy.random.Generator
    """
    first = state.scale.shape[0] - lengths.log_variance.shape[0]
    without_drawn(sites, state, lengths, noise, rng)
    draw_by_factor(sites, state, first, rng)
    given_drawn(sites, state, lengths, noise, learned, state.log_noise.shape[0], rng)
