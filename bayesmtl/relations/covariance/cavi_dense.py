"""Coordinate ascent for tasks with a dense covariance.

The approximation is ``q(x, u) q(Omega) q(a)``, and ``q(Sigma) q(b)`` of a Huang-Wand covariance of
the features. The standardised deviations x of all tasks and the population means u have one normal
factor, always at its optimum given the rest: the bound is a function of the other factors and the
hyperparameters, and no step here lets bound plus log prior of these fall. As the weights of all
tasks are joint, the expected scatter that Omega learns from contains their correlations. Where they
are too many the normal is a product over tasks, which shrinks these correlations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.relations.covariance.dense_data import DenseData, dense_data, slope_given
from bayesmtl.relations.covariance.joint_normal import JointNormal, fit_by_task, fit_joint
from bayesmtl.relations.covariance.precision_factors import (
    HuangWand,
    PrecisionFactor,
    given_covariance,
    rescaled,
    scale_slope,
    start_factor,
    updated,
)
from bayesmtl.relations.covariance.state import HALF_T_DOF, HALF_T_SCALE, TaskCovariancePrior
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point, unpack
from bayesmtl.relations.exchangeable.point_slopes import climb, log_prior, slope_of_prior
from bayesmtl.relations.exchangeable.state import HUANG_WAND
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF

__all__ = ["DenseFit", "fit_dense", "is_factorised", "start_factors", "value_and_slope"]

# Coefficients in all, up to which one normal of all is affordable.
_MOST_JOINT = 3000
_ROUNDS, _ITERATIONS, _UPDATES = 200, 8, 3
_CONVERGED = 1e-3
# Steps of log sizes of the covariances in one climb.
_SIZE = 2.0


class DenseFit(NamedTuple):
    """One state of the approximation.

    Parameters
    ----------
    x : (n,)
        Hyperparameters, see `Layout`.
    tasks, features : PrecisionFactor
    normal : JointNormal
        At its optimum given these.
    elbo : float
        Lower bound of ``log p(y)`` at the hyperparameters, user units of y.
    value : float
        Plus their log prior density.
    trace : tuple of float
        Of ``value``, one per step; it never falls.
    """

    x: np.ndarray
    tasks: PrecisionFactor
    features: PrecisionFactor
    normal: JointNormal
    elbo: float
    value: float
    trace: tuple[float, ...]


def is_factorised(layout: Layout) -> bool:
    """Whether the weights are too many for one normal."""
    return layout.problem.prior.n_tasks * layout.point.scale.size > _MOST_JOINT


def start_factors(
    layout: Layout, task_prior: TaskCovariancePrior
) -> tuple[PrecisionFactor, PrecisionFactor]:
    """Covariances of tasks and of features to start from, given or uncorrelated."""
    prior, first = layout.problem.prior, layout.problem.prior.block
    varying = np.flatnonzero(layout.point.scale > 0.0)
    members = varying[varying >= first]
    tasks = given_covariance(task_prior.given)
    if task_prior.kind == "full":
        half_t = HuangWand(HALF_T_DOF, np.full(prior.n_tasks, HALF_T_SCALE))
        tasks = start_factor(half_t, np.eye(prior.n_tasks), float(members.size))
    if prior.covariance == HUANG_WAND:
        of_features = HuangWand(HUANG_WAND_DOF, prior.half_t_scale[members])
        start = 0.25 * np.eye(members.size)
        return tasks, start_factor(of_features, start, float(prior.n_tasks))
    correlation = np.eye(members.size)
    given = layout.problem.blocks[-1].correlation
    if given is not None:
        correlation = given[np.ix_(members - first, members - first)]
    return tasks, given_covariance(correlation)


def _evaluate(
    layout: Layout,
    x: np.ndarray,
    tasks: PrecisionFactor,
    features: PrecisionFactor,
    trace: tuple[float, ...] = (),
) -> tuple[DenseFit, DenseData, Point]:
    """The normal at its optimum, and the bound."""
    point = unpack(layout, x)
    data = dense_data(layout, point)
    fit = fit_by_task if is_factorised(layout) else fit_joint
    normal = fit(data.terms, tasks.expected, features.expected)
    log_dets = len(features.expected) * tasks.log_det + len(tasks.expected) * features.log_det
    elbo = data.terms.constant + normal.log_evidence + 0.5 * log_dets
    elbo += tasks.bound + features.bound
    value = elbo + log_prior(layout, point)
    return DenseFit(x, tasks, features, normal, elbo, value, (*trace, value)), data, point


def _split(
    layout: Layout, y: np.ndarray, fit: DenseFit
) -> tuple[np.ndarray, PrecisionFactor, PrecisionFactor]:
    """Hyperparameters and rescaled factors that y stands for: x, then log sizes."""
    n = len(layout.bounds)
    sizes = iter(y[n:])
    tasks, features = (
        rescaled(one, float(next(sizes))) if one.learned else one
        for one in (fit.tasks, fit.features)
    )
    return y[:n], tasks, features


def value_and_slope(layout: Layout, y: np.ndarray, fit: DenseFit) -> tuple[float, np.ndarray]:
    """Bound plus log prior, and its slope, in hyperparameters and sizes of the covariances.

    Both covariances and the scales change in size together at little cost of likelihood: moved one
    after the other they would hardly move. As the normal is at its optimum, the slope is that of
    the expected log density at this normal.

    Parameters
    ----------
    layout : Layout
    y : (n + learned covariances,)
    fit : DenseFit
        Its factors are those of log size 0.
    """
    now, data, point = _evaluate(layout, *_split(layout, y, fit))
    slope = slope_of_prior(layout, now.x) + slope_given(layout, point, data, now.normal)
    count = float(len(now.tasks.expected) * len(now.features.expected))
    sizes = [
        float((factor.expected * scatter).sum()) - count + scale_slope(factor)
        for factor, scatter in (
            (now.tasks, now.normal.of_tasks),
            (now.features, now.normal.of_features),
        )
        if factor.learned
    ]
    return now.value, np.concatenate([slope, sizes])


def _maximise(layout: Layout, fit: DenseFit) -> DenseFit:
    """Hyperparameters and sizes."""
    n_sizes = int(fit.tasks.learned) + int(fit.features.learned)
    y = np.concatenate([fit.x, np.zeros(n_sizes)])
    bounds = np.concatenate([layout.bounds, np.tile([-_SIZE, _SIZE], (n_sizes, 1))])
    y = climb(lambda y: value_and_slope(layout, y, fit), y, bounds, _ITERATIONS)
    return _evaluate(layout, *_split(layout, y, fit), fit.trace)[0]


def _update_covariances(layout: Layout, fit: DenseFit) -> DenseFit:
    """Each covariance given the normal, which then follows."""
    if fit.tasks.learned:
        count = float(len(fit.features.expected))
        tasks = updated(fit.tasks, fit.normal.of_tasks, count)
        fit = _evaluate(layout, fit.x, tasks, fit.features, fit.trace)[0]
    if fit.features.learned:
        count = float(len(fit.tasks.expected))
        features = updated(fit.features, fit.normal.of_features, count)
        fit = _evaluate(layout, fit.x, fit.tasks, features, fit.trace)[0]
    return fit


def fit_dense(layout: Layout, x: np.ndarray, task_prior: TaskCovariancePrior) -> DenseFit:
    """Ascend from x until nothing rises.

    Parameters
    ----------
    layout : Layout
    x : (n,)
        Hyperparameters to start from.
    task_prior : TaskCovariancePrior
        Given or "full".
    """
    fit = _evaluate(layout, x, *start_factors(layout, task_prior))[0]
    learned = fit.tasks.learned or fit.features.learned
    for _ in range(_ROUNDS):
        before = fit.value
        fit = _maximise(layout, fit)
        for _ in range(_UPDATES if learned else 0):
            fit = _update_covariances(layout, fit)
        if fit.value - before < _CONVERGED:
            break
    return fit
