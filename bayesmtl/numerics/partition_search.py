"""Search for the partition of least expected loss, for losses of one form.

Between partitions with clusters of sizes n_a and m_b that share n_ab tasks, a loss is, up to a
factor,

    sum_a f(n_a) + sum_b f(m_b) - 2 sum_ab f(n_ab),   f(0) = f(1) = 0;

``f(x) = x log x`` is the variation of information, ``f(x) = x (x - 1) / 2`` Binder's loss. The
expectation over draws needs each distinct cluster of the draws only once, with its probability:
fewer than draws times clusters, since clusters recur more often than whole partitions.

Partitions here have labels 0, 1, ... without gaps.
"""

from typing import NamedTuple

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel

__all__ = ["DistinctClusters", "descend", "distances", "distinct_clusters"]

# What rounding may add to a sum of a few thousand terms: smaller differences of loss are ties,
# and a tie moves nothing, so the search ends.
_TIE = 1e-10


class DistinctClusters(NamedTuple):
    """The different sets of tasks that are clusters in some draw.

    Parameters
    ----------
    holding : (entry,)
        Clusters that hold task t, for all tasks one after the other.
    first : (task + 1,)
        Task t has the entries ``first[t]`` to ``first[t + 1]``.
    weight : (cluster,)
        Probability that the cluster occurs.
    """

    holding: np.ndarray
    first: np.ndarray
    weight: np.ndarray


def distinct_clusters(draws: np.ndarray, weights: np.ndarray) -> DistinctClusters:
    """Clusters of weighted partitions (draw, task), the equal ones taken together.

    Each cluster walks down a trie whose edges are its tasks in increasing order: two clusters end
    in the same node if and only if they are equal.
    """
    n_draws, n_tasks = draws.shape
    rows, fresh = np.arange(n_draws), 1
    node = np.zeros((n_draws, int(draws.max()) + 1), dtype=np.int64)
    for task in range(n_tasks):
        here = (rows, draws[:, task])
        _, child = np.unique(node[here], return_inverse=True)
        node[here] = fresh + child
        fresh += int(child.max()) + 1
    identity = np.unique(node, return_inverse=True)[1].reshape(node.shape)
    weight = np.bincount(identity.ravel(), weights=np.repeat(weights, node.shape[1]))
    holding = [np.unique(identity[rows, draws[:, task]]) for task in range(n_tasks)]
    first = np.cumsum([0, *(len(entries) for entries in holding)])
    return DistinctClusters(np.concatenate(holding), first, weight)


@kernel
def distances(partition, draws, potential):
    """Loss between a partition (task,) and each of the draws (draw, task).

    Parameters
    ----------
    partition : int array (task,)
    draws : int array (draw, task)
    potential : array (task + 1,)
        f at 0, 1, ..., number of tasks; see the module.

    Returns
    -------
    array (draw,)
    """
    n_draws, n_tasks = draws.shape
    joint = np.zeros((partition.max() + 1, draws.max() + 1), np.int64)
    mine = np.zeros(joint.shape[0], np.int64)
    theirs = np.zeros(joint.shape[1], np.int64)
    own = 0.0
    for t in range(n_tasks):
        mine[partition[t]] += 1
    for a in range(mine.shape[0]):
        own += potential[mine[a]]
    out = np.empty(n_draws)
    for m in range(n_draws):
        for t in range(n_tasks):
            joint[partition[t], draws[m, t]] += 1
            theirs[draws[m, t]] += 1
        total = own
        # Each cell is added once and cleared: cheaper than to visit all cells.
        for t in range(n_tasks):
            a, b = partition[t], draws[m, t]
            total += potential[theirs[b]] - 2.0 * potential[joint[a, b]]
            theirs[b] = 0
            joint[a, b] = 0
        out[m] = max(total, 0.0)
    return out


@inner_kernel
def _move(task, target, labels, sizes, shared, clusters):
    """Put a task into the cluster ``target``, -1 for none."""
    source = labels[task]
    for entry in range(clusters.first[task], clusters.first[task + 1]):
        row = shared[clusters.holding[entry]]
        if source >= 0:
            row[source] -= 1
        if target >= 0:
            row[target] += 1
    if source >= 0:
        sizes[source] -= 1
    if target >= 0:
        sizes[target] += 1
    labels[task] = target


@inner_kernel
def _best(task, labels, sizes, shared, clusters, gain):
    """The cluster of least cost for a task, its cost, and the cost of where the task is.

    Cost: expected loss with the task in the cluster less that without the task. An empty cluster
    costs nothing, as does a task that is nowhere. On ties a task stays.
    """
    own = labels[task]
    agreement = np.zeros(sizes.shape[0])
    for entry in range(clusters.first[task], clusters.first[task + 1]):
        cluster = clusters.holding[entry]
        weight = clusters.weight[cluster]
        for k in range(sizes.shape[0]):
            agreement[k] += weight * gain[shared[cluster, k]]
    cost = np.empty(sizes.shape[0])
    for k in range(sizes.shape[0]):
        cost[k] = gain[sizes[k]] - 2.0 * agreement[k]
    if own < 0:
        best = np.argmin(cost)
        return best, cost[best], 0.0
    inside = 0.0
    for entry in range(clusters.first[task], clusters.first[task + 1]):
        cluster = clusters.holding[entry]
        inside += clusters.weight[cluster] * gain[shared[cluster, own] - 1]
    cost[own] = gain[sizes[own] - 1] - 2.0 * inside
    best = np.argmin(cost)
    if cost[best] > cost[own] - _TIE:
        best = own
    return best, cost[best], cost[own]


@inner_kernel
def _allocate(order, labels, sizes, shared, clusters, gain):
    """Put each task in turn where it costs least; returns the change of the loss.

    ``sizes`` and ``shared`` grow when no column for a new cluster is left, and are returned.
    """
    change = 0.0
    for task in order:
        if np.all(sizes > 0):
            n = sizes.shape[0]
            wider = np.zeros((shared.shape[0], 2 * n), shared.dtype)
            wider[:, :n] = shared
            more = np.zeros(2 * n, sizes.dtype)
            more[:n] = sizes
            sizes, shared = more, wider
        best, cost, own_cost = _best(task, labels, sizes, shared, clusters, gain)
        if best != labels[task]:
            _move(task, best, labels, sizes, shared, clusters)
            change += cost - own_cost
    return sizes, shared, change


@kernel
def descend(start, clusters, gain, rng):
    """Local minimum of the expected loss from a partition, of which -1 leaves tasks out.

    Tasks left out are allocated one after the other, in random order. Then come scans that move
    single tasks until none moves, and attempts to dissolve each cluster and to allocate its tasks
    anew; again from the scans on while such an attempt lowers the loss.

    Parameters
    ----------
    start : int array (task,)
    clusters : DistinctClusters
    gain : array (task + 1,)
        ``f(x + 1) - f(x)`` at 0, 1, ..., number of tasks.
    rng : numpy.random.Generator

    Returns
    -------
    int array (task,)
        Labels may have gaps.

    References
    ----------
    Dahl, Johnson and Mueller (2022), J. Comput. Graph. Stat. 31, algorithm SALSO, sec. 3.
    """
    n_tasks = start.shape[0]
    columns = start.max() + 2
    sizes = np.zeros(columns, np.int64)
    # Unsigned, so that an index needs no test for a negative one.
    shared = np.zeros((clusters.weight.shape[0], columns), np.uint32)
    labels = np.full(n_tasks, -1)
    for task in range(n_tasks):
        if start[task] >= 0:
            _move(task, start[task], labels, sizes, shared, clusters)
    order = rng.permutation(n_tasks)
    left_out = order[start[order] < 0]
    sizes, shared, _ = _allocate(left_out, labels, sizes, shared, clusters, gain)
    improved = True
    while improved:
        change = -1.0
        while change < 0.0:
            order = rng.permutation(n_tasks)
            sizes, shared, change = _allocate(order, labels, sizes, shared, clusters, gain)
        improved = False
        for k in rng.permutation(sizes.shape[0]):
            members = rng.permutation(np.flatnonzero(labels == k))
            before = 0.0
            for task in members:
                before += _best(task, labels, sizes, shared, clusters, gain)[2]
                _move(task, -1, labels, sizes, shared, clusters)
            sizes, shared, after = _allocate(members, labels, sizes, shared, clusters, gain)
            if after < before - _TIE:
                improved = True
            else:
                for task in members:
                    _move(task, k, labels, sizes, shared, clusters)
    return labels
