"""Labels of tasks: types, order, codes."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl.errors import InvalidTypeError
from bayesmtl.frames.labels import label_texts, variable_text
from tests.frame_cases import BASE, LIBRARIES, make, read


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("labels", "expected", "kind"),
    [
        ([3, 1, 3, 1, 20, 20], [1, 3, 20], "i"),
        ([True, False] * 3, [False, True], "b"),
        ([2.0, 1.0] * 3, [1, 2], "i"),
        (
            [dt.date(2020, 1, 2), dt.date(2020, 1, 1)] * 3,
            [dt.date(2020, 1, 1), dt.date(2020, 1, 2)],
            "M",
        ),
        (["é", "Z"] * 3, ["Z", "é"], "O"),
    ],
)
def test_labels_of_tasks(library: str, labels: Any, expected: Any, kind: str) -> None:
    rows = read(make(library, {**BASE, "task": labels}))
    assert rows.tasks.tolist() == expected
    assert rows.tasks.dtype.kind == kind
    assert [rows.tasks.tolist()[code] for code in rows.task] == labels


def test_midnights_are_dates(library: str) -> None:
    labels = [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)] * 3
    rows = read(make(library, {**BASE, "task": labels}))
    assert rows.tasks.tolist() == [dt.date(2020, 1, 1), dt.date(2020, 1, 2)]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (pd.Series([1, "1"] * 3, dtype=object), "mixes types: integer in 3 rows, text in 3 rows"),
        ([0.5, 1.0] * 3, "names groups but holds 0.5 in rows 0, 2, 4"),
        ([1e300, 1.0] * 3, "names groups but holds 1e"),
        (
            pd.to_datetime(["2020-01-01 10:00", "2020-01-02 00:00"] * 3),
            "holds the time 2020-01-01 10:00",
        ),
        (pd.to_datetime(["2020-01-01"] * 6).tz_localize("UTC"), "time zone UTC"),
        (pd.Series([b"a", b"b"] * 3), "values of type bytes"),
        (pd.Series([1, 2] * 3, dtype=object), r"holds numbers \(integer\)"),
    ],
)
def test_labels_of_another_type_are_refused(labels: Any, match: str) -> None:
    with pytest.raises(InvalidTypeError, match=match):
        read(pd.DataFrame({**BASE, "task": labels}))


def test_category_labels_keep_their_order_and_lose_unused_ones() -> None:
    labels = pd.Categorical(BASE["task"], categories=["z", "c", "b", "a"])
    assert read(pd.DataFrame({**BASE, "task": labels})).tasks.tolist() == ["c", "b", "a"]
    numbers = pd.Categorical([3, 1, 3, 1, 2, 2], categories=[3, 9, 2, 1])
    rows = read(pd.DataFrame({**BASE, "task": numbers}))
    assert rows.tasks.tolist() == [3, 2, 1]
    assert rows.tasks.dtype == np.int64
    enum = pl.Series(BASE["task"], dtype=pl.Enum(["z", "c", "b", "a"]))
    assert read(pl.DataFrame({**BASE, "task": enum})).tasks.tolist() == ["c", "b", "a"]


def test_categories_without_a_declared_order_are_sorted() -> None:
    labels = pl.Series(BASE["task"], dtype=pl.Categorical)
    assert read(pl.DataFrame({**BASE, "task": labels})).tasks.tolist() == ["a", "b", "c"]
    table = pa.table({**BASE, "task": pa.array(BASE["task"]).dictionary_encode()})
    assert read(table).tasks.tolist() == ["a", "b", "c"]
    ordered = pa.DictionaryArray.from_arrays(
        pa.array([1, 2, 1, 2, 0, 0]), pa.array(["c", "b", "a"]), ordered=True
    )
    assert read(pa.table({**BASE, "task": ordered})).tasks.tolist() == ["c", "b", "a"]


@pytest.mark.parametrize("dtype", ["string[pyarrow]", "string", "str"])
def test_text_labels_of_every_dtype(dtype: str) -> None:
    rows = read(pd.DataFrame({**BASE, "task": pd.array(BASE["task"], dtype=dtype)}))
    assert rows.tasks.tolist() == ["a", "b", "c"]
    assert all(type(label) is str for label in rows.tasks)


def test_known_tasks_come_first_and_new_ones_are_appended(library: str) -> None:
    rows = read(make(library, BASE), tasks=np.array(["z", "b"], dtype=object))
    assert rows.tasks.tolist() == ["z", "b", "a", "c"]
    assert rows.task.tolist() == [1, 2, 1, 2, 3, 3]


def test_known_dates_may_have_another_unit() -> None:
    labels = [dt.date(2020, 1, 1), dt.date(2020, 1, 2)] * 3
    known = np.array(["2020-01-02"], dtype="datetime64[ns]")
    rows = read(pl.DataFrame({**BASE, "task": labels}), tasks=known)
    assert rows.task.tolist() == [1, 0] * 3


def test_labels_of_another_type_than_the_known_ones() -> None:
    with pytest.raises(InvalidTypeError, match=r"names tasks by text.*names them by whole numbers"):
        read(pd.DataFrame(BASE), tasks=np.array([1, 2]))


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ([1, 2], ["1", "2"]),
        ([True, False], ["True", "False"]),
        (np.array(["2020-01-31", "2021-02-01"], "datetime64[ns]"), ["2020-01-31", "2021-02-01"]),
        (np.array([dt.date(2020, 1, 31), "b"], dtype=object), ["2020-01-31", "b"]),
    ],
)
def test_labels_read_as_the_user_wrote_them(labels: Any, texts: list[str]) -> None:
    assert label_texts(labels) == texts


@pytest.mark.parametrize("values", [[3, 1, 3, 1, 2, 2], [True, False] * 3])
def test_dictionaries_of_arrow_hold_their_own_type(values: list[Any]) -> None:
    array = pa.array(values).dictionary_encode()
    plain = read(pd.DataFrame({**BASE, "task": values}))
    table = pa.table({**BASE, "task": array})
    for frame in (table, table.to_pandas(types_mapper=pd.ArrowDtype)):
        rows = read(frame)
        assert rows.tasks.dtype == plain.tasks.dtype
        assert rows.tasks.tolist() == plain.tasks.tolist()


def test_labels_in_names_of_variables() -> None:
    assert variable_text("a / b/c") == "a per b per c"
