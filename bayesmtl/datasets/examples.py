"""Simulated tables that recipes run on, each with the structure that its model is about."""

import numpy as np
import pandas as pd
from scipy.special import expit

from bayesmtl.datasets.simulate import simulate
from bayesmtl.errors import InvalidModelError

__all__ = [
    "chained_tasks",
    "clustered_classes",
    "clustered_tasks",
    "correlated_tasks",
    "mixed_outcomes",
    "networks",
    "shared_subspace",
    "smooth_functions",
    "sparse_deviations",
]

_NOISE = 0.5


def clustered_tasks(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Regressions in three clusters: `bayesmtl.simulate` of "clusters", intercepts too."""
    rng = np.random.default_rng(random_seed)
    sizes = {"n_tasks": n_tasks, "n_rows": n_rows, "n_features": n_features}
    tasks = simulate("clusters", **sizes, intercept_sd=0.0, noise_sd=_NOISE, random_seed=rng)
    level = rng.normal(0.0, 1.0, size=3)[tasks.partition]
    data = tasks.data
    data["y"] += np.repeat(level, n_rows)
    return data


def clustered_classes(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Yes-or-no responses; two kinds of task, the tasks of a kind having the same weights."""
    rng = np.random.default_rng(random_seed)
    tasks = simulate(
        "clusters",
        n_tasks=n_tasks,
        n_rows=n_rows,
        n_features=n_features,
        mean=0.0,
        n_clusters=2,
        between=1.0,
        intercept_mean=-1.0,
        intercept_sd=0.0,
        noise_sd=0.0,
        random_seed=rng,
    )
    return tasks.data.assign(y=rng.binomial(1, expit(tasks.data["y"])))


def correlated_tasks(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Weights of all tasks correlate by +-0.8: those of even and odd tasks have opposite signs."""
    rng = np.random.default_rng(random_seed)
    sign = np.where(np.arange(n_tasks) % 2, -1.0, 1.0)
    common = sign[:, None] * rng.standard_normal(n_features)
    own = rng.standard_normal((n_tasks, n_features))
    return _rows(np.sqrt(0.8) * common + np.sqrt(0.2) * own, n_rows, rng)


def chained_tasks(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Each task is linked to the next one only: w_t = 0.8 w_(t-1) + 0.6 e_t."""
    rng = np.random.default_rng(random_seed)
    weights = rng.standard_normal((n_tasks, n_features))
    for task in range(1, n_tasks):
        weights[task] = 0.8 * weights[task - 1] + 0.6 * weights[task]
    return _rows(weights, n_rows, rng)


def shared_subspace(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Weights of all tasks are combinations of the same two directions, but for a small rest."""
    rng = np.random.default_rng(random_seed)
    directions = rng.standard_normal((2, n_features))
    weights = rng.standard_normal((n_tasks, 2)) @ directions
    return _rows(weights + 0.1 * rng.standard_normal(weights.shape), n_rows, rng)


def sparse_deviations(n_tasks: int, n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """A quarter of the features matters to all tasks; each task has one other of its own."""
    rng = np.random.default_rng(random_seed)
    n_common = _at_least("n_features", n_features, 4) // 4
    weights = np.zeros((n_tasks, n_features))
    weights[:, :n_common] = 1.0 + 0.3 * rng.standard_normal((n_tasks, n_common))
    own = rng.integers(n_common, n_features, size=n_tasks)
    weights[np.arange(n_tasks), own] = rng.choice([-2.0, 2.0], size=n_tasks)
    return _rows(weights, n_rows, rng)


def smooth_functions(n_tasks: int, n_rows: int, n_inputs: int, random_seed: int) -> pd.DataFrame:
    """Tasks are smooth functions on [0, 1]^n_inputs: mixtures of two functions and their own."""
    rng = np.random.default_rng(random_seed)
    n_waves = 50
    frequency = rng.normal(0.0, 4.0, size=(n_waves, _at_least("n_inputs", n_inputs, 1)))
    phase = rng.uniform(0.0, 2.0 * np.pi, size=n_waves)
    common = rng.standard_normal((2, n_waves))
    weights = rng.standard_normal((n_tasks, 2)) @ common
    weights += 0.3 * rng.standard_normal(weights.shape)
    task, x = _tasks(n_tasks, n_rows), rng.uniform(size=(n_tasks * n_rows, n_inputs))
    waves = np.cos(x @ frequency.T + phase) * np.sqrt(2.0 / n_waves)
    y = np.sum(waves * weights[task], axis=1) + 0.2 * rng.standard_normal(len(x))
    return _frame(task, x, y)


def networks(n_tasks: int, n_rows: int, n_variables: int, random_seed: int) -> pd.DataFrame:
    """Variables v1, v2, ... form a chain in each task, from which each task lacks one link."""
    rng = np.random.default_rng(random_seed)
    n_links = _at_least("n_variables", n_variables, 3) - 1
    task = _tasks(n_tasks, n_rows)
    values = rng.standard_normal((len(task), n_variables))
    for link in range(n_links):
        effect = np.where(np.arange(n_tasks) % n_links == link, 0.0, 0.7)[task]
        values[:, link + 1] = effect * values[:, link] + 0.7 * values[:, link + 1]
    names = [f"v{i}" for i in range(1, n_variables + 1)]
    return pd.DataFrame({"task": _labels(n_tasks)[task], **dict(zip(names, values.T, strict=True))})


def mixed_outcomes(n_rows: int, n_features: int, random_seed: int) -> pd.DataFrame:
    """Three outcomes of one cause: measured (dose), yes or no (cured) and counted (visits)."""
    rng = np.random.default_rng(random_seed)
    weights = rng.normal(0.5, 0.2, size=(3, _at_least("n_features", n_features, 1)))
    task = _tasks(3, n_rows)
    x = rng.standard_normal((len(task), n_features))
    predictor = np.sum(x * weights[task], axis=1)
    dose = 5.0 + 2.0 * predictor + rng.standard_normal(len(task))
    cured = rng.binomial(1, expit(2.0 * predictor))
    visits = rng.poisson(np.exp(0.5 + 0.7 * predictor))
    frame = _frame(task, x, np.choose(task, [dose, cured, visits]))
    frame["task"] = np.array(["dose", "cured", "visits"], dtype=object)[task]
    return frame


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise InvalidModelError(f"{name} must be an integer of at least {least}, got {value!r}")
    return value


def _rows(weights: np.ndarray, n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of tasks with these weights (task, feature), normal features and noise."""
    task = _tasks(len(weights), n_rows)
    x = rng.standard_normal((len(task), weights.shape[1]))
    y = np.sum(x * weights[task], axis=1) + _NOISE * rng.standard_normal(len(task))
    return _frame(task, x, y)


def _tasks(n_tasks: int, n_rows: int) -> np.ndarray:
    """Code (row,) of the task of each row."""
    return np.repeat(np.arange(n_tasks), n_rows)


def _labels(n_tasks: int) -> np.ndarray:
    width = len(str(n_tasks))
    return np.array([f"t{t:0{width}d}" for t in range(1, n_tasks + 1)], dtype=object)


def _frame(task: np.ndarray, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    names = [f"x{j}" for j in range(1, x.shape[1] + 1)]
    columns = dict(zip(names, x.T, strict=True))
    return pd.DataFrame({"task": _labels(int(task.max()) + 1)[task], "y": y, **columns})
