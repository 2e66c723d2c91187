"""Log joint density of partition, population and weights."""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.relations.clusters.partition import log_partition
from bayesmtl.relations.exchangeable.density import log_noise, log_rows, log_structure

__all__ = ["log_joint", "log_population"]

_NORMAL = 0.5 * math.log(2.0 * math.pi)


@kernel
def log_joint(prior, state, partition, partition_prior, noise, square, noise_variance):
    """Log of likelihood x weights x partition x structure, up to a constant, in internal units.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    partition : PartitionState
    partition_prior : PartitionPrior
    noise : NoiseState
    square : (block, lane)
        Residual sums of squares, weighted.
    noise_variance : float
    """
    value = log_population(prior, state, partition, partition_prior, noise_variance)
    return value + log_noise(noise) + log_rows(noise, square)


@kernel
def log_population(prior, state, partition, partition_prior, noise_variance):
    """Log density of weights, partition and structure, up to a constant, in internal units.

    The cluster means are integrated out; where nothing varies within clusters, the density of the
    weights is that of the cluster means.
    """
    value = log_structure(prior, state, noise_variance)
    value += log_partition(partition, partition_prior)
    value += log_density(partition_prior.between, partition.between[0])
    for i in range(state.scale.shape[0]):
        share = partition.between[0] if i >= prior.block else 0.0
        if state.scale[i] > 0.0:
            value += _log_deviations(prior, state, partition, share, i)
    return value


@inner_kernel
def _log_deviations(prior, state, partition, share, i):
    """Log density of the weights of coefficient i given the partition."""
    n_lanes = state.deviation.shape[2]
    n_clusters = partition.n_clusters[0]
    log_scale, rest = math.log(state.scale[i]), 1.0 - share
    value, total = 0.0, 0.0
    if share == 1.0:
        for k in range(n_clusters):
            # The constant counts: the number of clusters varies.
            value -= 0.5 * partition.center[k, i - prior.block] ** 2 + log_scale + _NORMAL
        return value
    sums = np.zeros(n_clusters)
    for t in range(prior.n_tasks):
        u = state.deviation[t // n_lanes, i, t % n_lanes]
        sums[partition.labels[t]] += u
        total += u * u
    for k in range(n_clusters):
        n = partition.sizes[k]
        whole = rest + n * share
        value -= 0.5 * ((n - 1) * math.log(rest) + math.log(whole))
        total -= share / whole * sums[k] ** 2
    return value - 0.5 * total / rest - prior.n_tasks * log_scale
