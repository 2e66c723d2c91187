"""Moves of all cluster means with the labels summed out, made for one likelihood.

See `bayesmtl.numerics.row_loops` for the terms of a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmtl.numerics.categorical import log_sum, pick
from bayesmtl.numerics.jit import inner_kernel, named_after, row_kernel
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.numerics.row_loops import most_rows, predict_task, rows_of_task

__all__ = ["center_loops"]


def center_loops(terms: Callable[..., Any]) -> Any:
    """`move_centers` of `bayesmtl.likelihoods.rows.RowKernels`, for a kernel.

    Hamiltonian Monte Carlo of standardised cluster means ``b_k`` under ``sum_t log sum_k share_k
    L_t(center_t + scale b_k) - sum_k b_k'b_k / 2``, then the label of each task given the means.
    """
    named = named_after(terms)

    @row_kernel
    @named
    def score(rows, t, w, parameters, eta, out):
        """Log-likelihood of task t; ``out`` is its gradient about the weights."""
        n, value = predict_task(rows, t, w, eta), 0.0
        response, size, weight = rows_of_task(rows, t)
        for r in range(n):
            density, slope, _ = terms(response[r], eta[r], size[r], parameters)
            value += weight[r] * density
            eta[r] = weight[r] * slope
        for j in range(w.shape[0]):
            column = rows.features[j][rows.start[t] : rows.start[t + 1]]
            total = 0.0
            for r in range(n):
                total += column[r] * eta[r]
            out[j] = total
        return value

    @row_kernel
    @named
    def summed(rows, parameters, center, scale, log_share, b, values, gradient):
        """Log density of b; ``values`` (task, cluster) are logs of share times likelihood."""
        n_clusters, d = b.shape
        n_lanes = center.shape[2]
        eta, w, scores = np.empty(most_rows(rows)), np.empty(d), np.empty((n_clusters, d))
        total = 0.0
        for k in range(n_clusters):
            for i in range(d):
                gradient[k, i] = -b[k, i]
                total -= 0.5 * b[k, i] * b[k, i]
        for t in range(values.shape[0]):
            for k in range(n_clusters):
                for i in range(d):
                    w[i] = center[t // n_lanes, i, t % n_lanes] + scale[i] * b[k, i]
                values[t, k] = log_share[k] + score(rows, t, w, parameters, eta, scores[k])
            whole = log_sum(values[t], n_clusters)
            total += whole
            for k in range(n_clusters):
                responsibility = math.exp(values[t, k] - whole)
                for i in range(d):
                    gradient[k, i] += responsibility * scale[i] * scores[k, i]
        return total

    @row_kernel
    @named
    def move_centers(rows, parameters, population, clusters, path, b, labels, rng):
        (center, scale), (a, log_share), (n_steps, step) = population, clusters, path
        n_clusters, d = b.shape
        inverse = _metric(a, log_share, d)
        values, gradient = np.empty((labels.shape[0], n_clusters)), np.empty((n_clusters, d))
        start, momentum = b.copy(), np.empty((n_clusters, d))
        level = summed(rows, parameters, center, scale, log_share, b, values, gradient)
        before, density = values.copy(), level
        for k in range(n_clusters):
            for i in range(d):
                momentum[k, i] = rng.standard_normal()
                level -= 0.5 * momentum[k, i] * momentum[k, i]
        for _ in range(n_steps):
            _kick(momentum, gradient, inverse, 0.5 * step)
            _drift(b, momentum, inverse, step)
            density = summed(rows, parameters, center, scale, log_share, b, values, gradient)
            _kick(momentum, gradient, inverse, 0.5 * step)
        change = density - level
        for k in range(n_clusters):
            for i in range(d):
                change -= 0.5 * momentum[k, i] * momentum[k, i]
        # A density that is not a number compares as false: refused.
        if not math.log1p(-rng.random()) < change:
            b[:] = start
            values[:] = before
        for t in range(labels.shape[0]):
            labels[t] = pick(values[t], n_clusters, rng)
        return math.exp(min(change, 0.0)) if change > -np.inf else 0.0

    return move_centers


@inner_kernel
def _metric(a, log_share, d):
    """Inverse Cholesky factors (cluster, d, d) of what clusters of these shares say of b.

    ``a`` (task, d (d + 1) / 2) is what the site of each task says.
    """
    inverse, precision = np.empty((log_share.shape[0], d, d)), np.empty((d, d))
    for k in range(log_share.shape[0]):
        share = math.exp(log_share[k])
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for t in range(a.shape[0]):
                    total += a[t, i * (i + 1) // 2 + j]
                precision[i, j] = share * total + (1.0 if i == j else 0.0)
        inverse[k] = invert_lower(cholesky(precision))
    return inverse


@inner_kernel
def _kick(momentum, gradient, inverse, step):
    for k in range(momentum.shape[0]):
        for i in range(momentum.shape[1]):
            for j in range(i + 1):
                momentum[k, i] += step * inverse[k, i, j] * gradient[k, j]


@inner_kernel
def _drift(b, momentum, inverse, step):
    for k in range(b.shape[0]):
        for i in range(b.shape[1]):
            for j in range(i + 1):
                b[k, j] += step * inverse[k, i, j] * momentum[k, i]
