"""Coordinate ascent for correlated tasks: its intervals of correlations against those of Gibbs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from benchmarks.data import Example, formula_of
from benchmarks.reporting import heading, headline, print_table

__all__ = ["IntervalSettings", "run"]

RELATIONS: dict[str, Any] = {
    'MatrixNormal("full")': bm.MatrixNormal("full"),
    'MatrixNormal("low_rank")': bm.MatrixNormal("low_rank"),
    "LowRank": bm.LowRank(),
}
COLUMNS = (
    "relation",
    "true",
    "mean, gibbs",
    "cavi",
    "off by (sd)",
    "width, gibbs",
    "cavi",
    "cover %, gibbs",
    "cavi",
)
FIT_COLUMNS = ("relation", "gibbs (s)", "cavi (s)", "ratio", "verdicts that say so")
# Of the weights of four tasks.
TRUE = np.array(
    [[1.0, 0.8, 0.0, -0.8], [0.8, 1.0, 0.0, -0.8], [0.0, 0.0, 1.0, 0.0], [-0.8, -0.8, 0.0, 1.0]]
)


@dataclass(frozen=True)
class IntervalSettings:
    """Simulated data: four tasks whose weights correlate by 0.8, 0 and -0.8, noise sd 1.

    Parameters
    ----------
    features, rows : int
        Rows of each task.
    data_sets : int
    draws : int
        Of each of four chains, and as many tuning steps.
    """

    features: int = 20
    rows: int = 30
    data_sets: int = 6
    draws: int = 1000


class _Fit(NamedTuple):
    """Correlations of all pairs of tasks.

    Parameters
    ----------
    mean, sd, low, high : (pair,)
    seconds : float
    warned : bool
        Whether the diagnostics failed.
    """

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seconds: float
    warned: bool


def run(settings: IntervalSettings) -> None:
    """Print means, 90% intervals and seconds of both methods."""
    heading(
        f"cavi against gibbs: 4 tasks x {settings.features} features, {settings.rows} rows each, "
        f"{settings.data_sets} data sets"
    )
    rows, fits = [], []
    for name, relation in RELATIONS.items():
        found = [
            _compare(_example(settings, s), relation, settings) for s in range(settings.data_sets)
        ]
        rows += [(name, *row) for row in _rows(found)]
        seconds = [float(np.mean([pair[k].seconds for pair in found])) for k in (0, 1)]
        warned = sum(pair[1].warned for pair in found)
        fits.append((name, *seconds, seconds[0] / seconds[1], f"{warned} of {len(found)}"))
    print(
        "Means over pairs of tasks and data sets; 'off by' is the root mean square difference of "
        "the\nposterior means in sds of Gibbs, 'cover' counts 90% intervals that hold the true "
        "correlation."
    )
    print_table(COLUMNS, rows)
    print_table(FIT_COLUMNS, fits)
    for name, true, *_, held, other in rows:
        headline(f"90% intervals hold, %, correlation {true:g}, {name}", held, "cavi", other)


def _example(settings: IntervalSettings, seed: int) -> Example:
    rng = np.random.default_rng(seed)
    weights = np.linalg.cholesky(TRUE) @ rng.normal(size=(len(TRUE), settings.features))
    task = np.repeat(np.arange(len(TRUE)), settings.rows)
    x = rng.normal(size=(task.size, settings.features))
    names = tuple(f"x{j}" for j in range(settings.features))
    y = (x * weights[task]).sum(axis=1) + rng.normal(size=task.size)
    return Example("correlated", pd.DataFrame(x, columns=names).assign(task=task, y=y), names)


def _compare(example: Example, relation: Any, settings: IntervalSettings) -> tuple[_Fit, _Fit]:
    model = bm.Model(formula_of(example.features), "task", relation)
    sizes = {"draws": settings.draws, "tune": settings.draws, "random_seed": 1}
    with warnings.catch_warnings():
        # What the diagnostics say is counted.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        exact, ours = (
            _fit(model.fit(example.frame, inference=method, progressbar=False, cores=1, **sizes))
            for method in ("gibbs", "cavi")
        )
    return exact, ours


def _fit(tree: xr.DataTree) -> _Fit:
    draws = tree["posterior"]["task_correlation"].to_numpy().reshape(-1, *TRUE.shape)
    pairs = draws[:, *np.triu_indices(len(TRUE), 1)]
    low, high = np.quantile(pairs, (0.05, 0.95), axis=0)
    warned = tree.attrs["verdict"].startswith("CHECK")
    seconds = float(tree.attrs["sampling_seconds"])
    return _Fit(pairs.mean(axis=0), pairs.std(axis=0), low, high, seconds, warned)


def _rows(found: list[tuple[_Fit, _Fit]]) -> list[tuple[object, ...]]:
    """One for each true correlation."""
    truth = TRUE[np.triu_indices(len(TRUE), 1)]
    stacked = [
        [np.array([getattr(pair[k], name) for pair in found]) for name in _Fit._fields[:4]]
        for k in (0, 1)
    ]
    (mean, sd, low, high), (other, _, left, right) = stacked
    rows: list[tuple[object, ...]] = []
    for value in np.unique(truth)[::-1]:
        own = truth == value
        off = np.sqrt((((other - mean) / sd)[:, own] ** 2).mean())
        inside = [
            100.0 * ((a < value) & (value < b))[:, own].mean()
            for a, b in ((low, high), (left, right))
        ]
        widths = [(high - low)[:, own].mean(), (right - left)[:, own].mean()]
        rows.append(
            (float(value), mean[:, own].mean(), other[:, own].mean(), off, *widths, *inside)
        )
    return rows
