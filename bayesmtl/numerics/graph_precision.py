"""Gibbs updates of a sparse precision matrix K, column by column (Wang 2015, Bayesian Anal. 10).

The elements off the diagonal are ``Normal(0, v_ij)``, those on it ``Exponential(rate / 2)``, K is
positive definite, and data say ``|K|^(dof / 2) exp(-tr(S K) / 2)``. For column i let b be its
elements off the diagonal, C the inverse of K without row and column i, and ``g = K_ii - b'C b``.
Then b and g are independent given C,

    b ~ Normal(-A^-1 s, A^-1),  A = (S_ii + rate) C + diag(1 / v_i),     s = S_(-i, i)
    g ~ Gamma(dof / 2 + 1, (S_ii + rate) / 2),

and K stays positive definite. A rate of zero would make the prior improper where S is latent too.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import inverse_spd, solve_lower, solve_upper

__all__ = [
    "SMALLEST_VARIANCE",
    "column_complement",
    "draw_column",
    "open_column",
    "others_of",
    "partial_correlations",
    "place_column",
    "update_columns",
    "update_edges",
    "update_horseshoe_scale",
    "update_local_scales",
]

# Keeps the variances of the elements, and their inverses, within range.
SMALLEST_VARIANCE = 1e-16


def partial_correlations(precision: np.ndarray) -> np.ndarray:
    """``-K_ij / sqrt(K_ii K_jj)`` of matrices (..., n, n), 1 on the diagonal."""
    root = np.sqrt(np.diagonal(precision, axis1=-2, axis2=-1))
    out = -precision / (root[..., :, None] * root[..., None, :])
    same = np.arange(out.shape[-1])
    out[..., same, same] = 1.0
    return out


@inner_kernel
def others_of(i, n):
    """All of ``range(n)`` but i."""
    out = np.empty(n - 1, dtype=np.int64)
    for a in range(n - 1):
        out[a] = a if a < i else a + 1
    return out


@inner_kernel
def column_complement(i, others, covariance):
    """Inverse of K without row and column i, from the inverse of K."""
    n = others.shape[0]
    out = np.empty((n, n))
    for a in range(n):
        ratio = covariance[others[a], i] / covariance[i, i]
        for b in range(a + 1):
            value = covariance[others[a], others[b]] - ratio * covariance[i, others[b]]
            out[a, b] = out[b, a] = value
    return out


@inner_kernel
def open_column(i, scatter, rate, covariance):
    """What the conditional of column i needs: other rows, C, ``S_ii + rate`` and ``-s``."""
    others = others_of(i, scatter.shape[0])
    linear = np.empty(others.shape[0])
    for a in range(others.shape[0]):
        linear[a] = -scatter[others[a], i]
    return others, column_complement(i, others, covariance), scatter[i, i] + rate, linear


@inner_kernel
def place_column(i, others, complement, b, g, precision, covariance):
    """Write column i into K and its inverse."""
    n = others.shape[0]
    image = np.dot(complement, b)
    precision[i, i] = g + np.dot(b, image)
    covariance[i, i] = 1.0 / g
    for a in range(n):
        precision[i, others[a]] = precision[others[a], i] = b[a]
        value = -image[a] / g
        covariance[i, others[a]] = covariance[others[a], i] = value
        for c in range(n):
            covariance[others[a], others[c]] = complement[a, c] + image[a] * image[c] / g


@inner_kernel
def draw_column(weight, complement, linear, inverse_variance, rng):
    """``b ~ Normal(A^-1 linear, A^-1)``, ``A = weight C + diag(inverse_variance)``.

    The whole is scaled to a unit diagonal first: elements of the spike have huge precisions.
    """
    n = linear.shape[0]
    unit = np.empty(n)
    for a in range(n):
        unit[a] = 1.0 / math.sqrt(weight * complement[a, a] + inverse_variance[a])
    whole = np.empty((n, n))
    for a in range(n):
        for b in range(n):
            whole[a, b] = weight * complement[a, b] * unit[a] * unit[b]
        whole[a, a] = 1.0
    lower = np.linalg.cholesky(whole)
    out = linear * unit
    solve_lower(lower, out)
    for a in range(n):
        out[a] += rng.standard_normal()
    solve_upper(lower, out)
    return out * unit


@kernel
def update_columns(scatter, dof, rate, variance, precision, covariance, rng):
    """Update all columns given the variances of the elements, in place.

    Parameters
    ----------
    scatter : (n, n)
        S.
    dof : float
        Number of observations in S.
    rate : float
        Twice the rate of the exponential prior of the diagonal; above 0.
    variance : (n, n)
        Of the elements off the diagonal; symmetric.
    precision, covariance : (n, n)
        K and its inverse.
    rng : numpy.random.Generator
    """
    n = scatter.shape[0]
    for i in rng.permutation(n):
        others, complement, weight, linear = open_column(i, scatter, rate, covariance)
        inverse_variance = np.empty(n - 1)
        for a in range(n - 1):
            inverse_variance[a] = 1.0 / variance[others[a], i]
        b = draw_column(weight, complement, linear, inverse_variance, rng)
        g = 2.0 * rng.standard_gamma(0.5 * dof + 1.0) / weight
        place_column(i, others, complement, b, g, precision, covariance)
    # Rounding adds up over the columns.
    covariance[:] = inverse_spd(precision)


@inner_kernel
def draw_edge(weight, linear, log_odds, spike, slab, rng):
    """Draw whether an element has the slab's variance, with the element integrated out; and it.

    The element has the log density ``linear b - weight b^2 / 2`` beside its prior.
    """
    narrow, wide = weight + 1.0 / spike, weight + 1.0 / slab
    log_ratio = log_odds + 0.5 * math.log(spike * narrow / (slab * wide))
    log_ratio += 0.5 * linear * linear * (1.0 / wide - 1.0 / narrow)
    edge = math.log(rng.random()) < -math.log1p(math.exp(-log_ratio)) if log_ratio > -700 else False
    total = wide if edge else narrow
    return edge, linear / total + rng.standard_normal() / math.sqrt(total)


@kernel
def update_edges(scatter, dof, rate, spike, slab, log_odds, edge, precision, covariance, rng):
    """Update all columns and which elements are edges, in place.

    A column is drawn as a block given its edges, then each of its elements with its edge, the
    element integrated out: given it, an edge hardly ever changes where the spike is narrow.

    Parameters
    ----------
    scatter : (n, n)
        S.
    dof, rate : float
        As in `update_columns`.
    spike, slab : float
        Variances of the elements without and with an edge.
    log_odds : (n, n)
        Of an edge a priori, but for the constant of the positive definite region.
    edge : (n, n) bool
    precision, covariance : (n, n)
        K and its inverse.
    rng : numpy.random.Generator
    """
    n = scatter.shape[0]
    for i in rng.permutation(n):
        others, complement, weight, linear = open_column(i, scatter, rate, covariance)
        inverse_variance = np.empty(n - 1)
        for a in range(n - 1):
            inverse_variance[a] = 1.0 / (slab if edge[i, others[a]] else spike)
        b = draw_column(weight, complement, linear, inverse_variance, rng)
        gradient = linear - weight * np.dot(complement, b)
        for a in rng.permutation(n - 1):
            own = weight * complement[a, a]
            before, j = b[a], others[a]
            drawn, b[a] = draw_edge(
                own, gradient[a] + own * before, log_odds[i, j], spike, slab, rng
            )
            edge[i, j] = edge[j, i] = drawn
            shift = weight * (b[a] - before)
            for c in range(n - 1):
                gradient[c] -= shift * complement[a, c]
        g = 2.0 * rng.standard_gamma(0.5 * dof + 1.0) / weight
        place_column(i, others, complement, b, g, precision, covariance)
    covariance[:] = inverse_spd(precision)


@kernel
def update_local_scales(square, count, local, auxiliary, rng):
    """Local variances of a horseshoe over elements, half-Cauchy sds, in place.

    Makalic and Schmidt 2016, IEEE Signal Process. Lett. 23; several graphs share a local variance
    in Lingjaerde et al. 2024, J. R. Stat. Soc. C.

    Parameters
    ----------
    square : (n, n)
        Sum over graphs of ``K_ij^2 / (2 tau^2)``.
    count : int
        Number of graphs.
    local, auxiliary : (n, n)
        Local variances and what they are mixed over; symmetric.
    rng : numpy.random.Generator
    """
    n = square.shape[0]
    for i in range(n):
        for j in range(i):
            rate = 1.0 / auxiliary[i, j] + square[i, j]
            drawn = rate / rng.standard_gamma(0.5 * (count + 1.0))
            drawn = min(max(drawn, SMALLEST_VARIANCE), 1.0 / SMALLEST_VARIANCE)
            local[i, j] = local[j, i] = drawn
            drawn = (1.0 + 1.0 / drawn) / rng.standard_gamma(1.0)
            auxiliary[i, j] = auxiliary[j, i] = drawn


@kernel
def update_horseshoe_scale(precision, local, scale, unit, rng):
    """Global variance ``tau^2`` of a horseshoe, its sd half-Cauchy of scale ``unit``, in place.

    Parameters
    ----------
    precision, local : (n, n)
    scale : (2,)
        tau^2 and what it is mixed over.
    unit : float
    rng : numpy.random.Generator
    """
    n = precision.shape[0]
    total = 0.0
    for i in range(n):
        for j in range(i):
            total += precision[i, j] ** 2 / (2.0 * local[i, j])
    pairs = 0.5 * n * (n - 1.0)
    drawn = (1.0 / scale[1] + total) / rng.standard_gamma(0.5 * (pairs + 1.0))
    scale[0] = min(max(drawn, SMALLEST_VARIANCE), 1.0 / SMALLEST_VARIANCE)
    scale[1] = (1.0 / unit**2 + 1.0 / scale[0]) / rng.standard_gamma(1.0)
