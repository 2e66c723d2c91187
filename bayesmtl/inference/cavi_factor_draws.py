"""Draws from coordinate ascent for tasks that share factors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

from bayesmtl.inference.cavi_draws import structure_draws
from bayesmtl.inference.draws import Draws, TaskDraws
from bayesmtl.relations.covariance.cumulative_shrinkage import draw_kinds
from bayesmtl.relations.covariance.factor_bound import FactorFit, FactorState
from bayesmtl.relations.covariance.factor_data import FactorData, factor_data
from bayesmtl.relations.covariance.factor_normal import draw_factors, draw_loadings
from bayesmtl.relations.covariance.precision_factors import (
    draw_covariance,
    log_huang_wand,
    log_wishart_factor,
)
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point, unpack

__all__ = ["best_optimum", "draw_low_rank"]


# Draws that optima are compared by.
_COMPARED = 1000


class _Features(NamedTuple):
    """The covariance of the features in one draw.

    Parameters
    ----------
    covariance, precision : (d, d)
    log_ratio : float
        Of its prior over its factor.
    data : FactorData
    noise_root : (task, p, p)
        Cholesky factor of the covariance of what is left of the weights, in units of ``roots``.
    """

    covariance: np.ndarray
    precision: np.ndarray
    log_ratio: float
    data: FactorData
    noise_root: np.ndarray


def _features_of(
    layout: Layout, point: Point, state: FactorState, rng: np.random.Generator
) -> _Features:
    """A draw of the covariance, or what is given."""
    covariance, precision, log_ratio = state.features.covariance, state.features.expected, 0.0
    if state.features.prior is not None:
        covariance, precision = draw_covariance(state.features, rng)
        log_ratio = log_huang_wand(state.features.prior, precision)
        log_ratio -= log_wishart_factor(state.features, precision)
    log_own = state.own * np.ones(len(state.loadings.mean))
    data = factor_data(layout, point, log_own, covariance)
    left = np.eye(point.scale.size) - data.roots.mT @ data.collapsed.gram @ data.roots
    return _Features(covariance, precision, log_ratio, data, _root(left))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Square roots of stacked covariances, singular to rounding where data are strong."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :])


def draw_low_rank(
    layout: Layout, fit: FactorFit, n_draws: int, rng: np.random.Generator
) -> tuple[Draws, np.ndarray]:
    """Draws of one chain, and logs of posterior over approximation (draw,), up to a constant.

    Factors, means, kinds and variances come from the approximation, loadings and weights are
    integrated out of the ratios.

    Parameters
    ----------
    layout : Layout
    fit : FactorFit
    n_draws : int
    rng : numpy.random.Generator
    """
    state, point = fit.state, unpack(layout, fit.state.x)
    n_tasks, number = state.loadings.mean.shape
    d, p = len(state.features.expected), point.scale.size
    factors, means, log_q = draw_factors(fit.normal, n_draws, rng)
    kinds = draw_kinds(state.shrinkage, n_tasks, n_draws, rng)
    loadings, weights = np.empty((n_draws, n_tasks, number)), np.empty((n_draws, n_tasks, p))
    covariance, lp = np.empty((n_draws, d, d)), np.empty(n_draws)
    ratios = kinds.log_prior - kinds.log_factor - log_q
    features = _features_of(layout, point, state, rng)
    for s in range(n_draws):
        if s and state.features.learned:
            features = _features_of(layout, point, state, rng)
        given = (factors[s], means[s], kinds.variance[s])
        loadings[s], log_joint = _given_factors(features, given, rng)
        weights[s] = _draw_weights(features.data, features.noise_root, loadings[s], given[:2], rng)
        covariance[s] = features.covariance
        lp[s] = log_joint + kinds.log_prior[s]
        ratios[s] += log_joint + features.log_ratio
    draws = structure_draws(layout, point, means, covariance if state.features.learned else None)
    if state.features.learned:
        factors = factors / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, None, :]
    tasks = TaskDraws(
        None,
        loadings,
        factors,
        np.tile(np.exp(2.0 * state.own) * np.ones(n_tasks), (n_draws, 1)),
        kinds.variance,
        kinds.active.sum(axis=1).astype(np.int32),
    )
    return draws._replace(weights=weights, lp=lp, tasks=tasks), ratios


def best_optimum(layout: Layout, fits: list[FactorFit], rng: np.random.Generator) -> FactorFit:
    """The optimum of the largest importance-weighted bound.

    The bound itself favours few factors: it pays for the product of the factors of B and A, and for
    every sign and order of active factors that leaves the density as it is but is another optimum.

    Parameters
    ----------
    layout : Layout
    fits : list of FactorFit
        Optima with different numbers of active factors.
    rng : numpy.random.Generator

    References
    ----------
    Burda, Grosse and Salakhutdinov 2016, ICLR.
    """
    values = []
    for fit in fits:
        _, ratios = draw_low_rank(layout, fit, _COMPARED, rng)
        copies = fit.n_active * np.log(2.0) + gammaln(fit.n_active + 1.0)
        values.append(logsumexp(ratios) + fit.value - fit.elbo + copies)
    return fits[int(np.argmax(values))]


def _given_factors(
    features: _Features, given: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Loadings, and the log joint density of data, factors and means without them."""
    factors, means, variance = given
    terms, (number, d) = features.data.terms, factors.shape
    across = terms.gram[:, :d, d:] @ means
    gram = factors @ terms.gram[:, :d, :d] @ factors.T
    linear = (terms.linear[:, :d] - across) @ factors.T
    drawn, value = draw_loadings(gram, linear, variance, rng)
    of_means = terms.linear[:, d:].sum(axis=0) - 0.5 * terms.gram[:, d:, d:].sum(axis=0) @ means
    value += terms.constant + float(means @ of_means) - 0.5 * float(means @ means)
    value += 0.5 * number * float(np.linalg.slogdet(features.precision)[1])
    return drawn, value - 0.5 * float((factors * (factors @ features.precision)).sum())


def _draw_weights(
    data: FactorData,
    noise_root: np.ndarray,
    loadings: np.ndarray,
    given: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Weights (task, p) given loadings, and the pair of factors and means."""
    common = loadings @ given[0]
    means = np.broadcast_to(given[1], (len(common), given[1].size))
    at = np.concatenate([common, means], axis=1)
    mean = data.center + (data.loading @ at[..., None])[..., 0]
    score = data.collapsed.moment - (data.collapsed.gram @ mean[..., None])[..., 0]
    own = data.roots.mT @ score[..., None]
    own = own + noise_root @ rng.normal(size=own.shape)
    return np.asarray(mean + (data.roots @ own)[..., 0])
