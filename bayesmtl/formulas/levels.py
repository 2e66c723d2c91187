"""Categories of a formula: their levels, learned once, and the codes of rows."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError
from bayesmtl.formulas.expressions import Expression
from bayesmtl.frames.columns import Column
from bayesmtl.frames.labels import as_integers
from bayesmtl.frames.opening import rows_text, shorten
from bayesmtl.frames.texts import are_dates, date_advice, number_advice, numerals

__all__ = ["encode_levels", "learn_levels"]


def learn_levels(
    frame: nw.DataFrame[Any], factor: Expression, columns: Mapping[str, Column], rows: np.ndarray
) -> list[Any] | None:
    """Learn the categories of a factor: those present, sorted or in their declared order.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data, for advice in the user's library.
    factor : Expression
        A factor of the right side.
    columns : mapping of str to Column
        Columns that are already read.
    rows : numpy.ndarray, shape (used,)
        Positions of the complete rows.

    Returns
    -------
    list or None
        Levels, the reference first; None for a numeric factor.

    Raises
    ------
    InvalidTypeError
        If text holds numbers or dates, or dates are used as a feature.
    InvalidModelError
        If `levels=` or `reference=` does not fit the data.
    """
    column = columns[factor.columns[0]]
    plain = isinstance(factor.node, ast.Name)
    if factor.category is None and not (plain and column.kind in {"text", "category"}):
        return None
    if factor.category is None and column.kind == "text":
        refuse_other_text(frame, column)
    present = set(category_labels(column, rows).tolist())
    levels = (
        sorted(present)
        if column.order is None
        else [level for level in column.order if level in present]
    )
    if factor.category is None:
        return levels
    return _apply_options(factor, levels)


def _apply_options(factor: Expression, levels: list[Any]) -> list[Any]:
    """Apply `levels=` and `reference=` of `C(...)`."""
    assert factor.category is not None
    chosen, reference = factor.category.levels, factor.category.reference
    if chosen is not None:
        unlisted = [level for level in levels if level not in chosen]
        if unlisted or len(set(chosen)) < len(chosen):
            raise InvalidModelError(
                f"levels= of {factor.text} must list each category once; the data also hold "
                f"{shorten(unlisted) if unlisted else 'nothing else, but levels repeat'}"
            )
        levels = list(chosen)
    if reference is not None:
        if reference not in levels:
            raise InvalidModelError(
                f"reference={reference!r} of {factor.text} is not a category of it; "
                f"the categories are {shorten(levels, 12)}"
            )
        levels = [reference, *(level for level in levels if level != reference)]
    return levels


def encode_levels(
    factor: Expression, column: Column, rows: np.ndarray, levels: Sequence[Any]
) -> pd.Categorical:
    """Code the categories of some rows.

    Raises
    ------
    InvalidDataError
        If a category is not among the levels.
    """
    labels = category_labels(column, rows)
    # 1 == True in Python, so the type belongs to the key.
    index = {(type(level), level): position for position, level in enumerate(levels)}
    codes, uniques = pd.factorize(labels)
    known = [index.get((type(label), label), -1) for label in uniques]
    unseen = [label for label, code in zip(uniques, known, strict=True) if code < 0]
    if unseen:
        where = rows[codes == known.index(-1)]
        raise InvalidDataError(
            f'column "{column.name}" holds {shorten(unseen)} ({rows_text(where)} for the first), '
            f"which the data of the fit did not have; its categories are {shorten(levels, 12)}: "
            "remove these rows, or fit again with them"
        )
    return pd.Categorical.from_codes(
        np.asarray(known, dtype=np.int64)[codes], categories=[str(level) for level in levels]
    )


def category_labels(column: Column, rows: np.ndarray) -> np.ndarray:
    """Return the values of some rows as labels of categories: str, int or bool.

    Parameters
    ----------
    column : Column
        Any column but dates.
    rows : numpy.ndarray, shape (used,)
        Positions of the rows, none of them missing.

    Returns
    -------
    numpy.ndarray, shape (used,), dtype object
        The labels.

    Raises
    ------
    InvalidTypeError
        If a number is not whole, or the column holds dates.
    """
    if column.kind == "number":
        return as_integers(column)[rows].astype(object)
    if column.kind == "boolean":
        return (column.values[rows] == 1.0).astype(object)
    if column.kind == "date":
        raise InvalidTypeError(
            f'column "{column.name}" holds dates, which cannot be a feature; convert them to '
            "numbers (days since a start) or to text"
        )
    return column.values[rows]


def refuse_other_text(frame: nw.DataFrame[Any], column: Column) -> None:
    """Refuse a text column that holds numbers or dates and would silently become dummies.

    Raises
    ------
    InvalidTypeError
        If any value of a text column reads as a number, or every one as a date.
    """
    rows = np.flatnonzero(~column.missing)
    texts = column.values[rows]
    reads = numerals(texts)
    if reads.any():
        what, shown = "numbers", texts[reads]
        advice = number_advice(frame, column.name, rows, texts)
    elif are_dates(texts):
        what, shown = "dates", texts
        advice = date_advice(frame, column.name, texts)
    else:
        return
    name = column.name if column.name.isidentifier() else f"`{column.name}`"
    category = f"write C({name}) in the formula to use each text as a category"
    raise InvalidTypeError(
        f'column "{column.name}" holds {what} written as text ({shorten(shown.tolist(), 3)}); '
        + (category if advice is None else f"{advice}; or {category}")
    )
