"""X and y of an estimator to the rows of a model."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.opening import open_frame, shorten
from bayesmtl.keys import did_you_mean

__all__ = ["free_name", "read_features", "read_response", "with_column", "with_task"]


def read_features(
    estimator: BaseEstimator, X: Any, y: Any = None, *, reset: bool = False
) -> nw.DataFrame[Any]:
    """The columns of X by name: those of a frame, else x0, x1, ...

    Raises
    ------
    ValueError
        For what scikit-learn refuses, such as NaN or other columns than those that were fitted.
    """
    framed = nw.dependencies.is_into_dataframe(X)
    framed = framed and all(isinstance(name, str) for name in nw.from_native(X).columns)
    if not framed:
        X = check_array(X, dtype=None, input_name="X", estimator=estimator)
    given = (X, y) if reset else (X,)
    validate_data(estimator, *given, reset=reset, skip_check_array=True)
    if not framed:
        X = pd.DataFrame(X).infer_objects()
        X.columns = [f"x{j}" for j in range(X.shape[1])]
    rows = nw.maybe_reset_index(open_frame(X))
    if reset:
        estimator.columns_in_ = list(rows.columns)
    # Where one of the two has no names, columns are those of the fit by their places.
    return rows.rename(dict(zip(rows.columns, estimator.columns_in_, strict=True)))


def read_response(y: Any, rows: nw.DataFrame[Any]) -> np.ndarray:
    """The response (row,).

    Raises
    ------
    ValueError
        For another shape or length, NaN or infinite values.
    """
    values = column_or_1d(y, warn=True)
    assert_all_finite(values, input_name="y")
    check_consistent_length(rows, values)
    return np.asarray(values)


def with_task(rows: nw.DataFrame[Any], task: str | int | None) -> tuple[nw.DataFrame[Any], str]:
    """The rows with a column of labels, and its name; numbers of arrays are floats, labels not.

    Raises
    ------
    InvalidDataError
        For a column that is not there, or does not hold labels.
    """
    names = rows.columns
    if task is None:
        name = free_name("task", names)
        return with_column(rows, name, np.zeros(len(rows), dtype=np.int64)), name
    if isinstance(task, int) and not isinstance(task, bool) and -len(names) <= task < len(names):
        task = names[task]
    if not isinstance(task, str) or task not in names:
        raise InvalidDataError(
            f"task={task!r} is neither a column of X nor the position of one; its columns are "
            f"{shorten(names)}{did_you_mean(task, names)}"
        )
    labels = rows[task]
    if labels.dtype.is_float():
        values = labels.to_numpy()
        if np.all(values % 1 == 0):
            return rows.with_columns(nw.col(task).cast(nw.Int64)), task
        raise InvalidDataError(
            f"the column {task!r} names the tasks by texts or whole numbers, got "
            f"{values[values % 1 != 0][0]}; task= says which column it is"
        )
    return rows, task


def with_column(rows: nw.DataFrame[Any], name: str, values: np.ndarray) -> nw.DataFrame[Any]:
    """The rows with another column."""
    return rows.with_columns(nw.new_series(name, values, backend=rows.implementation))


def free_name(name: str, taken: list[str]) -> str:
    """The name, or the first like it that is not taken."""
    while name in taken:
        name += "_"
    return name
