"""Which edges there are, which are shared, how alike the graphs of tasks are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.graphical.sampling import GraphDraws
from bayesmtl.graphical.state import GraphPrior
from bayesmtl.numerics.graph_precision import partial_correlations
from bayesmtl.posterior.relations import STATISTICS, summarise

__all__ = ["graph_relations"]

_BUDGET = 2e8  # numbers that are summarised
_SIMILARITIES = 2e7  # of every two tasks in every draw, in memory at once
_FEWEST = 200


class _Graphs(NamedTuple):
    """Partial correlations and edges (sample, task, pair) of the pairs below the diagonal."""

    partial: np.ndarray
    edge: np.ndarray


def graph_relations(
    prior: GraphPrior,
    draws: GraphDraws,
    prior_draws: GraphDraws,
    *,
    tasks: np.ndarray,
    variables: tuple[str, ...],
    edge_threshold: float,
) -> xr.Dataset:
    """The group ``task_relations`` of a graphical model.

    Parameters
    ----------
    prior : GraphPrior
    draws, prior_draws : GraphDraws
        (chain, draw, ...) of the posterior and of the prior.
    tasks : (task,)
    variables : tuple of str
    edge_threshold : float
        Absolute partial correlation of an edge, where the prior has no edges of its own.

    Returns
    -------
    xarray.Dataset
        - ``edge_probability (task, node, node_bis)``, and ``prior_edge_probability``: of
          one pair in one task, all being alike a priori; its attribute ``mcse`` is its Monte Carlo
          error.
        - ``partial_correlation (task, node, node_bis, statistic)``.
        - ``median_graph (task, node, node_bis)``: edges of a probability above 0.5, with
          their ``false_discovery_rate (task)``, the mean probability of being none (NaN where
          there are none).
        - ``n_edges (task, statistic)``; with two or more tasks ``shared_edge_probability
          (node, node_bis)``, of an edge in all tasks, and ``n_shared_edges (statistic)``;
          ``private_edge_probability (task, node, node_bis)``, of an edge in this task
          alone, and ``n_private_edges (task, statistic)``.
        - With two or more tasks ``graph_similarity (task, task_bis, statistic)``: edges of both
          over edges of any of both (Jaccard); ``partial_correlation_similarity``: the cosine of the
          partial correlations of all pairs; the same of two tasks under the prior,
          ``prior_graph_similarity (statistic)`` and ``prior_partial_correlation_similarity``.
        - Where it is learned ``relatedness (task, task_bis, statistic)``: theta; P(> 0) is the
          probability that two graphs are related, and ``prior_relatedness (statistic)``.
    """
    n = len(variables)
    names = np.array(variables, dtype=object)
    graphs = _below_diagonal(prior, draws, edge_threshold)
    before = _below_diagonal(prior, prior_draws, edge_threshold)
    chance = graphs.edge.mean(axis=0)
    prior_chance = before.edge.mean(axis=(1, 2))
    pair, statistic = ("node", "node_bis"), "statistic"
    table = summarise(graphs.partial, signed=True)
    partial = _square(table, n, axis=1)
    where = np.arange(n)
    partial[:, where, where] = [1.0, 0.0, 1.0, 1.0, 1.0]
    found = chance > 0.5
    none = np.where(found, 1.0 - chance, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        discovery = none / np.where(found.any(axis=1), found.sum(axis=1), np.nan)
    out: dict[str, Any] = {
        "edge_probability": (("task", *pair), _square(chance, n, axis=1)),
        "prior_edge_probability": (
            (),
            prior_chance.mean(),
            {"mcse": _error(prior_chance, len(prior_draws.lp))},
        ),
        "partial_correlation": (("task", *pair, statistic), partial),
        "median_graph": (("task", *pair), _square(found, n, axis=1)),
        "false_discovery_rate": (("task",), discovery),
        "n_edges": (("task", statistic), summarise(graphs.edge.sum(axis=2).astype(float))),
    }
    coords: dict[str, Any] = {
        "task": tasks,
        "node": names,
        "node_bis": names,
        statistic: STATISTICS,
    }
    if len(tasks) > 1:
        out |= _between_tasks(prior, graphs, before, n)
        coords["task_bis"] = tasks
        if draws.theta is not None:
            out |= _relatedness(draws, prior_draws)
    about = f"|partial correlation| > {edge_threshold:g}" if draws.edge is None else "slab"
    return xr.Dataset(out, coords, {"edge": about})


def _spaced(n_draws: int, numbers: int) -> np.ndarray:
    """Evenly spaced draws, all of them unless they are too large: ``numbers`` in each."""
    most = max(int(_BUDGET / numbers), _FEWEST)
    return np.linspace(0, n_draws - 1, min(n_draws, most)).astype(int)


def _below_diagonal(prior: GraphPrior, draws: GraphDraws, threshold: float) -> _Graphs:
    """Of evenly spaced draws."""
    n = prior.n_variables
    rows, columns = np.tril_indices(n, k=-1)
    total = draws.lp.size
    chosen = _spaced(total, len(prior.block) * max(len(rows), 1))
    flat = draws.precision.reshape(total, *draws.precision.shape[2:])[chosen]
    partial = partial_correlations(flat)[:, :, rows, columns]
    if draws.edge is None:
        edge = np.abs(partial) > threshold
    else:
        edge = draws.edge.reshape(flat.shape if len(chosen) == total else (total, *flat.shape[1:]))
        edge = edge[chosen] if len(chosen) < total else edge
        edge = edge[:, :, rows, columns]
    return _Graphs(partial[:, prior.block], edge[:, prior.block])


def _square(values: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Pairs below the diagonal along an axis as symmetric matrices; zero on the diagonal."""
    moved = np.moveaxis(values, axis, 0)
    out = np.zeros((n, n, *moved.shape[1:]), dtype=values.dtype)
    rows, columns = np.tril_indices(n, k=-1)
    out[rows, columns] = out[columns, rows] = moved
    return np.moveaxis(out, (0, 1), (axis, axis + 1))


def _error(draws: np.ndarray, n_chains: int) -> float:
    """Standard error of a mean from batches of successive draws."""
    batches = np.array_split(draws, 5 * n_chains)
    means = np.array([batch.mean() for batch in batches if len(batch)])
    return float(means.std(ddof=1) / np.sqrt(len(means)))


def _between_tasks(prior: GraphPrior, graphs: _Graphs, before: _Graphs, n: int) -> dict[str, Any]:
    """What tasks have in common, and what each has alone."""
    number = graphs.edge.sum(axis=1)
    shared = number == graphs.edge.shape[1]
    private = graphs.edge & (number == 1)[:, None]
    pair, statistic = ("node", "node_bis"), "statistic"
    out: dict[str, Any] = {
        "shared_edge_probability": (pair, _square(shared.mean(axis=0), n, axis=0)),
        "n_shared_edges": ((statistic,), summarise(shared.sum(axis=1).astype(float))),
        "private_edge_probability": (("task", *pair), _square(private.mean(axis=0), n, axis=1)),
        "n_private_edges": (
            ("task", statistic),
            summarise(private.sum(axis=2).astype(float)),
        ),
    }
    both = ("task", "task_bis", statistic)
    some = _spaced(len(graphs.edge), graphs.edge.shape[1] ** 2)
    thin = _Graphs(graphs.partial[some], graphs.edge[some])
    for name, measure in (
        ("graph_similarity", _jaccard),
        ("partial_correlation_similarity", _cosine),
    ):
        signed = measure is _cosine
        parts = [summarise(measure(thin, tasks), signed=signed) for tasks in _portions(thin)]
        out[name] = (both, np.concatenate(parts))
        two = _Graphs(before.partial[:, :2], before.edge[:, :2])
        first = measure(two, np.array([0]))[:, 0, 1]
        out[f"prior_{name}"] = ((statistic,), summarise(first, signed=signed))
    return out


def _portions(graphs: _Graphs) -> list[np.ndarray]:
    """Tasks whose similarities with all tasks fit in memory together."""
    n_samples, n_tasks = graphs.edge.shape[:2]
    most = max(1, int(_SIMILARITIES / (n_samples * n_tasks)))
    return np.array_split(np.arange(n_tasks), math.ceil(n_tasks / most))


def _jaccard(graphs: _Graphs, some: np.ndarray) -> np.ndarray:
    """(sample, some task, task): edges of both over edges of any; 1 where both have none."""
    edge = graphs.edge.astype(np.float32)
    common = edge[:, some] @ np.swapaxes(edge, 1, 2)
    own = edge.sum(axis=2)
    union = own[:, some, None] + own[:, None, :] - common
    return np.where(union > 0, common / np.maximum(union, 1.0), 1.0).astype(np.float64)


def _cosine(graphs: _Graphs, some: np.ndarray) -> np.ndarray:
    """(sample, some task, task): cosine of the partial correlations of all pairs."""
    size = np.sqrt((graphs.partial**2).sum(axis=2, keepdims=True))
    unit = graphs.partial / np.maximum(size, np.finfo(float).tiny)
    return unit[:, some] @ np.swapaxes(unit, 1, 2)


def _relatedness(draws: GraphDraws, prior_draws: GraphDraws) -> dict[str, Any]:
    """Theta of every two tasks, and of any two a priori."""
    assert draws.theta is not None
    assert prior_draws.theta is not None
    theta = draws.theta.reshape(-1, *draws.theta.shape[2:])
    first, second = np.tril_indices(theta.shape[1], k=-1)
    before = prior_draws.theta[..., first, second].reshape(-1)
    return {
        "relatedness": (("task", "task_bis", "statistic"), summarise(theta, signed=True)),
        "prior_relatedness": (("statistic",), summarise(before, signed=True)),
    }
