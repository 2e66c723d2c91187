"""Expected log-likelihoods of rows whose predictor is normal, in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

__all__ = ["expected_log_likelihood", "sensible_start"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def expected_log_likelihood(
    likelihood: str, response: Any, mean: Any, variance: Any, noise_sd: Any, df: Any
) -> Any:
    """E log p(y | f) under f ~ Normal(mean, variance), of each row.

    Closed forms for "gaussian" and "poisson" (log link), Gauss-Hermite quadrature with 20 nodes
    for "bernoulli" (logit link) and "student_t".

    Parameters
    ----------
    likelihood : str
    response, mean, variance : torch.Tensor, shape (row,)
    noise_sd : torch.Tensor, shape (row,)
        Of "gaussian", and the scale of "student_t".
    df : torch.Tensor
        Degrees of freedom of "student_t".
    """
    if likelihood == "gaussian":
        square = (response - mean) ** 2 + variance
        return -0.5 * square / noise_sd**2 - torch.log(noise_sd) - 0.5 * math.log(2.0 * math.pi)
    if likelihood == "poisson":
        rate = torch.exp(mean + 0.5 * variance)
        return response * mean - rate - torch.lgamma(response + 1.0)
    nodes = torch.as_tensor(_NODES, dtype=mean.dtype, device=mean.device)
    weights = torch.as_tensor(_WEIGHTS, dtype=mean.dtype, device=mean.device)
    # The square root has no derivative at a variance of zero.
    f = mean + torch.sqrt(variance.clamp_min(1e-12)) * nodes[:, None]
    if likelihood == "bernoulli":
        signs = 2.0 * response - 1.0
        return weights @ torch.nn.functional.logsigmoid(signs * f)
    z = (response - f) / noise_sd
    constant = (
        torch.lgamma(0.5 * (df + 1.0))
        - torch.lgamma(0.5 * df)
        - 0.5 * torch.log(df * math.pi)
        - torch.log(noise_sd)
    )
    return constant - 0.5 * (df + 1.0) * (weights @ torch.log1p(z**2 / df))


def sensible_start(
    likelihood: str, response: np.ndarray, task: np.ndarray, n_tasks: int, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intercepts and spreads (task,) of the predictor that the responses of each task suggest.

    ``size`` (row,) is the exposure of counts, one elsewhere.
    """
    count = np.bincount(task, size, minlength=n_tasks)
    row = float(size.mean())
    pooled = float(response.mean()) / row
    # One pseudo-row at the pooled mean, for tasks of few rows and tasks without any.
    mean = (np.bincount(task, response, minlength=n_tasks) + pooled * row) / (count + row)
    if likelihood == "bernoulli":
        share = np.clip(mean, 0.02, 0.98)
        return np.log(share / (1.0 - share)), np.ones(n_tasks)
    if likelihood == "poisson":
        return np.log(np.maximum(mean, 0.05 / row)), np.full(n_tasks, 0.7)
    square = np.bincount(task, (response - mean[task]) ** 2, minlength=n_tasks)
    own = (square + square.sum() / max(count.sum(), 1)) / (count + 1.0)
    return mean, np.sqrt(np.maximum(own, 1e-6))
