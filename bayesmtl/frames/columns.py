"""Reading single columns: numbers, categories and task labels, each with its own refusals."""

import datetime
import decimal
import numbers
from collections import Counter
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from bayesmtl.errors import InvalidDataError, InvalidTypeError
from bayesmtl.frames.opening import count_text, fix_hint, rows_text
from bayesmtl.frames.texts import number_advice

__all__ = ["LARGEST_EXACT", "Column", "exact_values", "read_cells", "read_column"]

LARGEST_EXACT = 2**53


class Column(NamedTuple):
    """One column of the data, read once.

    Attributes
    ----------
    name : str
        Name in the user's frame.
    kind : {"number", "boolean", "text", "category", "date", "cells"}
        What the values are; "cells": text, numbers and booleans side by side.
    values : numpy.ndarray, shape (row,)
        float64 with NaN where missing for numbers and booleans, otherwise objects with None.
    missing : numpy.ndarray, shape (row,)
        True where the value is missing.
    order : tuple or None
        Declared categories in their order, also unused ones; None without a declared order.
    exact : numpy.ndarray or None
        int64 values of an integer column, 0 where missing.
    """

    name: str
    kind: Literal["number", "boolean", "text", "category", "date", "cells"]
    values: np.ndarray
    missing: np.ndarray
    order: tuple[Any, ...] | None = None
    exact: np.ndarray | None = None


def read_column(frame: nw.DataFrame[Any], name: str) -> Column:
    """Read one column as numbers, booleans, text, categories or dates.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data.
    name : str
        A column of it.

    Returns
    -------
    Column
        Its values; missing values of any spelling (NaN, null, None, pd.NA, NaT) are marked.

    Raises
    ------
    InvalidTypeError
        If the column holds something else, mixed types, or numbers kept as objects.
    InvalidDataError
        If it holds integers beyond 2^63.
    """
    series = frame[name]
    dtype = series.dtype
    null = series.is_null().to_numpy().astype(bool)
    if dtype == nw.Boolean or dtype.is_integer() or dtype.is_float():
        return _read_numbers(series, null)
    if dtype in (nw.Date, nw.Datetime):
        return _read_dates(frame, series, null)
    if isinstance(dtype, nw.Categorical | nw.Enum):
        values = _as_objects(series, null)
        labels = _same_type(frame, name, values, null)
        order = _category_order(series)
        if labels not in {"text", "integer", "boolean"}:
            raise _type_error(frame, name, f"categories of type {labels}")
        return Column(name, "category", _plain(values), null, order and tuple(_plain(order)))
    if dtype in (nw.String, nw.Object) or null.all():
        return _read_objects(frame, series, null)
    raise _type_error(frame, name, _native_type(series))


def read_cells(frame: nw.DataFrame[Any], name: str) -> Column:
    """Read one column whose cells may be text, numbers or booleans, each by itself.

    Returns
    -------
    Column
        Of kind "cells" where the library keeps text or objects, else as `read_column`.

    Raises
    ------
    InvalidTypeError
        If it holds something else.
    """
    series = frame[name]
    # Objects are called text where the first of them are.
    if series.dtype not in (nw.String, nw.Object):
        return read_column(frame, name)
    null = series.is_null().to_numpy().astype(bool)
    values = _as_objects(series, null)
    missing = null | pd.isna(values)
    kinds = {_type_name(kind) for kind in set(map(type, values[~missing]))}
    other = sorted(kinds - {"text", "integer", "number", "boolean"})
    if other:
        raise _type_error(frame, name, f"values of type {other[0]}")
    return Column(name, "cells", _plain(np.where(missing, None, values)), missing)  # type: ignore[call-overload]


def _read_numbers(series: nw.Series[Any], null: np.ndarray) -> Column:
    dtype = series.dtype
    values = series.cast(nw.Float64).to_numpy().astype(np.float64)
    # A polars or arrow column may hold NaN beside null; both are missing.
    missing = null | np.isnan(values)
    values = np.where(missing, np.nan, values)
    if dtype == nw.Boolean:
        return Column(series.name, "boolean", values, missing)
    exact = None
    if dtype.is_integer():
        if np.any(np.abs(values[~missing]) >= 2.0**63):
            raise InvalidDataError(
                f'column "{series.name}" holds integers beyond 2^63, which cannot be used; '
                "convert it to text or to float"
            )
        exact = series.fill_null(0).to_numpy().astype(np.int64)
    return Column(series.name, "number", values, missing, exact=exact)


def _read_dates(frame: nw.DataFrame[Any], series: nw.Series[Any], null: np.ndarray) -> Column:
    zone = getattr(series.dtype, "time_zone", None)
    if zone is not None:
        raise InvalidTypeError(
            f'column "{series.name}" holds date-times with the time zone {zone}, which cannot be '
            f"used; convert them to text first: {fix_hint(frame, series.name, 'str')}"
        )
    return Column(series.name, "date", _as_objects(series, null), null)


def _read_objects(frame: nw.DataFrame[Any], series: nw.Series[Any], null: np.ndarray) -> Column:
    values = _as_objects(series, null)
    missing = null | pd.isna(values)
    if missing.all():
        return Column(series.name, "number", np.full(len(values), np.nan), missing)
    values = np.where(missing, None, values)  # type: ignore[call-overload]
    kind = _same_type(frame, series.name, values, missing)
    if kind == "text":
        return Column(series.name, "text", values, missing)
    if kind == "date":
        return Column(series.name, "date", values, missing)
    if kind in {"integer", "boolean", "number", "decimal"}:
        raise InvalidTypeError(
            f'column "{series.name}" holds numbers ({kind}) but has type '
            f"{_native_type(series)}; convert it first: {fix_hint(frame, series.name, 'float')}"
        )
    raise _type_error(frame, series.name, f"values of type {kind}")


def _as_objects(series: nw.Series[Any], null: np.ndarray) -> np.ndarray:
    values = np.fromiter(series.to_list(), dtype=object, count=len(null))
    return np.where(null, None, values)  # type: ignore[call-overload]


def _native_type(series: nw.Series[Any]) -> str:
    native: Any = series.to_native()
    return str(native.type if series.implementation.is_pyarrow() else native.dtype)


def _type_error(frame: nw.DataFrame[Any], name: str, what: str) -> InvalidTypeError:
    return InvalidTypeError(
        f'column "{name}" holds {what}, which cannot be used; convert it to numbers '
        f"({fix_hint(frame, name, 'float')}) or to text ({fix_hint(frame, name, 'str')})"
    )


def _type_name(kind: type) -> str:
    """Return one word for a Python type; several types of integers are one."""
    words: tuple[tuple[Any, str], ...] = (
        ((bool, np.bool_), "boolean"),
        (str, "text"),
        (decimal.Decimal, "decimal"),
        (numbers.Integral, "integer"),
        (numbers.Real, "number"),
        ((datetime.date, np.datetime64), "date"),
    )
    return next((word for types, word in words if issubclass(kind, types)), kind.__name__)


def _same_type(frame: nw.DataFrame[Any], name: str, values: np.ndarray, missing: np.ndarray) -> str:
    counts: Counter[str] = Counter()
    for kind, count in Counter(map(type, values[~missing])).items():
        counts[_type_name(kind)] += count
    if len(counts) > 1 and not set(counts) <= {"integer", "number"}:
        found = ", ".join(f"{kind} in {count_text(n, 'row')}" for kind, n in counts.most_common())
        raise InvalidTypeError(
            f'column "{name}" mixes types: {found}; {_mixed_advice(frame, name, values, missing)}'
        )
    if not counts:
        return "text"
    return "number" if len(counts) > 1 else next(iter(counts))


def _mixed_advice(
    frame: nw.DataFrame[Any], name: str, values: np.ndarray, missing: np.ndarray
) -> str:
    """What to do about cells of several types: most of them numbers, or not."""
    as_text = fix_hint(frame, name, "str")
    rows = np.flatnonzero(~missing)
    words = {_type_name(kind) for kind in map(type, values[rows])}
    advice = None
    if words <= {"text", "integer", "number"}:
        advice = number_advice(frame, name, rows, values[rows])
    if advice is None:
        return f"use one type, for example {as_text}"
    return f"to use it as numbers, {advice}; to use it as labels, {as_text}"


def _plain(values: Any) -> np.ndarray:
    """Return the labels as plain Python objects, so that they print and store as such."""
    plain = (value.item() if isinstance(value, np.generic) else value for value in values)
    return np.fromiter(plain, dtype=object)


def _category_order(series: nw.Series[Any]) -> tuple[Any, ...] | None:
    """Return declared categories; an order of first appearance is an accident, not a choice."""
    native: Any = series.to_native()
    if series.implementation.is_pandas_like():
        # Dictionaries of Arrow have no declared order there.
        declared = isinstance(native.dtype, pd.CategoricalDtype)
        return tuple(native.cat.categories) if declared else None
    if isinstance(series.dtype, nw.Enum):
        return tuple(series.dtype.categories)
    if series.implementation.is_pyarrow() and native.type.ordered:
        return tuple(native.unify_dictionaries().chunk(0).dictionary.to_pylist())
    return None


def exact_values(frame: nw.DataFrame[Any], column: Column) -> np.ndarray:
    """Return the float64 values of a number column, which must hold them exactly.

    Raises
    ------
    InvalidDataError
        If an integer beyond 2^53 would be rounded.
    """
    if column.exact is not None:
        large = np.flatnonzero(np.abs(column.exact) > LARGEST_EXACT)
        if len(large):
            raise InvalidDataError(
                f'column "{column.name}" holds integers beyond 2^53 ({rows_text(large)}), which '
                "cannot be kept exactly; if rounding is fine, convert it: "
                f"{fix_hint(frame, column.name, 'float')}"
            )
    return column.values
