"""Gaussian sites, what a prior needs from one task's data, and the operator that collapses them.

A site is ``log L_t(w) = c_t + h_t' w - w' G_t w / 2``. Sites add. Integrating ``w ~ N(m, D)`` out
of a site gives a site in ``m``, for singular ``D`` and ``G`` too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import cholesky

__all__ = [
    "GaussianSites",
    "add_sites",
    "collapse",
    "collapse_roots",
    "evaluate",
    "square_root",
]


class GaussianSites(NamedTuple):
    """Sites of several tasks.

    Parameters
    ----------
    gram : (task, feature, feature)
        G, symmetric positive semidefinite.
    moment : (task, feature)
        h.
    constant : (task,)
        c.
    """

    gram: np.ndarray
    moment: np.ndarray
    constant: np.ndarray


def add_sites(sites: GaussianSites) -> GaussianSites:
    """The one site of weights that all tasks share: ``sum_t log L_t(w)``."""
    return GaussianSites(
        sites.gram.sum(axis=0, keepdims=True),
        sites.moment.sum(axis=0, keepdims=True),
        sites.constant.sum(axis=0, keepdims=True),
    )


def square_root(covariance: np.ndarray) -> np.ndarray:
    """L with ``L L' = covariance``, also of a singular covariance matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))


@kernel
def _collapse(gram, moment, constant, roots):
    n_tasks, p = moment.shape
    out_gram = np.empty_like(gram)
    out_moment = np.empty_like(moment)
    out_constant = np.empty_like(constant)
    for t in range(n_tasks):
        root = roots[t if roots.shape[0] > 1 else 0]
        image = np.dot(gram[t], root)
        inner = np.dot(root.T, image)
        for i in range(p):
            inner[i, i] += 1.0
        lower = cholesky(inner)
        # Rows of lower^-1 root' [G, h].
        half = np.ascontiguousarray(image.T)
        linear = np.dot(root.T, moment[t])
        log_det = 0.0
        for i in range(p):
            for m in range(i):
                half[i] -= lower[i, m] * half[m]
                linear[i] -= lower[i, m] * linear[m]
            half[i] /= lower[i, i]
            linear[i] /= lower[i, i]
            log_det += math.log(lower[i, i])
        transposed = np.ascontiguousarray(half.T)
        out_gram[t] = gram[t] - np.dot(transposed, half)
        out_moment[t] = moment[t] - np.dot(transposed, linear)
        out_constant[t] = constant[t] + 0.5 * np.dot(linear, linear) - log_det
    return out_gram, out_moment, out_constant


def collapse(sites: GaussianSites, covariance: np.ndarray) -> GaussianSites:
    """Integrate ``w_t ~ N(m, D)`` out: the sites of the mean ``m``.

    With ``D = L L'`` and ``A = I + L'G L``: ``S = G - G L A^-1 L'G``, ``h - G L A^-1 L'h`` and ``c
    + h'L A^-1 L'h / 2 - log|A| / 2``, so that the integral of ``L_t(w) N(w; m, D)`` is ``exp(c +
    h'm - m'S m / 2)``.

    Parameters
    ----------
    sites : GaussianSites
    covariance : (feature, feature) or (task, feature, feature)
        D, symmetric positive semidefinite; zero means ``w_t = m``.

    Returns
    -------
    GaussianSites
    """
    stacked = covariance if covariance.ndim == 3 else covariance[None]
    return collapse_roots(sites, np.stack([square_root(one) for one in stacked]))


def collapse_roots(sites: GaussianSites, roots: np.ndarray) -> GaussianSites:
    """As `collapse`, given L of every task, (task, feature, feature)."""
    return GaussianSites(*_collapse(sites.gram, sites.moment, sites.constant, roots))


def evaluate(sites: GaussianSites, weights: np.ndarray) -> np.ndarray:
    """``log L_t(w_t)`` of each task; weights (task, feature) or (feature,)."""
    wide = np.broadcast_to(weights, sites.moment.shape)
    linear = np.einsum("ti,ti->t", sites.moment, wide)
    quadratic = np.einsum("ti,tij,tj->t", wide, sites.gram, wide)
    return np.asarray(sites.constant + linear - 0.5 * quadratic)
