"""Partial correlations and edges of draws of the covariance of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.inference.draws import TaskDraws
from bayesmtl.numerics.graph_precision import partial_correlations
from bayesmtl.relations.covariance.structure import TaskStructure
from bayesmtl.relations.graph.sparse import EDGE_CORRELATION, SparsePrecision

__all__ = ["edges_of", "structure_variables", "task_partial_correlations"]

_SAMPLE = ("chain", "draw")
_PAIRS = ("task", "task_bis")


def task_partial_correlations(covariance: np.ndarray) -> np.ndarray:
    """Correlations (..., task, task) of the weights of two tasks given all others."""
    return partial_correlations(np.linalg.inv(covariance))


def edges_of(tasks: TaskDraws, correlation: np.ndarray) -> np.ndarray:
    """Which pairs (..., task, task) are linked in each draw."""
    edge = tasks.edge if tasks.edge is not None else np.abs(correlation) > EDGE_CORRELATION
    return np.asarray(edge & ~np.eye(edge.shape[-1], dtype=bool))


def structure_variables(
    structure: TaskStructure, tasks: TaskDraws, *, pairs: bool
) -> dict[str, Any]:
    """Variables of the posterior group.

    Parameters
    ----------
    structure : TaskStructure
    tasks : TaskDraws
        (chain, draw, ...)
    pairs : bool
        Whether there is room for those of all pairs of tasks.
    """
    out: dict[str, Any] = {}
    if isinstance(structure, SparsePrecision):
        assert tasks.covariance is not None
        parts = []
        for chain in range(len(tasks.covariance)):
            one = TaskDraws(*(None if x is None else x[chain] for x in tasks))
            correlation = task_partial_correlations(tasks.covariance[chain])
            parts.append((edges_of(one, correlation).sum(axis=(-1, -2)) // 2, correlation))
        out["n_edges"] = (_SAMPLE, np.stack([count for count, _ in parts]), {})
        if pairs:
            values = np.stack([correlation for _, correlation in parts])
            out["partial_correlation"] = ((*_SAMPLE, *_PAIRS), values, {})
    if tasks.dependence is not None:
        out["rho"] = (_SAMPLE, tasks.dependence, {})
    if tasks.share is not None:
        out["level_share"] = ((*_SAMPLE, "level"), tasks.share, {})
    return out
