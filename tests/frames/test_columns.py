"""Columns of features: what is read, and what is refused with advice."""

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl.data import read_rows
from bayesmtl.design import learn_design
from bayesmtl.errors import InvalidDataError, InvalidTypeError
from tests.frame_cases import BASE, LIBRARIES, make, read


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (
            pd.Series([1.0, 2, 3, 4, 5, 6], dtype=object),
            r"holds numbers \(number\).*astype\(float\)",
        ),
        (pd.Series([True, False] * 3, dtype=object), r"holds numbers \(boolean\)"),
        (pd.Series([decimal.Decimal(1)] * 6), r"holds numbers \(decimal\).*astype\(float\)"),
        (["1", "2", "3", "4", "5", "6.5"], r'as text \("1", "2", "3" and 3 more\).*C\(x\)'),
        (
            pd.Series([1, "1", 2, 3, 4, 5], dtype=object),
            "mixes types: integer in 5 rows, text in 1",
        ),
        (np.arange(6) * 1j, "complex128"),
        (pd.to_datetime(["2020-01-01"] * 6), "holds dates, but x in the formula needs numbers"),
        (pd.to_datetime(["2020-01-01"] * 6).tz_localize("UTC"), "the time zone UTC"),
        (pd.to_timedelta(range(6), unit="s"), "timedelta64"),
        (pd.Series([(1, 2)] * 6), "values of type tuple"),
        (pd.cut([1, 2, 3, 4, 5, 6], 2), "categories of type Interval"),
        ([2**53 + 1, 1, 2, 3, 4, 5], r"integers beyond 2\^53 \(row 0\)"),
        (np.array([2**63, 1, 2, 3, 4, 5], dtype=np.uint64), r"integers beyond 2\^63"),
    ],
)
def test_feature_of_another_type_is_refused(values: Any, match: str) -> None:
    with pytest.raises(InvalidDataError, match=match):
        read(pd.DataFrame({**BASE, "x": values}))


def test_decimals_and_lists_are_refused(library: str) -> None:
    with pytest.raises(InvalidTypeError, match=r'"x" holds .*ecimal'):
        read(make(library, {**BASE, "x": [decimal.Decimal("1.5")] * 6}))
    with pytest.raises(InvalidTypeError, match=r'"x" holds .*[Ll]ist'):
        read(make(library, {**BASE, "x": [[1.0]] * 6}))


@pytest.mark.parametrize(
    ("library", "line"),
    [
        ("pandas", r'df\["x"\] = df\["x"\].astype\(float\)'),
        ("polars", r'df = df.with_columns\(pl.col\("x"\).cast\(pl.Float64\)\)'),
        ("pyarrow", r'df = df.set_column\(1, "x", df\["x"\].cast\(pa.float64\(\)\)\)'),
    ],
)
def test_advice_is_in_the_users_library(library: str, line: str) -> None:
    with pytest.raises(InvalidTypeError, match=line):
        read(make(library, {**BASE, "x": list("123456")}))


@pytest.mark.parametrize(
    "values",
    [
        pd.array([0, 1, 2, 3, 4, 5], dtype="Int64"),
        pd.array([0.0, 1, 2, 3, 4, 5], dtype="Float64"),
        pd.array([0.0, 1, 2, 3, 4, 5], dtype="double[pyarrow]"),
        np.arange(6, dtype=np.float32),
        np.arange(6, dtype=np.uint8),
    ],
)
def test_numbers_of_every_kind_are_read(values: Any) -> None:
    rows = read(pd.DataFrame({**BASE, "x": values}))
    np.testing.assert_array_equal(rows.features[:, 0], np.arange(6.0))
    assert rows.features.dtype == np.float64


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean"])
def test_nullable_na_is_missing(dtype: str) -> None:
    data = pd.DataFrame({**BASE, "x": pd.array([1, 0, pd.NA, 1, 0, 1], dtype=dtype)})
    with pytest.raises(InvalidDataError, match=r'"x" has 1 missing value \(row 2\)'):
        read(data)


def test_all_missing_column(library: str) -> None:
    design = learn_design("y ~ x", make(library, BASE))
    with pytest.raises(InvalidDataError, match=r'"x" has 6 missing values'):
        read_rows(make(library, {**BASE, "x": [None] * 6}), design, task="task")


def test_boolean_feature_is_zero_and_one(library: str) -> None:
    rows = read(make(library, {**BASE, "x": [True, False, True, True, False, False]}))
    assert rows.features[:, 0].tolist() == [1, 0, 1, 1, 0, 0]
