"""Rows of several variables by task, from one frame or from one frame a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError, warn
from bayesmtl.frames.labels import Labels, code_labels, read_labels
from bayesmtl.frames.missing import kept_rows, missing_text, read_columns
from bayesmtl.frames.opening import (
    count_text,
    fix_hint,
    open_frame,
    require_columns,
    rows_text,
    shorten,
)

__all__ = ["MISSING", "GraphRows", "check_training_rows", "known_rows", "read_graph_rows"]

MISSING = ("error", "drop", "impute")
# Two equal values may be rounding.
_FEWEST_CONSTANT = 3
_ROUNDING = 1e-13
_ALIKE = 0.99999
# With fewer degrees of freedom some of many variables are as alike by chance.
_FEWEST_DEGREES = 4


class GraphRows(NamedTuple):
    """Rows as arrays.

    Parameters
    ----------
    values : (row, variable)
        NaN where missing.
    variables : tuple of str
    task : (row,) int
        Position in ``tasks``.
    tasks : (task,)
        Labels.
    position : (row,) int
        In the user's frame; through all frames, one after the other, where each task has its own.
    """

    values: np.ndarray
    variables: tuple[str, ...]
    task: np.ndarray
    tasks: np.ndarray
    position: np.ndarray


def read_graph_rows(
    data: Any,
    variables: Sequence[str] | None,
    *,
    task: str,
    missing: str,
    tasks: np.ndarray | None = None,
) -> GraphRows:
    """Read the variables and the task of every row.

    Parameters
    ----------
    data : data frame or dict of {task: data frame}
    variables : sequence of str or None
        Columns; None for all but the task column.
    task : str
        Column that names the task; not needed where each task has a frame of its own.
    missing : {"error", "drop", "impute"}
        What to do with missing values: refuse them, leave out their rows, or keep them as NaN.
    tasks : (task,), optional
        Labels that are known and come first.

    Returns
    -------
    GraphRows

    Raises
    ------
    InvalidDataError
        If a column or a label is missing, a value is missing or infinite, or frames of tasks have
        different columns.
    InvalidTypeError
        If a column holds no numbers, or labels mix types.
    InvalidModelError
        If there are fewer than two variables.
    """
    if isinstance(data, Mapping):
        data, variables = _stack(data, variables, task)
    frame = open_frame(data)
    require_columns(frame, (task,), role="task=", error=InvalidDataError)
    names = variables
    if names is None:
        names = tuple(name for name in frame.columns if name != task)
    if len(names) < 2:
        raise InvalidModelError(
            f"a graph needs two variables or more, and there is {shorten(names) or 'none'}: name "
            "the columns by variables=[...]"
        )
    require_columns(frame, names, role="variables=", error=InvalidDataError)
    values, masks = _read_values(frame, names)
    labels = read_labels(frame, task)
    _refuse_unlabelled(labels)
    if missing == "impute":
        rows = np.arange(len(frame))
    else:
        if missing == "error" and any(mask.any() for mask in masks.values()):
            raise InvalidDataError(_missing_message(labels, masks))
        rows = kept_rows(masks, missing)
    codes, found = code_labels(labels, rows, tasks)
    return GraphRows(values[rows], tuple(names), codes, found, rows)


def known_rows(data: Any, variables: tuple[str, ...], *, task: str, tasks: np.ndarray) -> GraphRows:
    """Rows of tasks of a fit, in which any entries may be missing.

    Raises
    ------
    InvalidDataError
        As `read_graph_rows`, and for tasks that the fit has not seen.
    """
    rows = read_graph_rows(data, variables, task=task, missing="impute", tasks=tasks)
    new = rows.tasks[len(tasks) :]
    if new.size:
        some = shorten(new.tolist())
        raise InvalidDataError(
            f"{count_text(len(new), 'task')} in column '{task}' but not in the fit ({some}): the "
            "graph of a task is learned from its own rows; leave these rows out, or fit with them"
        )
    return rows


def _stack(
    frames: Mapping[Any, Any], variables: Sequence[str] | None, task: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One frame of all tasks' frames, with the task column."""
    if not frames:
        raise InvalidDataError("the data are an empty dict; pass {task: data frame}")
    opened = {label: open_frame(frame) for label, frame in frames.items()}
    first, reference = next(iter(opened.items()))
    names = tuple(c for c in reference.columns if c != task) if variables is None else variables
    parts = []
    for label, frame in opened.items():
        absent = [name for name in names if name not in frame.columns]
        more = [c for c in frame.columns if c not in names and c != task]
        if absent:
            raise InvalidDataError(
                f"the frame of task {label!r} lacks the column {shorten(absent)}, which that of "
                f"task {first!r} has or variables= names: all tasks need the same variables"
            )
        if variables is None and more:
            raise InvalidDataError(
                f"the frame of task {label!r} has the column {shorten(more)}, which that of task "
                f"{first!r} has not: all tasks need the same; name them by variables=[...]"
            )
        parts.append(pd.DataFrame(_read_values(frame, names, label)[0], columns=list(names)))
    whole = pd.concat(parts, ignore_index=True)
    labels = np.empty(len(frames), dtype=object)
    labels[:] = list(frames)
    repeated = np.repeat(labels, [len(part) for part in parts]).tolist()
    # A list of one type becomes a column of that type; mixed ones stay objects and are refused.
    same = len({type(label) for label in frames}) == 1
    whole[task] = pd.Series(repeated) if same else pd.Series(repeated, dtype=object)
    return whole, tuple(names)


def _read_values(
    frame: nw.DataFrame[Any], names: Sequence[str], label: Any = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Values (row, variable), and where each column is missing."""
    columns = read_columns(frame, tuple(names))
    where = "" if label is None else f" in the frame of task {label!r}"
    for name, column in columns.items():
        if column.kind != "number":
            raise InvalidTypeError(
                f'variable "{name}" must hold numbers, but holds {column.kind}{where}; leave it '
                f"out by variables=[...], or convert it: {fix_hint(frame, name, 'float')}"
            )
    values = np.column_stack([columns[name].values for name in names])
    return values, {name: columns[name].missing for name in names}


def _refuse_unlabelled(labels: Labels) -> None:
    if labels.missing.any():
        where = np.flatnonzero(labels.missing)
        raise InvalidDataError(
            f'the task column "{labels.name}" has {count_text(len(where), "missing label")} '
            f"({rows_text(where)}; rows count from 0): name the task of these rows, or leave them "
            "out"
        )


def _missing_message(labels: Labels, masks: Mapping[str, np.ndarray]) -> str:
    """Where values are missing, and in which tasks."""
    broken = np.logical_or.reduce(list(masks.values()))
    tasks = list(dict.fromkeys(labels.values[broken].tolist()))
    return (
        f"missing values in the data: {missing_text(masks)}; rows count from 0, of "
        f"{'task' if len(tasks) == 1 else 'tasks'} {shorten(tasks)}. Fill them in, or give "
        'the model missing="impute" to draw them, or missing="drop" to leave these rows out: '
        'bm.MultiTaskGraphicalModel(..., missing="impute")'
    )


def check_training_rows(rows: GraphRows) -> None:
    """Refuse columns that cannot be standardised, and warn of tasks that say little.

    Raises
    ------
    InvalidDataError
        If a variable has no value at all, or only one value in all rows of a task.

    Warns
    -----
    BayesMTLWarning
        For one task, tasks with a single row, and variables that are nearly equal.
    """
    for j, name in enumerate(rows.variables):
        if np.isnan(rows.values[:, j]).all():
            raise InvalidDataError(
                f'variable "{name}" has no value in any row: leave it out by variables=[...]'
            )
        for code, label in enumerate(rows.tasks.tolist()):
            here = rows.values[rows.task == code, j]
            here = here[~np.isnan(here)]
            if len(here) >= _FEWEST_CONSTANT and np.ptp(here) <= _ROUNDING * np.abs(here).max():
                raise InvalidDataError(
                    f'variable "{name}" is {here[0]:g} in all {len(here)} rows of task {label!r}: '
                    "what does not vary has no correlations; leave out the variable by "
                    "variables=[...], or the task"
                )
    counts = np.bincount(rows.task, minlength=len(rows.tasks))
    if len(rows.tasks) == 1:
        warn(
            f"the data hold one task ({rows.tasks[0]}): what is said about relations between tasks "
            "comes from the prior alone"
        )
    single = np.flatnonzero(counts == 1)
    if len(single):
        verb, whose = (
            ("has", "its graph comes") if len(single) == 1 else ("have", "their graphs come")
        )
        warn(
            f"{len(single)} of {count_text(len(rows.tasks), 'task')} {verb} a single row "
            f"({shorten(rows.tasks[single].tolist())}): {whose} from the other tasks and the prior"
        )
    _warn_duplicates(rows)


def _warn_duplicates(rows: GraphRows) -> None:
    whole = ~np.isnan(rows.values).any(axis=1)
    complete = rows.values[whole]
    present, code = np.unique(rows.task[whole], return_inverse=True)
    if len(complete) - len(present) < _FEWEST_DEGREES:
        return
    mean = np.zeros((len(present), complete.shape[1]))
    np.add.at(mean, code, complete)
    centred = complete - (mean / np.bincount(code)[:, None])[code]
    sd = np.sqrt((centred**2).mean(axis=0))
    if not sd.all():
        return
    correlation = np.abs((centred / sd).T @ (centred / sd)) / len(complete)
    first, second = np.nonzero(np.tril(correlation > _ALIKE, k=-1))
    if len(first):
        a, b = rows.variables[second[0]], rows.variables[first[0]]
        warn(
            f'variables "{a}" and "{b}" are the same but for their units within tasks (absolute '
            f"correlation above {_ALIKE}; {count_text(len(first), 'such pair')}): the edge "
            "between them hides those of both with others; leave one out by variables=[...]"
        )
