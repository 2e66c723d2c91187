"""Labels of ordered levels to codes and back; levels of all tasks or of some."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Levels",
    "ResponseKinds",
    "from_stored",
    "has_text_levels",
    "level_codes",
    "level_labels",
    "response_kinds",
    "stored_attrs",
    "to_stored",
]

# Of all tasks, or {task: levels, None where the response is a number}; None without any.
Levels = Sequence[Any] | Mapping[str, Sequence[Any] | None] | None


def has_text_levels(levels: Sequence[Any]) -> bool:
    """Whether labels are text, not numbers."""
    return isinstance(levels[0], str)


def level_codes(values: np.ndarray, levels: Sequence[Any]) -> np.ndarray:
    """Codes 0, 1, ... of labels; -1 for those that are no level."""
    position = {level: code for code, level in enumerate(levels)}
    return np.array([position.get(value, -1) for value in values.tolist()], dtype=np.float64)


def level_labels(codes: np.ndarray, levels: Sequence[Any]) -> np.ndarray:
    """Labels of codes of any shape."""
    return np.array(levels)[codes.astype(np.int64)]


def to_stored(values: np.ndarray, tasks: np.ndarray, levels: Levels) -> np.ndarray:
    """Responses (..., row) as a tree holds them.

    Labels where all tasks have levels. A variable has one type: where some tasks have levels, these
    are themselves if they are numbers, else their codes.

    Parameters
    ----------
    values : (..., row)
        Numbers, codes of levels.
    tasks : (row,)
        Labels of tasks as text.
    levels : Levels
    """
    if levels is None:
        return values
    if not isinstance(levels, Mapping):
        return level_labels(values, levels)
    out = values.astype(np.float64)
    for mine, own in _with_numbers(tasks, levels):
        out[..., mine] = level_labels(values[..., mine], own)
    return out


def from_stored(stored: np.ndarray, tasks: np.ndarray, levels: Levels) -> np.ndarray:
    """Inverse of `to_stored` for responses (row,)."""
    if levels is None:
        return stored
    if not isinstance(levels, Mapping):
        return level_codes(stored, levels)
    out = stored.copy()
    for mine, own in _with_numbers(tasks, levels):
        out[mine] = level_codes(stored[mine], own)
    return out


def _with_numbers(
    tasks: np.ndarray, levels: Mapping[str, Sequence[Any] | None]
) -> list[tuple[np.ndarray, Sequence[Any]]]:
    """Rows of each task whose levels are numbers, and these."""
    numeric = {x: own for x, own in levels.items() if own is not None and not has_text_levels(own)}
    return [(np.flatnonzero(tasks == task), own) for task, own in numeric.items()]


def stored_attrs(levels: Levels) -> dict[str, str]:
    """What a response in a tree says of itself: ``levels``, a JSON object by task, where mixed."""
    if not isinstance(levels, Mapping):
        return {}
    return {"levels": json.dumps({x: list(own) for x, own in levels.items() if own is not None})}


class ResponseKinds(NamedTuple):
    """What responses of a model are.

    Parameters
    ----------
    numbers : bool
        Whether some are numbers.
    levels : tuple
        Labels of all levels; as text where those of some tasks are text, of others numbers.
    """

    numbers: bool
    levels: tuple[Any, ...]

    def places(self, levels: Sequence[Any]) -> list[int]:
        """Where the levels of a task stand among all."""
        as_text = has_text_levels(self.levels)
        return [self.levels.index(str(x) if as_text else x) for x in levels]


def response_kinds(levels: Levels) -> ResponseKinds:
    """Numbers, levels, or both."""
    if not isinstance(levels, Mapping):
        return ResponseKinds(levels is None, tuple(levels or ()))
    each = [own for own in levels.values() if own is not None]
    labels = [label for own in each for label in own]
    if len({has_text_levels(own) for own in each}) > 1:
        labels = [str(label) for label in labels]
    return ResponseKinds(len(each) < len(levels), tuple(dict.fromkeys(labels)))
