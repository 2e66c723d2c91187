"""One measured, one yes-or-no and one count task that share weights: together against alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import bayesmtl as bm
from bayesmtl.errors import BayesMTLWarning
from benchmarks.reporting import heading, headline, print_table

__all__ = ["COLUMNS", "LIKELIHOODS", "PARTS", "MixedSettings", "compare", "run", "simulate"]

PARTS = ("related", "unrelated")
LIKELIHOODS: dict[str, Any] = {
    "measured": bm.Gaussian(),
    "yes or no": bm.Bernoulli(),
    "count": bm.Poisson(),
}
COLUMNS = ("fitted", "measured", "yes or no", "count", "all", "90% intervals hold")
# Intercept, and what a weight of one is worth, of each predictor.
_CENTER = {"measured": 50.0, "yes or no": -0.3, "count": 0.7}
_UNIT = {"measured": 10.0, "yes or no": 2.0, "count": 0.7}


@dataclass(frozen=True)
class MixedSettings:
    """Parts, sizes and lengths.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    replicates, n_rows, n_features : int
        Data sets; rows of each task.
    spread, own, scale_spread : float
        Sds of the common weights, of what a task adds to them, and of the log of its scale.
    draws, tune, chains : int
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    replicates: int = 40
    n_rows: int = 40
    n_features: int = 5
    spread: float = 0.4
    own: float = 0.05
    scale_spread: float = 0.3
    draws: int = 400
    tune: int = 400
    chains: int = 2
    seed: int = 1


def run(settings: MixedSettings) -> None:
    """Print the parts that are asked for."""
    for part in PARTS:
        if part in settings.parts:
            heading(
                f"tasks of different kinds, {part}: {settings.replicates} data sets, "
                f"{settings.n_rows} rows a task, {settings.n_features} features, "
                f"{settings.chains} chains x ({settings.tune} + {settings.draws})"
            )
            print(
                "Root mean squared error of the posterior mean weights of each task, and of all, "
                "in units of its\npredictor over "
                + ", ".join(f"{unit:g} ({name})" for name, unit in _UNIT.items())
                + "; ± its standard error over data sets.",
                flush=True,
            )
            rows = compare(settings, related=part == "related")
            print_table(COLUMNS, rows)
            for row in rows[1:]:
                headline(f"RMSE of weights, {part}, {rows[0][0]}", rows[0][4], str(row[0]), row[4])


def simulate(
    settings: MixedSettings, rng: np.random.Generator, *, related: bool
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Rows of the three tasks, and the weights of their predictors."""
    d, n = settings.n_features, settings.n_rows
    common = settings.spread * rng.normal(size=d)
    frames, truth = [], {}
    for name in LIKELIHOODS:
        mean = common if related else settings.spread * rng.normal(size=d)
        weights = mean + settings.own * rng.normal(size=d)
        truth[name] = _UNIT[name] * np.exp(settings.scale_spread * rng.normal()) * weights
        x = rng.normal(size=(n, d))
        eta = _CENTER[name] + x @ truth[name]
        if name == "measured":
            y = eta + _UNIT[name] * rng.normal(size=n)
        else:
            y = rng.logistic(size=n) < eta if name == "yes or no" else rng.poisson(np.exp(eta))
        columns = {f"x{j}": x[:, j] for j in range(d)}
        frames.append(pd.DataFrame({"task": name, "y": 1.0 * y, **columns}))
    return pd.concat(frames, ignore_index=True), truth


def compare(settings: MixedSettings, *, related: bool) -> list[tuple[object, ...]]:
    """A row for each way to fit."""
    rng = np.random.default_rng([settings.seed, int(related)])
    square: dict[str, list[np.ndarray]] = {}
    inside: dict[str, list[float]] = {}
    for _ in range(settings.replicates):
        frame, truth = simulate(settings, rng, related=related)
        seed = int(rng.integers(2**31))
        for how, found in _fits(frame, settings, seed).items():
            wrong = [np.mean(((found[k][0] - truth[k]) / _UNIT[k]) ** 2) for k in truth]
            square.setdefault(how, []).append(np.array([*wrong, np.mean(wrong)]))
            low_high = [(found[k][1] <= truth[k]) & (truth[k] <= found[k][2]) for k in truth]
            inside.setdefault(how, []).append(float(np.mean(low_high)))
    return [
        (how, *map(_rmse, np.array(square[how]).T), f"{100 * np.mean(inside[how]):.0f}%")
        for how in square
    ]


def _rmse(squares: np.ndarray) -> str:
    """With its standard error, by the delta method."""
    root = np.sqrt(squares.mean())
    error = squares.std(ddof=1) / np.sqrt(len(squares)) / (2.0 * root)
    return f"{root:.3f} ± {error:.3f}"


def _fits(
    frame: pd.DataFrame, settings: MixedSettings, seed: int
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Mean and 90% interval of the weights of each task, by how they were fitted."""
    shared, apart = bm.Exchangeable(), bm.Independent()
    out = {
        "together, bm.Exchangeable()": _weights(frame, shared, LIKELIHOODS, settings, seed),
        "together, bm.Independent()": _weights(frame, apart, LIKELIHOODS, settings, seed),
        "each alone, bm.Exchangeable()": {},
    }
    for name, rows in frame.groupby("task"):
        alone = _weights(rows, shared, LIKELIHOODS[name], settings, seed)
        out["each alone, bm.Exchangeable()"] |= alone
    return out


def _weights(
    frame: pd.DataFrame, relation: Any, likelihood: Any, settings: MixedSettings, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    formula = "y ~ " + " + ".join(f"x{j}" for j in range(settings.n_features))
    model = bm.Model(formula, "task", relation, likelihood)
    with warnings.catch_warnings():
        # One task says nothing of others; short chains are said to be short.
        warnings.simplefilter("ignore", BayesMTLWarning)
        fit = model.fit(
            frame,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=1,
            random_seed=seed,
            progressbar=False,
        )
    weights = fit["posterior"]["weights"]
    out = {}
    for name in weights["task"].to_numpy().tolist():
        draws = weights.sel(task=name).to_numpy().reshape(-1, settings.n_features)
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        out[name] = (draws.mean(axis=0), low, high)
    return out
