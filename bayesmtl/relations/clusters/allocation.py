"""Random partitions that the data suggest: starts and births of coordinate ascent.

References
----------
Dahl and Newcomb 2022, J. Stat. Comput. Simul. 92 (sequential allocation); Hughes and Sudderth 2013,
Advances in Neural Information Processing Systems 26 (births).
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from bayesmtl.relations.clusters.cavi import (
    Approximation,
    TaskTerms,
    approximate,
    cluster_terms,
    log_kernel,
    sweep,
)
from bayesmtl.relations.clusters.sticks import StickPrior

__all__ = ["allocate", "birth", "k_means", "responsibilities_of"]

_ROUNDING = 1e-9
# Sweeps in which a new cluster may prove itself.
_TRIAL = 8
# Clusters that are split at one call.
_MOST_BIRTHS = 5
_K_MEANS_ROUNDS = 20


def responsibilities_of(labels: np.ndarray) -> np.ndarray:
    """(task, cluster) ones and zeros of labels (task,), clusters 0, 1, ... by decreasing size."""
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return np.asarray((labels[:, None] == order).astype(np.float64))


def k_means(terms: TaskTerms, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (task,) by which cluster mean, a point, fits each task best.

    Parameters
    ----------
    terms : TaskTerms
        Of the cluster means alone.
    n_clusters : int
    rng : numpy.random.Generator
        Picks the tasks whose estimates are the first centers.
    """
    eye = np.eye(terms.linear.shape[1])
    estimates = np.linalg.solve(eye + terms.gram, terms.linear[..., None])[..., 0]
    centers = estimates[rng.choice(len(estimates), n_clusters, replace=False)]
    labels = np.zeros(len(estimates), dtype=np.int64)
    for _ in range(_K_MEANS_ROUNDS):
        labels = _fits(terms, centers).argmax(axis=1)
        r = (labels[:, None] == np.arange(n_clusters)).astype(np.float64)
        gram = eye + np.einsum("tk,tij->kij", r, terms.gram)
        centers = np.linalg.solve(gram, (r.T @ terms.linear)[..., None])[..., 0]
    return labels


def _fits(terms: TaskTerms, centers: np.ndarray) -> np.ndarray:
    """Log-likelihood (task, cluster) at cluster means (cluster, d), without constants."""
    squares = np.einsum("ki,tij,kj->tk", centers, terms.gram, centers, optimize=True)
    return np.asarray(terms.linear @ centers.T - 0.5 * squares)


def allocate(
    terms: TaskTerms,
    order: np.ndarray,
    alpha: float,
    most: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Labels of the tasks in ``order``, which join the clusters of those before them one by one.

    Parameters
    ----------
    terms : TaskTerms
        Of the cluster means alone.
    order : (n,)
        Tasks.
    alpha : float
        Concentration; 0 makes the first ``most`` tasks the clusters that the others choose from.
    most : int
        Clusters.
    rng : numpy.random.Generator
    """
    d = terms.linear.shape[1]
    gram, linear = np.zeros((most, d, d)), np.zeros((most, d))
    sizes, alone = np.zeros(most), np.zeros(most)
    labels = np.empty(len(order), dtype=np.int64)
    used = 0
    for i, t in enumerate(order):
        n = min(used + 1, most)
        joined = log_kernel(gram[:n] + terms.gram[t], linear[:n] + terms.linear[t])
        with np.errstate(divide="ignore"):
            weights = np.log(np.where(sizes[:n] > 0, sizes[:n], alpha)) + joined - alone[:n]
        opens = used == 0 or (alpha == 0.0 and used < most)
        k = used if opens else int(rng.choice(n, p=softmax(weights)))
        labels[i] = k
        gram[k] += terms.gram[t]
        linear[k] += terms.linear[t]
        sizes[k] += 1.0
        alone[k] = joined[k]
        used = max(used, k + 1)
    return labels


def birth(
    terms: TaskTerms,
    q: Approximation,
    prior: StickPrior,
    rng: np.random.Generator,
) -> Approximation:
    """Split the clusters that fit worst in two, where that raises the bound.

    The tasks of a cluster are allocated one by one to two of them; after a few sweeps the bound
    decides.

    Parameters
    ----------
    terms : TaskTerms
    q : Approximation
    prior : StickPrior
    rng : numpy.random.Generator
    """
    for k in _worst(terms, q):
        labels = q.responsibilities.argmax(axis=1)
        members = np.flatnonzero(labels == k)
        if members.size < 2 or q.responsibilities.shape[1] >= prior.most:
            continue
        given = cluster_terms(terms, q.means.shared)
        order = rng.permutation(members)
        side = allocate(given, order, 0.0, 2, rng)
        r = np.column_stack([q.responsibilities, np.zeros(len(labels))])
        moved = order[side == 1]
        r[moved, -1] = r[moved, k]
        r[moved, k] = 0.0
        candidate = approximate(terms, r, prior)
        for _ in range(_TRIAL):
            candidate = sweep(terms, candidate, prior)
        if candidate.elbo > q.elbo + _ROUNDING:
            return candidate
    return q


def _worst(terms: TaskTerms, q: Approximation) -> np.ndarray:
    """Clusters by how much likelihood their tasks lose against means of their own."""
    given = cluster_terms(terms, q.means.shared)
    centers = q.means.center - q.means.slope @ q.means.shared
    ridge = 1e-9 * (1.0 + np.trace(given.gram, axis1=1, axis2=2))
    own = np.linalg.solve(
        given.gram + ridge[:, None, None] * np.eye(centers.shape[1]), given.linear[..., None]
    )[..., 0]
    best = 0.5 * (own * given.linear).sum(axis=1)
    loss = q.responsibilities * (best[:, None] - _fits(given, centers))
    return np.argsort(-loss.sum(axis=0))[:_MOST_BIRTHS]
