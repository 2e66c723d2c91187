"""Explained variance and coverage on the ten published splits of School, and tuned baselines."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

import bayesmtl as bm
from benchmarks.baselines import BASELINES, Rows, cross_validated, explained_variance
from benchmarks.data import SPLITS, Example, read_school
from benchmarks.own import fit_and_predict
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["SchoolSettings", "compare", "run"]

COLUMNS = ("method", "explained %", "sd", "coverage of 90% %", "s/split", "tuned to")
OURS = {
    "Exchangeable, full": bm.Exchangeable(feature_covariance="full"),
    "Exchangeable": bm.Exchangeable(),
}


@dataclass(frozen=True)
class SchoolSettings:
    """How many splits, and the lengths of the fits."""

    n_splits: int = 10
    draws: int = 500
    tune: int = 500
    chains: int = 2
    seed: int = 1


def run(settings: SchoolSettings) -> None:
    """Print the comparison, or why there is none."""
    heading("accuracy on School")
    example = read_school()
    if example is None:
        print("School: skipped, ../shared/data/school.csv.gz is not there")
        return
    compare(example, SPLITS[: settings.n_splits], settings)


def compare(example: Example, splits: tuple[str, ...], settings: SchoolSettings) -> None:
    """Print explained variance (about the mean of all test rows) and coverage of every method.

    Parameters
    ----------
    example : Example
    splits : tuple of str
        Columns that are 1 in the training rows.
    settings : SchoolSettings
    """
    print(
        f"{len(splits)} splits, all {len(example.features)} features; ours: {settings.chains} "
        f"chains, {settings.tune} + {settings.draws}, Gaussian() with one noise sd a task.\n"
        "Targets: ours at least 38.4 explained, coverage 88-92.",
        flush=True,
    )
    scores: dict[str, list[tuple[float, float, float, str]]] = {}
    for number, split in enumerate(splits):
        inside = example.frame[split].to_numpy() == 1
        train, test = example.frame[inside], example.frame[~inside]
        for name, relation in OURS.items():
            score = _ours(example, relation, train, test, settings, settings.seed + number)
            scores.setdefault(name, []).append(score)
        codes = np.unique(example.frame["task"], return_inverse=True)[1]
        every = Rows(
            example.frame[list(example.features)].to_numpy(dtype=float),
            example.frame["y"].to_numpy(dtype=float),
            codes,
        )
        for name, (predict, candidates) in BASELINES.items():
            started = time.perf_counter()
            held = every.take(~inside)
            predicted, best = cross_validated(
                predict, candidates, every.take(inside), held, settings.seed
            )
            seconds = time.perf_counter() - started
            tuned = "/".join(f"{value:g}" for value in best)
            explained = explained_variance(held.response, predicted)
            scores.setdefault(name, []).append((explained, float("nan"), seconds, tuned))
    lines = {name: _line(name, found) for name, found in scores.items()}
    print_table(COLUMNS, list(lines.values()))
    best = max(BASELINES, key=lambda name: float(str(lines[name][1])))
    for name in OURS:
        what = f"variance explained, %, {len(splits)} splits, {name}"
        headline(what, lines[name][1], f"{best}, tuned", lines[best][1])
        headline(f"90% intervals hold, %, {name}", lines[name][3])
    print(f"load {load_average()}")


def _ours(
    example: Example,
    relation: bm.Exchangeable,
    train: pd.DataFrame,
    test: pd.DataFrame,
    settings: SchoolSettings,
    seed: int,
) -> tuple[float, float, float, str]:
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
    explained = explained_variance(test["y"].to_numpy(dtype=float), found.mean)
    return explained, 100.0 * float(found.inside.mean()), found.seconds, ""


def _line(name: str, found: list[tuple[float, float, float, str]]) -> tuple[object, ...]:
    explained = np.array([one[0] for one in found])
    tuned = pd.Series([one[3] for one in found]).mode()[0]
    return (
        name,
        f"{explained.mean():.2f}",
        f"{explained.std(ddof=1):.2f}" if len(found) > 1 else "-",
        f"{np.mean([one[1] for one in found]):.1f}" if found[0][1] == found[0][1] else "-",
        float(np.mean([one[2] for one in found])),
        tuned,
    )
