"""Noise sds of functions: where a chain starts, and their density."""

from __future__ import annotations

import numpy as np

from bayesmtl.gp.dense_sweep import NoisePrior
from bayesmtl.gp.hyperparameters import HyperPrior, inside_prior
from bayesmtl.numerics.densities import FIXED, log_density

__all__ = ["log_noise_density", "start_noise"]


def start_noise(prior: HyperPrior, rng: np.random.Generator) -> tuple[NoisePrior, np.ndarray]:
    """The priors, and logs (task,) of sds to start from."""
    rows, units = np.ascontiguousarray(prior.noise_rows), prior.noise_unit
    log_noise = inside_prior(rng.normal(-0.7, 0.3, len(rows)), rows, units)
    if prior.shared_noise:
        log_noise[:] = log_noise[0]
    return NoisePrior(rows, units, prior.shared_noise), log_noise


def log_noise_density(
    prior: NoisePrior, log_noise: np.ndarray, rows: np.ndarray, square: np.ndarray
) -> float:
    """Log density of the logs (task,) of the noise sds that are learned, and of the rows.

    ``rows`` and ``square`` (task,) are their numbers and their residual sums of squares.
    """
    value = -float((rows * log_noise + 0.5 * square * np.exp(-2.0 * log_noise)).sum())
    for row, unit, x in zip(prior.rows, prior.units, log_noise.tolist(), strict=True):
        if row[0] != FIXED:
            value += float(log_density(row, unit * np.exp(x))) + x
        if prior.shared:
            break
    return value
