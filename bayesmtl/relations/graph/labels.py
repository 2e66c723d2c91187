"""Labels of the nodes of graphs and trees: plain, of one type, and compared with those of tasks."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.opening import shorten

__all__ = [
    "kind_of",
    "labels_from_json",
    "labels_to_json",
    "one_kind",
    "places_of",
    "plain_labels",
]

_KINDS = {str: "text", int: "whole numbers", bool: "booleans", datetime.date: "dates"}


def plain_labels(labels: Iterable[Any], what: str) -> list[Any]:
    """Labels as str, int, bool or date, all of one type.

    Parameters
    ----------
    labels : iterable
    what : str
        The setting, for messages.

    Raises
    ------
    InvalidModelError
        When a label is missing or of another type, or the types are mixed.
    """
    plain = [_plain(label, what) for label in labels]
    one_kind(plain, what)
    return plain


def _plain(label: Any, what: str) -> Any:
    if isinstance(label, np.datetime64):
        label = label.astype("datetime64[us]").item()
    elif isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, datetime.datetime):
        if not pd.isna(label) and label.time() == datetime.time() and label.tzinfo is None:
            return label.date()
    elif isinstance(label, str | int | datetime.date):
        return label
    elif isinstance(label, float) and label.is_integer():
        return int(label)
    raise InvalidModelError(
        f"{what}: {label!r} cannot name a task; labels are text, whole numbers, booleans or dates"
    )


def kind_of(label: Any) -> str:
    """What a plain label is: text, whole numbers, booleans or dates."""
    return _KINDS[type(label)]


def one_kind(labels: Sequence[Any], what: str) -> None:
    """Refuse labels of several types.

    Raises
    ------
    InvalidModelError
        Naming the first two that differ.
    """
    for label in labels:
        if type(label) is not type(labels[0]):
            raise InvalidModelError(
                f"{what} names tasks by {kind_of(labels[0])} ({labels[0]!r}) and by "
                f"{kind_of(label)} ({label!r}); use one type of label"
            )


def places_of(tasks: Iterable[Any], labels: Sequence[Any], what: str, remedy: str) -> list[int]:
    """Position of each task among the labels.

    Parameters
    ----------
    tasks : iterable
        Labels of the data's tasks.
    labels : sequence
        Plain labels of the nodes.
    what : str
        The setting, for messages.
    remedy : str
        What to do about a task that is not among them.

    Raises
    ------
    InvalidModelError
        When the types differ or a task is not named.
    """
    wanted = plain_labels(tasks, "the data")
    place = {label: i for i, label in enumerate(labels)}
    if wanted and kind_of(wanted[0]) != kind_of(labels[0]):
        raise InvalidModelError(
            f"{what} names tasks by {kind_of(labels[0])} ({labels[0]!r}), but the data name them "
            f"by {kind_of(wanted[0])} ({wanted[0]!r}): labels of different types never match; "
            "convert one of them"
        )
    lacking = [label for label in wanted if label not in place]
    if lacking:
        count = "the task" if len(lacking) == 1 else f"{len(lacking)} tasks"
        raise InvalidModelError(
            f"{what} does not name {count} of the data {shorten(lacking)}; {remedy}. Its labels "
            f"are {shorten(labels)}"
        )
    return [place[label] for label in wanted]


def labels_to_json(labels: Sequence[Any]) -> dict[str, Any]:
    """JSON form; dates are marked as such."""
    dates = isinstance(labels[0], datetime.date)
    return {"labels": [str(x) for x in labels] if dates else list(labels), "dates": dates}


def labels_from_json(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Inverse of `labels_to_json`."""
    if spec.get("dates"):
        return tuple(datetime.date.fromisoformat(label) for label in spec["labels"])
    return tuple(spec["labels"])
