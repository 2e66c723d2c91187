"""Fixed covariance matrices: what is read, and what is refused."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl import InvalidDataError, InvalidModelError
from bayesmtl.relations.matrices import as_matrix, matrix_from_json, matrix_to_json

VALUES = [[2.0, 0.5], [0.5, 1.0]]


def test_rows_of_a_frame_are_matched_by_label() -> None:
    frame = pd.DataFrame(VALUES, index=["b", "a"], columns=["b", "a"])
    shuffled = frame.loc[["a", "b"]]
    for given in (frame, shuffled):
        np.testing.assert_array_equal(
            as_matrix(given, "x").arranged(["a", "b"], "task", "x"), [[1.0, 0.5], [0.5, 2.0]]
        )


@pytest.mark.parametrize(
    ("rows", "columns", "labels"),
    [
        ([True, False], [False, True], (True, False)),
        ([1, 2], ["2", "1"], (1, 2)),
        ([1.0, 2.0], [2.0, 1.0], (1, 2)),
        (
            pd.to_datetime(["2020-01-02", "2021-01-01"]),
            ["2021-01-01", "2020-01-02"],
            (datetime.date(2020, 1, 2), datetime.date(2021, 1, 1)),
        ),
    ],
)
def test_labels_of_rows_and_columns_match_by_their_texts(
    rows: Any, columns: Any, labels: Any
) -> None:
    matrix = as_matrix(pd.DataFrame([[0.5, 2.0], [1.0, 0.5]], index=rows, columns=columns), "x")
    assert matrix.labels is not None
    assert matrix.labels == labels
    assert [type(label) for label in matrix.labels] == [type(label) for label in labels]
    assert matrix.values == ((2.0, 0.5), (0.5, 1.0))


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table])
def test_a_frame_without_index_has_rows_in_the_order_of_its_columns(library: Any) -> None:
    matrix = as_matrix(library({"b": [2.0, 0.5], "a": [0.5, 1.0]}), "x")
    assert matrix.labels == ("b", "a")
    assert matrix.arranged(["a"], "task", "x") == [[1.0]]


@pytest.mark.parametrize(
    "labels", [None, ("a", "b"), (3, 1), (datetime.date(2020, 1, 2), datetime.date(2021, 1, 1))]
)
def test_json_holds_values_and_labels(labels: Any) -> None:
    frame = np.array(VALUES)
    given: Any = frame if labels is None else pd.DataFrame(frame, index=labels, columns=labels)
    matrix = as_matrix(given, "x")
    again = matrix_from_json(matrix_to_json(matrix))
    assert again == matrix
    assert hash(again) == hash(matrix)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([["a", 1.0], [1.0, 2.0]], "must hold numbers"),
        ([[1.0, 2.0]], "must be a square matrix"),
        ([1.0, 2.0], "must be a square matrix"),
        ([[1.0, np.nan], [np.nan, 1.0]], "not finite"),
        ([[1.0, 0.5], [0.2, 1.0]], r"must be symmetric: entries \(0, 1\)"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite, and its correlations"),
        ([[0.0, 0.0], [0.0, 1.0]], "positive definite, and it has the variance 0"),
    ],
)
def test_what_is_no_covariance_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        as_matrix(value, "x")


def test_labels_that_do_not_match_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="rows are labelled a, b and columns a, c"):
        as_matrix(pd.DataFrame(VALUES, index=["a", "b"], columns=["a", "c"]), "x")
    labelled = as_matrix(pd.DataFrame(VALUES, index=["a", "b"], columns=["a", "b"]), "x")
    with pytest.raises(InvalidModelError, match="no row for the task 'c'; its labels are a, b"):
        labelled.arranged(["a", "c"], "task", "x")
    with pytest.raises(InvalidModelError, match="has 2 rows and the model has 3 features"):
        as_matrix(VALUES, "x").arranged(["a", "b", "c"], "feature", "x")


def test_frames_that_cannot_be_read_are_refused() -> None:
    mixed, missing = ["a", 1], ["a", None]
    with pytest.raises(InvalidModelError, match=r"x, columns names tasks by text .* whole numbers"):
        as_matrix(pd.DataFrame(VALUES, index=mixed, columns=mixed), "x")
    with pytest.raises(InvalidModelError, match=r"x, rows: .* cannot name a task"):
        as_matrix(pd.DataFrame(VALUES, index=missing, columns=["a", "b"]), "x")
    with pytest.raises(InvalidDataError, match="several columns of the same name"):
        as_matrix(pd.DataFrame(VALUES, index=["a", "b"], columns=["a", "a"]), "x")
    with pytest.raises(InvalidDataError, match="lazy frame"):
        as_matrix(pl.LazyFrame({"a": [1.0]}), "x")


def test_scales_of_any_size_are_definite() -> None:
    scale = np.array([1e-9, 1e12])
    matrix = as_matrix(np.array([[1.0, 0.5], [0.5, 1.0]]) * np.outer(scale, scale), "x")
    assert matrix.values[1][1] == 1e24
