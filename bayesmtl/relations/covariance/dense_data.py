"""What the tasks say of deviations and population means, and its slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.noise import FIXED_NOISE
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.joint_normal import JointNormal, Terms
from bayesmtl.relations.exchangeable.hyperparameters import (
    Layout,
    Point,
    mean_loadings,
    noisy_sites,
)
from bayesmtl.relations.exchangeable.point_slopes import (
    DataSlope,
    expected_squares,
    slope_of_data,
)
from bayesmtl.sites import GaussianSites, evaluate

__all__ = ["DenseData", "dense_data", "slope_given"]


class DenseData(NamedTuple):
    """What the tasks say at one point.

    Parameters
    ----------
    sites : GaussianSites
    center : (task, p)
    loading : (task, p, v + m)
        The coefficients are ``center_t + loading_t (x_t, u)``.
    varying : (v,)
        Coefficients that differ between tasks.
    terms : Terms
    """

    sites: GaussianSites
    center: np.ndarray
    loading: np.ndarray
    varying: np.ndarray
    terms: Terms


def dense_data(layout: Layout, point: Point) -> DenseData:
    """Likelihood as a function of deviations and means.

    Parameters
    ----------
    layout : Layout
    point : Point
    """
    sites = noisy_sites(layout, point)
    center, of_means, _ = mean_loadings(layout, point)
    varying = np.flatnonzero(point.scale > 0.0)
    own = np.diag(point.scale)[:, varying]
    own = np.broadcast_to(own, (len(center), *own.shape))
    loading = np.concatenate([own, of_means], axis=2)
    score = sites.moment - (sites.gram @ center[..., None])[..., 0]
    terms = Terms(
        loading.mT @ sites.gram @ loading,
        (loading.mT @ score[..., None])[..., 0],
        float(evaluate(sites, center).sum()),
        varying.size,
        int((varying < layout.problem.prior.block).sum()),
    )
    return DenseData(sites, center, loading, varying, terms)


def slope_given(layout: Layout, point: Point, data: DenseData, normal: JointNormal) -> np.ndarray:
    """Slope (n,) of the expected log-likelihood in the hyperparameters."""
    prior, v = layout.problem.prior, data.terms.n_own
    image = data.sites.gram @ data.loading
    score = data.sites.moment - (data.sites.gram @ data.center[..., None])[..., 0]
    second = normal.covariance + normal.mean[:, :, None] * normal.mean[:, None, :]
    # Expectations of score times coordinate.
    products = score[..., None] * normal.mean[:, None, :] - image @ second
    of_loading = (products * data.loading).sum(axis=(0, 1))
    of_scale = np.zeros(point.scale.size)
    of_scale[data.varying] = of_loading[:v]
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    square = np.zeros(len(z))
    if layout.noise_kind != FIXED_NOISE:
        center = data.center + (data.loading @ normal.mean[..., None])[..., 0]
        spread = data.loading @ normal.covariance @ data.loading.mT
        square = expected_squares(layout, point, data.sites, center, spread)
    slope = DataSlope(
        base=(score - (image @ normal.mean[..., None])[..., 0]).T @ z,
        scale=of_scale,
        of_means=of_loading[v:],
        between=0.0,
        square=square,
    )
    return slope_of_data(layout, point, slope)
