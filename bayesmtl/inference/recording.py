"""Writing the partition of a chain as draws."""

from __future__ import annotations

import numpy as np

from bayesmtl.inference.draws import PartitionDraws, widen
from bayesmtl.relations.clusters.state import PartitionState

__all__ = ["partition_storage", "record_partition"]

# Clusters that a draw has room for at first.
_FEW_CLUSTERS = 16


def partition_storage(partition: PartitionState, draws: int) -> PartitionDraws:
    """Empty arrays for the draws of one chain."""
    n_tasks, d = partition.center.shape
    return PartitionDraws(
        labels=np.empty((draws, n_tasks), dtype=np.int32),
        concentration=np.empty(draws),
        discount=np.empty(draws),
        between=np.empty(draws),
        n_components=np.empty(draws, dtype=np.int32),
        centers=np.full((draws, min(n_tasks, _FEW_CLUSTERS), d), np.nan),
    )


def record_partition(
    partition: PartitionState, storage: PartitionDraws, draw: int
) -> PartitionDraws:
    """Write the current state as one draw; the storage grows with the number of clusters."""
    storage.labels[draw] = partition.labels
    storage.concentration[draw] = partition.concentration[0]
    storage.discount[draw] = partition.discount[0]
    storage.between[draw] = partition.between[0]
    storage.n_components[draw] = partition.n_components[0]
    count = int(partition.n_clusters[0])
    if count > storage.centers.shape[1]:
        storage = storage._replace(centers=widen(storage.centers, 2 * count))
    storage.centers[draw, :count] = partition.center[:count]
    return storage
