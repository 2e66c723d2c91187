"""Functions and rows drawn in turn have the distribution that their priors give them."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
import bayesmtl.gp.gibbs as gibbs
from bayesmtl.assembly import Problem
from bayesmtl.data import Rows
from bayesmtl.design import Design
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.data import FunctionProblem, Units
from bayesmtl.gp.weight_space import HilbertBasis
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.covariance.state import DenseTasks
from bayesmtl.relations.exchangeable.moves import standardise
from tests.gp.cases import LENGTH, NOISE, draw_covariance, function_rows, hyper_prior
from tests.oracles.geweke import z_scores

N_TASKS, N_ROWS, CYCLES = 2, 6, 4
BASIS = HilbertBasis("matern52", (4,), (1.6,))


def function_problem(level: float, noise_units: float) -> FunctionProblem:
    rows = function_rows(N_TASKS, N_ROWS)._replace(level_sd=np.full(N_TASKS, level))
    n = len(rows.task)
    tasks = np.array(["a", "b"], dtype=object)
    table = Rows(rows.inputs, rows.response, rows.task, tasks, np.arange(n), {}, 0)
    units = Units(np.zeros(1), np.ones(1), np.zeros(N_TASKS), np.ones(N_TASKS))
    design = Design("y ~ x", "y", ("x",), True, {"levels": {}, "state": {}})
    prior = hyper_prior(N_TASKS, noise_units=noise_units)
    return FunctionProblem(
        table, rows, np.arange(n), units, prior, ("x",), design, "matern52", None
    )


class World:
    """Exact draws, one chain each."""

    def __init__(self, functions: FunctionProblem, n: int, rng: np.random.Generator) -> None:
        unit = functions.prior.noise_unit
        self.covariance = np.array([draw_covariance(N_TASKS, rng) for _ in range(n)])
        self.logs = np.log(LENGTH.sample(n, rng))
        self.log_noise = np.log(NOISE.sample((n, N_TASKS), rng) / unit)
        normal = rng.normal(size=(n, N_TASKS, BASIS.size))
        variance = np.array([BASIS.log_variance(np.exp([x])) for x in self.logs])
        self.weights = (
            np.linalg.cholesky(self.covariance) @ normal * np.exp(0.5 * variance[:, None])
        )
        self.level = functions.rows.level_sd * rng.normal(size=(n, N_TASKS))

    def statistics(self) -> dict[str, np.ndarray]:
        return statistics(self.covariance, self.logs, self.log_noise, self.weights, self.level)


def statistics(
    covariance: np.ndarray,
    logs: np.ndarray,
    log_noise: np.ndarray,
    weights: np.ndarray,
    level: np.ndarray,
) -> dict[str, np.ndarray]:
    """Bounded where tails are heavy."""
    sd = np.sqrt(np.einsum("ntt->nt", covariance))
    correlation = covariance[:, 0, 1] / (sd[:, 0] * sd[:, 1])
    return {
        "correlation": correlation,
        "correlation^2": correlation**2,
        "log sd": np.log(sd[:, 0]),
        "log sd b": np.log(sd[:, 1]),
        "log sd^2": np.log(sd[:, 0]) ** 2,
        "length": logs,
        "length^2": logs**2,
        "noise": log_noise[:, 0],
        "noise b^2": log_noise[:, 1] ** 2,
        "weight": np.arctan(weights[:, 0, 0]),
        "weight size": np.arctan(np.abs(weights[:, 1, 2])),
        "weights": np.arctan(weights[:, 0, 1] * weights[:, 1, 1]),
        "length x sd": logs * np.log(sd[:, 0]),
        "noise x weight": log_noise[:, 0] * np.arctan(np.abs(weights[:, 0, 0])),
        **({} if not level.any() else {"level": level[:, 0], "level^2": level[:, 1] ** 2}),
    }


def place(chain: Any, world: World, i: int) -> None:
    """Put an exact draw into a chain."""
    state = chain.state
    tasks: DenseTasks = chain.tasks
    tasks.covariance[:] = world.covariance[i]
    tasks.precision[:] = np.linalg.inv(world.covariance[i])
    chain.lengths.logs[:] = world.logs[i]
    chain.lengths.log_variance[:] = BASIS.log_variance(np.exp(chain.lengths.logs))
    chain.log_noise[:] = world.log_noise[i]
    chain._set_noise()
    population, first = state.population, chain.problem.prior.block
    population.scale[first:] = np.exp(0.5 * chain.lengths.log_variance)
    weights = world.weights[i]
    if first:
        weights = np.column_stack([world.level[i], weights])
    population.weights[:] = pack_tasks(weights)
    standardise(chain.problem.prior, population)


def respond(chain: Any, functions: FunctionProblem, rng: np.random.Generator) -> None:
    """Draw rows given the state, in place of the rows of the chain."""
    rows, problem = functions.rows, chain.problem
    n_tasks, first = problem.prior.n_tasks, problem.prior.block
    weights = unpack_tasks(chain.state.population.weights, n_tasks)
    design = BASIS.columns(rows.inputs)
    if first:
        design = np.column_stack([np.ones(len(design)), design])
    mean = (design * weights[rows.task]).sum(axis=1)
    y = mean + np.exp(chain.log_noise)[rows.task] * rng.normal(size=len(mean))
    moment = np.array([design[rows.task == t].T @ y[rows.task == t] for t in range(n_tasks)])
    total = np.bincount(rows.task, y**2, minlength=n_tasks)
    chain.moment[:] = moment
    chain.state.sites.moment[:] = pack_tasks(moment)
    chain.state.sites.total[:] = pack_tasks(total)
    if chain.state.tasks.dense is not None:
        chain.state.tasks.dense.moment[:] = moment


def own_sites(problem: Problem) -> Problem:
    """With rows that the test may overwrite."""
    sites = problem.sites
    return problem._replace(
        sites=sites._replace(moment=sites.moment.copy(), total=sites.total.copy())
    )


def scores(level: float, n_chains: int = 1000, noise_units: float = 1.2) -> dict[str, float]:
    rng = np.random.default_rng(11)
    functions = function_problem(level, noise_units)
    problem = core_problem(functions, BASIS, bm.Gaussian())
    world = World(functions, n_chains, rng)
    known = World(functions, 10_000, rng).statistics()
    seen = []
    chain = gibbs.GaussianChain(own_sites(problem), functions, BASIS, 0, rng)
    for i in range(n_chains):
        place(chain, world, i)
        for _ in range(CYCLES):
            respond(chain, functions, rng)
            chain.advance(1)
            weights = unpack_tasks(chain.state.population.weights, N_TASKS)
            first = problem.prior.block
            seen.append(
                (
                    chain.tasks.covariance.copy(),
                    float(chain.lengths.logs[0]),
                    chain.log_noise.copy(),
                    weights[:, first:].copy(),
                    weights[:, 0] * bool(first),
                )
            )
    moved = statistics(*(np.array(part) for part in zip(*seen, strict=True)))
    return z_scores(world.statistics(), moved, known, CYCLES)


@pytest.mark.mcmc
@pytest.mark.parametrize(("level", "noise_units"), [(0.0, 1.2), (0.8, 1.0)])
def test_joint_distribution(level: float, noise_units: float) -> None:
    """With noise in one unit its update has the weights of a task integrated out."""
    found = scores(level, noise_units=noise_units)
    worst = max(found, key=lambda key: abs(found[key]))
    assert abs(found[worst]) < 4.0, (worst, found[worst])


@pytest.mark.mcmc
def test_planted_faults_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise without its Jacobian; length-scales whose weights do not follow."""
    update = gibbs.update_noise_sds

    def lower(log_sd, count, *rest):  # type: ignore[no-untyped-def]
        update(log_sd, count - 1.0, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(gibbs, "update_noise_sds", lower)
        assert max(map(abs, scores(0.8, 400).values())) > 6.0
    terms = gibbs._population_terms

    def one_more(*args):  # type: ignore[no-untyped-def]
        square, count = terms(*args)
        return square, count + 2.0

    with monkeypatch.context() as patched:
        patched.setattr(gibbs, "_population_terms", one_more)
        assert max(map(abs, scores(0.8, 400).values())) > 6.0
