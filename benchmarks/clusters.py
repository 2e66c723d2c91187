"""Clusters of tasks: effective draws per second against PyMC, seconds a sweep, mixing on data."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from bayesmtl.inference.gibbs import sample_gibbs
from benchmarks.data import Example, clustered, formula_of, read_school
from benchmarks.effective import mixing
from benchmarks.own import TimedFit, timed_fit
from benchmarks.partitions import Partitions, Sticks, compare_partitions
from benchmarks.peers.nuts import Boxed
from benchmarks.peers.stick_breaking import run_sticks
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["ClustersSettings", "compare", "run"]

SWEEP_COLUMNS = ("tasks", "sweeps", "s/sweep", "cpu s/sweep", "clusters", "load")
MIXING_COLUMNS = ("data", "R-hat", "ESS", "clusters", "90%", "sampling s", "fit s", "load")
_NOISE_SCALE = 1.0


@dataclass(frozen=True)
class ClustersSettings:
    """Sizes and lengths.

    Parameters
    ----------
    n_tasks, n_features, n_rows, n_clusters : int
        Of the simulated data; the defaults of the first three are School's.
    weight_sd : float
        Of the weights over clusters, in simulation and prior. Were the clusters known, half of the
        pairs of tasks would still be together with probability 5% to 95%.
    draws, tune, chains : int
        Of ours.
    repeats : int
        Runs of ours with different seeds; the median counts.
    peers : bool
    n_sticks : int
    nuts_seconds : float
        Time box of each run of PyMC with nutpie.
    nuts_lengths : tuple of (tune, draws)
        The usual length, and a short one for where the time box cuts that too early.
    nuts_chains : int
    sweep_tasks, sweep_features, sweep_rows, sweep_clusters : int
        Of the data for the time of a sweep.
    sweep_counts : tuple of int
        Sweeps of runs from the same start, whose differences in time count.
    sweep_chains : int
    school, rats : bool
        Whether to fit these data.
    seed : int
    """

    n_tasks: int = 139
    n_features: int = 27
    n_rows: int = 15_362
    n_clusters: int = 8
    weight_sd: float = 0.06
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    repeats: int = 2
    peers: bool = True
    n_sticks: int = 20
    nuts_seconds: float = 300.0
    nuts_lengths: tuple[tuple[int, int], ...] = ((1000, 1000), (200, 200))
    nuts_chains: int = 2
    sweep_tasks: int = 10_000
    sweep_features: int = 10
    sweep_rows: int = 100_000
    sweep_clusters: int = 20
    sweep_counts: tuple[int, ...] = (5, 15)
    sweep_chains: int = 2
    school: bool = True
    rats: bool = True
    seed: int = 1


def run(settings: ClustersSettings) -> None:
    """Print the comparison, the time of a sweep, and how the default fits mix."""
    compare(settings)
    _sweeps(settings)
    _mixing(settings)


def compare(settings: ClustersSettings) -> None:
    """Print effective draws per second of ours and of PyMC on simulated data."""
    example = clustered(
        settings.n_tasks,
        settings.n_features,
        settings.n_rows,
        n_clusters=settings.n_clusters,
        sd=settings.weight_sd,
    )
    heading(
        f"clusters, simulated data: {settings.n_tasks} tasks x {settings.n_features} features x "
        f"{settings.n_rows:,} rows, {settings.n_clusters} overlapping clusters"
    )
    print(
        "Equal weights inside a cluster, Gamma(2, 2) concentration, fixed weight sd, shared noise, "
        "no intercept."
    )
    print(
        f"Ours: {settings.chains} chains on {min(available_cores(), settings.chains)} cores, "
        f"{settings.tune} + {settings.draws}; tuning counts.",
        flush=True,
    )
    own = [_own(example, settings, settings.seed + i) for i in range(settings.repeats)]
    sticks = _sticks(example, settings) if settings.peers else None
    compare_partitions(own, sticks, name="clusters", seed=settings.seed, target=100)


def _own(example: Example, settings: ClustersSettings, seed: int) -> Partitions:
    model = bm.Model(
        formula_of(("0", *example.features)),
        task="task",
        relation=bm.DirichletProcess(mean=0.0, scale=settings.weight_sd, between=1.0),
        likelihood=bm.Gaussian(noise="shared", noise_sd=bm.Prior("HalfNormal", sigma=_NOISE_SCALE)),
    )
    found = _fit(model, example.frame, settings, seed)
    return Partitions(found.tree["clusters"]["assignment"].to_numpy(), found.sampling_seconds)


def _fit(model: bm.Model, frame: pd.DataFrame, settings: ClustersSettings, seed: int) -> TimedFit:
    return timed_fit(
        model,
        frame,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        seed=seed,
    )


def _sticks(example: Example, settings: ClustersSettings) -> Sticks:
    def run(tune: int, draws: int) -> tuple[Boxed, np.ndarray] | None:
        return run_sticks(
            example,
            n_sticks=settings.n_sticks,
            weight_sd=settings.weight_sd,
            noise_scale=_NOISE_SCALE,
            tune=tune,
            draws=draws,
            chains=settings.nuts_chains,
            cores=min(available_cores(), settings.nuts_chains),
            limit=settings.nuts_seconds,
            seed=settings.seed,
        )

    what = f"{settings.n_sticks} sticks, labels summed out on sufficient statistics"
    return Sticks(run, settings.nuts_lengths, settings.nuts_seconds, what)


def _sweeps(settings: ClustersSettings) -> None:
    """Time sweeps of the default relation by differences of runs from the same start."""
    cores = min(available_cores(), settings.sweep_chains)
    heading(
        f"clusters: time of a sweep, {settings.sweep_tasks:,} tasks x {settings.sweep_features} "
        f"features x {settings.sweep_rows:,} rows in {settings.sweep_clusters} clusters,\n   "
        f"{settings.sweep_chains} chains at once on {cores} cores. Target: under 2 s."
    )
    example = clustered(
        settings.sweep_tasks,
        settings.sweep_features,
        settings.sweep_rows,
        n_clusters=settings.sweep_clusters,
        sd=1.0,
    )
    model = bm.Model(
        formula_of(example.features),
        task="task",
        relation=bm.DirichletProcess(),
        likelihood=bm.Gaussian(noise="shared"),
    )
    with warnings.catch_warnings():
        # Some tasks have a single row.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        problem = model.prepare(example.frame).problem

    def timed(sweeps: int) -> tuple[np.ndarray, np.ndarray]:
        started = np.array([time.perf_counter(), time.process_time()])
        drawn, _ = sample_gibbs(
            problem,
            model.likelihood,
            draws=sweeps,
            tune=0,
            chains=settings.sweep_chains,
            cores=cores,
            random_seed=settings.seed,
            progressbar=False,
            keep_weights=False,
        )
        spent = np.array([time.perf_counter(), time.process_time()]) - started
        assert drawn.partition is not None
        return spent, drawn.partition.labels[:, -1].max(axis=1) + 1

    # The comparison above has loaded the kernels.
    rows: list[tuple[object, ...]] = []
    before, spent = 0, np.zeros(2)
    for count in settings.sweep_counts:
        now, clusters = timed(count)
        wall, cpu = (now - spent) / (count - before)
        which = f"{before + 1}-{count}" if before else f"first {count} and set-up"
        counts = ", ".join(f"{k:,}" for k in clusters)
        each = (float(wall), float(cpu) / settings.sweep_chains)
        rows.append((f"{settings.sweep_tasks:,}", which, *each, counts, load_average()))
        before, spent = count, now
    print(
        "'clusters' are those of each chain after these sweeps. A chain may start with every task\n"
        "alone, so the first sweep can take much longer than the others; set-up makes one more."
    )
    print_table(SWEEP_COLUMNS, rows)
    headline(f"seconds a sweep of partitions, {settings.sweep_tasks:,} tasks", rows[-1][3])


def _mixing(settings: ClustersSettings) -> None:
    """Fit School and Rats with the default relation."""
    heading(
        f"clusters: default bm.DirichletProcess(), shared noise, {settings.chains} chains x "
        f"({settings.tune} + {settings.draws}). Target: R-hat of the number of clusters < 1.01"
    )
    relation, likelihood = bm.DirichletProcess(), bm.Gaussian(noise="shared")
    rows, lines = [], []
    school = read_school() if settings.school else None
    if settings.school and school is None:
        print("School: skipped, ../shared/data/school.csv.gz is not there")
    if school is not None:
        model = bm.Model(formula_of(school.features), "task", relation, likelihood)
        found = _fit(model, school.frame, settings, settings.seed)
        rows.append(_mixing_row("School", found))
        lines.append(f"School: partition of least expected VI, sizes {_sizes(found.tree)}.")
    if settings.rats:
        model = bm.Model("weight ~ day", "rat", relation, likelihood, intercept="relation")
        found = _fit(model, bm.load_dataset("rats"), settings, settings.seed)
        rows.append(_mixing_row("Rats", found))
        lines += _rats(found.tree)
    print_table(MIXING_COLUMNS, rows)
    for name, rhat, *_ in rows:
        headline(f"R-hat of the number of clusters, {name}", rhat)
    print("\n".join(lines), flush=True)


def _mixing_row(name: str, fit: TimedFit) -> tuple[object, ...]:
    counts = fit.tree["posterior"]["n_clusters"].to_numpy().astype(np.float64)
    mixed = mixing({"n_clusters": counts})
    low, high = np.quantile(counts, (0.05, 0.95))
    between = f"{low:.0f}-{high:.0f}"
    found = (f"{mixed.rhat:.4f}", mixed.ess, float(counts.mean()), between)
    return (name, *found, fit.sampling_seconds, fit.seconds, load_average())


def _sizes(tree: xr.DataTree) -> str:
    partition = bm.task_relations(tree)["partition"].to_numpy()
    return ", ".join(str(size) for size in np.bincount(partition))


def _rats(tree: xr.DataTree) -> list[str]:
    """The clusters of the optimal partition: who, and their mean weights."""
    relations = bm.task_relations(tree)
    partition = relations["partition"]
    weights = tree["posterior"]["weights"].mean(("chain", "draw"))
    shares = relations["n_clusters_probability"].sel(distribution="posterior").to_numpy()
    lines = [
        f"Rats: partition of least expected VI, sizes {_sizes(tree)}; posterior of the number of "
        "clusters: " + ", ".join(f"{k + 1}: {share:.2f}" for k, share in enumerate(shares[:5]))
    ]
    for k in range(int(partition.max()) + 1):
        members = partition["task"].values[partition.values == k]
        mean = weights.sel(task=members).mean("task").to_series()
        terms = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
        lines.append(f"  {terms}: rats {', '.join(str(rat) for rat in members)}")
    return lines
