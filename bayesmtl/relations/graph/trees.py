"""Known trees of tasks as values: tasks are the leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.opening import shorten
from bayesmtl.relations.graph.labels import (
    kind_of,
    labels_from_json,
    labels_to_json,
    one_kind,
    places_of,
    plain_labels,
)

__all__ = ["ArrangedTree", "FixedTree", "make_tree", "tree_from_json", "tree_to_json"]

_REMEDY = "add leaves for such tasks, or leave out their rows"
_TEXT = " (leaves are named by text, which whole numbers match as they are printed)"


class ArrangedTree(NamedTuple):
    """A tree over the data's tasks; parents come before their children.

    Attributes
    ----------
    parents : (node,)
        int64 positions; -1 for the root, which is node 0.
    lengths : (node,) or None
        Of the branch above each node; 0 for the root.
    level : (node,)
        int64 number of branches from the root.
    task : (node,)
        int64 position of a leaf's task among the data's tasks; -1 for other nodes.
    names : tuple of str
        Of the nodes; empty where a node has none.
    """

    parents: np.ndarray
    lengths: np.ndarray | None
    level: np.ndarray
    task: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class FixedTree:
    """A rooted tree whose leaves are tasks, immutable; see `make_tree`.

    Parameters
    ----------
    parents : tuple of int
        Of each node, smaller than its own position; -1 for the root, which is node 0.
    lengths : tuple of float or None
        Of the branch above each node, non-negative; 0 for the root.
    names : tuple of str
        Of the nodes; empty where a node has none.
    labels : tuple
        Of the leaves in the order of the nodes: str, int, bool or date.
    levels : tuple of str
        Names of the levels below the root, where they have any.
    """

    parents: tuple[int, ...]
    lengths: tuple[float, ...] | None
    names: tuple[str, ...]
    labels: tuple[Any, ...]
    levels: tuple[str, ...] = ()

    @property
    def leaves(self) -> tuple[int, ...]:
        """Nodes without children, ascending."""
        inner = set(self.parents)
        return tuple(node for node in range(len(self.parents)) if node not in inner)

    @property
    def level(self) -> tuple[int, ...]:
        """Number of branches between each node and the root."""
        out = [0]
        for parent in self.parents[1:]:
            out.append(out[parent] + 1)
        return tuple(out)

    def arranged(self, tasks: Sequence[Any] | np.ndarray, what: str) -> ArrangedTree:
        """The part of the tree above the data's tasks.

        Leaves that are none of them go, and nodes without leaves; nodes left with one child stay,
        so that levels and lengths keep their meaning.

        Parameters
        ----------
        tasks : sequence or array
            Labels of the tasks.
        what : str
            The setting, for messages.

        Raises
        ------
        InvalidModelError
            When a task is no leaf, or labels are of another type. Leaves named by text match whole
            numbers as they are printed, unless two leaves read as the same number.
        """
        leaves, place = self.leaves, self._places(tasks, what)
        task = np.full(len(self.parents), -1, dtype=np.int64)
        task[[leaves[i] for i in place]] = np.arange(len(place))
        kept = task >= 0
        for node in range(len(self.parents) - 1, 0, -1):
            kept[self.parents[node]] |= kept[node]
        number = np.cumsum(kept) - 1
        parents = np.array([-1] + [number[p] for p in self.parents[1:]], dtype=np.int64)[kept]
        lengths = None if self.lengths is None else np.array(self.lengths)[kept]
        level = np.array(self.level, dtype=np.int64)[kept]
        names = tuple(name for name, stays in zip(self.names, kept, strict=True) if stays)
        return ArrangedTree(parents, lengths, level, task[kept], names)

    def _places(self, tasks: Sequence[Any] | np.ndarray, what: str) -> list[int]:
        """Position of each task among the labels."""
        plain = plain_labels(tasks, "the data")
        if not (kind_of(self.labels[0]) == "text" and kind_of(plain[0]) == "whole numbers"):
            return places_of(plain, self.labels, what, _REMEDY)
        read: dict[int, str] = {}
        for label in self.labels:
            number = _as_whole(label)
            if number is not None and read.setdefault(number, label) != label:
                raise InvalidModelError(
                    f'{what}: the leaves "{read[number]}" and "{label}" both read as {number}, so '
                    "the data's whole numbers do not say which is meant; rename one, or convert "
                    "the task column to text"
                )
        return places_of([str(task) for task in plain], self.labels, what, _REMEDY + _TEXT)

    def __repr__(self) -> str:
        lengths = "without" if self.lengths is None else "with"
        return (
            f"<tree of {len(self.labels)} tasks and {len(self.parents)} nodes, {lengths} branch "
            f"lengths, {shorten(self.labels)}>"
        )


def _as_whole(label: str) -> int | None:
    """The whole number that a text reads as, also "01" and "1.0"."""
    try:
        value = float(label)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def make_tree(
    parents: Sequence[int],
    lengths: Sequence[float | None],
    names: Sequence[str],
    labels: Sequence[Any],
    what: str,
) -> FixedTree:
    """Check a tree and make it a value.

    Parameters
    ----------
    parents : sequence of int
        As in `FixedTree`.
    lengths : sequence of float or None
        One per node, that of the root is ignored: it says nothing about how tasks differ.
    names : sequence of str
    labels : sequence
        Plain labels of the leaves in the order of the nodes.
    what : str
        The setting, for messages.

    Raises
    ------
    InvalidModelError
        When it has fewer than two leaves, two of one name, parents after their children, or
        lengths that are negative, not finite, all zero, or given for some branches only.
    """
    inner = set(parents)
    if list(parents[:1]) != [-1] or any(not 0 <= p < i for i, p in enumerate(parents) if i > 0):
        raise InvalidModelError(f"{what}: parents must come before their children, the root first")
    n_leaves = sum(node not in inner for node in range(len(parents)))
    if n_leaves < 2:
        raise InvalidModelError(f"{what} has a single leaf; a tree relates two tasks or more")
    if len(labels) != n_leaves or len(names) != len(parents):
        raise InvalidModelError(f"{what} has {len(labels)} labels for {n_leaves} leaves")
    one_kind(labels, what)
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InvalidModelError(f"{what} names several leaves {shorten(twice)}; name each once")
    return FixedTree(tuple(parents), _lengths(lengths, names, what), tuple(names), tuple(labels))


def _lengths(
    lengths: Sequence[float | None], names: Sequence[str], what: str
) -> tuple[float, ...] | None:
    branches = lengths[1:]
    if all(length is None for length in branches):
        return None
    out = [0.0]
    for node, length in enumerate(branches, start=1):
        name = f'"{names[node]}"' if names[node] else f"the node {node}, which has no name,"
        if length is None:
            raise InvalidModelError(
                f"{what} has lengths for some branches and none above {name}; give all or none"
            )
        if not (math.isfinite(length) and length >= 0.0):
            raise InvalidModelError(
                f"{what} has the branch length {length:g} above {name}; lengths are finite and not "
                "negative"
            )
        out.append(float(length))
    if not max(out) > 0.0:
        raise InvalidModelError(f"{what} has only branches of length zero; leave the lengths out")
    return tuple(out)


def tree_to_json(tree: FixedTree) -> dict[str, Any]:
    """JSON form; dates are marked as such."""
    lengths = None if tree.lengths is None else list(tree.lengths)
    out = {"parents": list(tree.parents), "lengths": lengths, "names": list(tree.names)}
    out["levels"] = list(tree.levels)
    return out | labels_to_json(tree.labels)


def tree_from_json(spec: Mapping[str, Any]) -> FixedTree:
    """Inverse of `tree_to_json`.

    Raises
    ------
    InvalidModelError
        As `make_tree`.
    """
    parents = spec["parents"]
    lengths = spec["lengths"] or [None] * len(parents)
    plain = make_tree(parents, lengths, spec["names"], list(labels_from_json(spec)), "tree")
    return replace(plain, levels=tuple(spec["levels"]))
