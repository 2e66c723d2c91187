"""Gibbs sampling of functions under likelihoods that are not Gaussian: corrected sites.

Between sweeps of the linear core the length-scales move at fixed weights, and under the sites,
accepted by what these leave of the rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.core_lengths import move_given_whitened, move_lengths, place_weights
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.length_state import start_lengths
from bayesmtl.gp.lengthscales import COLLAPSED_LIMIT, grow, without_weights
from bayesmtl.gp.projected import AnyBasis
from bayesmtl.gp.recording import record_functions, storage_for
from bayesmtl.inference.corrected import CorrectedTuning, corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import attempt
from bayesmtl.inference.nuisance import log_parameters, noise_variance
from bayesmtl.numerics.joint_weights import DENSE, factor_dense, place_dense, whiten_dense
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance import density as covariance_density
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.state import DenseTasks
from bayesmtl.relations.exchangeable.moves import standardise

__all__ = ["RowChain"]


class RowChain:
    """One chain under another likelihood."""

    def __init__(
        self,
        problem: Problem,
        functions: FunctionProblem,
        basis: AnyBasis,
        tune: int,
        rng: np.random.Generator,
    ) -> None:
        self.problem, self.rng = problem, rng
        self.lengths = start_lengths(functions.prior, basis, rng)
        first = problem.prior.block
        sd = np.exp(0.5 * self.lengths.log_variance)
        problem.prior.scale_prior[first:, 1] = sd * problem.prior.scale_unit[first:]
        self.state = start_corrected(problem, rng)
        self.tuning = CorrectedTuning(problem, tune)

    def advance(self, iteration: int) -> None:
        """One sweep."""
        corrected_sweep(self.problem, self.state, self.rng)
        self.tuning.observe(iteration, self.problem, self.state)
        if self.lengths.free.any():
            self._move_lengths()

    def _move_lengths(self) -> None:
        """At fixed weights, then under the sites, accepted by what these leave of the rows."""
        problem, state, lengths = self.problem, self.state, self.lengths
        prior, population = problem.prior, state.population
        move_lengths(problem, population, state.tasks, lengths, self.rng)
        standardise(prior, population)
        n_tasks = prior.n_tasks
        gram, moment = (
            unpack_symmetric(state.sites.gram, n_tasks),
            unpack_tasks(state.sites.moment, n_tasks),
        )
        sites = (gram, moment, unpack_tasks(state.sites.precision, n_tasks))

        def noncentred() -> None:
            move_given_whitened(prior, population, lengths, sites, self.rng)

        self._attempt(noncentred)
        if isinstance(state.tasks, DenseTasks) and moment.size <= COLLAPSED_LIMIT:
            self._attempt(self._collapsed)

    def _collapsed(self) -> None:
        """Under the sites with the weights integrated out, at fixed standard normals."""
        state, prior = self.state, self.problem.prior
        population, tasks, first = state.population, state.tasks, prior.block
        assert isinstance(tasks, DenseTasks)
        dense, _ = dense_sites(state.sites, prior, DENSE)
        # What the sites say of the deviations: intercepts may have a prior mean.
        mean = unpack_tasks(population.center, prior.n_tasks)
        dense = dense._replace(moment=dense.moment - np.einsum("tij,tj->ti", dense.gram, mean))
        eye = np.eye(len(self.lengths.log_variance))

        def factors() -> tuple[np.ndarray, np.ndarray]:
            center = np.zeros(dense.moment.shape)
            parts = standard_sites(dense, state.sites.precision, population.scale, center)
            return factor_dense(*parts, tasks.precision, eye, first)

        deviation = unpack_tasks(population.deviation, prior.n_tasks)
        q = whiten_dense(*factors(), deviation.ravel())
        of_tasks = (dense, state.sites.precision, tasks.precision, population.scale)
        grow(tasks, without_weights(self.lengths, *of_tasks, self.rng))
        placed = place_dense(*factors(), q).reshape(deviation.shape)
        population.deviation[:] = pack_tasks(placed)
        place_weights(prior, population)

    def _attempt(self, propose: Callable[[], None]) -> None:
        """Accept a proposal or undo it, length-scales included."""
        lengths = self.lengths
        before = lengths.logs.copy(), lengths.log_variance.copy()
        if not attempt(self.problem, self.state, propose, self.rng):
            lengths.logs[:], lengths.log_variance[:] = before

    def storage(self, draws: int) -> FunctionDraws:
        """Empty arrays."""
        size = self.state.parameters.size
        return storage_for(self.problem, self.lengths, draws, noise=False, parameters=size)

    def record(self, storage: FunctionDraws, draw: int) -> FunctionDraws:
        """Write the current state."""
        state, problem = self.state, self.problem
        assert state.tasks is not None
        weights = unpack_tasks(state.population.weights, problem.prior.n_tasks)
        covariance = state.tasks.covariance
        record_functions(problem, covariance, self.lengths, weights, storage, draw)
        if storage.parameters is not None:
            storage.parameters[draw] = state.parameters
        assert problem.task_covariance is not None
        noise = noise_variance(problem, state.parameters)
        value = covariance_density.log_population(
            problem.prior, state.population, state.tasks, problem.task_covariance, noise, None
        )
        value += log_parameters(problem, state.parameters) + self.lengths.log_prior()
        storage.lp[draw] = value + state.value.sum()
        return storage
