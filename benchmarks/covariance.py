"""Correlated tasks: effective draws per second against PyMC, and the time of a sweep.

Rates are of all correlations of two tasks, the worst and the median, bulk, with tuning counted, on
the wall and per second of all processors. The peer is the matrix-normal model that a user of PyMC
would write, non-centred, on the same rows; its run is cut by a time box and then extrapolated in
its favour (see `benchmarks.peers.nuts.NutsRun`). "our graph" is the graph of ``inference="nuts"``,
in the same box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from benchmarks.data import Example, correlated, formula_of, read_school
from benchmarks.effective import Mixing, correlation_elements, mixing
from benchmarks.own import timed_fit
from benchmarks.peers.matrix_normal import KEPT, matrix_normal
from benchmarks.peers.nuts import MINIMUM_DRAWS, NutsRun, sample_in_box
from benchmarks.reporting import heading, headline, load_average, print_table
from benchmarks.scaling import sweep_seconds

__all__ = ["PARTS", "CovarianceSettings", "model_of", "rates", "run", "sweeps"]

PARTS = ("rates", "sweeps")
FULL = bm.MatrixNormal("full")
LOW_RANK = bm.MatrixNormal("low_rank")
GRAPHS = (bm.SparseGraph(), bm.SparseGraph("horseshoe"))
_NAMES = {
    LOW_RANK: 'MatrixNormal("low_rank")',
    GRAPHS[0]: "SparseGraph()",
    GRAPHS[1]: 'SparseGraph("horseshoe")',
}
RATE_COLUMNS = (
    "method",
    "worst ESS/s",
    "median ESS/s",
    "worst ESS/cpu s",
    "worst ESS",
    "median ESS",
    "R-hat",
    "s",
    "cpu s",
    "load",
)
SWEEP_COLUMNS = ("data", "tasks", "features", "ms/sweep", "cpu ms/sweep", "target", "load")
_RATIO_TARGET = 300


@dataclass(frozen=True)
class CovarianceSettings:
    """Parts, sizes and lengths.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    n_tasks, n_features, rows_per_task : int
        Of the rates.
    noise_sds : tuple of float
        One data set each: with little noise the data determine the weights, which is where
        non-centred weights mix slowly.
    draws, tune, chains : int
        Of ours.
    repeats : int
        Runs of ours with different seeds; the median counts.
    peers : bool
    nuts_seconds : float
        Time box of each run of NUTS.
    nuts_length : tuple of (tune, draws)
    nuts_chains : int
    sweep_tasks, sweep_features, sweep_rows : int
        Of the simulated tasks whose sweeps are timed; rows of each task.
    graphs : tuple of (tasks, factor of sweep_counts, target)
    graph_features, graph_rows : int
        Of the tasks that an unknown graph links.
    sweep_counts : tuple of (short, long)
        Sweeps of the two runs whose difference in time counts; ten times as many on School.
    school : bool
        Whether to time sweeps on School too, where it is.
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    n_tasks: int = 10
    n_features: int = 20
    rows_per_task: int = 30
    noise_sds: tuple[float, ...] = (1.0, 0.2)
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    repeats: int = 3
    peers: bool = True
    nuts_seconds: float = 300.0
    nuts_length: tuple[int, int] = (1000, 1000)
    nuts_chains: int = 2
    sweep_tasks: int = 5000
    sweep_features: int = 50
    sweep_rows: int = 60
    sweep_counts: tuple[int, int] = (2, 12)
    graphs: tuple[tuple[int, int, str], ...] = ((50, 10, "15 ms"), (200, 1, "1,000 ms"))
    graph_features: int = 4
    graph_rows: int = 20
    school: bool = True
    seed: int = 1


class _Rate(NamedTuple):
    """Worst and median effective draws per second, and correlations (task, task) on average."""

    worst: float
    median: float
    per_cpu: float
    correlation: np.ndarray


def run(settings: CovarianceSettings) -> None:
    """Print the parts that are asked for."""
    if "rates" in settings.parts:
        for noise_sd in settings.noise_sds:
            rates(settings, noise_sd)
    if "sweeps" in settings.parts:
        sweeps(settings)


def rates(settings: CovarianceSettings, noise_sd: float) -> None:
    """Print effective draws per second of ours and of NUTS on the same simulated rows."""
    sizes = settings.n_tasks, settings.n_features, settings.rows_per_task
    example = correlated(*sizes, noise_sd=noise_sd)
    cores = min(available_cores(), settings.nuts_chains)
    heading(
        f"correlated tasks, speed: {settings.n_tasks} tasks x {settings.n_features} features x "
        f"{settings.rows_per_task} rows a task, noise sd {noise_sd:g}"
    )
    print(
        f"Full task covariance, diagonal feature covariance, shared noise; bulk ESS of "
        f"{settings.n_tasks * (settings.n_tasks - 1) // 2} task correlations; tuning counts.\n"
        f"Ours: {settings.chains} chains on {min(available_cores(), settings.chains)} cores, "
        f"{settings.tune} + {settings.draws}, by repeats; rates by the seconds of sampling, per "
        f"processor\nsecond by those of the whole fit. NUTS: nutpie, {settings.nuts_chains} chains "
        f"on {cores} cores, {settings.nuts_length[0]} + {settings.nuts_length[1]}, time box "
        f"{settings.nuts_seconds:g} s.",
        flush=True,
    )
    rows: list[tuple[object, ...]] = []
    ours = _ours(example, settings, rows)
    if settings.peers:
        for name, graph, kept in (
            ("PyMC, LKJ(1), by hand", matrix_normal(example), KEPT),
            ("our graph", _graph(example), ("task_covariance",)),
        ):
            found = _nuts(name, graph, kept, settings, rows)
            if found is not None:
                apart = np.abs(found.correlation - ours.correlation).max()
                print(
                    f"Ours over {name}: {ours.worst / found.worst:,.3g} (worst; target "
                    f"{_RATIO_TARGET}), {ours.median / found.median:,.3g} (median), "
                    f"{ours.per_cpu / found.per_cpu:,.3g} (worst, per processor second); posterior "
                    f"mean\n  correlations differ by at most {apart:.2f}"
                    + (" (priors differ)." if kept == KEPT else " (same priors)."),
                    flush=True,
                )
                what = f"worst ESS a second of task correlations, noise sd {noise_sd:g}"
                headline(what, ours.worst, f"{name}, nutpie", found.worst)
    print_table(RATE_COLUMNS, rows)


def model_of(example: Example, relation: Any) -> bm.Model:
    """Correlated tasks with shared noise."""
    return bm.Model(
        formula_of(example.features),
        task="task",
        relation=relation,
        likelihood=bm.Gaussian(noise="shared"),
    )


def _graph(example: Example) -> Any:
    return model_of(example, FULL).to_pymc(example.frame, likelihood="sites")


def _ours(example: Example, settings: CovarianceSettings, rows: list[tuple[object, ...]]) -> _Rate:
    """The run of median rate; all are appended to the rows of the table."""
    lengths = {"draws": settings.draws, "tune": settings.tune, "chains": settings.chains}
    runs = []
    for repeat in range(settings.repeats):
        model, seed = model_of(example, FULL), settings.seed + repeat
        fit = timed_fit(model, example.frame, **lengths, seed=seed)
        values = fit.tree["posterior"]["task_correlation"].to_numpy()
        found = mixing({"correlation": correlation_elements(values)})
        rate = _Rate(
            found.ess / fit.sampling_seconds,
            found.median / fit.sampling_seconds,
            found.ess / fit.cpu_seconds,
            values.mean(axis=(0, 1)),
        )
        runs.append(rate)
        rows.append(_row("ours", rate, found, fit.sampling_seconds, fit.cpu_seconds))
    return sorted(runs, key=lambda rate: rate.worst)[len(runs) // 2]


def _nuts(
    name: str,
    graph: Any,
    kept: tuple[str, ...],
    settings: CovarianceSettings,
    rows: list[tuple[object, ...]],
) -> _Rate | None:
    """A run in the time box, appended to the rows of the table; None where it is too slow."""
    tune, draws = settings.nuts_length
    boxed = sample_in_box(
        graph,
        kept,
        tune=tune,
        draws=draws,
        chains=settings.nuts_chains,
        cores=min(available_cores(), settings.nuts_chains),
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if boxed is None:
        print(
            f"{name}: a chain made fewer than {MINIMUM_DRAWS} draws after {tune} tuning steps in "
            f"{settings.nuts_seconds:g} s; no estimate"
        )
        return None
    values = boxed.posterior[kept[0]].to_numpy()
    sd = np.sqrt(np.einsum("...tt->...t", values))
    values = values / (sd[..., :, None] * sd[..., None, :])
    result = NutsRun(*boxed[:-1], mixing=mixing({"correlation": correlation_elements(values)}))
    found = result.mixing
    rate = _Rate(
        result.rate,
        # The same length and the same share of tuning for the median.
        result.rate * found.median / max(found.ess, 0.0 if result.complete else found.ess_apart),
        result.rate * result.seconds / result.cpu_seconds,
        values.mean(axis=(0, 1)),
    )
    print(
        f"{name}: {result.note}, compiled in {result.compile_seconds:.0f} s; "
        f"{result.gradients:.0f} gradients and {result.seconds_per_draw:.2g} s a draw.",
        flush=True,
    )
    rows.append(_row(name, rate, found, result.seconds, result.cpu_seconds))
    return rate


def _row(
    name: str, rate: _Rate, found: Mixing, seconds: float, cpu_seconds: float
) -> tuple[object, ...]:
    return (
        name,
        rate.worst,
        rate.median,
        rate.per_cpu,
        found.ess,
        found.median,
        f"{found.rhat:.3f}",
        seconds,
        cpu_seconds,
        load_average(),
    )


def sweeps(settings: CovarianceSettings) -> None:
    """Print the time of a sweep with a low-rank task covariance, and with an unknown graph."""
    heading("correlated tasks, time of a sweep: shared noise")
    print(
        "'cpu' is one chain's time on a processor, two chains at once; the smallest of "
        f"{settings.repeats} differences of\na long and a short run. Targets speak of cpu.",
        flush=True,
    )
    short, long = settings.sweep_counts
    cases = []
    school = read_school() if settings.school else None
    if school is not None:
        cases.append((school, LOW_RANK, 10 * short, 10 * long, "10 ms"))
    elif settings.school:
        print("School: skipped, ../shared/data/school.csv.gz is not there")
    sizes = settings.sweep_tasks, settings.sweep_features, settings.sweep_rows
    cases.append((correlated(*sizes), LOW_RANK, short, long, "1,000 ms"))
    for n_tasks, factor, target in settings.graphs:
        example = correlated(n_tasks, settings.graph_features, settings.graph_rows)
        for relation in GRAPHS:
            cases.append((example, relation, factor * short, factor * long, target))
    rows = []
    for example, relation, few, many, target in cases:
        model = model_of(example, relation)
        problem = model.prepare(example.frame).problem
        wall, cpu = sweep_seconds(
            problem,
            model.likelihood,
            short=few,
            long=many,
            chains=2,
            repeats=settings.repeats,
        )
        rows.append(
            (
                f"{example.name}, {_NAMES[relation]}",
                f"{example.frame['task'].nunique():,}",
                len(example.features),
                1e3 * wall,
                1e3 * cpu,
                target,
                load_average(),
            )
        )
    print_table(SWEEP_COLUMNS, rows)
    for name, tasks, _, _, cpu, *_ in rows:
        headline(f"ms a sweep, {name}, {tasks} tasks", cpu)
