"""Multi-task Gaussian processes: accuracy on soil, speed against peers, rows and calibration."""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from bayesmtl.errors import BayesMTLWarning
from bayesmtl.inference.chains import available_cores
from bayesmtl.numerics.kernels import (
    hilbert_basis,
    hilbert_frequencies,
    kernel_matrix,
    spectral_density,
)
from benchmarks.effective import Mixing, correlation_elements, mixing
from benchmarks.jura import COLUMNS, SoilSettings, compare_soil, read_soil
from benchmarks.peers.botorch_saas import botorch_missing, run_saas
from benchmarks.peers.coregion import KEPT, coregion_model
from benchmarks.peers.nuts import sample_in_box
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = [
    "PARTS",
    "FunctionsSettings",
    "compare_speed",
    "coverage",
    "many_rows",
    "run",
    "simulate_functions",
    "simulate_many",
]

PARTS = ("jura", "speed", "rows", "coverage")
# Correlations of both signs.
_FOUR = np.array(
    [[1.0, 0.7, -0.6, 0.2], [0.7, 1.0, -0.5, 0.4], [-0.6, -0.5, 1.0, -0.3], [0.2, 0.4, -0.3, 1.0]]
)
# Two pairs of tasks, of which nothing says anything of the other.
_PAIRS = np.array(
    [[1.0, 0.8, 0.0, 0.0], [0.8, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -0.8], [0.0, 0.0, -0.8, 1.0]]
)
_NOISE_SD, _LENGTH = 0.3, 0.4
_FINE = 60
_TARGET_SECONDS = 120.0


@dataclass(frozen=True)
class FunctionsSettings:
    """Parts and sizes.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    peers : bool
        Whether to run GPyTorch, PyMC and BoTorch.
    peer_python : str
        Interpreter that has BoTorch.
    soil : SoilSettings
    points : int
        Of each task, of the speed.
    draws, tune, chains : int
        Of the speed, ours.
    nuts_draws, nuts_tune, nuts_chains : int
        Of PyMC and of the exact method.
    nuts_seconds, saas_seconds : float
        Time boxes of PyMC and of BoTorch.
    n_rows, n_tasks, row_draws, row_tune, row_chains : int
        Of the many rows.
    row_basis : int, optional
        Functions of each input, by default as many as the length-scales need.
    sets, set_points, set_draws, set_tune, set_chains : int
        Of the calibration.
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    peers: bool = True
    peer_python: str = sys.executable
    soil: SoilSettings = field(default_factory=SoilSettings)
    points: int = 40
    draws: int = 1000
    tune: int = 250
    chains: int = 4
    nuts_draws: int = 1000
    nuts_tune: int = 1000
    nuts_chains: int = 2
    nuts_seconds: float = 300.0
    saas_seconds: float = 600.0
    n_rows: int = 1_000_000
    n_tasks: int = 5
    row_draws: int = 150
    row_tune: int = 100
    row_chains: int = 2
    row_basis: int | None = None
    sets: int = 40
    set_points: int = 30
    set_draws: int = 400
    set_tune: int = 300
    set_chains: int = 2
    seed: int = 1


class Sampled(NamedTuple):
    """Draws of correlations of tasks by one method.

    Parameters
    ----------
    name : str
    correlation : (chain, draw, task, task)
    seconds : float
        Tuning and draws, without compilation.
    note : str
    """

    name: str
    correlation: np.ndarray
    seconds: float
    note: str

    @property
    def mixing(self) -> Mixing:
        """Of the correlations."""
        return mixing({"correlation": correlation_elements(self.correlation)})


def run(settings: FunctionsSettings) -> None:
    """Print the parts that are asked for."""
    if "jura" in settings.parts:
        _jura(settings)
    if "speed" in settings.parts:
        _speed(settings)
    if "rows" in settings.parts:
        _rows(settings)
    if "coverage" in settings.parts:
        heading(
            f"90% intervals of correlations: {settings.sets} data sets of 4 tasks x "
            f"{settings.set_points} rows, 'gibbs'"
        )
        columns = ("truth", "pairs", "mean", "bias", "its error", "sd", "90% intervals hold")
        table = coverage(settings)
        print_table(columns, table)
        for truth, *_, held in table[:-1]:
            headline(f"90% intervals of a correlation {truth} of functions hold", held)


def _jura(settings: FunctionsSettings) -> None:
    soil = read_soil()
    if soil is None:
        print("jura: skipped, its file is not in ../shared/data")
        return
    heading(
        f"cadmium at {len(soil.new)} sites of the Jura from {len(soil.known)} rows of three "
        f"metals, ours by 'map', load {load_average()}"
    )
    table = compare_soil(soil, settings.soil)
    print_table(COLUMNS, table)
    chosen = next(row for row in table if row[-1])
    same = {row[0]: row for row in table if row[1:3] == chosen[1:3]}
    for name, row in same.items():
        if name != chosen[0]:
            what = f"error at new sites, ppm, {chosen[0]} of {chosen[1]}, {chosen[2]}"
            headline(what, chosen[3], str(name), row[3])
    headline("90% intervals hold, new sites", chosen[4])


def simulate_functions(
    correlation: np.ndarray, points: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Functions of a Matern 5/2 process on [-1, 1], every task at inputs of its own."""
    n_tasks = len(correlation)
    x = rng.uniform(-1.0, 1.0, n_tasks * points)
    task = np.repeat(np.arange(n_tasks), points)
    kernel = kernel_matrix("matern52", x[:, None], x[:, None], np.array([_LENGTH]))
    covariance = correlation[task[:, None], task] * kernel
    covariance[np.diag_indices(len(x))] += _NOISE_SD**2
    y = np.linalg.cholesky(covariance) @ rng.normal(size=len(x))
    return pd.DataFrame({"task": task, "x": x, "y": y})


def _fit(
    frame: pd.DataFrame,
    formula: str,
    inference: str,
    sizes: tuple[int, int, int],
    seed: int,
    **options: int,
) -> xr.DataTree:
    draws, tune, chains = sizes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        return bm.MultiTaskGP(formula, "task").fit(
            frame,
            inference=inference,
            draws=draws,
            tune=tune,
            chains=chains,
            random_seed=seed,
            progressbar=False,
            **options,
        )


def compare_speed(settings: FunctionsSettings) -> list[Sampled]:
    """Draws of every method that could run; what could not is said."""
    rng = np.random.default_rng(settings.seed)
    frame = simulate_functions(_FOUR, settings.points, rng)
    own = settings.draws, settings.tune, settings.chains
    nuts = settings.nuts_draws, settings.nuts_tune, settings.nuts_chains
    out = []
    for inference, sizes in (("gibbs", own), ("nuts", nuts)):
        # Compiles, so that the second is timed.
        _fit(frame, "y ~ x", inference, (2, 2, 1), settings.seed)
        started = time.perf_counter()
        tree = _fit(frame, "y ~ x", inference, sizes, settings.seed)
        took = time.perf_counter() - started
        draws = tree["posterior"]["task_correlation"].to_numpy()
        out.append(Sampled(f"ours, {inference!r}", draws, took, _length(sizes)))
    if settings.peers:
        out.extend(one for one in (_by_hand(frame, settings), _saas(frame, settings)) if one)
    return out


def _length(sizes: tuple[int, int, int]) -> str:
    return f"{sizes[2]} x ({sizes[1]} + {sizes[0]}) draws"


def _by_hand(frame: pd.DataFrame, settings: FunctionsSettings) -> Sampled | None:
    rows = bm.MultiTaskGP("y ~ x", "task").prepare(frame).rows
    chains = settings.nuts_chains
    boxed = sample_in_box(
        coregion_model(rows),
        KEPT,
        tune=settings.nuts_tune,
        draws=settings.nuts_draws,
        chains=chains,
        cores=min(chains, available_cores()),
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if boxed is None:
        print(f"PyMC: too few draws in {settings.nuts_seconds:.0f} s")
        return None
    note = _length((boxed.draws, boxed.tune, chains))
    if not boxed.complete:
        note += f", cut after {settings.nuts_seconds:.0f} s"
    note += f", compiled in {boxed.compile_seconds:.0f} s"
    draws = boxed.posterior["correlation"].to_numpy()
    return Sampled("PyMC by hand, nutpie", draws, boxed.seconds, note)


def _saas(frame: pd.DataFrame, settings: FunctionsSettings) -> Sampled | None:
    missing = botorch_missing(settings.peer_python)
    if missing is not None:
        print(f"SaasFullyBayesianMultiTaskGP: skipped, {missing}")
        return None
    by_task = frame.groupby("task")["y"]
    y = (frame["y"] - by_task.transform("mean")) / by_task.transform("std")
    x = frame[["x"]].to_numpy()
    low, high = x.min(axis=0), x.max(axis=0)
    found = run_saas(
        settings.peer_python,
        ((x - low) / (high - low), frame["task"].to_numpy(), y.to_numpy()),
        fits=2,
        thinning=1,
        limit=settings.saas_seconds,
        seed=settings.seed,
    )
    if found is None:
        print(f"SaasFullyBayesianMultiTaskGP: not done in {settings.saas_seconds:.0f} s")
        return None
    note = f"1 x (512 + 256) draws, first fit {found.seconds[0]:.0f} s"
    name = f"BoTorch {found.version}, SAAS"
    return Sampled(name, found.correlation, float(found.seconds[-1]), note)


def _speed(settings: FunctionsSettings) -> None:
    heading(
        f"effective draws a second of 6 correlations: 4 tasks x {settings.points} points, "
        f"{available_cores()} cores, load {load_average()}"
    )
    found = compare_speed(settings)
    mixings = [one.mixing for one in found]
    rates = [one.ess / sampled.seconds for one, sampled in zip(mixings, found, strict=True)]
    rows = [
        (
            sampled.name,
            one.ess,
            one.median,
            one.rhat,
            sampled.seconds,
            rate,
            one.median / sampled.seconds,
            rates[0] / rate,
            sampled.note,
        )
        for sampled, one, rate in zip(found, mixings, rates, strict=True)
    ]
    columns = ("method", "worst ESS", "median", "R-hat", "s", "worst / s", "median / s")
    print_table((*columns, "'gibbs' is faster by", "lengths"), rows)
    for name, *_, rate, _, _, note in rows[1:]:
        what = "worst ESS a second of correlations of functions"
        headline(what, rows[0][5], f"{name}, {note}", rate)
    print(
        "Seconds are of tuning and draws on the wall, of a fit after one that has compiled.\n"
        "PyMC has the priors of ours. SAAS has a task kernel of positive correlations only, one "
        "noise\nfor all tasks and one chain; every draw of it is kept (by default one in 16)."
    )
    heading("posterior means (and sds) of correlations")
    below = np.column_stack(np.tril_indices(4, k=-1))
    table = []
    for row, column in below.tolist():
        cells = [
            f"{one.correlation[..., row, column].mean():+.3f} "
            f"({one.correlation[..., row, column].std():.3f})"
            for one in found
        ]
        table.append((f"{column + 1} - {row + 1}", f"{_FOUR[row, column]:+.2f}", *cells))
    print_table(("tasks", "truth", *(one.name for one in found)), table)


def simulate_many(
    n_rows: int, n_tasks: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Functions of a Matern 5/2 process on the unit square, and their correlations.

    The length-scale is half a half range. They are drawn in a basis of a box twice as wide, finer
    than any that is fitted.
    """
    loadings = rng.normal(size=(n_tasks, 2))
    covariance = loadings @ loadings.T + 0.3 * np.eye(n_tasks)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    half = np.array([2.0, 2.0])
    frequencies = hilbert_frequencies((_FINE, _FINE), half)
    variance = spectral_density("matern52", frequencies, np.array([0.5, 0.5]))
    normal = np.linalg.cholesky(correlation) @ rng.normal(size=(n_tasks, len(variance)))
    weights = (normal * np.sqrt(variance)).reshape(n_tasks, _FINE, _FINE)
    x = rng.uniform(size=(n_rows, 2))
    task = rng.integers(0, n_tasks, n_rows)
    y = _NOISE_SD * rng.normal(size=n_rows)
    along = hilbert_frequencies((_FINE,), half[:1])
    for t in range(n_tasks):
        mine = np.flatnonzero(task == t)
        for rows in np.array_split(mine, max(1, len(mine) // 20_000)):
            first, second = (
                hilbert_basis(2.0 * x[rows, j : j + 1] - 1.0, along, half[:1]) for j in range(2)
            )
            y[rows] += ((first @ weights[t]) * second).sum(axis=1)
    return pd.DataFrame({"task": task, "x1": x[:, 0], "x2": x[:, 1], "y": y}), correlation


def many_rows(settings: FunctionsSettings) -> list[tuple[object, ...]]:
    """One row: seconds of a fit and the errors of its correlations."""
    rng = np.random.default_rng(settings.seed)
    frame, truth = simulate_many(settings.n_rows, settings.n_tasks, rng)
    sizes = settings.row_draws, settings.row_tune, settings.row_chains
    started = time.perf_counter()
    basis = {} if settings.row_basis is None else {"basis_size": settings.row_basis}
    tree = _fit(frame, "y ~ x1 + x2", "gibbs", sizes, settings.seed, **basis)
    took = time.perf_counter() - started
    draws = correlation_elements(tree["posterior"]["task_correlation"].to_numpy())
    error = draws.mean(axis=(0, 1)) - correlation_elements(truth)
    found = mixing({"correlation": draws})
    size = tree.attrs["inference"]
    verdict = "within" if took <= _TARGET_SECONDS else "misses"
    return [
        (
            f"{settings.n_rows:,}",
            _length(sizes),
            _basis(size),
            took,
            f"{verdict} {_TARGET_SECONDS:.0f} s",
            float(np.abs(error).mean()),
            float(np.abs(error).max()),
            float(draws.std(axis=(0, 1)).mean()),
            found.ess,
            found.rhat,
        )
    ]


def _basis(inference: str) -> str:
    """Functions of each input."""
    return " x ".join(map(str, json.loads(inference)["basis_size"]))


def _rows(settings: FunctionsSettings) -> None:
    heading(
        f"many rows: {settings.n_rows:,} of {settings.n_tasks} tasks, 2 inputs, 'gibbs', load "
        f"{load_average()}"
    )
    columns = ("rows", "draws", "basis", "seconds in all", "target", "mean error of correlations")
    rows = many_rows(settings)
    print_table((*columns, "largest", "posterior sd", "worst ESS", "R-hat"), rows)
    headline(
        f"seconds in all, {rows[0][0]} rows of functions",
        rows[0][3],
        "target",
        f"{_TARGET_SECONDS:.0f}",
    )


def coverage(settings: FunctionsSettings) -> list[tuple[object, ...]]:
    """A row for each true correlation, and one for all: bias and coverage over data sets."""
    sizes = settings.set_draws, settings.set_tune, settings.set_chains
    means, inside, spread = [], [], []
    truth = correlation_elements(_PAIRS)
    for number in range(settings.sets):
        rng = np.random.default_rng([settings.seed, number])
        frame = simulate_functions(_PAIRS, settings.set_points, rng)
        tree = _fit(frame, "y ~ x", "gibbs", sizes, settings.seed + number)
        draws = correlation_elements(tree["posterior"]["task_correlation"].to_numpy())
        low, high = np.quantile(draws, (0.05, 0.95), axis=(0, 1))
        inside.append((low <= truth) & (truth <= high))
        means.append(draws.mean(axis=(0, 1)))
        spread.append(draws.std(axis=(0, 1)))
    mean, sd, held = np.array(means), np.array(spread), np.array(inside)
    rows: list[tuple[object, ...]] = []
    for value in np.unique(truth):
        own = truth == value
        of_sets = mean[:, own].mean(axis=1)
        rows.append(
            (
                f"{value:+.1f}",
                int(own.sum()),
                f"{of_sets.mean():+.3f}",
                f"{of_sets.mean() - value:+.3f}",
                float(of_sets.std(ddof=1) / np.sqrt(settings.sets)),
                float(sd[:, own].mean()),
                f"{100 * held[:, own].mean():.0f}% of {held[:, own].size}",
            )
        )
    rows.append(("all", "", "", "", "", "", f"{100 * held.mean():.0f}% of {held.size}"))
    return rows
