"""Exact sampling of any likelihood around fixed Gaussian sites.

Each task has a site, fixed while draws are kept. With weights ``w_t = m_t + s (mean_t + L_t^-T
q_t)``, where mean and factor are those of the standardised deviation given the site and the
population, the posterior of population and q is

    (site posterior of the population) x N(q; 0, I) x exp sum_t rho_t,

rho_t being what the site leaves of the log-likelihood (Osmundsen, Kleppe and Liesenfeld 2021, J.
Comput. Graph. Stat. 30). A sweep

- proposes a new population by an update that is reversible under the site posterior, weights
  integrated out, and accepts by the change of rho at fixed q (surrogate transitions, Liu 2001,
  Monte Carlo Strategies in Scientific Computing, section 9.4.3);
- updates the population given the weights, which no likelihood enters;
- moves q by split Hamiltonian Monte Carlo (correlated tasks: see
  `bayesmtl.inference.corrected_covariance`);
- updates the parameters of the likelihood, if it has any, given the weights;
- updates the scales of tasks with different likelihoods, see `bayesmtl.inference.task_scales`.

The sites are fitted while tuning: first at each task's penalised mode, then with the average
information and score over draws, at which the site is the best one in Kullback-Leibler divergence
(Opper and Archambeau 2009, Neural Comput. 21).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected_covariance import start_correlated, update_correlated
from bayesmtl.inference.corrected_partition import identical_weights, update_clusters
from bayesmtl.inference.corrected_state import CorrectedState, attempt, row_values, rows_of
from bayesmtl.inference.corrected_weights import move_correlated
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.nuisance import (
    log_parameters,
    noise_variance,
    shift_groups,
    update_parameters,
)
from bayesmtl.inference.recording import (
    record_selection,
    record_structure,
    record_tasks,
    structure_storage,
    task_storage,
)
from bayesmtl.inference.sampling import sample_chains
from bayesmtl.inference.task_scales import (
    TaskScales,
    apply_scales,
    log_scales,
    rescale_all,
    rescale_given_predictors,
    rescale_given_weights,
    start_scales,
)
from bayesmtl.numerics.lanes import multiply_lanes, pack_tasks
from bayesmtl.relations.clusters import density as cluster_density
from bayesmtl.relations.clusters.collapsed import weight_prior
from bayesmtl.relations.clusters.state import initial_partition
from bayesmtl.relations.clusters.whitened import place_in_clusters, whiten_in_clusters
from bayesmtl.relations.covariance import density as covariance_density
from bayesmtl.relations.covariance.gibbs import adapt
from bayesmtl.relations.exchangeable.density import log_population
from bayesmtl.relations.exchangeable.gibbs import moves_pairs
from bayesmtl.relations.exchangeable.moves import rescale_joint, standardise
from bayesmtl.relations.exchangeable.selection import select_given_weights, start_selection
from bayesmtl.relations.exchangeable.state import initial_state
from bayesmtl.relations.exchangeable.whitened import (
    place,
    population_given_weights,
    propose_population,
    whiten,
)

__all__ = [
    "CorrectedTuning",
    "corrected_sweep",
    "move_weights",
    "sample_corrected",
    "start_corrected",
]

# Shares of tuning: where a window for new sites begins, and where it ends and they are set.
_WINDOWS = ((0.05, 0.15), (0.15, 0.35), (0.35, 0.6))
_SHORTEST_WINDOW = 10
# Proposals of a new population in a sweep.
_ATTEMPTS = 2
_FIRST_STEP, _STEP_RATE, _STEP_ACCEPTANCE = 0.3, 0.1, 0.75
_FEWEST_KICKS, _MOST_KICKS, _FIRST_KICKS = 2, 40, 4
# Sweeps over which a task's acceptance is counted, and what it should stay between.
_COUNTED, _TOO_LOW, _TOO_HIGH = 25, 0.7, 0.95


def start_corrected(problem: Problem, rng: np.random.Generator) -> CorrectedState:
    """A dispersed starting point at the pilot sites of the problem."""
    sites, n_tasks = problem.sites, problem.prior.n_tasks
    sites = sites._replace(gram=sites.gram.copy(), moment=sites.moment.copy())
    selection = None
    if problem.selection is not None:
        selection = start_selection(problem.prior, problem.selection, rng)
    population = initial_state(problem.prior, rng)
    whitened = rng.normal(size=population.weights.shape)
    state = CorrectedState(
        sites,
        population,
        whitened,
        np.zeros_like(sites.precision),
        problem.row_parameters.start.copy(),
        np.full(n_tasks, _FIRST_KICKS),
        np.zeros(n_tasks, dtype=np.bool_),
        None
        if problem.partition is None
        else initial_partition(problem.partition, problem.prior, rng),
        np.array([_FIRST_STEP, np.nan]),
        start_scales(problem, rng),
        selection,
    )
    if state.scales is not None:
        apply_scales(problem, state.scales, sites)
    if problem.task_covariance is not None:
        state = start_correlated(problem, state, noise_variance(problem, state.parameters), rng)
    elif state.partition is None:
        place(sites, problem.prior, population, whitened)
        # Where no scale is learned, far from the sites every proposal would be refused.
        noise, pairs = noise_variance(problem, state.parameters), moves_pairs(problem.prior)
        propose_population(sites, problem.prior, population, whitened, noise, pairs, rng)
    else:
        place_in_clusters(sites, problem.prior, population, state.partition, whitened)
    state.value[:] = row_values(problem, state)
    # The parameters are dispersed as the weights are.
    if _update_parameters(problem, state, rng):
        _whiten(problem, state)
    return state


def corrected_sweep(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> float:
    """One sweep over population, partition, weights and parameters, in place.

    Returns
    -------
    float
        Share of the proposed changes of population and partition that were accepted.
    """
    if state.tasks is not None:
        noise = noise_variance(problem, state.parameters)
        accepted = update_correlated(problem, state, noise, rng)
        _update_selection(problem, state, rng)
    elif state.partition is None:
        accepted = _update_population(problem, state, rng)
    else:
        accepted = update_clusters(problem, state, noise_variance(problem, state.parameters), rng)
    if state.partition is None or not identical_weights(problem, state):
        move_weights(problem, state, rng)
    if _update_parameters(problem, state, rng):
        _whiten(problem, state)
    if state.scales is not None:
        _update_scales(problem, state, state.scales, rng)
    return float(np.mean(accepted))


def move_weights(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> None:
    """Weights of every task given the population and cluster means, and their q."""
    if state.tasks is not None:
        move_correlated(problem, state, rng)
        return
    prior, population, sites = problem.prior, state.population, state.sites
    center, scale = population.center, population.scale
    if state.partition is not None:
        center, scale = np.empty_like(center), np.empty_like(scale)
        weight_prior(prior, population, state.partition, center, scale)
    rows, kernels = rows_of(problem, state)
    kernels.move(
        rows,
        state.parameters,
        sites,
        (center, scale, population.precision, population.weights),
        state.value,
        state.kicks,
        state.accepted,
        rng,
    )
    standardise(prior, population)
    _whiten(problem, state)


def _update_population(
    problem: Problem, state: CorrectedState, rng: np.random.Generator
) -> list[bool]:
    """The normal population of an exchangeable relation; whether the proposals were accepted."""
    prior, population, sites = problem.prior, state.population, state.sites
    pairs, noise = moves_pairs(prior), noise_variance(problem, state.parameters)

    def structure() -> None:
        propose_population(sites, prior, population, state.whitened, noise, pairs, rng)

    accepted = [attempt(problem, state, structure, rng) for _ in range(_ATTEMPTS)]
    population_given_weights(prior, population, noise, rng)
    _update_selection(problem, state, rng)
    if prior.joint.any():
        accepted.append(
            attempt(
                problem, state, lambda: rescale_joint(sites, prior, population, noise, rng), rng
            )
        )
    return accepted


def _update_selection(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> None:
    """What selects features, given the weights, which no likelihood enters."""
    if state.selection is not None:
        prior, selection, alone = problem.prior, problem.selection, state.tasks is None
        select_given_weights(prior, selection, state.population, state.selection, alone, rng)


def _update_parameters(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> bool:
    """Parameters of the likelihood given the weights; whether intercepts were moved with them."""
    (rows, _), population, parameters = rows_of(problem, state), state.population, state.parameters
    if state.scales is None:
        return update_parameters(
            problem, population, parameters, state.value, rng, rows=rows, tasks=state.tasks
        )
    update_parameters(problem, population, parameters, state.value, rng, rows=rows)
    log_scale = state.scales.log_scale
    return shift_groups(problem, population, state.partition, log_scale, parameters, rng)


def _update_scales(
    problem: Problem, state: CorrectedState, scales: TaskScales, rng: np.random.Generator
) -> None:
    """Scales of the tasks, with rows, sites and q to match."""
    population = state.population
    rescale_given_weights(problem, scales, population.weights, state.parameters, rng)
    rescale_given_predictors(problem, scales, population, state.partition, rng)
    rescale_all(problem, scales, population, rng)
    apply_scales(problem, scales, state.sites)
    state.value[:] = row_values(problem, state)
    _whiten(problem, state)


def _whiten(problem: Problem, state: CorrectedState) -> None:
    """The q of the current weights; that of correlated tasks is found where it is needed."""
    sites, prior, population = state.sites, problem.prior, state.population
    if state.tasks is not None:
        return
    if state.partition is None:
        whiten(sites, prior, population, state.whitened)
    else:
        whiten_in_clusters(sites, prior, population, state.partition, state.whitened)


class CorrectedTuning:
    """New sites from draws, and as many gradients a move as each task needs."""

    def __init__(self, problem: Problem, tune: int) -> None:
        self._windows = [
            (int(first * tune), int(last * tune))
            for first, last in _WINDOWS
            if int(last * tune) - int(first * tune) >= _SHORTEST_WINDOW
        ]
        self._tune = tune
        sites = problem.sites
        self._gram, self._score = np.zeros_like(sites.gram), np.zeros_like(sites.moment)
        self._weights = np.zeros_like(sites.moment)
        self._moves = np.zeros(problem.prior.n_tasks)

    def observe(self, iteration: int, problem: Problem, state: CorrectedState) -> None:
        """Take note of the state after a sweep of tuning, and adapt."""
        if iteration >= self._tune:
            return
        self._moves += state.accepted
        adapt(state.root_step)
        step, rate = state.center_step
        if np.isfinite(rate):
            state.center_step[0] = step * np.exp(_STEP_RATE * (rate - _STEP_ACCEPTANCE))
        if (iteration + 1) % _COUNTED == 0:
            self._set_kicks(state.kicks)
        for first, last in self._windows:
            if first <= iteration < last:
                self._add_moments(problem, state)
                if iteration == last - 1:
                    self._set_sites(problem, state, last - first)

    def _add_moments(self, problem: Problem, state: CorrectedState) -> None:
        """Information, score and weights, where tasks have scales those of scale one."""
        rows, kernels = rows_of(problem, state)
        weights, scales = state.population.weights, state.scales
        if scales is None:
            kernels.moments(rows, weights, state.parameters, self._gram, self._score)
            self._weights += weights
            return
        gram, score = np.zeros_like(self._gram), np.zeros_like(self._score)
        kernels.moments(rows, weights, state.parameters, gram, score)
        scale = pack_tasks(np.exp(scales.log_scale))[:, None]
        # Lanes without a task hold zeros.
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
        self._gram += gram * inverse**2
        self._score += score * inverse
        self._weights += weights * scale

    def _set_kicks(self, kicks: np.ndarray) -> None:
        rate = self._moves / _COUNTED
        more = np.minimum(np.ceil(1.5 * kicks), _MOST_KICKS).astype(kicks.dtype)
        fewer = np.maximum(kicks - 1, _FEWEST_KICKS)
        kicks[:] = np.where(rate < _TOO_LOW, more, np.where(rate > _TOO_HIGH, fewer, kicks))
        self._moves[:] = 0.0

    def _set_sites(self, problem: Problem, state: CorrectedState, count: int) -> None:
        of_scale_one = state.sites if state.scales is None else state.scales
        gram, moment = of_scale_one.gram, of_scale_one.moment
        gram[:] = self._gram / count
        for k in range(gram.shape[0]):
            multiply_lanes(gram, k, self._weights[k] / count, moment[k])
        moment += self._score / count
        if state.scales is not None:
            apply_scales(problem, state.scales, state.sites)
        _whiten(problem, state)
        for total in (self._gram, self._score, self._weights):
            total[:] = 0.0


class _Chain(NamedTuple):
    """One chain, see `bayesmtl.inference.sampling.Chain`."""

    problem: Problem
    state: CorrectedState
    tuning: CorrectedTuning
    rng: np.random.Generator

    def advance(self, iteration: int) -> None:
        corrected_sweep(self.problem, self.state, self.rng)
        self.tuning.observe(iteration, self.problem, self.state)

    def storage(self, draws: int) -> Draws:
        state = self.state
        storage = structure_storage(self.problem, state.partition, draws, keep_weights=True)
        scales = state.scales
        return storage._replace(
            parameters=np.empty((draws, state.parameters.size)),
            tasks=None
            if state.tasks is None or self.problem.task_covariance is None
            else task_storage(self.problem.task_covariance, state.tasks, state.own, draws),
            task_scale=None if scales is None else np.empty((draws, scales.log_scale.size)),
        )

    def record(self, storage: Draws, draw: int) -> Draws:
        problem, state = self.problem, self.state
        storage = record_structure(problem, state.population, state.partition, storage, draw)
        assert storage.parameters is not None
        storage.parameters[draw] = state.parameters
        if storage.tasks is not None and state.tasks is not None:
            of, population = problem.task_covariance, state.population
            assert of is not None
            record_tasks(of, state.tasks, state.own, population, storage.tasks, draw)
        if storage.task_scale is not None and state.scales is not None:
            storage.task_scale[draw] = np.exp(state.scales.log_scale)
        density = _log_structure(problem, state) + log_parameters(problem, state.parameters)
        density += log_scales(state.scales)
        density += record_selection(problem, state.selection, storage, draw)
        storage.lp[draw] = density + state.value.sum()
        return storage


def _log_structure(problem: Problem, state: CorrectedState) -> float:
    """Log density of population, partition and weights."""
    prior, partition = problem.prior, state.partition
    noise = noise_variance(problem, state.parameters)
    if state.tasks is not None and problem.task_covariance is not None:
        return covariance_density.log_population(
            prior, state.population, state.tasks, problem.task_covariance, noise, state.own
        )
    if partition is None:
        return float(log_population(prior, state.population, noise))
    return float(
        cluster_density.log_population(prior, state.population, partition, problem.partition, noise)
    )


def sample_corrected(
    problem: Problem,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[Draws, bool]:
    """Sample the posterior; see `bayesmtl.inference.sampling.sample_chains`."""
    # Compiles what the chains will call, before they start.
    rng = np.random.default_rng(0)
    own = problem.for_chain()
    scratch = start_corrected(own, rng)
    corrected_sweep(own, scratch, rng)
    tuning = CorrectedTuning(own, 4 * _COUNTED)
    tuning.observe(_COUNTED, own, scratch)

    def start(rng: np.random.Generator) -> Any:
        own = problem.for_chain()
        return _Chain(own, start_corrected(own, rng), CorrectedTuning(own, tune), rng)

    return sample_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
