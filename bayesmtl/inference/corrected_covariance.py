"""The structure of correlated tasks under any likelihood, around fixed sites.

See `bayesmtl.inference.corrected`. A sweep

- updates the covariance of the tasks, factors, means, scales and the covariance of the features
  given the weights, which no likelihood enters;
- proposes them under the sites and accepts by the change of the correction: factors, loadings and,
  where tasks share factors, scales with the weights integrated out, q fixed; the others given
  deviations in standard form. What concerns one task is accepted task by task.

The weights are moved in `bayesmtl.inference.corrected_weights`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected_state import (
    CorrectedState,
    attempt,
    attempt_by_task,
)
from bayesmtl.numerics.joint_weights import DENSE
from bayesmtl.relations.covariance.collapsed_scales import propose_scales
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.dense_covariance import (
    covariance_given_innovations,
    expand_tasks,
    scale_tasks,
    structure_given_weights,
)
from bayesmtl.relations.covariance.exchange import exchange_dense
from bayesmtl.relations.covariance.factor_moves import (
    expand_factors,
    factors_given_weights,
    propose_factors,
    propose_features,
    propose_kinds,
    propose_loadings,
)
from bayesmtl.relations.covariance.factors import specific_given_parts
from bayesmtl.relations.covariance.gibbs import start_tasks, sweep
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks, TaskCovariancePrior
from bayesmtl.relations.covariance.structure import (
    structure_given_deviations,
    structure_with_weights,
)
from bayesmtl.relations.covariance.whitened import whiten_factors
from bayesmtl.relations.exchangeable.moves import rescale_joint
from bayesmtl.relations.exchangeable.state import HUANG_WAND

__all__ = ["start_correlated", "update_correlated"]

# Updates given the weights in a sweep: they cost little, and each is of a part given the others.
_REPEATS = 3
# Operations of an update that may be left out.
_CHEAP = 2_000_000


def start_correlated(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> CorrectedState:
    """A dispersed covariance of the tasks, and one sweep under the sites from there."""
    prior, population, sites = problem.prior, state.population, state.sites
    assert problem.task_covariance is not None
    given = problem.blocks[-1].correlation
    if given is not None:
        population.covariance[prior.block :, prior.block :] = given
        population.precision[prior.block :, prior.block :] = np.linalg.inv(given)
    chain = start_tasks(problem.task_covariance, sites, prior, rng)
    sweep(sites, prior, population, chain, noise_variance, rng)
    return state._replace(tasks=chain.tasks, root_step=chain.step, own=chain.own)


def update_correlated(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> list[bool]:
    """Structure of one sweep, in place.

    Returns
    -------
    list of bool
        Whether the proposals were accepted.
    """
    task_prior = problem.task_covariance
    assert task_prior is not None
    if isinstance(state.tasks, FactorTasks):
        accepted = _update_factors(problem, state, state.tasks, task_prior, noise_variance, rng)
        factors = state.tasks.factors
    else:
        assert state.tasks is not None
        accepted = _update_dense(problem, state, state.tasks, task_prior, noise_variance, rng)
        factors = np.empty((0, 0))
    return accepted + _update_features(problem, state, factors, noise_variance, rng)


def _update_factors(
    problem: Problem,
    state: CorrectedState,
    tasks: FactorTasks,
    task_prior: TaskCovariancePrior,
    noise_variance: float,
    rng: np.random.Generator,
) -> list[bool]:
    """Factors, loadings and variances of own parts, given the weights and by surrogates."""
    one = task_prior.common
    for _ in range(_REPEATS):
        factors_given_weights(problem.prior, state.population, tasks, one, noise_variance, rng)
    accepted = _integrated(problem, state, tasks, noise_variance, rng)
    return accepted + _given_parts(problem, state, tasks, one=one, rng=rng)


def _integrated(
    problem: Problem,
    state: CorrectedState,
    tasks: FactorTasks,
    noise_variance: float,
    rng: np.random.Generator,
) -> list[bool]:
    """Factors, loadings and scales with the weights integrated out under the sites, q fixed."""
    prior, q = problem.prior, state.whitened
    whiten_factors(state.sites, prior, state.population, tasks, q)

    def proposal(propose: Callable[..., None], *settings: float) -> Callable[[], None]:
        return lambda: propose(state.sites, prior, state.population, tasks, q, *settings, rng)

    updates = [proposal(propose_factors), proposal(propose_kinds)]
    if prior.n_tasks * prior.scale_unit.size**4 <= _CHEAP:
        updates.append(proposal(propose_scales, noise_variance))
    accepted = [attempt(problem, state, update, rng) for update in updates]
    loadings = proposal(propose_loadings)
    return accepted + attempt_by_task(problem, state, loadings, tasks.loadings, rng).tolist()


def _given_parts(
    problem: Problem,
    state: CorrectedState,
    tasks: FactorTasks,
    *,
    one: bool,
    rng: np.random.Generator,
) -> list[bool]:
    """Variances of own parts given standard parts; loadings and sd of each task times a factor."""
    prior, population, factor = problem.prior, state.population, np.ones(problem.prior.n_tasks)

    def specific() -> None:
        specific_given_parts(state.sites, prior, population, tasks, one, rng)

    def expand() -> None:
        expand_factors(state.sites, prior, population, tasks, one, factor, rng)

    if one:
        accepted = [attempt(problem, state, specific, rng)]
    else:
        accepted = attempt_by_task(problem, state, specific, tasks.specific, rng).tolist()
    accepted += attempt_by_task(problem, state, expand, factor, rng).tolist()
    tasks.loadings[:] *= factor[:, None]
    if not one:
        tasks.specific[:] *= factor**2
    return accepted


def _update_dense(
    problem: Problem,
    state: CorrectedState,
    tasks: DenseTasks,
    task_prior: TaskCovariancePrior,
    noise_variance: float,
    rng: np.random.Generator,
) -> list[bool]:
    """The covariance of the tasks, given the weights and by surrogates."""
    prior, population, sites = problem.prior, state.population, state.sites
    learned, structure = task_prior.kind == "full", task_prior.structure
    dense, _ = dense_sites(sites, prior, DENSE)
    for _ in range(_REPEATS):
        structure_given_weights(
            dense, prior, population, tasks, learned, noise_variance, state.root_step, rng
        )
        if learned:
            exchange_dense(prior, population, tasks, noise_variance, rng)
        elif structure is not None:
            of = (structure, state.own, prior, population, tasks)
            structure_given_deviations(*of, noise_variance=noise_variance, rng=rng)
    if structure is not None:
        parts = (structure, state.own, sites, dense, prior, population)
        move = partial(structure_with_weights, *parts, tasks=tasks, exact=False, rng=rng)
        return [attempt(problem, state, move, rng)]
    if not learned:
        return []

    def covariance() -> None:
        covariance_given_innovations(sites, dense, prior, population, tasks, rng)

    accepted = [attempt(problem, state, covariance, rng)]
    factor = np.ones(prior.n_tasks)

    def expand() -> None:
        expand_tasks(sites, prior, population, tasks, factor, rng)

    accepted += attempt_by_task(problem, state, expand, factor, rng).tolist()
    scale_tasks(tasks, factor)
    return accepted


def _update_features(
    problem: Problem,
    state: CorrectedState,
    factors: np.ndarray,
    noise_variance: float,
    rng: np.random.Generator,
) -> list[bool]:
    """Means, scales and covariance of the features given standard deviations, by surrogates."""
    prior, population, sites = problem.prior, state.population, state.sites

    def features(*, rows: bool) -> Callable[[], None]:
        return lambda: propose_features(sites, prior, population, factors, rows, rng)

    updates = [features(rows=False)]
    if prior.covariance == HUANG_WAND:
        updates.append(features(rows=True))
    if prior.joint.any():
        updates.append(lambda: rescale_joint(sites, prior, population, noise_variance, rng))
    return [attempt(problem, state, update, rng) for update in updates]
