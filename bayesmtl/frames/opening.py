"""Opening data frames of any library, and saying what is wrong with them."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidTypeError

__all__ = [
    "PARQUET",
    "count_text",
    "fix_hint",
    "is_frame",
    "nearest_text",
    "open_frame",
    "require_columns",
    "rows_text",
    "shorten",
]

PARQUET = (".parquet", ".pq")
SHOWN = 5
_PANDAS = {
    "float": "{column}.astype(float)",
    "str": "{column}.astype(str)",
    "coerced": 'pd.to_numeric({column}, errors="coerce")',
    "one": "({column} == {value}).astype(int)",
    "known one": "({column} == {value}).astype(int).where({column}.notna())",
    "days": "(pd.to_datetime({column}) - pd.Timestamp({value})).dt.days",
}
_POLARS = {
    "float": "{column}.cast(pl.Float64)",
    "str": "{column}.cast(pl.String)",
    "coerced": "{column}.cast(pl.Float64, strict=False)",
    "one": "({column} == {value}).cast(pl.Int64)",
    "known one": "({column} == {value}).cast(pl.Int64)",
    "days": "({column}.str.to_datetime() - pl.lit({value}).str.to_datetime()).dt.total_days()",
}
_PYARROW = {
    "float": "{column}.cast(pa.float64())",
    "str": "{column}.cast(pa.string())",
    "coerced": 'pa.array(pd.to_numeric({column}.to_pandas(), errors="coerce"))',
    "one": "pc.equal({column}, {value}).cast(pa.int64())",
    "known one": "pc.equal({column}, {value}).cast(pa.int64())",
    "days": 'pc.days_between(pa.scalar({value}).cast(pa.timestamp("s")), '
    '{column}.cast(pa.timestamp("s")))',
}


def is_frame(value: Any) -> bool:
    """Whether a value has columns, by its type: those of a lazy frame cost a query."""
    return hasattr(type(value), "columns")


def open_frame(data: Any) -> nw.DataFrame[Any]:
    """Open an eager data frame of pandas, polars or pyarrow, without copying or changing it.

    Parameters
    ----------
    data : pandas.DataFrame, polars.DataFrame, pyarrow.Table or narwhals.DataFrame
        Rows in long format. Rows are taken by position; a pandas index is ignored.

    Returns
    -------
    narwhals.DataFrame
        A view of the same data.

    Raises
    ------
    InvalidTypeError
        If `data` is not an eager data frame.
    InvalidDataError
        If two columns share a name or there are no rows.
    """
    try:
        opened = nw.from_native(data, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        detail = " ".join(str(error).split()).removeprefix("Expected unique column names, got: - ")
        detail = detail.replace(" times - ", " times, ")
        raise InvalidDataError(
            f"the data have several columns of the same name ({detail}); rename or drop all but one"
        ) from error
    if isinstance(opened, nw.LazyFrame):
        raise InvalidTypeError(
            "the data are a lazy frame, which holds a query and no rows; "
            "pass data.collect() instead of data"
        )
    if not isinstance(opened, nw.DataFrame):
        advice = "for columns in a dict or records in a list use pandas.DataFrame(data)"
        if isinstance(data, str | Path):
            name = json.dumps(str(data), ensure_ascii=False)
            kind = "parquet" if Path(data).suffix in PARQUET else "csv"
            advice = f"for a file use pandas.read_{kind}({name})"
        raise InvalidTypeError(
            "the data must be a pandas or polars DataFrame or a pyarrow Table, not "
            f"{type(data).__name__}; {advice}"
        )
    _check_names(list(opened.columns))
    if len(opened) == 0:
        raise InvalidDataError("the data have 0 rows; pass a frame with at least one row")
    return opened


def _check_names(names: Sequence[Any]) -> None:
    """Refuse repeated column names, which some libraries report only when a column is read."""
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise InvalidDataError(
            f"the data have several columns of the same name ({shorten(twice)}); "
            "rename or drop all but one"
        )


def nearest_text(name: str, candidates: Sequence[Any]) -> str:
    """Return "did you mean ..." with the nearest candidate, or the list of candidates."""
    texts = [candidate for candidate in candidates if isinstance(candidate, str)]
    folded = {text.casefold(): text for text in texts}
    near = get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f'did you mean "{folded[near[0]]}"?'
    return f"the columns are {shorten(texts, 12)}"


def require_columns(
    frame: nw.DataFrame[Any], names: Sequence[str], *, role: str, error: type[Exception]
) -> None:
    """Raise unless every name is a column of the frame.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data.
    names : sequence of str
        Columns that are needed.
    role : str
        What needs them, for the message: `task=`, `the formula`.
    error : type of Exception
        The error to raise: of the model at learning, of the data at prediction.

    Raises
    ------
    Exception
        Of type `error`, naming the first missing column and its nearest match.
    """
    for name in names:
        if name not in frame.columns:
            raise error(
                f'{role} names the column "{name}", which the data do not have; '
                f"{nearest_text(str(name), frame.columns)}"
            )


def shorten(items: Sequence[Any], limit: int = SHOWN) -> str:
    """Return the first items, quoted where they are text, and how many more there are."""
    shown = ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in items[:limit])
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def count_text(count: int, noun: str) -> str:
    """Return the count with its noun, in the plural where it is not one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def rows_text(positions: np.ndarray) -> str:
    """Return "row 3" or "rows 0, 4, 7 and 12 more", counted from 0."""
    noun = "row" if len(positions) == 1 else "rows"
    return f"{noun} {shorten([int(position) for position in positions])}"


def fix_hint(frame: nw.DataFrame[Any], name: str, kind: str, value: str = "") -> str:
    """Return one line of code that converts a column, in the user's own library.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The opened data; tells which library.
    name : str
        The column.
    kind : {"float", "str", "coerced", "one", "known one", "days"}
        What to convert to: "coerced" makes what is no number missing, "one" is 1 where a text is
        `value` and 0 elsewhere, "known one" keeps what is missing, "days" since the date `value`.
    value : str, optional
        A text of the column.

    Returns
    -------
    str
        A line of Python.
    """
    implementation, quoted = frame.implementation, json.dumps(value, ensure_ascii=False)
    if implementation.is_polars():
        before, column, code, after = "df = df.with_columns(", f'pl.col("{name}")', _POLARS, ")"
    elif implementation.is_pyarrow():
        before = f'df = df.set_column({list(frame.columns).index(name)}, "{name}", '
        column, code, after = f'df["{name}"]', _PYARROW, ")"
    else:
        column, code, after = f'df["{name}"]', _PANDAS, ""
        before = f"{column} = "
    return before + code[kind].format(column=column, value=quoted) + after
