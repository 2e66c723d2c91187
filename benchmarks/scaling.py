"""Seconds and memory of a Gibbs sweep as tasks and rows grow."""

from __future__ import annotations

import functools
import multiprocessing
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.chains import available_cores
from bayesmtl.inference.gibbs import sample_gibbs
from benchmarks.data import formula_of, school_like
from benchmarks.reporting import heading, headline, load_average, print_table, resident_bytes

__all__ = ["Measurement", "ScalingSettings", "measure", "run", "sweep_seconds"]

TASK_COLUMNS = (
    "tasks",
    "s/sweep",
    "cpu s/sweep",
    "cpu us/task",
    "sites GiB",
    "sampling GiB",
    "peak GiB",
    "peak KiB/task",
    "rows to sites s",
    "load",
)
ROW_COLUMNS = ("rows", "ms/sweep", "cpu ms/sweep", "relative cpu", "rows to sites s", "load")


@dataclass(frozen=True)
class ScalingSettings:
    """Sizes and lengths.

    Parameters
    ----------
    task_counts : tuple of int
    rows_per_task, n_features : int
        With growing tasks.
    row_counts : tuple of int
    row_tasks, row_features : int
        With growing rows.
    short, long, row_long : int
        Sweeps of the two runs whose difference in time counts; the long one of growing rows.
    chains : int
        All at once.
    repeats : int
        Pairs of runs; the smallest time counts.
    separate : bool
        Whether each size runs in a process of its own, so that its memory is its own.
    """

    task_counts: tuple[int, ...] = (25_000, 50_000, 100_000)
    rows_per_task: int = 20
    n_features: int = 20
    row_counts: tuple[int, ...] = (15_000, 150_000, 1_500_000)
    row_tasks: int = 139
    row_features: int = 27
    short: int = 2
    long: int = 12
    row_long: int = 402
    chains: int = 2
    repeats: int = 3
    separate: bool = True


class Measurement(NamedTuple):
    """One size.

    Parameters
    ----------
    seconds_per_sweep : float
        All chains make one sweep in this time.
    cpu_per_sweep : float
        Processor seconds of one sweep of one chain, which other programs disturb less.
    prepare_seconds : float
        From the data frame to the sites.
    site_bytes : int
    resident, peak : float
        Bytes that the process holds after sampling, and at most, rows included, beyond what it held
        before it made the data.
    load : str
    """

    seconds_per_sweep: float
    cpu_per_sweep: float
    prepare_seconds: float
    site_bytes: int
    resident: float
    peak: float
    load: str


def measure(
    n_tasks: int,
    n_features: int,
    n_rows: int,
    *,
    full: bool,
    short: int,
    long: int,
    chains: int,
    repeats: int,
) -> Measurement:
    """Simulate, prepare and time sweeps by the difference of a long and a short run.

    Parameters
    ----------
    n_tasks, n_features, n_rows : int
    full : bool
        Full feature covariance; else diagonal.
    short, long, chains, repeats : int
        See `ScalingSettings`.
    """
    before = resident_bytes()
    example = school_like(n_tasks, n_features, n_rows, equal=True)
    covariance = "full" if full else "diagonal"
    model = bm.Model(
        formula_of(example.features),
        task="task",
        relation=bm.Exchangeable(feature_covariance=covariance),
        likelihood=bm.Gaussian(noise="shared"),
    )
    started = time.perf_counter()
    problem = model.prepare(example.frame).problem
    prepare_seconds = time.perf_counter() - started
    del example

    wall, cpu = sweep_seconds(
        problem, model.likelihood, short=short, long=long, chains=chains, repeats=repeats
    )
    return Measurement(
        seconds_per_sweep=wall,
        cpu_per_sweep=cpu,
        prepare_seconds=prepare_seconds,
        site_bytes=sum(array.nbytes for array in problem.sites),
        resident=resident_bytes() - before,
        peak=resident_bytes(peak=True) - before,
        load=load_average(),
    )


def sweep_seconds(
    problem: Problem,
    likelihood: bm.Gaussian,
    *,
    short: int,
    long: int,
    chains: int,
    repeats: int,
) -> tuple[float, float]:
    """Seconds in which all chains make a sweep, and processor seconds of one chain's sweep.

    Parameters
    ----------
    problem : Problem
    likelihood : bayesmtl.Gaussian
    short, long, chains, repeats : int
        See `ScalingSettings`.
    """

    def seconds(sweeps: int) -> np.ndarray:
        return _sampling_seconds(problem, likelihood, sweeps, chains)

    seconds(1)
    times = [(seconds(long) - seconds(short)) / (long - short) for _ in range(repeats)]
    wall, cpu = np.min(times, axis=0)
    return float(wall), float(cpu) / chains


def _sampling_seconds(
    problem: Problem, likelihood: bm.Gaussian, sweeps: int, chains: int
) -> np.ndarray:
    """Seconds on the wall and of the processors."""
    started = np.array([time.perf_counter(), time.process_time()])
    sample_gibbs(
        problem,
        likelihood,
        draws=sweeps,
        tune=0,
        chains=chains,
        cores=min(available_cores(), chains),
        random_seed=1,
        progressbar=False,
        keep_weights=False,
    )
    return np.array([time.perf_counter(), time.process_time()]) - started


def _measure(settings: ScalingSettings, *sizes: int, full: bool, long: int) -> Measurement:
    lengths = {
        "short": settings.short,
        "long": long,
        "chains": settings.chains,
        "repeats": settings.repeats,
    }
    call = functools.partial(measure, *sizes, full=full, **lengths)
    if not settings.separate:
        return call()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call)


def run(settings: ScalingSettings) -> None:
    """Print time and memory against tasks, and time against rows."""
    cores = min(available_cores(), settings.chains)
    heading(
        f"scaling with tasks: {settings.n_features} features, {settings.rows_per_task} rows a "
        f"task, {settings.chains} chains at once on {cores} cores"
    )
    print(
        "Memory counts data frame and rows; sweeps need the sites only. 'cpu' is one chain's time\n"
        "on a processor: on an idle machine equal to s/sweep, on a busy one the better guide.\n"
        "Timed without tuning, when a full covariance makes all updates a chain may need: the\n"
        "dearest sweeps; after tuning most chains do without the costlier ones.\n"
        "Target: under 0.5 s a sweep at 100,000 tasks, memory linear in tasks."
    )
    for full in (False, True):
        print(f"Feature covariance {'full' if full else 'diagonal'}, shared noise:")
        rows = []
        for n_tasks in settings.task_counts:
            sizes = (n_tasks, settings.n_features, n_tasks * settings.rows_per_task)
            found = _measure(settings, *sizes, full=full, long=settings.long)
            rows.append(_task_row(n_tasks, found))
        print_table(TASK_COLUMNS, rows)
        kind = "full" if full else "diagonal"
        headline(f"seconds a sweep, {rows[-1][0]} tasks, {kind} covariance", rows[-1][2])

    heading(
        f"scaling with rows: {settings.row_tasks} tasks, {settings.row_features} features, full "
        f"covariance, {settings.chains} chains at once on {cores} cores. Target: flat."
    )
    table: list[tuple[object, ...]] = []
    first = None
    for n_rows in settings.row_counts:
        sizes = (settings.row_tasks, settings.row_features, n_rows)
        found = _measure(settings, *sizes, full=True, long=settings.row_long)
        first = first or found.cpu_per_sweep
        table.append(
            (
                f"{n_rows:,}",
                1e3 * found.seconds_per_sweep,
                1e3 * found.cpu_per_sweep,
                found.cpu_per_sweep / first,
                found.prepare_seconds,
                found.load,
            )
        )
    print_table(ROW_COLUMNS, table)
    more, fewer = table[-1], table[0]
    headline(f"ms a sweep, {more[0]} rows", more[2], f"the same, {fewer[0]} rows", fewer[2])


def _task_row(n_tasks: int, found: Measurement) -> tuple[object, ...]:
    return (
        f"{n_tasks:,}",
        found.seconds_per_sweep,
        found.cpu_per_sweep,
        1e6 * found.cpu_per_sweep / n_tasks,
        found.site_bytes / 2**30,
        found.resident / 2**30,
        found.peak / 2**30,
        found.peak / n_tasks / 1024,
        found.prepare_seconds,
        found.load,
    )
