"""Updates of the structure of tasks that share factors, around sites that are not exact.

Those given the weights, which no likelihood enters, and proposals that are reversible under the
sites' posterior.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import cholesky, draw_gaussian, invert_lower
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.exchange import exchange_factors
from bayesmtl.relations.covariance.factors import (
    common_sites,
    draw_factors,
    own_sites,
    specific_given_weights,
    translate_loadings,
    update_from_factors,
)
from bayesmtl.relations.covariance.innovations import by_task
from bayesmtl.relations.covariance.shrinkage import (
    recombine_factors,
    update_loadings,
    update_sticks,
)
from bayesmtl.relations.covariance.specific import own_moments
from bayesmtl.relations.covariance.state import SPECIFIC_DOF, SPECIFIC_SCALE
from bayesmtl.relations.covariance.whitened import place_factors
from bayesmtl.relations.exchangeable.moves import (
    noncentred_means,
    noncentred_scales,
    set_weights,
)
from bayesmtl.relations.exchangeable.rows import row_pass

__all__ = [
    "expand_factors",
    "factors_given_weights",
    "propose_factors",
    "propose_features",
    "propose_kinds",
    "propose_loadings",
]


@inner_kernel
def _sites_of_weights(prior, state, tasks):
    """Lanes of sites of the common parts given the weights: what these say of their means.

    A feature whose scale is zero says nothing.
    """
    first, n_tasks, n_lanes = prior.block, prior.n_tasks, state.weights.shape[2]
    d, n_blocks = state.scale.shape[0] - first, state.weights.shape[0]
    gram, score = np.zeros((n_blocks, d * (d + 1) // 2, n_lanes)), np.zeros((n_blocks, d, n_lanes))
    for t in range(n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(d):
            for j in range(d):
                if state.scale[first + i] > 0.0 and state.scale[first + j] > 0.0:
                    weight = state.precision[first + i, first + j] / tasks.specific[t]
                    score[k, i, v] += weight * state.deviation[k, first + j, v]
                    if j <= i:
                        gram[k, i * (i + 1) // 2 + j, v] = weight
    return gram, score


@inner_kernel
def _by_task(prior, gram, score):
    """Gram (task, triangle) and score (task, d)."""
    return (
        by_task(gram, prior.n_tasks, 0, gram.shape[1]),
        by_task(score, prior.n_tasks, 0, score.shape[1]),
    )


@kernel
def factors_given_weights(prior, state, tasks, common, noise_variance, rng):
    """Factors and loadings, means and scales, and variances of own parts, given the weights.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    tasks : FactorTasks
    common : bool
        Whether the own parts have one variance.
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    gram, score = _sites_of_weights(prior, state, tasks)
    precision = state.precision[prior.block :, prior.block :].copy()
    packed, linear = _by_task(prior, gram, score)
    update_loadings(gram, score, tasks, rng)
    draw_factors(packed, linear, precision, tasks, rng)
    recombine_factors(tasks, precision, rng)
    update_sticks(tasks, rng)
    update_from_factors(prior, state, tasks, noise_variance, rng)
    specific_given_weights(prior, state, tasks, common, rng)
    translate_loadings(prior, state, tasks, rng)
    exchange_factors(prior, state, tasks, common, noise_variance, rng)


@inner_kernel
def _sites_of_common(sites, prior, state, tasks):
    """Lanes of sites of the common parts, weights integrated out."""
    gram, moment, unit = own_sites(sites, prior, tasks)
    return common_sites(gram, moment, sites.precision, unit, prior, state)


@kernel
def propose_factors(sites, prior, state, tasks, whitened, rng):
    """Factors given their loadings, weights integrated out; then the weights of q."""
    gram, score = _by_task(prior, *_sites_of_common(sites, prior, state, tasks))
    precision = state.precision[prior.block :, prior.block :].copy()
    draw_factors(gram, score, precision, tasks, rng)
    place_factors(sites, prior, state, tasks, whitened)


@kernel
def propose_kinds(sites, prior, state, tasks, whitened, rng):
    """Kinds, variances and loadings of the factors, weights integrated out; weights of q."""
    gram, score = _sites_of_common(sites, prior, state, tasks)
    update_loadings(gram, score, tasks, rng)
    place_factors(sites, prior, state, tasks, whitened)


@kernel
def propose_loadings(sites, prior, state, tasks, whitened, rng):
    """Loadings of each task given factors and variances, weights integrated out; weights of q."""
    gram, score = _by_task(prior, *_sites_of_common(sites, prior, state, tasks))
    n_factors, d = tasks.factors.shape
    whole = np.empty((d, d))
    for t in range(prior.n_tasks):
        for i in range(d):
            for j in range(i + 1):
                whole[i, j] = whole[j, i] = gram[t, i * (i + 1) // 2 + j]
        precision = np.dot(tasks.factors, np.dot(whole, tasks.factors.T))
        for h in range(n_factors):
            precision[h, h] += 1.0 / tasks.variance[h]
        tasks.loadings[t] = draw_gaussian(precision, np.dot(tasks.factors, score[t]), rng)
    place_factors(sites, prior, state, tasks, whitened)


@inner_kernel
def _expansion_target(x, args):
    """Log density of the log of what multiplies loadings and own sd of one task (Haar measure)."""
    power, of_loadings, weight, ratio, quadratic, linear = args
    e = math.exp(x)
    value = power * x - 0.5 * (of_loadings + quadratic) * e * e + linear * e
    return value - weight * math.log1p(ratio * e * e)


_slice_expansion = slice_sampler(_expansion_target)


@kernel
def expand_factors(sites, prior, state, tasks, common, factor, rng):
    """Multiply the deviations of each task by a factor, written to ``factor`` (task,).

    Loadings and sds of own parts are to be multiplied too; only loadings, and what they make of the
    deviations, where the own parts have one variance in ``common``.
    """
    n_lanes, n_factors = state.weights.shape[2], tasks.variance.shape[0]
    part = np.dot(tasks.loadings, tasks.factors)
    if not common:
        part = by_task(state.deviation, prior.n_tasks, prior.block, state.scale.shape[0])
    direction, base = np.zeros_like(state.weights), state.weights.copy()
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(part.shape[1]):
            j = prior.block + i
            direction[k, j, v] = state.scale[j] * part[t, i]
            base[k, j, v] -= direction[k, j, v]
    quadratic, linear = np.empty_like(sites.precision), np.empty_like(sites.precision)
    own_moments(sites.gram, sites.moment, sites.precision, base, direction, quadratic, linear)
    weight = 0.0 if common else 0.5 * (SPECIFIC_DOF + 1.0)
    power = float(n_factors) + (0.0 if common else 1.0)
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        ratio = tasks.specific[t] / (SPECIFIC_DOF * SPECIFIC_SCALE**2)
        of_loadings = (tasks.loadings[t] ** 2 / tasks.variance).sum()
        args = (power, of_loadings, weight, ratio, quadratic[k, v], linear[k, v])
        factor[t] = math.exp(_slice_expansion(args, 0.0, 0.5, rng))
        for i in range(part.shape[1]):
            state.deviation[k, prior.block + i, v] += (factor[t] - 1.0) * part[t, i]
    set_weights(prior, state)


@inner_kernel
def _root(prior, state):
    first = prior.block
    return cholesky(state.covariance[first:, first:].copy())


@kernel
def propose_features(sites, prior, state, factors, rows, rng):
    """Means and scales, or with ``rows`` a Huang-Wand covariance, given standard parts.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
    state : PopulationState
    factors : (factor, d)
        They keep their standard form under a Huang-Wand covariance, as the weights do; no rows
        without factors.
    rows : bool
    rng : numpy.random.Generator
    """
    before = np.empty((0, 0))
    if prior.covariance == 1:
        before = invert_lower(_root(prior, state))
    if rows:
        row_pass(sites, prior, state, rng)
    elif rng.random() < 0.5:
        noncentred_means(sites, prior, state, rng)
        noncentred_scales(sites, prior, state, rng)
    else:
        noncentred_scales(sites, prior, state, rng)
        noncentred_means(sites, prior, state, rng)
    if prior.covariance == 1 and factors.shape[0] > 0:
        factors[:] = np.dot(factors, np.dot(_root(prior, state), before).T)
