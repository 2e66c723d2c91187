"""Cluster means and weights as standard normals given sites, partition and population.

The standardised mean of cluster k is ``b_k = P_k^-1 g_k + L_k^-T q_k``, with precision and score of
what its tasks' sites say of it, deviations within clusters integrated out. Weights follow as in
`bayesmtl.relations.exchangeable.whitened`, around the mean of their cluster.
"""

import math

import numpy as np

from bayesmtl.numerics.categorical import pick
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import place_deviations, whiten_deviations
from bayesmtl.relations.clusters.between import TINY
from bayesmtl.relations.clusters.collapsed import weight_prior
from bayesmtl.relations.clusters.partition import cluster_sums, compress, log_mass_of_new
from bayesmtl.relations.exchangeable.moves import clear_padding, set_weights

__all__ = [
    "close_gaps",
    "log_joining",
    "log_opening",
    "place_centers",
    "place_in_clusters",
    "scan_given_centers",
    "whiten_centers",
    "whiten_in_clusters",
]


@kernel
def place_in_clusters(sites, prior, state, partition, whitened):
    """Weights of the tasks from q, given their cluster means."""
    center, scale = np.empty_like(state.center), np.empty_like(state.scale)
    weight_prior(prior, state, partition, center, scale)
    state.deviation[:] = whitened
    identity = np.eye(scale.shape[0])
    place_deviations(
        sites.gram, sites.moment, sites.precision, center, scale, identity, state.deviation
    )
    clear_padding(prior, state)
    between = math.sqrt(partition.between[0])
    within = math.sqrt(1.0 - partition.between[0])
    n_lanes = center.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(prior.block, scale.shape[0]):
            b = partition.center[partition.labels[t], i - prior.block]
            state.deviation[k, i, v] = between * b + within * state.deviation[k, i, v]
    set_weights(prior, state)


@kernel
def whiten_in_clusters(sites, prior, state, partition, whitened):
    """The q of the current weights; where clusters have equal weights those of features keep it."""
    center, scale = np.empty_like(state.center), np.empty_like(state.scale)
    weight_prior(prior, state, partition, center, scale)
    rest = 1.0 - partition.between[0]
    own = np.zeros_like(state.deviation)
    n_lanes = center.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(scale.shape[0]):
            own[k, i, v] = state.deviation[k, i, v]
            if i >= prior.block:
                b = partition.center[partition.labels[t], i - prior.block]
                own[k, i, v] -= math.sqrt(partition.between[0]) * b
                own[k, i, v] = own[k, i, v] / math.sqrt(rest) if rest >= TINY else 0.0
    identity = np.eye(scale.shape[0])
    whiten_deviations(
        sites.gram, sites.moment, sites.precision, center, scale, identity, own, whitened
    )


@inner_kernel
def _posterior(sums_a, sums_g, k, lower, shift):
    """Cholesky factor L of the precision of the mean of cluster k, and ``L^-1 g``."""
    d = shift.shape[0]
    for i in range(d):
        shift[i] = sums_g[i, k]
        for j in range(i + 1):
            total = sums_a[i * (i + 1) // 2 + j, k]
            if i == j:
                total += 1.0
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            lower[i, j] = math.sqrt(total) if i == j else total / lower[j, j]
        for m in range(i):
            shift[i] -= lower[i, m] * shift[m]
        shift[i] /= lower[i, i]


@inner_kernel
def _back(lower, x):
    for i in range(x.shape[0] - 1, -1, -1):
        x[i] /= lower[i, i]
        for m in range(i):
            x[m] -= lower[i, m] * x[i]


@kernel
def place_centers(partition, a, g, whitened, members):
    """Standardised cluster means from q (cluster, d), of the ``members`` (cluster,) bool only."""
    n_clusters, d = partition.n_clusters[0], g.shape[1]
    sums_a, sums_g = cluster_sums(a, g, partition.labels, n_clusters, 0)
    lower, shift = np.empty((d, d)), np.empty(d)
    for k in range(n_clusters):
        if members[k]:
            _posterior(sums_a, sums_g, k, lower, shift)
            for i in range(d):
                shift[i] += whitened[k, i]
            _back(lower, shift)
            partition.center[k] = shift


@kernel
def whiten_centers(partition, a, g, whitened):
    """The q (cluster, d) of the current cluster means."""
    n_clusters, d = partition.n_clusters[0], g.shape[1]
    sums_a, sums_g = cluster_sums(a, g, partition.labels, n_clusters, 0)
    lower, shift = np.empty((d, d)), np.empty(d)
    for k in range(n_clusters):
        _posterior(sums_a, sums_g, k, lower, shift)
        for i in range(d):
            whitened[k, i] = -shift[i]
            for m in range(i, d):
                whitened[k, i] += lower[m, i] * partition.center[k, m]


@kernel
def log_joining(a, g, b):
    """What each task's site says (task,) of one standardised mean b (d,)."""
    out = np.zeros(g.shape[0])
    for t in range(g.shape[0]):
        for i in range(b.shape[0]):
            out[t] += b[i] * (g[t, i] - 0.5 * a[t, i * (i + 1) // 2 + i] * b[i])
            for j in range(i):
                out[t] -= a[t, i * (i + 1) // 2 + j] * b[i] * b[j]
    return out


@kernel
def log_opening(a, g, rng):
    """For each task alone in a cluster: log evidence of its site, and a draw (task, d) of b."""
    n_tasks, d = g.shape
    out, b = np.empty(n_tasks), np.empty((n_tasks, d))
    lower, shift = np.empty((d, d)), np.empty(d)
    sums_a, sums_g = np.empty((a.shape[1], 1)), np.empty((d, 1))
    for t in range(n_tasks):
        sums_a[:, 0], sums_g[:, 0] = a[t], g[t]
        _posterior(sums_a, sums_g, 0, lower, shift)
        out[t] = 0.0
        for i in range(d):
            out[t] += 0.5 * shift[i] * shift[i] - math.log(lower[i, i])
            shift[i] += rng.standard_normal()
        _back(lower, shift)
        b[t] = shift
    return out, b


@kernel
def scan_given_centers(partition, order, begin, join, correction, opening, b, rng):
    """Labels of the tasks ``order[begin:]`` one by one, given the cluster means, in place.

    Stops after a task has opened a cluster, of which the columns of ``join`` and ``correction`` are
    then to be filled in. A task alone in its cluster goes on with the mean that this has. Neal
    (2000, J. Comput. Graph. Stat. 9), algorithm 8, with the mean of a new cluster drawn from the
    task's own site.

    Parameters
    ----------
    partition : PartitionState
        Its clusters may be empty until `bayesmtl.relations.clusters.partition.compress`.
    order : (task,)
    begin : int
    join : (task, cluster)
        Log evidence of a task's site at the mean of each cluster.
    correction : (task, cluster + 1)
        What the site leaves of its log-likelihood there; last, at the mean ``b`` of its own.
    opening : (task,)
        Log evidence of the site alone in a cluster.
    b : (task, d)
    rng : numpy.random.Generator

    Returns
    -------
    int
        Where to go on; the number of tasks when done.
    """
    labels, sizes = partition.labels, partition.sizes
    alpha, delta = partition.concentration[0], partition.discount[0]
    used, room = partition.n_clusters[0], join.shape[1]
    occupied = 0
    for k in range(used):
        occupied += sizes[k] > 0
    log_weights = np.empty(used + 1)
    for position in range(begin, order.shape[0]):
        t = order[position]
        own = labels[t]
        sizes[own] -= 1
        alone = sizes[own] == 0
        occupied -= alone
        for k in range(used):
            log_weights[k] = -np.inf
            if sizes[k] > 0:
                log_weights[k] = math.log(sizes[k] - delta) + join[t, k] + correction[t, k]
        log_weights[used] = log_mass_of_new(alpha, delta, occupied) + opening[t]
        log_weights[used] += correction[t, own] if alone else correction[t, room]
        k = pick(log_weights, used + 1, rng)
        if k < used:
            labels[t] = k
            sizes[k] += 1
            continue
        occupied += 1
        if alone:
            sizes[own] = 1
            continue
        # The slot of an empty cluster, or a further one.
        slot = used
        for k in range(used):
            if sizes[k] == 0:
                slot = k
        labels[t] = slot
        sizes[slot] = 1
        partition.center[slot] = b[t]
        partition.n_clusters[0] = max(used, slot + 1)
        return position + 1
    return order.shape[0]


@kernel
def close_gaps(partition):
    """Rename the clusters by first appearance; their means follow."""
    n_clusters = partition.n_clusters[0]
    center = partition.center[:n_clusters].copy()
    before = partition.labels.copy()
    compress(partition)
    for t in range(before.shape[0]):
        partition.center[partition.labels[t]] = center[before[t]]
