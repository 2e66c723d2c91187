"""Gibbs sampling of functions of tasks that share factors, under a Gaussian likelihood.

The sweep of the linear core, then noise sds and length-scales at its weights.
"""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.core_lengths import move_given_whitened, move_lengths
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.dense_sweep import update_noise_sds
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.length_state import start_lengths
from bayesmtl.gp.noise import log_noise_density, start_noise
from bayesmtl.gp.projected import AnyBasis
from bayesmtl.gp.recording import record_functions, storage_for
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance import density as covariance_density
from bayesmtl.relations.exchangeable.gibbs import Moves

__all__ = ["FactorChain"]

_MOVES = Moves(collapsed=False, rows=False)


class FactorChain:
    """One chain, see `bayesmtl.inference.sampling.Chain`."""

    def __init__(
        self,
        problem: Problem,
        functions: FunctionProblem,
        basis: AnyBasis,
        tune: int,
        rng: np.random.Generator,
    ) -> None:
        del tune
        self.problem, self.rng, n_tasks = problem, rng, problem.prior.n_tasks
        self.lengths = start_lengths(functions.prior, basis, rng)
        self.state: ChainState = start_chain(problem, Gaussian(noise_sd=1.0), rng)
        self.gram = unpack_symmetric(problem.sites.gram, n_tasks)
        self.moment = unpack_tasks(problem.sites.moment, n_tasks)
        self.count = unpack_tasks(problem.sites.rows, n_tasks)
        self.noise, self.log_noise = start_noise(functions.prior, rng)
        self._set_noise()
        first = problem.prior.block
        self.state.population.scale[first:] = np.exp(0.5 * self.lengths.log_variance)

    def _set_noise(self) -> None:
        self.state.noise.log_sd[:] = pack_tasks(self.log_noise)
        self.state.sites.precision[:] = pack_tasks(np.exp(-2.0 * self.log_noise))

    def advance(self, iteration: int) -> None:
        """One sweep."""
        del iteration
        problem, state, rng, noise = self.problem, self.state, self.rng, self.noise
        gibbs_step(problem, state, _MOVES, rng)
        assert state.tasks is not None
        square = np.maximum(unpack_tasks(state.square, problem.prior.n_tasks), 0.0)
        update_noise_sds(
            self.log_noise, self.count, square, noise.rows, noise.units, noise.shared, rng
        )
        self._set_noise()
        if self.lengths.free.any():
            move_lengths(problem, state.population, state.tasks.tasks, self.lengths, rng)
            sites = (self.gram, self.moment, np.exp(-2.0 * self.log_noise))
            move_given_whitened(problem.prior, state.population, self.lengths, sites, rng)

    def storage(self, draws: int) -> FunctionDraws:
        """Empty arrays."""
        return storage_for(self.problem, self.lengths, draws, noise=True)

    def record(self, storage: FunctionDraws, draw: int) -> FunctionDraws:
        """Write the current state."""
        state, prior = self.state, self.problem.prior
        assert state.tasks is not None
        tasks, weights = state.tasks.tasks, unpack_tasks(state.population.weights, prior.n_tasks)
        record_functions(self.problem, tasks.covariance, self.lengths, weights, storage, draw)
        assert storage.noise is not None
        storage.noise[draw] = np.exp(self.log_noise)
        value = covariance_density.log_population(
            prior, state.population, tasks, state.tasks.prior, 1.0, None
        )
        square = unpack_tasks(state.square, prior.n_tasks)
        value += log_noise_density(self.noise, self.log_noise, self.count, square)
        storage.lp[draw] = value + self.lengths.log_prior()
        return storage
