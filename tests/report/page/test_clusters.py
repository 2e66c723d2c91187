"""Clusters on the page."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report.page import clusters as module
from bayesmtl.report.page.clusters import cluster_values
from bayesmtl.report.page.content import page_content
from bayesmtl.report.page.tasks import page_tasks
from bayesmtl.report.summary import summarize_fit


def test_members_number_and_weights(clustered: xr.DataTree) -> None:
    found = cluster_values(clustered, page_tasks(clustered))
    assert found is not None
    partition = clustered["task_relations"]["partition"].to_numpy()
    for k, block in enumerate(found["blocks"]):
        assert sorted(block["members"]) == np.flatnonzero(partition == k).tolist()
        assert block["size"] == len(block["members"])
        for mean, low, high in block["weights"]:
            assert low <= mean <= high
    chances = np.array([row[1:] for row in found["number"]])
    np.testing.assert_allclose(chances.sum(axis=0), 1.0, atol=0.02)
    assert sorted(found["features"]) == ["x1", "x2"]


def test_long_lists_are_cut(clustered: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BLOCKS", 1)
    monkeypatch.setattr(module, "_MOST_MEMBERS", 2)
    found = cluster_values(clustered, page_tasks(clustered))
    assert found is not None
    assert [len(block["members"]) for block in found["blocks"]] == [2]
    assert found["n_blocks"] == int(clustered["task_relations"]["partition"].max()) + 1


def test_no_clusters(many_tasks: Callable[[int], xr.DataTree]) -> None:
    fit = many_tasks(3)
    assert cluster_values(fit, page_tasks(fit)) is None


def test_draws_of_the_clusters_are_not_needed(clustered: xr.DataTree) -> None:
    fit = clustered.copy()
    del fit["clusters"]
    found = cluster_values(fit, page_tasks(fit))
    assert found is not None
    assert found["features"] == []


def test_sharing_is_that_of_the_clusters(clustered: xr.DataTree) -> None:
    told = summarize_fit(clustered).sharing
    assert "of what the features explain is told by a task's cluster" in told
    assert page_content(clustered)["sharing"]["full"] == "told by its cluster"
