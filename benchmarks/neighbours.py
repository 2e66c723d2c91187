"""Schools that borrow from schools like them: a known graph against exchangeable tasks.

Two collections of schools: Exam (65 in London, exam score on an intake test and sex) and High
School and Beyond (160, mathematics score on socio-economic status, minority and sex). A graph joins
each school with the four that are nearest in what is known of the schools: Exam average intake,
share of girls and mixed schools; High School and Beyond average status, sector and share of
minorities. It does not look at scores.

Protocol. A split draws the training rows of each school at random, 3, 10 or 25 of each, the others
are tested, and holds all rows of ten schools back. Methods see the same rows. Score: mean log
density of a held-out row under the posterior predictive, and root mean squared error, for the
schools that were trained; the root mean squared error of those held back, which a graph knows
as nodes. All have the intercept in the relation and default priors. "with covariates" predicts the
weights of a school by what the graph is made of. Differences are paired by split.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp

import bayesmtl as bm
from benchmarks.data import SHARED_DATA
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["NeighbourSettings", "Schools", "compare", "read_exam", "read_hsb", "run"]

COLUMNS = (
    "rows a school",
    "method",
    "log density",
    "gain over Exchangeable()",
    "RMSE",
    "RMSE of new schools",
    "s/split",
)
PLAIN, COVARIATES, GRAPH = "Exchangeable()", "Exchangeable(), with covariates", "KnownGraph(...)"


@dataclass(frozen=True)
class NeighbourSettings:
    """How much to run.

    Parameters
    ----------
    sizes : tuple of int
        Training rows of a school.
    n_splits, neighbours, held_back : int
    draws, tune, chains : int
    seed : int
    """

    sizes: tuple[int, ...] = (3, 10, 25)
    n_splits: int = 5
    neighbours: int = 4
    held_back: int = 10
    draws: int = 500
    tune: int = 300
    chains: int = 2
    seed: int = 1


class Schools(NamedTuple):
    """Rows of schools, and what is known of the schools.

    Parameters
    ----------
    name : str
    frame : DataFrame
        Columns ``task`` (text), ``y``, the features, and the covariates of the schools.
    formula : str
    covariates : tuple of str
    """

    name: str
    frame: pd.DataFrame
    formula: str
    covariates: tuple[str, ...]


def _read(name: str, folder: Path) -> pd.DataFrame | None:
    path = folder / f"{name}.csv.gz"
    return pd.read_csv(path, dtype={"task": str}) if path.exists() else None


def read_exam(folder: Path = SHARED_DATA) -> Schools | None:
    """None where the file is not there."""
    data = _read("exam", folder)
    if data is None:
        return None
    data = data.assign(girl=(data["sex"] == "F").astype(float))
    data["girls"] = data.groupby("task")["girl"].transform("mean")
    data["mixed"] = (data["schgend"] == "mixed").astype(float)
    return Schools("Exam", data, "y ~ standLRT + girl", ("schavg", "girls", "mixed"))


def read_hsb(folder: Path = SHARED_DATA) -> Schools | None:
    """None where the file is not there."""
    data = _read("hsb82", folder)
    if data is None:
        return None
    data = data.assign(
        minority=(data["minrty"] == "Yes").astype(float),
        girl=(data["sx"] == "Female").astype(float),
    )
    data["minorities"] = data.groupby("task")["minority"].transform("mean")
    data["catholic"] = (data["sector"] == "Catholic").astype(float)
    covariates = ("meanses", "minorities", "catholic")
    return Schools("High School and Beyond", data, "y ~ ses + minority + girl", covariates)


def _splits(
    schools: Schools, settings: NeighbourSettings, size: int
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """Training rows, test rows of the same schools, rows of the schools held back."""
    frame = schools.frame
    labels = np.array(sorted(frame["task"].unique()))
    for split in range(settings.n_splits):
        rng = np.random.default_rng([settings.seed, size, split])
        back = rng.choice(labels, settings.held_back, replace=False)
        kept = frame[~frame["task"].isin(back)]
        order = rng.permutation(len(kept))
        rank = kept.iloc[order].groupby("task").cumcount().reindex(kept.index)
        yield kept[rank < size], kept[rank >= size], frame[frame["task"].isin(back)]


def _models(schools: Schools, settings: NeighbourSettings) -> dict[str, bm.Model]:
    table = schools.frame.groupby("task")[list(schools.covariates)].first().reset_index()
    graph = bm.nearest_neighbour_graph(table, settings.neighbours, labels="task")

    def model(relation: Any, **other: Any) -> bm.Model:
        return bm.Model(schools.formula, "task", relation, intercept="relation", **other)

    covariates = "~ " + " + ".join(schools.covariates)
    return {
        PLAIN: model(bm.Exchangeable()),
        COVARIATES: model(bm.Exchangeable(), task_features=covariates),
        GRAPH: model(bm.KnownGraph(graph)),
    }


def _score(
    model: bm.Model,
    parts: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    settings: NeighbourSettings,
    seed: int,
) -> tuple[float, float, float, float, float]:
    """Log density, RMSE, RMSE of new schools, seconds, and rho (NaN without a graph)."""
    train, test, back = parts
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
    density = float((logsumexp(flat, axis=0) - np.log(len(flat))).mean())
    inside = bm.predict(idata, test, as_frame=True)["mean"].to_numpy()
    outside = bm.predict(idata, back, new_task="population", as_frame=True)["mean"].to_numpy()
    rho = float(idata["posterior"]["rho"].mean()) if "rho" in idata["posterior"] else np.nan
    return (
        density,
        float(np.sqrt(np.mean((inside - test["y"]) ** 2))),
        float(np.sqrt(np.mean((outside - back["y"]) ** 2))),
        time.perf_counter() - start,
        rho,
    )


def compare(schools: Schools, settings: NeighbourSettings) -> list[tuple[object, ...]]:
    """A row for each size and method."""
    rows: list[tuple[object, ...]] = []
    models = _models(schools, settings)
    for size in settings.sizes:
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in models}
        for k, parts in enumerate(_splits(schools, settings, size)):
            for name, model in models.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", bm.BayesMTLWarning)
                    found[name].append(_score(model, parts, settings, seed=k))
        plain = np.array(found[PLAIN])
        for name, values in found.items():
            table = np.array(values)
            gain = table[:, 0] - plain[:, 0]
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
            shown = "" if name == PLAIN else f"{gain.mean():+.4f} ± {error:.4f}"
            of = f"{name}, rho {table[:, 4].mean():.2f}" if "Graph" in name else name
            means = table.mean(axis=0)
            rows.append(
                (size, of, f"{means[0]:.4f}", shown, *(f"{x:.4f}" for x in means[1:3]), means[3])
            )
    return rows


def run(settings: NeighbourSettings) -> None:
    """Print a table for each collection."""
    for read in (read_exam, read_hsb):
        schools = read()
        if schools is None:
            print(f"skipped: the data are not in {SHARED_DATA}")
            continue
        heading(
            f"{schools.name}: {settings.n_splits} splits, {settings.neighbours} nearest schools, "
            f"{settings.chains} chains x ({settings.tune} + {settings.draws})"
        )
        rows = compare(schools, settings)
        print_table(COLUMNS, rows)
        for size, method, _, gain, *_ in rows:
            if gain:
                headline(f"gain in log density over {PLAIN}, {size} rows, {method}", gain)
        print(load_average(), flush=True)
