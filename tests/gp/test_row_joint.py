"""Functions of yes and no, and their rows, drawn in turn have the distribution of their priors."""

import numpy as np
import pytest
from scipy.special import expit

import bayesmtl as bm
import bayesmtl.gp.row_chain as row_chain
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.core_lengths import move_lengths, place_weights
from bayesmtl.gp.row_chain import RowChain
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
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
    population.scale[:] = np.exp(0.5 * chain.lengths.log_variance)
    population.deviation[:] = pack_tasks(world.weights[i] / population.scale)
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


def scores(n_chains: int) -> dict[str, float]:
    rng = np.random.default_rng(12)
    functions = function_problem(0.0, 1.0)
    rows = functions.rows._replace(response=(functions.rows.response > 0.0).astype(float))
    functions = functions._replace(
        rows=rows, table=functions.table._replace(response=rows.response)
    )
    problem = core_problem(functions, BASIS, bm.Bernoulli())
    world = World(functions, n_chains, rng)
    known = World(functions, 10_000, rng).statistics()
    chain = RowChain(problem, functions, BASIS, 0, rng)
    columns, seen = BASIS.columns(rows.inputs), []
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
            seen.append((tasks.covariance.copy(), logs, none, drawn.copy(), none))
    moved = statistics(*(np.array(part) for part in zip(*seen, strict=True)))
    own = [name for name in moved if "noise" not in name]
    start, moved, known = (
        {name: part[name] for name in own} for part in (world.statistics(), moved, known)
    )
    return z_scores(start, moved, known, CYCLES)


@pytest.mark.mcmc
def test_joint_distribution() -> None:
    found = scores(1000)
    worst = max(found, key=lambda key: abs(found[key]))
    assert abs(found[worst]) < 4.0, (worst, found[worst])


@pytest.mark.mcmc
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Length-scales in other units."""

    def longer(problem, population, tasks, lengths, rng):  # type: ignore[no-untyped-def]
        move_lengths(problem, population, tasks, lengths._replace(units=2.0 * lengths.units), rng)

    monkeypatch.setattr(row_chain, "move_lengths", longer)
    assert max(map(abs, scores(400).values())) > 6.0
