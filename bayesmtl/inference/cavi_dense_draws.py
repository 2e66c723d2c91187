"""Draws from coordinate ascent for tasks with a dense covariance."""

from __future__ import annotations

import numpy as np

from bayesmtl.inference.cavi_draws import structure_draws
from bayesmtl.inference.draws import Draws, TaskDraws
from bayesmtl.relations.covariance.cavi_dense import DenseFit
from bayesmtl.relations.covariance.dense_data import dense_data
from bayesmtl.relations.covariance.joint_draws import draw_given, draw_joint, log_density_given
from bayesmtl.relations.covariance.precision_factors import (
    PrecisionFactor,
    draw_covariance,
    log_huang_wand,
    log_wishart_factor,
)
from bayesmtl.relations.exchangeable.hyperparameters import Layout, unpack

__all__ = ["draw_dense"]

# Operations, about, that exact conditionals of all draws may cost.
_WORK = 1e11


def draw_dense(
    layout: Layout, fit: DenseFit, n_draws: int, n_total: int, rng: np.random.Generator
) -> tuple[Draws, np.ndarray]:
    """Draws of one chain, and logs of posterior over approximation, up to a constant.

    Parameters
    ----------
    layout : Layout
    fit : DenseFit
    n_draws, n_total : int
        Of this chain and of all.
    rng : numpy.random.Generator

    Returns
    -------
    draws : Draws
        (draw, ...)
    ratios : (k,)
        Of the covariances, weights integrated out; of as many draws as are affordable, none where
        the weights are independent over tasks.
    """
    point = unpack(layout, fit.x)
    data = dense_data(layout, point)
    terms = data.terms
    size = terms.linear.shape[0] * terms.n_own + terms.linear.shape[1] - terms.n_own
    share = n_draws / n_total
    affordable = 0 if fit.normal.root is None else int(_WORK * share / max(size, 1) ** 3)
    learned = fit.tasks.learned or fit.features.learned
    exact = affordable >= n_draws and learned
    omega, of_tasks = _covariances(fit.tasks, n_draws, rng)
    sigma, of_features = _covariances(fit.features, n_draws, rng)
    coordinates = np.zeros((n_draws, *terms.linear.shape))
    if not exact:
        coordinates = draw_joint(terms, fit.normal, n_draws, rng)
    lp, ratios = np.empty(n_draws), np.empty(min(affordable, n_draws))
    for s in range(n_draws):
        precisions = of_tasks[s], of_features[s]
        log_prior, log_factor = _log_densities(fit, *precisions)
        if exact or (learned and s < ratios.size):
            drawn, log_evidence = draw_given(terms, *precisions, rng)
            ratios[s] = log_evidence + log_prior - log_factor
        if exact:
            coordinates[s] = drawn
            lp[s] = terms.constant + log_evidence + log_prior
        else:
            lp[s] = log_density_given(terms, *precisions, coordinates[s]) + log_prior
    if not learned:
        # Everything else is exact.
        ratios[:] = 0.0
    weights = data.center + np.einsum("tic,stc->sti", data.loading, coordinates)
    means = coordinates[:, 0, terms.n_own :]
    draws = structure_draws(layout, point, means, sigma if fit.features.learned else None)
    return draws._replace(weights=weights, lp=lp, tasks=TaskDraws(omega)), ratios


def _covariances(
    factor: PrecisionFactor, n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Covariances and precisions (draw, n, n)."""
    if not factor.learned:
        shape = (n_draws, *factor.expected.shape)
        return (
            np.broadcast_to(factor.covariance, shape).copy(),
            np.broadcast_to(factor.expected, shape),
        )
    drawn = [draw_covariance(factor, rng) for _ in range(n_draws)]
    return np.array([one for one, _ in drawn]), np.array([inverse for _, inverse in drawn])


def _log_densities(
    fit: DenseFit, of_tasks: np.ndarray, of_features: np.ndarray
) -> tuple[float, float]:
    """Of the learned covariances under the prior and under their factors."""
    log_prior, log_factor = 0.0, 0.0
    for factor, precision in ((fit.tasks, of_tasks), (fit.features, of_features)):
        if factor.prior is not None:
            log_prior += log_huang_wand(factor.prior, precision)
            log_factor += log_wishart_factor(factor, precision)
    return log_prior, log_factor
