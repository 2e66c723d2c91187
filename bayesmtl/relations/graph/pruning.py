"""Exact inference on a known tree: weights spread along its branches from the root to the tasks.

Along each branch ``child = parent + Normal(0, b Sigma)``, and the tasks are the leaves. One pass
from the leaves to the root collapses the sites branch by branch and adds them at each node; one
pass back draws all values. Both cost O(node p^3) (Felsenstein 1973, Am. J. Hum. Genet. 25;
Pearl 1982, with Gaussian messages).
"""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import solve_upper

__all__ = ["draw_nodes", "leaf_values", "prune", "prune_into"]


@inner_kernel
def _project(gram, score, root, scale, half, linear, lower):
    """``C^-1 L'G``, ``C^-1 L'h`` and C, with ``L = scale R`` and ``C C' = I + L'G L``.

    Plain loops without temporary arrays: most matrices here are small.
    """
    p = score.shape[0]
    for i in range(p):
        linear[i] = 0.0
        for j in range(p):
            half[i, j] = 0.0
        for m in range(p):
            factor = scale * root[m, i]
            linear[i] += factor * score[m]
            for j in range(p):
                half[i, j] += factor * gram[m, j]
        for j in range(i + 1):
            total = 1.0 if i == j else 0.0
            for m in range(p):
                total += scale * half[i, m] * root[m, j]
            lower[i, j] = total
    for i in range(p):
        for j in range(i):
            total = lower[i, j]
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            lower[i, j] = total / lower[j, j]
        pivot = lower[i, i]
        for m in range(i):
            pivot -= lower[i, m] * lower[i, m]
            linear[i] -= lower[i, m] * linear[m]
            for j in range(p):
                half[i, j] -= lower[i, m] * half[m, j]
        lower[i, i] = math.sqrt(pivot)
        linear[i] /= lower[i, i]
        for j in range(p):
            half[i, j] /= lower[i, i]


@kernel
def prune_into(tree, variance, gram, score, feature_root, node_gram, node_score):
    """As `prune`, into given arrays; returns what the branches add to the constant."""
    n_nodes, p = node_score.shape
    half, lower, linear = np.empty((p, p)), np.empty((p, p)), np.empty(p)
    constant = 0.0
    node_gram[:] = 0.0
    node_score[:] = 0.0
    for v in range(n_nodes - 1, -1, -1):
        t = tree.task[v]
        if t >= 0:
            node_gram[v] += gram[t]
            node_score[v] += score[t]
        if v == 0:
            break
        parent = tree.parents[v]
        for i in range(p):
            node_score[parent, i] += node_score[v, i]
            for j in range(p):
                node_gram[parent, i, j] += node_gram[v, i, j]
        if not variance[v] > 0.0:
            continue
        # What `bayesmtl.sites.collapse` takes away, taken from the parent in place.
        scale = math.sqrt(variance[v])
        _project(node_gram[v], node_score[v], feature_root, scale, half, linear, lower)
        for m in range(p):
            constant += 0.5 * linear[m] * linear[m] - math.log(lower[m, m])
            for i in range(p):
                node_score[parent, i] -= half[m, i] * linear[m]
                for j in range(p):
                    node_gram[parent, i, j] -= half[m, i] * half[m, j]
    return constant


@kernel
def prune(tree, variance, gram, score, constant, feature_root):
    """Collapse the sites of the tasks along the branches.

    Parameters
    ----------
    tree : TaskTree
    variance : (node,)
        b, non-negative; zero means ``child = parent``.
    gram : (task, p, p)
        Of the sites, symmetric positive semidefinite; zero for a task without rows.
    score : (task, p)
    constant : (task,)
    feature_root : (p, p)
        R with ``Sigma = R R'``, possibly singular.

    Returns
    -------
    node_gram : (node, p, p)
    node_score : (node, p)
        The site of each node's value: what the tasks below say of it. That of the root is the
        first.
    constant : float
        The log evidence is ``constant + node_score[0]'m - m'node_gram[0] m / 2`` as a function of
        the root's value m.
    """
    n_nodes, p = tree.parents.shape[0], score.shape[1]
    node_gram, node_score = np.empty((n_nodes, p, p)), np.empty((n_nodes, p))
    total = prune_into(tree, variance, gram, score, feature_root, node_gram, node_score)
    return node_gram, node_score, total + constant.sum()


@kernel
def draw_nodes(tree, variance, node_gram, node_score, feature_root, root_value, rng):
    """Values (node, p) of all nodes given the root's and the sites of the tasks.

    ``x = parent + L z`` with ``z ~ Normal(A^-1 L'(h - G parent), A^-1)``, ``A = I + L'G L`` and
    ``L = b^(1/2) R``.

    Parameters
    ----------
    tree : TaskTree
    variance : (node,)
    node_gram : (node, p, p)
    node_score : (node, p)
        Of `prune` with the same variances.
    feature_root : (p, p)
    root_value : (p,)
    rng : numpy.random.Generator
    """
    n_nodes, p = node_score.shape
    half, lower, z = np.empty((p, p)), np.empty((p, p)), np.empty(p)
    values = np.empty((n_nodes, p))
    values[0] = root_value
    for v in range(1, n_nodes):
        parent = values[tree.parents[v]]
        values[v] = parent
        if not variance[v] > 0.0:
            continue
        rest = node_score[v] - np.dot(node_gram[v], parent)
        scale = math.sqrt(variance[v])
        # Leaves C^-1 L'(h - G parent) in z.
        _project(node_gram[v], rest, feature_root, scale, half, z, lower)
        for i in range(p):
            z[i] += rng.standard_normal()
        solve_upper(lower, z)
        values[v] += scale * np.dot(feature_root, z)
    return values


@kernel
def leaf_values(tree, values):
    """Values (task, p) of the tasks, from those of the nodes."""
    n_tasks = 0
    for v in range(tree.task.shape[0]):
        n_tasks = max(n_tasks, tree.task[v] + 1)
    out = np.empty((n_tasks, values.shape[1]))
    for v in range(tree.task.shape[0]):
        if tree.task[v] >= 0:
            out[tree.task[v]] = values[v]
    return out
