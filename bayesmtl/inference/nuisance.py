"""Updates of the parameters of a likelihood that all tasks share, given the weights."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.relations.exchangeable.state import PopulationState

__all__ = ["log_parameters", "update_parameters"]


def update_parameters(
    problem: Problem,
    population: PopulationState,
    parameters: np.ndarray,
    value: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw the parameters, in place, and set the log-likelihood (block, lane) of the tasks."""
    kernels, rows = problem.row_kernels, problem.row_data
    assert kernels is not None
    if kernels.update is None:
        return
    kernels.update(rows, population.weights, parameters, problem.row_parameters.prior, rng)
    kernels.evaluate(rows, population.weights, parameters, value)


def log_parameters(problem: Problem, parameters: np.ndarray) -> float:
    """What the parameters alone add to the log joint density."""
    kernels = problem.row_kernels
    assert kernels is not None
    if kernels.log_parameters is None:
        return 0.0
    return kernels.log_parameters(problem.row_data, parameters, problem.row_parameters.prior)
