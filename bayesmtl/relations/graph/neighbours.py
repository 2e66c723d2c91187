"""Graphs of tasks that resemble each other in what is known about them."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.columns import read_column
from bayesmtl.frames.labels import read_labels
from bayesmtl.frames.opening import is_frame, open_frame, require_columns, shorten
from bayesmtl.relations.graph.adjacency import FixedGraph, graph_of_pairs
from bayesmtl.relations.graph.labels import plain_labels

__all__ = ["nearest_neighbours"]


def nearest_neighbours(covariates: Any, k: int, labels: Any = None) -> FixedGraph:
    """Graph in which two tasks are joined if one is among the ``k`` nearest of the other.

    Distances are Euclidean, of covariates standardised over the tasks. Of tasks at the same
    distance, those with the smaller label come first.

    Parameters
    ----------
    covariates : data frame or (task, covariate) array
        One row per task.
    k : int
        From 1 to the number of tasks less 1.
    labels : str, sequence or None
        The column of the frame that names the tasks, or one label per row. None: rows of an array
        are in the order of the data's tasks.

    Raises
    ------
    InvalidModelError
        When a covariate is missing or constant, a label is missing or repeated, or k out of range.
    InvalidDataError
        When a column cannot be read.
    """
    values, names, plain = _read(covariates, labels)
    n = len(values)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k < n:
        raise InvalidModelError(f"k is the number of neighbours, 1 to {n - 1}, got {k!r}")
    if plain is not None:
        order = sorted(range(n), key=plain.__getitem__)
        values, plain = values[order], [plain[i] for i in order]
    spread = values.std(axis=0)
    constant = np.flatnonzero(~(spread > 1e-12 * np.abs(values).max(axis=0)))
    if len(constant):
        raise InvalidModelError(
            f"the covariate {names[constant[0]]!r} is the same for all tasks; leave it out"
        )
    values = (values - values.mean(axis=0)) / spread
    pairs = []
    for i in range(n):
        distance = ((values - values[i]) ** 2).sum(axis=1)
        distance[i] = np.inf
        # Distances that differ by rounding alone are equal.
        rounded = np.round(distance, 10)
        pairs += [(i, int(j)) for j in np.argsort(rounded, kind="stable")[:k]]
    return graph_of_pairs(n, pairs, plain)


def _read(covariates: Any, labels: Any) -> tuple[np.ndarray, list[Any], list[Any] | None]:
    """Values (task, covariate), names of covariates, and labels of the rows."""
    if is_frame(covariates):
        values, names, plain = _read_frame(open_frame(covariates), labels)
    else:
        try:
            values = np.asarray(covariates, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidModelError(
                "covariates must be a (task, covariate) array of numbers, or a data frame"
            ) from None
        if values.ndim != 2 or values.shape[1] == 0:
            raise InvalidModelError(
                f"covariates must be a (task, covariate) array, got shape {values.shape}"
            )
        names = list(range(values.shape[1]))
        plain = None if labels is None else plain_labels(labels, "labels")
    if plain is not None and len(plain) != len(values):
        raise InvalidModelError(f"{len(plain)} labels for {len(values)} rows; give one per row")
    if plain is not None and len(set(plain)) < len(plain):
        twice = sorted({label for label in plain if plain.count(label) > 1})
        raise InvalidModelError(f"several rows for {shorten(twice)}; give one row per task")
    for i, j in np.argwhere(~np.isfinite(values)):
        row = f"row {i}" if plain is None else f"the task {plain[i]!r}"
        raise InvalidModelError(f"the covariate {names[j]!r} has no value for {row}")
    return values, names, plain


def _read_frame(frame: nw.DataFrame[Any], labels: Any) -> tuple[np.ndarray, list[Any], Any]:
    plain = None
    if isinstance(labels, str):
        require_columns(frame, [labels], role="labels", error=InvalidModelError)
        column = read_labels(frame, labels)
        if column.missing.any():
            raise InvalidModelError(f'the column "{labels}" lacks labels; drop these rows')
        plain = column.values.tolist()
        frame = frame.drop(labels)
    elif labels is not None:
        plain = plain_labels(labels, "labels")
    else:
        raise InvalidModelError("labels: name the column of the frame that names the tasks")
    values = []
    for name in frame.columns:
        read = read_column(frame, name)
        if read.kind not in ("number", "boolean"):
            raise InvalidModelError(f'the covariate "{name}" holds {read.kind} values, not numbers')
        values.append(read.values)
    if not values:
        raise InvalidModelError("the frame has no covariates besides the labels")
    return np.column_stack(values), list(frame.columns), plain
