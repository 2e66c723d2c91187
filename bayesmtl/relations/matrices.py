"""Fixed covariance matrices as users write them: arrays, or frames with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.opening import is_frame, open_frame
from bayesmtl.relations.graph.labels import labels_from_json, labels_to_json, plain_labels

__all__ = ["FixedMatrix", "as_matrix", "matrix_from_json", "matrix_to_json"]

_ROUNDING = 1e-8
_SHOWN = 5


@dataclass(frozen=True)
class FixedMatrix:
    """A covariance matrix, immutable.

    Parameters
    ----------
    values : tuple of tuple of float
        Symmetric and positive definite.
    labels : tuple or None
        Of rows and columns; None: in the order of the model's own labels.
    """

    values: tuple[tuple[float, ...], ...]
    labels: tuple[Any, ...] | None

    def arranged(self, labels: Sequence[Any], what: str, name: str) -> np.ndarray:
        """The matrix (n, n) in the order of ``labels``.

        Parameters
        ----------
        labels : sequence
        what : str
            What they are labels of, for messages: "task" or "feature".
        name : str
            The setting.

        Raises
        ------
        InvalidModelError
            When the matrix has another size, or lacks one of them.
        """
        matrix = np.array(self.values)
        if self.labels is None:
            if len(matrix) != len(labels):
                raise InvalidModelError(
                    f"{name} has {len(matrix)} rows and the model has {len(labels)} {what}s: give "
                    f"one row and column for each of {_some(labels)}, in this order, or a data "
                    "frame with labels"
                )
            return matrix
        place = {str(label): i for i, label in enumerate(self.labels)}
        lacking = [label for label in labels if str(label) not in place]
        if lacking:
            raise InvalidModelError(
                f"{name} has no row for the {what} {lacking[0]!r}; its labels are "
                f"{_some(self.labels)}"
            )
        order = [place[str(label)] for label in labels]
        return matrix[np.ix_(order, order)]

    def __repr__(self) -> str:
        kind = "given" if self.labels is None else f"given for {_some(self.labels)}"
        return f"<{len(self.values)} x {len(self.values)} matrix, {kind}>"


def _some(labels: Sequence[Any]) -> str:
    return ", ".join(str(x) for x in labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")


def as_matrix(value: Any, name: str) -> FixedMatrix:
    """Read an array, or a data frame whose columns name what its rows are.

    Parameters
    ----------
    value : (n, n) array, nested lists, or frame
        A pandas frame has the same index and columns, or their texts, as a file read with its index
        has; in others rows come in the order of the columns.
    name : str
        The setting.

    Raises
    ------
    InvalidModelError
        When it is not square, finite, symmetric and positive definite, its labels do not match, or
        they cannot name tasks.
    InvalidDataError
        When a frame repeats a column, or has no rows.
    """
    if isinstance(value, FixedMatrix):
        return value
    labels = None
    if is_frame(value):
        labels, value = _unlabel(value, name)
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidModelError(f"{name} must hold numbers, got {value!r}") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InvalidModelError(f"{name} must be a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InvalidModelError(f"{name} has entries that are not finite")
    if np.abs(matrix - matrix.T).max() > _ROUNDING * np.abs(matrix).max():
        i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
        raise InvalidModelError(
            f"{name} must be symmetric: entries ({i}, {j}) and ({j}, {i}) are {matrix[i, j]:g} and "
            f"{matrix[j, i]:g}"
        )
    matrix = 0.5 * (matrix + matrix.T)
    _require_definite(matrix, name)
    return FixedMatrix(tuple(tuple(row) for row in matrix.tolist()), labels)


def _unlabel(frame: Any, name: str) -> tuple[tuple[Any, ...], np.ndarray]:
    """Labels of the rows, and the values with columns in the same order."""
    opened = open_frame(frame)
    columns = plain_labels(opened.columns, f"{name}, columns")
    index = nw.maybe_get_index(opened)
    if index is None:
        return tuple(columns), opened.to_numpy()
    rows = plain_labels(index, f"{name}, rows")
    texts = [str(label) for label in columns]
    if sorted(map(str, rows)) != sorted(texts) or len(set(rows)) < len(rows):
        raise InvalidModelError(
            f"{name}: rows are labelled {_some(rows)} and columns {_some(columns)}; give both the "
            "same labels, each once"
        )
    # Of the two, the index of a file has the type of the labels.
    return tuple(rows), opened.to_numpy()[:, [texts.index(str(label)) for label in rows]]


def _require_definite(matrix: np.ndarray, name: str) -> None:
    """Judged by the correlations, so that scales may differ by any factor."""
    variance = np.diag(matrix)
    smallest = variance.min()
    if smallest > 0.0:
        sd = np.sqrt(variance)
        smallest = np.linalg.eigvalsh(matrix / np.outer(sd, sd)).min()
    if not smallest > 1e-12:
        raise InvalidModelError(
            f"{name} must be positive definite, and its correlations have the eigenvalue "
            f"{smallest:.3g}: identical tasks or features are one, or add to the diagonal"
            if variance.min() > 0.0
            else f"{name} must be positive definite, and it has the variance {variance.min():g}"
        )


def matrix_to_json(matrix: FixedMatrix) -> dict[str, Any]:
    """JSON form; dates are marked as such."""
    out: dict[str, Any] = {"matrix": [list(row) for row in matrix.values]}
    return out if matrix.labels is None else out | labels_to_json(matrix.labels)


def matrix_from_json(spec: Mapping[str, Any]) -> FixedMatrix:
    """Inverse of `matrix_to_json`.

    Raises
    ------
    InvalidModelError
        As `as_matrix`.
    """
    plain = as_matrix(spec["matrix"], "matrix")
    labels = None if spec.get("labels") is None else labels_from_json(spec)
    return FixedMatrix(plain.values, labels)
