"""Set partitions by enumeration, and losses between them by their definitions."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

__all__ = ["binder", "counts", "joined", "membership", "random_draws", "set_partitions", "vi"]


def set_partitions(n: int) -> np.ndarray:
    """All partitions (partition, task) of n tasks, labels in the order of appearance."""

    def extend(labels: list[int]) -> Iterator[list[int]]:
        if len(labels) == n:
            yield labels
            return
        for label in range(max(labels, default=-1) + 2):
            yield from extend([*labels, label])

    return np.array(list(extend([])))


def counts(partition: np.ndarray) -> np.ndarray:
    """Sizes of the clusters."""
    return np.unique(partition, return_counts=True)[1]


def _entropy(keys: Sequence[tuple[int, ...]]) -> float:
    share = np.array([keys.count(key) for key in set(keys)]) / len(keys)
    return float(-(share * np.log(share)).sum())


def vi(one: np.ndarray, other: np.ndarray) -> float:
    """Joint entropy twice, less both entropies."""
    a, b = [(int(x),) for x in one], [(int(x),) for x in other]
    joint = [(*x, *y) for x, y in zip(a, b, strict=True)]
    return 2 * _entropy(joint) - _entropy(a) - _entropy(b)


def joined(partition: np.ndarray) -> np.ndarray:
    """Which pairs of tasks are together."""
    pairs = combinations(range(len(partition)), 2)
    return np.array([partition[s] == partition[t] for s, t in pairs])


def binder(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pairs that only one of the partitions joins."""
    return float(np.mean(joined(one) != joined(other)))


def random_draws(
    n_draws: int, n_tasks: int, changed: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws around a random partition, each task with a random label instead at a given rate."""
    center = rng.integers(0, 3, n_tasks)
    draws = np.tile(center, (n_draws, 1))
    moved = rng.random(draws.shape) < changed
    draws[moved] = rng.integers(0, 5, int(moved.sum()))
    return draws


def membership(draws: np.ndarray, partition: np.ndarray) -> np.ndarray:
    """Mean co-clustering with the others of a task's cluster; of a task alone, to be alone."""
    together = (draws[:, :, None] == draws[:, None]).mean(axis=0)
    out = np.empty(len(partition))
    for t in range(len(partition)):
        others = np.flatnonzero((partition == partition[t]) & (np.arange(len(partition)) != t))
        if others.size:
            out[t] = together[t, others].mean()
        else:
            out[t] = np.mean([np.sum(draw == draw[t]) == 1 for draw in draws])
    return out
