"""Coordinate ascent for tasks that share factors.

The approximation is ``q(B, u) prod_t q(a_t)`` times that of kinds of factors, slab variances and
sticks, and ``q(Sigma) q(b)`` of a Huang-Wand covariance of the features; weights are integrated
out, given the expected precision of the features. Variances of own parts are point estimates. The
normal of factors B and population means u is always at its optimum given the rest, and no step lets
bound plus log prior of the point estimates fall.
"""

from __future__ import annotations

import numpy as np

from bayesmtl.relations.covariance.cumulative_shrinkage import moved, permuted, update_shrinkage
from bayesmtl.relations.covariance.factor_bound import (
    FactorFit,
    FactorState,
    evaluate_factors,
    feature_scatter,
    split,
    state_data,
    value_and_slope,
)
from bayesmtl.relations.covariance.factor_data import FactorData, residuals
from bayesmtl.relations.covariance.factor_normal import Loadings, common_moments, fit_loadings
from bayesmtl.relations.covariance.precision_factors import updated
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point
from bayesmtl.relations.exchangeable.point_slopes import climb

__all__ = ["ascend", "reorder", "sweep"]

# Logs of the sds of own parts beyond which nothing changes, and steps of log sizes.
_OWN, _SIZE = 8.0, 2.0
_CONVERGED = 1e-3
_ITERATIONS, _SWEEPS = 8, 10


def _maximise(layout: Layout, fit: FactorFit) -> FactorFit:
    """Point estimates and sizes."""
    state = fit.state
    n_sizes = 1 + int(state.features.learned)
    y = np.concatenate([state.x, state.own, np.zeros(n_sizes)])
    ends = [[-_OWN, _OWN]] * state.own.size + [[-_SIZE, _SIZE]] * n_sizes
    bounds = np.concatenate([layout.bounds, ends])
    y = climb(lambda y: value_and_slope(layout, y, state), y, bounds, _ITERATIONS)
    return evaluate_factors(layout, split(layout, y, state), fit.trace)


def _balanced(fit: FactorFit) -> FactorState:
    """Multiply each factor and divide its loadings by the best number, their product held."""
    _, _, features, loadings, shrinkage = fit.state
    of_loadings = shrinkage.precision * loadings.squares
    of_factors = np.einsum("hihj,ij->h", fit.normal.second, features.expected)
    more = float(len(loadings.mean) - len(features.expected))
    square = (more + np.sqrt(more**2 + 4.0 * of_loadings * of_factors)) / (2.0 * of_loadings)
    loadings = loadings.stretched(np.sqrt(square))
    shrinkage = moved(shrinkage, loadings.squares)
    return fit.state._replace(loadings=loadings, shrinkage=shrinkage)


def sweep(
    layout: Layout, fit: FactorFit, data: tuple[FactorData, Point] | None = None
) -> FactorFit:
    """Loadings and kinds of factors, sizes, and covariance of the features, once each.

    Parameters
    ----------
    layout : Layout
    fit : FactorFit
    data : tuple, optional
        `state_data`, if it is known.
    """
    state = fit.state
    data = data or state_data(layout, state)
    loadings = fit_loadings(data[0].terms, fit.normal, state.shrinkage.precision)
    n_tasks = len(loadings.mean)
    shrinkage = update_shrinkage(state.shrinkage, loadings.squares, n_tasks)
    state = state._replace(loadings=loadings, shrinkage=shrinkage)
    fit = evaluate_factors(layout, state, fit.trace, data)
    fit = evaluate_factors(layout, _balanced(fit), fit.trace, data)
    if not state.features.learned:
        return fit
    rest = residuals(data[0], *common_moments(fit.state.loadings, fit.normal))
    count = float(n_tasks + len(fit.normal.factors))
    features = updated(state.features, feature_scatter(fit, data[0], rest), count)
    return evaluate_factors(layout, fit.state._replace(features=features), fit.trace)


def reorder(layout: Layout, fit: FactorFit) -> FactorFit:
    """Sort factors by how active and how large they are, where that raises the bound."""
    loadings, now = fit.state.loadings, fit.state.shrinkage
    order = np.lexsort([-loadings.squares, -np.round(now.active, 3)])
    if (order == np.arange(order.size)).all():
        return fit
    shrinkage = permuted(now, order, len(loadings.mean))
    if shrinkage.bound <= now.bound:
        return fit
    loadings = Loadings(loadings.mean[:, order], loadings.covariance[:, order[:, None], order])
    state = fit.state._replace(loadings=loadings, shrinkage=shrinkage)
    return evaluate_factors(layout, state, fit.trace)


def ascend(layout: Layout, fit: FactorFit, n_rounds: int) -> FactorFit:
    """Sweeps and point estimates in turn, until nothing rises or for so many rounds.

    Parameters
    ----------
    layout : Layout
    fit : FactorFit
    n_rounds : int
    """
    for _ in range(n_rounds):
        before = fit.value
        # A learned covariance of the features changes with every sweep.
        data = None if fit.state.features.learned else state_data(layout, fit.state)
        for _ in range(_SWEEPS):
            last = fit.value
            fit = sweep(layout, fit, data)
            if fit.value - last < _CONVERGED:
                break
        fit = _maximise(layout, reorder(layout, fit))
        if fit.value - before < _CONVERGED:
            break
    return fit
