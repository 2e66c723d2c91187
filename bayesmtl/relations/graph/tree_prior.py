"""Settings of the relation whose tasks are the leaves of a known tree."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.relations.covariance.prior import CorrelatedTasks, TaskSettings
from bayesmtl.relations.graph.components import components
from bayesmtl.relations.graph.known import TreeStructure
from bayesmtl.relations.graph.levels import tree_of_levels
from bayesmtl.relations.graph.newick import as_tree
from bayesmtl.relations.settings import describe

__all__ = ["Tree"]

_ROUNDING, _SINGULAR = 1e-6, 1e-10


@dataclass(frozen=True)
class Tree(CorrelatedTasks):
    """Tasks are the leaves of a known tree, along whose branches their weights change.

    Two tasks have in common what is above their last common ancestor: the weights of a node are
    ``Normal(those of its parent, share D)``, those of the root the common mean. Without branch
    lengths every level of the tree has a share of the variance, all learned: nested random effects.
    With lengths the variance along a branch is proportional to its length, and the share that the
    tasks have for themselves beside it is learned (Pagel's lambda is one less that share). A task
    that the fit has not seen is drawn from the population of all, not from that of its group.

    Parameters
    ----------
    tree : str or list of str
        A tree in Newick format, as ``"((a,b),(c,d));"`` or with branch lengths
        ``"((a:1,b:1):2,c:3);"``, its leaves named as the tasks are; leaves without rows in the data
        are left out. Or the columns of the data that name nested groups of tasks from coarse to
        fine, as ``["state", "district"]``.
    shares : sequence of float, optional
        Fixed shares, which sum to one, from the root to the tasks (with lengths: along the tree and
        of the tasks' own); learned by default.
    concentration : float or sequence of float, optional
        Parameters of the Dirichlet prior of the shares, or one for all, default 1.
    feature_covariance : {"diagonal", "full"}
        D: sds ``scale``, or as in `Exchangeable`.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the weights over tasks.
    scale : Prior, float, array or {feature: Prior or float}
        Sd of the weights of a task around the mean, over all levels.
    correlation, task_effects, r2, shared, feature_selection
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a tree that cannot be read or does not have the tasks of the data as leaves, a prior
        whose support does not fit, or settings that exclude each other.

    References
    ----------
    Felsenstein 1973, Am. J. Hum. Genet. 25 (exact likelihood along a tree); Pagel 1999, Nature 401;
    Daume 2009, UAI (multi-task learning with a tree).
    """

    tree: Any
    shares: Any = None
    concentration: Any = None
    feature_covariance: Any = "diagonal"

    def __post_init__(self) -> None:
        tree = self.tree
        if isinstance(tree, list | tuple):
            if not (len(tree) and all(isinstance(name, str) for name in tree)):
                raise InvalidModelError(
                    "Tree tree must be a Newick text, or a list of the columns that name nested "
                    f"groups of tasks, from coarse to fine, got {tree!r}"
                )
            object.__setattr__(self, "tree", tuple(tree))
        else:
            object.__setattr__(self, "tree", as_tree(tree, "Tree tree"))
        _check_positive_numbers(self, "concentration", zero_allowed=False)
        _check_positive_numbers(self, "shares", zero_allowed=True)
        if self.shares is not None:
            _check_shares(self)
        super().__post_init__()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that name groups of tasks; none where the tree is given."""
        return self.tree if isinstance(self.tree, tuple) else ()

    def read_from(self, data: Any, task: str) -> Tree:
        """With the tree that the columns of the data say."""
        if not self.columns:
            return self
        return replace(self, tree=tree_of_levels(data, self.columns, task))

    def story(self) -> list[str]:
        """The prior of the tasks in words."""
        of = f"columns {', '.join(self.columns)}" if self.columns else f"{self.tree}"
        lengths = not self.columns and self.tree.lengths is not None
        what = "along branches by their lengths, and of each task's own" if lengths else "by level"
        prior = f"~ Dirichlet({describe(self.concentration, '1')})"
        shares = prior if self.shares is None else f"= {describe(self.shares, '')}"
        return [
            f"Omega = sum_k share_k C_k, variance {what}: {of}",
            f"shares {shares}",
        ]

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        del n_features
        tree = components(self.tree.arranged(tasks.tolist(), "Tree tree"))
        number = tree.units.shape[1]
        names = self.tree.levels or tuple(f"level {k + 1}" for k in range(number))
        if self.tree.lengths is not None:
            names = ("along the tree", "of the task")
        prior = _for_components(1.0 if self.concentration is None else self.concentration, names)
        structure = TreeStructure.of(tree, prior, names)
        if self.shares is None and number > 1:
            return TaskSettings("structure", structure=structure)
        shares = np.ones(1)
        if self.shares is not None:
            shares = _for_components(self.shares, names, several=True)
        given = structure.covariance(shares)
        if np.linalg.eigvalsh(given)[0] < _SINGULAR:
            raise InvalidModelError(
                f"Tree shares={list(self.shares)} make some tasks identical, so that their "
                "covariance is singular: give the tasks a share of their own, the last one"
            )
        return TaskSettings("given", given)


def _for_components(value: Any, names: tuple[str, ...], several: bool = False) -> np.ndarray:
    """One number for each component of the variance."""
    values = np.atleast_1d(value).astype(np.float64)
    if values.size == len(names):
        return values
    if values.size == 1 and not several:
        return np.full(len(names), values[0])
    what = "shares" if several else "concentration"
    raise InvalidModelError(
        f"Tree {what} has {values.size} numbers, and the tree {len(names)} components of the "
        f"variance, {', '.join(names)}: give one number for each"
    )


def _check_positive_numbers(part: Tree, name: str, *, zero_allowed: bool) -> None:
    """Numbers as a tuple, or one as a float."""
    value = getattr(part, name)
    if value is None:
        return
    several = isinstance(value, list | tuple | np.ndarray)
    values = value if several else [value]
    numbers = len(values) > 0 and all(
        isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x) for x in values
    )
    if not (numbers and all(x > 0.0 or (zero_allowed and x == 0.0) for x in values)):
        kind = "numbers from 0 to 1" if zero_allowed else "positive numbers"
        raise InvalidModelError(f"Tree {name} must be {kind}, got {value!r}")
    plain = tuple(float(x) for x in values)
    object.__setattr__(part, name, plain if several else plain[0])


def _check_shares(part: Tree) -> None:
    """Several, with the sum one."""
    if part.concentration is not None:
        raise InvalidModelError(
            "Tree shares= fixes what concentration= is a prior of: leave one of them out"
        )
    shares = np.atleast_1d(part.shares)
    if abs(shares.sum() - 1.0) > _ROUNDING:
        raise InvalidModelError(
            f"Tree shares must sum to one, got {part.shares!r} with the sum {shares.sum():g}"
        )
    object.__setattr__(part, "shares", tuple((shares / shares.sum()).tolist()))
