"""Weights of correlated tasks as standard normals q, given sites and structure.

Given factors the tasks are independent, and q is that of `bayesmtl.relations.exchangeable.whitened`
in units of the sds of their own parts. Under a dense covariance one factor L of the precision of
all weights takes q to all standardised deviations, ``x = mean + L^-T q``.
"""

import numpy as np

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.joint_weights import place_dense
from bayesmtl.numerics.lanes import multiply_lanes, place_deviations, whiten_deviations
from bayesmtl.numerics.matrices import solve_lower
from bayesmtl.relations.covariance.factors import independent_tasks
from bayesmtl.relations.covariance.innovations import place_deviations_of
from bayesmtl.relations.exchangeable.moves import clear_padding, set_weights

__all__ = ["place_factors", "place_jointly", "slope_of_rest", "whiten_factors"]


@kernel
def place_factors(sites, prior, state, tasks, whitened):
    """Weights of the current factors, loadings and variances of own parts, and q."""
    gram, moment, center = independent_tasks(sites, prior, state, tasks)
    state.deviation[:] = whitened
    place_deviations(
        gram, moment, sites.precision, center, state.scale, state.precision, state.deviation
    )
    clear_padding(prior, state)
    common = np.dot(tasks.loadings, tasks.factors)
    n_lanes = state.deviation.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        sd = np.sqrt(tasks.specific[t])
        for i in range(common.shape[1]):
            j = prior.block + i
            state.deviation[k, j, v] = common[t, i] + sd * state.deviation[k, j, v]
    set_weights(prior, state)


@kernel
def whiten_factors(sites, prior, state, tasks, whitened):
    """The q of the current weights; a feature whose scale is zero keeps its own."""
    gram, moment, center = independent_tasks(sites, prior, state, tasks)
    common = np.dot(tasks.loadings, tasks.factors)
    own, fixed = state.deviation.copy(), whitened.copy()
    n_lanes = own.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        sd = np.sqrt(tasks.specific[t])
        for i in range(common.shape[1]):
            j = prior.block + i
            own[k, j, v] = (own[k, j, v] - common[t, i]) / sd
    whiten_deviations(
        gram, moment, sites.precision, center, state.scale, state.precision, own, whitened
    )
    for i in range(state.scale.shape[0]):
        if state.scale[i] == 0.0:
            whitened[:, i] = fixed[:, i]


@kernel
def place_jointly(prior, state, lower, shift, q):
    """Weights of all tasks from q (n,) and `bayesmtl.numerics.joint_weights.factor_dense`."""
    x = place_dense(lower, shift, q).reshape((prior.n_tasks, state.scale.shape[0]))
    place_deviations_of(state, x, 0)
    set_weights(prior, state)


@kernel
def slope_of_rest(sites, prior, state, score, lower):
    """Gradient (n,) about q of what the sites leave of the log-likelihood.

    ``score`` (block, p, lane) is the gradient of the log-likelihood about the weights.
    """
    p, n_lanes = state.scale.shape[0], score.shape[2]
    out, image = np.empty(prior.n_tasks * p), np.empty((p, n_lanes))
    for k in range(score.shape[0]):
        multiply_lanes(sites.gram, k, state.weights[k], image)
        for v in range(min(n_lanes, prior.n_tasks - k * n_lanes)):
            for i in range(p):
                rest = score[k, i, v] - sites.moment[k, i, v] + image[i, v]
                out[(k * n_lanes + v) * p + i] = state.scale[i] * rest
    solve_lower(lower, out)
    return out
