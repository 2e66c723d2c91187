"""Small data for graphical models."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm

__all__ = ["TINY", "chain_graph", "fit", "two_tasks"]

TINY: dict[str, Any] = {"draws": 60, "tune": 60, "chains": 2}


def chain_graph(n_variables: int, partial: float = 0.45) -> np.ndarray:
    """Precision matrix of a chain: neighbours are linked."""
    side = np.full(n_variables - 1, -partial)
    return np.eye(n_variables) + np.diag(side, 1) + np.diag(side, -1)


def two_tasks(n_rows: int = 40, n_variables: int = 4, seed: int = 0) -> pd.DataFrame:
    """Tasks "a" and "b" of one chain with means of their own."""
    rng = np.random.default_rng(seed)
    covariance = np.linalg.inv(chain_graph(n_variables))
    parts = []
    for g, label in enumerate("ab"):
        values = rng.multivariate_normal(np.full(n_variables, 3.0 * g), covariance, n_rows)
        names = [f"x{j}" for j in range(n_variables)]
        parts.append(pd.DataFrame(values, columns=names).assign(task=label))
    return pd.concat(parts, ignore_index=True)


def fit(data: Any, seed: int = 1, sizes: dict[str, Any] = TINY, **options: Any) -> xr.DataTree:
    """A fit without progress."""
    model = bm.MultiTaskGraphicalModel(**options)
    return model.fit(data, random_seed=seed, progressbar=False, **sizes)
