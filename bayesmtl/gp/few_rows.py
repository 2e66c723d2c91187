"""Kernels for functions of which few rows tell: algebra in the space of the rows.

Rows of a task, or as many sums of them as say the same, are ``response = design w + noise``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.gp.lengthscales import (
    directions,
    draw_ridge,
    from_here,
    grow,
    place_lengths,
    place_scales,
)
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import cholesky, inverse_spd, solve_lower, solve_upper
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.task_by_task import draw_row, draw_scale, set_row

__all__ = ["FewRows", "draw_by_rows", "few_rows", "lengths_by_rows", "update_tasks_by_rows"]

_WIDTH = 1.0
# Least singular value of a design as a share of the largest.
_ROUNDING = 1e-7


class FewRows(NamedTuple):
    """Sums of the rows of each task, at a noise precision of one.

    Parameters
    ----------
    design : (task, r, p)
        Zero beyond the rank of a task.
    response : (task, r)
    """

    design: np.ndarray
    response: np.ndarray


def few_rows(gram: np.ndarray, moment: np.ndarray) -> FewRows:
    """From sums over rows, (task, p, p) and (task, p)."""
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0.0))
    told = root > _ROUNDING * root[:, -1:]
    rank = max(int(told.sum(axis=1).max()), 1)
    root, told = np.where(told, root, 0.0)[:, -rank:], told[:, -rank:]
    vectors = vectors[:, :, -rank:]
    along = np.einsum("tpr,tp->tr", vectors, moment)
    response = np.divide(along, root, out=np.zeros_like(along), where=told)
    return FewRows(np.ascontiguousarray((vectors * root[:, None, :]).swapaxes(1, 2)), response)


@inner_kernel
def _covariance_of_rows(scaled, covariance, log_noise, first):
    """Lower half of the covariance (task r, task r) of the rows, by designs with scales."""
    n_tasks, r, _ = scaled.shape
    whole = np.zeros((n_tasks * r, n_tasks * r))
    for t in range(n_tasks):
        at, functions = t * r, scaled[t, :, first:].copy()
        for u in range(t + 1):
            both = np.dot(functions, scaled[u, :, first:].copy().T)
            whole[at : at + r, u * r : (u + 1) * r] = covariance[t, u] * both
        for i in range(r):
            whole[at + i, at + i] += math.exp(2.0 * log_noise[t])
            for j in range(i + 1):
                for k in range(first):
                    whole[at + i, at + j] += scaled[t, i, k] * scaled[t, j, k]
    return whole


@inner_kernel
def _evidence(x, args):
    """Log density of the rows, all weights integrated out, and of the length-scales."""
    place, rows, covariance, log_noise, scale, first, ridge, own = args
    value = place_scales(x, place, ridge, own, scale[first:])
    if value == -np.inf:
        return value
    lower = np.linalg.cholesky(
        _covariance_of_rows(rows.design * scale, covariance, log_noise, first)
    )
    half = rows.response.copy().reshape(-1)
    solve_lower(lower, half)
    for i in range(half.shape[0]):
        value -= 0.5 * half[i] ** 2 + math.log(lower[i, i])
    return value


_slice_evidence = slice_sampler(_evidence)


@kernel
def lengths_by_rows(rows, state, lengths, first, rng):
    """Length-scales with all weights integrated out; the weights must be drawn next.

    Every other time, where there is a ridge, the covariance of the tasks grows with them: see
    `bayesmtl.gp.lengthscales`.

    Parameters
    ----------
    rows : FewRows
    state : FunctionState
    lengths : LengthState
    first : int
    rng : numpy.random.Generator
    """
    ridge = draw_ridge(lengths, rng)
    out = lengths.log_variance.copy()
    for direction in directions(lengths.free):
        slope, own = ridge * direction.sum(), np.diag(state.precision).copy()
        place = from_here(lengths, direction, out)
        of_rows = (rows, state.covariance, state.log_noise, state.scale, first, slope, own)
        x = _slice_evidence((place, *of_rows), 0.0, _WIDTH, rng)
        place_lengths(x, place)
        grow(state, slope * x)
        lengths.log_variance[:] = out
    state.scale[first:] = np.exp(0.5 * out)


@kernel
def draw_by_rows(rows, state, first, rng):
    """Weights of all tasks at once, drawn from the prior and moved to the rows.

    Matheron's rule; Bhattacharya, Chakraborty and Mallick 2016, Biometrika 103, algorithm 1.

    Parameters
    ----------
    rows : FewRows
    state : FunctionState
    first : int
        Coefficients before it are independent over tasks.
    rng : numpy.random.Generator
    """
    n_tasks, r, p = rows.design.shape
    drawn = rng.standard_normal((n_tasks, p))
    drawn[:, first:] = np.dot(cholesky(state.covariance), drawn[:, first:].copy())
    scaled = rows.design * state.scale
    rest = np.empty(n_tasks * r)
    for t in range(n_tasks):
        noise = math.exp(state.log_noise[t]) * rng.standard_normal(r)
        rest[t * r : (t + 1) * r] = rows.response[t] - np.dot(scaled[t], drawn[t]) - noise
    whole = _covariance_of_rows(scaled, state.covariance, state.log_noise, first)
    lower = np.linalg.cholesky(whole)
    solve_lower(lower, rest)
    solve_upper(lower, rest)
    back = np.empty((n_tasks, p))
    for t in range(n_tasks):
        back[t] = np.dot(rest[t * r : (t + 1) * r], scaled[t])
    state.deviation[:, :first] = drawn[:, :first] + back[:, :first]
    moved = np.dot(state.covariance, back[:, first:].copy())
    state.deviation[:, first:] = drawn[:, first:] + moved


@inner_kernel
def _directions(design, response):
    """Orthonormal directions (r, m) of functions that the rows tell, their site and linear term."""
    values, vectors = np.linalg.eigh(np.dot(design, design.T))
    root = np.sqrt(np.maximum(values, 0.0))
    along = np.dot(vectors.T.copy(), design)
    linear = root * np.dot(vectors.T.copy(), response)
    for i in range(root.shape[0]):
        if root[i] > _ROUNDING * root[-1]:
            along[i] /= root[i]
        else:
            along[i] = 0.0
            root[i] = linear[i] = 0.0
    return along, np.diag(root**2), linear


@kernel
def update_tasks_by_rows(rows, state, first, rng):
    """Covariance, task by task, with the weights of the functions of the task; see `update_tasks`.

    Only the functions that its rows tell take part, the others follow the prior.

    Parameters
    ----------
    rows : FewRows
    state : FunctionState
    first : int
        Coefficients before it keep their values.
    rng : numpy.random.Generator
    """
    n_tasks, r, p = rows.design.shape
    psi, features = np.empty(n_tasks), np.eye(r)
    for t in range(n_tasks):
        psi[t] = draw_scale(state.precision[t, t], n_tasks, rng)
    for t in rng.permutation(n_tasks):
        others = np.empty(n_tasks - 1, dtype=np.int64)
        for a in range(n_tasks - 1):
            others[a] = a if a < t else a + 1
        sd = math.exp(state.log_noise[t])
        design = rows.design[t] * (state.scale / sd)
        response = rows.response[t] / sd
        response -= np.dot(design[:, :first].copy(), state.deviation[t, :first].copy())
        along, own, linear = _directions(design[:, first:].copy(), response)
        known = state.deviation[others, first:].copy()
        of_rows = np.dot(known, along.T)
        slopes, omega, rest = draw_row(
            t, others, state.covariance, psi, own, linear, features, of_rows, rng
        )
        if set_row(t, others, slopes, omega, state.covariance):
            free = math.sqrt(omega) * rng.standard_normal(p - first)
            state.deviation[t, first:] = np.dot(slopes, known) + free
            state.deviation[t, first:] += np.dot(rest - np.dot(along, free), along)
            psi[t] = draw_scale(1.0 / omega, n_tasks, rng)
    state.precision[:] = inverse_spd(state.covariance)
