"""Components of the variance along the branches of a known tree.

The variances of the branches are ``b = sum_k share_k unit_k``. Without branch lengths there is a
component per level of the tree, so that ``share_k`` is the part of a task's variance that arises
on level k: nested random effects. With lengths there are two, the tree's own, scaled to a mean
height of 1, and one of each task's own: the first share is the lambda of Pagel 1999, Nature 401.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.jit import kernel
from bayesmtl.relations.graph.trees import ArrangedTree

__all__ = [
    "TaskTree",
    "branch_variances",
    "component_covariances",
    "components",
    "tree_covariance",
]


class TaskTree(NamedTuple):
    """A tree of tasks for the kernels; parents come before their children.

    Attributes
    ----------
    parents : (node,)
        int64 positions; -1 for the root, which is node 0.
    task : (node,)
        int64 task of a leaf, -1 for other nodes.
    units : (node, component)
        Variance of the branch above each node per unit of each share; 0 for the root.
    """

    parents: np.ndarray
    task: np.ndarray
    units: np.ndarray


def components(tree: ArrangedTree) -> TaskTree:
    """The components of the variance along the branches.

    Without lengths component k holds the branches between levels k and k + 1. A task that hangs
    higher than others has a branch that reaches down to the last level, so that each component
    gives every task the variance 1, and shares that sum to one give it the variance 1 in total.

    Parameters
    ----------
    tree : ArrangedTree

    Raises
    ------
    InvalidModelError
        When every task is at distance zero from the root.
    """
    leaf = tree.task >= 0
    if tree.lengths is None:
        depth = int(tree.level.max())
        k = np.arange(1, depth + 1)
        reached = (tree.level[:, None] == k) | (leaf[:, None] & (tree.level[:, None] <= k))
        return TaskTree(tree.parents, tree.task, reached.astype(np.float64))
    height = np.zeros(len(leaf))
    for node in range(1, len(leaf)):
        height[node] = height[tree.parents[node]] + tree.lengths[node]
    mean = height[leaf].mean()
    if not mean > 0.0:
        raise InvalidModelError(
            "all tasks of the data lie at the root of the tree, at distance zero; leave the "
            "branch lengths out"
        )
    units = np.column_stack([tree.lengths / mean, leaf.astype(np.float64)])
    return TaskTree(tree.parents, tree.task, units)


@kernel
def branch_variances(tree, shares):
    """``b`` (node,), of the branch above each node."""
    out = np.zeros(tree.parents.shape[0])
    for v in range(1, out.shape[0]):
        for k in range(shares.shape[0]):
            out[v] += shares[k] * tree.units[v, k]
    return out


def tree_covariance(tree: TaskTree, variance: np.ndarray) -> np.ndarray:
    """Covariance (task, task), per unit of Sigma: the variance along the branches that two share.

    Parameters
    ----------
    tree : TaskTree
    variance : (node,)
        b.
    """
    n_nodes = len(tree.parents)
    whole = np.zeros((n_nodes, n_nodes))
    for v in range(1, n_nodes):
        parent = tree.parents[v]
        whole[v, :v] = whole[:v, v] = whole[parent, :v]
        whole[v, v] = whole[parent, parent] + variance[v]
    leaves = np.flatnonzero(tree.task >= 0)
    order = leaves[np.argsort(tree.task[leaves])]
    return np.asarray(whole[np.ix_(order, order)])


def component_covariances(tree: TaskTree) -> np.ndarray:
    """C (component, task, task): the covariance of tasks is ``sum_k share_k C_k``."""
    return np.stack([tree_covariance(tree, unit) for unit in tree.units.T])
