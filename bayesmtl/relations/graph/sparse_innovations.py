"""Columns of a sparse precision of tasks given innovations, the weights moving with them.

For task t, with C the inverse of the precision without its row and b its column, the deviations are
``x_t = u / sqrt(g)`` and ``x_s = e_s - (C b)_s x_t``. Given u, e and C the weights of all tasks
follow b and g, and the sites are quadratic in both.
"""

import math

import numpy as np

from bayesmtl.numerics.graph_precision import column_complement, others_of, place_column
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import draw_gaussian, inverse_spd
from bayesmtl.numerics.slicing import slice_sampler

__all__ = ["DIAGONAL_RATE", "update_innovations"]

# Of the exponential prior of the diagonal, times two: the sd of a task's weights is then about one.
DIAGONAL_RATE = 1.0


@inner_kernel
def _moments(gram, score, others, t, x):
    """Of the scalars m in ``x_s = e_s - m_s x_t``, at the deviations x (task, d).

    ``square`` (n,) and ``linear`` (n,): the log-likelihood is ``linear'm - m'diag(square) m / 2``
    but for a constant, for m measured from its present value.
    """
    n, d = others.shape[0], x.shape[1]
    square, linear = np.zeros(n), np.zeros(n)
    for a in range(n):
        s = others[a]
        for i in range(d):
            image, pull = 0.0, -score[s, i]
            for j in range(d):
                image += gram[s, i, j] * x[t, j]
                pull += gram[s, i, j] * x[s, j]
            square[a] += x[t, i] * image
            linear[a] += x[t, i] * pull
    return square, linear


@inner_kernel
def _column_given_innovations(gram, score, t, others, complement, b, variance, x, rng):
    """Draw b and move the deviations of the other tasks along, in place."""
    n, d = others.shape[0], x.shape[1]
    square, linear = _moments(gram, score, others, t, x)
    slopes = np.dot(complement, b)
    whole = np.empty((n, n))
    for a in range(n):
        whole[a] = square[a] * complement[a]
    whole = np.dot(complement, whole)
    for a in range(n):
        linear[a] += square[a] * slopes[a]
        for c in range(n):
            whole[a, c] += DIAGONAL_RATE * complement[a, c]
        whole[a, a] += 1.0 / variance[t, others[a]]
    b[:] = draw_gaussian(whole, np.dot(complement, linear), rng)
    moved = np.dot(complement, b) - slopes
    for a in range(n):
        for i in range(d):
            x[others[a], i] -= moved[a] * x[t, i]


@inner_kernel
def _scale_target(x, args):
    """Log conditional of ``x = log r``, where deviations move as r and the site is quadratic in it.

    ``power x - (second r^-2 + fourth r^-4) / 2 + linear r - quadratic r^2 / 2``.
    """
    power, second, fourth, quadratic, linear = args
    r = math.exp(x)
    value = power * x - 0.5 * (second + fourth / (r * r)) / (r * r)
    return value + linear * r - 0.5 * quadratic * r * r


_slice = slice_sampler(_scale_target)


@inner_kernel
def _site_along(gram, score, t, x, direction):
    """Quadratic and linear term of r at deviations ``x_t + (r - 1) direction``."""
    quadratic, linear = 0.0, 0.0
    for i in range(direction.shape[0]):
        image, pull = 0.0, score[t, i]
        for j in range(direction.shape[0]):
            image += gram[t, i, j] * direction[j]
            pull -= gram[t, i, j] * (x[t, j] - direction[j])
        quadratic += direction[i] * image
        linear += direction[i] * pull
    return quadratic, linear


@inner_kernel
def _spread_given_innovations(gram, score, t, others, slopes, g, x, rng):
    """Draw g, the deviations of all tasks moving with ``1 / sqrt(g)``; returns g."""
    quadratic, linear = _site_along(gram, score, t, x, x[t])
    for a in range(others.shape[0]):
        more = _site_along(gram, score, others[a], x, -slopes[a] * x[t])
        quadratic += more[0]
        linear += more[1]
    # Of log g = -2 x the density has the factor g.
    args = (-2.0, DIAGONAL_RATE * g, 0.0, quadratic, linear)
    r = math.exp(_slice(args, 0.0, 0.5, rng))
    for a in range(others.shape[0]):
        x[others[a]] -= (r - 1.0) * slopes[a] * x[t]
    x[t] *= r
    return g / (r * r)


@kernel
def update_innovations(gram, score, variance, members, x, covariance, precision, rng):
    """Update columns of some tasks, then the scale of each, and the deviations with them, in place.

    Parameters
    ----------
    gram : (task, d, d)
        Sites of the standardised deviations.
    score : (task, d)
        Their linear term, at deviations zero.
    variance : (task, task)
        Of the elements off the diagonal.
    members : (k,) int
        Tasks whose columns are updated.
    x : (task, d)
        Deviations.
    covariance, precision : (task, task)
    rng : numpy.random.Generator
    """
    n = x.shape[0]
    for t in members:
        others = others_of(t, n)
        complement = column_complement(t, others, covariance)
        b = np.empty(n - 1)
        for a in range(n - 1):
            b[a] = precision[t, others[a]]
        if n > 1:
            _column_given_innovations(gram, score, t, others, complement, b, variance, x, rng)
        slopes = np.dot(complement, b)
        g = 1.0 / covariance[t, t]
        g = _spread_given_innovations(gram, score, t, others, slopes, g, x, rng)
        place_column(t, others, complement, b, g, precision, covariance)
    for t in rng.permutation(n):
        _rescale_task(gram, score, variance, t, x, covariance, precision, rng)
    covariance[:] = inverse_spd(precision)


@inner_kernel
def _rescale_task(gram, score, variance, t, x, covariance, precision, rng):
    """Deviations of one task times r, its row and column of the precision divided by it."""
    n = x.shape[0]
    square = 0.0
    for s in range(n):
        if s != t:
            square += precision[t, s] ** 2 / variance[t, s]
    quadratic, linear = _site_along(gram, score, t, x, x[t])
    # Jacobian of the row and the diagonal element; those of deviations and their density cancel.
    second = square + DIAGONAL_RATE * precision[t, t]
    args = (-(n + 1.0), second, 0.0, quadratic, linear)
    r = math.exp(_slice(args, 0.0, 0.5, rng))
    x[t] *= r
    precision[t] /= r
    precision[:, t] /= r
    covariance[t] *= r
    covariance[:, t] *= r
