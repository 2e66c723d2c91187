"""Graphs on the page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report.page import graph as module
from bayesmtl.report.page.graph import linked_nodes
from bayesmtl.report.page.tasks import page_tasks

ManyTasks = Callable[[int], xr.DataTree]


def read(fit: xr.DataTree) -> dict[str, Any]:
    found = linked_nodes(fit, page_tasks(fit))
    assert found is not None
    return found


def with_links(fit: xr.DataTree) -> xr.DataTree:
    """Each task is linked with the next one, surely and negatively."""
    n = fit["posterior"].sizes["task"]
    chance = np.eye(n, k=1) * 0.9 + np.eye(n, k=2) * 0.05
    partial = np.stack([-chance, -chance - 0.1, -chance + 0.1], axis=-1)
    pair = ("task", "task_bis")
    labels = fit["posterior"]["task"].to_numpy()
    relations = xr.Dataset(
        {
            "edge_probability": (pair, chance + chance.T),
            "partial_correlation": ((*pair, "statistic"), partial + partial.swapaxes(0, 1)),
            "prior_edge_probability": ((), 0.25),
        },
        {"task": labels, "task_bis": labels, "statistic": ["mean", "lower", "upper"]},
    )
    fit["task_relations"] = xr.DataTree(relations)
    return fit


@pytest.mark.parametrize("n_tasks", [2, 6, 90])
def test_a_learned_graph_of_tasks(many_tasks: ManyTasks, n_tasks: int) -> None:
    found = read(with_links(many_tasks(n_tasks)))
    (panel,) = found["panels"]
    assert sorted(edge[:2] for edge in panel["edges"]) == [[t, t + 1] for t in range(n_tasks - 1)]
    assert panel["edges"][0][2:4] == [0.9, -0.9]
    assert found["of_tasks"]
    assert found["note"] == "Before the data a link has the probability 0.25."
    places = np.array([found["x"], found["y"]])
    assert places.min() >= 0.0
    assert places.max() <= 1.0
    assert len(np.unique(places, axis=1).T) == n_tasks


def test_a_known_graph(neighbours: xr.DataTree) -> None:
    found = read(neighbours)
    (panel,) = found["panels"]
    assert panel["edges"] == [[t, t + 1] for t in range(7)]
    assert found["note"] == "This graph was given, not learned."


def test_graphs_of_variables(networks: xr.DataTree) -> None:
    found = read(networks)
    assert found["nodes"] == ["a", "b", "c"]
    assert [panel["title"] for panel in found["panels"]] == ["one", "two"]
    assert not found["of_tasks"]


def test_too_many_nodes(
    many_tasks: ManyTasks, neighbours: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_NODES", 4)
    for fit, number in ((with_links(many_tasks(6)), 6), (neighbours, 8)):
        found = read(fit)
        assert found["nodes"] == []
        assert f"{number} nodes, too many to draw" in str(found["note"])


def test_too_many_graphs(networks: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PANELS", 1)
    found = read(networks)
    assert len(found["panels"]) == 1
    assert str(found["note"]).endswith("The first 1 of 2 tasks are drawn.")


def test_no_graph(clustered: xr.DataTree) -> None:
    assert linked_nodes(clustered, page_tasks(clustered)) is None
