"""Scales of tasks with different likelihoods: ``predictor = center_t + u_t s_t x'w_t``.

Each chain has rows with features times s_t, and sites of w_t to match: those at scale one with
information times s_t^2 and score times s_t. Given weights and scales no other update knows of them.
Three updates, each of a log scale by slice sampling:

- of each s_t given w_t, by the exact likelihood of its rows;
- of each s_t given ``s_t w_t``, which the likelihood does not see: the density of the weights under
  their population, with the Jacobian ``s_t^-p``;
- of all s_t at once, with all ``s_t w_t`` and the population in units of its own given.

The first mixes where the data say little of a task, the second where the population says little
(Yu and Meng 2011, J. Comput. Graph. Stat. 20, interweaving), the third where both say much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.likelihoods.groups import LOG_SCALE_SD
from bayesmtl.likelihoods.rows import RowData
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.clusters.between import TINY
from bayesmtl.relations.clusters.collapsed import weight_prior
from bayesmtl.relations.clusters.state import PartitionState
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.rescaling import divide_population, slice_all, slice_tasks
from bayesmtl.relations.exchangeable.state import HUANG_WAND, SET, PopulationState

__all__ = [
    "TaskScales",
    "apply_scales",
    "log_scales",
    "rescale_all",
    "rescale_given_predictors",
    "rescale_given_weights",
    "start_scales",
]

_WIDTH, _MOST_STEPS, _MOST_SHRINKS = 0.5, 60, 200


class TaskScales(NamedTuple):
    """Scales of a chain and what follows from them, updated in place.

    Parameters
    ----------
    log_scale : (task,)
        log s_t.
    rows : tuple of RowData
        With features times s_t.
    gram, moment : lanes
        Sites at scale one, those of ``s_t w_t``.
    """

    log_scale: np.ndarray
    rows: tuple[RowData, ...]
    gram: np.ndarray
    moment: np.ndarray


def start_scales(problem: Problem, rng: np.random.Generator) -> TaskScales | None:
    """A dispersed start; None where the tasks have no scales."""
    if problem.groups is None:
        return None
    sites = problem.sites
    return TaskScales(
        LOG_SCALE_SD * rng.normal(size=problem.prior.n_tasks),
        tuple(part._replace(features=part.features.copy()) for part in problem.row_data),
        sites.gram.copy(),
        sites.moment.copy(),
    )


def apply_scales(problem: Problem, scales: TaskScales, sites: Any) -> None:
    """Rows and sites of the current scales."""
    scale = np.exp(scales.log_scale)
    for base, part in zip(problem.row_data, scales.rows, strict=True):
        of_rows = np.repeat(scale[base.task], np.diff(base.start))
        np.multiply(base.features, of_rows, out=part.features)
    lanes = pack_tasks(scale)[:, None]
    np.multiply(scales.gram, lanes**2, out=sites.gram)
    np.multiply(scales.moment, lanes, out=sites.moment)


def log_scales(scales: TaskScales | None) -> float:
    """Log prior density of the log scales, up to a constant."""
    if scales is None:
        return 0.0
    return -0.5 * float((scales.log_scale**2).sum()) / LOG_SCALE_SD**2


def _log_prior(log_scale: np.ndarray) -> np.ndarray:
    return np.asarray(-0.5 * (log_scale / LOG_SCALE_SD) ** 2)


def rescale_given_weights(
    problem: Problem,
    scales: TaskScales,
    weights: np.ndarray,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Scales of the tasks given their weights (block, p, lane); rows and sites are then stale."""
    assert problem.row_kernels is not None
    evaluate = problem.row_kernels.evaluate
    n_tasks = problem.prior.n_tasks
    value = np.zeros((weights.shape[0], weights.shape[2]))

    def log_density(step: np.ndarray) -> np.ndarray:
        # Weights times e^x under the old scales have the predictors of the new ones.
        evaluate(scales.rows, weights * pack_tasks(np.exp(step))[:, None], parameters, value)
        return unpack_tasks(value, n_tasks) + _log_prior(scales.log_scale + step)

    scales.log_scale[:] += _slices(log_density, n_tasks, rng)


def rescale_given_predictors(
    problem: Problem,
    scales: TaskScales,
    population: PopulationState,
    partition: PartitionState | None,
    rng: np.random.Generator,
) -> None:
    """Scales of the tasks and weights, their products fixed; rows and sites are then stale.

    Not where a coefficient has nothing of the task's own, and so cannot follow.
    """
    prior = problem.prior
    center, scale = population.center, population.scale
    if partition is not None:
        if 1.0 - partition.between[0] < TINY:
            return
        center, scale = np.empty_like(center), np.empty_like(scale)
        weight_prior(prior, population, partition, center, scale)
    if (scale > 0.0).all():
        slice_tasks(center, scale, population, scales.log_scale, LOG_SCALE_SD, rng)
        standardise(prior, population)


def rescale_all(
    problem: Problem, scales: TaskScales, population: PopulationState, rng: np.random.Generator
) -> None:
    """All scales by one factor, population and weights by its inverse; rows, sites are then stale.

    The standardised deviations stay, so only the prior of means, scales (or the covariance) enters,
    with its Jacobian. Not where a mean or scale is a fixed number other than 0.
    """
    prior = problem.prior
    fixed = prior.mean_kind.reshape(population.means.shape) == SET
    # The scales of a Huang-Wand covariance are in its elements, and 1 themselves.
    half_t = np.zeros(prior.joint.size, dtype=np.bool_)
    half_t[prior.block :] = prior.covariance == HUANG_WAND
    known = (prior.scale_prior[:, 0] == FIXED) & ~prior.joint & ~half_t
    if (population.means[fixed] != 0.0).any() or (population.scale[known] != 0.0).any():
        return
    d = int(half_t.sum())
    dimension = int((~fixed).sum()) + int((~known & ~half_t).sum()) + d * (d + 1)
    scratch = population._replace(
        means=population.means.copy(),
        scale=population.scale.copy(),
        covariance=population.covariance.copy(),
        precision=population.precision.copy(),
    )
    arguments = (
        prior,
        population,
        scratch,
        half_t,
        dimension,
        problem.reference_noise,
        scales.log_scale,
        LOG_SCALE_SD,
    )
    step = slice_all(arguments, rng)
    divide_population(population, half_t, step, population)
    population.weights[:] *= np.exp(-step)
    scales.log_scale[:] += step
    standardise(prior, population)


def _slices(
    log_density: Callable[[np.ndarray], np.ndarray], size: int, rng: np.random.Generator
) -> np.ndarray:
    """Slice samples (size,) of independent quantities side by side, all from 0.

    Stepping out and shrinkage (Neal 2003, Ann. Statist. 31); ``log_density`` is (size,) each.
    """
    level = log_density(np.zeros(size)) + np.log1p(-rng.random(size))
    low = -_WIDTH * rng.random(size)
    high = low + _WIDTH
    for end, direction in ((low, -_WIDTH), (high, _WIDTH)):
        for _ in range(_MOST_STEPS):
            # A density that is not a number compares as outside the slice.
            inside = log_density(end) > level
            if not inside.any():
                break
            end[inside] += direction
    step, searching = np.zeros(size), np.isfinite(level)
    for _ in range(_MOST_SHRINKS):
        if not searching.any():
            break
        proposed = np.where(searching, rng.uniform(low, high), step)
        accepted = searching & (log_density(proposed) > level)
        step[accepted] = proposed[accepted]
        searching &= ~accepted
        low = np.where(searching & (proposed < 0.0), proposed, low)
        high = np.where(searching & (proposed >= 0.0), proposed, high)
    return step
