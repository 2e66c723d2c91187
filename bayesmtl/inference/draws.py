"""Posterior draws in internal units, as every method hands them over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Draws",
    "PartitionDraws",
    "SelectionDraws",
    "SparseDraws",
    "TaskDraws",
    "evenly_spaced",
    "join_chains",
    "map_draws",
    "take",
    "widen",
]


class PartitionDraws(NamedTuple):
    """Draws of a random partition of the tasks, (draw, ...) or (chain, draw, ...).

    Parameters
    ----------
    labels : (..., task) int
        Clusters 0, 1, ... by first appearance.
    concentration, discount, between : (...,)
    n_components : (...,) int
        0 for a process.
    centers : (..., cluster, d)
        Standardised cluster means; NaN where a draw has fewer clusters.
    """

    labels: np.ndarray
    concentration: np.ndarray
    discount: np.ndarray
    between: np.ndarray
    n_components: np.ndarray
    centers: np.ndarray


class TaskDraws(NamedTuple):
    """Draws of the covariance of the tasks, dense or by factors; (..., ) as in `Draws`.

    Parameters
    ----------
    covariance : (..., task, task) or None
        Omega.
    loadings : (..., task, factor) or None
    factors : (..., factor, d) or None
        Standardised, as deviations are.
    specific : (..., task) or None
        Variances of the tasks' own parts.
    variance : (..., factor) or None
        Of the loadings.
    rank : (...,) int or None
        Number of active factors.
    edge : (..., task, task) bool or None
        Which pairs an unknown graph with a spike and slab links.
    dependence : (...,) or None
        rho of a known graph.
    share : (..., component) or None
        Of the variance along a tree.
    """

    covariance: np.ndarray | None
    loadings: np.ndarray | None = None
    factors: np.ndarray | None = None
    specific: np.ndarray | None = None
    variance: np.ndarray | None = None
    rank: np.ndarray | None = None
    edge: np.ndarray | None = None
    dependence: np.ndarray | None = None
    share: np.ndarray | None = None


class SelectionDraws(NamedTuple):
    """Draws of what selects features, (draw, ...) or (chain, draw, ...).

    Parameters
    ----------
    local : (..., p, q)
        Sds of the means; 1 for those that are not under selection.
    hyper : (..., 3)
        Global scales of means and of deviations, and the slab.
    """

    local: np.ndarray
    hyper: np.ndarray


class SparseDraws(NamedTuple):
    """Draws of sparse deviations, (draw, ...) or (chain, draw, ...).

    Parameters
    ----------
    part, local : (..., task, p)
        Deviations, which the weights contain, and their sds; 0 for a separate intercept.
    hyper : (..., 3)
        Global scale and slab in the last two places.
    """

    part: np.ndarray
    local: np.ndarray
    hyper: np.ndarray


class Draws(NamedTuple):
    """Draws of one chain (draw, ...) or of all (chain, draw, ...); absent parts are None.

    Parameters
    ----------
    means : (..., p, q)
    scale : (..., p)
        Population sd of each coefficient.
    correlation : (..., p, p) or None
        Where features are correlated.
    shared : (...,) or None
        Shared fraction of the joint prior.
    noise_median, noise_spread : (...,) or None
    log_noise : (..., task) or (...,) or None
        Log noise sd of each task, or of all; None where it is known.
    weights : (..., task, p) or None
        Coefficients of the tasks; None where they are too many to keep.
    lp : (...,)
        Log joint density up to a constant.
    parameters : (..., parameter) or None
        Of a likelihood that is not Gaussian, as its kernels see them.
    task_scale : (..., task) or None
        s_t, where tasks have different likelihoods.
    partition : PartitionDraws or None
        Where tasks fall into clusters.
    tasks : TaskDraws or None
        Where tasks are correlated.
    selection : SelectionDraws or None
        Under feature selection.
    sparse : SparseDraws or None
        Where tasks deviate in a few weights.
    """

    means: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray | None
    shared: np.ndarray | None
    noise_median: np.ndarray | None
    noise_spread: np.ndarray | None
    log_noise: np.ndarray | None
    weights: np.ndarray | None
    lp: np.ndarray
    parameters: np.ndarray | None = None
    task_scale: np.ndarray | None = None
    partition: PartitionDraws | None = None
    tasks: TaskDraws | None = None
    selection: SelectionDraws | None = None
    sparse: SparseDraws | None = None


def evenly_spaced(draws: Draws, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Chain and draw (sample,) of evenly spaced draws (chain, draw, ...); all if few."""
    n_chains, n_draws = draws.lp.shape
    total = n_chains * n_draws
    return np.divmod(np.linspace(0, total - 1, min(n_samples, total)).astype(int), n_draws)


def take(draws: Draws, chain: np.ndarray, draw: np.ndarray) -> Draws:
    """Some of the draws (chain, draw, ...) as one chain (1, sample, ...)."""
    return map_draws(lambda parts: parts[0][chain, draw][None], [draws])


def widen(centers: np.ndarray, n_clusters: int) -> np.ndarray:
    """Room for more clusters: (..., cluster, d) filled up with NaN."""
    shape = (*centers.shape[:-2], n_clusters - centers.shape[-2], centers.shape[-1])
    return np.concatenate([centers, np.full(shape, np.nan)], axis=-2)


def join_chains(chains: list[Draws], n_draws: int) -> Draws:
    """Stack chains after cutting each to its first ``n_draws`` draws."""
    return map_draws(lambda parts: np.stack([part[:n_draws] for part in parts]), chains)


def map_draws(combine: Callable[[list[np.ndarray]], np.ndarray], draws: Sequence[Draws]) -> Draws:
    """Combine the same part of several draws; parts that are absent stay so."""

    def parts(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        columns = zip(*rows, strict=True)
        return [None if part[0] is None else combine(list(part)) for part in columns]

    out = Draws(*parts([draw[: Draws._fields.index("partition")] for draw in draws]))
    tasks = [draw.tasks for draw in draws if draw.tasks is not None]
    if tasks:
        out = out._replace(tasks=TaskDraws(*parts(tasks)))
    selections = [draw.selection for draw in draws if draw.selection is not None]
    if selections:
        out = out._replace(selection=SelectionDraws(*parts(selections)))
    deviations = [draw.sparse for draw in draws if draw.sparse is not None]
    if deviations:
        out = out._replace(sparse=SparseDraws(*parts(deviations)))
    partitions = [draw.partition for draw in draws if draw.partition is not None]
    if not partitions:
        return out
    most = max(part.centers.shape[-2] for part in partitions)
    wide = [part._replace(centers=widen(part.centers, most)) for part in partitions]
    return out._replace(partition=PartitionDraws(*parts(wide)))
