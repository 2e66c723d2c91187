"""Point estimates of scales, share between clusters and noise, given a partition.

Bound plus log prior density is maximised over the vector of
`bayesmtl.relations.exchangeable.hyperparameters`; population means are integrated out with the
cluster means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.noise import FIXED_NOISE
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.clusters.cavi import TaskTerms, fit_means, mean_moments
from bayesmtl.relations.exchangeable.hyperparameters import (
    Layout,
    Point,
    mean_loadings,
    noisy_sites,
    unpack,
)
from bayesmtl.relations.exchangeable.point_slopes import (
    DataSlope,
    climb,
    expected_squares,
    log_prior,
    slope_of_data,
    slope_of_prior,
)
from bayesmtl.sites import GaussianSites, collapse, evaluate

__all__ = ["maximise", "task_terms", "value_and_slope"]


class _Collapsed(NamedTuple):
    """Sites of the tasks with their weights integrated out, and what their means are.

    Coefficient i of task t has the mean ``center_ti + sum_c loading_tic x_c``.

    Parameters
    ----------
    sites, collapsed : GaussianSites
        With the weights, and without.
    variance : (p,)
        Of the weights within clusters.
    center : (task, p)
    loading : (task, p, m + d)
    columns : (2, m)
        Coefficient and task feature of each population mean that is integrated out.
    """

    sites: GaussianSites
    collapsed: GaussianSites
    variance: np.ndarray
    center: np.ndarray
    loading: np.ndarray
    columns: np.ndarray


def _collapse(layout: Layout, point: Point) -> _Collapsed:
    sites = noisy_sites(layout, point)
    p, block = point.scale.size, layout.problem.prior.block
    share = np.where(np.arange(p) < block, 0.0, point.between)
    variance = (1.0 - share) * point.scale**2
    center, of_means, columns = mean_loadings(layout, point)
    own = np.diag(np.sqrt(share) * point.scale)[:, block:]
    own = np.broadcast_to(own, (len(center), *own.shape))
    loading = np.concatenate([of_means, own], axis=2)
    collapsed = collapse(sites, np.diag(variance))
    return _Collapsed(sites, collapsed, variance, center, loading, columns)


def _terms(state: _Collapsed) -> TaskTerms:
    sites, loading = state.collapsed, state.loading
    score = sites.moment - (sites.gram @ state.center[..., None])[..., 0]
    return TaskTerms(
        loading.mT @ sites.gram @ loading,
        (loading.mT @ score[..., None])[..., 0],
        evaluate(sites, state.center),
        state.columns.shape[1],
    )


def task_terms(layout: Layout, point: Point) -> TaskTerms:
    """What the tasks say of the standardised means, weights integrated out.

    Parameters
    ----------
    layout : Layout
    point : Point
    """
    return _terms(_collapse(layout, point))


def maximise(
    layout: Layout, x: np.ndarray, responsibilities: np.ndarray, n_iterations: int
) -> np.ndarray:
    """Raise bound plus log prior given the responsibilities: x, never worse than before.

    Parameters
    ----------
    layout : Layout
    x : (n,)
    responsibilities : (task, cluster)
    n_iterations : int
        Of L-BFGS.
    """
    return climb(
        lambda x: value_and_slope(layout, x, responsibilities), x, layout.bounds, n_iterations
    )


def value_and_slope(
    layout: Layout, x: np.ndarray, responsibilities: np.ndarray
) -> tuple[float, np.ndarray]:
    """Bound plus log prior at the optimal means, without what depends on the partition alone.

    As the means are at their optimum, the slope (n,) is that of the expected log-likelihood at
    these means. With score ``s = h - S m`` of the collapsed site (S, h) at the mean m of a task, it
    is s in m and ``(s_j^2 - S_jj) / 2`` in the variance within clusters; in the log noise sd it is
    minus the rows plus the expected squared residuals over the noise variance (Fisher's identity).
    """
    point = unpack(layout, x)
    state = _collapse(layout, point)
    terms = _terms(state)
    means = fit_means(terms, responsibilities)
    mean, second = mean_moments(terms, means)
    n_tasks, n = terms.linear.shape
    mean = responsibilities @ mean
    second = (responsibilities @ second.reshape(-1, n * n)).reshape(n_tasks, n, n)
    value = float(terms.constant.sum() + means.log_evidence + log_prior(layout, point))
    slope = slope_of_prior(layout, x) + _slope_of_data(layout, point, state, (mean, second))
    return value, slope


def _slope_of_data(
    layout: Layout,
    point: Point,
    state: _Collapsed,
    moments: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Slope given the first (task, n) and second (task, n, n) moments of the tasks' means x."""
    prior = layout.problem.prior
    mean, second = moments
    a = state.collapsed.moment - (state.collapsed.gram @ state.center[..., None])[..., 0]
    b = state.collapsed.gram @ state.loading
    score = a - (b @ mean[..., None])[..., 0]
    # Expectations of s_i x_c and s_i^2.
    products = a[..., None] * mean[:, None, :] - b @ second
    squares = a * score - (b * products).sum(axis=2)
    of_variance = 0.5 * (squares - np.diagonal(state.collapsed.gram, axis1=1, axis2=2)).sum(axis=0)
    of_loading = (products * state.loading).sum(axis=0)
    m = state.columns.shape[1]
    of_clusters = of_loading[:, m:].sum(axis=1)
    variance = np.where(np.arange(of_variance.size) < prior.block, 0.0, point.scale**2)
    inner = point.between * (1.0 - point.between)
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    square = np.zeros(len(z))
    if layout.noise_kind != FIXED_NOISE:
        square = _squared_residuals(layout, point, state, (a, b), moments)
    slope = DataSlope(
        base=score.T @ z,
        scale=2.0 * of_variance * state.variance + of_clusters,
        of_means=of_loading[:, :m].sum(axis=0),
        between=0.5 * (1.0 - point.between) * of_clusters.sum() - inner * of_variance @ variance,
        square=square,
    )
    return slope_of_data(layout, point, slope)


def _squared_residuals(
    layout: Layout,
    point: Point,
    state: _Collapsed,
    scores: tuple[np.ndarray, np.ndarray],
    moments: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Expected sums of squared residuals (task,) over the noise variance.

    The weights of a task have mean ``m + D s`` and covariance ``D - D S D`` given m.
    """
    mean, second = moments
    a, b = scores
    variance = state.variance
    base = state.center + variance * a
    slope = state.loading - variance[:, None] * b
    covariance = np.diag(variance) - variance[:, None] * state.collapsed.gram * variance
    covariance = covariance + slope @ (second - mean[:, :, None] * mean[:, None, :]) @ slope.mT
    center = base + (slope @ mean[..., None])[..., 0]
    return expected_squares(layout, point, state.sites, center, covariance)
