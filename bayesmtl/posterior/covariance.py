"""Summaries of how the weights of the tasks are correlated, beside those of their prior."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, TaskDraws, evenly_spaced, take
from bayesmtl.posterior.graphs import structure_relations
from bayesmtl.posterior.relations import DENSE_LIMIT, STATISTICS, summarise
from bayesmtl.posterior.task_draws import correlations, variances
from bayesmtl.relations.covariance.simulate import simulate_tasks
from bayesmtl.relations.covariance.state import SPIKE, TaskCovariancePrior

__all__ = ["covariance_relations", "prior_correlation"]

_PAIR_BUDGET = 2e7
_ROUNDING = 1e-10
_PRIOR_DRAWS = 4000
# Of the prior only as many tasks are simulated as one pair needs.
_MOST_SIMULATED = 20


def covariance_relations(problem: Problem, draws: Draws) -> xr.Dataset:
    """Structural correlations, those of the weights of two tasks implied by the covariance.

    Unlike correlations of predictors they say nothing of the common mean. Beside them stand the
    summaries of one correlation under the prior. Where the rank is low, there are also the
    probabilities of the number of active factors, the projection on their span, in features of
    unit sd (``subspace``), and the share of the variance of each weight, around the mean of the
    tasks, that comes from all factors (``factor_share``).

    Parameters
    ----------
    problem : Problem
    draws : Draws
    """
    prior, labels = problem.task_covariance, problem.rows.tasks
    assert prior is not None
    assert draws.tasks is not None
    out: dict[str, Any] = {}
    attrs: dict[str, Any] = {"task_covariance": prior.kind}
    some = draws
    if prior.n_tasks <= DENSE_LIMIT:
        n_samples = int(np.clip(_PAIR_BUDGET / prior.n_tasks**2, 100, 4000))
        some = take(draws, *evenly_spaced(draws, n_samples))
        out["task_correlation"] = (("task", "task_bis", "statistic"), _summary(some))
    coords: dict[str, Any] = {"task": labels, "statistic": STATISTICS}
    if "task_correlation" in out:
        coords["task_bis"] = labels
    if draws.tasks.factors is not None:
        out |= _subspace(problem, draws)
        names = np.array(problem.features, dtype=object)
        coords |= {"feature": names, "feature_bis": names}
    if prior.structure is not None:
        assert some.tasks is not None
        relations = structure_relations(prior.structure, some.tasks, labels)
        return xr.merge([xr.Dataset(out, coords, attrs), relations], join="exact")
    if prior.kind != "given" and prior.n_tasks > 1:
        out |= _beside_prior(prior, draws.tasks)
        if draws.tasks.rank is not None:
            coords["rank"] = np.arange(prior.n_factors + 1)
    return xr.Dataset(out, coords, attrs)


def _beside_prior(prior: TaskCovariancePrior, tasks: TaskDraws) -> dict[str, Any]:
    """Summaries of one correlation and of the rank under the prior, and of the rank itself."""
    few = min(prior.n_tasks, _MOST_SIMULATED)
    pair, ranks = _prior(prior.kind, few, prior.n_factors, prior.common)
    out: dict[str, Any] = {"prior_task_correlation": (("statistic",), pair)}
    if tasks.rank is not None:
        counts = np.bincount(tasks.rank.reshape(-1), minlength=prior.n_factors + 1)
        out["rank_probability"] = (("rank",), counts / counts.sum())
        out["prior_rank_probability"] = (("rank",), ranks)
    return out


def _summary(draws: Draws) -> np.ndarray:
    """(task, task, statistic), a block of rows at a time."""
    assert draws.tasks is not None
    n_samples, n_tasks = variances(draws.tasks).shape[1:]
    step = max(1, int(2e6 / (n_samples * n_tasks)))
    parts = [
        summarise(correlations(draws.tasks, slice(start, start + step))[0], signed=True)
        for start in range(0, n_tasks, step)
    ]
    out = np.concatenate(parts)
    same = np.arange(n_tasks)
    out[same, same] = [1.0, 0.0, 1.0, 1.0, 1.0]
    return out


def _subspace(problem: Problem, draws: Draws) -> dict[str, Any]:
    """What factors span, whatever their rotation, and how much of the weights they explain."""
    first, d = problem.prior.block, draws.scale.shape[-1] - problem.prior.block
    n_samples = int(np.clip(_PAIR_BUDGET / (d * d), 100, 4000))
    some = take(draws, *evenly_spaced(draws, n_samples))
    parts = some.tasks
    assert parts is not None
    assert parts.factors is not None
    assert parts.variance is not None
    assert parts.loadings is not None
    assert parts.specific is not None
    factors = parts.factors[0] * some.scale[0, :, None, first:]
    # Factors that are not active have the variance of the spike.
    active = np.where(parts.variance[0] > SPIKE, 1.0, 0.0)[..., None] * factors
    _, size, vectors = np.linalg.svd(active, full_matrices=False)
    kept = np.where(size > _ROUNDING * size[:, :1], 1.0, 0.0) * (size[:, :1] > 0.0)
    projection = np.einsum("sk,ski,skj->sij", kept, vectors, vectors)
    spread = (parts.loadings[0] ** 2).mean(axis=1)
    common = np.einsum("sh,shi->si", spread, parts.factors[0] ** 2)
    share = common / (common + parts.specific[0].mean(axis=1)[:, None])
    return {
        "subspace": (("feature", "feature_bis", "statistic"), summarise(projection, signed=True)),
        "factor_share": (("feature", "statistic"), summarise(share)),
    }


def prior_correlation(kind: str, n_tasks: int, n_factors: int) -> np.ndarray:
    """Summaries (statistic,) of the correlation of two tasks under the prior of a covariance.

    Parameters
    ----------
    kind : {"full", "low_rank"}
    n_tasks, n_factors : int
    """
    return _prior(kind, min(n_tasks, _MOST_SIMULATED), n_factors, False)[0]


@lru_cache(maxsize=64)
def _prior(kind: str, n_tasks: int, n_factors: int, common: bool) -> tuple[np.ndarray, np.ndarray]:
    """Summaries (statistic,) of one correlation, probabilities (rank,) under the prior."""
    rng = np.random.default_rng(0)
    settings = TaskCovariancePrior(kind, np.eye(n_tasks), n_factors, common)
    pair, rank = np.empty(_PRIOR_DRAWS), np.zeros(_PRIOR_DRAWS, dtype=np.int64)
    for i in range(_PRIOR_DRAWS):
        tasks, _ = simulate_tasks(settings, np.eye(1), rng)
        covariance = tasks.covariance
        pair[i] = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        rank[i] = np.sum(getattr(tasks, "active", 0))
    counts = np.bincount(rank, minlength=n_factors + 1)
    return summarise(pair, signed=True), counts / counts.sum()
