"""Small models of functions and exact draws from their priors."""

import numpy as np
import pandas as pd

from bayesmtl.gp.hyperparameters import HUANG_WAND, HyperPrior
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.numerics.kernels import kernel_values, scaled_distances
from bayesmtl.priors import Prior, table_row

__all__ = ["curves", "draw_covariance", "function_rows", "hyper_prior"]

LENGTH = Prior("LogNormal", mu=-0.5, sigma=0.5)
NOISE = Prior("LogNormal", mu=-0.7, sigma=0.4)


def hyper_prior(
    n_tasks: int,
    n_inputs: int = 1,
    *,
    kind: str = HUANG_WAND,
    rank: int = 0,
    components: int = 1,
    noise_units: float = 1.2,
) -> HyperPrior:
    """Learned everywhere, inputs and responses in units of their own."""
    return HyperPrior(
        kind=kind,
        given=np.broadcast_to(np.eye(n_tasks), (components, n_tasks, n_tasks)).copy(),
        rank=rank,
        lengthscale_rows=np.tile(table_row(LENGTH), (components, n_inputs, 1)),
        lengthscale_unit=np.linspace(1.0, 1.5, n_inputs),
        noise_rows=np.tile(table_row(NOISE), (n_tasks, 1)),
        noise_unit=np.linspace(1.0, noise_units, n_tasks),
    )


def function_rows(
    n_tasks: int, n_rows: int, n_inputs: int = 1, *, same: bool = False, seed: int = 0
) -> FunctionRows:
    """Rows of noise; the first task has no intercept."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    inputs = rng.uniform(-1.0, 1.0, (len(task), n_inputs))
    if same:
        inputs = np.tile(inputs[:n_rows], (n_tasks, 1))
    level_sd = np.linspace(0.0, 1.2, n_tasks)
    return FunctionRows(inputs, task, rng.normal(size=len(task)), n_tasks, level_sd)


def draw_covariance(n_tasks: int, rng: np.random.Generator) -> np.ndarray:
    """Huang and Wand 2013, eq. 2 with nu = 2 and A = 1, from its inverse Wishart form."""
    a = 1.0 / rng.gamma(0.5, 1.0, n_tasks)
    root = rng.normal(size=(n_tasks, n_tasks + 1)) / np.sqrt(4.0 / a)[:, None]
    # Wishart of n_tasks + 1 degrees of freedom and scale diag(a) / 4, inverted.
    return np.linalg.inv(root @ root.T)


def curves(
    correlation: np.ndarray,
    n_rows: int = 30,
    *,
    lengthscale: float = 0.4,
    noise: float = 0.3,
    same: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Curves of tasks a, b, ... over x in [0, 10] with this correlation, in units far apart."""
    rng = np.random.default_rng(seed)
    n_tasks = len(correlation)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.uniform(-1.0, 1.0, (len(task), 1))
    if same:
        x = np.tile(x[:n_rows], (n_tasks, 1))
    distance = scaled_distances(x, x, np.array([lengthscale]))
    covariance = correlation[task[:, None], task] * kernel_values("matern52", distance)
    root = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(task)))
    y = root @ rng.normal(size=len(task)) + noise * rng.normal(size=len(task))
    unit, center = 10.0 ** (np.arange(n_tasks) % 3 - 1), 5.0 * np.arange(n_tasks)
    return pd.DataFrame(
        {
            "x": 5.0 * (1.0 + x[:, 0]),
            "task": np.array(list("abcdefghijklmnopqrstuvwxyz"))[task],
            "y": center[task] + unit[task] * y,
        }
    )
