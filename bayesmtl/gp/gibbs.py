"""Gibbs sampling of functions in a basis: the sweep of the linear core, and length-scales.

Weights and their covariance are those of correlated tasks with the variances of the basis for
scales; between sweeps the length-scales move at fixed weights and, for a Gaussian likelihood, at
fixed whitened weights, and the noise sds at fixed weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.draws import FunctionDraws, join_functions
from bayesmtl.gp.hyperparameters import HUANG_WAND, HyperPrior
from bayesmtl.gp.lengthscales import given_weights, given_whitened, without_weights
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis
from bayesmtl.inference.corrected import CorrectedTuning, corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import attempt
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.inference.nuisance import log_parameters, noise_variance
from bayesmtl.inference.sampling import finish_chains
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.densities import CODES, FIXED, log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.joint_weights import DENSE, factor_dense, place_dense, whiten_dense
from bayesmtl.numerics.kernels import SMOOTHNESS, spectral_constant
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance import density as covariance_density
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.gibbs import adapt
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from bayesmtl.relations.covariance.task_noise import update_task_noise
from bayesmtl.relations.exchangeable.gibbs import Moves
from bayesmtl.relations.exchangeable.moves import set_weights, standardise

__all__ = ["GaussianChain", "sample_functions"]

_MOVES = Moves(collapsed=False, rows=False)
# Weights of all tasks up to which they are integrated out in every sweep.
_COLLAPSED_LIMIT = 400
# Operations up to which the weights of a task are integrated out for its noise.
_COLLAPSED_NOISE = 2e6
_ROUNDING = 1e-12
# Smoothness of functions that have all derivatives, as far as the ridge of length-scale and
# covariance goes.
_ROUGH, _ALONG = 3.0, 0.5


@inner_kernel
def _log_noise(x, args):
    count, square, row, unit = args
    prior = log_density(row, unit * np.exp(x))
    return prior + x - count * x - 0.5 * square * np.exp(-2.0 * x)


_slice_noise = slice_sampler(_log_noise)


@kernel
def update_noise_sds(log_sd, count, square, rows, units, shared, rng):
    """Update logs (task,) of the noise sds given residual sums of squares, each with its prior."""
    if shared:
        if rows[0, 0] != FIXED:
            args = (count.sum(), square.sum(), rows[0], units[0])
            log_sd[:] = _slice_noise(args, log_sd[0], 1.0, rng)
        return
    for t in range(log_sd.shape[0]):
        if rows[t, 0] != FIXED:
            args = (count[t], square[t], rows[t], units[t])
            log_sd[t] = _slice_noise(args, log_sd[t], 1.0, rng)


class _Lengths(NamedTuple):
    """Length-scales of one chain, and the logs of the variances that follow.

    Parameters
    ----------
    logs : (input,)
    log_variance : (basis,)
    free : (input,) bool
    squares : (basis, input)
        Of the frequencies.
    smoothness, constant : float
    rows : (input, 6)
    units : (input,)
    learned : bool
        Whether the covariance of the tasks is a free matrix.
    """

    logs: np.ndarray
    log_variance: np.ndarray
    free: np.ndarray
    squares: np.ndarray
    smoothness: float
    constant: float
    rows: np.ndarray
    units: np.ndarray
    learned: bool

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (
            self.free,
            self.squares,
            self.smoothness,
            self.constant,
            self.rows,
            self.units,
            self.log_variance,
        )

    def given_weights(
        self, quadratic: np.ndarray, count: float, own: np.ndarray, rng: np.random.Generator
    ) -> float:
        """Update at fixed weights; ``quadratic`` (basis,) changes its unit.

        ``own`` (task,) is the diagonal of the inverse covariance where that is learned, else empty;
        returns the log of the factor by which it grows.
        """
        ridge = self.ridge if own.size else 0.0
        of_weights = (quadratic, count, ridge, own)
        return float(given_weights(self.logs, *self._settings, *of_weights, rng))

    def given_whitened(
        self, linear: np.ndarray, inner: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Update at fixed whitened weights."""
        given_whitened(self.logs, *self._settings, linear, inner, rng)

    def without_weights(
        self, dense: Any, precision: np.ndarray, tasks: DenseTasks, scale: np.ndarray, rng: Any
    ) -> float:
        """Update with the weights integrated out, and the ``scale`` of these; see above.

        In a direction at random, as a move is of either kind: alone, or along the ridge.
        """
        ridge = self.ridge if self.learned and rng.random() < _ALONG else 0.0
        of_tasks = (dense, precision, tasks.precision, scale, ridge)
        return float(without_weights(self.logs, *self._settings, *of_tasks, rng))

    @property
    def ridge(self) -> float:
        """By how much the log of the covariance grows with that of a length-scale."""
        roughness = min(self.smoothness, _ROUGH)
        return 2.0 * roughness / len(self.logs)

    def log_prior(self) -> float:
        """Of the free length-scales, up to a constant."""
        parts = zip(self.rows, self.units, self.logs, self.free, strict=True)
        return float(sum(log_density(r, u * np.exp(x)) + x for r, u, x, free in parts if free))


def _start_lengths(
    prior: HyperPrior, basis: HilbertBasis | NystroemBasis, rng: np.random.Generator
) -> _Lengths:
    rows, units = prior.lengthscale_rows[0], prior.lengthscale_unit
    if isinstance(basis, NystroemBasis):
        still, size = np.zeros(len(units), dtype=np.bool_), basis.centers.shape
        logs, variance = np.log(basis.lengthscale), np.zeros(basis.size)
        fixed = (np.zeros(size), np.inf, 0.0, np.ascontiguousarray(rows), units, False)
        return _Lengths(logs, variance, still, *fixed)
    free = rows[:, 0] != FIXED
    logs = np.log(0.6) + rng.normal(0.0, 0.5, len(units))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs[~free] = np.log(rows[~free, 1] / units[~free])
    return _Lengths(
        logs,
        basis.log_variance(np.exp(logs)),
        free,
        np.ascontiguousarray(basis.frequencies**2),
        SMOOTHNESS[basis.kernel],
        spectral_constant(basis.kernel, len(units)),
        np.ascontiguousarray(rows),
        units,
        prior.kind == HUANG_WAND,
    )


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


def grow(tasks: Any, log_factor: float) -> None:
    """Multiply a dense covariance."""
    if log_factor != 0.0:
        tasks.covariance[:] *= np.exp(log_factor)
        tasks.precision[:] *= np.exp(-log_factor)


def _move_lengths(
    problem: Problem, population: Any, tasks: Any, lengths: _Lengths, rng: np.random.Generator
) -> None:
    """Length-scales at fixed weights."""
    first = problem.prior.block
    quadratic, count = _population_terms(problem, population, tasks)
    before = lengths.log_variance.copy()
    own = np.diag(tasks.precision).copy() if lengths.learned else np.zeros(0)
    grow(tasks, lengths.given_weights(np.ascontiguousarray(quadratic), count, own, rng))
    if isinstance(tasks, FactorTasks):
        tasks.factors[:] *= np.exp(0.5 * (before - lengths.log_variance))
    # At weights that are zero in floating point the deviations would not follow.
    factor = np.exp(0.5 * (before - lengths.log_variance))
    population.deviation[:, first:] *= factor[:, None]
    population.scale[first:] = np.exp(0.5 * lengths.log_variance)


def move_given_whitened(
    prior: Any, population: Any, lengths: _Lengths, sites: tuple[Any, Any, Any], rng: Any
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
    lengths.given_whitened(linear, np.ascontiguousarray(inner), rng)
    population.scale[first:] = np.exp(0.5 * lengths.log_variance)
    _place_weights(prior, population)


class GaussianChain:
    """One chain under a Gaussian likelihood."""

    def __init__(
        self,
        problem: Problem,
        functions: FunctionProblem,
        basis: HilbertBasis | NystroemBasis,
        tune: int,
        rng: np.random.Generator,
    ) -> None:
        self.problem, self.prior, self.tune, self.rng = problem, functions.prior, tune, rng
        self.lengths = _start_lengths(self.prior, basis, rng)
        self.state: ChainState = start_chain(problem, Gaussian(noise_sd=1.0), rng)
        self.gram = unpack_symmetric(problem.sites.gram, problem.prior.n_tasks)
        self.moment = unpack_tasks(problem.sites.moment, problem.prior.n_tasks)
        self.count = unpack_tasks(problem.sites.rows, problem.prior.n_tasks)
        with np.errstate(divide="ignore", invalid="ignore"):
            fixed = np.log(self.prior.noise_rows[:, 1] / self.prior.noise_unit)
        free = self.prior.noise_rows[:, 0] != FIXED
        self.log_noise = np.where(free, rng.normal(-0.7, 0.3, len(free)), fixed)
        if self.prior.shared_noise:
            self.log_noise[:] = self.log_noise[0]
        rows = self.prior.noise_rows
        centers = rows[:, 1] - np.log(self.prior.noise_unit)
        self._alike = not self.prior.shared_noise and bool(
            (rows[:, 0] == CODES["LogNormal"]).all()
            and np.ptp(centers) < _ROUNDING
            and np.ptp(rows[:, 2]) == 0.0
        )
        if self._alike:
            self.state.noise.log_median[:], self.state.noise.spread[:] = centers[0], rows[0, 2]
        n_weights = problem.prior.scale_unit.size
        dense = isinstance(self.tasks, DenseTasks)
        self._cheap = dense and len(rows) * n_weights**3 <= _COLLAPSED_NOISE
        self._set_noise()
        first = problem.prior.block
        self.state.population.scale[first:] = np.exp(0.5 * self.lengths.log_variance)

    def _set_noise(self) -> None:
        self.state.noise.log_sd[:] = pack_tasks(self.log_noise)
        self.state.sites.precision[:] = pack_tasks(np.exp(-2.0 * self.log_noise))

    @property
    def tasks(self) -> Any:
        """Covariance of the tasks."""
        assert self.state.tasks is not None
        return self.state.tasks.tasks

    def advance(self, iteration: int) -> None:
        """One sweep."""
        problem, state, rng = self.problem, self.state, self.rng
        if self._alike and self._cheap:
            # The noise of each task with its weights integrated out, given those of the others.
            update_task_noise(
                state.noise, state.sites, problem.prior, state.population, self.tasks, rng
            )
            self.log_noise[:] = unpack_tasks(state.noise.log_sd, problem.prior.n_tasks)
        if self.lengths.free.any():
            self._without_weights()
        gibbs_step(problem, state, _MOVES, rng)
        assert state.tasks is not None
        if iteration < self.tune:
            adapt(state.tasks.step)
        square = np.maximum(unpack_tasks(state.square, problem.prior.n_tasks), 0.0)
        update_noise_sds(
            self.log_noise,
            self.count,
            square,
            self.prior.noise_rows,
            self.prior.noise_unit,
            self.prior.shared_noise,
            rng,
        )
        self._set_noise()
        if self.lengths.free.any():
            _move_lengths(problem, state.population, self.tasks, self.lengths, rng)
            self._given_whitened()

    def _without_weights(self) -> None:
        """Length-scales with all weights integrated out, where that costs little."""
        tasks, state = self.state.tasks, self.state
        assert tasks is not None
        if tasks.dense is None or tasks.dense.moment.size > _COLLAPSED_LIMIT:
            return
        scale = state.population.scale
        of_tasks = (tasks.dense, state.sites.precision, self.tasks, scale)
        grow(self.tasks, self.lengths.without_weights(*of_tasks, self.rng))

    def _given_whitened(self) -> None:
        sites = (self.gram, self.moment, np.exp(-2.0 * self.log_noise))
        move_given_whitened(
            self.problem.prior, self.state.population, self.lengths, sites, self.rng
        )

    def storage(self, draws: int) -> FunctionDraws:
        """Empty arrays."""
        return _storage(self.problem, self.lengths, draws, noise=True, parameters=0)

    def record(self, storage: FunctionDraws, draw: int) -> FunctionDraws:
        """Write the current state."""
        state = self.state
        _record(self.problem, state.population, self.tasks, self.lengths, storage, draw)
        assert storage.noise is not None
        storage.noise[draw] = np.exp(self.log_noise)
        assert state.tasks is not None
        value = covariance_density.log_population(
            self.problem.prior, state.population, self.tasks, state.tasks.prior, 1.0, None
        )
        square = unpack_tasks(state.square, self.problem.prior.n_tasks)
        value -= float((self.count * self.log_noise).sum())
        value -= 0.5 * float((square * np.exp(-2.0 * self.log_noise)).sum())
        storage.lp[draw] = value + self.lengths.log_prior()
        return storage


@kernel
def _place_weights(prior, state):
    set_weights(prior, state)


class _RowChain:
    """One chain under another likelihood."""

    def __init__(
        self,
        problem: Problem,
        functions: FunctionProblem,
        basis: HilbertBasis | NystroemBasis,
        tune: int,
        rng: np.random.Generator,
    ) -> None:
        self.problem, self.rng = problem, rng
        self.lengths = _start_lengths(functions.prior, basis, rng)
        first = problem.prior.block
        problem.prior.scale_prior[first:, 1] = np.exp(0.5 * self.lengths.log_variance)
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
        _move_lengths(problem, population, state.tasks, lengths, self.rng)
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
        if isinstance(state.tasks, DenseTasks) and moment.size <= _COLLAPSED_LIMIT:
            self._attempt(self._collapsed)

    def _collapsed(self) -> None:
        """Under the sites with the weights integrated out, at fixed standard normals."""
        state, prior = self.state, self.problem.prior
        population, tasks, first = state.population, state.tasks, prior.block
        assert isinstance(tasks, DenseTasks)
        dense, _ = dense_sites(state.sites, prior, DENSE)
        eye = np.eye(len(self.lengths.log_variance))

        def factors() -> tuple[np.ndarray, np.ndarray]:
            center = np.zeros(dense.moment.shape)
            parts = standard_sites(dense, state.sites.precision, population.scale, center)
            return factor_dense(*parts, tasks.precision, eye, first)

        deviation = unpack_tasks(population.deviation, prior.n_tasks)
        q = whiten_dense(*factors(), deviation.ravel())
        of_tasks = (dense, state.sites.precision, tasks, population.scale)
        grow(tasks, self.lengths.without_weights(*of_tasks, self.rng))
        placed = place_dense(*factors(), q).reshape(deviation.shape)
        population.deviation[:] = pack_tasks(placed)
        _place_weights(prior, population)

    def _attempt(self, propose: Callable[[], None]) -> None:
        """Accept a proposal or undo it, length-scales included."""
        lengths = self.lengths
        before = lengths.logs.copy(), lengths.log_variance.copy()
        if not attempt(self.problem, self.state, propose, self.rng):
            lengths.logs[:], lengths.log_variance[:] = before

    def storage(self, draws: int) -> FunctionDraws:
        """Empty arrays."""
        size = self.state.parameters.size
        return _storage(self.problem, self.lengths, draws, noise=False, parameters=size)

    def record(self, storage: FunctionDraws, draw: int) -> FunctionDraws:
        """Write the current state."""
        state, problem = self.state, self.problem
        assert state.tasks is not None
        _record(problem, state.population, state.tasks, self.lengths, storage, draw)
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


def _storage(
    problem: Problem, lengths: _Lengths, draws: int, *, noise: bool, parameters: int
) -> FunctionDraws:
    n = problem.prior.n_tasks
    return FunctionDraws(
        covariance=np.empty((draws, 1, n, n)),
        lengthscale=np.empty((draws, 1, len(lengths.logs))),
        noise=np.empty((draws, n)) if noise else None,
        weights=np.empty((draws, n, len(lengths.log_variance))),
        level=np.empty((draws, n)) if problem.separate_intercept else None,
        parameters=np.empty((draws, parameters)) if parameters else None,
        lp=np.empty(draws),
    )


def _record(
    problem: Problem,
    population: Any,
    tasks: DenseTasks | FactorTasks,
    lengths: _Lengths,
    storage: FunctionDraws,
    draw: int,
) -> None:
    storage.covariance[draw, 0] = tasks.covariance
    storage.lengthscale[draw, 0] = np.exp(lengths.logs)
    weights = unpack_tasks(population.weights, problem.prior.n_tasks)
    assert storage.weights is not None
    storage.weights[draw] = weights[:, problem.prior.block :]
    if storage.level is not None:
        storage.level[draw] = weights[:, 0]


def sample_functions(
    functions: FunctionProblem,
    basis: HilbertBasis | NystroemBasis,
    likelihood: Likelihood,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[FunctionDraws, Problem, bool]:
    """Sample the posterior.

    Returns
    -------
    draws : FunctionDraws
        (chain, draw, ...), internal units.
    problem : Problem
        The linear model of the weights.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """
    problem = core_problem(functions, basis, likelihood)
    kind: Callable[..., Any] = GaussianChain if problem.row_data is None else _RowChain

    def start(rng: np.random.Generator) -> Any:
        own = problem.prior._replace(scale_prior=problem.prior.scale_prior.copy())
        return kind(problem._replace(prior=own), functions, basis, tune, rng)

    # Compiles what the chains will call, before they start.
    scratch = start(np.random.default_rng(0))
    scratch.advance(0)
    finished = finish_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    return join_functions(finished.storages, finished.n_draws), problem, finished.interrupted
