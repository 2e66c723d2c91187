"""What draws of a random partition say of tasks and of new ones, in internal units."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, PartitionDraws
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.lanes import unpack_tasks

__all__ = [
    "cluster_group",
    "cluster_means",
    "conditional_means",
    "join_probabilities",
    "mixture_moments",
    "partition_variables",
    "variance_factors",
]

_SAMPLE = ("chain", "draw")


def _sizes(partition: PartitionDraws) -> np.ndarray:
    """(chain, draw, cluster) numbers of tasks."""
    labels = partition.labels
    n_clusters = partition.centers.shape[-2]
    flat = labels.reshape(-1, labels.shape[-1])
    codes = flat + n_clusters * np.arange(len(flat))[:, None]
    counts = np.bincount(codes.reshape(-1), minlength=len(flat) * n_clusters)
    return counts.reshape(*labels.shape[:-1], n_clusters)


def join_probabilities(partition: PartitionDraws) -> np.ndarray:
    """(chain, draw, cluster) chance that a new task joins; what is left to 1, of a new cluster."""
    sizes = _sizes(partition)
    total = partition.labels.shape[-1] + partition.concentration
    weight = sizes - partition.discount[..., None]
    return np.where(sizes > 0, weight, 0.0) / total[..., None]


def cluster_means(problem: Problem, draws: Draws) -> np.ndarray:
    """(chain, draw, cluster, feature) means of the clusters, NaN where there is none."""
    assert draws.partition is not None
    first = problem.prior.block
    spread = np.sqrt(draws.partition.between)[..., None] * draws.scale[..., first:]
    base = draws.means[..., first:, 0]
    return base[..., None, :] + spread[..., None, :] * draws.partition.centers


def mixture_moments(problem: Problem, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (chain, draw, feature) of the weights of a new task given the draw."""
    assert draws.partition is not None
    first, between = problem.prior.block, draws.partition.between[..., None]
    probability = join_probabilities(draws.partition)
    new = 1.0 - probability.sum(axis=-1)[..., None]
    means = np.nan_to_num(cluster_means(problem, draws))
    base, variance = draws.means[..., first:, 0], draws.scale[..., first:] ** 2
    mean = np.einsum("...k,...kj->...j", probability, means) + new * base
    gap = (means - mean[..., None, :]) ** 2
    spread = np.einsum("...k,...kj->...j", probability, gap)
    spread += new * ((base - mean) ** 2 + between * variance) + (1.0 - between) * variance
    return mean, np.sqrt(spread)


def _others(partition: PartitionDraws) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of other tasks in each task's cluster, and the weight of the sum of these.

    Given n' others whose standardised deviations sum to S', that of a task has the mean ``between
    S' / (1 - between + n' between)``; both results are (chain, draw, task).
    """
    number = np.take_along_axis(_sizes(partition), partition.labels.astype(np.int64), axis=-1) - 1
    between = partition.between[..., None]
    whole = 1.0 - between + number * between
    return number, np.divide(between, whole, out=np.zeros_like(whole), where=number > 0)


def variance_factors(partition: PartitionDraws) -> np.ndarray:
    """(chain, draw, task) variance of weights given the structure and the weights of the others.

    In units of the squared total scale: ``(1 - between) (1 + between / (1 - between + n'
    between))`` with n' other tasks in the cluster; that of a new cluster for a task that is alone.
    """
    others, share = _others(partition)
    within = 1.0 - partition.between[..., None]
    return np.where(others > 0, within * (1.0 + share), 1.0)


def conditional_means(problem: Problem, draws: Draws) -> np.ndarray:
    """Means (chain, draw, task, feature) of weights given structure and weights of the others."""
    assert draws.partition is not None
    assert draws.weights is not None
    prior, first = problem.prior, problem.prior.block
    labels = draws.partition.labels
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    center = np.einsum("csja,ta->cstj", draws.means[..., first:, :], z)
    weights = draws.weights
    if draws.sparse is not None:
        # Sparse deviations of the others are their own.
        weights = weights - draws.sparse.part
    deviation = weights[..., first:] - center
    n_clusters = draws.partition.centers.shape[-2]
    samples = np.arange(draws.lp.size).reshape(draws.lp.shape)
    codes = labels + n_clusters * samples[..., None]
    sums = np.zeros((draws.lp.size * n_clusters, deviation.shape[-1]))
    np.add.at(sums, codes, deviation)
    _, share = _others(draws.partition)
    return center + share[..., None] * (sums[codes] - deviation)


def partition_variables(problem: Problem, draws: Draws) -> dict[str, Any]:
    """Variables of the posterior group that describe the partition, without its labels."""
    partition, prior = draws.partition, problem.partition
    assert partition is not None
    assert prior is not None
    out = {
        "n_clusters": (_SAMPLE, partition.labels.max(axis=-1) + 1, {}),
        "concentration": (_SAMPLE, partition.concentration, _constant(prior.concentration)),
        "between": (_SAMPLE, partition.between, _constant(prior.between)),
    }
    if prior.log_components.size:
        fixed = {"constant": 1} if np.isfinite(prior.log_components).sum() == 1 else {}
        out["n_components"] = (_SAMPLE, partition.n_components, fixed)
    elif prior.discount[0] != FIXED or prior.discount[1] != 0.0:
        out["discount"] = (_SAMPLE, partition.discount, _constant(prior.discount))
    return out


def _constant(row: np.ndarray) -> dict[str, int]:
    return {"constant": 1} if row[0] == FIXED else {}


def cluster_group(problem: Problem, draws: Draws) -> xr.Dataset:
    """The group ``clusters``: draws of the partition, for summaries and predictions.

    Its labels mean nothing from one draw to the next.
    """
    assert draws.partition is not None
    first, prior = problem.prior.block, problem.prior
    means = prior.mean_location[first:, 0] + prior.scale_unit[first:] * cluster_means(
        problem, draws
    )
    n_chains, n_draws = draws.lp.shape
    dims = (*_SAMPLE, "cluster")
    return xr.Dataset(
        {
            "assignment": ((*_SAMPLE, "task"), draws.partition.labels.astype(np.int32)),
            "cluster_mean": ((*dims, "feature"), means),
            "probability": (dims, join_probabilities(draws.partition)),
        },
        {
            "chain": np.arange(n_chains),
            "draw": np.arange(n_draws),
            "task": problem.rows.tasks,
            "cluster": np.arange(means.shape[-2]),
            "feature": np.array(problem.features, dtype=object),
        },
    )
