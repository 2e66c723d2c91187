"""Leroux's conditional autoregression: tasks borrow from their neighbours in a known graph.

The standardised deviations X (task, d) follow ``MatrixNormal(0, K(rho)^-1, Sigma)`` with the
precision of tasks ``K(rho) = rho L + (1 - rho) I``, L the Laplacian of the graph (Leroux, Lei and
Breslow 2000, in Statistical Models in Epidemiology, 179-191): without sharing at rho = 0, smooth
over the graph as rho tends to 1. L is scaled so that a task varies about as much at either end, and
rho says how much of that variation is smooth whatever the graph (Riebler, Soerbye, Simpson and Rue
2016, Stat. Methods Med. Res. 25).

With ``L = U diag(l) U'``, ``K(rho) = U diag(rho l + 1 - rho) U'``. Given the deviations, rho sees
no likelihood and costs O(task) an evaluation (`update_rho_centred`); given the whitened deviations
``diag(rho l + 1 - rho)^(1/2) U'X`` it sees what the sites say of the deviations that move with it
(`update_rho_noncentred`). The first mixes where rows say much about the weights, the second where
they say little.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.logit import LOGIT_WIDTH, bounded, log_beta
from bayesmtl.numerics.slicing import slice_sampler

__all__ = [
    "CarBasis",
    "car_basis",
    "car_covariance",
    "car_precision",
    "log_car",
    "update_rho_centred",
    "update_rho_noncentred",
    "whiten_car",
]

# Smallest ratio of eigenvalues that are not zero: with four digits left.
_ROUNDING = 1e-12


class CarBasis(NamedTuple):
    """The scaled Laplacian ``L = U diag(l) U'``.

    Attributes
    ----------
    values : (task,)
        l, non-negative; exactly zero once for each component of several tasks.
    vectors : (task, task)
        U, orthogonal, eigenvectors in columns; each is zero outside one component.
    """

    values: np.ndarray
    vectors: np.ndarray


def car_basis(adjacency: np.ndarray) -> CarBasis:
    """Eigenvalues and eigenvectors of the scaled Laplacian of a graph.

    Each connected component of several tasks is scaled so that the geometric mean of the diagonal
    of its generalised inverse is 1: that of the variances of its intrinsic autoregression under a
    sum of zero (Riebler et al. 2016, section 3.2; by component: Freni-Sterrantino, Ventrucci and
    Rue 2018, Spat. Spatiotemporal Epidemiol. 26). A task without neighbours has L = 1, so that its
    variance is 1 whatever rho.

    Parameters
    ----------
    adjacency : (task, task)
        Weights, symmetric and non-negative, zero on the diagonal.

    Raises
    ------
    InvalidModelError
        When the weights of one component differ so much that rounding decides.
    """
    n_tasks = len(adjacency)
    values, vectors = np.ones(n_tasks), np.eye(n_tasks)
    n_components, member = connected_components(adjacency > 0.0, directed=False)
    for component in range(n_components):
        tasks = np.flatnonzero(member == component)
        if len(tasks) == 1:
            continue
        weights = adjacency[np.ix_(tasks, tasks)]
        # Weights of any unit: the scaling undoes it, and the smallest eigenvalue is judged by it.
        weights = weights / weights.max()
        own, basis = np.linalg.eigh(np.diag(weights.sum(axis=1)) - weights)
        if own[1] < _ROUNDING * own[-1]:
            linked = adjacency[np.ix_(tasks, tasks)]
            linked = linked[linked > 0.0]
            raise InvalidModelError(
                f"the weights of a known graph, {linked.min():g} to {linked.max():g} within one "
                "connected component, differ too much for its Laplacian to be told from that of "
                "separate components: leave out the edges of the smallest weights, or scale them"
            )
        # A component has exactly one null vector, the constant.
        own[0] = 0.0
        basis[:, 0] = 1.0 / math.sqrt(len(tasks))
        variance = (basis[:, 1:] ** 2 / own[1:]).sum(axis=1)
        values[tasks] = own * math.exp(np.log(variance).mean())
        vectors[np.ix_(tasks, tasks)] = basis
    return CarBasis(values, vectors)


@kernel
def car_precision(basis, rho):
    """``K(rho)`` (task, task)."""
    return np.dot(basis.vectors * (rho * basis.values + (1.0 - rho)), basis.vectors.T)


@kernel
def car_covariance(basis, rho):
    """``K(rho)^-1`` (task, task)."""
    return np.dot(basis.vectors / (rho * basis.values + (1.0 - rho)), basis.vectors.T)


@kernel
def whiten_car(basis, rho, deviation):
    """``diag(rho l + 1 - rho)^(1/2) U' deviation`` (task, d), whose rows are iid N(0, Sigma)."""
    image = np.dot(basis.vectors.T, deviation)
    for i in range(image.shape[0]):
        image[i] *= math.sqrt(rho * basis.values[i] + (1.0 - rho))
    return image


@inner_kernel
def _colour_into(values, vectors, rho, white, out):
    """Inverse of `whiten_car`, written to ``out``."""
    image = np.empty_like(white)
    for i in range(white.shape[0]):
        root = math.sqrt(rho * values[i] + (1.0 - rho))
        for j in range(white.shape[1]):
            image[i, j] = white[i, j] / root
    out[:] = np.dot(vectors, image)


@kernel
def log_car(rho, values, squares, d):
    """Log-density of the deviations as a function of rho, up to a constant.

    ``sum_i [d log(rho l_i + 1 - rho) - (rho l_i + 1 - rho) squares_i] / 2``.

    Parameters
    ----------
    rho : float
    values : (task,)
        l, of `CarBasis`.
    squares : (task,)
        ``z_i' Sigma^-1 z_i``, z_i the rows of ``U'X``.
    d : int
        Number of features that Sigma does not make zero.
    """
    total = 0.0
    for i in range(values.shape[0]):
        precision = rho * values[i] + (1.0 - rho)
        total += 0.5 * (d * math.log(precision) - precision * squares[i])
    return total


@inner_kernel
def _logit(rho):
    return bounded(math.log(rho) - math.log1p(-rho))


@inner_kernel
def _expit(x):
    return 1.0 / (1.0 + math.exp(-x))


@kernel
def _centred_target(x, args):
    values, squares, d, prior = args
    log_prior = log_beta(x, prior[0], prior[1])
    if log_prior == -np.inf:
        return log_prior
    return log_prior + log_car(_expit(x), values, squares, d)


_slice_centred = slice_sampler(_centred_target)


@kernel
def update_rho_centred(basis, deviation, feature_precision, prior, rho, rng):
    """Slice update of rho given the deviations.

    Parameters
    ----------
    basis : CarBasis
    deviation : (task, d)
        X, standardised.
    feature_precision : (d, d)
        ``Sigma^-1``; zero rows and columns for features that say nothing.
    prior : (2,)
        Of rho ~ Beta.
    rho : (1,)
        In place, within (0, 1).
    rng : numpy.random.Generator
    """
    image = np.dot(basis.vectors.T, deviation)
    mapped = np.dot(image, feature_precision)
    squares = np.empty(image.shape[0])
    for i in range(image.shape[0]):
        squares[i] = np.dot(image[i], mapped[i])
    d = 0
    for j in range(feature_precision.shape[0]):
        if feature_precision[j, j] > 0.0:
            d += 1
    args = (basis.values, squares, d, prior)
    rho[0] = _expit(_slice_centred(args, _logit(rho[0]), LOGIT_WIDTH, rng))


@kernel
def _noncentred_target(x, args):
    values, vectors, white, gram, score, prior = args
    total = log_beta(x, prior[0], prior[1])
    if total == -np.inf:
        return total
    deviation = np.empty_like(white)
    _colour_into(values, vectors, _expit(x), white, deviation)
    for t in range(deviation.shape[0]):
        image = np.dot(gram[t], deviation[t])
        total += np.dot(score[t], deviation[t]) - 0.5 * np.dot(image, deviation[t])
    return total


_slice_noncentred = slice_sampler(_noncentred_target)


@kernel
def update_rho_noncentred(basis, gram, score, deviation, prior, rho, rng):
    """Slice update of rho given the whitened deviations, and with it of the deviations.

    The sites say ``sum_t score_t'x_t - x_t'gram_t x_t / 2`` of the rows x_t of X; the distribution
    of the whitened deviations does not depend on rho.

    Parameters
    ----------
    basis : CarBasis
    gram : (task, d, d)
    score : (task, d)
    deviation : (task, d)
        X, in place.
    prior : (2,)
        Of rho ~ Beta.
    rho : (1,)
        In place, within (0, 1).
    rng : numpy.random.Generator
    """
    white = whiten_car(basis, rho[0], deviation)
    args = (basis.values, basis.vectors, white, gram, score, prior)
    rho[0] = _expit(_slice_noncentred(args, _logit(rho[0]), LOGIT_WIDTH, rng))
    _colour_into(basis.values, basis.vectors, rho[0], white, deviation)
