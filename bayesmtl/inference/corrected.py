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
- moves q by split Hamiltonian Monte Carlo;
- updates the parameters of the likelihood, if it has any, given the weights.

The sites are fitted while tuning: first at each task's penalised mode, then with the average
information and score over draws, at which the site is the best one in Kullback-Leibler divergence
(Opper and Archambeau 2009, Neural Comput. 21).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.nuisance import log_parameters, update_parameters
from bayesmtl.inference.sampling import sample_chains
from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.rows import RowData, RowKernels
from bayesmtl.numerics.lanes import multiply_lanes, site_values, unpack_tasks
from bayesmtl.relations.exchangeable.density import log_population
from bayesmtl.relations.exchangeable.gibbs import moves_pairs
from bayesmtl.relations.exchangeable.moves import rescale_joint, standardise
from bayesmtl.relations.exchangeable.state import (
    DIAGONAL,
    HUANG_WAND,
    PopulationState,
    initial_state,
)
from bayesmtl.relations.exchangeable.whitened import (
    place,
    population_given_weights,
    propose_population,
    whiten,
)

__all__ = ["CorrectedState", "corrected_sweep", "sample_corrected", "start_corrected"]

# Shares of tuning: where a window for new sites begins, and where it ends and they are set.
_WINDOWS = ((0.05, 0.15), (0.15, 0.35), (0.35, 0.6))
_SHORTEST_WINDOW = 10
_FEWEST_KICKS, _MOST_KICKS, _FIRST_KICKS = 2, 40, 4
# Sweeps over which a task's acceptance is counted, and what it should stay between.
_COUNTED, _TOO_LOW, _TOO_HIGH = 25, 0.7, 0.95


class CorrectedState(NamedTuple):
    """All that one chain changes.

    Parameters
    ----------
    sites : Sites
        Of unit precision.
    population : PopulationState
    whitened : (block, p, lane)
        q.
    value : (block, lane)
        Log-likelihood of each task at the current weights.
    parameters : (parameter,)
        Of the likelihood.
    kicks : (task,)
        Gradients in a move of each task's weights.
    accepted : (task,) bool
        Whether the last move was.
    """

    sites: Sites
    population: PopulationState
    whitened: np.ndarray
    value: np.ndarray
    parameters: np.ndarray
    kicks: np.ndarray
    accepted: np.ndarray


def _rows(problem: Problem) -> tuple[RowData, RowKernels]:
    assert problem.row_data is not None
    assert problem.row_kernels is not None
    return problem.row_data, problem.row_kernels


def start_corrected(problem: Problem, rng: np.random.Generator) -> CorrectedState:
    """A dispersed starting point at the pilot sites of the problem."""
    sites, n_tasks = problem.sites, problem.prior.n_tasks
    sites = sites._replace(gram=sites.gram.copy(), moment=sites.moment.copy())
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
    )
    place(sites, problem.prior, population, whitened)
    rows, kernels = _rows(problem)
    kernels.evaluate(rows, population.weights, state.parameters, state.value)
    # The parameters are dispersed as the weights are.
    update_parameters(problem, population, state.parameters, state.value, rng)
    return state


def _correction(state: CorrectedState, weights: np.ndarray, value: np.ndarray) -> float:
    """Sum over tasks of what the sites leave of the log-likelihood."""
    site = np.empty_like(value)
    site_values(state.sites.gram, state.sites.moment, weights, site)
    return float(value.sum() - site.sum())


def _attempt(
    problem: Problem,
    state: CorrectedState,
    propose: Callable[[PopulationState], None],
    rng: np.random.Generator,
) -> bool:
    """Accept or undo a change of the population that is reversible under the sites."""
    population = state.population
    before = [part.copy() for part in population]
    start = _correction(state, population.weights, state.value)
    propose(population)
    value = np.zeros_like(state.value)
    rows, kernels = _rows(problem)
    kernels.evaluate(rows, population.weights, state.parameters, value)
    # A correction that is not a number compares as false: rejected.
    change = _correction(state, population.weights, value) - start
    if math.log1p(-rng.random()) < change:
        state.value[:] = value
        return True
    for part, old in zip(population, before, strict=True):
        part[:] = old
    return False


def corrected_sweep(
    problem: Problem, state: CorrectedState, rng: np.random.Generator
) -> tuple[bool, bool]:
    """One sweep over population and weights, in place.

    Returns
    -------
    tuple of bool
        Whether the population was moved with the weights integrated out, and rescaled.
    """
    prior, population, sites = problem.prior, state.population, state.sites
    pairs, noise = moves_pairs(prior), problem.reference_noise

    def structure(population: PopulationState) -> None:
        propose_population(sites, prior, population, state.whitened, noise, pairs, rng)

    def rescale(population: PopulationState) -> None:
        rescale_joint(sites, prior, population, noise, rng)

    moved = _attempt(problem, state, structure, rng)
    population_given_weights(prior, population, noise, rng)
    rescaled = bool(prior.joint.any()) and _attempt(problem, state, rescale, rng)
    lanes = (population.center, population.scale, population.precision, population.weights)
    rows, kernels = _rows(problem)
    kernels.move(
        rows,
        state.parameters,
        sites,
        lanes,
        state.value,
        state.kicks,
        state.accepted,
        rng,
    )
    standardise(prior, population)
    update_parameters(problem, population, state.parameters, state.value, rng)
    whiten(sites, prior, population, state.whitened)
    return moved, rescaled


class _Tuning:
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
        if (iteration + 1) % _COUNTED == 0:
            self._set_kicks(state.kicks)
        rows, kernels = _rows(problem)
        for first, last in self._windows:
            if first <= iteration < last:
                weights = state.population.weights
                kernels.moments(rows, weights, state.parameters, self._gram, self._score)
                self._weights += weights
                if iteration == last - 1:
                    self._set_sites(problem, state, last - first)

    def _set_kicks(self, kicks: np.ndarray) -> None:
        rate = self._moves / _COUNTED
        more = np.minimum(np.ceil(1.5 * kicks), _MOST_KICKS).astype(kicks.dtype)
        fewer = np.maximum(kicks - 1, _FEWEST_KICKS)
        kicks[:] = np.where(rate < _TOO_LOW, more, np.where(rate > _TOO_HIGH, fewer, kicks))
        self._moves[:] = 0.0

    def _set_sites(self, problem: Problem, state: CorrectedState, count: int) -> None:
        gram, moment = state.sites.gram, state.sites.moment
        gram[:] = self._gram / count
        for k in range(gram.shape[0]):
            multiply_lanes(gram, k, self._weights[k] / count, moment[k])
        moment += self._score / count
        whiten(state.sites, problem.prior, state.population, state.whitened)
        for total in (self._gram, self._score, self._weights):
            total[:] = 0.0


class _Chain(NamedTuple):
    """One chain, see `bayesmtl.inference.sampling.Chain`."""

    problem: Problem
    state: CorrectedState
    tuning: _Tuning
    rng: np.random.Generator
    counts: np.ndarray

    def advance(self, iteration: int) -> None:
        moved = corrected_sweep(self.problem, self.state, self.rng)
        self.counts[:] += (1.0, *moved, self.state.accepted.mean())
        self.tuning.observe(iteration, self.problem, self.state)

    def storage(self, draws: int) -> Draws:
        problem = self.problem
        p, q = problem.prior.mean_location.shape
        full = problem.prior.covariance != DIAGONAL
        return Draws(
            means=np.empty((draws, p, q)),
            scale=np.empty((draws, p)),
            correlation=np.empty((draws, p, p)) if full else None,
            shared=np.empty(draws) if problem.prior.joint.any() else None,
            noise_median=None,
            noise_spread=None,
            log_noise=None,
            weights=np.empty((draws, problem.prior.n_tasks, p)),
            lp=np.empty(draws),
            parameters=np.empty((draws, self.state.parameters.size)),
        )

    def record(self, storage: Draws, draw: int) -> Draws:
        population, prior = self.state.population, self.problem.prior
        storage.means[draw] = population.means
        storage.scale[draw] = population.scale
        if storage.correlation is not None:
            storage.correlation[draw] = population.covariance
            if prior.covariance == HUANG_WAND:
                sd = np.sqrt(np.diag(population.covariance))
                storage.scale[draw] *= sd
                storage.correlation[draw] /= np.outer(sd, sd)
        if storage.shared is not None:
            storage.shared[draw] = population.shared[0]
        assert storage.weights is not None
        storage.weights[draw] = unpack_tasks(population.weights, prior.n_tasks)
        density = log_population(prior, population, self.problem.reference_noise)
        assert storage.parameters is not None
        storage.parameters[draw] = self.state.parameters
        density += log_parameters(self.problem, self.state.parameters)
        storage.lp[draw] = density + self.state.value.sum()
        return storage


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
    scratch = start_corrected(problem, rng)
    corrected_sweep(problem, scratch, rng)
    tuning = _Tuning(problem, 4 * _COUNTED)
    tuning.observe(_COUNTED, problem, scratch)

    def start(rng: np.random.Generator) -> Any:
        return _Chain(
            problem, start_corrected(problem, rng), _Tuning(problem, tune), rng, np.zeros(4)
        )

    return sample_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
