"""Predictors of the tasks: one value per task."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.design import Design, learn_design
from bayesmtl.errors import InvalidDataError
from bayesmtl.task_features import read_task_features
from tests.frame_cases import BASE, LIBRARIES, make


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def task_features(data: Any, tasks: list[str], **settings: Any) -> np.ndarray:
    design = learn_design("~ u", data)
    saved = Design.from_dict(json.loads(json.dumps(design.to_dict())))
    labels = np.array(tasks, dtype=object)
    return read_task_features(data, saved, task="task", tasks=labels, **settings)


def test_task_features_are_one_row_per_task(library: str) -> None:
    data = make(library, {**BASE, "u": [2.0, 1.0, 2.0, 1.0, 3.0, 3.0]})
    np.testing.assert_array_equal(task_features(data, ["c", "a", "b"]), [[3.0], [1.0], [2.0]])


def test_task_features_must_not_vary_inside_a_task() -> None:
    data = pd.DataFrame({**BASE, "u": [2.0, 1.0, 2.5, 1.0, 3.0, 3.0]})
    with pytest.raises(
        InvalidDataError, match=r"feature u takes 2 values in task 'b' \(2.0, 2.5\)"
    ):
        task_features(data, ["a", "b", "c"])
    np.testing.assert_array_equal(task_features(data, ["a", "c"]), [[1.0], [3.0]])


def test_task_features_need_a_row_of_each_task() -> None:
    data = pd.DataFrame({**BASE, "u": [2.0, 1.0, 2.0, 1.0, 3.0, 3.0]})
    with pytest.raises(InvalidDataError, match=r'no complete row for 1 task of "task" \("d"\)'):
        task_features(data, ["a", "d"])


def test_missing_task_features() -> None:
    data = pd.DataFrame({**BASE, "u": [2.0, np.nan, 2.0, 1.0, 3.0, 3.0]})
    with pytest.raises(InvalidDataError, match=r'"u" has 1 missing value \(row 1\)'):
        task_features(data, ["a", "b", "c"])
    found = task_features(data, ["a", "b", "c"], missing="drop")
    np.testing.assert_array_equal(found, [[1.0], [2.0], [3.0]])


@pytest.mark.parametrize("dropped", ["d", "a"])
def test_tasks_whose_rows_are_dropped_teach_nothing(dropped: str) -> None:
    """The levels of a category, and which of them is the reference."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"task": np.repeat(list("abcd"), 4), "x": rng.normal(size=16)})
    frame["region"] = frame["task"].map({"a": "east", "b": "north", "c": "south", "d": "west"})
    frame["y"] = frame["x"] + rng.normal(size=16)
    frame.loc[frame["task"] == dropped, "y"] = np.nan
    model = bm.Model("y ~ x", task="task", task_features="~ region", missing="drop")
    with pytest.warns(bm.BayesMTLWarning, match="left out 4 of 16 rows"):
        prepared = model.prepare(frame)
    kept = frame[frame["task"] != dropped]
    expected = bm.Model("y ~ x", task="task", task_features="~ region").prepare(kept)
    assert prepared.task_design == expected.task_design
