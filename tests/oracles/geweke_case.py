"""What a joint-distribution case consists of, and pieces of prior simulators."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bayesmtl import Model
from tests.oracles.geweke import Frame

__all__ = ["Case", "constant", "hierarchical", "wide"]

Structure = Callable[[int, np.random.Generator], dict[str, np.ndarray]]


class Case(NamedTuple):
    frame: Frame
    model: Model
    structure: Structure


def wide(values: np.ndarray, n_tasks: int) -> np.ndarray:
    """The same noise for all tasks."""
    return np.repeat(values[:, None], n_tasks, axis=1)


def constant(n: int, *values: float) -> np.ndarray:
    return np.tile(np.array(values), (n, 1))


def hierarchical(
    n: int, n_tasks: int, median: np.ndarray, spread: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    log_noise = np.log(median)[:, None] + spread[:, None] * rng.normal(size=(n, n_tasks))
    return {"median": median, "spread": spread, "noise": np.exp(log_noise)}
