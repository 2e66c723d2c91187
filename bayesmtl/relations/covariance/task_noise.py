"""Noise of each task with its weights, given the weights of the tasks that it is coupled with.

The noise is drawn with the weights of the task integrated out, then the weights. Given all weights
the noise moves slowly where a task has few rows more than coefficients.
"""

import math

import numpy as np

from bayesmtl.likelihoods.collapsed_noise import gather_task, slice_task_noise
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import draw_gaussian
from bayesmtl.relations.covariance.innovations import by_task, place_deviations_of
from bayesmtl.relations.exchangeable.moves import set_weights

__all__ = ["update_task_noise"]


@kernel
def update_task_noise(noise, sites, prior, state, tasks, rng):
    """Update noise sds and weights, task by task, in place.

    Parameters
    ----------
    noise : NoiseState
        Hierarchical.
    sites : Sites
        With ``noise.precision``.
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
    rng : numpy.random.Generator
    """
    first, p, n_tasks = prior.block, state.scale.shape[0], prior.n_tasks
    n_lanes = noise.rows.shape[1]
    deviation = by_task(state.deviation, n_tasks, 0, p)
    means, center = np.zeros(p), np.empty(p)
    inner, gram, score = np.zeros((p, p)), np.empty((p, p)), np.empty(p)
    lower = np.empty((p + 1, p))
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        own = tasks.precision[t, t]
        for i in range(p):
            means[i] = 0.0
            for j in range(p):
                both = i >= first and j >= first
                inner[i, j] = (own if both else 1.0) * state.precision[i, j]
            if i >= first:
                for u in range(n_tasks):
                    if u != t:
                        means[i] -= tasks.precision[t, u] / own * deviation[u, i]
            center[i] = state.center[k, i, v]
            state.center[k, i, v] += state.scale[i] * means[i]
        square = gather_task(sites, k, v, state.center, state.scale, gram, score)
        args = (
            gram,
            score,
            square,
            noise.rows[k, v],
            inner,
            lower,
            noise.log_median[0],
            noise.spread[0],
        )
        noise.log_sd[k, v] = slice_task_noise(args, noise.log_sd[k, v], noise.spread[0], rng)
        noise.precision[k, v] = math.exp(-2.0 * noise.log_sd[k, v])
        whole = inner + noise.precision[k, v] * gram
        drawn = draw_gaussian(whole, noise.precision[k, v] * score, rng)
        for i in range(p):
            state.center[k, i, v] = center[i]
            deviation[t, i] = means[i] + drawn[i]
    place_deviations_of(state, deviation, 0)
    set_weights(prior, state)
