"""PyMC's matrix-normal regression, non-centred, with LKJ correlations of the tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.data import Example

__all__ = ["KEPT", "matrix_normal"]

KEPT = ("cov_corr",)


def matrix_normal(example: Example) -> Any:
    """``W = mu + chol(Omega) Z diag(sd)`` on the rows, features and response standardised."""
    import pymc as pm

    task = example.frame["task"].to_numpy()
    labels, codes = np.unique(task, return_inverse=True)
    x = example.frame[list(example.features)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = example.frame["y"].to_numpy()
    y = (y - y.mean()) / y.std()
    with pm.Model(coords={"task": labels, "feature": list(example.features)}) as model:
        mu = pm.Normal("mu", 0.0, 2.5, dims="feature")
        sd = pm.HalfNormal("sd", 1.0, dims="feature")
        chol, _, _ = pm.LKJCholeskyCov(
            "cov", eta=1.0, n=len(labels), sd_dist=pm.HalfNormal.dist(1.0, shape=len(labels))
        )
        z = pm.Normal("z", dims=("task", "feature"))
        weights = mu + (chol @ z) * sd
        intercept_mean = pm.Normal("intercept_mean", 0.0, 2.5)
        intercept_sd = pm.HalfNormal("intercept_sd", 1.0)
        z_intercept = pm.Normal("z_intercept", dims="task")
        intercept = intercept_mean + intercept_sd * z_intercept
        noise_sd = pm.HalfNormal("noise_sd", 1.0)
        predictor = intercept[codes] + (x * weights[codes]).sum(axis=1)
        pm.Normal("y", predictor, noise_sd, observed=y)
    return model
