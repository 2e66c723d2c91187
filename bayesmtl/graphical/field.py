"""The Markov random field that relates edges of several graphs (Peterson et al. 2015).

Peterson, Stingo and Vannucci, J. Am. Stat. Assoc. 110, eqs. 8 to 13. For the pair of variables ij
let z be the graphs in which it is an edge, one bit a graph. Then

    p(z | nu, theta) = exp(nu sum_g z_g + 2 sum_(g < m) theta_gm z_g z_m) / C(nu, theta),

and the propensity ``q = 1 / (1 + exp(-nu))`` of the pair is ``Beta(a, b)``. The normaliser is a
polynomial, ``C = sum_k A_k exp(nu k)``, with A_k a sum over the patterns of k edges. So nu is
integrated out by Gauss-Jacobi quadrature, once for all pairs: what is left is one log probability
for each of the 2^G patterns.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel

__all__ = [
    "beta_quadrature",
    "log_patterns",
    "pattern_codes",
    "propensity_nodes",
    "update_theta",
]

_NODES = 48
_STEP = 0.8  # of the random walk of log theta


@lru_cache(maxsize=16)
def propensity_nodes(shape: tuple[float, float], n_graphs: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers ``q^k (1 - q)^(G - k)`` (k, node), and weights (node,) of the beta distribution."""
    q, weight = beta_quadrature(*shape)
    count = np.arange(n_graphs + 1)[:, None]
    log_powers = count * np.log(q) + (n_graphs - count) * np.log1p(-q)
    return np.exp(log_powers), weight


def beta_quadrature(first: float, second: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (node,) of the Gauss quadrature of a beta distribution.

    The Jacobi matrix (Golub and Welsch 1969, Math. Comp. 23) is ``B B'``, B bidiagonal, its squared
    elements products of the canonical moments of the distribution (Dette and Studden 1997, The
    Theory of Canonical Moments). None of them overflows, which the total mass of the Jacobi weight
    does for large shapes.

    Parameters
    ----------
    first, second : float
        Shapes of the distribution.
    """
    total, k = first + second, np.arange(_NODES)
    odd = (first + k) / (total + 2 * k)
    even = np.r_[0.0, k[1:] / (total + 2 * k[1:] - 1.0)]
    diagonal = np.sqrt(odd * (1.0 - even))
    below = np.sqrt(even[1:] * (second + k[:-1]) / (total + 2 * k[:-1]))
    vectors, root, _ = np.linalg.svd(np.diag(diagonal) + np.diag(below, -1))
    # Rounding must not make a probability 0 or 1.
    q = np.clip(root**2, np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg)
    return q, vectors[0] ** 2


def pattern_codes(edge: np.ndarray) -> np.ndarray:
    """Pattern (variable, variable) of the pairs in graphs (graph, variable, variable)."""
    bits = 1 << np.arange(len(edge))
    return np.tensordot(bits, edge.astype(np.int64), axes=1)


@kernel
def log_patterns(theta, powers, weight):
    """Log probability (pattern,) of each pattern of edges, the propensity integrated out.

    Parameters
    ----------
    theta : (graph, graph)
        Symmetric; the diagonal does not count.
    powers, weight : (k, node), (node,)
        Of `propensity_nodes`.
    """
    n_graphs, n_nodes = theta.shape[0], weight.shape[0]
    n_patterns = 1 << n_graphs
    quadratic, size = np.zeros(n_patterns), np.zeros(n_patterns, dtype=np.int64)
    for code in range(1, n_patterns):
        last = 0
        while code >> (last + 1):
            last += 1
        rest = code ^ (1 << last)
        quadratic[code], size[code] = quadratic[rest], size[rest] + 1
        for g in range(last):
            if rest >> g & 1:
                quadratic[code] += 2.0 * theta[g, last]
    top = quadratic.max()
    coefficient = np.zeros(n_graphs + 1)
    for code in range(n_patterns):
        coefficient[size[code]] += math.exp(quadratic[code] - top)
    integral = np.zeros(n_graphs + 1)
    for i in range(n_nodes):
        total = 0.0
        for k in range(n_graphs + 1):
            total += coefficient[k] * powers[k, i]
        for k in range(n_graphs + 1):
            integral[k] += weight[i] * powers[k, i] / total
    return quadratic - top + np.log(integral)[size]


@inner_kernel
def _log_likelihood(theta, counts, powers, weight):
    """Log probability of the patterns of all pairs."""
    table = log_patterns(theta, powers, weight)
    return np.dot(counts, table)


@kernel
def update_theta(theta, counts, powers, weight, hyper, rng):
    """Update the relatedness of each pair of graphs in place: 0 or not, then its size.

    Parameters
    ----------
    theta : (graph, graph)
    counts : (pattern,)
        Number of pairs of variables with each pattern of edges.
    powers, weight
        Of `propensity_nodes`.
    hyper : (3,)
        Shape and rate of the gamma distribution, and the probability not to be 0.
    rng : numpy.random.Generator
    """
    shape, rate, chance = hyper
    odds = math.log(chance) - math.log1p(-chance)
    n = theta.shape[0]
    current = _log_likelihood(theta, counts, powers, weight)
    for g in range(n):
        for m in range(g):
            before = theta[g, m]
            # Added from its prior, so that only the likelihood and the odds are left.
            value = rng.standard_gamma(shape) / rate if before == 0.0 else 0.0
            theta[g, m] = theta[m, g] = value
            proposed = _log_likelihood(theta, counts, powers, weight)
            ratio = proposed - current + (odds if before == 0.0 else -odds)
            if math.log(rng.random()) < ratio:
                current = proposed
            else:
                theta[g, m] = theta[m, g] = before
            if theta[g, m] == 0.0:
                continue
            before = theta[g, m]
            value = before * math.exp(_STEP * rng.standard_normal())
            theta[g, m] = theta[m, g] = value
            proposed = _log_likelihood(theta, counts, powers, weight)
            ratio = proposed - current - rate * (value - before) + shape * math.log(value / before)
            if math.log(rng.random()) < ratio:
                current = proposed
            else:
                theta[g, m] = theta[m, g] = before
