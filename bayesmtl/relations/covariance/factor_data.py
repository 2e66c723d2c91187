"""What the tasks say of common parts and means, weights integrated out, and its slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.noise import FIXED_NOISE
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.joint_normal import Terms
from bayesmtl.relations.exchangeable.hyperparameters import (
    Layout,
    Point,
    mean_loadings,
    noisy_sites,
)
from bayesmtl.relations.exchangeable.point_slopes import DataSlope, expected_squares
from bayesmtl.sites import GaussianSites, collapse_roots, evaluate

__all__ = ["FactorData", "Residuals", "data_slope", "factor_data", "residuals"]


class FactorData(NamedTuple):
    """Likelihood given hyperparameters and the covariance of the features.

    Coefficients are ``center_t + loading_t (B'a_t, u) + roots_t v_t``, v_t standard normal.

    Parameters
    ----------
    sites, collapsed : GaussianSites
        With v, and without.
    roots : (task, p, p)
    center : (task, p)
    loading : (task, p, d + m)
    terms : Terms
        Of (B'a_t, u).
    """

    sites: GaussianSites
    collapsed: GaussianSites
    roots: np.ndarray
    center: np.ndarray
    loading: np.ndarray
    terms: Terms


def factor_data(
    layout: Layout, point: Point, log_own: np.ndarray, covariance: np.ndarray
) -> FactorData:
    """Integrate intercepts and own parts out.

    Parameters
    ----------
    layout : Layout
    point : Point
    log_own : (task,)
        Log sds of the own parts.
    covariance : (d, d)
        Of the standardised features.
    """
    first, p = layout.problem.prior.block, point.scale.size
    sites = noisy_sites(layout, point)
    center, of_means, _ = mean_loadings(layout, point)
    n_tasks = len(center)
    roots = np.zeros((n_tasks, p, p))
    roots[:, np.arange(first), np.arange(first)] = point.scale[:first]
    of_features = point.scale[first:, None] * np.linalg.cholesky(covariance)
    roots[:, first:, first:] = np.exp(log_own)[:, None, None] * of_features
    collapsed = collapse_roots(sites, roots)
    own = np.broadcast_to(np.diag(point.scale)[:, first:], (n_tasks, p, p - first))
    loading = np.concatenate([own, of_means], axis=2)
    score = collapsed.moment - (collapsed.gram @ center[..., None])[..., 0]
    terms = Terms(
        loading.mT @ collapsed.gram @ loading,
        (loading.mT @ score[..., None])[..., 0],
        float(evaluate(collapsed, center).sum()),
        p - first,
        0,
    )
    return FactorData(sites, collapsed, roots, center, loading, terms)


class Residuals(NamedTuple):
    """Scores ``r_t = h_t - S_t w_t`` of the collapsed sites (S, h) at the tasks' means w_t.

    Parameters
    ----------
    score : (task, p)
        Expected.
    products : (task, p, d + m)
        Expected products with (B'a_t, u).
    excess : (task, p, p)
        Expected ``r_t r_t'`` minus S_t, twice the slope in the covariance of ``roots_t v_t``.
    mean, spread : (task, p), (task, p, p)
        Of w_t.
    """

    score: np.ndarray
    products: np.ndarray
    excess: np.ndarray
    mean: np.ndarray
    spread: np.ndarray


def residuals(data: FactorData, mean: np.ndarray, second: np.ndarray) -> Residuals:
    """Expectations given first and second moments of ``(B'a_t, u)``."""
    gram = data.collapsed.gram
    image = gram @ data.loading
    at_center = data.collapsed.moment - (gram @ data.center[..., None])[..., 0]
    score = at_center - (image @ mean[..., None])[..., 0]
    products = at_center[..., None] * mean[:, None, :] - image @ second
    spread = data.loading @ (second - mean[:, :, None] * mean[:, None, :]) @ data.loading.mT
    excess = score[:, :, None] * score[:, None, :] + gram @ spread @ gram - gram
    center = data.center + (data.loading @ mean[..., None])[..., 0]
    return Residuals(score, products, excess, center, spread)


def data_slope(layout: Layout, point: Point, data: FactorData, rest: Residuals) -> DataSlope:
    """Slope of the expected log-likelihood in the hyperparameters."""
    prior = layout.problem.prior
    first, d = prior.block, data.terms.n_own
    of_loading = (rest.products * data.loading).sum(axis=(0, 1))
    covariance = data.roots @ data.roots.mT
    of_scale = np.einsum("tij,tji->i", rest.excess, covariance)
    of_scale[first:] += of_loading[:d]
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    square = np.zeros(len(z))
    if layout.noise_kind != FIXED_NOISE:
        own = covariance @ rest.score[..., None]
        through = np.eye(len(of_scale)) - covariance @ data.collapsed.gram
        spread = through @ covariance + through @ rest.spread @ through.mT
        center = rest.mean + own[..., 0]
        square = expected_squares(layout, point, data.sites, center, spread)
    return DataSlope(
        base=rest.score.T @ z,
        scale=of_scale,
        of_means=of_loading[d:],
        between=0.0,
        square=square,
    )
