"""Reading edges: square matrices and frames, edge lists, and graphs of networkx."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.columns import read_column
from bayesmtl.frames.labels import read_labels
from bayesmtl.frames.opening import is_frame, open_frame, rows_text, shorten
from bayesmtl.relations.graph.labels import plain_labels

__all__ = ["Edges", "read_edges"]

_ROUNDING = 1e-8
_FORMS = "a square data frame with labels, a networkx.Graph, an edge list or a (task, task) array"
_EDGE_LIST = "; if it is an edge list, name its columns source, target and (with weights) weight"


class Edges(NamedTuple):
    """What was read.

    Attributes
    ----------
    n_nodes : int
    weights : dict of (int, int) to float
        By positions ``i < j``; non-negative.
    labels : list or None
        Plain, of one type, each once.
    """

    n_nodes: int
    weights: dict[tuple[int, int], float]
    labels: list[Any] | None


def read_edges(value: Any, what: str) -> Edges:
    """Read a graph in any of its forms, see `bayesmtl.relations.graph.adjacency.as_graph`.

    Raises
    ------
    InvalidDataError, InvalidModelError
        As `as_graph`.
    """
    networkx = sys.modules.get("networkx")  # a value of its types needs it to be imported
    if networkx is not None and isinstance(value, networkx.Graph):
        return _read_networkx(value, what)
    if is_frame(value):
        return _read_frame(open_frame(value), what)
    if isinstance(value, np.ndarray):
        return _read_matrix(value, None, what)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidModelError(f"{what} must be {_FORMS}, not {type(value).__name__}")
    return _read_tuples(list(value), what)


def _read_networkx(graph: Any, what: str) -> Edges:
    if graph.is_directed():
        raise InvalidModelError(
            f"{what} is a directed graph, and relations of tasks have no direction; pass "
            "graph.to_undirected()"
        )
    nodes = [(node,) for node in graph.nodes]
    return _read_tuples(nodes + list(graph.edges(data="weight", default=1.0)), what)


def _read_frame(frame: nw.DataFrame[Any], what: str) -> Edges:
    index, columns = nw.maybe_get_index(frame), list(frame.columns)
    names = {str(name).lower() for name in columns}
    if names in ({"source", "target"}, {"source", "target", "weight"}):
        by_name = {str(name).lower(): name for name in columns}
        return _read_edge_frame(frame, [by_name[x] for x in ("source", "target")], what)
    if index is not None and {str(x) for x in index} == {str(name) for name in columns}:
        return _read_square(frame, list(index), what)
    numeric = all(dtype.is_numeric() or dtype == nw.Boolean for dtype in frame.schema.values())
    if index is None and len(frame) == len(columns) and numeric:
        return _read_square(frame, columns, what)
    if len(columns) in (2, 3):
        return _read_edge_frame(frame, columns[:2], what)
    rows = "" if index is None else f" labelled {shorten(list(index))}"
    raise InvalidModelError(
        f"{what} has {len(frame)} rows{rows} and the columns {shorten(columns)}: a square frame "
        "has the same labels in rows and columns, an edge list has two or three columns"
    )


def _read_square(frame: nw.DataFrame[Any], rows: list[Any], what: str) -> Edges:
    columns = plain_labels(frame.columns, f"{what}, columns")
    labels = plain_labels(rows, f"{what}, rows")
    if sorted(map(str, labels)) != sorted(map(str, columns)) or set(labels) != set(columns):
        raise InvalidModelError(
            f"{what}: rows are labelled {shorten(labels)} and columns {shorten(columns)}; give "
            "both the same labels, each once"
        )
    order = [labels.index(label) for label in columns]
    return _read_matrix(frame.to_numpy()[order], columns, what, _EDGE_LIST)


def _read_matrix(value: np.ndarray, labels: list[Any] | None, what: str, hint: str = "") -> Edges:
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidModelError(f"{what} must hold numbers{hint}") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidModelError(f"{what} must be a square matrix, got shape {matrix.shape}{hint}")
    names = list(range(len(matrix))) if labels is None else labels
    for i, j in np.argwhere(~np.isfinite(matrix)):
        _checked(names[i], names[j], matrix[i, j], what)
    unequal = np.abs(matrix - matrix.T) > _ROUNDING * np.abs(matrix)
    for i, j in np.argwhere(np.triu(unequal)):
        raise InvalidModelError(
            f"{what} must be symmetric: the weights of {_pair(names[i], names[j])} are "
            f"{matrix[i, j]:g} and {matrix[j, i]:g}{hint}"
        )
    matrix = 0.5 * (matrix + matrix.T)
    weights = {}
    for i, j in np.argwhere(np.triu(matrix) != 0.0).tolist():
        weights[i, j] = _checked(names[i], names[j], matrix[i, j], what)
    return Edges(len(matrix), weights, labels)


def _read_edge_frame(frame: nw.DataFrame[Any], ends: list[str], what: str) -> Edges:
    columns = []
    for name in ends:
        labels = read_labels(frame, name)
        if labels.missing.any():
            raise InvalidModelError(
                f'{what}: the column "{name}" has no label in '
                f"{rows_text(np.flatnonzero(labels.missing))}; drop these rows"
            )
        columns.append(labels.values.tolist())
    others = [name for name in frame.columns if name not in ends]
    if not others:
        return _read_tuples(list(zip(*columns, strict=True)), what)
    weight = read_column(frame, others[0])
    if weight.kind != "number":
        raise InvalidModelError(
            f'{what}: the column "{others[0]}" holds {weight.kind} values, but the third column '
            "of an edge list holds weights"
        )
    return _read_tuples(list(zip(*columns, weight.values.tolist(), strict=True)), what)


def _read_tuples(items: list[Any], what: str) -> Edges:
    for item in items:
        if not isinstance(item, tuple | list) or len(item) not in (1, 2, 3):
            raise InvalidModelError(
                f"{what}: an edge list holds tuples (a, b) or (a, b, weight), and (a,) for a task "
                f"without neighbours, got {item!r}"
            )
    ends = plain_labels((end for item in items for end in item[:2]), what)
    place: dict[Any, int] = {}
    for end in ends:
        place.setdefault(end, len(place))
    weights: dict[tuple[int, int], float] = {}
    at = 0
    for item in items:
        if len(item) == 1:
            at += 1
            continue
        a, b = ends[at : at + 2]
        at += 2
        weight = _checked(a, b, item[2] if len(item) == 3 else 1.0, what)
        i, j = sorted((place[a], place[b]))
        if weights.setdefault((i, j), weight) != weight:
            raise InvalidModelError(
                f"{what} has the edge {_pair(a, b)} twice, with the weights {weights[i, j]:g} "
                f"and {weight:g}; give it once"
            )
    return Edges(len(place), weights, list(place))


def _pair(a: Any, b: Any) -> str:
    return f"({a!r}, {b!r})"


def _checked(a: Any, b: Any, weight: Any, what: str) -> float:
    """A weight as a number, once it is one of an edge."""
    if a == b:
        raise InvalidModelError(
            f"{what} joins the task {a!r} to itself; remove the self loop (the diagonal is zero)"
        )
    try:
        value = float(weight)
    except (TypeError, ValueError):
        value = np.nan
    if not (np.isfinite(value) and value >= 0.0):
        shown = value if isinstance(weight, np.generic) else weight
        raise InvalidModelError(
            f"{what} has the weight {shown!r} for {_pair(a, b)}; weights are finite numbers from 0"
        )
    return value
