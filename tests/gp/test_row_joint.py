"""Functions of yes and no, and their rows, drawn in turn have the distribution of their priors."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.special import expit

import bayesmtl as bm
import bayesmtl.gp.row_chain as row_chain
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.core_lengths import move_lengths, place_weights
from bayesmtl.gp.row_chain import RowChain
from bayesmtl.numerics.joint_weights import factor_dense
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.state import DenseTasks
from tests.gp.joint import BASIS, CYCLES, World, function_problem, statistics
from tests.oracles.geweke import z_scores


def place(chain: RowChain, world: World, i: int) -> None:
    """Put an exact draw into a chain."""
    population, tasks = chain.state.population, chain.state.tasks
    assert isinstance(tasks, DenseTasks)
    tasks.covariance[:] = world.covariance[i]
    tasks.precision[:] = np.linalg.inv(world.covariance[i])
    chain.lengths.logs[:] = world.logs[i]
    chain.lengths.log_variance[:] = BASIS.log_variance(np.exp(chain.lengths.logs))
    first = chain.problem.prior.block
    population.scale[first:] = np.exp(0.5 * chain.lengths.log_variance)
    deviation = np.column_stack([world.level[i][:, None][:, :first], world.weights[i]])
    population.deviation[:] = pack_tasks(deviation / population.scale)
    place_weights(chain.problem.prior, population)


def respond(
    chain: RowChain, columns: np.ndarray, task: np.ndarray, rng: np.random.Generator
) -> None:
    """Draw rows given the state, in place of the rows of the chain."""
    rows, state = chain.problem.row_data, chain.state
    weights = unpack_tasks(state.population.weights, chain.problem.prior.n_tasks)
    eta = (columns * weights[task]).sum(axis=1)
    rows = rows._replace(response=(rng.random(len(eta)) < expit(eta)).astype(float))
    chain.problem = chain.problem._replace(row_data=rows)
    assert chain.problem.row_kernels is not None
    chain.problem.row_kernels.evaluate(
        rows, state.population.weights, state.parameters, state.value
    )


def scores(n_chains: int, level: float = 0.0, mean: float | None = None) -> dict[str, float]:
    rng = np.random.default_rng(12)
    functions = function_problem(level, 1.0)._replace(intercept=mean)
    rows = functions.rows._replace(response=(functions.rows.response > 0.0).astype(float))
    functions = functions._replace(
        rows=rows, table=functions.table._replace(response=rows.response)
    )
    problem = core_problem(functions, BASIS, bm.Bernoulli())
    world = World(functions, n_chains, rng)
    known = World(functions, 10_000, rng).statistics()
    chain = RowChain(problem, functions, BASIS, 0, rng)
    columns, seen = BASIS.columns(rows.inputs), []
    first = problem.prior.block
    columns = np.column_stack([np.ones((len(columns), first)), columns])
    for i in range(n_chains):
        place(chain, world, i)
        for _ in range(CYCLES):
            respond(chain, columns, rows.task, rng)
            chain.advance(1)
            tasks, weights = chain.state.tasks, chain.state.population.weights
            assert isinstance(tasks, DenseTasks)
            drawn = unpack_tasks(weights, problem.prior.n_tasks)
            # There is no noise.
            none = np.zeros(problem.prior.n_tasks)
            logs = float(chain.lengths.logs[0])
            at = drawn[:, 0] - (mean or 0.0) if first else none
            seen.append((tasks.covariance.copy(), logs, none, drawn[:, first:].copy(), at.copy()))
    moved = statistics(*(np.array(part) for part in zip(*seen, strict=True)))
    own = [name for name in moved if "noise" not in name]
    start, moved, known = (
        {name: part[name] for name in own} for part in (world.statistics(), moved, known)
    )
    return z_scores(start, moved, known, CYCLES)


@pytest.mark.mcmc
@pytest.mark.parametrize(("level", "mean"), [(0.0, None), (0.5, 3.0)])
def test_joint_distribution(level: float, mean: float | None) -> None:
    found = scores(1000 if mean is None else 500, level, mean)
    worst = max(found, key=lambda key: abs(found[key]))
    assert abs(found[worst]) < 4.0, (worst, found[worst])


@pytest.mark.mcmc
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Length-scales in other units."""

    def longer(problem, population, tasks, lengths, rng):  # type: ignore[no-untyped-def]
        move_lengths(problem, population, tasks, lengths._replace(units=2.0 * lengths.units), rng)

    monkeypatch.setattr(row_chain, "move_lengths", longer)
    assert max(map(abs, scores(400).values())) > 6.0


def test_length_scales_move_under_the_evidence_of_the_sites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against the integral over all weights, whose intercepts have a prior mean."""
    rng = np.random.default_rng(3)
    functions = function_problem(0.5, 1.0, n_rows=30)._replace(intercept=2.0)
    rows = functions.rows._replace(response=(rng.random(60) < 0.9).astype(float))
    functions = functions._replace(
        rows=rows, table=functions.table._replace(response=rows.response)
    )
    problem = core_problem(functions, BASIS, bm.Bernoulli())
    chain = RowChain(problem, functions, BASIS, 0, rng)
    place(chain, World(functions, 1, rng), 0)
    seen = []

    def look(lengths, dense, *rest):  # type: ignore[no-untyped-def]
        seen.append((dense, *rest[:3]))
        return 0.0

    monkeypatch.setattr(row_chain, "without_weights", look)
    chain._collapsed()
    ((dense, precision, task_precision, scale),) = seen

    def by_kernel(scale: np.ndarray) -> float:
        parts = standard_sites(dense, precision, scale, np.zeros(dense.moment.shape))
        lower, half = factor_dense(*parts, task_precision, np.eye(BASIS.size), 1)
        return float(0.5 * half @ half - np.log(np.diag(lower)).sum())

    def by_integral(scale: np.ndarray) -> float:
        n_tasks, p = dense.moment.shape
        gram = unpack_symmetric(chain.state.sites.gram, n_tasks)
        moment = unpack_tasks(chain.state.sites.moment, n_tasks)
        information = block_diag(*gram)
        covariance = np.zeros((n_tasks, p, n_tasks, p))
        for i in range(p):
            tasks = np.eye(n_tasks) if i == 0 else np.linalg.inv(task_precision)
            covariance[:, i, :, i] = scale[i] ** 2 * tasks
        inverse = np.linalg.inv(covariance.reshape(n_tasks * p, -1))
        center = np.tile(np.r_[2.0, np.zeros(p - 1)], n_tasks)
        linear, total = moment.ravel() + inverse @ center, information + inverse
        value = 0.5 * linear @ np.linalg.solve(total, linear) - 0.5 * center @ inverse @ center
        return float(
            value - 0.5 * np.linalg.slogdet(total)[1] + 0.5 * np.linalg.slogdet(inverse)[1]
        )

    other = scale * np.r_[1.0, np.linspace(0.5, 2.0, BASIS.size)]
    assert by_kernel(other) - by_kernel(scale) == pytest.approx(
        by_integral(other) - by_integral(scale)
    )
