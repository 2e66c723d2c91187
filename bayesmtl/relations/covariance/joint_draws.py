"""Draws of all deviations and population means, exact or from their factor, and densities."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from bayesmtl.relations.covariance.joint_normal import (
    JointNormal,
    Terms,
    factor_precision,
    spread_out,
)

__all__ = ["draw_given", "draw_joint", "log_density_given"]


def _log_dets(tasks: np.ndarray, features: np.ndarray) -> float:
    """Half the log determinant of the prior precision."""
    of_tasks, of_features = np.linalg.slogdet(tasks)[1], np.linalg.slogdet(features)[1]
    return 0.5 * float(len(features) * of_tasks + len(tasks) * of_features)


def log_density_given(
    terms: Terms, tasks: np.ndarray, features: np.ndarray, at: np.ndarray
) -> float:
    """Log density of data and coordinates ``at`` (task, v + m) given K and P, up to a constant."""
    v, first = terms.n_own, terms.first
    x, u = at[:, first:v], at[0, v:]
    image = (terms.gram @ at[..., None])[..., 0]
    value = terms.constant + float((at * (terms.linear - 0.5 * image)).sum())
    square = float((x * (tasks @ x @ features)).sum() + (at[:, :first] ** 2).sum() + u @ u)
    return value + _log_dets(tasks, features) - 0.5 * square


def draw_given(
    terms: Terms, tasks: np.ndarray, features: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """One exact draw (task, v + m) given the precisions, and the log evidence of these."""
    root, half, log_evidence = factor_precision(terms, tasks, features)
    log_evidence += _log_dets(tasks, features)
    drawn = solve_triangular(root, half + rng.normal(size=half.size), lower=True, trans=1)
    return spread_out(terms, drawn), log_evidence


def draw_joint(
    terms: Terms, normal: JointNormal, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws (draw, task, v + m) from the factor."""
    n_tasks, n = terms.linear.shape
    v = terms.n_own
    size = n_tasks * v
    if normal.root is not None:
        noise = rng.normal(size=(len(normal.root), n_draws))
        moved = solve_triangular(normal.root, noise, lower=True, trans=1).T
        return normal.mean + spread_out(terms, moved)
    noise = rng.normal(size=(n_draws, size + n - v))
    own = np.linalg.cholesky(normal.covariance[:, :v, :v])
    of_means = np.linalg.cholesky(normal.covariance[0, v:, v:])
    moved = np.einsum("tij,stj->sti", own, noise[:, :size].reshape(n_draws, n_tasks, v))
    flat = np.concatenate([moved.reshape(n_draws, size), noise[:, size:] @ of_means.T], axis=1)
    return normal.mean + spread_out(terms, flat)
