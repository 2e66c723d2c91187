"""The clusters of the optimal partition as a plot shows them: names, members, mean weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmtl.plots.common import drawn_labels, order_by_similarity
from bayesmtl.posterior.clusters import block_coclustering

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Block", "block_weights", "coclustering_of_blocks", "letters", "read_blocks"]

MAX_DRAWS = 500  # of partitions of very many tasks


class Block(NamedTuple):
    """One cluster of the optimal partition."""

    letter: str
    title: str  # names one member
    members: NDArray[np.int64]  # positions of the tasks, similar ones side by side


def letters(index: int) -> str:
    """Name block 0, 1, ... as A, B, ..., Z, AA, AB, ..."""
    head = letters(index // 26 - 1) if index >= 26 else ""
    return head + chr(ord("A") + index % 26)


def read_blocks(relations: xr.Dataset) -> list[Block]:
    """Read the clusters of the partition of least expected loss, the largest first.

    Parameters
    ----------
    relations
        The group ``task_relations`` with ``partition (task)`` and ``membership (task)``; where it
        has ``coclustering (task, task_bis)``, tasks that are often together are side by side in a
        block, else they are in order of membership.

    Returns
    -------
    list of Block
        Titles give the number of tasks and name the one of largest membership.
    """
    partition, sure = relations["partition"].to_numpy(), relations["membership"].to_numpy()
    texts = drawn_labels(relations["task"].to_numpy(), 18)
    dense = "coclustering" in relations
    together = relations["coclustering"].to_numpy() if dense else None
    blocks = []
    for index in range(int(partition.max()) + 1):
        members = np.flatnonzero(partition == index)
        members = members[np.argsort(-sure[members], kind="stable")]
        name, letter = texts[members[0]], letters(index)
        if together is not None:
            members = members[order_by_similarity(1.0 - together[np.ix_(members, members)])]
        title = f"{letter} ({len(members):,}): {name}{', …' * (len(members) > 1)}"
        blocks.append(Block(letter, title, members))
    return blocks


def block_weights(
    posterior: xr.Dataset, clusters: xr.Dataset, blocks: list[Block]
) -> NDArray[np.float64]:
    """Average the weights over the members of each block, draw by draw.

    Parameters
    ----------
    posterior
        With ``weights (chain, draw, task, feature)``, or without where they are not stored: then
        the mean of the cluster that each task is in stands for its weights.
    clusters
        The group with ``assignment`` and ``cluster_mean``.
    blocks
        Which tasks to average over.

    Returns
    -------
    array (sample, block, feature)
    """
    if "weights" in posterior:
        weights = posterior["weights"].transpose("chain", "draw", "task", "feature")
        draws = weights.to_numpy()
        means = [draws[:, :, block.members].mean(axis=2) for block in blocks]
    else:
        mean = clusters["cluster_mean"].transpose("chain", "draw", "cluster", "feature").to_numpy()
        inside = clusters["assignment"].transpose("chain", "draw", "task").to_numpy()[..., None]
        means = [
            np.take_along_axis(mean, inside[:, :, block.members], axis=2).mean(axis=2)
            for block in blocks
        ]
    stacked = np.stack(means, axis=2)
    return stacked.reshape(-1, *stacked.shape[2:])


def coclustering_of_blocks(clusters: xr.Dataset, relations: xr.Dataset) -> NDArray[np.float64]:
    """Probabilities (block, block) that tasks of two blocks are together, from thinned draws."""
    assignment = clusters["assignment"].transpose("chain", "draw", "task").to_numpy()
    draws = assignment.reshape(-1, assignment.shape[-1])
    picks = np.linspace(0, len(draws) - 1, min(len(draws), MAX_DRAWS)).astype(int)
    return block_coclustering(draws[picks], relations["partition"].to_numpy())
