"""Synthetic tasks whose relations are known: for tests, examples and simulation studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bayesmtl.errors import InvalidModelError

__all__ = ["Simulation", "simulate"]

# Which settings each relation reads; any other one that is given is refused, not ignored.
_SETTINGS = {
    "independent": ("scale",),
    "pooled": ("mean",),
    "exchangeable": ("mean", "scale", "correlation"),
    "clusters": ("mean", "scale", "n_clusters", "between"),
}
_DEFAULTS = {"mean": 1.0, "scale": 1.0, "correlation": 0.0, "n_clusters": 3, "between": 0.9}
# What a relation without the setting amounts to.
_NEUTRAL = {"mean": 0.0, "scale": 0.0, "correlation": 0.0, "n_clusters": 1, "between": 0.0}


class Simulation(NamedTuple):
    """Synthetic rows and the truth behind them; every array is in the order of ``tasks``.

    Attributes
    ----------
    data
        Columns ``task``, ``y`` and ``x1``, ``x2``, ...; one row per observation.
    formula
        Formula of the true model, ``"y ~ x1 + x2 + ..."``.
    tasks
        ``(task,)`` labels.
    weights, intercept
        ``(task, feature)`` and ``(task,)``: a row has predictor ``intercept[t] + x @ weights[t]``.
    mean, scale, correlation
        Of the weights over the population of tasks: ``(feature,)`` twice, ``(feature, feature)``.
    partition
        ``(task,)`` cluster of each task; all zero where the relation has no clusters.
    between
        Share of the variance of the weights that lies between clusters; NaN without clusters.
    noise_sd
        ``(task,)`` standard deviation of ``y`` around the predictor.
    """

    data: pd.DataFrame
    formula: str
    tasks: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray
    partition: np.ndarray
    between: float
    noise_sd: np.ndarray


@dataclass(frozen=True)
class _Population:
    """The law of the weights: checked settings, one entry per feature."""

    mean: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray
    n_clusters: int
    between: float


def simulate(
    relation: str = "exchangeable",
    *,
    n_tasks: int = 40,
    n_rows: int | Sequence[int] = 20,
    n_features: int = 3,
    mean: float | Sequence[float] | None = None,
    scale: float | Sequence[float] | None = None,
    correlation: float | Sequence[Sequence[float]] | np.ndarray | None = None,
    n_clusters: int | None = None,
    between: float | None = None,
    intercept_mean: float = 0.0,
    intercept_sd: float = 1.0,
    noise_sd: float | Sequence[float] = 1.0,
    random_seed: int | np.random.Generator,
) -> Simulation:
    """Draw tasks with y = intercept[t] + x' weights[t] + noise, x and noise Gaussian.

    The weights of task t are

    - ``"independent"``: Normal(0, scale^2), with no common part;
    - ``"pooled"``: ``mean``, the same for every task;
    - ``"exchangeable"``: Normal(mean, diag(scale) correlation diag(scale));
    - ``"clusters"``: centre of the task's cluster + Normal(0, (1 - between) scale^2), where the
      centres are Normal(mean, between scale^2) and the clusters are of equal size, give or take 1.

    Intercepts are Normal(intercept_mean, intercept_sd^2) for every relation.

    Parameters
    ----------
    relation
        ``"independent"``, ``"pooled"``, ``"exchangeable"`` or ``"clusters"``.
    n_tasks, n_features
        Numbers of tasks and features, at least 1.
    n_rows
        Rows of every task, or one number per task; at least 1.
    mean, scale
        One number, or one per feature. Defaults: 1 and 1.
    correlation
        Of the features' weights: one number for every pair, or a ``(feature, feature)`` matrix.
        Default: 0.
    n_clusters, between
        Number of clusters (default 3) and share of the variance between them (0.9).
    intercept_mean, intercept_sd, noise_sd
        Of the intercepts; of ``y`` around the predictor, one number or one per task.
    random_seed
        Seed or generator; the same seed gives the same tasks.

    Returns
    -------
    Simulation
        The data frame and the truth.

    Raises
    ------
    InvalidModelError
        If a setting is out of range, of the wrong length or unknown to the relation.
    """
    n_tasks = _count("n_tasks", n_tasks)
    n_features = _count("n_features", n_features)
    rows = _per_item("n_rows", n_rows, n_tasks, "task", low=1.0)
    if np.any(rows % 1 != 0):
        raise InvalidModelError(f"n_rows must be whole numbers, got {n_rows!r}")
    noise = _per_item("noise_sd", noise_sd, n_tasks, "task", low=0.0)
    centre = _per_item("intercept_mean", intercept_mean, 1, "model")
    spread = _per_item("intercept_sd", intercept_sd, 1, "model", low=0.0)
    given: dict[str, object] = {"mean": mean, "scale": scale, "correlation": correlation}
    given |= {"n_clusters": n_clusters, "between": between}
    law = _population(relation, given, n_tasks, n_features)

    rng = np.random.default_rng(random_seed)
    weights, partition = _draw_weights(law, n_tasks, rng)
    intercept = rng.normal(centre, spread, size=n_tasks)
    tasks = np.array([f"t{t:0{len(str(n_tasks))}d}" for t in range(1, n_tasks + 1)], dtype=object)
    code = np.repeat(np.arange(n_tasks), rows.astype(np.int64))
    x = rng.standard_normal((code.size, n_features))
    y = rng.normal(intercept[code] + np.sum(x * weights[code], axis=1), noise[code])
    names = [f"x{f}" for f in range(1, n_features + 1)]
    return Simulation(
        data=pd.DataFrame({"task": tasks[code], "y": y, **dict(zip(names, x.T, strict=True))}),
        formula=f"y ~ {' + '.join(names)}",
        tasks=tasks,
        weights=weights,
        intercept=intercept,
        mean=law.mean,
        scale=law.scale,
        correlation=law.correlation,
        partition=partition,
        between=law.between if relation == "clusters" else float("nan"),
        noise_sd=noise,
    )


def _population(relation: str, given: dict[str, object], n_tasks: int, size: int) -> _Population:
    """Check the settings of the weights' law and fill in the defaults."""
    if relation not in _SETTINGS:
        raise InvalidModelError(
            f"relation {relation!r} cannot be simulated; choose one of {', '.join(_SETTINGS)}"
        )
    reads = _SETTINGS[relation]
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in reads:
            raise InvalidModelError(
                f"{name} is not a setting of the {relation} relation, which reads "
                f"{', '.join(reads)}; leave {name} out"
            )
    law = _NEUTRAL | {name: _DEFAULTS[name] for name in reads} | chosen
    n_clusters = _count("n_clusters", law["n_clusters"])
    if n_clusters > n_tasks:
        raise InvalidModelError(f"n_clusters = {n_clusters} exceeds n_tasks = {n_tasks}")
    between = float(_per_item("between", law["between"], 1, "model", low=0.0)[0])
    if between > 1.0:
        raise InvalidModelError(f"between is a share of variance from 0 to 1, got {between}")
    return _Population(
        mean=_per_item("mean", law["mean"], size, "feature"),
        scale=_per_item("scale", law["scale"], size, "feature", low=0.0),
        correlation=_correlation(law["correlation"], size),
        n_clusters=n_clusters,
        between=between,
    )


def _draw_weights(
    law: _Population, n_tasks: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (task, feature) and partition (task,)."""
    partition = rng.permutation(np.arange(n_tasks) % law.n_clusters)
    centres = rng.standard_normal((law.n_clusters, law.mean.size)) * np.sqrt(law.between)
    # An eigen-root, unlike a Cholesky factor, also serves a singular correlation.
    values, vectors = np.linalg.eigh(law.correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    own = rng.standard_normal((n_tasks, law.mean.size)) @ root.T * np.sqrt(1.0 - law.between)
    return law.mean + law.scale * (centres[partition] + own), partition


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidModelError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _numbers(name: str, value: object) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidModelError(f"{name} must be a number, got {value!r}") from None
    if not np.all(np.isfinite(array)):
        raise InvalidModelError(f"{name} must be finite, got {value!r}")
    return array


def _per_item(name: str, value: object, size: int, item: str, low: float = -np.inf) -> np.ndarray:
    """One float per item, from one number for all or a sequence."""
    array = _numbers(name, value)
    if array.shape not in ((), (size,)):
        raise InvalidModelError(
            f"{name} needs one number, or one per {item} ({size}); got shape {array.shape}"
        )
    if np.any(array < low):
        raise InvalidModelError(f"{name} must be at least {low:g}, got {value!r}")
    return np.broadcast_to(array, (size,)).copy()


def _correlation(value: object, size: int) -> np.ndarray:
    array = _numbers("correlation", value)
    if array.ndim == 0:
        array = np.where(np.eye(size, dtype=bool), 1.0, array)
    if array.shape != (size, size):
        raise InvalidModelError(
            f"correlation needs one number or shape {(size, size)}, got {array.shape}"
        )
    ones = np.allclose(np.diag(array), 1.0)
    if not (ones and np.allclose(array, array.T) and np.linalg.eigvalsh(array).min() > -1e-9):
        rule = "symmetric with ones on its diagonal and no negative eigenvalue"
        raise InvalidModelError(f"correlation must be {rule}, got {value!r}")
    return array
