"""Functions and rows drawn in turn have the distribution that their priors give them."""

import arviz as az
import numpy as np
import pytest

import bayesmtl as bm
import bayesmtl.gp.dense_chain as dense_chain
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.dense_chain import DenseChain
from bayesmtl.gp.dense_sweep import given_drawn, sweep_functions
from bayesmtl.gp.few_rows import draw_by_rows, few_rows, lengths_by_rows, update_tasks_by_rows
from bayesmtl.gp.hyperparameters import GIVEN
from bayesmtl.gp.posterior import LogPosterior
from bayesmtl.gp.weight_space import WeightMarginal, basis_sites
from bayesmtl.numerics.joint_weights import draw_perturbed
from bayesmtl.priors import table_row
from tests.gp.joint import (
    BASIS,
    CYCLES,
    N_ROWS,
    N_TASKS,
    World,
    function_problem,
    statistics,
)
from tests.oracles.geweke import z_scores

# What makes a chain draw its weights in each way.
ROUTES = {
    "factor": {},
    "gradients": {"COLLAPSED_LIMIT": 0, "_OPERATIONS": 0, "_MOST": 0, "_ROWS": 0},
    "rows": {"COLLAPSED_LIMIT": 0, "_SHARE": 10},
}


def chain_by(route: str, functions: FunctionProblem, rng: np.random.Generator) -> DenseChain:
    problem = core_problem(functions, BASIS, bm.Gaussian())
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ROUTES[route].items():
            patched.setattr(dense_chain, name, value)
        return DenseChain(problem, functions, BASIS, 0, rng)


def place(chain: DenseChain, world: World, i: int) -> None:
    """Put an exact draw into a chain."""
    state, lengths = chain.state, chain.lengths
    state.covariance[:] = world.covariance[i]
    state.precision[:] = np.linalg.inv(world.covariance[i])
    lengths.logs[:] = world.logs[i]
    lengths.log_variance[:] = BASIS.log_variance(np.exp(lengths.logs))
    state.log_noise[:] = world.log_noise[i]
    first = chain.problem.prior.block
    state.scale[first:] = np.exp(0.5 * lengths.log_variance)
    weights = world.weights[i]
    if first:
        weights = np.column_stack([world.level[i], weights])
    state.deviation[:] = weights / state.scale


def respond(chain: DenseChain, functions: FunctionProblem, rng: np.random.Generator) -> None:
    """Draw rows given the state, in place of the rows of the chain."""
    rows, n_tasks = functions.rows, chain.problem.prior.n_tasks
    design = BASIS.columns(rows.inputs)
    if chain.problem.prior.block:
        design = np.column_stack([np.ones(len(design)), design])
    mean = (design * chain.weights[rows.task]).sum(axis=1)
    y = mean + np.exp(chain.state.log_noise)[rows.task] * rng.normal(size=len(mean))
    for t in range(n_tasks):
        chain.sites.moment[t] = design[rows.task == t].T @ y[rows.task == t]
    chain.sites.square[:] = np.bincount(rows.task, y**2, minlength=n_tasks)
    if chain.few is not None:
        chain.few = few_rows(chain.sites.gram, chain.sites.moment)


def scores(
    level: float, n_chains: int = 1000, noise_units: float = 1.2, route: str = "factor"
) -> dict[str, float]:
    """Of three rows a task, fewer than functions, where the algebra is that of the rows."""
    rng = np.random.default_rng(11)
    functions = function_problem(level, noise_units, n_rows=3 if route == "rows" else N_ROWS)
    chain = chain_by(route, functions, rng)
    world = World(functions, n_chains, rng)
    known = World(functions, 10_000, rng).statistics()
    seen = []
    for i in range(n_chains):
        place(chain, world, i)
        for _ in range(CYCLES):
            respond(chain, functions, rng)
            chain.advance(1)
            weights, first = chain.weights, chain.problem.prior.block
            seen.append(
                (
                    chain.state.covariance.copy(),
                    float(chain.lengths.logs[0]),
                    chain.state.log_noise.copy(),
                    weights[:, first:].copy(),
                    weights[:, 0] * bool(first),
                )
            )
    moved = statistics(*(np.array(part) for part in zip(*seen, strict=True)))
    return z_scores(world.statistics(), moved, known, CYCLES)


@pytest.mark.mcmc
@pytest.mark.parametrize(
    ("level", "noise_units", "route"),
    [
        (0.0, 1.2, "factor"),
        (0.8, 1.0, "factor"),
        (0.8, 1.2, "gradients"),
        (0.8, 1.2, "rows"),
        (0.0, 1.0, "rows"),
    ],
)
def test_joint_distribution(level: float, noise_units: float, route: str) -> None:
    found = scores(level, noise_units=noise_units, route=route)
    worst = max(found, key=lambda key: abs(found[key]))
    assert abs(found[worst]) < 4.0, (worst, found[worst])


@pytest.mark.mcmc
def test_planted_faults_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row too few; other units of length-scales; weights too wide; noise forgotten or halved."""
    sweep, given, draw = sweep_functions, given_drawn, draw_perturbed
    by_rows, by_task, move = draw_by_rows, update_tasks_by_rows, lengths_by_rows

    def fewer(sites, *rest):  # type: ignore[no-untyped-def]
        sweep(sites._replace(rows=sites.rows - 1.0), *rest)

    def longer(sites, state, lengths, *rest):  # type: ignore[no-untyped-def]
        given(sites, state, lengths._replace(units=2.0 * lengths.units), *rest)

    def wider(blocks, perturbation, rng):  # type: ignore[no-untyped-def]
        return draw(blocks, 1.5 * perturbation, rng)

    def further(rows, *rest):  # type: ignore[no-untyped-def]
        by_rows(rows._replace(response=1.5 * rows.response), *rest)

    def surer(rows, state, *rest):  # type: ignore[no-untyped-def]
        by_task(rows, state._replace(log_noise=state.log_noise - 0.7), *rest)

    def rougher(rows, state, lengths, *rest):  # type: ignore[no-untyped-def]
        move(rows, state, lengths._replace(units=2.0 * lengths.units), *rest)

    for name, fault, route in (
        ("sweep_functions", fewer, "factor"),
        ("given_drawn", longer, "gradients"),
        ("draw_perturbed", wider, "gradients"),
        ("draw_by_rows", further, "rows"),
        ("update_tasks_by_rows", surer, "rows"),
        ("lengths_by_rows", rougher, "rows"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(dense_chain, name, fault)
            found = scores(0.8, 400, route=route)
            assert max(map(abs, found.values())) > 6.0, name


@pytest.mark.mcmc
@pytest.mark.parametrize("route", ROUTES)
def test_length_scales_have_the_posterior_of_a_grid(route: str) -> None:
    """Long chains, as a bias of a move adds up that a few sweeps do not show."""
    rng = np.random.default_rng(4)
    functions = function_problem(0.0, 1.0)
    prior = functions.prior._replace(
        kind=GIVEN, noise_rows=np.tile(table_row(0.4), (N_TASKS, 1)), noise_unit=np.ones(N_TASKS)
    )
    functions = functions._replace(prior=prior)
    target = LogPosterior(prior, WeightMarginal(basis_sites(functions.rows, BASIS), BASIS))
    grid = np.linspace(-4.0, 3.0, 701)
    logs = np.array([target.or_nothing(np.array([x]))[0] for x in grid])
    weight = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    mean = float(weight @ grid)
    sd = float(np.sqrt(weight @ (grid - mean) ** 2))
    chain = chain_by(route, functions, rng)
    drawn = np.empty(12_000)
    for i in range(len(drawn)):
        chain.advance(i)
        drawn[i] = chain.lengths.logs[0]
    drawn = drawn[1000:]
    error = drawn.std() / np.sqrt(float(az.ess(drawn[None])))
    assert abs(drawn.mean() - mean) < 4.0 * error, (drawn.mean(), mean, error)
    assert drawn.std() == pytest.approx(sd, rel=0.06)
    assert error < 0.02 * sd
