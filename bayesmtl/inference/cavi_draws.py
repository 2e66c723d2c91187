"""Draws of what coordinate ascent knows as point estimates, with what is drawn beside them."""

from __future__ import annotations

import numpy as np

from bayesmtl.inference.draws import Draws
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point

__all__ = ["mean_draws", "noise_draws", "structure_draws"]


def noise_draws(layout: Layout, point: Point, n_draws: int) -> list[np.ndarray | None]:
    """Median, spread and log sds of the noise, of so many draws, where they are not known."""
    if layout.noise_kind == FIXED_NOISE:
        return [None, None, None]
    if layout.noise_kind != HIERARCHICAL:
        return [None, None, np.full(n_draws, point.log_median)]
    median, spread = np.exp(point.log_median), point.spread
    return [
        np.full(n_draws, median),
        np.full(n_draws, spread),
        np.tile(point.log_sd, (n_draws, 1)),
    ]


def mean_draws(point: Point, standard: np.ndarray) -> np.ndarray:
    """Population means (draw, p, q) from standardised ones (draw, m)."""
    drawn = np.tile(point.base, (len(standard), 1, 1))
    learned = point.spread_of_means > 0.0
    drawn[:, learned] += standard * point.spread_of_means[learned]
    return drawn


def structure_draws(
    layout: Layout, point: Point, standard: np.ndarray, covariance: np.ndarray | None
) -> Draws:
    """Population and noise, without weights, of so many draws.

    Parameters
    ----------
    layout : Layout
    point : Point
    standard : (draw, m)
        Standardised population means.
    covariance : (draw, d, d) or None
        Of the standardised features, where it is learned.
    """
    problem, n_draws = layout.problem, len(standard)
    first, p = problem.prior.block, point.scale.size
    scale, correlation = np.tile(point.scale, (n_draws, 1)), None
    if problem.correlated_features:
        correlation = np.tile(np.eye(p), (n_draws, 1, 1))
        correlation[:, first:, first:] = problem.blocks[-1].correlation
    if covariance is not None:
        assert correlation is not None
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        scale[:, first:] *= sd
        correlation[:, first:, first:] = covariance / (sd[:, :, None] * sd[:, None, :])
    median, spread, log_sd = noise_draws(layout, point, n_draws)
    return Draws(
        means=mean_draws(point, standard),
        scale=scale,
        correlation=correlation,
        shared=np.full(n_draws, point.shared) if layout.flags[0] else None,
        noise_median=median,
        noise_spread=spread,
        log_noise=log_sd,
        weights=None,
        lp=np.empty(n_draws),
    )
