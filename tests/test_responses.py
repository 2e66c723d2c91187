"""Responses of which some are ordered levels and others numbers: what is read, what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayesmtl as bm
from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError
from tests.frame_cases import LIBRARIES, make

LEVELS = ["low", "mid", "high"]
KINDS: dict[str, Any] = {
    "dose": bm.Gaussian(noise="shared"),
    "pain": bm.Ordinal(levels=LEVELS),
    "score": bm.Ordinal(levels=[1, 2.5, 4]),
}
TASKS = ["dose", "pain", "score"] * 3
CODES = [3.5, 0.0, 1.0, -1e-3, 2.0, 0.0, 4.0, 1.0, 2.0]
TEXT = ["3.5", "low", "2.5", "-1e-3", "high", "1", "4", "mid", "4.0"]
CELLS = [3.5, "low", 2.5, -1e-3, "high", 1, 4, "mid", 4.0]
X = [0.1, 0.7, -0.3, 1.1, -0.8, 0.4, 0.9, -0.2, 0.6]


def response(y: Any, library: str = "pandas", kinds: Any = None, **settings: Any) -> np.ndarray:
    data = make(library, {"y": y, "task": TASKS, "x": X})
    model = bm.Model("y ~ x", "task", likelihood=kinds or KINDS, **settings)
    values = model.prepare(data).problem.rows.response
    assert values is not None
    return values


def test_cells_are_labels_or_numbers() -> None:
    np.testing.assert_array_equal(response(CELLS), CODES)
    mixed = [str(cell) if i % 2 else cell for i, cell in enumerate(CELLS)]
    np.testing.assert_array_equal(response(mixed), CODES)
    with_numpy = [np.float64(cell) if isinstance(cell, float) else cell for cell in CELLS]
    np.testing.assert_array_equal(response(with_numpy), CODES)


@pytest.mark.parametrize("library", LIBRARIES)
def test_text_columns_hold_numbers_as_text(library: str) -> None:
    np.testing.assert_array_equal(response(TEXT, library), CODES)


def test_categories_are_text() -> None:
    np.testing.assert_array_equal(response(pd.Categorical(TEXT)), CODES)


def test_polars_objects_are_cells() -> None:
    data = pl.DataFrame({"y": pl.Series(CELLS, dtype=pl.Object), "task": TASKS, "x": X})
    rows = bm.Model("y ~ x", "task", likelihood=KINDS).prepare(data).problem.rows
    np.testing.assert_array_equal(rows.response, CODES)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", [int, float])
def test_levels_that_are_numbers_need_no_text(library: str, dtype: type) -> None:
    kinds = KINDS | {"pain": bm.Ordinal(levels=[7, 8, 9]), "score": bm.Ordinal(levels=[1, 2, 4])}
    y = [dtype(cell) for cell in (3, 7, 2, -1, 9, 1, 4, 8, 4)]
    np.testing.assert_array_equal(response(y, library, kinds), [3, 0, 1, -1, 2, 0, 4, 1, 2])


def test_numbers_may_follow_after_many_labels() -> None:
    data = pd.DataFrame({"y": pd.Series(["low"] * 150 + [1.5, 2.5], dtype=object)})
    data = data.assign(task=["pain"] * 150 + ["dose"] * 2, x=np.arange(152.0))
    kinds = {name: KINDS[name] for name in ("pain", "dose")}
    values = bm.Model("y ~ x", "task", likelihood=kinds).prepare(data).problem.rows.response
    assert values is not None
    np.testing.assert_array_equal(values, [0.0] * 150 + [1.5, 2.5])


def test_booleans_are_zero_and_one() -> None:
    kinds = KINDS | {"dose": bm.Bernoulli()}
    cells = [{0: False, 3: 0, 6: True}.get(i, cell) for i, cell in enumerate(CELLS)]
    np.testing.assert_array_equal(response(cells, kinds=kinds)[[0, 3, 6]], [0, 0, 1])


def test_missing_cells_are_named_or_dropped() -> None:
    cells = [None, *CELLS[1:7], float("nan"), CELLS[8]]
    with pytest.raises(InvalidDataError, match=r'"y" has 2 missing values \(rows 0, 7\)'):
        response(cells)
    with pytest.warns(bm.BayesMTLWarning, match="left out 2 of 9 rows"):
        values = response(cells, missing="drop")
    np.testing.assert_array_equal(values, CODES[1:7] + CODES[8:])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {1: "lo", 4: "High"},
            "task 'pain': column \"y\" holds what is none of the levels 'low', 'mid', 'high' in 2 "
            "rows: row 1 has 'lo', row 4 has 'High'; correct these rows, or add the levels",
        ),
        ({1: 2.5}, "task 'pain': .* 1 row: row 1 has 2.5"),
        ({2: "low"}, "task 'score': .* none of the levels 1, 2.5, 4 in 1 row: row 2 has 'low'"),
        ({5: 3}, "task 'score': .* 1 row: row 5 has 3;"),
        (
            {0: "low", 6: "3,2"},
            "task 'dose': column \"y\" holds what is no number in 2 rows: row 0 has 'low', row 6 "
            "has '3,2'; correct these rows .* or give the task bm.Ordinal",
        ),
        ({0: " 3"}, "task 'dose': .* no number in 1 row: row 0 has ' 3'"),
        ({0: "nan"}, "task 'dose': .* no number in 1 row: row 0 has 'nan'"),
        ({0: "1_0"}, "task 'dose': .* no number in 1 row: row 0 has '1_0'"),
        ({0: "1e999"}, "task 'dose': .* no number in 1 row: row 0 has '1e999'"),
        ({0: float("inf")}, "task 'dose': .* no number in 1 row: row 0 has inf"),
        ({0: 2**53 + 1}, f"task 'dose': .* no number in 1 row: row 0 has {2**53 + 1}"),
        ({0: str(2**53 + 1)}, f"task 'dose': .* no number in 1 row: row 0 has '{2**53 + 1}'"),
    ],
)
def test_other_cells_are_refused(cells: dict[int, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        response([cells.get(i, cell) for i, cell in enumerate(CELLS)])


def test_other_types_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match='"y" holds values of type tuple'):
        response([(1,), *CELLS[1:]])
    dates = pd.to_datetime(["2020-01-01"] * 9)
    with pytest.raises(
        InvalidTypeError, match='"y" holds dates, but levels and numbers are needed'
    ):
        response(dates)
    model = bm.Model("log(y) ~ x", "task", likelihood=KINDS)
    data = make("pandas", {"y": CELLS, "task": TASKS, "x": X})
    with pytest.raises(InvalidModelError, match="must be the name of one, not log"):
        model.prepare(data)


def test_only_levels_in_some_tasks_make_cells_of_a_response() -> None:
    kinds = {"dose": bm.Gaussian(), "pain": bm.StudentT(), "score": bm.Poisson()}
    with pytest.raises(InvalidTypeError, match='"y" mixes types'):
        response(CELLS, kinds=kinds)


def test_a_task_without_an_entry_is_what_is_wrong() -> None:
    kinds = {"dose": KINDS["dose"], "pain": KINDS["pain"]}
    with pytest.raises(InvalidDataError, match="likelihood= has no entry for: 'score'"):
        response([*CELLS[:8], "what"], kinds=kinds)
