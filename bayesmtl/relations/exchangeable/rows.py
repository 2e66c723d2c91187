"""Non-centred update of a Huang-Wand covariance: its Cholesky factor, row by row.

With ``D = L L'`` and deviations ``L e_t`` for standard normal ``e_t``, row i of L enters
the likelihood through the weight of feature i alone, and linearly. Given the scales a of the prior
its elements off the diagonal are jointly normal, so the update needs no tuning. It moves the
correlations where the data say little of the deviations and the centred update stalls.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel, lane_kernel
from bayesmtl.numerics.matrices import cholesky, draw_gaussian, inverse_spd, invert_lower
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF

__all__ = ["row_pass", "update_row"]


@lane_kernel
def _whiten(deviation, lower, block, out):
    """``e_t = L^-1 dev_t`` of the features from ``block`` on."""
    n_lanes = out.shape[2]
    d = out.shape[1]
    for k in range(out.shape[0]):
        for i in range(d):
            for v in range(n_lanes):
                out[k, i, v] = deviation[k, block + i, v]
            for j in range(i):
                for v in range(n_lanes):
                    out[k, i, v] -= lower[i, j] * out[k, j, v]
            for v in range(n_lanes):
                out[k, i, v] /= lower[i, i]


@lane_kernel
def _row_moments(gram, moment, precision, weights, center, white, row, column):
    """Precision and linear term of the likelihood as a function of row ``row`` of L.

    ``column`` is the feature's place among all coefficients.
    """
    n_lanes = gram.shape[2]
    p = weights.shape[1]
    n = row + 1
    packed = np.zeros((n * (n + 1) // 2, n_lanes))
    linear_lanes = np.zeros((n, n_lanes))
    rest = np.empty(n_lanes)
    scaled = np.empty(n_lanes)
    own = column * (column + 1) // 2 + column
    for k in range(gram.shape[0]):
        for v in range(n_lanes):
            rest[v] = moment[k, column, v] + gram[k, own, v] * (
                weights[k, column, v] - center[k, column, v]
            )
        for j in range(p):
            low, high = min(j, column), max(j, column)
            e = high * (high + 1) // 2 + low
            for v in range(n_lanes):
                rest[v] -= gram[k, e, v] * weights[k, j, v]
        for i in range(n):
            for v in range(n_lanes):
                scaled[v] = white[k, i, v] * precision[k, v]
                linear_lanes[i, v] += scaled[v] * rest[v]
                scaled[v] *= gram[k, own, v]
            e = i * (i + 1) // 2
            for j in range(i + 1):
                for v in range(n_lanes):
                    packed[e + j, v] += scaled[v] * white[k, j, v]
    quadratic = np.empty((n, n))
    linear = np.empty(n)
    for i in range(n):
        linear[i] = linear_lanes[i].sum()
        for j in range(i + 1):
            quadratic[i, j] = quadratic[j, i] = packed[i * (i + 1) // 2 + j].sum()
    return quadratic, linear


@kernel
def _diagonal_target(x, args):
    """Log conditional of ``x = log L_ii``: IW density, Jacobians and likelihood."""
    start, power, prior_linear, prior_quadratic, quadratic, linear = args
    value = math.exp(x)
    step = start - start * start / value
    prior = prior_linear * step - 0.5 * prior_quadratic * step * step
    return power * x + prior - 0.5 * quadratic * value * value + linear * value


_slice_diagonal = slice_sampler(_diagonal_target)


@inner_kernel
def _cross(inverse, i):
    """``x_k'x_i`` of the columns of L^-1, for k up to i."""
    out = np.zeros(i + 1)
    for k in range(i + 1):
        for m in range(i, inverse.shape[0]):
            out[k] += inverse[m, k] * inverse[m, i]
    return out


@inner_kernel
def _update_left(lower, inverse, psi, i, quadratic, linear, rng):
    """Draw what stands left of the diagonal in row i of L."""
    cross = _cross(inverse, i)
    precision = np.empty((i, i))
    right = np.empty(i)
    for j in range(i):
        prior_linear = 0.0
        for k in range(j + 1):
            prior_linear += psi[k] * cross[k] * inverse[j, k]
        right[j] = linear[j] - quadratic[j, i] * lower[i, i] + prior_linear
        for m in range(j + 1):
            prior = 0.0
            for k in range(m + 1):
                prior += psi[k] * inverse[j, k] * inverse[m, k]
            prior *= cross[i]
            precision[j, m] = precision[m, j] = quadratic[j, m] + prior
    for j in range(i):
        for m in range(i):
            right[j] += (precision[j, m] - quadratic[j, m]) * lower[i, m]
    drawn = draw_gaussian(precision, right, rng)
    column = inverse[:, i].copy()
    for k in range(i):
        u = 0.0
        for j in range(k, i):
            u += (drawn[j] - lower[i, j]) * inverse[j, k]
        for m in range(i, lower.shape[0]):
            inverse[m, k] -= column[m] * u
    lower[i, :i] = drawn


@inner_kernel
def _update_diagonal(lower, inverse, psi, i, quadratic, linear, rng):
    """Draw the diagonal element of row i of L."""
    d, cross = lower.shape[0], _cross(inverse, i)
    prior_linear, prior_quadratic, slope = 0.0, 0.0, linear[i]
    for k in range(i + 1):
        prior_linear += psi[k] * inverse[i, k] * cross[k]
        prior_quadratic += psi[k] * inverse[i, k] ** 2 * cross[i]
    for j in range(i):
        slope -= quadratic[i, j] * lower[i, j]
    # |D|^-((nu + 2 d) / 2), Jacobian L_ii^(d - i) of D in L, and of the logarithm.
    power = d - i + 1.0 - HUANG_WAND_DOF - 2.0 * d
    start = lower[i, i]
    args = (start, power, prior_linear, prior_quadratic, quadratic[i, i], slope)
    lower[i, i] = math.exp(_slice_diagonal(args, math.log(start), 0.5, rng))
    step = start - start * start / lower[i, i]
    column, row = inverse[:, i].copy(), inverse[i].copy()
    for k in range(i + 1):
        for m in range(i, d):
            inverse[m, k] -= column[m] * step * row[k]


@inner_kernel
def update_row(lower, inverse, psi, i, quadratic, linear, backwards, rng):
    """Draw row i of L given the others; ``inverse`` is L^-1, kept up to date.

    The prior ``exp(-sum_k psi_k |x_k|^2 / 2)`` is of the columns x_k of L^-1, and a change delta of
    row i turns them into ``x_k - x_i u_k`` with ``u = L^-1' delta`` (for the diagonal element, with
    ``u = (1 - L_ii / L_ii') L_ii`` times row i of L^-1). The diagonal element is drawn last, or
    first where ``backwards``.
    """
    if backwards:
        _update_diagonal(lower, inverse, psi, i, quadratic, linear, rng)
    if i > 0:
        _update_left(lower, inverse, psi, i, quadratic, linear, rng)
    if not backwards:
        _update_diagonal(lower, inverse, psi, i, quadratic, linear, rng)


@kernel
def row_pass(sites, prior, state, rng):
    """Update the covariance and with it the weights, in place.

    Forwards or backwards by a toss: reversible, so a proposal.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
        With a Huang-Wand covariance.
    state : PopulationState
    rng : numpy.random.Generator
    """
    n_lanes = state.weights.shape[2]
    b = prior.block
    d = state.scale.shape[0] - b
    if d == 0:
        return
    lower = cholesky(np.ascontiguousarray(state.covariance[b:, b:]))
    inverse = invert_lower(lower)
    psi = np.empty(d)
    for j in range(d):
        rate = HUANG_WAND_DOF * state.precision[b + j, b + j] + 1.0 / prior.half_t_scale[b + j] ** 2
        psi[j] = 2.0 * HUANG_WAND_DOF * rng.standard_gamma(0.5 * (HUANG_WAND_DOF + d)) / rate
    white = np.empty((state.deviation.shape[0], d, n_lanes))
    _whiten(state.deviation, lower, b, white)
    backwards = rng.random() < 0.5
    for step in range(d):
        i = d - 1 - step if backwards else step
        quadratic, linear = _row_moments(
            sites.gram,
            sites.moment,
            sites.precision,
            state.weights,
            state.center,
            white,
            i,
            b + i,
        )
        update_row(lower, inverse, psi, i, quadratic, linear, backwards, rng)
        _set_feature(state, white, lower, i, b + i)
    covariance = np.dot(lower, lower.T)
    state.covariance[b:, b:] = covariance
    state.precision[b:, b:] = inverse_spd(covariance)


@inner_kernel
def _set_feature(state, white, lower, row, column):
    n_lanes = white.shape[2]
    for k in range(white.shape[0]):
        for v in range(n_lanes):
            total = 0.0
            for j in range(row + 1):
                total += lower[row, j] * white[k, j, v]
            state.deviation[k, column, v] = total
            state.weights[k, column, v] = state.center[k, column, v] + total
