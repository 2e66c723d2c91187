"""Joint-distribution tests of correlated tasks under likelihoods that are not Gaussian.

Cases and responses are those of `tests.oracles.geweke_rows`, covariances of tasks those of
`tests.oracles.geweke_covariance`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmtl import Exchangeable, Model, Poisson, Prior, StudentT
from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState
from tests.oracles.generative import World
from tests.oracles.geweke import empty_like, record_population, set_population, z_scores
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_covariance import (
    CorrelatedDraws,
    Simulator,
    correlated,
    correlated_statistics,
    empty_tasks,
    record_tasks,
    set_tasks,
    simulate_correlated,
)
from tests.oracles.geweke_rows import RowsCase, make_rows, respond

__all__ = ["correlated_scores", "few_counts"]


def few_counts(n_tasks: int) -> Callable[[Poisson], RowsCase]:
    """Small scales: under sds of tasks with heavy tails, rates would be astronomical."""

    def make(likelihood: Poisson) -> RowsCase:
        frame, exposure = make_rows(likelihood, n_tasks=n_tasks, n_rows=3, n_features=2)
        relation = Exchangeable(
            mean=Prior("Normal", mu=0.0, sigma=0.15), scale=Prior("HalfNormal", sigma=0.08)
        )
        first = Prior("Normal", mu=0.2, sigma=0.5)
        intercept = Exchangeable(mean=first, scale=Prior("HalfNormal", sigma=0.4))
        model = Model("y ~ x0 + x1", "task", relation, likelihood, intercept=intercept)

        def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
            means = rng.normal([0.2, 0.0, 0.0], [0.5, 0.15, 0.15], (n, 3))
            sds = np.abs(rng.normal(0.0, [0.4, 0.08, 0.08], (n, 3)))
            return {"means": means[:, :, None], "sds": sds}

        return RowsCase(frame, model, exposure, structure)

    return make


def _exact(
    case: RowsCase, simulator: Simulator, n: int, rng: np.random.Generator
) -> CorrelatedDraws:
    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"noise": np.ones((n, len(case.frame.layout.task_columns)))} | case.structure(n, rng)

    plain = Case(case.frame, case.model, structure)
    draws = simulate_correlated(plain, simulator, n, rng)
    return draws._replace(world=draws.world._replace(response=respond(case, draws.world, rng)))


def _begin(
    case: RowsCase, problem: Problem, state: CorrectedState, start: CorrelatedDraws, i: int
) -> None:
    population, world = state.population, start.world
    assert state.tasks is not None
    set_population(case.frame, problem, population, world, i)
    set_tasks(case, problem, population, state.tasks, start, i, state.own)
    if state.parameters.size:
        state.parameters[:] = np.log([world.median[i] / case.frame.response_sd, world.spread[i]])


def _one(out: World, i: int) -> World:
    return World(*(part[i : i + 1] for part in out))


def correlated_scores(
    make: Callable[[Any], RowsCase],
    likelihood: Any,
    kind: Any,
    simulator: Simulator,
    *,
    chains: int,
    cycles: int,
    seed: int,
) -> dict[str, float]:
    """z of the mean of each statistic over chains of sweeps that start from exact draws.

    The sites stay those of one data set while the responses change: exactness holds for any sites.
    """
    case = correlated(make(likelihood), kind)
    exact = _exact(case, simulator, 50_000, np.random.default_rng([1, seed]))
    start = _exact(case, simulator, chains, np.random.default_rng([2, seed]))
    rng = np.random.default_rng([3, seed])
    frame, problem = case.frame, case.model.prepare(case.frame.data).problem
    kernels, row_data = problem.row_kernels, problem.row_data
    assert kernels is not None
    n_tasks, n = problem.prior.n_tasks, chains * cycles
    out = empty_like(n, start.world)
    out.noise[:], out.median[:], out.spread[:] = 1.0, 1.0, 1.0
    of_tasks = empty_tasks(start.tasks, n)
    scaled = isinstance(likelihood, StudentT)
    center, unit = (frame.response_mean, frame.response_sd) if scaled else (0.0, 1.0)
    state, rates = start_corrected(problem, rng), np.zeros(2)
    assert state.tasks is not None
    for c in range(chains):
        _begin(case, problem, state, start, c)
        response = start.world.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            # Rows of the frame are sorted by task already.
            rows = row_data._replace(response=(response - center) / unit)
            kernels.evaluate(rows, state.population.weights, state.parameters, state.value)
            moved = corrected_sweep(problem._replace(row_data=rows), state, rng)
            rates += moved, state.accepted.mean()
            record_population(frame, state.population, n_tasks, out, i)
            record_tasks(case, state.population, state.tasks, of_tasks, i, state.own)
            if scaled:
                out.median[i], out.spread[i] = np.exp(state.parameters) * [unit, 1.0]
                out.noise[i] = out.median[i]
            response = out.response[i] = respond(case, _one(out, i), rng)[0]
    rates /= n
    # Neither always nor never accepted: the corrections are at work.
    assert np.all(rates > 0.01), rates
    assert rates.min() < 0.97, rates
    draws = (start, CorrelatedDraws(out, of_tasks), exact)
    begun, drawn, known = (correlated_statistics(part) for part in draws)
    return z_scores(begun, drawn, {key: known[key] for key in known if key in begun}, cycles)
