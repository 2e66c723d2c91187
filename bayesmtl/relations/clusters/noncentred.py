"""The share between clusters given standardised cluster means and deviations within them."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import multiply_lanes
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.clusters.between import TINY, between_prior, expit, logit
from bayesmtl.relations.exchangeable.moves import set_weights

__all__ = ["noncentred_between"]


@inner_kernel
def _noncentred_between_target(x, args):
    """Given standardised cluster means and deviations within clusters."""
    (bb, bz, zz, b_linear, z_linear), row = args
    value = between_prior(x, row)
    if value == -np.inf:
        return value
    b = math.sqrt(expit(x))
    z = math.sqrt(expit(-x))
    quadratic = b * b * bb + 2.0 * b * z * bz + z * z * zz
    return value + b * b_linear + z * z_linear - 0.5 * quadratic


_slice_noncentred = slice_sampler(_noncentred_between_target)


@inner_kernel
def _between_moments(sites, prior, state, b, z):
    """Quadratic and linear terms of the log-likelihood of ``center + scale (x b + y z)``."""
    n_blocks, p, n_lanes = b.shape
    scaled_b, scaled_z = np.zeros((p, n_lanes)), np.zeros((p, n_lanes))
    x, y, base = np.empty((p, n_lanes)), np.empty((p, n_lanes)), np.empty((p, n_lanes))
    bb, bz, zz, b_linear, z_linear = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n_blocks):
        for i in range(p):
            for v in range(n_lanes):
                scaled_b[i, v] = state.scale[i] * b[k, i, v]
                scaled_z[i, v] = state.scale[i] * z[k, i, v]
                base[i, v] = state.weights[k, i, v] if i < prior.block else state.center[k, i, v]
        multiply_lanes(sites.gram, k, base, x)
        for i in range(p):
            for v in range(n_lanes):
                score = (sites.moment[k, i, v] - x[i, v]) * sites.precision[k, v]
                b_linear += score * scaled_b[i, v]
                z_linear += score * scaled_z[i, v]
        multiply_lanes(sites.gram, k, scaled_b, x)
        multiply_lanes(sites.gram, k, scaled_z, y)
        for i in range(p):
            for v in range(n_lanes):
                bb += scaled_b[i, v] * x[i, v] * sites.precision[k, v]
                bz += scaled_z[i, v] * x[i, v] * sites.precision[k, v]
                zz += scaled_z[i, v] * y[i, v] * sites.precision[k, v]
    return bb, bz, zz, b_linear, z_linear


@kernel
def noncentred_between(sites, prior, state, partition, partition_prior, rng):
    """Share between clusters given standardised cluster means and deviations within them."""
    share, first = partition.between[0], prior.block
    if 1.0 - share < TINY:
        return
    n_blocks, p, n_lanes = state.deviation.shape
    b, z = np.zeros((n_blocks, p, n_lanes)), np.zeros((n_blocks, p, n_lanes))
    root, rest = math.sqrt(share), math.sqrt(1.0 - share)
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(first, p):
            b[k, i, v] = partition.center[partition.labels[t], i - first]
            z[k, i, v] = (state.deviation[k, i, v] - root * b[k, i, v]) / rest
    moments = _between_moments(sites, prior, state, b, z)
    args = (moments, partition_prior.between)
    share = expit(_slice_noncentred(args, logit(share), 1.5, rng))
    partition.between[0] = share
    root, rest = math.sqrt(share), math.sqrt(1.0 - share)
    for k in range(n_blocks):
        for i in range(first, p):
            for v in range(n_lanes):
                state.deviation[k, i, v] = root * b[k, i, v] + rest * z[k, i, v]
    set_weights(prior, state)
