"""Joint-distribution test of decompositions: sparse deviations simulated by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from bayesmtl import Decomposition
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.relations.exchangeable.gibbs import Moves
from tests.oracles.generative import World, respond, simulate, statistics
from tests.oracles.geweke import (
    empty_like,
    record_world,
    respond_with,
    set_structure,
    z_scores,
)
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_covariance import (
    CorrelatedDraws,
    Simulator,
    Tasks,
    correlated_statistics,
    empty_tasks,
    record_tasks,
    set_tasks,
    simulate_correlated,
)

__all__ = ["sparse_scores"]

_SHARE = 0.3


class _Sparse(NamedTuple):
    """Draws (n, task, p) of deviations and sds, user units, and hyperparameters (n, 2)."""

    part: np.ndarray
    local: np.ndarray
    hyper: np.ndarray


class _Draws(NamedTuple):
    """Of what tasks share (with the responses of all) and of deviations."""

    world: World
    tasks: Tasks | None
    sparse: _Sparse


def _deviations(case: Case, n: int, rng: np.random.Generator) -> _Sparse:
    frame = case.frame
    n_tasks, n_rows = len(frame.layout.task_columns), len(frame.data)
    p, d = len(frame.unit), len(frame.feature_sd)
    scale = _SHARE / (1.0 - _SHARE) / np.sqrt(n_rows / n_tasks) * np.abs(rng.standard_cauchy(n))
    slab = np.sqrt(1.0 / rng.gamma(2.0, 1.0 / 8.0, n))
    wide = scale[:, None, None] * np.abs(rng.standard_cauchy((n, n_tasks, d)))
    local = np.zeros((n, n_tasks, p))
    inner = 1.0 / np.sqrt(1.0 / wide**2 + 1.0 / slab[:, None, None] ** 2)
    local[:, :, p - d :] = inner * frame.unit[p - d :, 0]
    part = local * rng.normal(size=local.shape)
    return _Sparse(part, local, np.column_stack([scale, slab]))


def _exact(case: Case, simulator: Simulator | None, n: int, rng: np.random.Generator) -> _Draws:
    tasks = None
    if simulator is None:
        world = simulate(case.frame.layout, case.structure, n, rng)
    else:
        drawn = simulate_correlated(case, simulator, n, rng)
        world, tasks = drawn.world, drawn.tasks
    sparse = _deviations(case, n, rng)
    response = respond(case.frame.layout, world.weights + sparse.part, world.noise, rng)
    return _Draws(world._replace(response=response), tasks, sparse)


def _statistics(draws: _Draws) -> dict[str, np.ndarray]:
    if draws.tasks is None:
        out = statistics(draws.world)
    else:
        out = correlated_statistics(CorrelatedDraws(draws.world, draws.tasks))
    sparse, last = draws.sparse, draws.sparse.part.shape[2] - 1
    extra = {
        "log sparse scale": np.log(sparse.hyper[:, 0]),
        "log sparse slab": np.log(sparse.hyper[:, 1]),
        "log local": np.log(sparse.local[:, 0, last]),
        "part": np.arcsinh(sparse.part[:, 0, last]),
        "part x weight": np.arcsinh(sparse.part[:, 0, last] * draws.world.weights[:, 0, last]),
        "log parts": np.log((sparse.part**2).sum(axis=(1, 2))),
    }
    return out | extra | {f"{name}^2": values**2 for name, values in extra.items()}


def _set_sparse(case: Case, chain: ChainState, sparse: _Sparse, i: int) -> None:
    assert chain.sparse is not None
    unit = case.frame.unit[:, 0]
    chain.sparse.part[:] = sparse.part[i] / unit
    chain.sparse.local[:] = sparse.local[i] / unit
    chain.sparse.hyper[1:] = sparse.hyper[i]


def sparse_scores(
    case: Case,
    simulator: Simulator | None,
    *,
    chains: int,
    cycles: int,
    seed: int,
) -> dict[str, float]:
    """z of the mean of each statistic over chains of sweeps that start from exact draws."""
    frame, layout = case.frame, case.frame.layout
    relation = Decomposition(case.model.relation, sparse=_SHARE)
    model = replace(case.model, relation=relation)
    exact = _exact(case, simulator, 50_000, np.random.default_rng([1, seed]))
    start = _exact(case, simulator, chains, np.random.default_rng([2, seed]))
    rng = np.random.default_rng([3, seed])
    problem = model.prepare(frame.data).problem
    n, n_tasks, unit = chains * cycles, problem.prior.n_tasks, frame.unit[:, 0]
    out = empty_like(n, start.world)
    of_tasks: Any = None
    if start.tasks is not None:
        of_tasks = empty_tasks(start.tasks, n)
    sparse = _Sparse(*(np.empty((n, *part.shape[1:])) for part in start.sparse))
    chain = start_chain(problem, model.likelihood, rng)
    for c in range(chains):
        set_structure(frame, problem, chain, start.world, c)
        if start.tasks is not None:
            assert chain.tasks is not None
            exactly = CorrelatedDraws(start.world, start.tasks)
            set_tasks(case, problem, chain.population, chain.tasks.tasks, exactly, c)
        _set_sparse(case, chain, start.sparse, c)
        response = start.world.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            chain = respond_with(frame, problem, chain, response)
            gibbs_step(problem, chain, Moves(collapsed=False, rows=False), rng)
            record_world(frame, chain, n_tasks, out, i)
            if of_tasks is not None:
                assert chain.tasks is not None
                record_tasks(case, chain.population, chain.tasks.tasks, of_tasks, i)
            assert chain.sparse is not None
            sparse.part[i], sparse.local[i] = chain.sparse.part * unit, chain.sparse.local * unit
            sparse.hyper[i] = chain.sparse.hyper[1:]
            weights = out.weights[i] + sparse.part[i]
            predictor = np.einsum("ri,ri->r", layout.columns, weights[layout.task])
            sd = out.noise[i][layout.task] / np.sqrt(layout.precision_weight)
            response = out.response[i] = predictor + sd * rng.normal(size=len(predictor))
    drawn = _Draws(out, of_tasks, sparse)
    begun, kept, known = (_statistics(part) for part in (start, drawn, exact))
    known = {name: values for name, values in known.items() if name in begun}
    return z_scores(begun, kept, known, cycles)
