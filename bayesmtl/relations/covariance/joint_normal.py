"""The normal factor of all deviations and population means, joint or by task.

The coordinates of a task are ``(x_t, u)``: its standardised deviations x_t (task, v), those of
separate intercepts first, and the standardised means u (m,) that all tasks share. The prior
precision is ``K (x) P`` of the deviations of the features, 1 of intercepts and means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotri

from bayesmtl.numerics.joint_weights import conjugate_gradients

__all__ = [
    "JointNormal",
    "Terms",
    "factor_precision",
    "fit_by_task",
    "fit_joint",
    "inverse_from_root",
    "spread_out",
]


class Terms(NamedTuple):
    """Log-likelihood ``constant + sum_t f_t'y_t - y_t'A_t y_t / 2`` of ``y_t = (x_t, u)``.

    Parameters
    ----------
    gram : (task, v + m, v + m)
        A.
    linear : (task, v + m)
        f.
    constant : float
        In the user's units of the response.
    n_own : int
        v.
    first : int
        Deviations before it are of intercepts.
    """

    gram: np.ndarray
    linear: np.ndarray
    constant: float
    n_own: int
    first: int


class JointNormal(NamedTuple):
    """The optimum given expected precisions K and P.

    Parameters
    ----------
    mean : (task, v + m)
        Of (x_t, u).
    covariance : (task, v + m, v + m)
    of_tasks : (task, task)
        Expected ``sum_ij P_ij x_si x_tj`` over features.
    of_features : (d, d)
        Expected ``sum_st K_st x_si x_tj``.
    log_evidence : float
        Log of the integral of the likelihood without its constant, but for the log determinants of
        K and P; by task a lower bound of it.
    root : (n, n) or None
        Cholesky factor of the precision of all tasks' deviations, then the means; None by task.
    """

    mean: np.ndarray
    covariance: np.ndarray
    of_tasks: np.ndarray
    of_features: np.ndarray
    log_evidence: float
    root: np.ndarray | None


def _precision(terms: Terms, tasks: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Of the deviations, task by task, then the means."""
    n_tasks, v, first = len(terms.linear), terms.n_own, terms.first
    m, size = terms.linear.shape[1] - v, n_tasks * v
    index = np.arange(n_tasks)
    own = np.zeros((n_tasks, v, n_tasks, v))
    own[:, first:, :, first:] = np.einsum("st,ij->sitj", tasks, features)
    own[index, :, index, :] += terms.gram[:, :v, :v]
    for i in range(first):
        own[index, i, index, i] += 1.0
    whole = np.empty((size + m, size + m))
    whole[:size, :size] = own.reshape(size, size)
    whole[:size, size:] = terms.gram[:, :v, v:].reshape(size, m)
    whole[size:, :size] = whole[:size, size:].T
    whole[size:, size:] = np.eye(m) + terms.gram[:, v:, v:].sum(axis=0)
    return whole


def _linear(terms: Terms) -> np.ndarray:
    v = terms.n_own
    return np.concatenate([terms.linear[:, :v].reshape(-1), terms.linear[:, v:].sum(axis=0)])


def factor_precision(
    terms: Terms, tasks: np.ndarray, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cholesky factor of the precision, root^-1 times the linear term, log evidence."""
    root = np.linalg.cholesky(_precision(terms, tasks, features))
    half = solve_triangular(root, _linear(terms), lower=True)
    return root, half, 0.5 * float(half @ half) - float(np.log(root.diagonal()).sum())


def inverse_from_root(root: np.ndarray) -> np.ndarray:
    """Inverse (n, n) of a matrix, given its lower Cholesky factor."""
    if not root.size:
        return root
    # What is above the diagonal stays zero.
    lower = dpotri(root, lower=1)[0]
    whole = lower + lower.T
    whole[np.diag_indices(len(whole))] *= 0.5
    return whole


def spread_out(terms: Terms, flat: np.ndarray) -> np.ndarray:
    """(..., n) as (..., task, v + m), the means repeated."""
    n_tasks, n = terms.linear.shape
    size, shape = n_tasks * terms.n_own, flat.shape[:-1]
    out = np.empty((*shape, n_tasks, n))
    out[..., : terms.n_own] = flat[..., :size].reshape(*shape, n_tasks, terms.n_own)
    out[..., terms.n_own :] = flat[..., None, size:]
    return out


def fit_joint(terms: Terms, tasks: np.ndarray, features: np.ndarray) -> JointNormal:
    """One normal of everything; exact where K and P are known.

    Parameters
    ----------
    terms : Terms
    tasks, features : (task, task), (d, d)
        K and P, expected.

    Raises
    ------
    numpy.linalg.LinAlgError
        When the precision is not positive definite to rounding.
    """
    n_tasks, n = terms.linear.shape
    v, first, size = terms.n_own, terms.first, n_tasks * terms.n_own
    root, half, log_evidence = factor_precision(terms, tasks, features)
    mean = spread_out(terms, solve_triangular(root, half, lower=True, trans=1))
    whole = inverse_from_root(root)
    own = whole[:size, :size].reshape(n_tasks, v, n_tasks, v)
    index = np.arange(n_tasks)
    covariance = np.empty((n_tasks, n, n))
    covariance[:, :v, :v] = own[index, :, index, :]
    covariance[:, :v, v:] = whole[:size, size:].reshape(n_tasks, v, n - v)
    covariance[:, v:, :v] = covariance[:, :v, v:].mT
    covariance[:, v:, v:] = whole[size:, size:]
    own = own[:, first:, :, first:]
    center = mean[:, first:v]
    return JointNormal(
        mean,
        covariance,
        center @ features @ center.T + np.einsum("sitj,ij->st", own, features),
        center.T @ tasks @ center + np.einsum("sitj,st->ij", own, tasks),
        log_evidence,
        root,
    )


def fit_by_task(terms: Terms, tasks: np.ndarray, features: np.ndarray) -> JointNormal:
    """The best product of one normal for each task and one of the means.

    It has the means of the joint one, and the diagonal blocks of its precision.

    Parameters
    ----------
    terms : Terms
    tasks, features : (task, task), (d, d)
        K and P, expected.
    """
    n_tasks, n = terms.linear.shape
    v, first, size = terms.n_own, terms.first, n_tasks * terms.n_own
    blocks = terms.gram[:, :v, :v].copy()
    blocks[:, np.arange(first), np.arange(first)] += 1.0
    blocks[:, first:, first:] += np.diag(tasks)[:, None, None] * features
    of_means = np.eye(n - v) + terms.gram[:, v:, v:].sum(axis=0)
    inverse, inverse_of_means = np.linalg.inv(blocks), np.linalg.inv(of_means)
    across = terms.gram[:, :v, v:]

    def multiply(flat: np.ndarray) -> np.ndarray:
        x, u = flat[:size].reshape(n_tasks, v), flat[size:]
        out = (terms.gram[:, :v, :v] @ x[..., None])[..., 0] + across @ u
        out[:, :first] += x[:, :first]
        out[:, first:] += tasks @ x[:, first:] @ features
        of_u = of_means @ u + np.einsum("tic,ti->c", across, x)
        return np.concatenate([out.reshape(-1), of_u])

    def precondition(flat: np.ndarray) -> np.ndarray:
        x, u = flat[:size].reshape(n_tasks, v), flat[size:]
        own = (inverse @ x[..., None])[..., 0]
        return np.concatenate([own.reshape(-1), inverse_of_means @ u])

    right = _linear(terms)
    flat = conjugate_gradients(multiply, precondition, right)
    log_det = np.linalg.slogdet(blocks)[1].sum() + np.linalg.slogdet(of_means)[1]
    covariance = np.zeros((n_tasks, n, n))
    covariance[:, :v, :v], covariance[:, v:, v:] = inverse, inverse_of_means
    mean = spread_out(terms, flat)
    center, own = mean[:, first:v], inverse[:, first:, first:]
    return JointNormal(
        mean,
        covariance,
        center @ features @ center.T + np.diag((own * features).sum(axis=(1, 2))),
        center.T @ tasks @ center + np.einsum("t,tij->ij", np.diag(tasks), own),
        # Below the optimum where the iterations end before it.
        float(flat @ right - 0.5 * flat @ multiply(flat) - 0.5 * log_det),
        None,
    )
