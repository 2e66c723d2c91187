"""Densities of tasks in clusters on the user's scale, with full matrices."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bayesmtl import Exchangeable, Gaussian, Model
from tests.oracles.clusters import Relation
from tests.oracles.dense import log_normal

__all__ = ["Small", "log_response", "log_weights", "small", "small_data", "small_model"]

NOISE, INTERCEPT_SCALE, INTERCEPT_MEAN = 0.6, 0.9, 1.4


class Small(NamedTuple):
    """Fixed mean (p,) and total sd (p,) of the coefficients of ``columns`` (row, p)."""

    columns: np.ndarray
    task: np.ndarray
    response: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    first: int  # coefficients before the relation's


def small_data(seed: int = 1, n_tasks: int = 5) -> pd.DataFrame:
    """Five tasks of 1 to 5 rows in two groups that overlap."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), np.arange(1, n_tasks + 1))
    x = rng.normal(size=(len(task), 2)) * [1.0, 2.0] + [0.5, -1.0]
    slopes = np.where(np.arange(n_tasks)[:, None] % 2, [1.0, 0.4], [-0.3, -0.1])
    slopes = slopes + 0.3 * rng.normal(size=slopes.shape)
    y = 1.5 + np.einsum("ri,ri->r", x, slopes[task]) + NOISE * rng.normal(size=len(task))
    return pd.DataFrame({"y": y, "task": task, "x0": x[:, 0], "x1": x[:, 1]})


def small_model(relation: Relation, intercept: str) -> Model:
    """With a relation whose mean and scale are fixed numbers, and known noise."""
    own = Exchangeable(mean=INTERCEPT_MEAN, scale=INTERCEPT_SCALE)
    return Model(
        "y ~ x0 + x1",
        "task",
        relation,
        Gaussian(noise_sd=NOISE),
        intercept=own if intercept == "separate" else "relation",
    )


def small(data: pd.DataFrame, intercept: str, mean: np.ndarray, sd: np.ndarray) -> Small:
    x = data[["x0", "x1"]].to_numpy()
    first = int(intercept == "separate")
    if first:
        x = x - x.mean(axis=0)
        mean, sd = np.r_[INTERCEPT_MEAN, mean], np.r_[INTERCEPT_SCALE, sd]
    columns = np.column_stack([np.ones(len(x)), x])
    return Small(columns, data["task"].to_numpy(), data["y"].to_numpy(), mean, sd, first)


def _covariance_of_tasks(labels: np.ndarray, between: float) -> np.ndarray:
    """Of one standardised coefficient in all tasks."""
    together = (labels[:, None] == labels).astype(float)
    return between * together + (1.0 - between) * np.eye(len(labels))


def log_response(case: Small, labels: np.ndarray, between: float) -> float:
    """Log density of the response, weights and cluster means integrated out."""
    covariance = NOISE**2 * np.eye(len(case.response))
    for i, sd in enumerate(case.sd):
        tasks = np.eye(len(labels))
        if i >= case.first:
            tasks = _covariance_of_tasks(labels, between)
        loading = sd * case.columns[:, i]
        covariance += np.outer(loading, loading) * tasks[np.ix_(case.task, case.task)]
    return log_normal(case.response, case.columns @ case.mean, covariance)


def log_weights(
    weights: np.ndarray, centers: np.ndarray, sd: float, labels: np.ndarray, between: float
) -> float:
    """Log density of one coefficient of all tasks; of the clusters where they are identical."""
    if between == 1.0:
        _, first = np.unique(labels, return_index=True)
        weights, centers, labels = weights[first], centers[first], np.arange(len(first))
    return log_normal(weights, centers, sd**2 * _covariance_of_tasks(labels, between))
