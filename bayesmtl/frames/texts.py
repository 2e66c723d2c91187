"""Text where numbers belong: what it holds, and advice that works for that."""

import datetime
import re
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from bayesmtl.frames.opening import fix_hint, shorten

__all__ = ["are_dates", "date_advice", "number_advice", "numerals", "word_advice"]

_NUMERAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
_SHOWN = 3


def numerals(cells: np.ndarray) -> np.ndarray:
    """Whether each cell (row,) is a number, or a text that reads as one."""
    codes, unique = pd.factorize(cells)
    reads = [not isinstance(cell, str) or bool(_NUMERAL.fullmatch(cell)) for cell in unique]
    return np.array(reads, dtype=bool)[codes]


def are_dates(texts: np.ndarray) -> bool:
    """Whether every text (row,) is a date, with or without a time, as ISO 8601 writes it."""
    return all(_is_date(text) for text in dict.fromkeys(texts.tolist()))


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def date_advice(frame: nw.DataFrame[Any], name: str, texts: np.ndarray) -> str:
    """What to do about dates written as text."""
    return f"turn them into days since a start: {fix_hint(frame, name, 'days', min(texts))}"


def number_advice(
    frame: nw.DataFrame[Any], name: str, rows: np.ndarray, cells: np.ndarray
) -> str | None:
    """What to do about numbers written as text, all or most of them.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data.
    name : str
        The column.
    rows, cells : numpy.ndarray, shape (used,)
        Positions of the rows that hold something, and what they hold.

    Returns
    -------
    str or None
        A conversion, or the cells that are no numbers; None where these are half or more.
    """
    reads = numerals(cells)
    if reads.all():
        return f"convert it: {fix_hint(frame, name, 'float')}"
    if all(map(_DECIMAL_COMMA.fullmatch, cells[~reads])):
        return 'its numbers have decimal commas: read them by pandas.read_csv(..., decimal=",")'
    if 2 * reads.sum() <= len(reads):
        return None
    broken = list(zip(cells[~reads], rows[~reads].tolist(), strict=True))
    shown = ", ".join(f'"{cell}" in row {row}' for cell, row in broken[:_SHOWN])
    more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    one = len(broken) == 1
    return (
        f"{shown}{more} {'is no number' if one else 'are no numbers'} (rows count from 0): mend "
        f"{'it' if one else 'them'}, or make {'it' if one else 'them'} missing, "
        f"{fix_hint(frame, name, 'coerced')}, and leave {'its row' if one else 'their rows'} out "
        'by bm.Model(..., missing="drop")'
    )


def word_advice(
    frame: nw.DataFrame[Any], name: str, texts: np.ndarray, *, any_missing: bool
) -> str:
    """What to do about words where numbers are needed: of two, one is 1 and the other 0."""
    words = sorted(set(texts.tolist()))
    if len(words) != 2:
        return f"replace each of its values, {shorten(words)}, by a number"
    kind = "known one" if any_missing else "one"
    return f'make "{words[1]}" 1 and "{words[0]}" 0: {fix_hint(frame, name, kind, words[1])}'
