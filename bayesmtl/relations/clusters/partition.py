"""Moves of the partition with task weights and cluster means integrated out.

Every task is a quadratic log-likelihood ``g't - t'A t / 2`` of the standardised mean t of its
cluster, ``t ~ N(0, I)``, so a cluster C has the log evidence ``g_C' (I + A_C)^-1 g_C / 2 - log|I +
A_C| / 2`` with the sums g_C and A_C of its tasks. The candidates of a task are lanes of one
factorisation.
"""

import math

import numpy as np

from bayesmtl.numerics.categorical import pick
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel, lane_kernel
from bayesmtl.numerics.lanes import factor_lanes
from bayesmtl.numerics.partition_priors import (
    draw_concentration,
    log_components,
    log_concentration_target,
    log_discount_target,
    log_eppf,
)
from bayesmtl.numerics.slicing import slice_sampler

__all__ = [
    "cluster_sums",
    "compress",
    "log_evidences",
    "log_mass_of_new",
    "log_partition",
    "scan_labels",
    "split_or_merge",
    "update_partition_prior",
]

# Lanes come in whole vectors, or loops over them are not vectorised.
_VECTOR = 8
_PAIR = 4
_ROUNDING = 1e-12
_GAMMA = 11

_slice_concentration = slice_sampler(log_concentration_target)
_slice_discount = slice_sampler(log_discount_target)


@lane_kernel
def log_evidences(a, x, out):
    """Log evidence in each lane of ``x't - t'a t / 2`` with ``t ~ N(0, I)``; a, x are overwritten.

    Parameters
    ----------
    a : (d (d + 1) / 2, lane)
        Packed, without the identity.
    x : (d, lane)
    out : (lane,)
    """
    d, n = x.shape
    for i in range(d):
        for v in range(n):
            a[i * (i + 1) // 2 + i, v] += 1.0
    factor_lanes(a, d)
    for v in range(n):
        out[v] = 0.0
    for i in range(d):
        row = i * (i + 1) // 2
        for j in range(i):
            for v in range(n):
                x[i, v] -= a[row + j, v] * x[j, v]
        for v in range(n):
            x[i, v] *= a[row + i, v]
            out[v] += 0.5 * x[i, v] * x[i, v]
    for v in range(n):
        # The factor's diagonal holds reciprocals in (0, 1]; products of four cannot underflow.
        product = 1.0
        total = 0.0
        for i in range(d):
            product *= a[i * (i + 1) // 2 + i, v]
            if i % 4 == 3:
                total += math.log(product)
                product = 1.0
        out[v] += total + math.log(product)


@lane_kernel
def _candidates(sums_a, sums_g, a_t, g_t, own, place, out):
    """Log evidence of all lanes with one task more; at ``place`` that of ``own`` as it is."""
    n = out.shape[0]
    # Lanes next to each other in memory, as the compiler sees only of whole arrays.
    a, x = np.empty((a_t.shape[0], n)), np.empty((g_t.shape[0], n))
    for e in range(a_t.shape[0]):
        for v in range(n):
            a[e, v] = sums_a[e, v] + a_t[e]
        a[e, place] = sums_a[e, own]
    for i in range(g_t.shape[0]):
        for v in range(n):
            x[i, v] = sums_g[i, v] + g_t[i]
        x[i, place] = sums_g[i, own]
    log_evidences(a, x, out)


@inner_kernel
def _add(sums_a, sums_g, k, a_t, g_t, sign):
    for e in range(a_t.shape[0]):
        sums_a[e, k] += sign * a_t[e]
    for i in range(g_t.shape[0]):
        sums_g[i, k] += sign * g_t[i]


@inner_kernel
def _whole_vectors(n):
    return _VECTOR * ((n + _VECTOR - 1) // _VECTOR)


@kernel
def cluster_sums(a, g, labels, n_clusters, spare):
    """Sums over the tasks of each cluster, one lane each, and ``spare`` empty lanes.

    Returns
    -------
    sums_a : (d (d + 1) / 2, lane)
    sums_g : (d, lane)
    """
    sums_a = np.zeros((a.shape[1], n_clusters + spare))
    sums_g = np.zeros((g.shape[1], n_clusters + spare))
    for t in range(labels.shape[0]):
        _add(sums_a, sums_g, labels[t], a[t], g[t], 1.0)
    return sums_a, sums_g


@inner_kernel
def _evidences(sums_a, sums_g):
    out = np.empty(sums_a.shape[1])
    log_evidences(sums_a.copy(), sums_g.copy(), out)
    return out


@inner_kernel
def compress(partition):
    """Rename the clusters 0, 1, ... by first appearance and count them."""
    labels, sizes = partition.labels, partition.sizes
    n_tasks = labels.shape[0]
    names = np.full(labels.max() + 1, -1)
    count = 0
    sizes[:] = 0
    for t in range(n_tasks):
        if names[labels[t]] < 0:
            names[labels[t]] = count
            count += 1
        labels[t] = names[labels[t]]
        sizes[labels[t]] += 1
    partition.n_clusters[0] = count


@inner_kernel
def _widen(values):
    """The same lanes and as many empty ones."""
    out = np.zeros((values.shape[0], 2 * values.shape[1]))
    out[:, : values.shape[1]] = values
    return out


@inner_kernel
def log_mass_of_new(alpha, delta, n_clusters):
    """Log of alpha + delta K; a finite mixture whose components all have tasks has none."""
    mass = alpha + delta * n_clusters
    return math.log(mass) if mass > _ROUNDING * alpha else -np.inf


@kernel
def scan_labels(partition, a, g, rng):
    """Draw the cluster of every task given those of the others, in random order, in place.

    Neal (2000, J. Comput. Graph. Stat. 9), algorithm 3.

    Parameters
    ----------
    partition : PartitionState
    a : (task, d (d + 1) / 2)
    g : (task, d)
    rng : numpy.random.Generator
    """
    labels = partition.labels
    n_tasks = g.shape[0]
    alpha, delta = partition.concentration[0], partition.discount[0]
    used = partition.n_clusters[0]
    lanes = _whole_vectors(used + 2)
    sums_a, sums_g = cluster_sums(a, g, labels, used, lanes - used)
    sizes = np.zeros(lanes, dtype=np.int64)
    sizes[:used] = partition.sizes[:used]
    alone = np.zeros(lanes)
    alone[:used] = _evidences(sums_a, sums_g)[:used]
    with_task, log_weights = np.empty(lanes), np.empty(lanes)
    clusters = used
    # Lanes below ``used`` hold clusters or have become empty; the first empty one is "new".
    for t in rng.permutation(n_tasks):
        own = labels[t]
        sizes[own] -= 1
        if sizes[own] == 0:
            clusters -= 1
            sums_a[:, own] = 0.0
            sums_g[:, own] = 0.0
            alone[own] = 0.0
        else:
            _add(sums_a, sums_g, own, a[t], g[t], -1.0)
        if used + 2 > sizes.shape[0]:
            sums_a, sums_g = _widen(sums_a), _widen(sums_g)
            sizes = np.concatenate((sizes, np.zeros_like(sizes)))
            alone = np.concatenate((alone, np.zeros_like(alone)))
            with_task, log_weights = np.empty(sizes.shape[0]), np.empty(sizes.shape[0])
        # The lane after that of a new cluster holds the task's own one without it.
        n = _whole_vectors(used + 2)
        _candidates(sums_a, sums_g, a[t], g[t], own, used + 1, with_task[:n])
        alone[own] = with_task[used + 1]
        new = -1
        for k in range(used + 1):
            if sizes[k] > 0:
                log_weights[k] = math.log(sizes[k] - delta) + with_task[k] - alone[k]
            elif new < 0:
                new = k
                log_weights[k] = log_mass_of_new(alpha, delta, clusters) + with_task[k]
            else:
                log_weights[k] = -np.inf
        own = pick(log_weights, used + 1, rng)
        labels[t] = own
        if sizes[own] == 0:
            clusters += 1
            used = max(used, own + 1)
        sizes[own] += 1
        _add(sums_a, sums_g, own, a[t], g[t], 1.0)
        alone[own] = with_task[own]
    compress(partition)


@inner_kernel
def _log_prior_of_split(n_clusters, first, second, alpha, delta):
    """Log prior ratio of a partition with one of its ``n_clusters`` clusters split in two."""
    return (
        log_mass_of_new(alpha, delta, n_clusters)
        + math.lgamma(first - delta)
        + math.lgamma(second - delta)
        - math.lgamma(first + second - delta)
        - math.lgamma(1.0 - delta)
    )


@kernel
def split_or_merge(partition, a, g, rng):
    """One sequentially allocated split or merge, accepted or not, in place.

    Two tasks are drawn. Together in a cluster, they become two clusters to which its other tasks
    are allocated one by one, in random order; apart, their clusters are merged. Given the order,
    drawn independently, the merge is the only way back (Dahl and Newcomb 2022, J. Stat. Comput.
    Simul. 92).

    Parameters
    ----------
    partition : PartitionState
    a : (task, d (d + 1) / 2)
    g : (task, d)
    rng : numpy.random.Generator

    Returns
    -------
    bool
        Whether the partition changed.
    """
    labels = partition.labels
    n_tasks, d = g.shape
    if n_tasks < 2:
        return False
    alpha, delta = partition.concentration[0], partition.discount[0]
    i = rng.integers(0, n_tasks)
    j = rng.integers(0, n_tasks - 1)
    j += j >= i
    first, second = labels[i], labels[j]
    split = first == second
    members = np.empty(n_tasks, dtype=np.int64)
    count = 0
    for t in range(n_tasks):
        if t not in (i, j) and labels[t] in (first, second):
            members[count] = t
            count += 1
    members = members[:count]
    rng.shuffle(members)
    half = a.shape[1]
    sums_a, sums_g = np.zeros((half, _PAIR)), np.zeros((d, _PAIR))
    sums_a[:, 0], sums_a[:, 1] = a[i], a[j]
    sums_g[:, 0], sums_g[:, 1] = g[i], g[j]
    alone = _evidences(sums_a, sums_g)
    with_task = np.empty(_PAIR)
    sizes = np.ones(2)
    side = np.empty(count, dtype=np.int64)
    log_proposal = 0.0
    for m in range(count):
        t = members[m]
        _candidates(sums_a, sums_g, a[t], g[t], 2, 2, with_task)
        odds = (
            math.log(sizes[1] - delta)
            + with_task[1]
            - alone[1]
            - math.log(sizes[0] - delta)
            - with_task[0]
            + alone[0]
        )
        # log P(side 1) and log P(side 0), without overflow.
        log_one = -math.log1p(math.exp(-odds)) if odds > 0.0 else odds - math.log1p(math.exp(odds))
        log_zero = log_one - odds
        if split:
            side[m] = 1 if math.log(1.0 - rng.random()) < log_one else 0
        else:
            side[m] = 1 if labels[t] == second else 0
        k = side[m]
        log_proposal += log_one if k == 1 else log_zero
        _add(sums_a, sums_g, k, a[t], g[t], 1.0)
        sizes[k] += 1.0
        alone[k] = with_task[k]
    whole_a, whole_g = np.empty((half, 1)), np.empty((d, 1))
    whole_a[:, 0], whole_g[:, 0] = sums_a[:, 0] + sums_a[:, 1], sums_g[:, 0] + sums_g[:, 1]
    together = _evidences(whole_a, whole_g)[0]
    before = partition.n_clusters[0] if split else partition.n_clusters[0] - 1
    log_ratio = (
        _log_prior_of_split(before, sizes[0], sizes[1], alpha, delta)
        + alone[0]
        + alone[1]
        - together
        - log_proposal
    )
    if not split:
        log_ratio = -log_ratio
    if not math.log(1.0 - rng.random()) < log_ratio:
        return False
    if split:
        new = partition.n_clusters[0]
        labels[j] = new
        for m in range(count):
            if side[m] == 1:
                labels[members[m]] = new
    else:
        for t in range(n_tasks):
            if labels[t] == second:
                labels[t] = first
    compress(partition)
    return True


@kernel
def update_partition_prior(partition, prior, rng):
    """Draw concentration, discount and number of components given the partition, in place.

    Under a Dirichlet process and a Gamma prior as Escobar and West (1995), else by slices; the
    number of components as in the telescoping sampler (Fruehwirth-Schnatter et al. 2021).

    Parameters
    ----------
    partition : PartitionState
    prior : PartitionPrior
    rng : numpy.random.Generator
    """
    n_clusters = partition.n_clusters[0]
    sizes = partition.sizes[:n_clusters]
    n_components = prior.log_components.shape[0]
    if n_components > 0:
        log_weights = log_components(sizes, partition.concentration[0], prior.log_components)
        partition.n_components[0] = 1 + pick(log_weights, n_components, rng)
    if (
        prior.concentration[0] == _GAMMA
        and n_components == 0
        and prior.discount[0] == 0.0
        and (prior.discount[1] == 0.0)
    ):
        shape, rate = prior.concentration[1], prior.concentration[2]
        partition.concentration[0] = draw_concentration(
            partition.concentration[0], n_clusters, partition.labels.shape[0], shape, rate, rng
        )
    elif prior.concentration[0] != 0.0:
        args = (sizes, partition.discount[0], partition.n_components[0], prior.concentration)
        start = math.log(partition.concentration[0])
        partition.concentration[0] = math.exp(_slice_concentration(args, start, 1.0, rng))
    if n_components > 0:
        partition.discount[0] = -partition.concentration[0] / partition.n_components[0]
    elif prior.discount[0] != 0.0:
        discount_args = (sizes, partition.concentration[0], prior.discount)
        partition.discount[0] = _slice_discount(discount_args, partition.discount[0], 0.3, rng)


@kernel
def log_partition(partition, prior):
    """Log prior density of partition, concentration, discount and number of components."""
    sizes = partition.sizes[: partition.n_clusters[0]]
    alpha, delta = partition.concentration[0], partition.discount[0]
    value = log_density(prior.concentration, alpha)
    if prior.log_components.shape[0] > 0:
        value += log_components(sizes, alpha, prior.log_components)[partition.n_components[0] - 1]
    else:
        value += log_density(prior.discount, delta) + log_eppf(sizes, alpha, delta)
    return value
