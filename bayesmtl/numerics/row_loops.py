"""Loops over the rows of each task, made for one likelihood.

A likelihood states its terms for one row, ``terms(y, eta, size, parameters) -> (log density, slope,
information)``: the part of the log density that depends on the predictor eta, its derivative, and
the Fisher information, which is not negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmtl.numerics.jit import named_after, row_kernel

__all__ = ["most_rows", "predict_rows", "predict_task", "row_loops", "rows_of_task"]


@row_kernel
def predict_task(rows, g, w, eta):
    """Predictor of the rows of group g; returns their number."""
    first, last = rows.start[g], rows.start[g + 1]
    # Slices: an index that may be negative for all the compiler knows is not vectorised.
    offset = rows.offset[first:last]
    n = offset.shape[0]
    for r in range(n):
        eta[r] = offset[r]
    for j in range(w.shape[0]):
        column = rows.features[j][first:last]
        for r in range(n):
            eta[r] += column[r] * w[j]
    return n


@row_kernel
def predict_rows(rows, weights, eta):
    """Predictor of all rows."""
    n_lanes, w = weights.shape[2], np.empty(weights.shape[1])
    for g in range(rows.start.shape[0] - 1):
        t = rows.task[g]
        for i in range(w.shape[0]):
            w[i] = weights[t // n_lanes, i, t % n_lanes]
        predict_task(rows, g, w, eta[rows.start[g] : rows.start[g + 1]])


@row_kernel
def _factor(gram, k, v, scale, prior_precision, lower):
    """Lower Cholesky factor of ``prior_precision + scale G scale`` of one task."""
    p = scale.shape[0]
    for i in range(p):
        for j in range(i + 1):
            total = prior_precision[i, j]
            total += scale[i] * scale[j] * gram[k, i * (i + 1) // 2 + j, v]
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            lower[i, j] = math.sqrt(total) if i == j else total / lower[j, j]


@row_kernel
def _forward(lower, x):
    for i in range(x.shape[0]):
        for m in range(i):
            x[i] -= lower[i, m] * x[m]
        x[i] /= lower[i, i]


@row_kernel
def _backward(lower, x):
    for i in range(x.shape[0] - 1, -1, -1):
        x[i] /= lower[i, i]
        for m in range(i):
            x[m] -= lower[i, m] * x[i]


@row_kernel
def _site_score(sites, k, v, w, out):
    """``h - G w`` of one task's site; returns ``h'w - w'G w / 2``."""
    value = 0.0
    for i in range(w.shape[0]):
        image = 0.0
        for j in range(w.shape[0]):
            e = i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i
            image += sites.gram[k, e, v] * w[j]
        out[i] = sites.moment[k, i, v] - image
        value += w[i] * (sites.moment[k, i, v] - 0.5 * image)
    return value


@row_kernel
def _place(lower, shift, scale, center, q, out):
    """Weights ``center + scale (A^-1 b + L^-T q)``; ``shift`` is ``L^-1 b``."""
    for i in range(q.shape[0]):
        out[i] = q[i] + shift[i]
    _backward(lower, out)
    for i in range(q.shape[0]):
        out[i] = center[i] + scale[i] * out[i]


@row_kernel
def _rotate(q, momentum, angle):
    c, s = math.cos(angle), math.sin(angle)
    for i in range(q.shape[0]):
        position = q[i]
        q[i] = c * position + s * momentum[i]
        momentum[i] = c * momentum[i] - s * position


def row_loops(terms: Callable[..., Any]) -> tuple[Any, Any, Any, Any]:
    """`evaluate`, `moments`, `move` and `score` of `bayesmtl.likelihoods.rows.RowKernels`.

    `move` draws the weights of every task by split Hamiltonian Monte Carlo: exact rotations under
    the Gaussian that the site and the population imply, kicks by the gradient of what the site
    leaves of the log-likelihood (Shahbaba, Lan, Johnson and Neal 2014, Stat. Comput. 24).
    """
    named = named_after(terms)

    @row_kernel
    @named
    def task_value(rows, g, w, parameters, eta):
        n, value = predict_task(rows, g, w, eta), 0.0
        response, size, weight = rows_of_task(rows, g)
        for r in range(n):
            density, _, _ = terms(response[r], eta[r], size[r], parameters)
            value += weight[r] * density
        return value

    @row_kernel
    @named
    def task_score(rows, g, w, parameters, eta, out):
        n = predict_task(rows, g, w, eta)
        response, size, weight = rows_of_task(rows, g)
        for r in range(n):
            _, slope, _ = terms(response[r], eta[r], size[r], parameters)
            eta[r] = weight[r] * slope
        for j in range(w.shape[0]):
            column = rows.features[j][rows.start[g] : rows.start[g + 1]]
            total = 0.0
            for r in range(n):
                total += column[r] * eta[r]
            out[j] = total

    @row_kernel
    @named
    def evaluate(rows, weights, parameters, out):
        n_lanes = weights.shape[2]
        eta, w = np.empty(most_rows(rows)), np.empty(weights.shape[1])
        for g in range(rows.start.shape[0] - 1):
            t = rows.task[g]
            k, v = t // n_lanes, t % n_lanes
            for i in range(w.shape[0]):
                w[i] = weights[k, i, v]
            out[k, v] = task_value(rows, g, w, parameters, eta)

    @row_kernel
    @named
    def moments(rows, weights, parameters, gram, score):
        p, n_lanes = weights.shape[1], weights.shape[2]
        most = most_rows(rows)
        eta, information, weighted = np.empty(most), np.empty(most), np.empty(most)
        w = np.empty(p)
        for g in range(rows.start.shape[0] - 1):
            t, first, last = rows.task[g], rows.start[g], rows.start[g + 1]
            k, v = t // n_lanes, t % n_lanes
            for i in range(p):
                w[i] = weights[k, i, v]
            n = predict_task(rows, g, w, eta)
            response, size, weight = rows_of_task(rows, g)
            for r in range(n):
                _, slope, fisher = terms(response[r], eta[r], size[r], parameters)
                eta[r] = weight[r] * slope
                information[r] = weight[r] * fisher
            for i in range(p):
                column = rows.features[i][first:last]
                total = 0.0
                for r in range(n):
                    total += column[r] * eta[r]
                score[k, i, v] += total
                for r in range(n):
                    weighted[r] = column[r] * information[r]
                for j in range(i + 1):
                    column = rows.features[j][first:last]
                    total = 0.0
                    for r in range(n):
                        total += column[r] * weighted[r]
                    gram[k, i * (i + 1) // 2 + j, v] += total

    @row_kernel
    @named
    def move(rows, parameters, sites, population, value, kicks, accepted, rng):
        center, scale, prior_precision, weights = population
        p, n_lanes = scale.shape[0], weights.shape[2]
        eta, lower = np.empty(most_rows(rows)), np.empty((p, p))
        shift, w, middle, site = np.empty(p), np.empty(p), np.empty(p), np.empty(p)
        q, momentum, slope = np.empty(p), np.empty(p), np.empty(p)
        for g in range(rows.start.shape[0] - 1):
            t = rows.task[g]
            k, v = t // n_lanes, t % n_lanes
            for i in range(p):
                middle[i], w[i] = center[k, i, v], weights[k, i, v]
            _factor(sites.gram, k, v, scale, prior_precision, lower)
            _site_score(sites, k, v, middle, shift)
            for i in range(p):
                shift[i] *= scale[i]
            _forward(lower, shift)
            # q = L'z - L^-1 b of the standardised deviations z.
            for i in range(p):
                q[i] = -shift[i]
                for m in range(i, p):
                    if scale[m] > 0.0:
                        q[i] += lower[m, i] * (w[m] - middle[m]) / scale[m]
            energy = value[k, v] - _site_score(sites, k, v, w, site)
            for i in range(p):
                momentum[i] = rng.standard_normal()
                energy -= 0.5 * (q[i] * q[i] + momentum[i] * momentum[i])
            n = kicks[t]
            angle = 0.5 * math.pi / n
            for _ in range(n):
                _rotate(q, momentum, 0.5 * angle)
                _place(lower, shift, scale, middle, q, w)
                task_score(rows, g, w, parameters, eta, slope)
                _site_score(sites, k, v, w, site)
                for i in range(p):
                    slope[i] = scale[i] * (slope[i] - site[i])
                _forward(lower, slope)
                for i in range(p):
                    momentum[i] += angle * slope[i]
                _rotate(q, momentum, 0.5 * angle)
            _place(lower, shift, scale, middle, q, w)
            proposed = task_value(rows, g, w, parameters, eta)
            energy = proposed - _site_score(sites, k, v, w, site) - energy
            for i in range(p):
                energy -= 0.5 * (q[i] * q[i] + momentum[i] * momentum[i])
            # An energy that is not a number compares as false: rejected.
            accepted[t] = math.log1p(-rng.random()) < energy
            if accepted[t]:
                value[k, v] = proposed
                for i in range(p):
                    weights[k, i, v] = w[i]

    @row_kernel
    @named
    def scores(rows, weights, parameters, out):
        n_lanes = weights.shape[2]
        eta, w, slope = np.empty(most_rows(rows)), np.empty(out.shape[1]), np.empty(out.shape[1])
        for g in range(rows.start.shape[0] - 1):
            t = rows.task[g]
            k, v = t // n_lanes, t % n_lanes
            for i in range(w.shape[0]):
                w[i] = weights[k, i, v]
            task_score(rows, g, w, parameters, eta, slope)
            for i in range(w.shape[0]):
                out[k, i, v] = slope[i]

    return evaluate, moments, move, scores


@row_kernel
def rows_of_task(rows, g):
    """Response, size and weight of the rows of group g."""
    first, last = rows.start[g], rows.start[g + 1]
    return rows.response[first:last], rows.size[first:last], rows.weight[first:last]


@row_kernel
def most_rows(rows):
    """Number of rows of the task that has most."""
    most = 0
    for g in range(rows.start.shape[0] - 1):
        most = max(most, rows.start[g + 1] - rows.start[g])
    return most
