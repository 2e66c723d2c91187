"""Graphs on the page."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.report.page import graph as module
from bayesmtl.report.page.content import page_content
from bayesmtl.report.page.graph import linked_nodes
from bayesmtl.report.page.tasks import page_tasks
from tests.report.page.conftest import quiet_fit

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


def test_a_known_graph_without_labels_has_those_of_the_tasks(rows: pd.DataFrame) -> None:
    chain = np.eye(8, k=1) + np.eye(8, k=-1)
    fit = quiet_fit(bm.Model("y ~ x1 + x2", task="task", relation=bm.KnownGraph(chain)), rows)
    found = read(fit)
    assert found["nodes"] == fit["posterior"]["task"].to_numpy().tolist()
    assert "learned" not in found


@pytest.mark.filterwarnings("ignore:one task:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("relation", [bm.SparseGraph(), bm.Tree("((a:1,b:1):2,c:3);")])
def test_a_single_task(rows: pd.DataFrame, relation: Any) -> None:
    alone = rows[rows["task"] == rows["task"].iloc[0]].assign(task="a")
    fit = quiet_fit(bm.Model("y ~ x1 + x2", task="task", relation=relation), alone)
    json.dumps(page_content(fit), allow_nan=False)
    found = read(fit)
    assert "nan" not in found["note"]


def test_a_learned_graph_without_a_likely_edge_is_not_a_given_one(many_tasks: ManyTasks) -> None:
    fit = with_links(many_tasks(4))
    fit["task_relations"]["edge_probability"] *= 0.1
    found = read(fit)
    assert found["panels"][0]["edges"] == []
    assert found["learned"]


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


def test_a_tree_has_the_tasks_in_order_at_the_right(rows: pd.DataFrame) -> None:
    labels = sorted(rows["task"].unique())
    last = ",".join(f"'{label}':1" for label in labels[3:])
    newick = f"(('{labels[2]}':1,'{labels[0]}':3)group:1,('{labels[1]}':1,absent:1):2,{last});"
    fit = quiet_fit(bm.Model("y ~ x1", task="task", relation=bm.Tree(newick)), rows)
    found = read(fit)
    place = dict(zip(found["nodes"], zip(found["x"], found["y"], strict=True), strict=True))
    order = sorted((label for label in place if label in labels), key=lambda label: place[label][1])
    assert order == [labels[2], labels[0], labels[1], *labels[3:]]
    assert place[labels[0]] == (1.0, pytest.approx(1 / (len(labels) - 1), abs=1e-4))
    assert place["group"] == (0.25, pytest.approx(0.5 / (len(labels) - 1), abs=1e-4))
    assert "absent" not in place
    assert found["leaves"] == len(labels)
    named = [[found["nodes"][node] for node in edge] for edge in found["panels"][0]["edges"]]
    assert ["group", labels[0]] in named
    assert len(named) == len(found["nodes"]) - 1
    assert found["note"].startswith("Share of the variance of the weights: along the tree")


def test_columns_that_nest_tasks_are_a_tree(rows: pd.DataFrame) -> None:
    labels = sorted(rows["task"].unique())
    part = rows.assign(half=rows["task"].map(lambda label: "b" if label > labels[3] else "a"))
    found = read(quiet_fit(bm.Model("y ~ x1", task="task", relation=bm.Tree(["half"])), part))
    assert {"a", "b"} < set(found["nodes"])
    assert sorted(set(found["x"])) == [0.0, 0.5, 1.0]
