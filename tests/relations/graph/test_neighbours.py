"""Graphs of nearest tasks."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesmtl import InvalidModelError
from bayesmtl.relations.graph.neighbours import nearest_neighbours


def test_neighbours_on_a_line() -> None:
    """Joined if one is the nearest of the other: 0-1, 5-7, and 11 with 7."""
    graph = nearest_neighbours(np.array([[0.0], [1.0], [5.0], [7.0], [11.0]]), 1)
    assert graph.labels is None
    assert graph.edges == ((0, 1, 1.0), (2, 3, 1.0), (3, 4, 1.0))


def test_agrees_with_distances_of_standardised_covariates() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(12, 3)) * [1.0, 100.0, 0.01]
    adjacency = nearest_neighbours(values, 3).adjacency()
    z = (values - values.mean(0)) / values.std(0)
    rank = np.linalg.norm(z[:, None] - z, axis=2).argsort(1).argsort(1)
    near = (rank >= 1) & (rank <= 3)
    np.testing.assert_array_equal(adjacency, near | near.T)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_neither_the_order_of_rows_nor_units_matter(library: Any) -> None:
    frame: dict[str, list[Any]] = {
        "town": ["b", "d", "a", "c"],
        "x": [0.0, 0.0, 1.0, 2.0],
        "coast": [True, True, False, False],
    }
    first = nearest_neighbours(library(frame), 1, "town")
    turned = {name: values[::-1] for name, values in frame.items()}
    turned["x"] = [32.0 + 1.8 * float(x) for x in turned["x"]]
    assert nearest_neighbours(library(turned), 1, "town") == first
    assert first.labels == ("a", "b", "c", "d")
    assert first.edges == ((0, 2, 1.0), (1, 3, 1.0))


def test_ties_go_to_the_smaller_label() -> None:
    graph = nearest_neighbours(np.array([[1.0], [-1.0], [0.0]]), 1, [7, 3, 5])
    assert graph.edges == ((0, 1, 1.0), (1, 2, 1.0))
    graph = nearest_neighbours(np.array([[0.0], [5.0], [-5.0], [20.0], [-20.0]]), 1, list("cabde"))
    assert (0, 2, 1.0) in graph.edges


XY = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])


@pytest.mark.parametrize(
    ("values", "k", "labels", "message"),
    [
        (XY[:, :1], 0, None, "k is the number of neighbours, 1 to 2, got 0"),
        (XY[:, :1], 3, None, "k is the number of neighbours, 1 to 2, got 3"),
        (XY[:, :1], True, None, "k is the number of neighbours"),
        (XY, 1, None, "covariate 1 is the same for all tasks"),
        (XY[:, 0], 1, None, r"must be a \(task, covariate\) array"),
        ([["u"], ["v"]], 1, None, r"must be a \(task, covariate\) array of numbers"),
        ([[0.0, 1.0], [1.0]], 1, None, r"must be a \(task, covariate\) array of numbers"),
        (np.array([[0.0], [np.nan], [1.0]]), 1, None, "covariate 0 has no value for row 1"),
        (np.array([[0.0], [np.nan], [1.0]]), 1, "abc", "covariate 0 has no value for the task 'b'"),
        (XY[:, :1], 1, ["a", "b", "a"], 'several rows for "a"'),
        (XY[:, :1], 1, ["a", "b"], "2 labels for 3 rows"),
        (pd.DataFrame({"x": [0.0, 1.0]}), 1, None, "name the column of the frame"),
        (pd.DataFrame({"x": [0.0, 1.0]}), 1, "town", 'names the column "town", which'),
        (pd.DataFrame({"town": ["a", "b"]}), 1, "town", "no covariates besides"),
        (pd.DataFrame({"town": ["a", None], "x": [0.0, 1.0]}), 1, "town", '"town" lacks labels'),
        (pd.DataFrame({"town": ["a", "b"], "x": ["u", "v"]}), 1, "town", '"x" holds text values'),
    ],
)
def test_what_is_refused(values: Any, k: Any, labels: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        nearest_neighbours(values, k, labels)


def test_labels_of_a_frame_may_stand_apart() -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 5.0]})
    assert nearest_neighbours(frame, 1, [3, 1, 2]).labels == (1, 2, 3)
