"""What draws of the covariance of tasks say of the tasks, of a new one, and of sharing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.frames.labels import label_texts
from bayesmtl.inference.draws import Draws, TaskDraws
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.posterior.graph_draws import structure_variables

__all__ = [
    "conditional_means",
    "correlations",
    "population_moments",
    "task_variables",
    "variance_factors",
    "variances",
]

_SAMPLE = ("chain", "draw")
_ROUNDING = 1e-9
# Correlations of all pairs are kept draw by draw up to so many bytes.
_CORRELATION_BYTES = 1 << 28


def variances(tasks: TaskDraws) -> np.ndarray:
    """Diagonal (..., task) of the covariance of the tasks."""
    if tasks.covariance is not None:
        return np.einsum("...tt->...t", tasks.covariance)
    assert tasks.loadings is not None
    assert tasks.specific is not None
    return np.asarray((tasks.loadings**2).sum(axis=-1) + tasks.specific)


def correlations(tasks: TaskDraws, some: slice = slice(None)) -> np.ndarray:
    """(..., some, task) correlations of the weights of two tasks given the structure."""
    sd = np.sqrt(variances(tasks))
    if tasks.covariance is not None:
        covariance = tasks.covariance[..., some, :]
    else:
        assert tasks.loadings is not None
        covariance = tasks.loadings[..., some, :] @ np.swapaxes(tasks.loadings, -1, -2)
    out = covariance / (sd[..., some, None] * sd[..., None, :])
    same = np.arange(sd.shape[-1])[some]
    out[..., np.arange(same.size), same] = 1.0
    return np.asarray(out)


def population_moments(problem: Problem, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
    """Sd (..., d) of the weights of a new task given the draw, and their correlations if any.

    A new task has the average variance of the tasks of the draw. Where these share factors, so does
    it: its loadings come from the prior, the factors and the average variance of own parts from
    the draw.
    """
    tasks, first = draws.tasks, problem.prior.block
    assert tasks is not None
    scale = draws.scale[..., first:]
    correlation = None if draws.correlation is None else draws.correlation[..., first:, first:]
    if tasks.covariance is not None:
        typical = np.sqrt(variances(tasks).mean(axis=-1))
        return scale * typical[..., None], correlation
    assert tasks.factors is not None
    assert tasks.variance is not None
    assert tasks.specific is not None
    d = scale.shape[-1]
    base = np.eye(d) if correlation is None else correlation
    factors = tasks.factors
    covariance = np.einsum("...h,...hi,...hj->...ij", tasks.variance, factors, factors)
    covariance = covariance + tasks.specific.mean(axis=-1)[..., None, None] * base
    sd = np.sqrt(np.einsum("...ii->...i", covariance))
    return scale * sd, covariance / (sd[..., :, None] * sd[..., None, :])


def task_variables(problem: Problem, draws: Draws) -> dict[str, Any]:
    """Variables of the posterior group that describe how the tasks are related."""
    tasks, prior = draws.tasks, problem.task_covariance
    assert tasks is not None
    assert prior is not None
    fixed: dict[str, Any] = {"constant": 1} if prior.kind == "given" or prior.n_tasks == 1 else {}
    variance = variances(tasks)
    relative = np.sqrt(variance / variance.mean(axis=-1, keepdims=True))
    still = fixed
    if tasks.dependence is not None or tasks.share is not None:
        # A known graph or tree may give some tasks, or all, the same variance whatever its state.
        same = np.ptp(relative, axis=(0, 1)) <= _ROUNDING
        if same.any():
            still = {"constant": json.dumps(label_texts(problem.rows.tasks[same]))}
    out: dict[str, Any] = {"task_sd": ((*_SAMPLE, "task"), relative, still)}
    pairs = 8 * variance.size * prior.n_tasks <= _CORRELATION_BYTES
    if pairs:
        out["task_correlation"] = ((*_SAMPLE, "task", "task_bis"), correlations(tasks), fixed)
    if tasks.rank is not None:
        out["rank"] = (_SAMPLE, tasks.rank, {})
    if prior.structure is not None:
        out |= structure_variables(prior.structure, tasks, pairs=pairs)
    return out


def variance_factors(tasks: TaskDraws) -> np.ndarray:
    """(..., task) variance of weights given structure and the weights of the other tasks.

    In units of the squared scales. Where tasks share factors, these are part of the structure.
    """
    if tasks.covariance is None:
        assert tasks.specific is not None
        return tasks.specific
    return np.asarray(1.0 / np.einsum("...tt->...t", np.linalg.inv(tasks.covariance)))


def conditional_means(problem: Problem, draws: Draws) -> np.ndarray:
    """Means (..., task, feature) of weights given structure and the weights of the others."""
    tasks, prior, first = draws.tasks, problem.prior, problem.prior.block
    assert tasks is not None
    assert draws.weights is not None
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    center = np.einsum("...ja,ta->...tj", draws.means[..., first:, :], z)
    if tasks.covariance is None:
        assert tasks.loadings is not None
        assert tasks.factors is not None
        common = tasks.loadings @ tasks.factors
        return np.asarray(center + draws.scale[..., None, first:] * common)
    deviation = draws.weights[..., first:] - center
    precision = np.linalg.inv(tasks.covariance)
    own = np.einsum("...tt->...t", precision)[..., None]
    return np.asarray(center + deviation - (precision @ deviation) / own)
