"""Length-scales of functions whose weights are those of the linear core."""

# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.length_state import LengthState
from bayesmtl.gp.lengthscales import given_weights, given_whitened, grow
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.moves import set_weights

__all__ = ["move_given_whitened", "move_lengths", "place_weights"]


def _population_terms(
    problem: Problem, population: Any, tasks: DenseTasks | FactorTasks
) -> tuple[np.ndarray, float]:
    """Squares (basis,) of the standardised weights of each function, and how many they are."""
    first, n_tasks = problem.prior.block, problem.prior.n_tasks
    deviation = unpack_tasks(population.deviation, n_tasks)[:, first:]
    if isinstance(tasks, DenseTasks):
        return (deviation * (tasks.precision @ deviation)).sum(axis=0), float(n_tasks)
    rest = deviation - tasks.loadings @ tasks.factors
    square = (rest**2 / tasks.specific[:, None]).sum(axis=0) + (tasks.factors**2).sum(axis=0)
    return square, float(n_tasks + len(tasks.factors))


def move_lengths(
    problem: Problem, population: Any, tasks: Any, lengths: LengthState, rng: np.random.Generator
) -> None:
    """Length-scales at fixed weights."""
    first = problem.prior.block
    quadratic, count = _population_terms(problem, population, tasks)
    before = lengths.log_variance.copy()
    own = np.diag(tasks.precision).copy() if lengths.ridge > 0.0 else np.zeros(0)
    grown = given_weights(lengths, np.ascontiguousarray(quadratic), count, own, rng)
    if isinstance(tasks, DenseTasks):
        grow(tasks, grown)
    else:
        tasks.factors[:] *= np.exp(0.5 * (before - lengths.log_variance))
    # At weights that are zero in floating point the deviations would not follow.
    factor = np.exp(0.5 * (before - lengths.log_variance))
    population.deviation[:, first:] *= factor[:, None]
    population.scale[first:] = np.exp(0.5 * lengths.log_variance)


def move_given_whitened(
    prior: Any, population: Any, lengths: LengthState, sites: tuple[Any, Any, Any], rng: Any
) -> None:
    """Length-scales at fixed standardised weights, under sites (task, ...) and their precisions."""
    gram, moment, precision = sites
    first = prior.block
    deviation = unpack_tasks(population.deviation, prior.n_tasks)
    own = deviation[:, first:]
    weighted = precision[:, None] * own
    inner = np.einsum("ti,tij,tj->ij", weighted, gram[:, first:, first:], own)
    score = moment[:, first:]
    if first:
        level = unpack_tasks(population.weights, prior.n_tasks)[:, :1]
        score = score - level * gram[:, first:, 0]
    linear = (weighted * score).sum(axis=0)
    given_whitened(lengths, linear, np.ascontiguousarray(inner), rng)
    population.scale[first:] = np.exp(0.5 * lengths.log_variance)
    place_weights(prior, population)


@kernel
def place_weights(prior, state):
    """Weights of the linear core that belong to its deviations."""
    set_weights(prior, state)
