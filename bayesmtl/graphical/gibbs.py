"""One sweep over graphs: missing entries, means, precision matrices, what relates their edges.

Rows of task g are ``Normal(mu_g, K_g^-1)``. The elements of K_g off the diagonal are

    horseshoe:   K_gij ~ Normal(0, l_ij^2 m_gij^2 tau_g^2), l, m ~ HalfCauchy(1), tau_g ~
                 HalfCauchy(s), where the tasks share l_ij (Lingjaerde et al. 2024, J. R. Stat.
                 Soc. C; they have no m)
    spike_slab:  K_gij ~ Normal(0, slab^2) where z_gij is an edge, else Normal(0, spike^2); z as in
                 `bayesmtl.graphical.field`

with ``K_ii ~ Exponential(rate / 2)`` and K_g positive definite. The constants of that region are
not divided out, as in these papers: the prior is the product of the densities on it.
"""

from __future__ import annotations

import numpy as np

from bayesmtl.graphical.columns import update_scales, update_shared_columns
from bayesmtl.graphical.field import log_patterns, propensity_nodes, update_theta
from bayesmtl.graphical.state import HORSESHOE, GraphPrior, GraphProblem, GraphState
from bayesmtl.numerics.graph_precision import (
    SMALLEST_VARIANCE,
    update_edges,
)
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import draw_gaussian

__all__ = [
    "draw_missing",
    "element_variance",
    "graph_sweep",
    "pattern_counts",
    "row_sums",
    "scatter_of",
    "update_means",
]


@kernel
def row_sums(values, task, count, total, cross):
    """Counts (task,), sums (task, n) and cross-products (task, n, n) of rows, written in place."""
    count[:] = 0.0
    total[:] = 0.0
    for i in range(values.shape[0]):
        count[task[i]] += 1.0
        total[task[i]] += values[i]
    for g in range(count.shape[0]):
        here = np.empty((int(count[g]), values.shape[1]))
        k = 0
        for i in range(values.shape[0]):
            if task[i] == g:
                here[k] = values[i]
                k += 1
        cross[g] = np.dot(here.T, here)


@kernel
def draw_missing(values, missing, block, center, mean, precision, rng):
    """Draw the missing entries of each row given the others, in place.

    With m the missing and o the other entries, ``y_m ~ Normal(mu_m - K_mm^-1 K_mo (y_o - mu_o),
    K_mm^-1)``.

    Parameters
    ----------
    values, missing : (row, variable)
    block, center : (row,) int
    mean : (center, variable)
    precision : (block, variable, variable)
    rng : numpy.random.Generator
    """
    n = values.shape[1]
    for i in range(values.shape[0]):
        where = np.flatnonzero(missing[i])
        size = where.shape[0]
        if size == 0:
            continue
        k, mu = precision[block[i]], mean[center[i]]
        own, linear = np.empty((size, size)), np.zeros(size)
        for a in range(size):
            for b in range(size):
                own[a, b] = k[where[a], where[b]]
            for j in range(n):
                if not missing[i, j]:
                    linear[a] -= k[where[a], j] * (values[i, j] - mu[j])
        drawn = draw_gaussian(own, linear, rng)
        for a in range(size):
            values[i, where[a]] = mu[where[a]] + drawn[a]


@kernel
def update_means(count, total, block, center, mean_sd, mean, precision, rng):
    """``mu ~ Normal(0, mean_sd^2)`` a priori, given the rows of all tasks that have this mean."""
    n = mean.shape[1]
    for c in range(mean.shape[0]):
        own, linear = np.eye(n) / mean_sd**2, np.zeros(n)
        for g in range(count.shape[0]):
            if center[g] == c:
                k = precision[block[g]]
                own += count[g] * k
                linear += np.dot(k, total[g])
        mean[c] = draw_gaussian(own, linear, rng)


@kernel
def scatter_of(count, total, cross, block, center, mean, n_blocks):
    """Sums of squares (block, n, n) around the means of all rows of a matrix; numbers of rows."""
    n = mean.shape[1]
    out, rows = np.zeros((n_blocks, n, n)), np.zeros(n_blocks)
    for g in range(count.shape[0]):
        b, mu = block[g], mean[center[g]]
        rows[b] += count[g]
        for i in range(n):
            for j in range(i + 1):
                value = cross[g, i, j] - mu[i] * total[g, j] - mu[j] * total[g, i]
                out[b, i, j] += value + count[g] * mu[i] * mu[j]
    for b in range(n_blocks):
        for i in range(n):
            # Rounding must not make a sum of squares negative.
            out[b, i, i] = max(out[b, i, i], 0.0)
            for j in range(i):
                out[b, j, i] = out[b, i, j]
    return out, rows


@kernel
def _update_rows(values, missing, task, block, center, mean_sd, mean, precision, rng):
    """Missing entries and means; gives the sums of squares of each matrix."""
    n_tasks, n = block.shape[0], mean.shape[1]
    draw_missing(values, missing, block[task], center[task], mean, precision, rng)
    count, total, cross = np.empty(n_tasks), np.empty((n_tasks, n)), np.empty((n_tasks, n, n))
    row_sums(values, task, count, total, cross)
    update_means(count, total, block, center, mean_sd, mean, precision, rng)
    return scatter_of(count, total, cross, block, center, mean, precision.shape[0])


@kernel
def _horseshoe(scatter, count, family, state, rate, unit, own_scales, rng):
    """Matrices with the local scales of their elements, then the global ones."""
    precision, local, own, scale = state.precision, state.local, state.own, state.scale
    for f in range(local.shape[0]):
        members = np.flatnonzero(family == f)
        update_shared_columns(
            scatter,
            count,
            rate,
            scale[:, 0].copy(),
            own,
            local[f],
            own_scales,
            precision,
            state.covariance,
            members,
            rng,
        )
        update_scales(precision, scale, own, local[f], own_scales, unit, members, rng)


@kernel
def _spike_slab(scatter, count, family, state, rate, sds, nodes, hyper, rng):
    """Matrices with their edges, then the relatedness of the graphs of each family."""
    n = state.mean.shape[1]
    spike, slab = sds[0] ** 2, sds[1] ** 2
    powers, weight = nodes
    for f in range(family.max() + 1):
        members = np.flatnonzero(family == f)
        size = members.shape[0]
        theta = np.empty((size, size))
        for a in range(size):
            for b in range(size):
                theta[a, b] = state.theta[members[a], members[b]]
        table = log_patterns(theta, powers, weight)
        log_odds = np.zeros((n, n))
        codes = np.zeros((n, n), dtype=np.int64)
        for a in range(size):
            codes += state.edge[members[a]] * (1 << a)
        for a in range(size):
            b, bit = members[a], 1 << a
            for i in range(n):
                for j in range(n):
                    log_odds[i, j] = table[codes[i, j] | bit] - table[codes[i, j] & ~bit]
            update_edges(
                scatter[b],
                count[b],
                rate,
                spike,
                slab,
                log_odds,
                state.edge[b],
                state.precision[b],
                state.covariance[b],
                rng,
            )
            for i in range(n):
                for j in range(n):
                    codes[i, j] = (codes[i, j] & ~bit) | (bit if state.edge[b, i, j] else 0)
        if size > 1:
            counts = np.zeros(table.shape[0])
            for i in range(n):
                for j in range(i):
                    counts[codes[i, j]] += 1.0
            update_theta(theta, counts, powers, weight, hyper, rng)
            for a in range(size):
                for b in range(size):
                    state.theta[members[a], members[b]] = theta[a, b]


def graph_sweep(problem: GraphProblem, state: GraphState, rng: np.random.Generator) -> None:
    """One sweep, in place.

    Parameters
    ----------
    problem : GraphProblem
    state : GraphState
    rng : numpy.random.Generator
    """
    prior = problem.prior
    scatter, count = _update_rows(
        state.values,
        problem.missing,
        problem.task,
        prior.block,
        prior.center,
        prior.mean_sd,
        state.mean,
        state.precision,
        rng,
    )
    if prior.kind == HORSESHOE:
        unit, own = prior.global_scale, prior.own_scales
        _horseshoe(scatter, count, prior.family, state, prior.diagonal_rate, unit, own, rng)
        return
    most = int(np.bincount(prior.family).max())
    _spike_slab(
        scatter,
        count,
        prior.family,
        state,
        prior.diagonal_rate,
        (prior.spike, prior.slab),
        propensity_nodes(prior.edge_shape, most),
        prior.relatedness,
        rng,
    )


def element_variance(prior: GraphPrior, state: GraphState, block: int) -> np.ndarray:
    """Variances (variable, variable) of the elements of one matrix."""
    if prior.kind == HORSESHOE:
        out = state.scale[block, 0] * state.local[prior.family[block]] * state.own[block]
        return np.maximum(out, SMALLEST_VARIANCE)
    return np.where(state.edge[block], prior.slab**2, prior.spike**2)


def pattern_counts(codes: np.ndarray, n_graphs: int) -> np.ndarray:
    """Number (pattern,) of pairs of variables with each pattern of edges, as floats."""
    pairs = codes[np.tril_indices(len(codes), k=-1)]
    return np.bincount(pairs, minlength=1 << n_graphs).astype(np.float64)
