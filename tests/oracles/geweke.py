"""Successive-conditional simulation: data given the state, one sweep given the data, and again.

Geweke 2004, J. Am. Stat. Assoc. 99: the draws follow the joint distribution of parameters and data
if and only if the sweep leaves the posterior invariant, whatever the data. Many short chains start
from exact draws of parameters and data: no burn-in, and errors from independent replicates.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bayesmtl import Model
from bayesmtl.assembly import Problem
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.likelihoods.gaussian import gaussian_sites
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.exchangeable.gibbs import Moves
from bayesmtl.relations.exchangeable.selection import SelectionState, set_rows
from bayesmtl.relations.exchangeable.state import HUANG_WAND, PopulationState
from tests.oracles.generative import Layout, World, statistics

__all__ = [
    "Chains",
    "Frame",
    "empty_like",
    "joint_scores",
    "make_frame",
    "record_population",
    "record_selection",
    "record_world",
    "respond_with",
    "set_population",
    "set_selection",
    "set_structure",
    "successive_conditional",
    "z_scores",
]


class Frame(NamedTuple):
    """A data frame, what its rows look like to the model, and its scales."""

    data: pd.DataFrame
    layout: Layout
    response_mean: float
    response_sd: float
    feature_sd: np.ndarray
    task_feature_sd: np.ndarray
    location: np.ndarray  # (p,)
    unit: np.ndarray  # (p, q)
    known_noise: bool


def make_frame(
    *,
    n_tasks: int,
    n_rows: int,
    n_features: int,
    n_task_features: int = 0,
    intercept: str = "separate",
    known_noise: bool = False,
    seed: int = 0,
) -> Frame:
    """Rows of ``y``, ``x0``, ..., ``z0``, ..., ``task`` with scales far from one.

    ``intercept`` is "separate" (the features are centred), "relation" or "none".
    """
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = 1.0 + 2.0 * rng.normal(size=(len(task), n_features))
    z = 0.5 * rng.normal(size=(n_tasks, n_task_features))
    y = 1.5 + 1.7 * rng.normal(size=len(task))
    data = pd.DataFrame({"y": y, "task": task})
    for j in range(n_features):
        data[f"x{j}"] = x[:, j]
    for j in range(n_task_features):
        data[f"z{j}"] = z[task, j]
    weight = np.ones(len(task))
    if known_noise:
        data["se"] = rng.uniform(0.5, 2.0, len(task))
        data["w"] = rng.integers(1, 4, len(task))
        weight = (data["w"] / data["se"] ** 2).to_numpy()
    center, spread = 0.0 if intercept == "none" else y.mean(), y.std()
    feature_sd, task_sd = x.std(axis=0), z.std(axis=0)
    columns, first = x, []
    if intercept != "none":
        columns = np.column_stack([np.ones(len(task)), x - x.mean(axis=0)])
        first = [1.0]
    if intercept == "relation":
        columns[:, 1:] = x
    location = np.zeros(columns.shape[1])
    location[: len(first)] = center
    unit = np.outer(spread / np.r_[first, feature_sd], np.r_[1.0, 1.0 / task_sd])
    layout = Layout(columns, task, np.column_stack([np.ones(n_tasks), z - z.mean(axis=0)]), weight)
    return Frame(data, layout, center, spread, feature_sd, task_sd, location, unit, known_noise)


class Chains(NamedTuple):
    """Successive-conditional draws of many short chains, and the exact draws they start from."""

    start: World  # (chain,)
    draws: World  # (chain * cycle,)
    cycles: int


def empty_like(n: int, start: World) -> World:
    return World(*(np.empty((n, *part.shape[1:])) for part in start))


def set_population(
    frame: Frame, problem: Problem, population: PopulationState, world: World, i: int
) -> None:
    """Put one exact draw of means, scales and correlations into a state."""
    internal = world.means[i].copy()
    internal[:, 0] -= frame.location
    population.means[:] = internal / frame.unit
    population.scale[:] = world.sds[i] / frame.unit[:, 0]
    population.covariance[:] = world.correlation[i]
    if problem.prior.covariance == HUANG_WAND:
        block = problem.prior.block
        sds = population.scale.copy()
        sds[:block] = 1.0
        population.covariance[:] *= np.outer(sds, sds)
        population.scale[block:] = 1.0
    population.precision[:] = np.linalg.inv(population.covariance)
    population.shared[:] = world.shared[i]


def set_selection(problem: Problem, selection: SelectionState | None, world: World, i: int) -> None:
    """Put one exact draw of what selects features into a state."""
    if selection is not None:
        selection.local[:] = world.selection[i, :-3].reshape(selection.local.shape)
        selection.hyper[:] = world.selection[i, -3:]
        set_rows(problem.prior, problem.selection, selection)


def set_structure(frame: Frame, problem: Problem, chain: ChainState, world: World, i: int) -> None:
    """Put one exact draw into the state of a chain; the sweep draws the weights first."""
    noise = chain.noise
    set_population(frame, problem, chain.population, world, i)
    set_selection(problem, chain.selection, world, i)
    if not frame.known_noise:
        noise.log_median[:] = np.log(world.median[i] / frame.response_sd)
        noise.spread[:] = world.spread[i]
        noise.log_sd[:] = pack_tasks(np.log(world.noise[i] / frame.response_sd))
        noise.precision[:] = np.exp(-2.0 * noise.log_sd)


def respond_with(
    frame: Frame, problem: Problem, chain: ChainState, response: np.ndarray
) -> ChainState:
    """The state with sites of new responses."""
    internal = (response - frame.response_mean) / frame.response_sd
    n_tasks = problem.prior.n_tasks
    sites = gaussian_sites(problem.design, internal, frame.layout.task, problem.weight, n_tasks)
    return chain._replace(sites=sites._replace(precision=chain.noise.precision))


def record_population(
    frame: Frame, population: PopulationState, n_tasks: int, out: World, i: int
) -> None:
    sds = np.sqrt(np.diag(population.covariance))
    out.means[i] = frame.unit * population.means
    out.means[i, :, 0] += frame.location
    out.sds[i] = frame.unit[:, 0] * population.scale * sds
    out.correlation[i] = population.covariance / np.outer(sds, sds)
    out.shared[i] = population.shared[0]
    out.weights[i] = frame.location + frame.unit[:, 0] * unpack_tasks(population.weights, n_tasks)


def record_selection(selection: SelectionState | None, out: World, i: int) -> None:
    if selection is not None:
        out.selection[i] = np.concatenate([selection.local.ravel(), selection.hyper])


def record_world(frame: Frame, chain: ChainState, n_tasks: int, out: World, i: int) -> None:
    noise = chain.noise
    record_population(frame, chain.population, n_tasks, out, i)
    record_selection(chain.selection, out, i)
    out.spread[i] = noise.spread[0]
    out.median[i] = frame.response_sd * np.exp(noise.log_median[0])
    noise_sd = frame.response_sd * np.exp(unpack_tasks(noise.log_sd, n_tasks))
    out.noise[i] = 1.0 if frame.known_noise else noise_sd


def successive_conditional(
    frame: Frame,
    model: Model,
    start: World,
    cycles: int,
    *,
    collapsed: bool,
    rng: np.random.Generator,
) -> Chains:
    """Chains of ``cycles`` sweeps from each exact draw, with new responses after every sweep."""
    problem = model.prepare(frame.data).problem
    layout, n_tasks = frame.layout, problem.prior.n_tasks
    n_chains = len(start.median)
    out = empty_like(n_chains * cycles, start)
    sd_weight = 1.0 / np.sqrt(layout.precision_weight)
    chain = start_chain(problem, model.likelihood, rng)
    for c in range(n_chains):
        set_structure(frame, problem, chain, start, c)
        response = start.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            chain = respond_with(frame, problem, chain, response)
            gibbs_step(problem, chain, Moves(collapsed, rows=collapsed), rng)
            record_world(frame, chain, n_tasks, out, i)
            predictor = np.einsum("ri,ri->r", layout.columns, out.weights[i][layout.task])
            error = out.noise[i][layout.task] * sd_weight * rng.normal(size=len(predictor))
            response = out.response[i] = predictor + error
    return Chains(start, out, cycles)


def joint_scores(chains: Chains, exact: World) -> dict[str, float]:
    """z of the mean of each statistic."""
    begun, drawn, known = (statistics(w) for w in (chains.start, chains.draws, exact))
    return z_scores(begun, drawn, known, chains.cycles)


def z_scores(
    begun: dict[str, np.ndarray],
    drawn: dict[str, np.ndarray],
    known: dict[str, np.ndarray],
    cycles: int,
) -> dict[str, float]:
    """z of the mean of each statistic; chains are independent and start exactly.

    The value at the start, whose expectation the larger exact sample gives, is a control
    variate: chains that move slowly then still show a drift.
    """
    scores = {}
    for name, reference in known.items():
        average = drawn[name].reshape(-1, cycles).mean(axis=1)
        first = begun[name]
        slope = np.cov(average, first)[0, 1] / first.var(ddof=1)
        residual = average - slope * first
        error = np.hypot(
            residual.std(ddof=1) / np.sqrt(len(residual)),
            (1.0 - slope) * reference.std() / np.sqrt(len(reference)),
        )
        scores[name] = float((residual.mean() - (1.0 - slope) * reference.mean()) / error)
    return scores
