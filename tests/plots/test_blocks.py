"""Clusters of the optimal partition: names, members, mean weights."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.plots.blocks import (
    block_weights,
    coclustering_of_blocks,
    letters,
    read_blocks,
)
from tests.cluster_trees import with_clusters

MakeFit = Callable[..., xr.DataTree]
CENTER = np.array([1, 0, 0, 2, 0, 1])


@pytest.fixture
def fit(make_fit: MakeFit) -> xr.DataTree:
    moved = np.array([0.0, 0.1, 0.3, 0.1, 0.0, 0.1])
    return with_clusters(make_fit(list("abcdef"), ["x", "z"]), CENTER, moved)


def test_letters_never_end() -> None:
    assert [letters(i) for i in (0, 25, 26, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AZ", "BA", "ZZ", "AAA")
    ]


@pytest.mark.parametrize("dense", [True, False])
def test_blocks_by_size_named_by_their_surest_task(fit: xr.DataTree, dense: bool) -> None:
    relations = fit["task_relations"].to_dataset()
    if not dense:
        relations = relations.drop_vars(["coclustering", "coclustering_mcse"])
    blocks = read_blocks(relations)
    assert [block.title for block in blocks] == ["A (3): e, …", "B (2): a, …", "C (1): d"]
    assert [set(block.members.tolist()) for block in blocks] == [{1, 2, 4}, {0, 5}, {3}]
    if not dense:
        assert blocks[0].members.tolist() == [4, 1, 2]


def test_weights_are_averaged_over_members(fit: xr.DataTree) -> None:
    posterior, clusters = fit["posterior"].to_dataset(), fit["clusters"].to_dataset()
    blocks = read_blocks(fit["task_relations"].to_dataset())
    found = block_weights(posterior, clusters, blocks)
    draws = posterior["weights"].to_numpy().reshape(-1, 6, 2)
    np.testing.assert_allclose(found[:, 0], draws[:, [1, 2, 4]].mean(axis=1))
    np.testing.assert_allclose(found[:, 2], draws[:, 3])


def test_means_of_clusters_stand_for_weights_that_are_not_stored(fit: xr.DataTree) -> None:
    posterior, clusters = fit["posterior"].to_dataset(), fit["clusters"].to_dataset()
    blocks = read_blocks(fit["task_relations"].to_dataset())
    found = block_weights(posterior.drop_vars("weights"), clusters, blocks)
    inside = clusters["assignment"].to_numpy().reshape(-1, 6)
    mean = clusters["cluster_mean"].to_numpy().reshape(len(inside), -1, 2)
    expected = [mean[m, inside[m, [0, 5]]].mean(axis=0) for m in range(len(inside))]
    np.testing.assert_allclose(found[:, 1], expected)
    assert np.isfinite(found).all()


def test_coclustering_of_blocks_is_that_of_their_pairs(fit: xr.DataTree) -> None:
    relations = fit["task_relations"].to_dataset()
    found = coclustering_of_blocks(fit["clusters"].to_dataset(), relations)
    pairs = relations["coclustering"].to_numpy()[np.ix_([1, 2, 4], [0, 5])]
    assert found[0, 1] == pytest.approx(pairs.mean())
