"""Joint draws of the weights of correlated tasks.

Standardised deviations x (task, p) have the prior precision ``K (x) P`` on the coefficients that
are correlated over tasks (K of the tasks, P of the features) and 1 on those before, and the sites
of the tasks add a block each. Three routes give the same distribution: dense, by eigenvalues where
all tasks have the same design (Stegle et al. 2011, NeurIPS 24), and perturb-and-solve with
conjugate gradients (Papandreou and Yuille 2010, NeurIPS 23).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import spotrf, spotri

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import solve_lower, solve_upper

__all__ = [
    "CONJUGATE_GRADIENTS",
    "DENSE",
    "DENSE_LIMIT",
    "EIGEN",
    "Blocks",
    "choose_route",
    "conjugate_gradients",
    "draw_eigen",
    "draw_perturbed",
    "factor_dense",
    "gram_roots",
    "place_dense",
    "solve_columns",
    "whiten_dense",
]

DENSE, EIGEN, CONJUGATE_GRADIENTS = "dense", "eigen", "conjugate gradients"
# Coefficients in all, up to which one Cholesky factor is affordable.
DENSE_LIMIT = 3000
_SAME = 1e-10
_TOLERANCE = 1e-9
_JITTER = 1e-5


class Blocks(NamedTuple):
    """Sites in standardised units and the prior precision.

    Parameters
    ----------
    gram : (task, p, p)
    score : (task, p)
        Linear term of the deviations.
    task_precision : (task, task)
        K.
    feature_precision : (p - first, p - first) or None
        P; None, by conjugate gradients only, is the identity.
    first : int
        Coefficients before it are independent over tasks, with variance 1.
    """

    gram: np.ndarray
    score: np.ndarray
    task_precision: np.ndarray
    feature_precision: np.ndarray | None
    first: int


def choose_route(gram: np.ndarray, first: int) -> str:
    """How to draw jointly, given the sites' G (task, p, p)."""
    n_tasks, p, _ = gram.shape
    reference = gram[np.argmax(np.trace(gram, axis1=1, axis2=2))]
    size = np.sqrt(np.outer(np.diag(reference), np.diag(reference)))
    same = np.abs(gram - reference) <= _SAME * size
    apart = np.abs(reference[:first, first:]) <= _SAME * size[:first, first:]
    if n_tasks > 1 and same.all() and apart.all():
        return EIGEN
    return DENSE if n_tasks * p <= DENSE_LIMIT else CONJUGATE_GRADIENTS


@kernel
def factor_dense(gram, score, task_precision, feature_precision, first):
    """Cholesky factor L (n, n) of the whole precision and ``L^-1 score`` (n,); see `Blocks`."""
    n_tasks, p = score.shape
    n = n_tasks * p
    whole = np.zeros((n, n))
    for t in range(n_tasks):
        for u in range(t + 1):
            k = task_precision[t, u]
            for i in range(first, p):
                for j in range(first, p):
                    whole[t * p + i, u * p + j] = k * feature_precision[i - first, j - first]
        for i in range(p):
            for j in range(p):
                whole[t * p + i, t * p + j] += gram[t, i, j]
        for i in range(first):
            whole[t * p + i, t * p + i] += 1.0
    lower = np.linalg.cholesky(whole)
    shift = score.copy().reshape(-1)
    solve_lower(lower, shift)
    return lower, shift


@kernel
def place_dense(lower, shift, q):
    """``L^-T (shift + q)`` (n,): weights of standard normals."""
    x = shift + q
    solve_upper(lower, x)
    return x


@kernel
def whiten_dense(lower, shift, x):
    """Inverse of `place_dense`: ``L'x - shift``."""
    q = -shift
    for i in range(x.shape[0]):
        for j in range(i + 1):
            q[j] += lower[i, j] * x[i]
    return q


@kernel
def solve_columns(lower, right):
    """``L^-1 x`` for the columns of x (n, m)."""
    out = right.copy()
    for i in range(out.shape[0]):
        out[i] -= np.dot(lower[i, :i], out[:i])
        out[i] /= lower[i, i]
    return out


def draw_eigen(blocks: Blocks, noise: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Draw (task, p) where ``gram[t] = noise[t] G`` for one G; cost cubic in tasks and in p.

    Parameters
    ----------
    blocks : Blocks
        Intercepts before ``first`` do not interact with the other coefficients.
    noise : (task,)
        Noise precisions.
    normals : (task, p)
        Standard normal.
    """
    first, root_noise = blocks.first, np.sqrt(noise)
    assert blocks.feature_precision is not None
    out = np.empty_like(blocks.score)
    index = np.arange(first)
    own = 1.0 + blocks.gram[:, index, index]
    out[:, :first] = blocks.score[:, :first] / own + normals[:, :first] / np.sqrt(own)
    shared = blocks.gram[0, first:, first:] / noise[0]
    half = np.linalg.cholesky(np.linalg.inv(blocks.feature_precision))
    values, vectors = np.linalg.eigh(half.T @ shared @ half)
    covariance = np.linalg.inv(blocks.task_precision)
    task_values, task_vectors = np.linalg.eigh(root_noise[:, None] * covariance * root_noise)
    precision = 1.0 / task_values[:, None] + np.clip(values, 0.0, None)
    rotated = task_vectors.T @ (blocks.score[:, first:] / root_noise[:, None]) @ half @ vectors
    drawn = rotated / precision + normals[:, first:] / np.sqrt(precision)
    out[:, first:] = (task_vectors @ drawn @ vectors.T @ half.T) / root_noise[:, None]
    return out


def gram_roots(gram: np.ndarray) -> np.ndarray:
    """R (task, p, p) with ``R R' = gram``, which may be singular."""
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :])


def draw_perturbed(
    blocks: Blocks, perturbation: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw (task, p) by conjugate gradients on a perturbed right-hand side.

    Parameters
    ----------
    blocks : Blocks
    perturbation : (task, p)
        Normal, with the covariances ``gram``.
    rng : numpy.random.Generator

    Raises
    ------
    FloatingPointError
        When the iterations do not converge.
    """
    first = blocks.first
    right = blocks.score + perturbation
    normals = rng.normal(size=blocks.score.shape)
    of_prior, features = np.linalg.cholesky(blocks.task_precision) @ normals, None
    if blocks.feature_precision is not None:
        features = blocks.feature_precision
        of_prior[:, first:] = of_prior[:, first:] @ np.linalg.cholesky(features).T
    right[:, :first] += normals[:, :first]
    right[:, first:] += of_prior[:, first:]

    def multiply(x: np.ndarray) -> np.ndarray:
        out = (blocks.gram @ x[..., None])[..., 0]
        out[:, :first] += x[:, :first]
        of_tasks = blocks.task_precision @ x[:, first:]
        out[:, first:] += of_tasks if features is None else of_tasks @ features
        return out

    return conjugate_gradients(multiply, _preconditioner(blocks), right)


def _preconditioner(blocks: Blocks) -> Callable[[np.ndarray], np.ndarray]:
    """Nearly solves (task, p) with the diagonal blocks of the precision: in single precision."""
    first, features = blocks.first, blocks.feature_precision
    diagonal = blocks.gram.copy()
    index = np.arange(first)
    diagonal[:, index, index] += 1.0
    p = diagonal.shape[1]
    of_tasks = np.diag(blocks.task_precision)[:, None, None]
    diagonal[:, first:, first:] += of_tasks * (np.eye(p - first) if features is None else features)
    size = 1.0 / np.sqrt(np.einsum("tii->ti", diagonal))
    scaled = (diagonal * size[:, :, None] * size[:, None, :]).astype(np.float32)
    inverses = np.array([_inverse(block) for block in scaled])

    def solve(x: np.ndarray) -> np.ndarray:
        right = (size * x).astype(np.float32)[..., None]
        return np.asarray(size * (inverses @ right)[..., 0])

    return solve


def _inverse(block: np.ndarray) -> np.ndarray:
    """Of a precision (p, p) with ones on its diagonal; jitter, as it is of single precision."""
    block[np.diag_indices_from(block)] += _JITTER
    lower, _ = spotrf(block, lower=1)
    inverse, _ = spotri(lower, lower=1)
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T, order="C")


def conjugate_gradients(
    multiply: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
) -> np.ndarray:
    """Solve ``multiply(x) = right`` for an x of its shape, to a relative residual of 1e-9.

    Parameters
    ----------
    multiply : callable
        By a symmetric positive definite operator.
    precondition : callable
        By an approximate inverse.
    right : array

    Raises
    ------
    FloatingPointError
        When the iterations do not converge.
    """
    x = precondition(right)
    residual = right - multiply(x)
    step = precondition(residual)
    product = float((residual * step).sum())
    limit = _TOLERANCE * np.linalg.norm(right)
    for _ in range(10 * right.size):
        if np.linalg.norm(residual) <= limit:
            return x
        image = multiply(step)
        length = product / float((step * image).sum())
        x += length * step
        residual -= length * image
        scaled = precondition(residual)
        last, product = product, float((residual * scaled).sum())
        step = scaled + (product / last) * step
    raise FloatingPointError(
        "the joint draw of the weights does not converge: the covariance of the tasks is nearly "
        "singular; use task_covariance='low_rank'"
    )
