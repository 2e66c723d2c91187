"""Missing and infinite values: found, named, and left out only on request."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidModelError, warn
from bayesmtl.frames.columns import Column, read_cells, read_column
from bayesmtl.frames.opening import count_text, rows_text

__all__ = ["kept_rows", "missing_error", "missing_text", "read_columns"]


def read_columns(
    frame: nw.DataFrame[Any], names: Sequence[str], *, cells: Collection[str] = ()
) -> dict[str, Column]:
    """Read columns and refuse infinite values, in whatever row they stand.

    Those in ``cells`` may hold text and numbers side by side.

    Raises
    ------
    InvalidDataError
        If a column holds an infinite value or a type that cannot be used.
    """
    columns = {
        name: read_cells(frame, name) if name in cells else read_column(frame, name)
        for name in names
    }
    for name, column in columns.items():
        if column.kind == "number" and np.isinf(column.values).any():
            raise infinite_error(name, column.values)
    return columns


def kept_rows(masks: Mapping[str, np.ndarray], missing: str) -> np.ndarray:
    """Return the positions of complete rows.

    Parameters
    ----------
    masks : mapping of str to numpy.ndarray, shape (row,)
        Where each column is missing.
    missing : {"error", "drop"}
        Whether incomplete rows are an error or left out.

    Returns
    -------
    numpy.ndarray, shape (used,)
        int64 positions.

    Raises
    ------
    InvalidModelError
        If `missing` is not one of the two words.
    InvalidDataError
        If a value is missing, or no row is complete.

    Warns
    -----
    BayesMTLWarning
        If rows are left out.
    """
    if missing not in {"error", "drop"}:
        raise InvalidModelError(f'missing must be "error" or "drop", not {missing!r}')
    broken = np.logical_or.reduce(list(masks.values()))
    if broken.any():
        if missing == "error":
            raise missing_error(masks)
        if broken.all():
            raise InvalidDataError(
                f'missing="drop" leaves no row: {missing_text(masks)}; fill in the values'
            )
        warn(
            f'missing="drop" left out {int(broken.sum())} of {count_text(len(broken), "row")}: '
            f"{missing_text(masks)}",
        )
    return np.flatnonzero(~broken).astype(np.int64)


def missing_text(masks: Mapping[str, np.ndarray]) -> str:
    """Return where values are missing: each column with its count and its first rows."""
    parts = [
        f'"{name}" has {count_text(int(mask.sum()), "missing value")} '
        f"({rows_text(np.flatnonzero(mask))})"
        for name, mask in masks.items()
        if mask.any()
    ]
    return "; ".join(parts)


def missing_error(masks: Mapping[str, np.ndarray]) -> InvalidDataError:
    """Make the error for missing values: column, count, first rows, what to do."""
    return InvalidDataError(
        f"missing values in the data: {missing_text(masks)}; rows count from 0. "
        'Fill them in or leave these rows out; a fit does so by bm.Model(..., missing="drop"), or '
        "--missing drop on the command line"
    )


def infinite_error(name: str, values: np.ndarray) -> InvalidDataError:
    """Make the error for an infinite value: the cell, the count, what to do."""
    where = np.flatnonzero(np.isinf(values))
    return InvalidDataError(
        f'column "{name}" holds {values[where[0]]} in row {where[0]} '
        f"({count_text(len(where), 'infinite value')} in all, {rows_text(where)}; rows count "
        "from 0); replace them by numbers or remove these rows"
    )
