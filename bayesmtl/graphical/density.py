"""Log joint density of rows, graphs and what relates them, up to a constant."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from bayesmtl.graphical.field import log_patterns, pattern_codes, propensity_nodes
from bayesmtl.graphical.gibbs import element_variance, pattern_counts, row_sums, scatter_of
from bayesmtl.graphical.state import HORSESHOE, GraphPrior, GraphProblem, GraphState

__all__ = ["log_joint"]


def log_joint(problem: GraphProblem, state: GraphState) -> float:
    """Log joint density of a state, missing entries included, up to a constant."""
    prior = problem.prior
    scatter, count = _scatter(problem, state)
    out = -0.5 * float((state.mean**2).sum()) / prior.mean_sd**2
    below = np.tril_indices(prior.n_variables, k=-1)
    for b in range(prior.n_blocks):
        k = state.precision[b]
        out += 0.5 * count[b] * float(np.linalg.slogdet(k)[1]) - 0.5 * float((scatter[b] * k).sum())
        out -= 0.5 * prior.diagonal_rate * float(np.trace(k))
        variance = element_variance(prior, state, b)[below]
        out -= 0.5 * float((np.log(variance) + k[below] ** 2 / variance).sum())
    if prior.kind == HORSESHOE:
        return out + _log_scales(prior, state, below)
    return out + _log_edges(prior, state)


def _scatter(problem: GraphProblem, state: GraphState) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares (block, variable, variable) and numbers of rows (block,)."""
    prior, n = problem.prior, problem.prior.n_variables
    n_tasks = len(prior.block)
    sums = np.empty(n_tasks), np.empty((n_tasks, n)), np.empty((n_tasks, n, n))
    row_sums(state.values, problem.task, *sums)
    return scatter_of(*sums, prior.block, prior.center, state.mean, prior.n_blocks)


def _half_cauchy(variance: np.ndarray, unit: float = 1.0) -> float:
    """Log density of variances whose sds are half-Cauchy."""
    return float(-(0.5 * np.log(variance) + np.log1p(variance / unit**2)).sum())


def _log_scales(
    prior: GraphPrior, state: GraphState, below: tuple[np.ndarray, np.ndarray]
) -> float:
    out = _half_cauchy(state.scale[:, 0], prior.global_scale)
    out += sum(_half_cauchy(local[below]) for local in state.local)
    if prior.own_scales:
        out += sum(_half_cauchy(own[below]) for own in state.own)
    return out


def _log_edges(prior: GraphPrior, state: GraphState) -> float:
    shape, rate, chance = prior.relatedness
    out = 0.0
    for f in range(prior.n_families):
        members = np.flatnonzero(prior.family == f)
        theta = state.theta[np.ix_(members, members)]
        table = log_patterns(theta, *propensity_nodes(prior.edge_shape, len(members)))
        out += float(pattern_counts(pattern_codes(state.edge[members]), len(members)) @ table)
        pairs = theta[np.tril_indices(len(members), k=-1)]
        some = pairs[pairs > 0]
        out += float(((shape - 1.0) * np.log(some) - rate * some).sum())
        out += len(some) * (shape * np.log(rate) - float(gammaln(shape)))
        out += len(some) * np.log(chance) + (len(pairs) - len(some)) * np.log1p(-chance)
    return out
