"""Predictors of the tasks themselves: one value per task, repeated on its rows."""

from typing import Any, Literal

import numpy as np

from bayesmtl.design import Design, features_of, formula_columns
from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.labels import Labels, check_task_column, code_labels, read_labels
from bayesmtl.frames.missing import missing_error, read_columns
from bayesmtl.frames.opening import count_text, open_frame, require_columns, shorten

__all__ = ["read_task_features", "rows_of_tasks"]


def read_task_features(
    data: Any,
    design: Design,
    *,
    task: str,
    tasks: np.ndarray,
    missing: Literal["error", "drop"] = "error",
) -> np.ndarray:
    """Read predictors of the tasks themselves: one value per task, repeated on its rows.

    Parameters
    ----------
    data : data frame
        Rows in long format.
    design : Design
        Learned from a one-sided formula.
    task : str
        Column that names the task.
    tasks : numpy.ndarray, shape (task,)
        Labels of the tasks that are needed; rows of other tasks are ignored.
    missing : {"error", "drop"}
        Whether rows with a missing label or feature are an error or ignored.

    Returns
    -------
    numpy.ndarray, shape (task, task_feature)
        Features on the user's scale, without an intercept column.

    Raises
    ------
    InvalidModelError
        If the formula holds the task column.
    InvalidDataError
        If a task has no row, or its rows differ in a feature.
    """
    names = formula_columns(design.formula)
    check_task_column(task, design.formula, names)
    frame = open_frame(data)
    require_columns(frame, (task,), role="task=", error=InvalidDataError)
    require_columns(frame, names, role="task_features", error=InvalidDataError)
    labels, columns = read_labels(frame, task), read_columns(frame, names)
    masks = {task: labels.missing, **{name: item.missing for name, item in columns.items()}}
    broken = np.logical_or.reduce(list(masks.values()))
    if broken.any() and missing == "error":
        raise missing_error(masks)
    rows, codes = _rows_of_tasks(labels, np.flatnonzero(~broken), tasks, task)
    matrix = features_of(design, frame, columns, rows)
    first = np.full(len(tasks), -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    differs = np.argwhere(matrix != matrix[first[codes]])
    if len(differs):
        row, feature = differs[0]
        values = np.unique(matrix[codes == codes[row], feature])
        raise InvalidDataError(
            f"the task feature {design.features[feature]} takes {len(values)} values in task "
            f"{tasks[codes[row]]!r} ({shorten([float(value) for value in values])}); it must be "
            "constant inside a task: move it to the formula of the rows, or average it"
        )
    return matrix[first]


def rows_of_tasks(data: Any, task: str, tasks: np.ndarray) -> np.ndarray:
    """Whether each row (row,) of a data frame is of one of these tasks (task,)."""
    labels = read_labels(open_frame(data), task)
    known = np.flatnonzero(~labels.missing)
    out = np.zeros(len(labels.missing), dtype=bool)
    out[known] = code_labels(labels, known, tasks)[0] < len(tasks)
    return out


def _rows_of_tasks(
    labels: Labels, rows: np.ndarray, tasks: np.ndarray, task: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that belong to the tasks asked for, and their codes."""
    codes = code_labels(labels, rows, tasks)[0] if len(rows) else np.zeros(0, dtype=np.int64)
    wanted = codes < len(tasks)
    absent = np.setdiff1d(np.arange(len(tasks)), codes[wanted])
    if len(absent):
        raise InvalidDataError(
            f'the data have no complete row for {count_text(len(absent), "task")} of "{task}" '
            f"({shorten(list(tasks[absent]))}), and their task features are needed; add one row "
            "for each"
        )
    return rows[wanted], codes[wanted]
