"""A Dirichlet process mixture in PyMC: truncated stick-breaking with the labels summed out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from benchmarks.data import Example
from benchmarks.peers.nuts import Boxed, sample_in_box

__all__ = [
    "TaskSums",
    "add_sticks",
    "choose",
    "draw_labels",
    "log_likelihood",
    "run_sticks",
    "stick_model",
    "task_sums",
]

_KEPT = ("log_stick", "beta", "noise_sd")


class TaskSums(NamedTuple):
    """Sufficient statistics of the tasks.

    Parameters
    ----------
    gram : (d (d + 1) / 2, task)
        Lower triangle of X'X, twice what is off its diagonal.
    moment : (d, task)
        X'y.
    square, rows : (task,)
        y'y, and the number of rows.
    """

    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    rows: np.ndarray


def task_sums(example: Example) -> TaskSums:
    """One pass over the rows."""
    codes = np.unique(example.frame["task"], return_inverse=True)[1]
    x = example.frame[list(example.features)].to_numpy()
    y = example.frame["y"].to_numpy()
    parts = [(x[codes == t], y[codes == t]) for t in range(codes.max() + 1)]
    i, j = np.tril_indices(x.shape[1])
    return TaskSums(
        np.stack([(a.T @ a)[i, j] * np.where(i == j, 1.0, 2.0) for a, _ in parts], axis=1),
        np.stack([a.T @ b for a, b in parts], axis=1),
        np.array([b @ b for _, b in parts]),
        np.array([float(b.size) for _, b in parts]),
    )


def log_likelihood(sums: TaskSums, beta: Any, noise_sd: Any, log: Any) -> Any:
    """Of every task in every component (component, task), up to a constant; NumPy or PyTensor."""
    i, j = np.tril_indices(len(sums.moment))
    square = sums.square - 2.0 * beta @ sums.moment + (beta[:, i] * beta[:, j]) @ sums.gram
    return -0.5 * square / noise_sd**2 - sums.rows * log(noise_sd)


def add_sticks(n_sticks: int) -> Any:
    """Log weights of the components under a Gamma(2, 2) concentration, in the open PyMC model."""
    import pymc as pm

    concentration = pm.Gamma("concentration", 2.0, 2.0)
    stick = pm.Beta("stick", 1.0, concentration, shape=n_sticks - 1)
    rest = pm.math.concatenate([np.zeros(1), pm.math.cumsum(pm.math.log1p(-stick))])
    broken = pm.math.concatenate([pm.math.log(stick), np.zeros(1)])
    return pm.Deterministic("log_stick", rest + broken)


def choose(log_weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Component (task,) with probability proportional to the weight (component, task)."""
    # The largest of Gumbel variables shifted by log weights has those weights.
    return np.argmax(log_weight + rng.gumbel(size=log_weight.shape), axis=0)


def stick_model(sums: TaskSums, *, n_sticks: int, weight_sd: float, noise_scale: float) -> Any:
    """Mixture of ``n_sticks`` components over tasks, components non-centred.

    Parameters
    ----------
    sums : TaskSums
    n_sticks : int
        At which the process is cut.
    weight_sd : float
        Prior sd of the weights of a component.
    noise_scale : float
        Of the HalfNormal prior of the noise sd.
    """
    import pymc as pm

    with pm.Model() as model:
        log_stick = add_sticks(n_sticks)
        z = pm.Normal("z", shape=(n_sticks, len(sums.moment)))
        beta = pm.Deterministic("beta", weight_sd * z)
        noise_sd = pm.HalfNormal("noise_sd", noise_scale)
        value = log_likelihood(sums, beta, noise_sd, pm.math.log)
        pm.Potential("rows", pm.math.logsumexp(log_stick[:, None] + value, axis=0).sum())
    return model


def draw_labels(sums: TaskSums, posterior: xr.Dataset, seed: int) -> np.ndarray:
    """Component (chain, draw, task) of every task given each draw of the rest."""
    rng = np.random.default_rng(seed)
    log_stick, beta = posterior["log_stick"].values, posterior["beta"].values
    noise_sd = posterior["noise_sd"].values
    labels = np.empty((*noise_sd.shape, sums.rows.size), dtype=np.int32)
    for i in np.ndindex(noise_sd.shape):
        log_weight = log_stick[i][:, None] + log_likelihood(sums, beta[i], noise_sd[i], np.log)
        labels[i] = choose(log_weight, rng)
    return labels


def run_sticks(
    example: Example,
    *,
    n_sticks: int,
    weight_sd: float,
    noise_scale: float,
    tune: int,
    draws: int,
    chains: int,
    cores: int,
    limit: float,
    seed: int,
) -> tuple[Boxed, np.ndarray] | None:
    """The run and its labels, whose drawing is not timed; None where it made too few draws."""
    sums = task_sums(example)
    boxed = sample_in_box(
        stick_model(sums, n_sticks=n_sticks, weight_sd=weight_sd, noise_scale=noise_scale),
        _KEPT,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        limit=limit,
        seed=seed,
    )
    return None if boxed is None else (boxed, draw_labels(sums, boxed.posterior, seed))
