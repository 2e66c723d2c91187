"""Random trees of tasks and dense algebra on them."""

import numpy as np

from bayesmtl.relations.graph.components import TaskTree, components
from bayesmtl.relations.graph.newick import parse_newick
from bayesmtl.relations.graph.trees import ArrangedTree

__all__ = ["UNEVEN", "dense_posterior", "random_tree", "tree_from"]

# Polytomies, a unary node, tasks on several levels.
UNEVEN = "(((a,b),((c)),d),e,(f,g));"


def tree_from(text: str, tasks: str) -> TaskTree:
    """Components of a Newick tree over tasks named by single letters."""
    return components(parse_newick(text, "tree").arranged(list(tasks), "tree"))


def random_tree(rng: np.random.Generator, n_nodes: int) -> ArrangedTree:
    """Every node hangs from a random earlier one, so polytomies and unary nodes arise."""
    parents = np.array([-1] + [rng.integers(0, v) for v in range(1, n_nodes)], dtype=np.int64)
    level = np.zeros(n_nodes, dtype=np.int64)
    for v in range(1, n_nodes):
        level[v] = level[parents[v]] + 1
    leaves = np.setdiff1d(np.arange(n_nodes), parents)
    task = np.full(n_nodes, -1, dtype=np.int64)
    task[leaves] = rng.permutation(len(leaves))
    return ArrangedTree(parents, rng.exponential(size=n_nodes), level, task, ("",) * n_nodes)


def dense_posterior(
    covariance: np.ndarray, mean: np.ndarray, gram: np.ndarray, score: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log evidence, mean (task * p,) and covariance of possibly singular normal tasks given sites.

    Parameters
    ----------
    covariance : (task * p, task * p)
    mean : (p,)
        Of each task.
    gram : (task, p, p)
    score : (task, p)
    """
    n, p = score.shape
    whole = np.zeros((n * p, n * p))
    for t in range(n):
        whole[t * p : (t + 1) * p, t * p : (t + 1) * p] = gram[t]
    m = np.tile(mean, n)
    rest = score.ravel() - whole @ m
    inner = np.eye(n * p) + covariance @ whole
    posterior = np.linalg.solve(inner, covariance)
    evidence = score.ravel() @ m - 0.5 * m @ whole @ m + 0.5 * rest @ posterior @ rest
    evidence -= 0.5 * np.linalg.slogdet(inner)[1]
    return float(evidence), m + posterior @ rest, posterior
