"""Summaries of draws of a random partition, free of labels.

Draws are integer arrays (draw, task); tasks with the same label in a draw form a cluster, and
labels mean nothing beyond that. All expectations are exact averages over the draws.
"""

from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform
from scipy.special import xlogy

from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.partition_search import descend, distances, distinct_clusters

__all__ = [
    "CredibleBall",
    "OptimalPartition",
    "canonical",
    "coclustering",
    "credible_ball",
    "expected_binder",
    "expected_vi",
    "membership_certainty",
    "n_clusters",
    "optimal_partition",
    "shared_sizes",
]

# Sampled partitions whose expected loss is looked at for a start.
_SCREENED = 200
# Distances this close are the same one but for rounding.
_TIE = 1e-10


class OptimalPartition(NamedTuple):
    """A partition (task,), largest cluster first, and its expected loss."""

    partition: np.ndarray
    expected_loss: float


class CredibleBall(NamedTuple):
    """Partitions (task,) at the edges of a credible ball.

    Parameters
    ----------
    radius : float
        Variation of information from the centre, in nats.
    upper : (task,)
        Vertical upper bound: of the drawn partitions in the ball with the fewest clusters, the
        farthest from the centre.
    lower : (task,)
        Vertical lower bound: of those with the most clusters, the farthest.
    horizontal : (task,)
        The farthest in the ball.
    """

    radius: float
    upper: np.ndarray
    lower: np.ndarray
    horizontal: np.ndarray


def canonical(draws: np.ndarray) -> np.ndarray:
    """Draws relabelled 0, 1, ... in the order in which clusters first appear.

    Parameters
    ----------
    draws : int array (draw, task)

    Returns
    -------
    int array (draw, task)

    Raises
    ------
    InvalidDataError
        Unless the draws are integers with two axes, of at least one element.
    """
    draws = np.asarray(draws)
    if draws.ndim != 2 or draws.size == 0 or not np.issubdtype(draws.dtype, np.integer):
        raise InvalidDataError(
            f"draws of a partition have shape {draws.shape} and type {draws.dtype}: pass an "
            "integer array (draw, task) with at least one draw and one task"
        )
    # A copy, because a read-only array would be another type to compile for.
    return _relabel(np.array(draws, dtype=np.int64, order="C"))


@kernel
def _relabel(draws):
    out = np.empty_like(draws)
    seen = np.empty(draws.shape[1], draws.dtype)
    for m in range(draws.shape[0]):
        n = 0
        for t in range(draws.shape[1]):
            k = 0
            while k < n and seen[k] != draws[m, t]:
                k += 1
            if k == n:
                seen[k] = draws[m, t]
                n += 1
            out[m, t] = k
    return out


def n_clusters(draws: np.ndarray) -> np.ndarray:
    """Number of clusters of each draw.

    Parameters
    ----------
    draws : int array (draw, task)

    Returns
    -------
    int array (draw,)

    Raises
    ------
    InvalidDataError
        As `canonical`.
    """
    return canonical(draws).max(axis=1) + 1


def coclustering(draws: np.ndarray) -> np.ndarray:
    """Probabilities that two tasks are in one cluster.

    Parameters
    ----------
    draws : int array (draw, task)

    Returns
    -------
    array (task, task)

    Raises
    ------
    InvalidDataError
        As `canonical`.
    """
    different, counts = _distinct(draws)
    return _together(different, counts) / counts.sum()


@kernel
def _together(draws, counts):
    n_draws, n_tasks = draws.shape
    out = np.zeros((n_tasks, n_tasks))
    for s in range(n_tasks):
        for m in range(n_draws):
            for t in range(s + 1):
                # Not an if: this vectorises.
                out[s, t] += counts[m] if draws[m, t] == draws[m, s] else 0.0
        for t in range(s):
            out[t, s] = out[s, t]
    return out


def _distinct(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different partitions (partition, task), in order, and how often each occurs."""
    draws, seen = canonical(draws), dict[bytes, int]()
    index = [seen.setdefault(draw.tobytes(), len(seen)) for draw in draws]
    first = np.unique(index, return_index=True)[1]
    return draws[first], np.bincount(index).astype(np.float64)


def _potential(loss: str, n_tasks: int) -> np.ndarray:
    """Return f at 0, 1, ..., number of tasks + 1, scaled such that the loss needs no factor."""
    size = np.arange(n_tasks + 2.0)
    if loss == "vi":
        return xlogy(size, size) / n_tasks
    if loss == "binder":
        return size * (size - 1.0) / max(n_tasks * (n_tasks - 1.0), 1.0)
    raise InvalidModelError(f"loss={loss!r}: use 'vi' or 'binder'")


def _one(partition: np.ndarray, n_tasks: int) -> np.ndarray:
    """Check and relabel a single partition."""
    one = canonical(np.asarray(partition)[None])[0]
    if len(one) != n_tasks:
        raise InvalidDataError(
            f"the partition has {len(one)} tasks, but the draws have {n_tasks}: pass one label for "
            "each task"
        )
    return one


def _expected(partition: np.ndarray, draws: np.ndarray, loss: str) -> float:
    different, counts = _distinct(draws)
    n_tasks = different.shape[1]
    values = distances(_one(partition, n_tasks), different, _potential(loss, n_tasks))
    return float(counts @ values / counts.sum())


def expected_vi(partition: np.ndarray, draws: np.ndarray) -> float:
    """Mean over the draws of the variation of information, in nats.

    ``VI = sum_a n_a/n log(n_a/n) + sum_b m_b/n log(m_b/n) - 2 sum_ab n_ab/n log(n_ab/n)``, with
    n tasks, clusters of sizes n_a and m_b, and n_ab tasks in common; at most ``log n``.

    Parameters
    ----------
    partition : int array (task,)
    draws : int array (draw, task)

    Returns
    -------
    float

    Raises
    ------
    InvalidDataError
        As `canonical`, or if the numbers of tasks differ.

    References
    ----------
    Meila (2007), J. Multivar. Anal. 98, eq. 17.
    """
    return _expected(partition, draws, "vi")


def expected_binder(partition: np.ndarray, draws: np.ndarray) -> float:
    """Mean over the draws of the share of pairs of tasks that one partition joins, one separates.

    Binder's loss with equal costs, divided by the number of pairs: one minus the Rand index.

    Parameters
    ----------
    partition : int array (task,)
    draws : int array (draw, task)

    Returns
    -------
    float
        0 for one task.

    Raises
    ------
    InvalidDataError
        As `canonical`, or if the numbers of tasks differ.

    References
    ----------
    Binder (1978), Biometrika 65.
    """
    return _expected(partition, draws, "binder")


def optimal_partition(
    draws: np.ndarray,
    rng: np.random.Generator,
    *,
    loss: str = "vi",
    runs: int = 8,
    starts: int = 4,
    linkage_cuts: bool = True,
) -> OptimalPartition:
    """Partition of least expected loss that a stochastic search finds.

    A local search runs from ``runs`` sequential allocations in random order, and from the best few
    among sampled partitions (all; beyond 200 different ones the 200 that occur most often, at
    random on ties) and the cuts of an average-linkage tree on one minus `coclustering`.

    Memory: four bytes times the clusters that differ among the draws, times those of the result.
    Draws without any structure take longest.

    Parameters
    ----------
    draws : int array (draw, task)
    rng : numpy.random.Generator
        With the same state the same draws give the same result.
    loss : {"vi", "binder"}
        See `expected_vi` and `expected_binder`.
    runs : int
        Sequential allocations; may be 0.
    starts : int
        How many of the sampled partitions and cuts to start from.
    linkage_cuts : bool
        Whether to look at the cuts, which take an array over pairs of tasks.

    Returns
    -------
    OptimalPartition
        Labels by decreasing size of the clusters, then by first appearance.

    Raises
    ------
    InvalidDataError
        As `canonical`.
    InvalidModelError
        For an unknown loss.

    References
    ----------
    Dahl, Johnson and Mueller (2022), J. Comput. Graph. Stat. 31, doi:10.1080/10618600.2022.2069779;
    Wade and Ghahramani (2018), Bayesian Anal. 13.
    """
    different, counts = _distinct(draws)
    weights = counts / counts.sum()
    n_tasks = different.shape[1]
    potential = _potential(loss, n_tasks)

    def expected(partition: np.ndarray) -> float:
        return float(weights @ distances(partition, different, potential))

    order = rng.permutation(len(different))
    frequent = order[np.argsort(-counts[order], kind="stable")][:_SCREENED]
    candidates = [*different[frequent], *(_linkage_cuts(different, counts) if linkage_cuts else ())]
    best = np.argsort([expected(one) for one in candidates], kind="stable")[:starts]
    first = [candidates[i] for i in best] + [np.full(n_tasks, -1)] * runs
    clusters, gain = distinct_clusters(different, weights), np.diff(potential)
    found = [_by_size(descend(start, clusters, gain, rng)) for start in first]
    losses = [expected(one) for one in found]
    winner = int(np.argmin(losses))
    return OptimalPartition(found[winner], losses[winner])


def _linkage_cuts(different: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average-linkage partitions (cut, task) with up to as many clusters as any draw has."""
    n_tasks = different.shape[1]
    if n_tasks == 1:
        return different[:0]
    apart = 1.0 - _together(different, counts) / counts.sum()
    tree = linkage(squareform(apart, checks=False), method="average")
    cuts = cut_tree(tree, n_clusters=np.arange(1, different.max() + 2))
    return canonical(cuts.T)


def _by_size(partition: np.ndarray) -> np.ndarray:
    """Relabel by decreasing size, then by first appearance."""
    partition = canonical(partition[None])[0]
    order = np.argsort(-np.bincount(partition), kind="stable")
    return np.argsort(order)[partition]


def credible_ball(draws: np.ndarray, center: np.ndarray, probability: float = 0.95) -> CredibleBall:
    """Smallest ball of the variation of information that holds a share of the draws.

    Parameters
    ----------
    draws : int array (draw, task)
    center : int array (task,)
        As a rule the `optimal_partition`.
    probability : float
        Least share of the draws in the ball, in (0, 1].

    Returns
    -------
    CredibleBall
        Its partitions are labelled by first appearance; of several equally far ones, the first
        drawn.

    Raises
    ------
    InvalidDataError
        As `canonical`, or if the numbers of tasks differ.
    InvalidModelError
        For a probability outside (0, 1].

    References
    ----------
    Wade and Ghahramani (2018), Bayesian Anal. 13, doi:10.1214/17-BA1073, sec. 4.
    """
    if not 0.0 < probability <= 1.0:
        raise InvalidModelError(
            f"probability={probability!r}: use a number above 0 and up to 1, as 0.95"
        )
    different, counts = _distinct(draws)
    n_tasks = different.shape[1]
    distance = distances(_one(center, n_tasks), different, _potential("vi", n_tasks))
    order = np.argsort(distance, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    # Shares are ratios of whole numbers: within rounding of the probability is enough.
    radius = float(distance[order[np.searchsorted(share, probability - 1e-12)]])
    inside = different[distance <= radius + _TIE]
    distance, size = distance[distance <= radius + _TIE], n_clusters(inside)

    def farthest(kept: np.ndarray) -> np.ndarray:
        return inside[np.flatnonzero(kept & (distance >= distance[kept].max() - _TIE))[0]]

    return CredibleBall(
        radius,
        upper=farthest(size == size.min()),
        lower=farthest(size == size.max()),
        horizontal=farthest(np.full(len(size), True)),
    )


def membership_certainty(draws: np.ndarray, partition: np.ndarray) -> np.ndarray:
    """How surely each task belongs where a partition puts it.

    The mean probability to be together with each other member of the task's cluster; for a task
    alone in its cluster, the probability of being alone.

    Parameters
    ----------
    draws : int array (draw, task)
    partition : int array (task,)

    Returns
    -------
    array (task,)
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `canonical`, or if the numbers of tasks differ.
    """
    different, counts = _distinct(draws)
    one = _one(partition, different.shape[1])
    others = np.bincount(one)[one] - 1
    total = np.zeros(len(one))
    for draw, count in zip(different, counts, strict=True):
        shared = shared_sizes(one, draw)
        together = (shared[one, draw] - 1) / np.maximum(others, 1)
        alone = shared.sum(axis=0)[draw] == 1
        total += count * np.where(others > 0, together, alone)
    return total / counts.sum()


def shared_sizes(partition: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Numbers (block, cluster) of tasks that a block of a partition shares with a cluster.

    Parameters
    ----------
    partition, draw : int array (task,)
        Labels 0, 1, ... without gaps.
    """
    shape = int(partition.max()) + 1, int(draw.max()) + 1
    cell = partition * shape[1] + draw
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
