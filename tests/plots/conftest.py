"""Synthetic fits that follow the schema: weights ~ N(mean, sd) with posterior noise."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt


def _statistics(values: np.ndarray, signed: bool) -> np.ndarray:
    """Stack mean, sd, lower, upper (and P(> 0)) of draws on the first axis."""
    parts = [
        values.mean(axis=0),
        values.std(axis=0),
        np.quantile(values, 0.05, axis=0),
        np.quantile(values, 0.95, axis=0),
        (values > 0).mean(axis=0) if signed else np.full(values.shape[1:], np.nan),
    ]
    return np.stack(parts, axis=-1)


def make_relations(weights: np.ndarray, labels: np.ndarray, correlation: bool) -> xr.Dataset:
    """Summaries of the pairs, from draws of the weights (draw, task, feature), noise sd 1."""
    gap = weights[:, :, None, :] - weights[:, None, :, :]
    statistic = ["mean", "sd", "lower", "upper", "p_positive"]
    coords = {"task": labels, "task_bis": labels, "statistic": statistic}
    dims = ("task", "task_bis", "statistic")
    difference = _statistics(np.sqrt((gap**2).sum(axis=-1)), signed=False)
    data = {"difference": (dims, difference)}
    attrs = {}
    if correlation:
        length = np.linalg.norm(weights, axis=-1)
        inner = np.einsum("stf,suf->stu", weights, weights)
        cosine = inner / (length[:, :, None] * length[:, None, :])
        data["correlation"] = (dims, _statistics(cosine, signed=True))
    else:
        attrs["correlation_absent"] = "the tasks have one feature; correlation needs two"
    return xr.Dataset(data, coords, attrs)


def make_tree(
    labels: Sequence[object],
    features: Sequence[str] = ("floor",),
    *,
    n_draws: int = 60,
    centers: np.ndarray | None = None,
    sharing: float | None = None,
    equal_rows: bool = False,
    correlation: bool = True,
    seed: int = 1,
) -> xr.DataTree:
    """Simulate tasks, their rows, and the posterior that partial pooling would give."""
    rng = np.random.default_rng(seed)
    n_tasks, d = len(labels), len(features)
    n_rows = np.full(n_tasks, 6) if equal_rows else 1 + rng.geometric(0.08, n_tasks)
    n_rows[0] = 6 if equal_rows else 1
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), d))
    spread = np.linspace(0.2, 1.0, d + 1)
    true = rng.normal(size=(n_tasks, d + 1)) * spread + np.linspace(1, -1, d + 1)
    if centers is not None:
        true[:, : centers.shape[1]] += centers
    y = true[task, 0] + np.einsum("if,if->i", x, true[task, 1:]) + rng.normal(size=len(task))
    sd = 1 / np.sqrt(n_rows[:, None] + 1 / spread**2)
    pull = 1 / (1 + n_rows[:, None] * spread**2)
    mean = pull * true.mean(axis=0) + (1 - pull) * (true + rng.normal(size=true.shape) * sd)
    draws = mean + sd * rng.normal(size=(2, n_draws // 2, n_tasks, d + 1))
    unpooled = np.full((n_tasks, d), np.nan)
    for t in np.flatnonzero(n_rows > d + 1):
        rows = task == t
        design = np.column_stack([np.ones(rows.sum()), x[rows]])
        unpooled[t] = np.linalg.lstsq(design, y[rows])[0][1:]
    level = (
        rng.beta(12, 5, (2, n_draws // 2))
        if sharing is None
        else np.full((2, n_draws // 2), sharing)
    )
    borrowing = 1 / (1 + n_rows / 8 * rng.gamma(30, 1 / 30, (2, n_draws // 2, 1)))
    population = rng.normal(size=(2, n_draws // 2, d + 1)) * 0.05
    sample = ("chain", "draw")
    posterior: dict[str, Any] = {
        "intercept": ((*sample, "task"), draws[..., 0]),
        "intercept_mean": (sample, population[..., 0] + true[:, 0].mean()),
        "intercept_sd": (sample, np.abs(population[..., 0] + spread[0])),
        "sharing": (sample, level),
        "borrowing": ((*sample, "task"), borrowing),
    }
    constant: dict[str, Any] = {
        "task_index": ("obs", task),
        "row_position": ("obs", np.arange(len(task))),
        "n_rows": ("task", n_rows),
    }
    coords: dict[str, Any] = {"task": np.asarray(labels)}
    if d:
        coords["feature"] = list(features)
        posterior |= {
            "weights": ((*sample, "task", "feature"), draws[..., 1:]),
            "population_mean": (
                (*sample, "feature"),
                population[..., 1:] + true[:, 1:].mean(axis=0),
            ),
            "population_sd": ((*sample, "feature"), np.abs(population[..., 1:] + spread[1:])),
        }
        constant |= {
            "features": (("obs", "feature"), x),
            "feature_center": ("feature", np.zeros(d)),
            "unpooled_weights": (("task", "feature"), unpooled),
        }
    relations = make_relations(draws.reshape(-1, n_tasks, d + 1), coords["task"], correlation)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, coords),
            "constant_data": xr.Dataset(constant, coords),
            "observed_data": xr.Dataset({"y": ("obs", y)}),
            "task_relations": relations,
        }
    )


@pytest.fixture
def make_fit() -> Callable[..., xr.DataTree]:
    return make_tree


@pytest.fixture
def long_labels() -> Callable[[int], list[str]]:
    return lambda n: [f"St. Mary's County (north-west), district {i}" for i in range(n)]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")
