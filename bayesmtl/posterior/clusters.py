"""Which tasks cluster together: summaries of draws of a partition, free of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.numerics.partitions import (
    OptimalPartition,
    canonical,
    coclustering,
    credible_ball,
    membership_certainty,
    optimal_partition,
    shared_sizes,
)
from bayesmtl.posterior.relations import DENSE_LIMIT, INTERVAL, STATISTICS, summarise

__all__ = ["block_coclustering", "cluster_relations", "n_clusters_interval"]

BALL = 0.95
_SEED = 1  # of the search: the same draws give the same partition
# The search takes longest, half a minute, for 2,000 tasks whose draws have no structure.
_SEARCH_BUDGET, _FEWEST_DRAWS, _MOST_DRAWS = 2e5, 100, 1000


def cluster_relations(
    assignment: np.ndarray, labels: np.ndarray, prior_n_clusters: np.ndarray
) -> xr.Dataset:
    """What the group ``task_relations`` holds beyond other fits where the tasks form clusters.

    The optimal partitions are searched, and the credible ball and the memberships computed, with
    at most 1,000 evenly spaced draws, fewer above 200 tasks (attribute ``draws`` of
    ``partition``). Above `DENSE_LIMIT` tasks one local search starts from the best of those draws
    (attribute ``search``), because more starts need an array over pairs of tasks. Everything else
    uses all draws. The same draws give the same result.

    Parameters
    ----------
    assignment : int array (chain, draw, task)
        Clusters; tasks of one number in one draw are together, the numbers mean nothing else.
    labels : (task,)
    prior_n_clusters : (task,)
        Prior probabilities of 1, 2, ... clusters.

    Returns
    -------
    xarray.Dataset
        - ``coclustering (task, task_bis)``: probability that two tasks are in one cluster, and
          ``coclustering_mcse``, its standard error from means of batches of successive draws;
          above `DENSE_LIMIT` tasks absent, with the reason in the attribute
          ``coclustering_absent``.
        - ``partition (task)``: the partition of least expected variation of information, clusters
          0, 1, ... by decreasing size; ``partition_binder`` that of least Binder's loss.
        - ``partition_bound (bound, task)``: the edges "upper", "lower" and "horizontal" of the 95%
          credible ball around ``partition``; its attribute ``radius`` is in nats.
        - ``membership (task)``: mean probability to be together with another member of the task's
          cluster in ``partition``; of a task alone there, to be alone.
        - ``n_clusters (statistic)``; ``n_clusters_probability (n_clusters_value, distribution)``
          of 1, 2, ... clusters, "posterior" and "prior".
    """
    n_tasks = assignment.shape[2]
    flat = assignment.reshape(-1, n_tasks)
    keep = int(np.clip(_SEARCH_BUDGET / n_tasks, _FEWEST_DRAWS, _MOST_DRAWS))
    picks = np.linspace(0, len(flat) - 1, min(keep, len(flat))).astype(int)
    draws = canonical(flat[picks])
    best = {loss: _least_expected(draws, loss) for loss in ("vi", "binder")}
    center = best["vi"].partition
    ball = credible_ball(draws, center, BALL)
    search = {
        "draws": len(draws),
        "search": "many starts" if n_tasks <= DENSE_LIMIT else "best draw",
    }
    counts = flat.max(axis=1) + 1
    probability = [np.bincount(counts, minlength=n_tasks + 1)[1:] / len(counts), prior_n_clusters]
    out: dict[str, Any] = {
        "partition": ("task", center, search | {"expected_vi": best["vi"].expected_loss}),
        "partition_binder": (
            "task",
            best["binder"].partition,
            search | {"expected_binder": best["binder"].expected_loss},
        ),
        "partition_bound": (
            ("bound", "task"),
            np.stack([ball.upper, ball.lower, ball.horizontal]),
            {"radius": ball.radius, "probability": BALL},
        ),
        "membership": ("task", membership_certainty(draws, center)),
        "n_clusters": ("statistic", summarise(counts.astype(np.float64))),
        "n_clusters_probability": (
            ("n_clusters_value", "distribution"),
            np.stack(probability, axis=1),
        ),
    }
    coords: dict[str, Any] = {
        "task": labels,
        "statistic": STATISTICS,
        "bound": np.array(["upper", "lower", "horizontal"], dtype=object),
        "n_clusters_value": np.arange(1, n_tasks + 1),
        "distribution": np.array(["posterior", "prior"], dtype=object),
    }
    if n_tasks > DENSE_LIMIT:
        return xr.Dataset(out, coords, {"coclustering_absent": f"more than {DENSE_LIMIT} tasks"})
    mean, mcse = _coclustering(assignment)
    out |= {
        "coclustering": (("task", "task_bis"), mean),
        "coclustering_mcse": (("task", "task_bis"), mcse),
    }
    return xr.Dataset(out, coords | {"task_bis": labels})


def _least_expected(draws: np.ndarray, loss: str) -> OptimalPartition:
    """Search the partition (task,) of least expected loss, largest cluster first."""
    rng = np.random.default_rng(_SEED)
    if draws.shape[1] <= DENSE_LIMIT:
        return optimal_partition(draws, rng, loss=loss)
    return optimal_partition(draws, rng, loss=loss, runs=0, starts=1, linkage_cuts=False)


def _coclustering(assignment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (task, task) that tasks are together, and their standard errors.

    Batches hold the square root of a chain's draws and lie in one chain each, so that the errors
    allow for autocorrelation up to that length (Flegal and Jones 2010, Ann. Statist. 38). With
    one batch the errors are NaN.
    """
    n_chains, n_draws, n_tasks = assignment.shape
    mean = coclustering(assignment.reshape(-1, n_tasks))
    batches = [b for chain in assignment for b in np.array_split(chain, int(np.sqrt(n_draws)))]
    if len(batches) == 1:
        return mean, np.full_like(mean, np.nan)
    variance = np.zeros_like(mean)
    for batch in batches:
        variance += len(batch) / (n_chains * n_draws) * (coclustering(batch) - mean) ** 2
    return mean, np.sqrt(variance / (len(batches) - 1))


def block_coclustering(draws: np.ndarray, partition: np.ndarray) -> np.ndarray:
    """Probabilities that a task of one block and another task of a block are in one cluster.

    Parameters
    ----------
    draws : int array (draw, task)
    partition : int array (task,)
        Blocks 0, 1, ... without gaps.

    Returns
    -------
    array (block, block)
        Means over the pairs of different tasks; NaN on the diagonal for a block of one task.
    """
    sizes = np.bincount(partition).astype(np.float64)
    total = np.zeros((len(sizes), len(sizes)))
    for draw in draws:
        shared = shared_sizes(partition, draw)
        total += shared @ shared.T
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    together = total / len(draws) - np.diag(sizes)
    return np.divide(together, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)


def n_clusters_interval(relations: xr.Dataset, distribution: str) -> tuple[int, int, int]:
    """Median and ends of the 90% interval of the number of clusters.

    Parameters
    ----------
    relations : xarray.Dataset
        With ``n_clusters_probability``.
    distribution : {"posterior", "prior"}

    Returns
    -------
    median, lower, upper : int
        The smallest numbers with at least 50%, 5% and 95% of the probability up to them.
    """
    probability = relations["n_clusters_probability"].sel(distribution=distribution)
    below = np.cumsum(probability.to_numpy())
    tail = 0.5 * (1.0 - INTERVAL)
    # Within rounding of the level is enough, and a prior may sum to slightly less than one.
    levels = np.array([0.5, tail, 1.0 - tail]) * below[-1] - 1e-12
    median, lower, upper = relations["n_clusters_value"].to_numpy()[np.searchsorted(below, levels)]
    return int(median), int(lower), int(upper)
