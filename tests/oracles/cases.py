"""Small data sets and fits of the tests."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import BayesMTLWarning, Model
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.gibbs import sample_gibbs
from tests.oracles.monte_carlo import mcse

__all__ = ["agree", "draw", "fit", "regression"]


def regression(
    n_tasks: int = 4,
    n_rows: int = 6,
    n_features: int = 2,
    *,
    spread: float = 0.5,
    noise: float = 0.7,
    seed: int = 1,
) -> pd.DataFrame:
    """Rows of ``y``, ``x0``, ..., ``task`` from an exchangeable population."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), n_features))
    weights = 1.0 + spread * rng.normal(size=(n_tasks, n_features))
    y = 2.0 + np.einsum("ri,ri->r", x, weights[task]) + noise * rng.normal(size=len(task))
    data = pd.DataFrame({f"x{j}": x[:, j] for j in range(n_features)})
    return data.assign(y=y, task=[f"task {t:02d}" for t in task])


def fit(model: Model, data: Any, **settings: Any) -> Any:
    """A DataTree of a short fit; what its diagnostics say is not the matter of these tests."""
    defaults = {"draws": 300, "tune": 200, "chains": 2, "cores": 1, "random_seed": 5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        return model.fit(data, **{**defaults, **settings}, progressbar=False)


def draw(model: Model, data: Any, **settings: Any) -> Draws:
    """Draws in internal units."""
    defaults = {"draws": 300, "tune": 200, "chains": 2, "cores": 1, "random_seed": 5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        problem = model.prepare(data).problem
    options = {"progressbar": False, "keep_weights": True, **defaults, **settings}
    return sample_gibbs(problem, model.likelihood, **options)[0]


def agree(first: np.ndarray, second: np.ndarray | float, limit: float = 4.0) -> bool:
    """Whether two sets of draws (chain, draw), or draws and a number, have the same mean.

    Within ``limit`` Monte Carlo errors.
    """
    if not isinstance(second, np.ndarray):
        return bool(abs(first.mean() - second) < limit * mcse(first))
    return bool(abs(first.mean() - second.mean()) < limit * np.hypot(mcse(first), mcse(second)))
