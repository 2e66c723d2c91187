"""Logistic tasks in PyMC: a hierarchy with non-centred weights, and a mixture over tasks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from benchmarks.data import Example
from benchmarks.effective import mixing
from benchmarks.peers.nuts import Boxed, NutsRun, sample_in_box
from benchmarks.peers.stick_breaking import add_sticks, choose

__all__ = [
    "LogisticTasks",
    "draw_logistic_labels",
    "hierarchy",
    "logistic_sticks",
    "logistic_tasks",
    "run_hierarchy",
    "run_logistic_sticks",
    "task_log_likelihood",
]

_HIERARCHY = ("mu", "sd", "weights", "intercept_mean", "intercept_sd", "intercept")
_STICKS = ("log_stick", "beta")


def hierarchy(example: Example, *, mean_sd: float, sd_scale: float) -> Any:
    """Logistic regressions whose weights and intercepts are normal over tasks.

    Parameters
    ----------
    example : Example
    mean_sd, sd_scale : float
        Of the Normal prior of every mean and the HalfNormal prior of every sd.
    """
    import pymc as pm

    task = example.frame["task"].to_numpy()
    labels, codes = np.unique(task, return_inverse=True)
    x = example.frame[list(example.features)].to_numpy()
    coords = {"task": labels, "feature": list(example.features)}
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", 0.0, mean_sd, dims="feature")
        sd = pm.HalfNormal("sd", sd_scale, dims="feature")
        z = pm.Normal("z", dims=("task", "feature"))
        weights = pm.Deterministic("weights", mu + sd * z, dims=("task", "feature"))
        intercept_mean = pm.Normal("intercept_mean", 0.0, mean_sd)
        intercept_sd = pm.HalfNormal("intercept_sd", sd_scale)
        z_intercept = pm.Normal("z_intercept", dims="task")
        intercept = pm.Deterministic(
            "intercept", intercept_mean + intercept_sd * z_intercept, dims="task"
        )
        predictor = intercept[codes] + (x * weights[codes]).sum(axis=1)
        pm.Bernoulli("y", logit_p=predictor, observed=example.frame["y"].to_numpy())
    return model


def run_hierarchy(
    example: Example,
    *,
    mean_sd: float,
    sd_scale: float,
    tune: int,
    draws: int,
    chains: int,
    cores: int,
    limit: float,
    seed: int,
) -> NutsRun | None:
    """Sample the hierarchy; None where a chain did not reach 20 draws in time."""
    boxed = sample_in_box(
        hierarchy(example, mean_sd=mean_sd, sd_scale=sd_scale),
        _HIERARCHY,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        limit=limit,
        seed=seed,
    )
    if boxed is None:
        return None
    quantities = {name: boxed.posterior[name].values for name in _HIERARCHY}
    return NutsRun(*boxed[:-1], mixing=mixing(quantities))


class LogisticTasks(NamedTuple):
    """Tasks with the same number of rows.

    Parameters
    ----------
    design : (task, row, coefficient)
        A column of ones, then the features.
    moment : (task, coefficient)
        X'y.
    """

    design: np.ndarray
    moment: np.ndarray


def logistic_tasks(example: Example) -> LogisticTasks:
    """Sort the rows by task."""
    frame = example.frame.sort_values("task", kind="stable")
    n_tasks = frame["task"].nunique()
    x = np.insert(frame[list(example.features)].to_numpy(), 0, 1.0, axis=1)
    design = x.reshape(n_tasks, -1, x.shape[1])
    response = frame["y"].to_numpy().reshape(n_tasks, -1)
    return LogisticTasks(design, np.einsum("tij,ti->tj", design, response))


def task_log_likelihood(tasks: LogisticTasks, beta: Any, softplus: Any) -> Any:
    """Of every task in every component (component, task); NumPy or PyTensor.

    Parameters
    ----------
    tasks : LogisticTasks
    beta : (component, coefficient)
    softplus : callable
        ``log(1 + exp(x))``, elementwise.
    """
    n_tasks, n_rows, p = tasks.design.shape
    predictor = beta @ tasks.design.reshape(-1, p).T
    normaliser = softplus(predictor).reshape((-1, n_tasks, n_rows)).sum(axis=2)
    return beta @ tasks.moment.T - normaliser


def logistic_sticks(tasks: LogisticTasks, *, n_sticks: int, weight_sd: float) -> Any:
    """Mixture of ``n_sticks`` components over tasks, coefficients Normal(0, weight_sd^2)."""
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model() as model:
        log_stick = add_sticks(n_sticks)
        z = pm.Normal("z", shape=(n_sticks, tasks.moment.shape[1]))
        beta = pm.Deterministic("beta", weight_sd * z)
        value = task_log_likelihood(tasks, beta, pt.softplus)
        pm.Potential("rows", pm.math.logsumexp(log_stick[:, None] + value, axis=0).sum())
    return model


def draw_logistic_labels(tasks: LogisticTasks, posterior: xr.Dataset, seed: int) -> np.ndarray:
    """Component (chain, draw, task) of every task given each draw of the rest."""
    rng = np.random.default_rng(seed)
    log_stick, beta = posterior["log_stick"].values, posterior["beta"].values
    labels = np.empty((*log_stick.shape[:2], len(tasks.moment)), dtype=np.int32)
    for i in np.ndindex(labels.shape[:2]):
        value = task_log_likelihood(tasks, beta[i], lambda x: np.logaddexp(0.0, x))
        labels[i] = choose(log_stick[i][:, None] + value, rng)
    return labels


def run_logistic_sticks(
    example: Example,
    *,
    n_sticks: int,
    weight_sd: float,
    tune: int,
    draws: int,
    chains: int,
    cores: int,
    limit: float,
    seed: int,
) -> tuple[Boxed, np.ndarray] | None:
    """The run and its labels, whose drawing is not timed; None where it made too few draws."""
    tasks = logistic_tasks(example)
    boxed = sample_in_box(
        logistic_sticks(tasks, n_sticks=n_sticks, weight_sd=weight_sd),
        _STICKS,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        limit=limit,
        seed=seed,
    )
    return None if boxed is None else (boxed, draw_logistic_labels(tasks, boxed.posterior, seed))
