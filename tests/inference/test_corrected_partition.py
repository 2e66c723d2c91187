"""Clusters of tasks beyond the Gaussian: the partition against enumeration and quadrature."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import log_expit, log_ndtr, logsumexp

from bayesmtl import Bernoulli, Model, Poisson
from bayesmtl.inference.corrected import corrected_sweep, move_weights, start_corrected
from bayesmtl.inference.corrected_partition import _move_centers, _scan, _split_or_merge
from bayesmtl.relations.clusters.collapsed import cluster_sites
from tests.oracles.clusters import CASES, log_prior
from tests.oracles.monte_carlo import mcse
from tests.oracles.partitions import set_partitions

SCALE = 1.5
N_TASKS = 4


def small_data(likelihood: Any) -> pd.DataFrame:
    """Two groups of tasks, too few rows to tell for sure."""
    rng = np.random.default_rng(3)
    task = np.repeat(np.arange(N_TASKS), [4, 5, 6, 4])
    x = rng.normal(size=len(task))
    eta = np.array([1.8, 1.5, -1.6, -1.2])[task] * x
    if isinstance(likelihood, Poisson):
        y = rng.poisson(np.exp(0.6 * eta))
    else:
        y = (rng.random(len(task)) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "x": x, "task": task})


def log_task(data: pd.DataFrame, likelihood: Any, w: np.ndarray) -> np.ndarray:
    """Log-likelihood (task, w) of each task at each weight."""
    out = []
    for _, rows in data.groupby("task"):
        eta = np.outer(w, rows["x"])
        y = rows["y"].to_numpy()
        if isinstance(likelihood, Poisson):
            value = stats.poisson.logpmf(y, np.exp(eta))
        else:
            log_share = log_expit if likelihood.link == "logit" else log_ndtr
            value = log_share(np.where(y == 1, eta, -eta))
        out.append(value.sum(axis=1))
    return np.array(out)


def log_evidences(data: pd.DataFrame, likelihood: Any, between: float) -> list[float]:
    """Log evidence of every partition of the tasks given scale and share, on a grid."""
    grid = np.linspace(-9.0, 9.0, 1801)
    step = grid[1] - grid[0]
    rows = log_task(data, likelihood, grid)
    if between < 1.0:
        within = stats.norm.logpdf(grid[:, None], grid, SCALE * np.sqrt(1.0 - between))
        rows = logsumexp(rows[:, None, :] + within, axis=2) + np.log(step)
    prior = stats.norm.logpdf(grid, 0.0, SCALE * np.sqrt(between))
    return [
        sum(
            logsumexp(prior + rows[np.array(partition) == k].sum(axis=0)) + np.log(step)
            for k in set(partition)
        )
        for partition in map(tuple, set_partitions(N_TASKS))
    ]


def exact(data: pd.DataFrame, likelihood: Any, case: Any, between: float) -> np.ndarray:
    """Posterior probability of every partition."""
    evidence = np.array(log_evidences(data, likelihood, between))
    prior = np.array(
        [
            logsumexp(log_prior(np.array(one), case.nodes) + case.nodes.log_weight)
            for one in set_partitions(N_TASKS)
        ]
    )
    value = evidence + prior
    return np.exp(value - logsumexp(value))


def sampled(problem: Any, seed: int, sweeps: int, step: Any) -> np.ndarray:
    """Labels (sweep, task) of a chain."""
    rng = np.random.default_rng(seed)
    state = start_corrected(problem, rng)
    out = np.empty((sweeps, N_TASKS), dtype=int)
    for i in range(sweeps + 100):
        step(problem, state, rng)
        if i >= 100:
            assert state.partition is not None
            out[i - 100] = state.partition.labels
    return out


def check(draws: np.ndarray, probability: np.ndarray) -> None:
    """Probabilities of all partitions within four Monte Carlo errors, rare ones together."""
    partitions = np.array(set_partitions(N_TASKS))
    which = (draws[:, :, None, :] == partitions).all(axis=-1)
    assert which.any(axis=2).all()
    often = probability > 0.02
    hits = [which[..., k] for k in np.flatnonzero(often)] + [which[..., ~often].any(axis=2)]
    expected = [*probability[often], probability[~often].sum()]
    for hit, value in zip(hits, expected, strict=True):
        assert abs(hit.mean() - value) < 4.0 * mcse(hit.astype(float)) + 1e-3


def scan_alone(problem: Any, state: Any, rng: np.random.Generator) -> None:
    """Labels one by one and cluster means, the tasks' q from its prior."""
    move_weights(problem, state, rng)
    a, g = cluster_sites(state.sites, problem.prior, state.population, state.partition.between[0])
    _scan(problem, state, a, g, rng)
    _move_centers(problem, state, a, g, rng)


def proposals_alone(problem: Any, state: Any, rng: np.random.Generator) -> None:
    """Splits, merges and cluster means."""
    move_weights(problem, state, rng)
    a, g = cluster_sites(state.sites, problem.prior, state.population, state.partition.between[0])
    for _ in range(5):
        _split_or_merge(problem, state, a, g, rng)
    _move_centers(problem, state, a, g, rng)


STEPS = {"sweep": corrected_sweep, "scan": scan_alone, "proposals": proposals_alone}


@pytest.mark.mcmc
@pytest.mark.parametrize("between", [1.0, 0.6])
@pytest.mark.parametrize(
    ("likelihood", "step"),
    [(Bernoulli(), step) for step in STEPS]
    + [(Poisson(), "scan"), (Poisson(), "sweep"), (Bernoulli("probit"), "sweep")],
)
def test_partitions_are_those_of_quadrature(likelihood: Any, step: str, between: float) -> None:
    data = small_data(likelihood)
    case = CASES["dp"]
    relation = replace(case.relation, mean=0.0, scale=SCALE, between=between)
    model = Model("y ~ 0 + x", "task", relation, likelihood=likelihood, standardize=False)
    problem = model.prepare(data).problem
    draws = np.stack([sampled(problem, seed, 1500, STEPS[step]) for seed in (1, 2)])
    check(draws, exact(data, likelihood, case, between))


@pytest.mark.mcmc
@pytest.mark.parametrize("name", ["py-random", "two", "mixture"])
def test_every_prior_of_partitions(name: str) -> None:
    likelihood, case = Bernoulli(), CASES[name]
    data = small_data(likelihood)
    relation = replace(case.relation, mean=0.0, scale=SCALE, between=1.0)
    model = Model("y ~ 0 + x", "task", relation, likelihood=likelihood, standardize=False)
    problem = model.prepare(data).problem
    draws = np.stack([sampled(problem, seed, 1500, corrected_sweep) for seed in (1, 2)])
    check(draws, exact(data, likelihood, case, 1.0))
