"""Trees from columns that name nested groups of tasks, as wards in towns in counties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.labels import read_labels
from bayesmtl.frames.opening import open_frame, require_columns, rows_text, shorten
from bayesmtl.relations.graph.trees import FixedTree, make_tree

__all__ = ["tree_of_levels"]


def tree_of_levels(frame: Any, columns: Sequence[str], task: str) -> FixedTree:
    """Tree of tasks in groups, those in larger groups, and so on.

    A group is known by its name and those of the groups it is in: the same name within two larger
    groups is two groups.

    Parameters
    ----------
    frame : data frame
        One row per task or several, as in the data of a fit.
    columns : sequence of str
        Names of groups from coarse to fine, without that of the tasks.
    task : str
        The column that names the tasks.

    Raises
    ------
    InvalidModelError
        When a task is in two groups of one column, a name is missing, or there is a single task.
    InvalidDataError
        When a column cannot be read.
    """
    if isinstance(columns, str) or not len(columns):
        raise InvalidModelError(
            f'columns lists the levels from coarse to fine, as ["state", "county"], got {columns!r}'
        )
    names = [*columns, task]
    if len(set(names)) < len(names):
        raise InvalidModelError(
            f"each level has its own column, and the tasks theirs, got {shorten(names)}"
        )
    opened = open_frame(frame)
    require_columns(opened, names, role="the tree", error=InvalidModelError)
    values = []
    for name in names:
        labels = read_labels(opened, name)
        if labels.missing.any():
            raise InvalidModelError(
                f'the column "{name}" has no value in {rows_text(np.flatnonzero(labels.missing))}; '
                "every task has a group on every level"
            )
        values.append(labels.values.tolist())
    paths = sorted(set(zip(*values, strict=True)))
    _check_nesting(paths, names)
    return replace(_tree_of_paths(paths), levels=tuple(names))


def _check_nesting(paths: list[tuple[Any, ...]], names: list[str]) -> None:
    group: dict[Any, tuple[Any, ...]] = {}
    for path in paths:
        other = group.setdefault(path[-1], path)
        for name, a, b in zip(names, other, path, strict=True):
            if a != b:
                raise InvalidModelError(
                    f'the task {path[-1]!r} has two values in the column "{name}", {a!r} and {b!r};'
                    " give each task one, or name tasks by both columns"
                )


def _tree_of_paths(paths: list[tuple[Any, ...]]) -> FixedTree:
    """Nodes in the order of the sorted paths, each after the groups it is in."""
    parents, names = [-1], [""]
    place: dict[tuple[Any, ...], int] = {(): 0}
    for path in paths:
        for depth in range(1, len(path) + 1):
            if path[:depth] not in place:
                place[path[:depth]] = len(parents)
                parents.append(place[path[: depth - 1]])
                names.append(str(path[depth - 1]))
    labels = [path[-1] for path in paths]
    return make_tree(parents, [None] * len(parents), names, labels, "the tree")
