"""Joint-distribution tests of correlated tasks: their covariance simulated by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from bayesmtl import Exchangeable, LowRank, MatrixNormal
from bayesmtl.assembly import Problem
from bayesmtl.inference.gibbs import gibbs_step, start_chain
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.relations.covariance.dense import dense_sites
from bayesmtl.relations.covariance.state import SPIKE, DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.gibbs import Moves
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.state import PopulationState
from tests.oracles.generative import World, huang_wand, respond, statistics
from tests.oracles.geweke import (
    empty_like,
    record_world,
    respond_with,
    set_structure,
    z_scores,
)
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_rows import RowsCase

__all__ = [
    "CorrelatedDraws",
    "Simulator",
    "Tasks",
    "correlated",
    "correlated_statistics",
    "covariance_scores",
    "dense_tasks",
    "empty_tasks",
    "full_tasks",
    "given_tasks",
    "low_rank_tasks",
    "record_tasks",
    "set_tasks",
    "simulate_correlated",
]


class Tasks(NamedTuple):
    """Draws (n, ...) of the covariance of tasks; factor parts have no columns where it is dense.

    The parts are those of `FactorTasks`; ``own`` is what a structure of the tasks has beside it.
    """

    covariance: np.ndarray
    loadings: np.ndarray
    factors: np.ndarray
    specific: np.ndarray
    variance: np.ndarray
    active: np.ndarray
    sticks: np.ndarray
    own: tuple[np.ndarray, ...] = ()


Simulator = Callable[[int, np.ndarray, np.random.Generator], Tasks]


def dense_tasks(covariance: np.ndarray, d: int, own: tuple[np.ndarray, ...] = ()) -> Tasks:
    """Draws (n, task, task) of a dense covariance of tasks with d features."""
    n, n_tasks, _ = covariance.shape
    none = np.empty((n, 0))
    factors = np.empty((n, n_tasks, 0)), np.empty((n, 0, d))
    return Tasks(covariance, *factors, none, none, none, none, own)


def empty_tasks(start: Tasks, n: int) -> Tasks:
    """Room for n draws like those of ``start``."""

    def room(part: np.ndarray) -> np.ndarray:
        return np.empty((n, *part.shape[1:]), dtype=part.dtype)

    own = tuple(room(part) for part in start.own)
    return Tasks(**{name: room(getattr(start, name)) for name in Tasks._fields[:-1]}, own=own)


def full_tasks(n_tasks: int) -> Simulator:
    """Huang-Wand of scale one."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        sds, correlation = huang_wand(n, np.ones(n_tasks), rng)
        return dense_tasks(sds[:, :, None] * correlation * sds[:, None, :], root.shape[1])

    return simulate


def given_tasks(covariance: np.ndarray) -> Simulator:
    """A fixed covariance."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        return dense_tasks(np.tile(covariance, (n, 1, 1)), root.shape[1])

    return simulate


def low_rank_tasks(n_tasks: int, n_factors: int, *, common: bool = False) -> Simulator:
    """Factors under cumulative shrinkage, own parts with half-t(3) sds of scale 0.6."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        d = root.shape[1]
        sticks = rng.beta(1.0, 2.0, (n, n_factors))
        spike = 1.0 - np.cumprod(1.0 - sticks, axis=1)
        active = rng.random((n, n_factors)) > spike
        slab = 0.5 / rng.gamma(2.0, size=(n, n_factors))
        variance = np.where(active, slab, SPIKE)
        loadings = np.sqrt(variance)[:, None, :] * rng.normal(size=(n, n_tasks, n_factors))
        factors = np.einsum("nij,nhj->nhi", root, rng.normal(size=(n, n_factors, d)))
        specific = (0.6 * rng.standard_t(3.0, (n, 1 if common else n_tasks))) ** 2
        specific = specific * np.ones((1, n_tasks))
        covariance = loadings @ loadings.transpose(0, 2, 1)
        covariance[:, np.arange(n_tasks), np.arange(n_tasks)] += specific
        return Tasks(covariance, loadings, factors, specific, variance, active, sticks)

    return simulate


def correlated[Kind: (Case, RowsCase)](case: Kind, task_covariance: Any) -> Kind:
    """The case with correlated tasks in place of exchangeable ones; None: `LowRank`.

    A relation, or a function of its settings, is taken as it is.
    """
    plain = case.model.relation
    assert isinstance(plain, Exchangeable)
    settings = {field.name: getattr(plain, field.name) for field in fields(plain)}
    relation: Any = LowRank(**settings)
    if callable(task_covariance):
        relation = task_covariance(**settings)
    elif task_covariance is not None:
        relation = MatrixNormal(task_covariance=task_covariance, **settings)
    return case._replace(model=replace(case.model, relation=relation))


def _first(case: Case | RowsCase) -> int:
    """Number of separate intercepts."""
    relation = case.model.intercept == "relation"
    return len(case.frame.unit) - len(case.frame.feature_sd) - int(relation)


class CorrelatedDraws(NamedTuple):
    """Worlds and the covariances of their tasks."""

    world: World
    tasks: Tasks


def simulate_correlated(
    case: Case, simulator: Simulator, n: int, rng: np.random.Generator
) -> CorrelatedDraws:
    """Weights whose features' deviations are ``R E``, rows of E from the features' population."""
    layout, parts = case.frame.layout, case.structure(n, rng)
    means, sds = parts["means"], parts["sds"]
    p, first = sds.shape[1], _first(case)
    n_tasks = len(layout.task_columns)
    correlation = parts.get("correlation", np.tile(np.eye(p), (n, 1, 1)))
    root = np.linalg.cholesky(correlation)[:, first:, first:]
    tasks = simulator(n, root, rng)
    deviation = rng.normal(size=(n, n_tasks, p))
    white = np.einsum("nij,ntj->nti", root, rng.normal(size=(n, n_tasks, p - first)))
    if tasks.loadings.shape[2]:
        own = np.sqrt(tasks.specific)[:, :, None] * white
        deviation[:, :, first:] = tasks.loadings @ tasks.factors + own
    else:
        deviation[:, :, first:] = np.linalg.cholesky(tasks.covariance) @ white
    centers = np.einsum("nia,ta->nti", means, layout.task_columns)
    weights = centers + sds[:, None, :] * deviation
    ones = np.ones(n)
    world = World(
        means,
        sds,
        correlation,
        parts.get("shared", ones),
        parts.get("median", ones),
        parts.get("spread", ones),
        parts["noise"],
        weights,
        respond(layout, weights, parts["noise"], rng),
        parts.get("selection", np.empty((n, 0))),
    )
    return CorrelatedDraws(world, tasks)


def set_tasks(
    case: Case | RowsCase,
    problem: Problem,
    population: PopulationState,
    state: DenseTasks | FactorTasks,
    draws: CorrelatedDraws,
    i: int,
    own: Any = None,
) -> None:
    """Put one exact draw into the state; factors in units of the standardised deviations."""
    for values, part in zip(draws.tasks.own, own or (), strict=True):
        part[:] = values[i]
    frame = case.frame
    weights = (draws.world.weights[i] - frame.location) / frame.unit[:, 0]
    population.weights[:] = pack_tasks(weights)
    population.deviation[:] = 0.0
    standardise(problem.prior, population)
    tasks = draws.tasks
    if isinstance(state, DenseTasks):
        state.covariance[:] = tasks.covariance[i]
        state.precision[:] = np.linalg.inv(tasks.covariance[i])
        return
    first = _first(case)
    sds, scale = draws.world.sds[i] / case.frame.unit[:, 0], population.scale
    unit = np.divide(sds, scale, out=np.ones_like(sds), where=scale > 0.0)
    for name in ("loadings", "specific", "variance", "active", "sticks"):
        getattr(state, name)[:] = getattr(tasks, name)[i]
    state.factors[:] = tasks.factors[i] * unit[first:]


def record_tasks(
    case: Case | RowsCase,
    population: PopulationState,
    state: DenseTasks | FactorTasks,
    out: Tasks,
    i: int,
    own: Any = None,
) -> None:
    """The current covariance as draw i."""
    for values, part in zip(out.own, own or (), strict=True):
        values[i] = part
    out.covariance[i] = state.covariance
    if isinstance(state, FactorTasks):
        first = _first(case)
        sds = np.sqrt(np.diag(population.covariance))[first:]
        for name in ("loadings", "specific", "variance", "active", "sticks"):
            getattr(out, name)[i] = getattr(state, name)
        out.factors[i] = state.factors / sds


def correlated_statistics(draws: CorrelatedDraws) -> dict[str, np.ndarray]:
    """Those of the world, and sds, correlations and factors of the tasks."""
    out = statistics(draws.world)
    tasks = draws.tasks
    sd = np.sqrt(np.einsum("ntt->nt", tasks.covariance))
    last = sd.shape[1] - 1
    extra: dict[str, np.ndarray] = {}
    for t in (0, 1, last):
        extra[f"log task sd[{t}]"] = np.log(sd[:, t])
    for s, t in ((0, 1), (0, last), (1, last)):
        extra[f"task correlation[{s},{t}]"] = tasks.covariance[:, s, t] / (sd[:, s] * sd[:, t])
    extra["task sd x sd"] = np.log(sd[:, 0]) * np.log(draws.world.sds[:, -1])
    for h in range(tasks.variance.shape[1]):
        extra[f"log variance[{h}]"] = np.log(tasks.variance[:, h])
        extra[f"active[{h}]"] = tasks.active[:, h].astype(float)
        extra[f"stick[{h}]"] = tasks.sticks[:, h]
        extra[f"log factor[{h}]"] = np.log((tasks.factors[:, h] ** 2).sum(axis=1))
        extra[f"log loadings[{h}]"] = np.log((tasks.loadings[:, :, h] ** 2).sum(axis=1))
        product = tasks.loadings[:, 0, h] * tasks.factors[:, h, 0]
        extra[f"part[{h}]"] = np.arcsinh(product)
        extra[f"part x mean[{h}]"] = np.arcsinh(product * draws.world.means[:, -1, 0])
    for k, part in enumerate(tasks.own):
        flat = part.reshape(len(part), -1).astype(float)
        moving = flat[:, np.ptp(flat, axis=0) > 0.0]
        # Variances have heavy tails.
        values = np.log(moving) if (moving > 0.0).all() else moving
        for j in {0, values.shape[1] - 1} if values.shape[1] else ():
            extra[f"own {k}[{j}]"] = values[:, j]
        extra[f"own {k}"] = values.sum(axis=1)
    if tasks.specific.shape[1]:
        extra["log specific"] = np.log(tasks.specific[:, last])
    out |= extra | {f"{name}^2": values**2 for name, values in extra.items()}
    # A tree gives all tasks the same variance, but for rounding.
    return {name: values for name, values in out.items() if np.ptp(values) > 1e-9}


def covariance_scores(
    case: Case,
    simulator: Simulator,
    *,
    chains: int,
    cycles: int,
    seed: int,
    route: str | None = None,
) -> dict[str, float]:
    """z of the mean of each statistic over chains of sweeps that start from exact draws."""
    frame, layout = case.frame, case.frame.layout
    exact = simulate_correlated(case, simulator, 50_000, np.random.default_rng([1, seed]))
    start = simulate_correlated(case, simulator, chains, np.random.default_rng([2, seed]))
    rng = np.random.default_rng([3, seed])
    problem: Problem = case.model.prepare(frame.data).problem
    n_tasks, n = problem.prior.n_tasks, chains * cycles
    out = empty_like(n, start.world)
    of_tasks = empty_tasks(start.tasks, n)
    chain = start_chain(problem, case.model.likelihood, rng)
    for c in range(chains):
        set_structure(frame, problem, chain, start.world, c)
        assert chain.tasks is not None
        of = chain.tasks
        set_tasks(case, problem, chain.population, of.tasks, start, c, of.own)
        response = start.world.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            chain = respond_with(frame, problem, chain, response)
            assert chain.tasks is not None
            if chain.tasks.dense is not None:
                dense, how = dense_sites(chain.sites, problem.prior, route)
                chain = chain._replace(tasks=chain.tasks._replace(dense=dense, route=how))
            gibbs_step(problem, chain, Moves(collapsed=False, rows=False), rng)
            record_world(frame, chain, n_tasks, out, i)
            assert chain.tasks is not None
            of = chain.tasks
            record_tasks(case, chain.population, of.tasks, of_tasks, i, of.own)
            predictor = np.einsum("ri,ri->r", layout.columns, out.weights[i][layout.task])
            sd = out.noise[i][layout.task] / np.sqrt(layout.precision_weight)
            response = out.response[i] = predictor + sd * rng.normal(size=len(predictor))
    begun, drawn, known = (
        correlated_statistics(part) for part in (start, CorrelatedDraws(out, of_tasks), exact)
    )
    known = {name: values for name, values in known.items() if name in begun}
    return z_scores(begun, drawn, known, cycles)
