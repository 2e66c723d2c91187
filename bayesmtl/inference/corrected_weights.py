"""The weights of correlated tasks under any likelihood, given the structure.

Where tasks share factors, each task moves by itself in units of the sd of its own part. Under a
dense covariance all move at once by split Hamiltonian Monte Carlo; each given the others where all
are too many for one Cholesky factor, or where the likelihood has moves of its own for single tasks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected_state import CorrectedState, corrections, row_values, rows_of
from bayesmtl.likelihoods.rows import RowData
from bayesmtl.numerics.joint_weights import DENSE, DENSE_LIMIT, factor_dense, whiten_dense
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.factors import independent_tasks
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.covariance.whitened import place_jointly, slope_of_rest
from bayesmtl.relations.exchangeable.moves import standardise

__all__ = ["move_correlated"]


def move_correlated(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> None:
    """Weights of every task given the structure."""
    if isinstance(state.tasks, FactorTasks):
        _move_given_factors(problem, state, state.tasks, rng)
        return
    assert state.tasks is not None
    _, kernels = rows_of(problem, state)
    jointly = state.population.scale.size * problem.prior.n_tasks <= DENSE_LIMIT
    if jointly:
        _move_jointly(problem, state, state.tasks, rng)
    if kernels.jumps or not jointly:
        _move_in_turn(problem, state, state.tasks, rng)


def _move_given_factors(
    problem: Problem, state: CorrectedState, tasks: FactorTasks, rng: np.random.Generator
) -> None:
    """The tasks by themselves, with rows, sites and weights in units of own parts."""
    prior, population = problem.prior, state.population
    rows, kernels = rows_of(problem, state)
    gram, moment, center = independent_tasks(state.sites, prior, population, tasks)
    sd = np.sqrt(tasks.specific)
    features = rows.features.copy()
    features[prior.block :] *= np.repeat(sd[rows.task], np.diff(rows.start))
    unit = np.ones((prior.n_tasks, population.scale.size))
    unit[:, prior.block :] = sd[:, None]
    own = pack_tasks(unpack_tasks(population.weights, prior.n_tasks) / unit)
    kernels.move(
        rows._replace(features=features),
        state.parameters,
        state.sites._replace(gram=gram, moment=moment),
        (center, population.scale, population.precision, own),
        state.value,
        state.kicks,
        state.accepted,
        rng,
    )
    np.multiply(own, pack_tasks(unit), out=population.weights)
    standardise(prior, population)


@np.errstate(over="ignore", invalid="ignore")
def _move_jointly(
    problem: Problem, state: CorrectedState, tasks: DenseTasks, rng: np.random.Generator
) -> None:
    """All weights by split Hamiltonian Monte Carlo of their joint q.

    Exact rotations under the Gaussian of sites and structure, kicks by the gradient of what the
    sites leave of the log-likelihood (Shahbaba, Lan, Johnson and Neal 2014, Stat. Comput. 24).
    """
    prior, population, sites = problem.prior, state.population, state.sites
    rows, kernels = rows_of(problem, state)
    dense, _ = dense_sites(sites, prior, DENSE)
    center = dense.design @ population.means.T
    gram, linear = standard_sites(dense, sites.precision, population.scale, center)
    of_features = population.precision[prior.block :, prior.block :].copy()
    lower, shift = factor_dense(gram, linear, tasks.precision, of_features, prior.block)
    before = [part.copy() for part in population]
    q = whiten_dense(lower, shift, unpack_tasks(population.deviation, prior.n_tasks).ravel())
    momentum = rng.normal(size=q.size)
    score = np.zeros_like(population.weights)
    energy = corrections(state, state.value).sum() - 0.5 * (q @ q + momentum @ momentum)
    kicks = int(state.kicks.max())
    angle = 0.5 * math.pi / kicks
    for _ in range(kicks):
        q, momentum = _rotate(q, momentum, 0.5 * angle)
        place_jointly(prior, population, lower, shift, q)
        kernels.score(rows, population.weights, state.parameters, score)
        momentum += angle * slope_of_rest(sites, prior, population, score, lower)
        q, momentum = _rotate(q, momentum, 0.5 * angle)
    place_jointly(prior, population, lower, shift, q)
    value = row_values(problem, state)
    change = corrections(state, value).sum() - 0.5 * (q @ q + momentum @ momentum) - energy
    # An energy that is not a number compares as false: rejected.
    state.accepted[:] = math.log1p(-rng.random()) < change
    if state.accepted[0]:
        state.value[:] = value
        return
    for part, old in zip(population, before, strict=True):
        part[:] = old


def _rotate(q: np.ndarray, momentum: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    c, s = math.cos(angle), math.sin(angle)
    return c * q + s * momentum, c * momentum - s * q


def _move_in_turn(
    problem: Problem, state: CorrectedState, tasks: DenseTasks, rng: np.random.Generator
) -> None:
    """The weights of one task after the other, given those of all others."""
    prior, population = problem.prior, state.population
    rows, kernels = rows_of(problem, state)
    first, n_lanes = prior.block, population.weights.shape[2]
    precision, scale = population.precision.copy(), population.scale
    deviation = unpack_tasks(population.deviation, prior.n_tasks)
    for g, t in enumerate(rows.task.tolist()):
        own, lane = tasks.precision[t, t], (t // n_lanes, slice(None), t % n_lanes)
        others = tasks.precision[t] @ deviation[:, first:] - own * deviation[t, first:]
        center = population.center.copy()
        center[t // n_lanes, first:, t % n_lanes] -= scale[first:] * others / own
        precision[first:, first:] = own * population.precision[first:, first:]
        kernels.move(
            _one_task(rows, g),
            state.parameters,
            state.sites,
            (center, scale, precision, population.weights),
            state.value,
            state.kicks,
            state.accepted,
            rng,
        )
        moved = population.weights[lane] - population.center[lane]
        np.divide(moved, scale, out=deviation[t], where=scale > 0.0)
    standardise(prior, population)


def _one_task(rows: Any, g: int) -> RowData:
    return rows._replace(start=rows.start[g : g + 2], task=rows.task[g : g + 1])
