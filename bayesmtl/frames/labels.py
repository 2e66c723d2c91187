"""Labels of tasks: one type per column, sorted, coded as positions."""

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayesmtl.errors import InvalidModelError, InvalidTypeError
from bayesmtl.frames.columns import LARGEST_EXACT, Column, read_column
from bayesmtl.frames.opening import fix_hint, rows_text

__all__ = [
    "Labels",
    "as_integers",
    "check_task_column",
    "code_labels",
    "label_kind",
    "label_text",
    "label_texts",
    "read_labels",
    "sort_labels",
    "variable_text",
]


class Labels(NamedTuple):
    """The column that names the task.

    Attributes
    ----------
    name : str
        Name of the column.
    values : numpy.ndarray, shape (row,)
        Labels: objects of str, int64, bool or datetime64[D]; anything where missing.
    missing : numpy.ndarray, shape (row,)
        True where there is no label.
    order : numpy.ndarray or None
        Declared categories in their order.
    """

    name: str
    values: np.ndarray
    missing: np.ndarray
    order: np.ndarray | None


def check_task_column(
    task: str, formula: str, columns: Sequence[str], others: Sequence[str] = ()
) -> None:
    """Refuse a task column that has a second role.

    Parameters
    ----------
    task : str
        Column that names the task.
    formula : str
        A formula, for the message.
    columns : sequence of str
        Columns that the formula reads.
    others : sequence of str
        Columns with other roles.

    Raises
    ------
    InvalidModelError
        If the task column is among them.
    """
    if task in columns:
        raise InvalidModelError(
            f'the task column "{task}" stands in the formula {formula!r}; remove it: every term '
            "already varies by task"
        )
    if task in others:
        raise InvalidModelError(
            f'the task column "{task}" is also named for weights, offset, standard errors or '
            "task features; give each its own column"
        )


def as_integers(column: Column) -> np.ndarray:
    """Return the values of a number column as int64 labels, 0 where missing.

    Raises
    ------
    InvalidTypeError
        If a value is not a whole number, or too large to be told from its neighbours.
    """
    if column.exact is not None:
        return column.exact
    values = np.where(column.missing, 0.0, column.values)
    broken = np.flatnonzero((values != np.round(values)) | (np.abs(values) > LARGEST_EXACT))
    if len(broken):
        raise InvalidTypeError(
            f'column "{column.name}" names groups but holds {values[broken[0]]} in '
            f"{rows_text(broken)}; labels must be text, whole numbers up to 2^53, booleans or "
            "dates: convert the column to text"
        )
    return values.astype(np.int64)


def read_labels(frame: nw.DataFrame[Any], name: str) -> Labels:
    """Read the column that names the task.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data.
    name : str
        A column of it.

    Returns
    -------
    Labels
        One label per row.

    Raises
    ------
    InvalidTypeError
        If the labels mix types, or are neither text, whole numbers, booleans nor dates.
    """
    column = read_column(frame, name)
    if column.kind == "number":
        return Labels(name, as_integers(column), column.missing, None)
    if column.kind == "boolean":
        return Labels(name, column.values == 1.0, column.missing, None)
    if column.kind == "date":
        return Labels(name, _as_days(frame, name, column.values), column.missing, None)
    if column.kind != "category" or column.missing.all():
        return Labels(name, column.values, column.missing, None)
    some = column.values[~column.missing][0]
    values = _typed(np.where(column.missing, some, column.values))
    order = None if column.order is None else _typed(column.order)
    return Labels(name, values, column.missing, order)


def _typed(labels: Any) -> np.ndarray:
    """Return labels of one Python type as int64, bool, or objects of str."""
    array = np.fromiter(labels, dtype=object)
    if all(isinstance(label, bool) for label in array):
        return array.astype(bool)
    return array.astype(np.int64) if all(isinstance(item, int) for item in array) else array


def _as_days(frame: nw.DataFrame[Any], name: str, values: np.ndarray) -> np.ndarray:
    times = np.full(len(values), "NaT", dtype="datetime64[us]")
    for i, value in enumerate(values):
        if value is not None:
            zone = value.tzinfo if isinstance(value, datetime.datetime) else None
            times[i] = np.datetime64("NaT") if zone is not None else np.datetime64(value, "us")
    days = times.astype("datetime64[D]")
    dated = np.array([value is not None for value in values])
    broken = np.flatnonzero(dated & (np.isnat(times) | (times != days)))
    if len(broken):
        raise InvalidTypeError(
            f'column "{name}" names groups by date but holds the time {values[broken[0]]} in '
            f"{rows_text(broken)}; use dates, or text: {fix_hint(frame, name, 'str')}"
        )
    return days


def label_kind(labels: np.ndarray) -> str:
    """Return what labels are: text, whole numbers, booleans or dates."""
    return {"i": "whole numbers", "u": "whole numbers", "b": "booleans", "M": "dates"}.get(
        labels.dtype.kind, "text"
    )


def label_text(label: Any) -> str:
    """A label as text, a date as its day."""
    if isinstance(label, datetime.date | np.datetime64):
        return str(np.datetime64(label, "D"))
    return str(label)


def variable_text(text: str) -> str:
    """A text as a part of the name of a variable; "/" would name a group of a tree."""
    return re.sub(r"\s*/\s*", " per ", text)


def label_texts(labels: ArrayLike) -> list[str]:
    """Labels (label,) as texts, dates as days whatever unit they are stored in."""
    values = np.asarray(labels)
    if values.dtype.kind == "M":
        values = values.astype("datetime64[D]")
    return [label_text(label) for label in values.tolist()]


def sort_labels(labels: Sequence[Any]) -> np.ndarray:
    """Labels of one type in order, with the dtype that read ones have."""
    out = np.array(sorted(labels))
    if isinstance(labels[0], datetime.date):
        return out.astype("datetime64[D]")
    return out.astype(object) if out.dtype.kind == "U" else out


def code_labels(
    labels: Labels, rows: np.ndarray, known: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Code the labels of some rows as positions in a list of labels.

    Parameters
    ----------
    labels : Labels
        The column.
    rows : numpy.ndarray, shape (used,)
        Positions of rows that have a label.
    known : numpy.ndarray, shape (task,), or None
        Labels that come first, in their order; None to learn all.

    Returns
    -------
    codes : numpy.ndarray, shape (used,)
        int64 positions.
    tasks : numpy.ndarray
        The known labels, then the others, sorted or in category order.

    Raises
    ------
    InvalidTypeError
        If the labels are of another type than the known ones.
    """
    codes, present = _factorize(labels.values[rows])
    if known is None:
        known = present[:0]
    elif label_kind(known) == "dates":
        known = known.astype("datetime64[D]")
    if len(known) and label_kind(known) != label_kind(present):
        raise InvalidTypeError(
            f'column "{labels.name}" names tasks by {label_kind(present)}, but the fit, or the '
            f"relation of its tasks, names them by {label_kind(known)}; convert one of them"
        )
    index = {label: position for position, label in enumerate(known.tolist())}
    position = np.array([index.get(label, -1) for label in present.tolist()], dtype=np.int64)
    new = np.flatnonzero(position < 0)
    new = new[_sorting(present[new], labels.order)]
    position[new] = len(known) + np.arange(len(new))
    if len(known) == 0:
        return position[codes], present[new]
    return position[codes], np.concatenate([known.astype(present.dtype), present[new]])


def _factorize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.dtype != object:
        present, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), present
    codes, uniques = pd.factorize(values)
    return codes.astype(np.int64), np.asarray(uniques, dtype=object)


def _sorting(present: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    if order is None:
        return np.argsort(present, kind="stable")
    rank = {label: position for position, label in enumerate(order.tolist())}
    return np.argsort([rank[label] for label in present.tolist()], kind="stable")
