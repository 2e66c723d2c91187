"""Known graphs of tasks: every form is the same value, and what is refused."""

import datetime
import json
import subprocess
import sys
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl import InvalidModelError
from bayesmtl.errors import InvalidDataError
from bayesmtl.relations.graph.adjacency import as_graph, graph_from_json, graph_to_json

VALUES = np.array([[0.0, 2.0, 0.0], [2.0, 0.0, 0.5], [0.0, 0.5, 0.0]])


def _forms() -> dict[str, Any]:
    """The path b -2- a -0.5- c in each labelled form."""
    graph = nx.Graph()
    graph.add_edge("b", "a", weight=2.0)
    graph.add_edge("a", "c", weight=0.5)
    names = ["b", "a", "c"]
    frame = pd.DataFrame(VALUES, index=names, columns=names)
    edges = {"source": ["b", "c"], "target": ["a", "a"], "weight": [2.0, 0.5]}
    return {
        "square": frame,
        "shuffled": frame.loc[["c", "b", "a"], ["a", "b", "c"]],
        "polars square": pl.DataFrame(dict(zip(names, VALUES, strict=True))),
        "networkx": graph,
        "multigraph": nx.MultiGraph(graph),
        "tuples": [("a", "b", 2.0), ("a", "c", 0.5)],
        "twice": (edge for edge in [("a", "b", 2), ("b", "a", 2.0), ("a", "c", 0.5)]),
        "edge frame": pd.DataFrame(edges),
        "polars edges": pl.DataFrame(edges),
        "other names": pd.DataFrame(edges).set_axis(["from", "to", "w"], axis=1),
        "categories": pd.DataFrame(edges).astype({"source": "category"}),
    }


@pytest.mark.parametrize("form", _forms())
def test_every_form_is_the_same_value(form: str) -> None:
    graph, other = as_graph(_forms()[form], "graph"), as_graph(_forms()["tuples"], "graph")
    assert graph == other
    assert hash(graph) == hash(other)
    assert graph.labels == ("a", "b", "c")
    assert graph.edges == ((0, 1, 2.0), (0, 2, 0.5))
    np.testing.assert_array_equal(graph.arranged(["b", "a", "c"], "graph"), VALUES)
    assert as_graph(graph, "graph") is graph


def test_an_array_is_in_the_order_of_the_tasks() -> None:
    graph = as_graph(VALUES, "graph")
    assert graph.labels is None
    np.testing.assert_array_equal(graph.arranged(np.array([3, 5, 9]), "graph"), VALUES)
    with pytest.raises(InvalidModelError, match="has 3 rows and the data have 2 tasks"):
        graph.arranged(["a", "b"], "graph")


def test_edges_without_weights_have_weight_one_and_weight_zero_is_no_edge() -> None:
    graph = as_graph([(1, 2), (2, 3, 0.0), (7,)], "graph")
    assert graph.labels == (1, 2, 3, 7)
    assert graph.edges == ((0, 1, 1.0),)
    assert as_graph(pl.DataFrame({"x": [1], "y": [2]}), "graph").edges == ((0, 1, 1.0),)


def test_nodes_without_rows_are_allowed_and_left_out() -> None:
    graph = as_graph([("a", "b"), ("b", "c"), ("d",)], "graph")
    np.testing.assert_array_equal(graph.arranged(["d", "a", "c"], "graph"), np.zeros((3, 3)))
    assert graph.labels == ("a", "b", "c", "d")
    assert "4 tasks with 2 edges" in repr(graph)


def test_tasks_that_the_graph_does_not_name_are_listed() -> None:
    with pytest.raises(
        InvalidModelError, match=r'2 tasks of the data "x", "y"; add such tasks as isolated nodes'
    ):
        as_graph([("a", "b")], "graph").arranged(["a", "x", "y"], "graph")


@pytest.mark.parametrize(
    ("edges", "tasks", "message"),
    [
        ([("1", "2")], np.array([1, 2]), r"by text \('1'\), but the data name them by whole"),
        ([(1, 2)], ["1", "2"], r"by whole numbers \(1\), but the data name them by text \('1'\)"),
        ([(0, 1)], np.array([False, True]), r"by whole numbers \(0\), but .* booleans \(False\)"),
    ],
)
def test_labels_of_another_type_never_match(edges: Any, tasks: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        as_graph(edges, "graph").arranged(tasks, "graph")


@pytest.mark.parametrize(
    "ends",
    [
        ["a", "b"],
        [3, 1],
        [True, False],
        [datetime.date(2020, 1, 2), datetime.date(2019, 1, 1)],
    ],
)
def test_json_holds_edges_and_labels(ends: Any) -> None:
    graph = as_graph([(*ends, 1.5)], "graph")
    again = graph_from_json(json.loads(json.dumps(graph_to_json(graph))))
    assert again == graph
    assert hash(again) == hash(graph)
    assert again.arranged(np.array(ends), "graph")[0, 1] == 1.5
    bare = as_graph(VALUES, "graph")
    assert graph_from_json(json.loads(json.dumps(graph_to_json(bare)))) == bare


def test_json_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"the edge \(0, 5\) is not between 2 nodes"):
        graph_from_json({"n_nodes": 2, "edges": [[0, 5, 1.0]]})
    with pytest.raises(InvalidModelError, match="1 different labels for 2 nodes"):
        graph_from_json({"n_nodes": 2, "edges": [], "labels": ["a", "a"]})


def test_dates_of_pandas_and_numpy_are_dates() -> None:
    days = pd.to_datetime(["2020-01-01", "2020-01-02"])
    frame = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]], index=days, columns=days)
    graph = as_graph(frame, "graph")
    assert graph.labels == (datetime.date(2020, 1, 1), datetime.date(2020, 1, 2))
    assert graph.arranged(days.to_numpy().astype("datetime64[D]"), "graph")[0, 1] == 1.0


def _square(values: Any, rows: Any = ("a", "b"), columns: Any = ("a", "b")) -> pd.DataFrame:
    return pd.DataFrame(values, index=list(rows), columns=list(columns))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nx.DiGraph([("a", "b")]), r"directed graph.*to_undirected\(\)"),
        (nx.Graph([("a", "a")]), "joins the task 'a' to itself"),
        (nx.Graph([("a", 1)]), r"by text \('a'\) and by whole numbers \(1\)"),
        (nx.Graph(), "no nodes"),
        ([("a", "b", -1.0)], r"the weight -1.0 for \('a', 'b'\)"),
        ([("a", "b", np.nan)], r"the weight nan for \('a', 'b'\)"),
        ([("a", "b", None)], r"the weight None for \('a', 'b'\)"),
        ([("a", "b", 1.0), ("b", "a", 2.0)], r"edge \('b', 'a'\) twice, with the weights 1 and 2"),
        ([("a", "b"), "cd"], r"holds tuples \(a, b\).*got 'cd'"),
        ([("a", 1.5)], "1.5 cannot name a task"),
        ([("a", None)], "None cannot name a task"),
        ([("a", pd.NaT)], "NaT cannot name a task"),
        ([(datetime.datetime(2020, 1, 1, 3), "b")], "cannot name a task"),
        ("a-b", "must be a square data frame.*not str"),
        (3, "must be a square data frame.*not int"),
        (_square([[0, 1], [2, 0]]), r"symmetric: the weights of \('a', 'b'\) are 1 and 2; if it"),
        (_square([[0, -1], [-1, 0]]), r"weight -1.0 for \('a', 'b'\)"),
        (_square([[0, np.nan], [1, 0]]), r"weight nan for \('a', 'b'\)"),
        (_square([[0, 1], [np.nan, 0]]), r"weight nan for \('b', 'a'\)"),
        (_square([[0, np.inf], [np.inf, 0]]), r"weight inf for \('a', 'b'\)"),
        (_square([[1, 1], [1, 0]]), "joins the task 'a' to itself"),
        (_square([["x", 1], [1, 0]]), "must hold numbers"),
        (_square([[0, 1], [1, 0]], ["1", "2"], [1, 2]), r'labelled "1", "2" and columns 1, 2'),
        (_square(np.zeros((4, 4)), "abcd", "abce"), "4 rows labelled .* same labels in rows and"),
        (np.zeros((2, 3)), r"square matrix, got shape \(2, 3\)"),
        (np.array([["a", "b"], ["b", "a"]]), "must hold numbers"),
        (pl.DataFrame({"x": ["a"], "y": ["b"], "z": ["c"]}), "the third column of an edge list"),
        (pl.DataFrame({"x": ["a", None], "y": ["b", "c"]}), 'column "x" has no label in row 1'),
        (
            pl.DataFrame({"x": ["a"], "y": ["b"], "z": [None]}).cast({"z": pl.Float64}),
            r"the weight nan for \('a', 'b'\)",
        ),
        (pl.DataFrame({"x": ["a"], "y": ["b"]}).with_columns(z=-2), r"weight -2.0 for \('a', 'b"),
    ],
)
def test_what_is_no_graph_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        as_graph(value, "graph")


def test_columns_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="lazy frame"):
        as_graph(pl.LazyFrame({"x": ["a"], "y": ["b"]}), "graph")
    with pytest.raises(InvalidDataError, match="several columns of the same name"):
        as_graph(pd.DataFrame([["a", "b"]], columns=["x", "x"]), "graph")


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table])
def test_square_frames_without_index_may_hold_booleans(library: Any) -> None:
    frame = library(
        {"a": [False, True, False], "b": [True, False, True], "c": [False, True, False]}
    )
    assert as_graph(frame, "graph") == as_graph([("a", "b"), ("b", "c")], "graph")


def test_networkx_is_not_imported() -> None:
    code = (
        "import sys; from bayesmtl.relations.graph.adjacency import as_graph; "
        "as_graph([(1, 2)], 'graph'); sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
