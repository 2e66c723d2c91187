"""Updates of the parameters of a likelihood that all tasks share, given the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.likelihoods.parameters import noise_position
from bayesmtl.numerics.lanes import pack_tasks, task_means, unpack_tasks
from bayesmtl.relations.clusters.collapsed import weight_prior
from bayesmtl.relations.clusters.state import PartitionState
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.population import signal_variance
from bayesmtl.relations.exchangeable.state import PopulationState
from bayesmtl.scaling import INTERCEPT

__all__ = [
    "kernel_prior",
    "log_parameters",
    "noise_variance",
    "shift_groups",
    "update_parameters",
]


def noise_variance(problem: Problem, parameters: np.ndarray) -> float:
    """Noise variance that the joint prior refers to, internal units."""
    position = noise_position(problem.row_parameters.blocks)
    if position is None:
        return problem.reference_noise
    return math.exp(2.0 * parameters[position])


def kernel_prior(problem: Problem, signal: float) -> Any:
    """Prior of the parameters, for the kernels.

    Where one is a noise sd: prior, unit of the response, signal variance of the joint prior (0: not
    in use) and prior of R-squared.
    """
    prior = problem.row_parameters.prior
    if noise_position(problem.row_parameters.blocks) is None:
        return prior
    return prior, problem.scaling.response_scale, signal, problem.prior.r2_prior


def update_parameters(
    problem: Problem,
    population: PopulationState,
    parameters: np.ndarray,
    value: np.ndarray,
    rng: np.random.Generator,
    *,
    rows: Any = None,
    tasks: DenseTasks | FactorTasks | None = None,
) -> bool:
    """Draw the parameters, in place, and set the log-likelihood (block, lane) of the tasks.

    Other ``rows`` than those of the problem may be given, and the covariance of ``tasks``.

    Returns
    -------
    bool
        Whether intercepts were moved with them.
    """
    kernels, rows = problem.row_kernels, problem.row_data if rows is None else rows
    assert kernels is not None
    if kernels.update is None:
        return False
    prior = kernel_prior(problem, signal_variance(problem.prior, population))
    kernels.update(rows, population.weights, parameters, prior, rng)
    shift = kernels.shift if _shifts(problem) and population.scale[0] > 0.0 else None
    if shift is not None:
        linear, square = _shift_density(problem, population, tasks)
        step = shift(parameters, linear, square, rng)
        parameters += step
        every = pack_tasks(np.ones(problem.prior.n_tasks))
        population.weights[:, 0] += step * every
        population.deviation[:, 0] += step / population.scale[0] * every
    kernels.evaluate(rows, population.weights, parameters, value)
    return shift is not None


def _shifts(problem: Problem) -> bool:
    """Whether the first coefficient is an intercept whose prior is that of one population."""
    if problem.separate_intercept:
        return True
    return INTERCEPT in problem.features and problem.partition is None


def _shift_density(
    problem: Problem, population: PopulationState, tasks: DenseTasks | FactorTasks | None
) -> tuple[float, float]:
    """``a, b`` of the log density ``a x - b x^2 / 2`` of intercepts that are all moved by x."""
    scale, precision, n_tasks = population.scale[0], population.precision[0], problem.prior.n_tasks
    deviation, share = unpack_tasks(population.deviation, n_tasks), np.ones(n_tasks)
    # A separate intercept is independent over tasks.
    if tasks is not None and problem.prior.block == 0:
        if isinstance(tasks, FactorTasks):
            deviation = deviation - tasks.loadings @ tasks.factors
            share = 1.0 / tasks.specific
        else:
            share = tasks.precision.sum(axis=0)
    linear = -float(precision @ (share @ deviation)) / scale
    return linear, float(precision[0] * share.sum()) / scale**2


def shift_groups(
    problem: Problem,
    population: PopulationState,
    partition: PartitionState | None,
    log_scale: np.ndarray,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Move thresholds of each group of tasks together with the intercepts of its tasks, in place.

    As `update_parameters` does where all tasks have one likelihood. The likelihood does not see
    it; the intercept of task t moves by the shift over its unit and scale ``exp(log_scale_t)``.

    Returns
    -------
    bool
        Whether anything was moved.
    """
    groups = () if problem.groups is None else problem.groups.groups
    groups = tuple(group for group in groups if group.likelihood.kernels.shift is not None)
    if not groups or not (problem.separate_intercept or INTERCEPT in problem.features):
        return False
    prior, center, scale = problem.prior, population.center.copy(), population.scale.copy()
    if partition is None:
        task_means(population.means, prior.task_features, center)
    else:
        weight_prior(prior, population, partition, center, scale)
    if not scale[0] > 0.0:
        return False
    own = unpack_tasks(population.weights - center, prior.n_tasks)
    deviation = np.divide(own, scale, out=np.zeros_like(own), where=scale > 0.0)
    pull = deviation @ population.precision[:, 0]
    assert problem.groups is not None
    inverse = np.exp(-log_scale) / problem.groups.unit
    steps = np.zeros(prior.n_tasks)
    for group in groups:
        thresholds, of_unit = parameters[group.parameters], inverse[group.tasks] / scale[0]
        linear = -float(pull[group.tasks] @ of_unit)
        square = float(population.precision[0, 0] * (of_unit @ of_unit))
        step = group.likelihood.kernels.shift(thresholds, linear, square, rng)
        thresholds += step
        steps[group.tasks] = step * inverse[group.tasks]
    population.weights[:, 0] += pack_tasks(steps)
    standardise(prior, population)
    return True


def log_parameters(problem: Problem, parameters: np.ndarray) -> float:
    """What the parameters alone add to the log joint density."""
    kernels = problem.row_kernels
    assert kernels is not None
    if kernels.log_parameters is None:
        return 0.0
    return kernels.log_parameters(problem.row_data, parameters, kernel_prior(problem, 0.0))
