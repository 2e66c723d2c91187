"""Where Gibbs sweeps lead from draws of an approximation of correlated tasks.

Draws of the posterior stay so under sweeps that leave it invariant. Importance ratios are of one
optimum: they cannot tell of factors, and so of correlations, that it has none of.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, TaskDraws, evenly_spaced
from bayesmtl.inference.drift import set_population, task_pairs
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.covariance.shrinkage import update_sticks
from bayesmtl.relations.covariance.state import SPIKE, DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.gibbs import Moves
from bayesmtl.relations.exchangeable.state import HUANG_WAND, PopulationState

__all__ = ["correlated_chain_at", "correlation_drift"]

_STARTS, _SWEEPS = 16, 20
# Operations of all sweeps, about, that a dense covariance may cost.
_WORK = 3e11


def correlated_chain_at(
    problem: Problem,
    likelihood: object,
    draws: Draws,
    at: tuple[int, int],
    rng: np.random.Generator,
) -> ChainState:
    """A chain that goes on from one draw.

    Parameters
    ----------
    problem : Problem
    likelihood : Gaussian
    draws : Draws
        (chain, draw, ...)
    at : (chain, draw)
    rng : numpy.random.Generator
    """
    state = start_chain(problem, likelihood, rng)  # type: ignore[arg-type]
    assert state.tasks is not None
    assert draws.tasks is not None
    set_population(problem, state, draws, at)
    sd = _set_weights(problem, state.population, draws, at)
    _set_tasks(state.tasks.tasks, draws.tasks, at, sd, rng)
    return state


def _set_weights(
    problem: Problem, population: PopulationState, draws: Draws, at: tuple[int, int]
) -> np.ndarray:
    """Write covariance and weights of the features; the sds (d,) of the standardised features."""
    prior, first = problem.prior, problem.prior.block
    assert draws.weights is not None
    sd = np.ones(population.scale.size - first)
    if prior.covariance == HUANG_WAND:
        assert draws.correlation is not None
        sd = population.scale[first:].copy()
        population.scale[first:] = 1.0
        population.covariance[first:, first:] = (
            draws.correlation[at][first:, first:] * sd[:, None] * sd
        )
        population.precision[:] = np.linalg.inv(population.covariance)
    center = unpack_tasks(prior.task_features, prior.n_tasks) @ population.means.T
    varying = population.scale > 0.0
    deviation = np.zeros_like(center)
    deviation[:, varying] = (draws.weights[at] - center)[:, varying] / population.scale[varying]
    population.center[:] = pack_tasks(center)
    population.deviation[:] = pack_tasks(deviation)
    population.weights[:] = pack_tasks(draws.weights[at])
    return sd


def _set_tasks(
    tasks: DenseTasks | FactorTasks,
    draws: TaskDraws,
    at: tuple[int, int],
    sd: np.ndarray,
    rng: np.random.Generator,
) -> None:
    if isinstance(tasks, DenseTasks):
        assert draws.covariance is not None
        tasks.covariance[:] = draws.covariance[at]
        tasks.precision[:] = np.linalg.inv(draws.covariance[at])
        return
    parts = (draws.loadings, draws.factors, draws.specific, draws.variance)
    for own, part in zip(tasks[:4], parts, strict=True):
        assert part is not None
        own[:] = part[at]
    tasks.factors[:] *= sd
    tasks.active[:] = tasks.variance > SPIKE
    # They are not part of the draws.
    for _ in range(_SWEEPS):
        update_sticks(tasks, rng)


def _pair_correlations(tasks: DenseTasks | FactorTasks, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    if isinstance(tasks, DenseTasks):
        both, variance = tasks.covariance[i, j], np.diag(tasks.covariance)
    else:
        both = (tasks.loadings[i] * tasks.loadings[j]).sum(axis=1)
        variance = (tasks.loadings**2).sum(axis=1) + tasks.specific
    return np.asarray(both / np.sqrt(variance[i] * variance[j]))


def correlation_drift(
    problem: Problem, likelihood: object, draws: Draws, rng: np.random.Generator
) -> float | None:
    """Root mean square change of the correlations of at most 2,000 pairs of tasks.

    Its square is the mean product of the changes from two halves of the starts, in which Monte
    Carlo error has mean zero. None for one task, a given covariance, or sweeps that take too long.

    Parameters
    ----------
    problem : Problem
    likelihood : Gaussian
    draws : Draws
        (chain, draw, ...)
    rng : numpy.random.Generator
    """
    prior = problem.task_covariance
    assert prior is not None
    size = prior.n_tasks * problem.prior.scale_unit.size
    slow = prior.kind == "full" and _STARTS * _SWEEPS * size**3 > _WORK
    if prior.n_tasks == 1 or prior.kind == "given" or slow:
        return None
    i, j = task_pairs(problem.prior.n_tasks, rng)
    chain, draw = evenly_spaced(draws, _STARTS)
    # Of few draws some start several times.
    chain, draw = np.resize(chain, _STARTS), np.resize(draw, _STARTS)
    change, kept = np.zeros((_STARTS, i.size)), _SWEEPS // 2
    for start, at in enumerate(zip(chain.tolist(), draw.tolist(), strict=True)):
        state = correlated_chain_at(problem, likelihood, draws, at, rng)
        assert state.tasks is not None
        now = state.tasks.tasks
        change[start] -= _pair_correlations(now, i, j)
        for sweep in range(_SWEEPS):
            gibbs_step(problem, state, Moves(collapsed=False, rows=False), rng)
            if sweep >= kept:
                change[start] += _pair_correlations(now, i, j) / kept
    product = float(change[::2].mean(axis=0) @ change[1::2].mean(axis=0)) / i.size
    return math.sqrt(max(product, 0.0))
