"""Gibbs sampling: the relation draws weights and structure, the likelihood its noise, in turn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.recording import (
    record_selection,
    record_sparse,
    record_structure,
    record_tasks,
    structure_storage,
    task_storage,
)
from bayesmtl.inference.sampling import sample_chains
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.collapsed_noise import update_collapsed_noise
from bayesmtl.likelihoods.gaussian import Gaussian, NoiseState, noise_state
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL, update_noise
from bayesmtl.numerics.lanes import pack_tasks, residual_sums, task_means, unpack_tasks
from bayesmtl.relations.clusters import density as cluster_density
from bayesmtl.relations.clusters import gibbs as cluster_gibbs
from bayesmtl.relations.clusters.collapsed import weight_prior
from bayesmtl.relations.clusters.state import PartitionState, initial_partition
from bayesmtl.relations.covariance import density as covariance_density
from bayesmtl.relations.covariance import gibbs as covariance_gibbs
from bayesmtl.relations.covariance.factors import independent_tasks
from bayesmtl.relations.covariance.gibbs import TaskChain, start_tasks
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.covariance.task_noise import update_task_noise
from bayesmtl.relations.exchangeable.density import log_joint, log_noise, log_rows
from bayesmtl.relations.exchangeable.gibbs import Moves, collapsing, sweep
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.population import signal_variance
from bayesmtl.relations.exchangeable.selection import (
    SelectionState,
    select_given_deviations,
    select_given_weights,
    start_selection,
)
from bayesmtl.relations.exchangeable.state import (
    PopulationPrior,
    PopulationState,
    initial_state,
)
from bayesmtl.relations.sparse.gibbs import shift_sites, update_sparse
from bayesmtl.relations.sparse.state import SparseState, initial_sparse

__all__ = ["ChainState", "gibbs_step", "record", "sample_gibbs", "start_chain", "storage_for"]


# Beyond, integrating the weights out for the noise would take longer than the rest of a sweep.
_COLLAPSED_LIMIT = 300_000
_ROUNDING = 1e-12
# Too short a tuning phase to judge autocorrelation by.
_SHORTEST_TUNE = 200
# An effective sample of one in nine sweeps.
_STICKY = 0.8
# Sweeps from one collapsed pass to the next where it costs several sweeps.
_SPACING = 4


class ChainState(NamedTuple):
    """All that one chain changes.

    Parameters
    ----------
    sites : Sites
        The problem's sites with the precision lanes of this chain's noise.
    population : PopulationState
    noise : NoiseState
    square : (block, lane)
        Residual sums of squares at the current weights.
    partition : PartitionState or None
        Where tasks fall into clusters.
    tasks : TaskChain or None
        Where tasks are correlated.
    selection : SelectionState or None
        Under feature selection.
    sparse : SparseState or None
        Deviations in a few weights; ``population`` holds the weights without them.
    """

    sites: Any
    population: PopulationState
    noise: NoiseState
    square: np.ndarray
    partition: PartitionState | None
    tasks: TaskChain | None = None
    selection: SelectionState | None = None
    sparse: SparseState | None = None


def start_chain(problem: Problem, likelihood: Likelihood, rng: np.random.Generator) -> ChainState:
    """A dispersed starting point."""
    assert isinstance(likelihood, Gaussian)
    noise = noise_state(
        likelihood,
        problem.sites,
        problem.rows.tasks,
        problem.reference_sd,
        problem.scaling.response_scale,
        rng,
    )
    sites = problem.sites._replace(precision=noise.precision)
    selection = None
    if problem.selection is not None:
        selection = start_selection(problem.prior, problem.selection, rng)
    population = initial_state(problem.prior, rng)
    partition, tasks = None, None
    if problem.partition is not None:
        partition = initial_partition(problem.partition, problem.prior, rng)
    if problem.task_covariance is not None:
        tasks = start_tasks(problem.task_covariance, problem.sites, problem.prior, rng)
    given = problem.blocks[-1].correlation
    if given is not None:
        first = problem.prior.block
        population.covariance[first:, first:] = given
        population.precision[first:, first:] = np.linalg.inv(given)
    square = np.zeros_like(noise.log_sd)
    sparse = None
    if problem.sparse is not None:
        sizes = problem.prior.n_tasks, problem.prior.block, problem.prior.scale_unit.size
        sparse = initial_sparse(*sizes, rng)
    return ChainState(sites, population, noise, square, partition, tasks, selection, sparse)


def _noise_variance(problem: Problem, noise: NoiseState) -> float:
    """The noise variance that R-squared refers to: shared, median over tasks, or known."""
    if noise.kind == FIXED_NOISE:
        return problem.reference_noise
    return float(np.exp(2.0 * noise.log_median[0]))


def _collapsed_noise_work(population: PopulationState) -> int:
    """Operations of the noise update with the weights integrated out, about."""
    n_blocks, p, lanes = population.weights.shape
    return n_blocks * lanes * p**3


def gibbs_step(problem: Problem, chain: ChainState, moves: Moves, rng: np.random.Generator) -> None:
    """One sweep over weights, structure and noise, in place.

    Parameters
    ----------
    problem : Problem
    chain : ChainState
    moves : Moves
        The costlier updates of the population to make.
    rng : numpy.random.Generator
    """
    if chain.sparse is not None:
        _sparse_step(problem, chain, chain.sparse, moves, rng)
        return
    sites, population, noise, square, partition, tasks, selection, _ = chain
    prior = problem.prior
    if noise.kind != FIXED_NOISE and _collapsed_noise_work(population) <= _COLLAPSED_LIMIT:
        _collapsed_noise(prior, chain, rng)
    variance = _noise_variance(problem, noise)
    if tasks is not None:
        covariance_gibbs.sweep(sites, prior, population, tasks, variance, rng)
    elif partition is None or problem.partition is None:
        sweep(sites, prior, population, variance, moves, rng)
    else:
        cluster_gibbs.sweep(sites, prior, population, partition, problem.partition, variance, rng)
    if selection is not None:
        of, alone = problem.selection, tasks is None
        select_given_deviations(sites, prior, of, population, selection, rng)
        select_given_weights(prior, of, population, selection, alone, rng)
    residual_sums(sites.gram, sites.moment, sites.total, population.weights, square)
    if noise.kind != FIXED_NOISE:
        signal = signal_variance(prior, population)
        update_noise(noise, square, signal, prior.r2_prior, rng)


def _sparse_step(
    problem: Problem,
    chain: ChainState,
    sparse: SparseState,
    moves: Moves,
    rng: np.random.Generator,
) -> None:
    """A sweep of what the tasks share on the rows less the deviations, then of these."""
    assert problem.sparse is not None
    prior, population, sites = problem.prior, chain.population, chain.sites

    def without() -> Any:
        moment, total = np.empty_like(sites.moment), np.empty_like(sites.total)
        part = pack_tasks(sparse.part)
        shift_sites(sites.gram, sites.moment, sites.total, part, moment, total)
        return sites._replace(moment=moment, total=total)

    gibbs_step(problem, chain._replace(sites=without(), sparse=None), moves, rng)
    alone = chain.tasks is None and chain.partition is None
    moments, of_sparse = _given_structure(prior, chain), (problem.sparse, sparse)
    update_sparse(sites, (prior, population), moments, of_sparse, alone=alone, rng=rng)
    standardise(prior, population)
    left = without()
    residual_sums(left.gram, left.moment, left.total, population.weights, chain.square)


def _given_structure(prior: PopulationPrior, chain: ChainState) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (block, p, lane) of the weights of tasks that are independent given the rest."""
    population, first = chain.population, prior.block
    center, scale = np.empty_like(population.center), population.scale.copy()
    if chain.partition is not None:
        weight_prior(prior, population, chain.partition, center, scale)
        return center, scale[:, None] * np.ones_like(center)
    task_means(population.means, prior.task_features, center)
    if chain.tasks is None:
        return center, scale[:, None] * np.ones_like(center)
    tasks = chain.tasks.tasks
    assert isinstance(tasks, FactorTasks)
    common, own = np.zeros((prior.n_tasks, scale.size)), np.ones((prior.n_tasks, scale.size))
    common[:, first:] = scale[first:] * (tasks.loadings @ tasks.factors)
    own[:, first:] = np.sqrt(tasks.specific)[:, None]
    return center + pack_tasks(common), scale[:, None] * pack_tasks(own)


def _collapsed_noise(prior: PopulationPrior, chain: ChainState, rng: np.random.Generator) -> None:
    """Noise with the weights integrated out, where the tasks are independent given the rest."""
    sites, population, noise, _, partition, tasks, *_ = chain
    center, scale = population.center, population.scale.copy()
    if tasks is not None:
        if isinstance(tasks.tasks, DenseTasks):
            if noise.kind == HIERARCHICAL:
                update_task_noise(noise, sites, prior, population, tasks.tasks, rng)
            return
        gram, moment, center = independent_tasks(sites, prior, population, tasks.tasks)
        sites = sites._replace(gram=gram, moment=moment)
    elif partition is None:
        task_means(population.means, prior.task_features, center)
    else:
        weight_prior(prior, population, partition, center, scale)
    signal = signal_variance(prior, population)
    update_collapsed_noise(
        noise, sites, center, scale, population.precision, signal, prior.r2_prior, rng
    )


class _Policy:
    """Decides during tuning whether a chain needs the costlier updates, then stays with it.

    Interweaved updates are cheaper, and enough where the data of the tasks are strong. In small
    models the others cost little and always run. Elsewhere the first half of tuning does without
    them, and they are switched on for good if the log of some scale, or some correlation, is then
    strongly autocorrelated.
    """

    def __init__(self, advice: str, tune: int) -> None:
        self.tune = tune
        self._spacing = {"always": 1, "if needed": _SPACING, "never": 0}[advice]
        self._thorough = advice == "always" or tune < _SHORTEST_TUNE
        self._window = (0, 0) if self._thorough else (tune // 4, tune // 2)
        self._seen: list[np.ndarray] = []

    def moves(self, iteration: int) -> Moves:
        """The updates of this sweep."""
        due = self._spacing > 0 and iteration % self._spacing == 0
        return Moves(collapsed=self._thorough and due, rows=self._thorough)

    def observe(self, iteration: int, population: PopulationState) -> None:
        """Take note of the population after a sweep."""
        first, last = self._window
        if first <= iteration < last:
            self._seen.append(_monitored(population))
            if iteration == last - 1:
                self._thorough = _autocorrelation(np.array(self._seen)) > _STICKY
                self._seen.clear()


def _monitored(population: PopulationState) -> np.ndarray:
    """Logs of the scales that are not zero, and the correlations."""
    variance = np.diag(population.covariance)
    total = population.scale * np.sqrt(variance)
    row, column = np.tril_indices(total.size, -1)
    correlation = population.covariance[row, column] / np.sqrt(variance[row] * variance[column])
    return np.concatenate([np.log(total[total > 0.0]), correlation])


def _autocorrelation(values: np.ndarray) -> float:
    """Largest lag-one autocorrelation of the columns that move by more than rounding."""
    moving = values[:, values.std(axis=0) > _ROUNDING * np.abs(values).max(axis=0, initial=0.0)]
    centred = moving - moving.mean(axis=0)
    lagged = (centred[1:] * centred[:-1]).sum(axis=0) / (centred**2).sum(axis=0)
    return float(lagged.max(initial=0.0))


def sample_gibbs(
    problem: Problem,
    likelihood: Likelihood,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
    keep_weights: bool,
) -> tuple[Draws, bool]:
    """Sample the posterior.

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units.
    interrupted : bool
        Whether Ctrl-C ended the run; the draws are then those that every kept chain had finished.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """
    # Compiles what the chains will call, before they start.
    rng = np.random.default_rng(0)
    own = problem.for_chain()
    scratch = start_chain(own, likelihood, rng)
    affordable = collapsing(problem.prior) != "never"
    gibbs_step(own, scratch, Moves(collapsed=affordable, rows=True), rng)
    record(own, scratch, storage_for(own, scratch, 1, keep_weights), 0)

    def start(rng: np.random.Generator) -> _Chain:
        own = problem.for_chain()
        state = start_chain(own, likelihood, rng)
        return _Chain(own, state, _Policy(collapsing(problem.prior), tune), rng, keep_weights)

    return sample_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )


class _Chain(NamedTuple):
    """One chain, see `bayesmtl.inference.sampling.Chain`."""

    problem: Problem
    state: ChainState
    policy: _Policy
    rng: np.random.Generator
    keep_weights: bool

    def advance(self, iteration: int) -> None:
        moves = self.policy.moves(iteration)
        gibbs_step(self.problem, self.state, moves, self.rng)
        self.policy.observe(iteration, self.state.population)
        if self.state.tasks is not None and iteration < self.policy.tune:
            covariance_gibbs.adapt(self.state.tasks.step)

    def storage(self, draws: int) -> Draws:
        return storage_for(self.problem, self.state, draws, self.keep_weights)

    def record(self, storage: Draws, draw: int) -> Draws:
        return record(self.problem, self.state, storage, draw)


def storage_for(problem: Problem, chain: ChainState, draws: int, keep_weights: bool) -> Draws:
    """Empty arrays for the draws of one chain."""
    storage = structure_storage(problem, chain.partition, draws, keep_weights=keep_weights)
    if chain.tasks is not None:
        of = chain.tasks
        storage = storage._replace(tasks=task_storage(of.prior, of.tasks, of.own, draws))
    kind = chain.noise.kind
    if kind == FIXED_NOISE:
        return storage
    if kind != HIERARCHICAL:
        return storage._replace(log_noise=np.empty(draws))
    return storage._replace(
        noise_median=np.empty(draws),
        noise_spread=np.empty(draws),
        log_noise=np.empty((draws, problem.prior.n_tasks)),
    )


def record(problem: Problem, chain: ChainState, storage: Draws, draw: int) -> Draws:
    """Write the current state as one draw; the storage grows with the number of clusters."""
    population, noise, partition = chain.population, chain.noise, chain.partition
    storage = record_structure(problem, population, partition, storage, draw)
    if storage.noise_median is not None and storage.noise_spread is not None:
        storage.noise_median[draw] = np.exp(noise.log_median[0])
        storage.noise_spread[draw] = noise.spread[0]
    if storage.log_noise is not None:
        per_task = storage.log_noise.ndim == 2
        flat = (
            unpack_tasks(noise.log_sd, problem.prior.n_tasks) if per_task else noise.log_median[0]
        )
        storage.log_noise[draw] = flat
    variance = _noise_variance(problem, noise)
    if chain.tasks is not None and storage.tasks is not None:
        of = chain.tasks
        record_tasks(of.prior, of.tasks, of.own, population, storage.tasks, draw)
        structure = covariance_density.log_population(
            problem.prior, population, of.tasks, of.prior, variance, of.own
        )
        storage.lp[draw] = structure + log_noise(noise) + log_rows(noise, chain.square)
    elif partition is None:
        storage.lp[draw] = log_joint(problem.prior, population, noise, chain.square, variance)
    else:
        storage.lp[draw] = cluster_density.log_joint(
            problem.prior, population, partition, problem.partition, noise, chain.square, variance
        )
    storage.lp[draw] += record_selection(problem, chain.selection, storage, draw)
    storage.lp[draw] += record_sparse(problem, chain.sparse, storage, draw)
    return storage
