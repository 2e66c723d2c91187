"""Clusters of growth curves: smooth bases against straight lines, clusters against one population.

Two collections of curves: sleepstudy (reaction times of 18 people over ten days without sleep) and
rats (weights of 30 rats at five ages, which ship with the package). Each task is a person or rat.

Protocol. A split holds two rows of each task back at random; all methods fit the same other rows,
with default priors and the intercept in the relation. Score: mean log density of a held-out row
under the posterior predictive, and root mean squared error. Differences are paired by split. The
number of clusters is the posterior mean over splits, beside that of the partition closest to all
draws.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp

import bayesmtl as bm
from benchmarks.data import SHARED_DATA
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["CurveSettings", "Curves", "compare", "methods", "read_rats", "read_sleep", "run"]

COLUMNS = (
    "features",
    "relation",
    "log density",
    "gain over the line, Exchangeable()",
    "RMSE",
    "clusters (mean, closest)",
    "s/split",
)
RELATIONS: dict[str, Callable[[], Any]] = {
    "Exchangeable()": bm.Exchangeable,
    "DirichletProcess()": bm.DirichletProcess,
}


@dataclass(frozen=True)
class CurveSettings:
    """How much to run.

    Parameters
    ----------
    n_splits, held_out : int
        Splits, and rows of each task that a split holds back.
    draws, tune, chains : int
    seed : int
    """

    n_splits: int = 5
    held_out: int = 2
    draws: int = 1000
    tune: int = 500
    chains: int = 2
    seed: int = 1


class Curves(NamedTuple):
    """Rows of curves: columns ``task``, ``time`` and ``y``; functions of the basis."""

    name: str
    frame: pd.DataFrame
    m: int


def read_sleep(folder: Path = SHARED_DATA) -> Curves | None:
    """None where the file is not there."""
    path = folder / "sleepstudy.csv.gz"
    if not path.exists():
        return None
    data = pd.read_csv(path, dtype={"task": str}).rename(columns={"Days": "time"})
    return Curves("sleepstudy", data, 10)


def read_rats() -> Curves:
    """From the package."""
    data = bm.load_dataset("rats").rename(columns={"rat": "task", "day": "time", "weight": "y"})
    return Curves("rats", data[["task", "time", "y"]], 6)


def methods(curves: Curves) -> dict[tuple[str, str], bm.Model]:
    """Models by their features and relation."""
    terms = {"line": "time", "hsgp": f"time + hsgp(time, m={curves.m})"}
    return {
        (name, of): bm.Model(f"y ~ {right}", "task", relation(), intercept="relation")
        for name, right in terms.items()
        for of, relation in RELATIONS.items()
    }


def _splits(curves: Curves, settings: CurveSettings) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Training and held-out rows."""
    frame = curves.frame
    for split in range(settings.n_splits):
        order = np.random.default_rng([settings.seed, split]).permutation(len(frame))
        rank = frame.iloc[order].groupby("task").cumcount().reindex(frame.index)
        yield frame[rank >= settings.held_out], frame[rank < settings.held_out]


def _score(
    model: bm.Model, train: pd.DataFrame, test: pd.DataFrame, settings: CurveSettings, seed: int
) -> tuple[float, float, float, float, float]:
    """Log density, RMSE, mean number of clusters, clusters of the closest partition, seconds."""
    start = time.perf_counter()
    idata = model.fit(
        train,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        random_seed=seed,
        progressbar=False,
    )
    bm.compute_log_likelihood(idata, test)
    values = next(iter(idata["log_likelihood"].data_vars.values())).to_numpy()
    flat = values.reshape(-1, values.shape[-1])
    mean = bm.predict(idata, test, as_frame=True)["mean"].to_numpy()
    clusters = closest = np.nan
    if "n_clusters" in idata["posterior"]:
        clusters = float(idata["posterior"]["n_clusters"].mean())
        closest = float(len(np.unique(idata["task_relations"]["partition"])))
    return (
        float((logsumexp(flat, axis=0) - np.log(len(flat))).mean()),
        float(np.sqrt(np.mean((mean - test["y"]) ** 2))),
        clusters,
        closest,
        time.perf_counter() - start,
    )


def compare(curves: Curves, settings: CurveSettings) -> list[tuple[object, ...]]:
    """A row for each method."""
    models = methods(curves)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {name: [] for name in models}
    for k, (train, test) in enumerate(_splits(curves, settings)):
        for name, model in models.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", bm.BayesMTLWarning)
                found[name].append(_score(model, train, test, settings, seed=k))
    rows: list[tuple[object, ...]] = []
    plain = np.array(next(iter(found.values())))
    for k, (name, scores) in enumerate(found.items()):
        table = np.array(scores)
        gain = table[:, 0] - plain[:, 0]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        density, rmse, clusters, closest, seconds = table.mean(axis=0)
        shown = "-" if np.isnan(clusters) else f"{clusters:.1f}, {closest:.1f}"
        better = f"{gain.mean():+.3f} ± {error:.3f}" if k else ""
        rows.append((*name, f"{density:.3f}", better, f"{rmse:.2f}", shown, seconds))
    return rows


def run(settings: CurveSettings) -> None:
    """Print a table for each collection."""
    for curves in (read_sleep(), read_rats()):
        if curves is None:
            print(f"skipped sleepstudy: the data are not in {SHARED_DATA}")
            continue
        heading(
            f"growth curves, {curves.name}: {settings.n_splits} splits, {settings.held_out} rows "
            f"of each task held out, {settings.chains} chains x ({settings.tune} + "
            f"{settings.draws})"
        )
        rows = compare(curves, settings)
        print_table(COLUMNS, rows)
        for features, relation, _, gain, *_ in rows[1:]:
            what = f"gain in log density over a line, {curves.name}, {features}, {relation}"
            headline(what, gain)
        print(load_average(), flush=True)
