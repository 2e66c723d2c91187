"""Scales of the features with the weights of tasks that share factors integrated out."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel, lane_kernel
from bayesmtl.numerics.lanes import factor_lanes, multiply_lanes
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.factors import independent_tasks
from bayesmtl.relations.covariance.whitened import place_factors
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.population import learns_scale
from bayesmtl.relations.exchangeable.state import PopulationState

__all__ = ["propose_scales"]


@lane_kernel
def _log_evidence(gram, moment, precision, center, common, scale, prior_precision):
    """Log evidence of all sites for weights ``N(center + scale common, scale P^-1 scale)``.

    Up to a constant; ``center`` and ``common`` are (block, p, lane).
    """
    n_blocks, p, n_lanes = moment.shape
    a, mean = np.empty((p * (p + 1) // 2, n_lanes)), np.empty((p, n_lanes))
    x, lanes = np.empty((p, n_lanes)), np.zeros(n_lanes)
    for k in range(n_blocks):
        for i in range(p):
            for v in range(n_lanes):
                mean[i, v] = center[k, i, v] + scale[i] * common[k, i, v]
        multiply_lanes(gram, k, mean, x)
        for i in range(p):
            row = i * (i + 1) // 2
            for v in range(n_lanes):
                value = mean[i, v] * (moment[k, i, v] - 0.5 * x[i, v])
                lanes[v] += precision[k, v] * value
                x[i, v] = precision[k, v] * scale[i] * (moment[k, i, v] - x[i, v])
            for j in range(i + 1):
                both, base = scale[i] * scale[j], prior_precision[i, j]
                for v in range(n_lanes):
                    a[row + j, v] = precision[k, v] * gram[k, row + j, v] * both + base
        factor_lanes(a, p)
        for i in range(p):
            row = i * (i + 1) // 2
            for j in range(i):
                for v in range(n_lanes):
                    x[i, v] -= a[row + j, v] * x[j, v]
            # The factor's diagonal holds its reciprocals.
            for v in range(n_lanes):
                x[i, v] *= a[row + i, v]
                lanes[v] += 0.5 * x[i, v] ** 2 + math.log(a[row + i, v])
    return lanes.sum()


@inner_kernel
def _target(x, args):
    """Log density of a step x of the logs of the ``chosen`` (p,) scales."""
    prior, scratch, start, chosen, noise_variance, sites = args
    gram, moment, precision, center, common = sites
    steps = 0.0
    for i in range(start.shape[0]):
        scratch.scale[i] = start[i] * (math.exp(x) if chosen[i] else 1.0)
        steps += x if chosen[i] else 0.0
    value = log_structure(prior, scratch, noise_variance) + steps
    if value == -np.inf:
        return value
    return value + _log_evidence(
        gram, moment, precision, center, common, scratch.scale, scratch.precision
    )


_slice = slice_sampler(_target)


@kernel
def propose_scales(sites, prior, state, tasks, whitened, noise_variance, rng):
    """One by one and all at once, in random order, factors in units of them; the weights of q."""
    first, p, n_lanes = prior.block, state.scale.shape[0], state.weights.shape[2]
    gram, moment, center = independent_tasks(sites, prior, state, tasks)
    products, common = np.dot(tasks.loadings, tasks.factors), np.zeros_like(center)
    for t in range(prior.n_tasks):
        for i in range(p - first):
            own = products[t, i] / math.sqrt(tasks.specific[t])
            common[t // n_lanes, first + i, t % n_lanes] = own
            center[t // n_lanes, first + i, t % n_lanes] -= state.scale[first + i] * own
    scratch = PopulationState(
        state.means,
        state.scale.copy(),
        state.covariance,
        state.precision,
        state.shared,
        state.center,
        state.deviation,
        state.weights,
    )
    learned = np.zeros(p, dtype=np.bool_)
    for i in range(p):
        huang_wand = prior.covariance == 1 and i >= first
        learned[i] = learns_scale(prior, i) and not huang_wand
    for step in rng.permutation(p + 1):
        chosen = learned.copy()
        if step < p:
            chosen[:] = False
            chosen[step] = learned[step]
        if chosen.any():
            of_sites = (gram, moment, sites.precision, center, common)
            args = (prior, scratch, state.scale.copy(), chosen, noise_variance, of_sites)
            factor = math.exp(_slice(args, 0.0, 1.0, rng))
            for i in range(p):
                if chosen[i]:
                    state.scale[i] *= factor
    place_factors(sites, prior, state, tasks, whitened)
