"""Responses that hold ordered levels, of all tasks or of some, to numbers."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.design import Design
from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError
from bayesmtl.formulas.parsing import parse_response
from bayesmtl.frames.columns import LARGEST_EXACT, Column, exact_values
from bayesmtl.frames.opening import count_text
from bayesmtl.likelihoods.levels import has_text_levels, level_codes

__all__ = ["level_response", "mixed_response"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")


def level_response(
    design: Design, columns: Mapping[str, Column], rows: np.ndarray, levels: Sequence[Any]
) -> np.ndarray:
    """Codes 0, 1, ... of a response that holds ordered levels, for some complete rows.

    Raises
    ------
    InvalidDataError
        If a value is none of the levels.
    InvalidModelError
        If the left side of the formula is not the name of a column.
    """
    name = _response_column(design)
    values = columns[name].values[rows]
    codes = level_codes(values, levels)
    _refuse_unknown(f'column "{name}"', codes, values, rows, levels)
    return codes


def mixed_response(
    design: Design,
    frame: nw.DataFrame[Any],
    columns: Mapping[str, Column],
    rows: np.ndarray,
    tasks: np.ndarray,
    levels: Mapping[str, Sequence[Any] | None],
) -> np.ndarray:
    """Codes of levels in rows of tasks that have them, numbers in others, for complete rows.

    Numbers may be written as text, as in a text column of a file, if they are that exactly.

    Parameters
    ----------
    design, frame, columns, rows
        As `bayesmtl.design.response_of`.
    tasks : numpy.ndarray, shape (used,)
        Label of the task of each row, as text.
    levels : mapping of str to sequence or None
        Levels of each task, None where its response is a number.

    Returns
    -------
    numpy.ndarray, shape (used,)
        NaN in rows of other tasks.

    Raises
    ------
    InvalidDataError
        If a value is none of the levels of its task, or no number.
    InvalidTypeError
        If the column holds dates.
    InvalidModelError
        If the left side of the formula is not the name of a column.
    """
    name = _response_column(design)
    column = columns[name]
    if column.kind == "date":
        raise InvalidTypeError(f'column "{name}" holds dates, but levels and numbers are needed')
    cells = (exact_values(frame, column) if column.exact is not None else column.values)[rows]
    out = np.full(len(rows), np.nan)
    for task in dict.fromkeys(tasks.tolist()):
        if task not in levels:
            continue
        mine, own = np.flatnonzero(tasks == task), levels[task]
        where, values = f'task {task!r}: column "{name}"', cells[mine]
        if own is None:
            out[mine] = _numbers(values)
            _refuse_words(where, out[mine], values, rows[mine])
            continue
        out[mine] = level_codes(values if has_text_levels(own) else _numbers(values), own)
        _refuse_unknown(where, out[mine], values, rows[mine], own)
    return out


def _response_column(design: Design) -> str:
    response = parse_response(design.formula)
    if not isinstance(response.node, ast.Name):
        raise InvalidModelError(
            f"levels are read from a column: the left side of the formula {design.formula!r} must "
            f"be the name of one, not {response.text}"
        )
    return response.columns[0]


def _numbers(cells: np.ndarray) -> np.ndarray:
    return np.array([_number(cell) for cell in cells.tolist()], dtype=np.float64)


def _number(cell: Any) -> float:
    """NaN for what is no finite number, or a whole one that float64 may round."""
    whole = isinstance(cell, Integral)
    if isinstance(cell, str):
        if not _NUMBER.fullmatch(cell):
            return math.nan
        whole = bool(_WHOLE.fullmatch(cell))
    if whole and abs(int(cell)) > LARGEST_EXACT:
        return math.nan
    value = float(cell)
    return value if math.isfinite(value) else math.nan


def _first(values: np.ndarray, positions: np.ndarray, broken: np.ndarray) -> str:
    """The first rows and what they hold."""
    found = [f"row {positions[i]} has {values.tolist()[i]!r}" for i in broken[:5].tolist()]
    return f"{count_text(len(broken), 'row')}: {', '.join(found)}{', ...' * (len(broken) > 5)}"


def _refuse_unknown(
    where: str,
    codes: np.ndarray,
    values: np.ndarray,
    positions: np.ndarray,
    levels: Sequence[Any],
) -> None:
    unknown = np.flatnonzero(codes < 0)
    if unknown.size:
        raise InvalidDataError(
            f"{where} holds what is none of the levels {', '.join(map(repr, levels))} in "
            f"{_first(values, positions, unknown)}; correct these rows, or add the levels to "
            "bm.Ordinal(levels=[...])"
        )


def _refuse_words(
    where: str, numbers: np.ndarray, values: np.ndarray, positions: np.ndarray
) -> None:
    broken = np.flatnonzero(np.isnan(numbers))
    if broken.size:
        raise InvalidDataError(
            f"{where} holds what is no number in {_first(values, positions, broken)}; correct "
            "these rows (as text a number is written like 3.2 or 1e-3, a whole one up to 2^53), or "
            "give the task bm.Ordinal(levels=[...])"
        )
