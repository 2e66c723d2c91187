"""Fixed covariance matrices as users write them: arrays, or frames with labels."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError

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
        A pandas frame has equal index and columns; in others rows come in the order of the columns.
    name : str
        The setting.

    Raises
    ------
    InvalidModelError
        When it is not square, finite, symmetric and positive definite, or its labels do not match.
    """
    if isinstance(value, FixedMatrix):
        return value
    labels = None
    if hasattr(value, "columns"):
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
    """Labels of the columns, and the values with rows in the same order."""
    labels = tuple(_plain(label) for label in frame.columns)
    if not hasattr(frame, "index"):
        return labels, frame.to_numpy()
    rows = [_plain(label) for label in frame.index]
    if sorted(map(str, rows)) != sorted(map(str, labels)) or len(set(rows)) < len(rows):
        raise InvalidModelError(
            f"{name}: rows are labelled {_some(rows)} and columns {_some(labels)}; give both the "
            "same labels, each once"
        )
    return labels, frame.loc[list(frame.columns)].to_numpy()


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


def _plain(label: Any) -> Any:
    """A label as str, int, bool or date."""
    if isinstance(label, np.datetime64):
        return label.astype("datetime64[D]").item()
    if isinstance(label, datetime.datetime):
        return label.date()
    return label.item() if isinstance(label, np.generic) else label


def matrix_to_json(matrix: FixedMatrix) -> dict[str, Any]:
    """JSON form; dates are marked as such."""
    labels = matrix.labels
    out: dict[str, Any] = {"matrix": [list(row) for row in matrix.values]}
    if labels is not None:
        dates = isinstance(labels[0], datetime.date)
        out["labels"] = [str(label) for label in labels] if dates else list(labels)
        out["dates"] = dates
    return out


def matrix_from_json(spec: Mapping[str, Any]) -> FixedMatrix:
    """Inverse of `matrix_to_json`.

    Raises
    ------
    InvalidModelError
        As `as_matrix`.
    """
    labels = spec.get("labels")
    if labels is not None and spec.get("dates"):
        labels = [datetime.date.fromisoformat(label) for label in labels]
    plain = as_matrix(spec["matrix"], "matrix")
    return FixedMatrix(plain.values, None if labels is None else tuple(labels))
