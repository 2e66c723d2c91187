"""Labels and weights given what the PyMC graph samples, drawn from their conditional."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, PartitionDraws
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.sites import GaussianSites, collapse, evaluate

__all__ = ["draw_labels", "draw_partitions"]


def draw_labels(
    log_evidence: np.ndarray, log_stick: np.ndarray, log_rest: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Labels (task,) by first appearance, given the clusters: forward filtering, backward sampling.

    Parameters
    ----------
    log_evidence : (task, cluster)
        Of each task if it belongs to each cluster.
    log_stick, log_rest : (cluster,)
        ``log v_k`` and ``log (1 - v_k)`` of `bayesmtl.relations.clusters.graph`.
    rng : numpy.random.Generator
    """
    n_tasks, n_clusters = log_evidence.shape
    log_open = np.concatenate([np.zeros(1), np.cumsum(log_rest)[:-1]])
    join = log_evidence + log_stick + log_open
    # Log probability of the tasks so far with K = k + 1 clusters among them.
    states = np.full((n_tasks, n_clusters), -np.inf)
    states[0, 0] = log_evidence[0, 0]
    for t in range(1, n_tasks):
        states[t] = states[t - 1] + np.logaddexp.accumulate(join[t])
        opened = states[t - 1, :-1] + log_open[1:] + log_evidence[t, 1:]
        states[t, 1:] = np.logaddexp(states[t, 1:], opened)
    labels = np.zeros(n_tasks, dtype=np.int32)
    last = _pick(states[-1], rng)
    for t in range(n_tasks - 1, 0, -1):
        # Joining one of the clusters 0, ..., last, or opening the last of them.
        options = np.append(states[t - 1, last] + join[t, : last + 1], -np.inf)
        if last > 0:
            options[-1] = states[t - 1, last - 1] + log_open[last] + log_evidence[t, last]
        choice = _pick(options, rng)
        labels[t] = min(choice, last)
        last -= choice > last
    return labels


def _pick(log_weight: np.ndarray, rng: np.random.Generator) -> int:
    weight = np.exp(log_weight - log_weight.max())
    return int(rng.choice(weight.size, p=weight / weight.sum()))


class _Given(NamedTuple):
    """One draw of what the graph samples, internal units.

    Parameters
    ----------
    center : (task, p)
        Of the weights, without clusters.
    within : (p,)
        Sds within clusters.
    between : (cluster, p)
        What the clusters add.
    precision : (task,)
        Of the noise.
    """

    center: np.ndarray
    within: np.ndarray
    between: np.ndarray
    precision: np.ndarray


def draw_partitions(
    problem: Problem, draws: Draws, posterior: xr.Dataset, rng: np.random.Generator
) -> Draws:
    """Add labels and cluster means to the draws of a graph, and weights where it is on the sites.

    Parameters
    ----------
    problem : Problem
    draws : Draws
        (chain, draw, ...) of everything else.
    posterior : xarray.Dataset
        Variables of the graph.
    rng : numpy.random.Generator

    Returns
    -------
    Draws
        With the same array of weights, filled by now.
    """
    prior = problem.prior
    assert draws.weights is not None
    shape = draws.lp.shape
    offset = posterior["cluster_offset"].transpose(..., "cluster", "feature").to_numpy()
    partition = _partition(problem, posterior, np.full_like(offset, np.nan))
    stick = np.ones((*shape, offset.shape[-2]))
    if "stick" in posterior:
        sampled = posterior["stick"].to_numpy()
        stick[..., : sampled.shape[-1]] = sampled
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    added = np.zeros((*offset.shape[:-1], prior.scale_unit.size))
    added[..., prior.block :] = offset * draws.scale[..., None, prior.block :]
    added *= np.sqrt(partition.between)[..., None, None]
    within = draws.scale.copy()
    within[..., prior.block :] *= np.sqrt(1.0 - partition.between)[..., None]
    for i in np.ndindex(shape):
        given = _Given(z @ draws.means[i].T, within[i], added[i], _precision(problem, draws, i))
        with np.errstate(divide="ignore"):
            log_stick, log_rest = np.log(stick[i]), np.log1p(-stick[i])
        if problem.row_data is None:
            labels, draws.weights[i] = _draw_tasks(problem, given, log_stick, log_rest, rng)
        else:
            evidence = _log_densities(given, draws.weights[i], prior.block)
            labels = draw_labels(evidence, log_stick, log_rest, rng)
        partition.labels[i] = labels
        occupied = slice(int(labels.max()) + 1)
        partition.centers[i][occupied] = offset[i][occupied]
    return draws._replace(partition=partition)


def _partition(problem: Problem, posterior: xr.Dataset, centers: np.ndarray) -> PartitionDraws:
    """Everything but labels and centers, which are still to be drawn."""
    assert problem.partition is not None
    concentration = posterior["concentration"].to_numpy()
    n_components = problem.partition.log_components.size
    discount = np.zeros_like(concentration)
    if n_components:
        discount = -concentration / n_components
    elif "discount" in posterior:
        discount = posterior["discount"].to_numpy()
    return PartitionDraws(
        labels=np.zeros((*concentration.shape, problem.prior.n_tasks), dtype=np.int32),
        concentration=concentration,
        discount=discount,
        between=posterior["between"].to_numpy(),
        n_components=np.full(concentration.shape, n_components, dtype=np.int32),
        centers=centers,
    )


def _precision(problem: Problem, draws: Draws, draw: tuple[int, ...]) -> np.ndarray:
    """Precision of the noise of each task, beside the weights of the rows."""
    if draws.log_noise is None:
        return unpack_tasks(problem.sites.precision, problem.prior.n_tasks)
    return np.broadcast_to(np.exp(-2.0 * draws.log_noise[draw]), problem.prior.n_tasks)


def _log_densities(given: _Given, weights: np.ndarray, block: int) -> np.ndarray:
    """(task, cluster) log density of weights that are known, up to a constant of the task."""
    within = given.within[block:]
    gap = (weights - given.center)[:, None, block:] - given.between[:, block:]
    return np.asarray(-0.5 * ((gap / within) ** 2).sum(axis=2))


def _draw_tasks(
    problem: Problem,
    given: _Given,
    log_stick: np.ndarray,
    log_rest: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (task,), then weights (task, p) given the labels."""
    n_tasks, p = given.center.shape
    gram = unpack_symmetric(problem.sites.gram, n_tasks) * given.precision[:, None, None]
    moment = unpack_tasks(problem.sites.moment, n_tasks) * given.precision[:, None]
    sites = GaussianSites(gram, moment, np.zeros(n_tasks))
    collapsed = collapse(sites, np.diag(given.within**2))
    evidence = [evaluate(collapsed, given.center + added) for added in given.between]
    labels = draw_labels(np.stack(evidence, axis=1), log_stick, log_rest, rng)
    mean = given.center + given.between[labels]
    score = (moment - np.einsum("tij,tj->ti", gram, mean)) * given.within
    root = np.linalg.cholesky(np.eye(p) + gram * given.within[:, None] * given.within)
    half = np.linalg.solve(root, score[..., None]) + rng.normal(size=(n_tasks, p, 1))
    deviation = np.linalg.solve(np.swapaxes(root, 1, 2), half)[..., 0]
    return labels, mean + given.within * deviation
