"""Gibbs sampling of functions of a dense covariance of tasks, under a Gaussian likelihood."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.dense_sweep import (
    FunctionSites,
    FunctionState,
    draw_by_factor,
    given_drawn,
    residual_squares,
    standard_moments,
    sweep_functions,
)
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.few_rows import draw_by_rows, few_rows, lengths_by_rows, update_tasks_by_rows
from bayesmtl.gp.hyperparameters import GIVEN
from bayesmtl.gp.length_state import start_lengths
from bayesmtl.gp.lengthscales import COLLAPSED_LIMIT
from bayesmtl.gp.noise import log_noise_density, start_noise
from bayesmtl.gp.projected import AnyBasis
from bayesmtl.gp.recording import record_functions, storage_for
from bayesmtl.numerics.joint_weights import Blocks, draw_perturbed, gram_roots
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance.density import log_dense
from bayesmtl.relations.covariance.state import TaskCovariancePrior, initial_tasks

__all__ = ["DenseChain"]

# Weights of tasks are integrated out for their rows of the covariance, in every sweep of so many
# tasks as these operations allow and at least of one, up to so many coefficients.
_OPERATIONS, _MOST = 1e8, 800
# Rows, and as a share of the weights, up to which algebra in the space of the rows is faster.
_ROWS, _SHARE = 600, 0.5


class DenseChain:
    """One chain, see `bayesmtl.inference.sampling.Chain`.

    Up to `COLLAPSED_LIMIT` weights of all tasks, these are integrated out for noise sds,
    length-scales and rows of the covariance. Beyond, they are drawn in the space of the rows, where
    these are few, or by conjugate gradients, and most else is given them.
    """

    def __init__(
        self,
        problem: Problem,
        functions: FunctionProblem,
        basis: AnyBasis,
        tune: int,
        rng: np.random.Generator,
    ) -> None:
        del tune
        self.problem, self.rng = problem, rng
        prior, sites, n_tasks = functions.prior, problem.sites, problem.prior.n_tasks
        self.lengths = start_lengths(prior, basis, rng)
        self.sites = FunctionSites(
            unpack_symmetric(sites.gram, n_tasks),
            unpack_tasks(sites.moment, n_tasks),
            unpack_tasks(sites.total, n_tasks),
            unpack_tasks(sites.rows, n_tasks),
        )
        self.noise, log_noise = start_noise(prior, rng)
        p = self.sites.moment.shape[1]
        scale = np.ones(p)
        scale[: problem.prior.block] = functions.rows.level_sd[0]
        scale[problem.prior.block :] = np.exp(0.5 * self.lengths.log_variance)
        self.learned = prior.kind != GIVEN
        tasks = initial_tasks(
            TaskCovariancePrior("full" if self.learned else "given", prior.given[0], 0), p, rng
        )
        self.state = FunctionState(
            tasks.covariance,
            np.linalg.inv(tasks.covariance),
            np.zeros((n_tasks, p)),
            scale,
            log_noise,
        )
        self._by_task = min(max(int(_OPERATIONS // p**3), 1 if p <= _MOST else 0), n_tasks)
        self.few = self._root = None
        if n_tasks * p > COLLAPSED_LIMIT:
            if self.sites.rows.sum() <= min(_ROWS, _SHARE * n_tasks * p):
                self.few = few_rows(self.sites.gram, self.sites.moment)
            else:
                self._root = gram_roots(self.sites.gram)

    @property
    def weights(self) -> np.ndarray:
        """(task, p)."""
        return self.state.scale * self.state.deviation

    def advance(self, iteration: int) -> None:
        """One sweep."""
        del iteration
        of_chain = (self.sites, self.state, self.lengths, self.noise, self.learned)
        if self.few is not None:
            first = self.problem.prior.block
            if self.lengths.free.any():
                lengths_by_rows(self.few, self.state, self.lengths, first, self.rng)
            draw_by_rows(self.few, self.state, first, self.rng)
            given_drawn(*of_chain, 0, self.rng)
            if self.learned:
                update_tasks_by_rows(self.few, self.state, first, self.rng)
        elif self._root is not None:
            self._draw(self._root)
            given_drawn(*of_chain, self._by_task, self.rng)
        else:
            sweep_functions(*of_chain, self.rng)

    def _draw(self, root: np.ndarray) -> None:
        """Weights of all tasks."""
        state, rng = self.state, self.rng
        gram, score = standard_moments(self.sites, state)
        normals = rng.normal(size=(*score.shape, 1))
        rows = np.exp(-state.log_noise)[:, None] * state.scale * (root @ normals)[..., 0]
        first = self.problem.prior.block
        blocks = Blocks(gram, score, state.precision, None, first)
        try:
            state.deviation[:] = draw_perturbed(blocks, rows, rng)
        except FloatingPointError:
            # Far from the posterior, precisions of tasks may differ too much for the gradients.
            draw_by_factor(self.sites, state, first, rng)

    def storage(self, draws: int) -> FunctionDraws:
        """Empty arrays."""
        return storage_for(self.problem, self.lengths, draws, noise=True)

    def record(self, storage: FunctionDraws, draw: int) -> FunctionDraws:
        """Write the current state."""
        state = self.state
        record_functions(self.problem, state.covariance, self.lengths, self.weights, storage, draw)
        assert storage.noise is not None
        storage.noise[draw] = np.exp(state.log_noise)
        storage.lp[draw] = self._log_density()
        return storage

    def _log_density(self) -> float:
        """Of all that the chain draws, with the rows, up to a constant."""
        state, first = self.state, self.problem.prior.block
        own = state.deviation[:, first:]
        value = log_dense(state.covariance, state.precision) if self.learned else 0.0
        value -= 0.5 * own.shape[1] * float(np.linalg.slogdet(state.covariance)[1])
        value -= 0.5 * float((own * (state.precision @ own)).sum())
        value -= 0.5 * float((state.deviation[:, :first] ** 2).sum())
        value -= 0.5 * len(own) * float(self.lengths.log_variance.sum())
        square = residual_squares(self.sites, state)
        value += log_noise_density(self.noise, state.log_noise, self.sites.rows, square)
        return value + self.lengths.log_prior()
