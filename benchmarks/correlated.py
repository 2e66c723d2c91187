"""Accuracy where tasks may be correlated: SARCOS, Parkinsons, Computer survey and School.

Protocol. A split chooses training rows; all methods of a run see the same rows. Sizes are rows of
each task, few, so that sharing matters.

- SARCOS: 7 torques of a robot arm are the tasks, 25, 50 or 100 rows of each drawn at random, by
  task (the tasks see different states), tested on up to 1,000 others of each. Torques have
  different units: each task's response is standardised by its training rows, for every method.
  Score: normalised mean squared error, MSE over the variance of the test responses, in percent, a
  mean over tasks.
- Parkinsons: total UPDRS of 42 patients, 5, 10 or 20 random rows of each, tested on the others.
  Score: explained variance in percent, about the mean of all test rows.
- Computer survey: ratings of 20 computers by 190 people, 8 or 16 computers drawn at random for each
  person, tested on the others (16 leave the usual 4). Score: root mean squared error, over the
  ratings of each person and then a mean over people.
- School: the published splits; explained variance as in `benchmarks.school`.

Baselines standardise the features on the training rows and choose their penalties by 5-fold
cross-validation inside these. Ours has default priors and one noise sd a task. Nothing is chosen on
test rows. The repository holds no published figure for these protocols with its source, so none is
printed; figures of other splits do not compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from benchmarks.baselines import BASELINES, Rows, cross_validated, explained_variance
from benchmarks.data import (
    SPLITS,
    Example,
    read_computer,
    read_parkinsons,
    read_sarcos,
    read_school,
)
from benchmarks.landmine import rows_per_task
from benchmarks.own import fit_and_predict
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = [
    "COLLECTIONS",
    "COLUMNS",
    "EXCHANGEABLE",
    "PARTS",
    "SINGLE_AND_SHARED",
    "Collection",
    "CorrelatedSettings",
    "compare",
    "mean_rmse",
    "normalised_error",
    "run",
    "split",
    "task_map",
]

COLUMNS = (
    "method",
    "score",
    "sd",
    "better than Exchangeable()",
    "90% intervals hold %",
    "s/split",
    "cpu s/split",
    "tuned to",
)
EXCHANGEABLE = "Exchangeable()"
_ALONE: dict[str, Any] = {
    EXCHANGEABLE: bm.Exchangeable(),
    "Exchangeable(full)": bm.Exchangeable(feature_covariance="full"),
}
_MATRIX = "MatrixNormal({}, {})"
FEW_TASKS = _ALONE | {
    _MATRIX.format(task, feature): bm.MatrixNormal(task, feature)
    for task, feature in (
        ("full", "diagonal"),
        ("full", "full"),
        ("full", "identity"),
        ("low_rank", "diagonal"),
    )
}
MANY_TASKS = _ALONE | {
    _MATRIX.format("low_rank", feature): bm.MatrixNormal("low_rank", feature)
    for feature in ("diagonal", "full", "identity")
}
SINGLE_AND_SHARED = {name: BASELINES[name] for name in BASELINES if name != "task means, shrunk"}
_MOST_TESTED = 1000
_MOST_SHOWN = 12


class Collection(NamedTuple):
    """Data, and how they are split and judged.

    Parameters
    ----------
    read : callable
        None where the file is not there.
    sizes : tuple of int
        Training rows of each task; 0 for splits that are columns of the frame.
    score_name : str
    score : callable
        Of responses, predictions and task codes of the test rows.
    higher : bool
        Whether a higher score is better.
    own_units : bool
        Whether responses are standardised by the training rows of their task.
    relations : dict of {name: relation}
    """

    read: Callable[[], Example | None]
    sizes: tuple[int, ...]
    score_name: str
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    higher: bool
    own_units: bool
    relations: dict[str, Any]


@dataclass(frozen=True)
class CorrelatedSettings:
    """Data sets, and the lengths of the fits.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    n_splits : int
        Of each size.
    draws, tune, chains : int
    seed : int
    """

    parts: tuple[str, ...] = ("sarcos", "parkinsons", "computer", "school")
    n_splits: int = 5
    draws: int = 400
    tune: int = 400
    chains: int = 2
    seed: int = 1


def normalised_error(response: np.ndarray, predicted: np.ndarray, task: np.ndarray) -> float:
    """Mean over tasks of squared errors over the variance of the responses, in percent."""
    return _over_tasks(
        lambda y, p: 100.0 * float(np.mean((y - p) ** 2) / y.var()), response, predicted, task
    )


def mean_rmse(response: np.ndarray, predicted: np.ndarray, task: np.ndarray) -> float:
    """Mean over tasks of root mean squared errors."""
    return _over_tasks(
        lambda y, p: float(np.sqrt(np.mean((y - p) ** 2))), response, predicted, task
    )


def _over_tasks(
    score: Callable[[np.ndarray, np.ndarray], float],
    response: np.ndarray,
    predicted: np.ndarray,
    task: np.ndarray,
) -> float:
    each = [score(response[task == t], predicted[task == t]) for t in np.unique(task)]
    return float(np.mean(each))


def _explained(response: np.ndarray, predicted: np.ndarray, task: np.ndarray) -> float:
    return explained_variance(response, predicted)


COLLECTIONS = {
    "sarcos": Collection(
        read_sarcos, (25, 50, 100), "nMSE %", normalised_error, False, True, FEW_TASKS
    ),
    "parkinsons": Collection(
        read_parkinsons, (5, 10, 20), "explained %", _explained, True, False, MANY_TASKS
    ),
    "computer": Collection(read_computer, (8, 16), "RMSE", mean_rmse, False, False, MANY_TASKS),
    "school": Collection(read_school, (0,), "explained %", _explained, True, False, MANY_TASKS),
}
PARTS = tuple(COLLECTIONS)


def run(settings: CorrelatedSettings) -> None:
    """Print the comparison on each data set that is asked for, or why there is none."""
    for part in PARTS:
        if part in settings.parts:
            example = COLLECTIONS[part].read()
            if example is None:
                print(f"{part}: skipped, its file is not in ../shared/data")
            else:
                compare(example, COLLECTIONS[part], settings)


class _Score(NamedTuple):
    score: float
    inside: float
    seconds: float
    cpu_seconds: float
    tuned: str


def compare(example: Example, collection: Collection, settings: CorrelatedSettings) -> None:
    """Print the scores of every method, and a map of the tasks, by training size."""
    for size in collection.sizes:
        scores: dict[str, list[_Score]] = {}
        shown: tuple[str, str] | None = None
        for number in range(settings.n_splits):
            seed = settings.seed + number
            train, test = split(example, collection, size, number, settings)
            codes = np.unique(test["task"], return_inverse=True)[1]
            for name, relation in collection.relations.items():
                found = fit_and_predict(
                    example,
                    relation,
                    train,
                    test,
                    draws=settings.draws,
                    tune=settings.tune,
                    chains=settings.chains,
                    seed=seed,
                )
                if shown is None and name.startswith("MatrixNormal"):
                    shown = name, task_map(found.tree)
                score = collection.score(test["y"].to_numpy(), found.mean, codes)
                took = found.seconds, found.cpu_seconds
                inside = 100.0 * float(found.inside.mean())
                scores.setdefault(name, []).append(_Score(score, inside, *took, ""))
            for name, found_score in _baselines(example, collection, train, test, seed):
                scores.setdefault(name, []).append(found_score)
        _print_scores(example, collection, size, settings, scores)
        if shown is not None:
            print(f"{shown[0]}, first split:\n{shown[1]}", flush=True)


def split(
    example: Example, collection: Collection, size: int, number: int, settings: CorrelatedSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows."""
    frame = example.frame.assign(y=example.frame["y"].astype(float))
    if size:
        rng = np.random.default_rng([settings.seed, size, number])
        inside = rows_per_task(frame, size, rng)
        train, test = frame[inside], frame[~inside]
        # In a random order, so that the first rows of each task are a sample.
        test = test.iloc[rng.permutation(len(test))].groupby("task").head(_MOST_TESTED)
    else:
        inside = frame[SPLITS[number]].to_numpy() == 1
        train, test = frame[inside], frame[~inside]
    if not collection.own_units:
        return train, test
    unit = train.groupby("task")["y"].agg(["mean", "std"])
    center, scale = (unit[name].to_dict() for name in ("mean", "std"))
    return (
        train.assign(y=(train["y"] - train["task"].map(center)) / train["task"].map(scale)),
        test.assign(y=(test["y"] - test["task"].map(center)) / test["task"].map(scale)),
    )


def _baselines(
    example: Example,
    collection: Collection,
    train: pd.DataFrame,
    test: pd.DataFrame,
    seed: int,
) -> Iterator[tuple[str, _Score]]:
    labels = np.unique(example.frame["task"])
    rows, held = (
        Rows(
            part[list(example.features)].to_numpy(dtype=float),
            part["y"].to_numpy(),
            np.searchsorted(labels, part["task"].to_numpy()),
        )
        for part in (train, test)
    )
    for name, (predict, candidates) in SINGLE_AND_SHARED.items():
        started = time.perf_counter(), time.process_time()
        predicted, best = cross_validated(predict, candidates, rows, held, seed)
        took = time.perf_counter() - started[0], time.process_time() - started[1]
        tuned = "/".join(f"{value:g}" for value in best)
        score = collection.score(held.response, predicted, held.task)
        yield name, _Score(score, float("nan"), *took, tuned)


def _print_scores(
    example: Example,
    collection: Collection,
    size: int,
    settings: CorrelatedSettings,
    scores: dict[str, list[_Score]],
) -> None:
    n_tasks = example.frame["task"].nunique()
    heading(
        f"correlated tasks, {example.name}: {n_tasks} tasks, {len(example.features)} features, "
        + (f"{size} training rows a task, " if size else "published splits, ")
        + f"{settings.n_splits} splits; ours {settings.chains} chains x "
        f"({settings.tune} + {settings.draws})"
    )
    print(
        f"{collection.score_name}: {'larger' if collection.higher else 'smaller'} is better; mean "
        "and sd over splits, and paired difference to Exchangeable(),\npositive where better, ± "
        f"its standard error. No published figure is at hand. Load {load_average()}."
    )
    base = np.array([one.score for one in scores[EXCHANGEABLE]])
    sign = 1.0 if collection.higher else -1.0
    rows = []
    for name, found in scores.items():
        values = np.array([one.score for one in found])
        several = len(values) > 1
        gain = sign * (values - base)
        error = f" ± {gain.std(ddof=1) / np.sqrt(len(gain)):.3f}" if several else ""
        rows.append(
            (
                name,
                f"{values.mean():.3f}",
                f"{values.std(ddof=1):.3f}" if several else "-",
                "-" if name == EXCHANGEABLE else f"{gain.mean():+.3f}{error}",
                float(np.mean([one.inside for one in found])),
                float(np.mean([one.seconds for one in found])),
                float(np.mean([one.cpu_seconds for one in found])),
                pd.Series([one.tuned for one in found]).mode()[0],
            )
        )
    print_table((COLUMNS[0], collection.score_name, *COLUMNS[2:]), rows)
    base_row, own = (next(r for r in rows if r[0].startswith(n)) for n in (EXCHANGEABLE, "Matrix"))
    size_name = f", {size} rows" if size else ""
    what = f"{collection.score_name}, {example.name}{size_name}, {own[0]}"
    headline(what, own[1], EXCHANGEABLE, base_row[1])


def task_map(tree: xr.DataTree) -> str:
    """Correlations of the weights of tasks: means below the diagonal, P(> 0) above it, in percent.

    Of the first 12 tasks; summaries are of all pairs.
    """
    found = tree["task_relations"]["task_correlation"]
    mean = found.sel(statistic="mean").to_numpy()
    positive = found.sel(statistic="p_positive").to_numpy()
    labels = [str(label) for label in found["task"].to_numpy()][:_MOST_SHOWN]
    width = max(6, *(len(label) + 1 for label in labels))
    lines = ["".join([" " * width, *(label.rjust(width) for label in labels)])]
    for i, label in enumerate(labels):
        cells = [
            "." if i == j else f"{mean[i, j]:+.2f}" if j < i else f"{100 * positive[i, j]:.0f}%"
            for j in range(len(labels))
        ]
        lines.append("".join([label.rjust(width), *(cell.rjust(width) for cell in cells)]))
    pairs = np.tril_indices(len(mean), k=-1)
    low, middle, high = np.quantile(mean[pairs], [0.05, 0.5, 0.95])
    certain = positive[pairs]
    prior = float(tree["task_relations"]["prior_task_correlation"].sel(statistic="sd"))
    lines.append(
        f"Posterior means below the diagonal, P(> 0) above it. Of all {len(certain):,} pairs: "
        f"median {middle:+.2f}, 90% in\n[{low:+.2f}, {high:+.2f}]; P(> 0) above 95% in "
        f"{100 * (certain > 0.95).mean():.0f}%, below 5% in {100 * (certain < 0.05).mean():.0f}%. "
        f"Prior: 0 ± {prior:.2f}."
    )
    if "rank_probability" in tree["task_relations"]:
        shown = tree["task_relations"]["rank_probability"].to_numpy()
        lines.append("Factors: " + ", ".join(f"{k}: {p:.2f}" for k, p in enumerate(shown) if p))
    return "\n".join(lines)
