"""Summaries of how a graph links the tasks: edges beside their prior, partial correlations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr

from bayesmtl.inference.draws import TaskDraws
from bayesmtl.posterior.graph_draws import edges_of, task_partial_correlations
from bayesmtl.posterior.relations import STATISTICS, summarise
from bayesmtl.relations.covariance.structure import TaskStructure
from bayesmtl.relations.graph.known import CarStructure, TreeStructure
from bayesmtl.relations.graph.sparse import SparsePrecision

__all__ = [
    "edge_relations",
    "false_discovery_rate",
    "structure_relations",
]

_PAIRS = ("task", "task_bis")
# Pairs of tasks in draws from the prior, and the bounds of their number: under a horseshoe those of
# one draw have a scale in common.
_PRIOR_PAIRS, _MOST = 2e5, 2000
_FEWEST = {"spike_slab": 20, "horseshoe": 200}
_PRIOR_DRAWS = 100_000


def false_discovery_rate(probability: np.ndarray) -> float:
    """Expected share of the edges of the median-probability graph that are none; 0 without edges.

    Newton, Noueiry, Sarkar and Ahlquist 2004, Biostatistics 5.
    """
    pairs = probability[np.tril_indices(len(probability), -1)]
    found = pairs[pairs > 0.5]
    return float((1.0 - found).mean()) if found.size else 0.0


def edge_relations(
    edge: np.ndarray, correlation: np.ndarray, prior: float, labels: np.ndarray
) -> xr.Dataset:
    """Probabilities of edges, the median-probability graph, and partial correlations.

    Parameters
    ----------
    edge : (sample, task, task) bool
    correlation : (sample, task, task)
        Partial correlations.
    prior : float
        Probability of an edge under the prior.
    labels : (task,)
    """
    probability, summary = edge.mean(axis=0), summarise(correlation, signed=True)
    same = np.arange(len(labels))
    summary[same, same] = [1.0, 0.0, 1.0, 1.0, 1.0]
    return xr.Dataset(
        {
            "edge_probability": (_PAIRS, probability),
            "prior_edge_probability": ((), prior),
            "median_graph": (_PAIRS, probability > 0.5),
            "false_discovery_rate": ((), false_discovery_rate(probability)),
            "partial_correlation": ((*_PAIRS, "statistic"), summary),
        },
        {"task": labels, "task_bis": labels, "statistic": STATISTICS},
    )


def structure_relations(
    structure: TaskStructure, tasks: TaskDraws, labels: np.ndarray
) -> xr.Dataset:
    """What a structure of the tasks adds to their relations.

    Parameters
    ----------
    structure : TaskStructure
    tasks : TaskDraws
        (chain, draw, ...)
    labels : (task,)
    """
    assert tasks.covariance is not None
    if isinstance(structure, SparsePrecision):
        correlation = task_partial_correlations(tasks.covariance)
        edge = edges_of(tasks, correlation)
        shape = (-1, *edge.shape[2:])
        prior = prior_edge_probability(structure)
        return edge_relations(edge.reshape(shape), correlation.reshape(shape), prior, labels)
    rng = np.random.default_rng(0)
    if isinstance(structure, CarStructure):
        assert tasks.dependence is not None
        prior_rho = summarise(rng.beta(structure.prior[0], structure.prior[1], _PRIOR_DRAWS))
        posterior_rho = summarise(tasks.dependence.reshape(-1))
        return xr.Dataset(
            {"rho": (("statistic",), posterior_rho), "prior_rho": (("statistic",), prior_rho)},
            {"statistic": STATISTICS},
        )
    assert isinstance(structure, TreeStructure)
    assert tasks.share is not None
    prior_share = summarise(rng.dirichlet(structure.prior, _PRIOR_DRAWS))
    share = tasks.share.reshape(-1, tasks.share.shape[-1])
    return xr.Dataset(
        {
            "level_share": (("level", "statistic"), summarise(share)),
            "prior_level_share": (("level", "statistic"), prior_share),
        },
        {"statistic": STATISTICS, "level": np.array(structure.names, dtype=object)},
    )


@lru_cache(maxsize=64)
def prior_edge_probability(structure: SparsePrecision) -> float:
    """Share of the pairs that have an edge under the prior, by a chain without data."""
    if structure.n_tasks < 2:
        return float("nan")
    pairs = 0.5 * structure.n_tasks * (structure.n_tasks - 1.0)
    number = int(np.clip(_PRIOR_PAIRS / pairs, _FEWEST[structure.kind], _MOST))
    return structure.prior_edges(number, np.random.default_rng(0))
