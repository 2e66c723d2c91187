"""Known graphs of tasks as values, read from the forms in which users have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.opening import shorten
from bayesmtl.relations.graph.edges import Edges, read_edges
from bayesmtl.relations.graph.labels import (
    labels_from_json,
    labels_to_json,
    places_of,
    plain_labels,
)

__all__ = ["FixedGraph", "as_graph", "graph_from_json", "graph_of_pairs", "graph_to_json"]

_REMEDY = (
    "add such tasks as isolated nodes (a networkx graph: add_node; a square frame: a row and a "
    "column of zeros; an edge list: a tuple of one label)"
)


@dataclass(frozen=True)
class FixedGraph:
    """An undirected weighted graph whose nodes are tasks, immutable.

    Parameters
    ----------
    n_nodes : int
    edges : tuple of (int, int, float)
        Positions ``i < j`` of the ends and the positive weight, in ascending order.
    labels : tuple or None
        Of the nodes, ascending: str, int, bool or date. None: in the order of the data's tasks.
    """

    n_nodes: int
    edges: tuple[tuple[int, int, float], ...]
    labels: tuple[Any, ...] | None

    def adjacency(self) -> np.ndarray:
        """Weights (node, node), symmetric, zero where there is no edge."""
        out = np.zeros((self.n_nodes, self.n_nodes))
        for i, j, weight in self.edges:
            out[i, j] = out[j, i] = weight
        return out

    def arranged(self, tasks: Sequence[Any] | np.ndarray, what: str) -> np.ndarray:
        """Weights (task, task) in the order of the data's tasks.

        Nodes that are none of them are left out, and with them the paths over them: declare such
        tasks (`labels`) where the paths matter.

        Parameters
        ----------
        tasks : sequence or array
            Labels of the tasks.
        what : str
            The setting, for messages.

        Raises
        ------
        InvalidModelError
            When a task is not among the labels, the labels are of another type, or a graph without
            labels has another number of nodes.
        """
        if self.labels is None:
            if self.n_nodes != len(tasks):
                raise InvalidModelError(
                    f"{what} has {self.n_nodes} rows and the data have {len(tasks)} tasks: give "
                    f"one row and column for each of {shorten(list(tasks))}, in this order, or a "
                    "form with labels"
                )
            return self.adjacency()
        order = places_of(tasks, self.labels, what, _REMEDY)
        return self.adjacency()[np.ix_(order, order)]

    def __repr__(self) -> str:
        named = "" if self.labels is None else f", {shorten(self.labels)}"
        return f"<graph of {self.n_nodes} tasks with {len(self.edges)} edges{named}>"


def as_graph(value: Any, what: str) -> FixedGraph:
    """Read a graph of tasks.

    Parameters
    ----------
    value : square frame, networkx.Graph, edge list, or (task, task) array
        A square frame has the labels as columns, and as index where it has one (else rows come in
        the order of the columns). An edge list is a frame of two or three columns (source, target,
        weight) or an iterable of tuples ``(a, b)``, ``(a, b, weight)`` and, for a task without
        neighbours, ``(a,)``. Rows of an array follow the data's tasks, which are sorted unless the
        data declare an order.
    what : str
        The setting, for messages.

    Raises
    ------
    InvalidModelError
        When the graph is directed or not symmetric, has self loops, weights that are negative or
        not finite, contradicting weights of one edge, or labels of several types.
    InvalidDataError
        When a column of an edge list cannot be read.
    """
    if isinstance(value, FixedGraph):
        return value
    found = read_edges(value, what)
    if found.n_nodes == 0:
        raise InvalidModelError(f"{what} has no nodes; give a graph of the tasks")
    return _sorted_graph(found)


def _sorted_graph(found: Edges) -> FixedGraph:
    """The graph with its labels ascending, so that equal graphs are equal values."""
    rank = list(range(found.n_nodes))
    labels = None
    if found.labels is not None:
        labels = tuple(sorted(found.labels))
        place = {label: i for i, label in enumerate(labels)}
        rank = [place[label] for label in found.labels]
    edges = sorted(
        (min(rank[i], rank[j]), max(rank[i], rank[j]), weight)
        for (i, j), weight in found.weights.items()
        if weight > 0.0
    )
    return FixedGraph(found.n_nodes, tuple(edges), labels)


def graph_of_pairs(n_nodes: int, pairs: Iterable[tuple[int, int]], labels: Any) -> FixedGraph:
    """A graph with weights of one, given positions of the ends and labels or None."""
    weights = {(min(i, j), max(i, j)): 1.0 for i, j in pairs}
    plain = None if labels is None else plain_labels(labels, "labels")
    return _sorted_graph(Edges(n_nodes, weights, plain))


def graph_to_json(graph: FixedGraph) -> dict[str, Any]:
    """JSON form; dates are marked as such."""
    out: dict[str, Any] = {"n_nodes": graph.n_nodes, "edges": [list(edge) for edge in graph.edges]}
    return out if graph.labels is None else out | labels_to_json(graph.labels)


def graph_from_json(spec: Mapping[str, Any]) -> FixedGraph:
    """Inverse of `graph_to_json`.

    Raises
    ------
    InvalidModelError
        When labels or edges do not fit the number of nodes, or as `as_graph`.
    """
    n_nodes = spec["n_nodes"]
    labels = labels_from_json(spec) if "labels" in spec else None
    if labels is not None and len(set(labels)) != n_nodes:
        raise InvalidModelError(f"{len(set(labels))} different labels for {n_nodes} nodes")
    for i, j, _ in spec["edges"]:
        if not (0 <= i < n_nodes and 0 <= j < n_nodes):
            raise InvalidModelError(f"the edge ({i}, {j}) is not between {n_nodes} nodes")
    pairs = [(i,) for i in range(n_nodes)] + [tuple(edge) for edge in spec["edges"]]
    plain = as_graph(pairs, "graph")
    return FixedGraph(n_nodes, plain.edges, labels)
