"""A model of correlated tasks with nothing to learn but weights, by one dense normal."""

from typing import Any

import numpy as np
import pandas as pd

import bayesmtl as bm

__all__ = ["dense_moments", "dense_posterior", "fixed_model"]

LABELS = ["b", "d", "a", "c"]
NOISE = 1.3


def fixed_model() -> tuple[bm.Model, pd.DataFrame, np.ndarray, np.ndarray]:
    """A model without anything to learn but weights; its data; Omega and Sigma in sorted order."""
    rng = np.random.default_rng(0)
    task = np.repeat(sorted(LABELS), 6)
    x = rng.normal(size=(len(task), 2)) * [1.0, 3.0] + [0.0, 1.0]
    data = pd.DataFrame({"task": task, "u": x[:, 0], "v": x[:, 1]})
    data["y"] = 1.0 + 2.0 * rng.normal(size=len(task))
    root = rng.normal(size=(4, 4))
    omega = pd.DataFrame(root @ root.T + np.eye(4), index=LABELS, columns=LABELS)
    sigma = pd.DataFrame([[0.5, -0.3], [-0.3, 1.2]], index=["v", "u"], columns=["v", "u"])
    model = bm.Model(
        "y ~ u + v",
        "task",
        bm.MatrixNormal(omega, sigma, mean=bm.Prior("Normal", mu=0.2, sigma=0.5)),
        likelihood=bm.Gaussian(noise_sd=NOISE),
        intercept=bm.Exchangeable(mean=1.0, scale=0.7),
    )
    order = sorted(LABELS)
    return model, data, omega.loc[order, order].to_numpy(), sigma.loc[["u", "v"], ["u", "v"]].values


def dense_moments(data: pd.DataFrame, omega: np.ndarray, sigma: np.ndarray) -> Any:
    """Mean and covariance of the weights (task feature,), and the rows' mean, root and residual."""
    n_tasks, code = len(omega), np.searchsorted(sorted(LABELS), data["task"])
    x = data[["u", "v"]].to_numpy() - data[["u", "v"]].to_numpy().mean(axis=0)
    prior = np.kron(omega, sigma) + np.kron(np.ones((n_tasks, n_tasks)), 0.25 * np.eye(2))
    design = np.zeros((len(x), 2 * n_tasks))
    for i, t in enumerate(code):
        design[i, 2 * t : 2 * t + 2] = x[i]
    rest = 0.49 * (code[:, None] == code) + NOISE**2 * np.eye(len(x))
    return np.full(2 * n_tasks, 0.2), prior, design, rest


def dense_posterior(
    data: pd.DataFrame, omega: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (task feature,) and covariance of the weights given the data."""
    mean, prior, design, rest = dense_moments(data, omega, sigma)
    gain = prior @ design.T @ np.linalg.inv(design @ prior @ design.T + rest)
    center = mean + gain @ (data["y"].to_numpy() - 1.0 - design @ mean)
    return center, prior - gain @ design @ prior
