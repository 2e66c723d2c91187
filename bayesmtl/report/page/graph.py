"""Graphs of a fit: tasks that are linked, or variables within each task."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.plots.graph import place_nodes
from bayesmtl.relations.graph.trees import ArrangedTree, tree_from_json
from bayesmtl.report.graphs import describe_graph
from bayesmtl.report.page.packing import json_number
from bayesmtl.report.page.tasks import PageTasks, group_or_empty

__all__ = ["linked_nodes"]

_MOST_NODES = 300
_CAREFUL = 80  # nodes, beyond which they are placed by springs
_LEAST, _MOST_EDGES = 0.1, 4_000
_MOST_PANELS = 60


def linked_nodes(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any] | None:
    """Read the graph of the tasks, or the graphs of the variables of each task.

    Parameters
    ----------
    idata
        A fit.
    tasks
        Of the page.

    Returns
    -------
    dict or None
        ``nodes`` (labels), their places ``x`` and ``y`` from 0 to 1, and ``panels``: each a
        ``title`` and ``edges`` (two nodes, probability, mean, lower and upper of the partial
        correlation; of a known graph two nodes alone). ``learned`` says that it was not given,
        ``of_tasks`` that nodes are tasks, and ``leaves``, of a tree alone, how many: there the
        links go from parents to children. Too many nodes: a ``note`` alone. None where nothing is a
        graph.
    """
    relations = group_or_empty(idata, "task_relations")
    if "edge_probability" in relations:
        return _learned(relations, tasks)
    if "tree" in idata.attrs:
        fitted = idata["posterior"]["task"].to_numpy()[tasks.places]
        tree = tree_from_json(json.loads(idata.attrs["tree"]))
        arranged = tree.arranged(fitted, "the tree of the fit")
        return _tree(arranged, tasks.labels, describe_graph(relations))
    known = _known_adjacency(idata)
    return None if known is None else _known(known, label_texts(idata["posterior"]["task"]))


def _learned(relations: xr.Dataset, tasks: PageTasks) -> dict[str, Any]:
    probability = relations["edge_probability"]
    node = "node" if "node" in probability.dims else "task"
    names = label_texts(probability[node])
    if len(names) > _MOST_NODES:
        return _too_many(len(names))
    partial = relations["partial_correlation"]
    pair = (node, f"{node}_bis")
    lead = ("task",) if node == "node" else ()
    chance = np.atleast_3d(probability.transpose(*pair, *lead).to_numpy())
    stats = [
        np.atleast_3d(partial.sel(statistic=name).transpose(*pair, *lead).to_numpy())
        for name in ("mean", "lower", "upper")
    ]
    shown = range(min(chance.shape[2], _MOST_PANELS))
    titles = tasks.labels if lead else [""]
    panels = [
        {"title": titles[g], "edges": _edges(chance[..., g], [s[..., g] for s in stats])}
        for g in shown
    ]
    prior = float(np.mean(relations["prior_edge_probability"]))
    note = f"Before the data a link has the probability {prior:.2f}." if len(names) > 1 else ""
    if chance.shape[2] > _MOST_PANELS:
        note += f" The first {_MOST_PANELS} of {chance.shape[2]:,} tasks are drawn."
    places = _places(chance.mean(axis=2))
    out = {"nodes": names, **places, "panels": panels, "note": note, "learned": True}
    return out | {"of_tasks": node == "task"}


def _edges(chance: np.ndarray, stats: list[np.ndarray]) -> list[list[Any]]:
    """The most probable first."""
    row, column = np.triu_indices(len(chance), 1)
    values = chance[row, column]
    order = np.argsort(-values, kind="stable")[:_MOST_EDGES]
    return [
        [
            int(row[k]),
            int(column[k]),
            json_number(float(values[k]), 3),
            *(json_number(float(part[row[k], column[k]]), 3) for part in stats),
        ]
        for k in order
        if values[k] >= _LEAST
    ]


def _known_adjacency(idata: xr.DataTree) -> dict[str, Any] | None:
    """The graph that the model was given."""
    relation = json.loads(idata.attrs.get("model", "{}")).get("relation")
    if not isinstance(relation, dict):
        return None
    adjacency = relation.get("adjacency") or relation.get("common", {}).get("adjacency")
    return adjacency.get("graph") if isinstance(adjacency, dict) else None


def _known(graph: dict[str, Any], fitted: list[str]) -> dict[str, Any]:
    # A graph without labels has its nodes in the order of the tasks.
    names = [str(label) for label in graph["labels"]] if "labels" in graph else fitted
    if len(names) > _MOST_NODES:
        return _too_many(len(names))
    linked = np.zeros((len(names), len(names)))
    for i, j, weight in graph["edges"]:
        linked[i, j] = linked[j, i] = weight
    edges = [[int(i), int(j)] for i, j, _ in graph["edges"]]
    note = "This graph was given, not learned."
    places = _places(linked / max(linked.max(), 1e-9))
    panels = [{"title": "", "edges": edges}]
    return {"nodes": names, **places, "panels": panels, "note": note, "of_tasks": True}


def _tree(tree: ArrangedTree, labels: list[str], note: str) -> dict[str, Any]:
    """The tasks below each other, and to their left the nodes that they descend from."""
    own = zip(tree.task.tolist(), tree.names, strict=True)
    names = [labels[task] if task >= 0 else name for task, name in own]
    if len(names) > _MOST_NODES:
        return _too_many(len(names))
    across, down = np.zeros(len(names)), np.zeros(len(names))
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(tree.parents.tolist()):
        step = 1.0 if tree.lengths is None else tree.lengths[node]
        if parent >= 0:
            across[node] = across[parent] + step
            children.setdefault(parent, []).append(node)
    rows, waiting = iter(range(len(names))), [0]
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(children.get(node, [])))
        down[node] = -1.0 if node in children else next(rows)
    for node in sorted(children, reverse=True):
        down[node] = down[children[node]].mean()
    return {
        "nodes": names,
        "x": np.round(across / max(across.max(), 1e-9), 4).tolist(),
        "y": np.round(down / max(len(labels) - 1, 1), 4).tolist(),
        "panels": [{"title": "", "edges": [[p, k] for p, some in children.items() for k in some]}],
        "note": f"{note[:1].upper()}{note[1:]}." if note else "",
        "of_tasks": True,
        "leaves": len(labels),
    }


def _too_many(n_nodes: int) -> dict[str, Any]:
    note = f"The graph has {n_nodes:,} nodes, too many to draw: read bm.task_relations(idata)."
    return {"nodes": [], "x": [], "y": [], "panels": [], "note": note, "of_tasks": False}


def _places(linked: np.ndarray) -> dict[str, list[float]]:
    """Linked nodes near each other, in the unit square."""
    if len(linked) <= _CAREFUL:
        places = place_nodes(linked)
    else:
        import networkx as nx

        shown = np.where(linked > 0.3, linked, 0.0)
        np.fill_diagonal(shown, 0.0)
        found = nx.spring_layout(nx.from_numpy_array(shown), seed=0)
        places = np.array([found[i] for i in range(len(linked))])
    low = places.min(axis=0)
    span = np.maximum(places.max(axis=0) - low, 1e-9)
    unit = np.where(places.max(axis=0) - low > 1e-6, (places - low) / span, 0.5)
    return {"x": np.round(unit[:, 0], 4).tolist(), "y": np.round(unit[:, 1], 4).tolist()}
