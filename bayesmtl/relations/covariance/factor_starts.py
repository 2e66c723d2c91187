"""Starts of coordinate ascent for factors, and what they lead to."""

from __future__ import annotations

import numpy as np

from bayesmtl.relations.covariance.cavi_factors import ascend
from bayesmtl.relations.covariance.cumulative_shrinkage import start_shrinkage
from bayesmtl.relations.covariance.factor_bound import (
    FactorFit,
    FactorState,
    evaluate_factors,
    state_data,
)
from bayesmtl.relations.covariance.factor_data import residuals
from bayesmtl.relations.covariance.factor_normal import Loadings, common_moments
from bayesmtl.relations.covariance.precision_factors import (
    HuangWand,
    PrecisionFactor,
    given_covariance,
    start_factor,
)
from bayesmtl.relations.covariance.state import SPIKE, TaskCovariancePrior
from bayesmtl.relations.exchangeable.hyperparameters import Layout
from bayesmtl.relations.exchangeable.state import HUANG_WAND
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF

__all__ = ["low_rank_optima"]

_NUMBERS = (1, 2, 3, 5, 10)
_TRIAL, _FINALISTS, _ROUNDS = 2, 3, 200
_START_SD = 0.7
# Variance of the loadings of a start, beside their means.
_LOOSE = 0.05
# Of the sds of own parts, once there are factors.
_LEFT = 0.7


def _start_features(layout: Layout) -> PrecisionFactor:
    prior, first = layout.problem.prior, layout.problem.prior.block
    d = layout.point.scale.size - first
    if prior.covariance == HUANG_WAND:
        of_features = HuangWand(HUANG_WAND_DOF, prior.half_t_scale[first:])
        return start_factor(of_features, 0.25 * np.eye(d), float(prior.n_tasks))
    given = layout.problem.blocks[-1].correlation
    return given_covariance(np.eye(d) if given is None else given)


def _without_factors(layout: Layout, x: np.ndarray, task_prior: TaskCovariancePrior) -> FactorFit:
    """All factors inactive and without a direction: a saddle, from which nothing turns."""
    n_tasks, number = task_prior.n_tasks, task_prior.n_factors
    loadings = Loadings(
        np.zeros((n_tasks, number)), np.tile(SPIKE * np.eye(number), (n_tasks, 1, 1))
    )
    shrinkage = start_shrinkage(loadings.squares, n_tasks)
    own = np.full(1 if task_prior.common else n_tasks, np.log(_START_SD))
    state = FactorState(x, own, _start_features(layout), loadings, shrinkage)
    return ascend(layout, evaluate_factors(layout, state), _TRIAL)


def _own_parts(layout: Layout, fit: FactorFit) -> np.ndarray:
    """Expected standardised deviations (task, d), white over features, without factors."""
    state = fit.state
    data, _ = state_data(layout, state)
    log_own = state.own * np.ones(len(state.loadings.mean))
    rest = residuals(data, *common_moments(state.loadings, fit.normal))
    white = (data.roots.mT @ rest.score[..., None])[:, -len(state.features.expected) :, 0]
    return np.asarray(np.exp(log_own)[:, None] * white)


def _with_factors(
    layout: Layout, base: FactorFit, parts: np.ndarray, number: int, turn: np.ndarray
) -> FactorFit:
    """Loadings of so many principal components of the deviations, turned."""
    n_tasks, most = base.state.loadings.mean.shape
    left, size, _ = np.linalg.svd(parts, full_matrices=False)
    kept = min(number, size.size)
    mean = np.zeros((n_tasks, most))
    mean[:, :kept] = left[:, :kept] * size[:kept] / np.sqrt(parts.shape[1])
    mean[:, :kept] = mean[:, :kept] @ turn[:kept, :kept]
    variance = np.where(np.arange(most) < kept, _LOOSE, SPIKE)
    loadings = Loadings(mean, np.tile(np.diag(variance), (n_tasks, 1, 1)))
    shrinkage = start_shrinkage(loadings.squares, n_tasks)
    state = base.state._replace(
        own=base.state.own + np.log(_LEFT), loadings=loadings, shrinkage=shrinkage
    )
    return evaluate_factors(layout, state)


def low_rank_optima(
    layout: Layout, x: np.ndarray, task_prior: TaskCovariancePrior, rng: np.random.Generator
) -> list[FactorFit]:
    """Local optima, the best of each number of active factors.

    Parameters
    ----------
    layout : Layout
    x : (n,)
        Hyperparameters to start from.
    task_prior : TaskCovariancePrior
        "low_rank".
    rng : numpy.random.Generator
    """
    base = _without_factors(layout, x, task_prior)
    parts, most = _own_parts(layout, base), task_prior.n_factors
    numbers = sorted({min(number, most) for number in _NUMBERS})
    starts = [(number, np.eye(most)) for number in numbers]
    for number in numbers[1:][-2:]:
        turn = np.eye(most)
        turn[:number, :number] = np.linalg.qr(rng.normal(size=(number, number)))[0]
        starts.append((number, turn))
    trials = [base] + [
        ascend(layout, _with_factors(layout, base, parts, *start), _TRIAL) for start in starts
    ]
    finished = [ascend(layout, one, _ROUNDS) for one in _best_of_each(trials)[:_FINALISTS]]
    return _best_of_each(finished)


def _best_of_each(fits: list[FactorFit]) -> list[FactorFit]:
    """Of each number of active factors, the best first."""
    found: dict[int, FactorFit] = {}
    for fit in sorted(fits, key=lambda fit: -fit.value):
        found.setdefault(fit.n_active, fit)
    return list(found.values())
