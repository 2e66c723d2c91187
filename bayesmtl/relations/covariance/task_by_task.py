"""One task after another: its row of the covariance of tasks, its own weights integrated out.

Given the others the standardised deviations of a task are ``sum_s beta_s e_s + sqrt(omega) u``, u a
row of the population of the features. Under the prior of Huang and Wand (2013) given the scales
psi of the other tasks, ``beta_s ~ Normal(0, omega / psi_s)`` and omega has the prior that is left
when psi of this task is integrated out.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import (
    cholesky,
    draw_gaussian,
    draw_inverse_wishart,
    inverse_spd,
    solve_upper,
)
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.state import HALF_T_DOF, HALF_T_SCALE

__all__ = ["draw_covariance", "draw_row", "draw_scale", "set_row", "update_tasks"]

_LARGE = 48
# Least variance of a task given the others, as a share of what they explain: below it the
# covariance is singular in double precision, and outside the support.
_SINGULAR = 1e-12


@inner_kernel
def draw_scale(inverse, n_tasks, rng):
    """Scale psi of the inverse-Wishart prior of a task, by its element of the precision."""
    rate = HALF_T_DOF * inverse + 1.0 / HALF_T_SCALE**2
    return 2.0 * HALF_T_DOF * rng.standard_gamma(0.5 * (HALF_T_DOF + n_tasks)) / rate


@inner_kernel
def draw_covariance(precision, scatter, count, rng):
    """A covariance of the tasks, and its inverse, given ``count`` features with such a scatter.

    Huang and Wand 2013, Bayesian Anal. 8, section 4.2, with tasks for variables; ``precision``
    (task, task) is the inverse of the covariance before.
    """
    n_tasks = precision.shape[0]
    whole = scatter.copy()
    for t in range(n_tasks):
        whole[t, t] += draw_scale(precision[t, t], n_tasks, rng)
    return draw_inverse_wishart(HALF_T_DOF + n_tasks - 1.0 + count, whole, rng)


@inner_kernel
def _log_prior(x, n_tasks, square):
    """Log density of ``log omega`` given beta, ``square = sum_s psi_s beta_s^2``."""
    inverse = math.exp(-x)
    value = -0.5 * (HALF_T_DOF + n_tasks - 1.0) * x - 0.5 * (n_tasks - 1.0) * x
    value -= 0.5 * square * inverse
    rate = HALF_T_DOF * inverse + 1.0 / HALF_T_SCALE**2
    return value - 0.5 * (HALF_T_DOF + n_tasks) * math.log(rate)


@inner_kernel
def _forward(lower, x):
    """``L^-1 x`` in place."""
    for i in range(x.shape[0]):
        total = x[i]
        for j in range(i):
            total -= lower[i, j] * x[j]
        x[i] = total / lower[i, i]


@inner_kernel
def _factor(matrix):
    """Lower Cholesky factor, by loops of our own where these are faster or LAPACK gives up."""
    if matrix.shape[0] < _LARGE:
        return cholesky(matrix)
    try:
        return np.linalg.cholesky(matrix)
    except Exception:
        return cholesky(matrix)


@inner_kernel
def _target(x, args):
    """Log conditional of ``log omega`` with u integrated out."""
    gram, rest, precision, n_tasks, square = args
    d = rest.shape[0]
    lower = _factor(precision * math.exp(-x) + gram)
    half = rest.copy()
    _forward(lower, half)
    value = _log_prior(x, n_tasks, square) - 0.5 * d * x
    for i in range(d):
        value += 0.5 * half[i] * half[i] - math.log(lower[i, i])
    return value


_slice = slice_sampler(_target)


@inner_kernel
def _draw_slopes(gram, score, lower, others, penalty, rng):
    """Draw beta with u integrated out."""
    n, d = others.shape
    half = np.dot(gram, others.T)
    right = score.copy()
    _forward(lower, right)
    linear = np.dot(others, score)
    precision = np.dot(others, half)
    for i in range(d):
        for j in range(i):
            half[i] -= lower[i, j] * half[j]
        half[i] /= lower[i, i]
    precision -= np.dot(half.T, half)
    linear -= np.dot(half.T, right)
    for s in range(n):
        precision[s, s] += penalty[s]
    return draw_gaussian(precision, linear, rng)


@inner_kernel
def _conditional(t, others, covariance):
    """Slopes beta and variance omega of task t given the others."""
    n = others.shape[0]
    order = np.empty(n + 1, dtype=np.int64)
    order[:n], order[n] = others, t
    moved = np.empty((n + 1, n + 1))
    for a in range(n + 1):
        for b in range(n + 1):
            moved[a, b] = covariance[order[a], order[b]]
    lower = cholesky(moved)
    slopes = lower[n, :n].copy()
    for a in range(n - 1, -1, -1):
        slopes[a] /= lower[a, a]
        for b in range(a):
            slopes[b] -= lower[a, b] * slopes[a]
    return slopes, lower[n, n] ** 2


@inner_kernel
def draw_row(t, others, covariance, psi, own, linear, features, rows, rng):
    """Slopes and variance of a task, its deviations integrated out, then what is left of these.

    Parameters
    ----------
    t : int
    others : (task - 1,)
    covariance : (task, task)
    psi : (task,)
        Scales of the prior.
    own : (d, d)
        Site of the standardised deviations of the task.
    linear : (d,)
        Its linear term, at deviations zero.
    features : (d, d)
        Precision of the standardised deviations.
    rows : (task - 1, d)
        Deviations of the others.
    rng : numpy.random.Generator

    Returns
    -------
    slopes : (task - 1,)
    omega : float
    rest : (d,)
        Deviations of the task less what the others explain.
    """
    slopes, omega = _conditional(t, others, covariance)
    square = (psi[others] * slopes**2).sum()
    rest = linear - np.dot(own, np.dot(slopes, rows))
    args = (own, rest, features, float(psi.shape[0]), square)
    omega = math.exp(_slice(args, math.log(omega), 1.0, rng))
    lower = _factor(features / omega + own)
    slopes = _draw_slopes(own, linear, lower, rows, psi[others] / omega, rng)
    drawn = linear - np.dot(own, np.dot(slopes, rows))
    _forward(lower, drawn)
    for i in range(drawn.shape[0]):
        drawn[i] += rng.standard_normal()
    solve_upper(lower, drawn)
    return slopes, omega, drawn


@inner_kernel
def set_row(t, others, slopes, omega, covariance):
    """Inverse of `_conditional`; the covariance of the others stays.

    False, and nothing is set, where double precision could not tell the task from the others.
    """
    explained = 0.0
    row = np.empty(others.shape[0])
    for a in range(others.shape[0]):
        row[a] = 0.0
        for b in range(others.shape[0]):
            row[a] += covariance[others[a], others[b]] * slopes[b]
        explained += slopes[a] * row[a]
    if not omega > _SINGULAR * explained:
        return False
    for a in range(others.shape[0]):
        covariance[t, others[a]] = covariance[others[a], t] = row[a]
    covariance[t, t] = omega + explained
    return True


@kernel
def update_tasks(gram, score, first, features, deviation, covariance, precision, most, rng):
    """Update covariance, precision and standardised deviations, task by task, in place.

    Parameters
    ----------
    gram : (task, p, p)
        Sites of the standardised deviations.
    score : (task, p)
        Their linear term, at deviations zero.
    first : int
        Coefficients before it keep their values.
    features : (d, d)
        Precision of the standardised deviations of the features.
    deviation : (task, p)
    covariance, precision : (task, task)
    most : int
        Number of tasks, chosen at random.
    rng : numpy.random.Generator
    """
    n_tasks, p = score.shape
    psi = np.empty(n_tasks)
    for t in range(n_tasks):
        psi[t] = draw_scale(precision[t, t], n_tasks, rng)
    for t in rng.permutation(n_tasks)[:most]:
        others = np.empty(n_tasks - 1, dtype=np.int64)
        for a in range(n_tasks - 1):
            others[a] = a if a < t else a + 1
        rows = deviation[others, first:].copy()
        own = gram[t, first:, first:].copy()
        linear = score[t, first:].copy()
        for i in range(first, p):
            for j in range(first):
                linear[i - first] -= gram[t, i, j] * deviation[t, j]
        slopes, omega, rest = draw_row(t, others, covariance, psi, own, linear, features, rows, rng)
        if set_row(t, others, slopes, omega, covariance):
            deviation[t, first:] = np.dot(slopes, rows) + rest
            psi[t] = draw_scale(1.0 / omega, n_tasks, rng)
    precision[:] = inverse_spd(covariance)
