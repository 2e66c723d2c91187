"""Column updates of the precision matrices of several graphs at once, under a joint horseshoe.

Given a scale, an element of a graph without that edge is tiny, and given the elements of all
graphs, the scale that they share hardly moves: it is updated with the elements integrated out. For
column i of each graph, as in `bayesmtl.numerics.graph_precision`, element ij of graph b has the
log density ``c_b x - w_b x^2 / 2`` given its other elements, besides ``Normal(0, v s_b)``, where
``v = l_ij^2`` is shared and ``s_b = tau_b^2 m_bij^2`` is not. So

    log p(v | rest) = log p(v) + sum_b [-log(1 + w_b v s_b) + c_b^2 v s_b / (1 + w_b v s_b)] / 2.
"""

import math

import numpy as np

from bayesmtl.numerics.graph_precision import (
    SMALLEST_VARIANCE,
    draw_column,
    open_column,
    others_of,
    place_column,
    update_horseshoe_scale,
    update_local_scales,
)
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import inverse_spd

__all__ = ["rescale", "update_scales", "update_shared_columns"]

_SHORT, _LONG = 0.8, 3.0  # steps of the random walk of log l
_STEP = 0.3  # of the common factor of all scales
_ROUNDS = 2  # a fraction of the time that the columns take


@inner_kernel
def _log_collapsed(variance, unit, weight, linear):
    """Log density of ``v`` but for its prior, the elements integrated out."""
    out = 0.0
    for b in range(unit.shape[0]):
        s = variance * unit[b]
        grown = 1.0 + weight[b] * s
        out += 0.5 * (linear[b] * linear[b] * s / grown - math.log(grown))
    return out


@inner_kernel
def _draw_shared(variance, unit, weight, linear, rng):
    """Metropolis steps of ``v``, whose square root is half-Cauchy: near, far and from the prior."""
    current = _log_collapsed(variance, unit, weight, linear)
    for move in range(3):
        if move == 2:
            proposed = (rng.standard_normal() / rng.standard_normal()) ** 2
            ratio = 0.0
        else:
            step = _SHORT if move == 0 else _LONG
            proposed = variance * math.exp(2.0 * step * rng.standard_normal())
            # The density of log l is l / (1 + l^2).
            ratio = 0.5 * math.log(proposed / variance)
            ratio -= math.log((1.0 + proposed) / (1.0 + variance))
        if not SMALLEST_VARIANCE < proposed < 1.0 / SMALLEST_VARIANCE:
            continue
        value = _log_collapsed(proposed, unit, weight, linear)
        if math.log(rng.random()) < value - current + ratio:
            variance, current = proposed, value
    return variance


@kernel
def update_shared_columns(
    scatter, count, rate, scale, own, local, own_scales, precision, covariance, members, rng
):
    """Update all columns of several graphs and the local variances of elements, in place.

    Parameters
    ----------
    scatter : (graph, n, n)
        Sums of squares.
    count : (graph,)
        Numbers of rows in them.
    rate : float
        Twice the rate of the exponential prior of the diagonals.
    scale : (graph,)
        tau^2.
    own : (graph, n, n)
        Variances of single elements, m^2; symmetric.
    local : (n, n)
        Shared variances l^2; symmetric.
    own_scales : bool
        Whether m is not fixed.
    precision, covariance : (graph, n, n)
    members : (member,) int
        Graphs to update.
    rng : numpy.random.Generator
    """
    n, size = local.shape[0], members.shape[0]
    complement = np.empty((size, n - 1, n - 1))
    column, gradient = np.empty((size, n - 1)), np.empty((size, n - 1))
    weight, unit, pull, whole = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    alone = np.empty(1)
    for i in rng.permutation(n):
        others = others_of(i, n)
        for m in range(size):
            b = members[m]
            _, complement[m], whole[m], linear = open_column(i, scatter[b], rate, covariance[b])
            inverse_variance = np.empty(n - 1)
            for a in range(n - 1):
                j = others[a]
                variance = scale[b] * own[b, i, j] * local[i, j]
                inverse_variance[a] = 1.0 / max(variance, SMALLEST_VARIANCE)
            column[m] = draw_column(whole[m], complement[m], linear, inverse_variance, rng)
            gradient[m] = linear - whole[m] * np.dot(complement[m], column[m])
        for a in rng.permutation(n - 1):
            j = others[a]
            for m in range(size):
                b = members[m]
                weight[m] = whole[m] * complement[m, a, a]
                pull[m] = gradient[m, a] + weight[m] * column[m, a]
                unit[m] = scale[b] * own[b, i, j]
            drawn = _draw_shared(local[i, j], unit, weight, pull, rng)
            local[i, j] = local[j, i] = drawn
            for m in range(size):
                variance = drawn * unit[m]
                # Every pair comes twice in a sweep.
                if own_scales and i > j:
                    b, one = members[m], slice(m, m + 1)
                    alone[0] = scale[b] * drawn
                    kept = _draw_shared(own[b, i, j], alone, weight[one], pull[one], rng)
                    own[b, i, j] = own[b, j, i] = kept
                    variance = kept * alone[0]
                total = weight[m] + 1.0 / max(variance, SMALLEST_VARIANCE)
                value = pull[m] / total + rng.standard_normal() / math.sqrt(total)
                shift = whole[m] * (value - column[m, a])
                column[m, a] = value
                for c in range(n - 1):
                    gradient[m, c] -= shift * complement[m, a, c]
        for m in range(size):
            b = members[m]
            g = 2.0 * rng.standard_gamma(0.5 * count[b] + 1.0) / whole[m]
            place_column(i, others, complement[m], column[m], g, precision[b], covariance[b])
    for m in range(size):
        covariance[members[m]] = inverse_spd(precision[members[m]])


@inner_kernel
def _log_grown(variance, factor, unit):
    """Log ratio of the density of the log of a half-Cauchy sd, its variance times a factor.

    The density is ``s / (unit^2 + s^2)``.
    """
    return math.log((unit * unit + variance * factor) / (unit * unit + variance))


@kernel
def rescale(scale, local, unit, members, rng):
    """Multiply all l^2 by a factor and divide all tau^2 by it: the elements do not notice.

    So too with m^2 and tau^2 of one graph.

    Parameters
    ----------
    scale : (graph,)
        tau^2, changed in place.
    local : (n, n)
        l^2, changed in place.
    unit : float
        Scale of the half-Cauchy prior of tau.
    members : (member,) int
    rng : numpy.random.Generator
    """
    n = local.shape[0]
    for size in (1.0, 0.3, 0.1):
        factor = math.exp(2.0 * size * _STEP * rng.standard_normal())
        # Of the numerators s, one for each scale.
        ratio = 0.5 * math.log(factor) * (0.5 * n * (n - 1.0) - members.shape[0])
        for i in range(n):
            for j in range(i):
                ratio -= _log_grown(local[i, j], factor, 1.0)
        for b in members:
            ratio -= _log_grown(scale[b], 1.0 / factor, unit)
        if math.log(rng.random()) < ratio:
            for i in range(n):
                for j in range(i):
                    local[i, j] = local[j, i] = local[i, j] * factor
            for b in members:
                scale[b] /= factor


@inner_kernel
def _draw_mixing(variance, rng):
    """What half-Cauchy scales (n, n) are mixed over, given them."""
    n = variance.shape[0]
    out = np.ones((n, n))
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i] = (1.0 + 1.0 / variance[i, j]) / rng.standard_gamma(1.0)
    return out


@kernel
def update_scales(precision, scale, own, local, own_scales, unit, members, rng):
    """Update the scales given the elements, several times, in place.

    The global scales follow the local ones slowly, and all of this is cheap beside the columns.

    Parameters
    ----------
    precision, own, local, own_scales, members
        As in `update_shared_columns`.
    scale : (graph, 2)
        tau^2 and what it is mixed over.
    unit : float
        Scale of the half-Cauchy prior of tau.
    rng : numpy.random.Generator
    """
    n, size = local.shape[0], members.shape[0]
    squared = scale[:, 0].copy()
    for _ in range(_ROUNDS):
        total = np.zeros((n, n))
        for b in members:
            total += 0.5 * precision[b] ** 2 / (scale[b, 0] * own[b])
        update_local_scales(total, size, local, _draw_mixing(local, rng), rng)
        for b in members:
            if own_scales:
                half = 0.5 * precision[b] ** 2 / (scale[b, 0] * local)
                update_local_scales(half, 1, own[b], _draw_mixing(own[b], rng), rng)
            update_horseshoe_scale(precision[b], local * own[b], scale[b], unit, rng)
            squared[b] = scale[b, 0]
        rescale(squared, local, unit, members, rng)
        for m in range(size):
            b = members[m]
            if own_scales:
                rescale(squared, own[b], unit, members[m : m + 1], rng)
            scale[b, 0] = squared[b]
            scale[b, 1] = (1.0 / unit**2 + 1.0 / squared[b]) / rng.standard_gamma(1.0)
