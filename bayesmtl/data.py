"""The door for data: long rows of a frame in, arrays and task labels out."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np

from bayesmtl.design import Design, features_of, formula_columns, response_of
from bayesmtl.errors import InvalidDataError, InvalidTypeError, warn
from bayesmtl.formulas.encoding import no_numbers
from bayesmtl.formulas.parsing import parse_formula
from bayesmtl.frames.columns import Column, exact_values
from bayesmtl.frames.labels import check_task_column, code_labels, label_texts, read_labels
from bayesmtl.frames.missing import kept_rows, read_columns
from bayesmtl.frames.opening import count_text, open_frame, require_columns, shorten
from bayesmtl.likelihoods.levels import Levels
from bayesmtl.responses import level_response, mixed_response
from bayesmtl.wide import to_long

__all__ = ["Rows", "open_frame", "read_rows", "to_long", "unused_rows"]

_USED = np.False_


class Rows(NamedTuple):
    """Rows of a frame as arrays.

    Attributes
    ----------
    features : numpy.ndarray, shape (row, feature)
        Features on the user's scale, without an intercept column.
    response : numpy.ndarray, shape (row,), or None
        The response; None when not asked for.
    task : numpy.ndarray, shape (row,)
        int64 position of each row's task in `tasks`.
    tasks : numpy.ndarray, shape (task,)
        Labels: objects of str, int64, bool or datetime64[D]; sorted, or in category order.
    position : numpy.ndarray, shape (row,)
        int64 position of each row in the user's frame.
    extra : dict of str to numpy.ndarray, shape (row,)
        Further numeric columns that were asked for.
    n_dropped : int
        Number of rows removed by `missing="drop"`.
    """

    features: np.ndarray
    response: np.ndarray | None
    task: np.ndarray
    tasks: np.ndarray
    position: np.ndarray
    extra: dict[str, np.ndarray]
    n_dropped: int


def read_rows(
    data: Any,
    design: Design,
    *,
    task: str,
    tasks: np.ndarray | None = None,
    extra: Sequence[str] = (),
    also: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    need_response: bool = True,
    levels: Levels = None,
    warn_single: bool = True,
    users: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> Rows:
    """Read the rows of a frame.

    Parameters
    ----------
    data : data frame
        Rows in long format, by position.
    design : Design
        A learned design.
    task : str
        Column that names the task.
    tasks : numpy.ndarray, shape (task,), optional
        Known labels, kept in their order; others are appended, sorted. Learned when None.
    extra : sequence of str, optional
        Numeric columns to return: standard errors, weights, offsets.
    also : sequence of str, optional
        Columns whose missing values count, but which are read elsewhere: those of task features.
    missing : {"error", "drop"}
        What to do about a missing value in any of these columns.
    need_response : bool
        Whether to compute the response.
    levels : Levels, optional
        Ordered levels that the response column holds, in all rows or in those of some tasks; the
        response is then their codes.
    warn_single : bool
        Whether to warn of tasks with one row; not where the noise is known.
    users : mapping of str to frozenset of str
        Columns of `extra` that only rows of some tasks need, with the labels of these as text; NaN
        in the others, whether or not the column is there.

    Returns
    -------
    Rows
        The rows that were kept.

    Raises
    ------
    InvalidModelError
        If a column has two roles, or `missing` is not one of the two words.
    InvalidDataError
        If a column is not there, or a value is missing, infinite or of an unusable type.

    Warns
    -----
    BayesMTLWarning
        If rows are dropped; if labels are learned and there is one task, or tasks with one row.
    """
    frame = open_frame(data)
    parsed = parse_formula(design.formula)
    both_sides = formula_columns(design.formula)
    check_task_column(task, design.formula, both_sides, (*extra, *also))
    names = both_sides if need_response else parsed.columns
    require_columns(frame, (task,), role="task=", error=InvalidDataError)
    role = f"the formula {design.formula!r}"
    require_columns(frame, names, role=role, error=InvalidDataError)
    unused = unused_rows(data, task, users)
    there = [name for name in extra if name in frame.columns or not unused.get(name, _USED).all()]
    require_columns(frame, (*there, *also), role="the model", error=InvalidDataError)
    some = need_response and isinstance(levels, Mapping)
    cells = parsed.response.columns if some and parsed.response is not None else ()
    columns = read_columns(frame, tuple(dict.fromkeys((*names, *there, *also))), cells=cells)
    labels = read_labels(frame, task)
    masks = {task: labels.missing} | {
        name: item.missing & ~unused.get(name, _USED) for name, item in columns.items()
    }
    rows = kept_rows(masks, missing)
    codes, found = code_labels(labels, rows, tasks)
    if tasks is None:
        _warn_tasks(codes, found, warn_single)
    response = None
    if need_response:
        if levels is None:
            response = response_of(design, frame, columns, rows)
        elif isinstance(levels, Mapping):
            of_rows = np.array(label_texts(found), dtype=object)[codes]
            response = mixed_response(design, frame, columns, rows, of_rows, levels)
        else:
            response = level_response(design, columns, rows, levels)
    return Rows(
        features=features_of(design, frame, columns, rows),
        response=response,
        task=codes,
        tasks=found,
        position=rows,
        extra={
            name: _extra_values(frame, columns[name], unused.get(name, _USED))[rows]
            if name in columns
            else np.full(len(rows), np.nan)
            for name in extra
        },
        n_dropped=len(frame) - len(rows),
    )


def unused_rows(data: Any, task: str, users: Mapping[str, frozenset[str]]) -> dict[str, np.ndarray]:
    """Rows (row,) of tasks that do not use a column, for each column that has ``users``."""
    if not users:
        return {}
    frame = open_frame(data)
    require_columns(frame, (task,), role="task=", error=InvalidDataError)
    labels = read_labels(frame, task)
    texts = np.array(label_texts(labels.values), dtype=object)
    return {name: ~np.isin(texts, list(some)) for name, some in users.items()}


def _extra_values(
    frame: nw.DataFrame[Any], column: Column, unused: np.ndarray | np.bool_
) -> np.ndarray:
    """Values of a numeric column, NaN where they are not used."""
    if column.kind not in {"number", "boolean"}:
        what, advice = no_numbers(frame, column)
        raise InvalidTypeError(
            f'column "{column.name}" must hold numbers, but holds {what}; {advice}'
        )
    values = exact_values(frame, column)
    return np.where(unused, np.nan, values) if np.any(unused) else values


def _warn_tasks(codes: np.ndarray, tasks: np.ndarray, warn_single: bool) -> None:
    """Warn where a fit is sound but the data cannot speak of relations or of noise."""
    if len(tasks) == 1:
        warn(
            f"the data hold one task ({tasks[0]}): what is said about relations between tasks "
            "comes from the prior alone",
        )
    single = np.flatnonzero(np.bincount(codes, minlength=len(tasks)) == 1)
    if warn_single and len(single):
        verb, whose = ("has", "its") if len(single) == 1 else ("have", "their")
        lesson = (
            "noise and differences between tasks cannot be told apart without known standard errors"
            if len(single) == len(tasks)
            else f"{whose} estimates lean on the other tasks"
        )
        warn(
            f"{len(single)} of {count_text(len(tasks), 'task')} {verb} a single row "
            f"({shorten(list(tasks[single]))}): {lesson}",
        )
