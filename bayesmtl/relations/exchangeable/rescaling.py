"""Scales of tasks against their weights, the products of both given."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.density import log_structure

__all__ = ["divide_population", "slice_all", "slice_tasks"]

_WIDTH = 0.5


@inner_kernel
def _task_target(x, args):
    """Log density of the step x of a log scale given the predictor, of p coefficients."""
    deviation, middle, precision, log_scale, sd = args
    p, factor, value = deviation.shape[0], math.exp(-x), 0.0
    for i in range(p):
        z = factor * deviation[i] - middle[i]
        value -= 0.5 * precision[i, i] * z * z
        for j in range(i):
            value -= precision[i, j] * z * (factor * deviation[j] - middle[j])
    u = (log_scale + x) / sd
    return value - p * x - 0.5 * u * u


_slice_task = slice_sampler(_task_target)


@kernel
def slice_tasks(center, scale, population, log_scale, sd, rng):
    """Draw a step of each log scale given its product with the weights, and apply it in place.

    Parameters
    ----------
    center : (block, p, lane)
    scale : (p,)
        Of the weights around it; positive.
    population : PopulationState
    log_scale : (task,)
        ``Normal(0, sd)``.
    sd : float
    rng : numpy.random.Generator
    """
    p, n_lanes = scale.shape[0], center.shape[2]
    deviation, middle = np.empty(p), np.empty(p)
    for t in range(log_scale.shape[0]):
        k, v = t // n_lanes, t % n_lanes
        for i in range(p):
            deviation[i] = population.weights[k, i, v] / scale[i]
            middle[i] = center[k, i, v] / scale[i]
        args = (deviation, middle, population.precision, log_scale[t], sd)
        step = _slice_task(args, 0.0, _WIDTH, rng)
        log_scale[t] += step
        for i in range(p):
            population.weights[k, i, v] *= math.exp(-step)


@kernel
def divide_population(population, half_t, step, out):
    """Means and scales of a population divided by ``e^step``."""
    factor = math.exp(-step)
    out.means[:] = population.means * factor
    for i in range(half_t.shape[0]):
        out.scale[i] = population.scale[i] * (1.0 if half_t[i] else factor)
        for j in range(half_t.shape[0]):
            # Others are not correlated with them.
            both = factor * factor if half_t[i] and half_t[j] else 1.0
            out.covariance[i, j] = population.covariance[i, j] * both
            out.precision[i, j] = population.precision[i, j] / both


@inner_kernel
def _all_target(x, args):
    """Log density of a step x of all log scales given all predictors."""
    prior, population, scratch, half_t, dimension, noise_variance, log_scale, sd = args
    divide_population(population, half_t, x, scratch)
    value = log_structure(prior, scratch, noise_variance) - dimension * x
    for t in range(log_scale.shape[0]):
        value -= 0.5 * ((log_scale[t] + x) / sd) ** 2
    return value


_slice_all = slice_sampler(_all_target)


@kernel
def slice_all(args, rng):
    """A step of all log scales given their products with weights and population.

    ``args``: prior, population, a copy of it to write to, which scales are in the covariance (p,),
    number of free means and scales (a covariance counts twice its elements), noise variance, log
    scales (task,) and their prior sd.
    """
    return _slice_all(args, 0.0, _WIDTH, rng)
