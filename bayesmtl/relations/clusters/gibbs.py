"""Gibbs sweep of the clusters: partition with weights and cluster means integrated out, then both.

The population of `bayesmtl.relations.exchangeable` carries the weights as standardised deviations
``u_t = (w_t - center_t) / scale``. Here they are ``sqrt(between) b_c(t) + sqrt(1 - between) z_t``
for the features; the non-centred updates of means and scales do not change, the centred ones
integrate b out.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.lanes import draw_deviations
from bayesmtl.relations.clusters.centred import (
    centred_between,
    centred_exchange,
    centred_means,
    centred_scales,
    shared_with_means,
)
from bayesmtl.relations.clusters.collapsed import (
    cluster_sites,
    collapsed_between,
    collapsed_exchange,
    collapsed_scales,
    draw_centers,
    scales_given_centers,
    weight_prior,
)
from bayesmtl.relations.clusters.noncentred import noncentred_between
from bayesmtl.relations.clusters.partition import (
    scan_labels,
    split_or_merge,
    update_partition_prior,
)
from bayesmtl.relations.clusters.state import PartitionPrior, PartitionState
from bayesmtl.relations.exchangeable.moves import (
    clear_padding,
    noncentred_means,
    noncentred_scales,
    set_weights,
    update_joint,
)
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = ["sweep"]

# Splits or merges proposed after each scan of the labels.
_PROPOSALS = 3
# Where they are cheap: rounds of a sweep with weights and cluster means integrated out, and scans
# of the labels a round.
_REPEATS = 2
# Operations of an update with everything but the partition integrated out.
_CHEAP, _AFFORDABLE = 200_000, 200_000_000


@kernel
def draw_weights(sites, prior, state, partition, rng):
    """Weights given cluster means and population."""
    center, scale = np.empty_like(state.center), np.empty_like(state.scale)
    weight_prior(prior, state, partition, center, scale)
    p = scale.shape[0]
    draw_deviations(
        sites.gram, sites.moment, sites.precision, center, scale, np.eye(p), rng, state.deviation
    )
    clear_padding(prior, state)
    between = math.sqrt(partition.between[0])
    within = math.sqrt(1.0 - partition.between[0])
    n_lanes = center.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(prior.block, p):
            b = partition.center[partition.labels[t], i - prior.block]
            state.deviation[k, i, v] = between * b + within * state.deviation[k, i, v]
    set_weights(prior, state)


def sweep(
    sites: Sites,
    prior: PopulationPrior,
    state: PopulationState,
    partition: PartitionState,
    partition_prior: PartitionPrior,
    noise_variance: float,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep over partition, weights and population, in place.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
        With a diagonal covariance.
    state : PopulationState
    partition : PartitionState
    partition_prior : PartitionPrior
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    p = prior.scale_unit.size
    work = prior.n_tasks * p**3
    cheap, cheap_scales = work <= _CHEAP, work * p <= _CHEAP
    affordable = not cheap_scales and work * p <= _AFFORDABLE
    flags = (cheap, cheap_scales, affordable)
    _sweep(sites, prior, state, partition, partition_prior, noise_variance, flags, rng)


@kernel
def _sweep(sites, prior, state, partition, partition_prior, noise_variance, flags, rng):
    """All updates in one call: each would take the interpreter lock, and chains share it."""
    cheap, cheap_scales, affordable = flags
    learn_between = partition_prior.between[0] != 0.0
    repeats = _REPEATS if cheap else 1
    for _ in range(repeats):
        if learn_between and cheap:
            collapsed_between(sites, prior, state, partition, partition_prior, rng)
            collapsed_exchange(sites, prior, state, partition, partition_prior, noise_variance, rng)
        if cheap_scales:
            collapsed_scales(sites, prior, state, partition, rng)
        a, g = cluster_sites(sites, prior, state, partition.between[0])
        for _ in range(repeats):
            scan_labels(partition, a, g, rng)
            for _ in range(_PROPOSALS):
                split_or_merge(partition, a, g, rng)
            update_partition_prior(partition, partition_prior, rng)
    draw_centers(partition, a, g, rng)
    if affordable:
        scales_given_centers(sites, prior, state, partition, rng)
    draw_weights(sites, prior, state, partition, rng)
    centred_means(prior, state, partition, rng)
    centred_scales(prior, state, partition, rng)
    if prior.joint.any():
        shared_with_means(prior, state, partition, noise_variance, rng)
    if learn_between:
        centred_exchange(prior, state, partition, partition_prior, noise_variance, rng)
    centred_between(prior, state, partition, partition_prior, rng)
    if learn_between:
        noncentred_between(sites, prior, state, partition, partition_prior, rng)
    noncentred_means(sites, prior, state, rng)
    noncentred_scales(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
