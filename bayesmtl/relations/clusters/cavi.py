"""Coordinate ascent for clusters, weights of tasks integrated out.

Task t says ``constant_t + f_t'x - x'A_t x / 2`` of ``x = (u, b_c(t))``, the standardised population
means u and the standardised mean b of its cluster, all standard normal a priori. The approximation
is ``q(c) q(u, b) q(v, alpha, delta, M)`` with responsibilities r, one joint normal of all means,
and one joint factor of sticks, concentration, discount and number of components, see
`bayesmtl.relations.clusters.sticks`. Given r all other factors are set to their optimum, so the
evidence lower bound is a function of r alone, and no step here lets it fall.

Truncation is by assignment: q(c) has K clusters, sticks beyond them keep their prior, which makes
the bound one of the untruncated model.

References
----------
Blei and Jordan 2006, Bayesian Analysis 1; Hughes and Sudderth 2013, Advances in Neural Information
Processing Systems 26 (merges and births).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax, xlogy

from bayesmtl.relations.clusters.sticks import StickPrior, fit_sticks

__all__ = [
    "Approximation",
    "Means",
    "TaskTerms",
    "approximate",
    "cluster_terms",
    "fit_means",
    "log_kernel",
    "log_likelihoods",
    "mean_moments",
    "merge",
    "reorder",
    "sweep",
]

# Pairs of clusters whose merge is tried in full.
_MOST_MERGES = 10
# A move is accepted when the bound rises by more than rounding.
_ROUNDING = 1e-9


class TaskTerms(NamedTuple):
    """Log-likelihood of each task as a quadratic in the standardised means.

    Parameters
    ----------
    gram : (task, m + d, m + d)
        A; m population means, then the d features of a cluster mean.
    linear : (task, m + d)
        f.
    constant : (task,)
        In the user's units of the response.
    n_shared : int
        m.
    """

    gram: np.ndarray
    linear: np.ndarray
    constant: np.ndarray
    n_shared: int


class Means(NamedTuple):
    """The joint normal of the population means u and the cluster means b.

    ``b_k = center_k - slope_k u + N(0, covariance_k)``.

    Parameters
    ----------
    shared, shared_covariance : (m,), (m, m)
    center : (cluster, d)
    slope : (cluster, d, m)
    covariance : (cluster, d, d)
    log_evidence : float
        Of u and b under the responsibilities, without the tasks' constants.
    """

    shared: np.ndarray
    shared_covariance: np.ndarray
    center: np.ndarray
    slope: np.ndarray
    covariance: np.ndarray
    log_evidence: float


class Approximation(NamedTuple):
    """Responsibilities, and all that follows from them.

    Parameters
    ----------
    responsibilities : (task, cluster)
    means : Means
    log_weights : (cluster,)
        Expected log weights of the clusters.
    elbo : float
        Lower bound of ``log p(y)`` given the hyperparameters.
    """

    responsibilities: np.ndarray
    means: Means
    log_weights: np.ndarray
    elbo: float


def fit_means(terms: TaskTerms, responsibilities: np.ndarray) -> Means:
    """The optimal normal of all means; exact given the clusters where these are certain.

    Parameters
    ----------
    terms : TaskTerms
    responsibilities : (task, cluster)
    """
    n_tasks, n = terms.linear.shape
    m = terms.n_shared
    gram = (responsibilities.T @ terms.gram.reshape(n_tasks, -1)).reshape(-1, n, n)
    linear = responsibilities.T @ terms.linear
    root = np.linalg.cholesky(np.eye(n - m) + gram[:, m:, m:])
    covariance = np.linalg.inv(root)
    covariance = covariance.mT @ covariance
    slope = covariance @ gram[:, m:, :m]
    center = (covariance @ linear[:, m:, None])[..., 0]
    # Cluster means integrated out of the population means.
    precision = np.eye(m) + gram[:, :m, :m].sum(axis=0)
    precision -= np.einsum("kdi,kdj->ij", gram[:, m:, :m], slope)
    score = linear[:, :m].sum(axis=0) - np.einsum("kdi,kd->i", slope, linear[:, m:])
    shared_root = np.linalg.cholesky(precision)
    half = np.linalg.inv(shared_root)
    log_det = (
        np.log(np.diagonal(root, axis1=1, axis2=2)).sum() + np.log(shared_root.diagonal()).sum()
    )
    quadratic = 0.5 * ((linear[:, m:] * center).sum() + ((half @ score) ** 2).sum())
    return Means(
        half.T @ (half @ score),
        half.T @ half,
        center,
        slope,
        covariance,
        float(quadratic - log_det),
    )


def mean_moments(terms: TaskTerms, means: Means) -> tuple[np.ndarray, np.ndarray]:
    """First (cluster, m + d) and second (cluster, m + d, m + d) moments of ``(u, b_k)``."""
    n_clusters, m = means.center.shape[0], terms.n_shared
    n = terms.linear.shape[1]
    mean = np.empty((n_clusters, n))
    mean[:, :m] = means.shared
    mean[:, m:] = means.center - means.slope @ means.shared
    second = mean[:, :, None] * mean[:, None, :]
    across = means.slope @ means.shared_covariance
    second[:, :m, :m] += means.shared_covariance
    second[:, m:, :m] -= across
    second[:, :m, m:] -= across.mT
    second[:, m:, m:] += means.covariance + across @ means.slope.mT
    return mean, second


def log_likelihoods(terms: TaskTerms, means: Means) -> np.ndarray:
    """Expected log-likelihood (task, cluster) of each task in each cluster."""
    mean, second = mean_moments(terms, means)
    squares = terms.gram.reshape(len(terms.gram), -1) @ second.reshape(len(second), -1).T
    return terms.constant[:, None] + terms.linear @ mean.T - 0.5 * squares


def approximate(terms: TaskTerms, responsibilities: np.ndarray, prior: StickPrior) -> Approximation:
    """Set everything but the responsibilities to its optimum.

    Parameters
    ----------
    terms : TaskTerms
    responsibilities : (task, cluster)
    prior : StickPrior
    """
    means = fit_means(terms, responsibilities)
    sticks = fit_sticks(responsibilities.sum(axis=0), prior)
    entropy = -xlogy(responsibilities, responsibilities).sum()
    elbo = float(terms.constant.sum() + means.log_evidence + sticks.bound + entropy)
    return Approximation(responsibilities, means, sticks.log_weights, elbo)


def sweep(terms: TaskTerms, q: Approximation, prior: StickPrior) -> Approximation:
    """One round of coordinate ascent: responsibilities, then everything else."""
    scores = log_likelihoods(terms, q.means) + q.log_weights
    return approximate(terms, softmax(scores, axis=1), prior)


def reorder(terms: TaskTerms, q: Approximation, prior: StickPrior) -> Approximation:
    """Sort the clusters by size where that raises the bound: early sticks are the longest."""
    order = np.argsort(-q.responsibilities.sum(axis=0), kind="stable")
    sorted_q = approximate(terms, q.responsibilities[:, order], prior)
    return sorted_q if sorted_q.elbo > q.elbo + _ROUNDING else q


def log_kernel(gram: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """``log int exp(f'b - b'A b / 2) N(b; 0, I) db`` of each (..., d, d) and (..., d)."""
    precision = np.eye(linear.shape[-1]) + gram
    solved = np.linalg.solve(precision, linear[..., None])[..., 0]
    return 0.5 * ((linear * solved).sum(axis=-1) - np.linalg.slogdet(precision)[1])


def merge(terms: TaskTerms, q: Approximation, prior: StickPrior) -> Approximation:
    """Merge pairs of clusters as long as that raises the bound.

    The evidence of a merged cluster needs the summed terms of its tasks only, so all pairs are
    ranked, at the population means as they are, before the best are evaluated in full.
    """
    while q.responsibilities.shape[1] > 1:
        merged = next(
            (
                candidate
                for candidate in (
                    approximate(terms, _join(q.responsibilities, k, j), prior)
                    for k, j in _ranked_pairs(terms, q)
                )
                if candidate.elbo > q.elbo + _ROUNDING
            ),
            None,
        )
        if merged is None:
            return q
        q = merged
    return q


def _join(responsibilities: np.ndarray, k: int, j: int) -> np.ndarray:
    out = responsibilities.copy()
    out[:, k] += out[:, j]
    return np.delete(out, j, axis=1)


def _ranked_pairs(terms: TaskTerms, q: Approximation) -> list[tuple[int, int]]:
    """Pairs of clusters that lose the least evidence, the best first."""
    m, r = terms.n_shared, q.responsibilities
    d = terms.linear.shape[1] - m
    given = cluster_terms(terms, q.means.shared)
    gram = (r.T @ given.gram.reshape(len(r), -1)).reshape(-1, d, d)
    linear = r.T @ given.linear
    alone = log_kernel(gram, linear)
    first, second = np.triu_indices(r.shape[1], 1)
    gain = log_kernel(gram[first] + gram[second], linear[first] + linear[second])
    gain -= alone[first] + alone[second]
    best = np.argsort(-gain)[:_MOST_MERGES]
    return [(int(first[i]), int(second[i])) for i in best]


def cluster_terms(terms: TaskTerms, shared: np.ndarray) -> TaskTerms:
    """What the tasks say of the cluster means alone, given the population means (m,)."""
    m = terms.n_shared
    linear = terms.linear[:, m:] - terms.gram[:, m:, :m] @ shared
    constant = terms.constant + terms.linear[:, :m] @ shared
    constant = constant - 0.5 * np.einsum("i,tij,j->t", shared, terms.gram[:, :m, :m], shared)
    return TaskTerms(terms.gram[:, m:, m:], linear, constant, 0)
