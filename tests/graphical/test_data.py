"""Reading rows: what cannot be used is named with its column, task and row."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayesmtl as bm
from bayesmtl.graphical.data import check_training_rows, known_rows, read_graph_rows
from tests.graphical.frames import two_tasks

DATA = two_tasks(5, 3)


def read(data: Any, variables: Any = None, missing: str = "error", task: str = "task") -> Any:
    rows = read_graph_rows(data, variables, task=task, missing=missing)
    check_training_rows(rows)
    return rows


def changed(column: str, row: int, value: Any) -> pd.DataFrame:
    out = DATA.copy()
    out[column] = out[column].astype(object) if isinstance(value, str) else out[column]
    out.loc[row, column] = value
    return out


def test_frames_of_several_libraries() -> None:
    rows = read(DATA)
    assert rows.variables == ("x0", "x1", "x2")
    assert rows.tasks.tolist() == ["a", "b"]
    np.testing.assert_array_equal(rows.values, DATA[["x0", "x1", "x2"]])
    np.testing.assert_array_equal(read(pl.from_pandas(DATA)).values, rows.values)
    turned = read(DATA[["task", "x2", "x0", "x1"]], ["x0", "x1", "x2"])
    np.testing.assert_array_equal(turned.values, rows.values)


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0],
        [False, True],
        [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)],
        ["b", "a"],
    ],
)
def test_labels_of_tasks(labels: list[Any]) -> None:
    apart = {
        label: rows.drop(columns="task")
        for label, (_, rows) in zip(labels, DATA.groupby("task"), strict=True)
    }
    in_one = DATA.assign(task=DATA["task"].map(dict(zip("ab", labels, strict=True))))
    one, several = read(in_one), read(apart)
    assert one.tasks.tolist() == several.tasks.tolist() == sorted(labels)
    np.testing.assert_array_equal(one.values, several.values)
    np.testing.assert_array_equal(one.task, several.task)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("x1", 7, np.nan), r'"x1" has 1 missing value \(row 7\).*of task "b".*impute'),
        (changed("x2", 0, np.inf), 'column "x2" holds inf in row 0'),
        (changed("task", 3, None), r'task column "task" has 1 missing label \(row 3'),
        (DATA.rename(columns={"task": "g"}), 'task= names the column "task"'),
        (DATA.assign(x0=2.5), "variable \"x0\" is 2.5 in all 5 rows of task 'a'"),
        (DATA.assign(x0=np.where(DATA["task"] == "b", 1.0, DATA["x0"])), "\"x0\" is 1 .* task 'b'"),
        (DATA.head(0), "the data have 0 rows"),
        ({}, "empty dict"),
    ],
)
def test_unusable_data(data: Any, message: str) -> None:
    with pytest.raises(bm.InvalidDataError, match=message):
        read(data)


def test_unusable_types() -> None:
    with pytest.raises(bm.InvalidTypeError, match=r'variable "kind" must hold numbers, .* text'):
        read(DATA.assign(kind="u"))
    with pytest.raises(bm.InvalidTypeError, match="must be a pandas or polars DataFrame"):
        read([1, 2])
    frame = DATA.drop(columns="task")
    with pytest.raises(bm.InvalidTypeError, match='"task" mixes types: text in 10'):
        read({"a": frame, 1: frame})
    with pytest.raises(bm.InvalidTypeError, match=r"kind. must .* in the frame of task 'b'"):
        read({"a": frame.assign(kind=1.0), "b": frame.assign(kind="u")})


def test_variables_that_are_not_there() -> None:
    with pytest.raises(bm.InvalidDataError, match='variables= names the column "x9"'):
        read(DATA, ["x0", "x9"])
    with pytest.raises(bm.InvalidModelError, match="two variables or more, and there is"):
        read(DATA[["x0", "task"]])
    with pytest.raises(bm.InvalidDataError, match='"x1" has no value in any row'):
        read(DATA.assign(x1=np.nan), missing="impute")


def test_frames_with_other_columns() -> None:
    frame = DATA.drop(columns="task")
    with pytest.raises(bm.InvalidDataError, match="frame of task 'b' lacks the column \"x2\""):
        read({"a": frame, "b": frame.drop(columns="x2")})
    with pytest.raises(bm.InvalidDataError, match="frame of task 'b' has the column \"x9\""):
        read({"a": frame, "b": frame.assign(x9=1.0)})
    assert read({"a": frame, "b": frame.assign(x9=1.0)}, ["x0", "x1"]).values.shape == (20, 2)


def test_missing_values_kept_or_left_out() -> None:
    holes = changed("x1", 7, np.nan)
    assert np.isnan(read(holes, missing="impute").values).sum() == 1
    with pytest.warns(bm.BayesMTLWarning, match="left out 1 of 10 rows"):
        rows = read(holes, missing="drop")
    assert rows.position.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_warnings() -> None:
    with pytest.warns(bm.BayesMTLWarning, match=r"one task \(a\)"):
        read(DATA[DATA["task"] == "a"])
    with pytest.warns(bm.BayesMTLWarning, match=r'1 of 2 tasks has a single row \("b"\)'):
        read(DATA.head(6))
    with pytest.warns(bm.BayesMTLWarning, match='"x0" and "y" are the same but for their units'):
        read(DATA.assign(y=-3.0 * DATA["x0"] + 1.0))


@pytest.mark.filterwarnings("error")
def test_differences_between_tasks_make_no_variables_equal() -> None:
    far = DATA[["x0", "x1", "x2"]] + 1e6 * (DATA[["task"]] == "b").to_numpy()
    read(far.assign(task=DATA["task"]))
    rows = read_graph_rows(DATA.iloc[[0, 1, 5]], None, task="task", missing="error")
    with pytest.warns(bm.BayesMTLWarning) as told:
        check_training_rows(rows)
    assert not any("their units" in str(one.message) for one in told)


def test_tasks_of_a_fit() -> None:
    known = np.array(["b", "a"], dtype=object)
    rows = known_rows(DATA, ("x2", "x0"), task="task", tasks=known)
    assert rows.task.tolist() == [1] * 5 + [0] * 5
    with pytest.raises(bm.InvalidDataError, match=r'1 task in column .* not in the fit \("b"\)'):
        known_rows(DATA, ("x2", "x0"), task="task", tasks=known[1:])
