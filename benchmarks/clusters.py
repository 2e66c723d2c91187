"""Clusters of tasks: effective draws per second against PyMC, seconds a sweep, mixing on data."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from bayesmtl.inference.gibbs import sample_gibbs
from benchmarks.data import Example, clustered, formula_of, read_school
from benchmarks.effective import Mixing, mixing
from benchmarks.peers.nuts import MINIMUM_DRAWS, Boxed, NutsRun
from benchmarks.peers.stick_breaking import run_sticks
from benchmarks.reporting import heading, load_average, print_table

__all__ = ["ClustersSettings", "compare", "run"]

OWN_COLUMNS = ("ours", "ESS/s", "worst ESS", "of", "R-hat", "s", "load")
SPEED_COLUMNS = ("peer", "ours ESS/s", "theirs ESS/s", "ratio", "target", "")
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


class _Partitions(NamedTuple):
    """Draws of the partition (chain, draw, task) and the seconds they took."""

    labels: np.ndarray
    seconds: float

    def together(self) -> np.ndarray:
        """Whether two tasks are in one cluster (chain, draw, pair)."""
        i, j = np.tril_indices(self.labels.shape[2], k=-1)
        return self.labels[..., i] == self.labels[..., j]

    def n_clusters(self) -> np.ndarray:
        """Occupied clusters (chain, draw)."""
        ordered = np.sort(self.labels, axis=2)
        return 1.0 + (np.diff(ordered, axis=2) > 0).sum(axis=2)

    def mixing(self, undecided: np.ndarray) -> Mixing:
        """Of the pairs that are undecided and the number of clusters."""
        pairs = self.together()[..., undecided].astype(np.float64)
        return mixing({"n_clusters": self.n_clusters(), "together": pairs})


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
    own = [_own(example, settings, settings.seed + i) for i in range(settings.repeats)]
    pairs = np.mean([found.together().mean(axis=(0, 1)) for found in own], axis=0)
    undecided = (pairs >= 0.05) & (pairs <= 0.95)
    print(
        f"Ours: {settings.chains} chains on {min(available_cores(), settings.chains)} cores, "
        f"{settings.tune} + {settings.draws}; tuning counts. Of {pairs.size:,} pairs of tasks "
        f"{undecided.mean():.0%} are undecided\n(together in 5% to 95% of all our draws)."
    )
    rows, rates = [], []
    for i, found in enumerate(own):
        mixed = found.mixing(undecided)
        rates.append(mixed.ess / found.seconds)
        name = f"seed {settings.seed + i}"
        worst = (mixed.ess, mixed.worst, mixed.rhat)
        rows.append((name, rates[-1], *worst, found.seconds, load_average()))
    print_table(OWN_COLUMNS, rows)
    rate = float(np.median(rates))
    peer: list[tuple[object, ...]] = [("-", rate, float("nan"), float("nan"), "-", "not run")]
    if settings.peers:
        peer = [
            ("PyMC, nutpie", rate, *_nuts(example, settings, own, undecided, rate, length))
            for length in settings.nuts_lengths
        ]
    heading("clusters: worst bulk ESS per second over undecided pairs and the number of clusters")
    print_table(SPEED_COLUMNS, peer)


def _own(example: Example, settings: ClustersSettings, seed: int) -> _Partitions:
    model = bm.Model(
        formula_of(("0", *example.features)),
        task="task",
        relation=bm.DirichletProcess(mean=0.0, scale=settings.weight_sd, between=1.0),
        likelihood=bm.Gaussian(noise="shared", noise_sd=bm.Prior("HalfNormal", sigma=_NOISE_SCALE)),
    )
    tree, _ = _fit(model, example.frame, settings, seed)
    labels = tree["clusters"]["assignment"].to_numpy()
    return _Partitions(labels, float(tree.attrs["sampling_seconds"]))


def _fit(
    model: bm.Model, frame: pd.DataFrame, settings: ClustersSettings, seed: int
) -> tuple[xr.DataTree, float]:
    """The fit and its seconds, summaries included, after a short one that loads the kernels."""
    with warnings.catch_warnings():
        # How it mixes is printed.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        for draws, tune in ((4, 4), (settings.draws, settings.tune)):
            started = time.perf_counter()
            tree = model.fit(
                frame,
                draws=draws,
                tune=tune,
                chains=settings.chains,
                cores=min(available_cores(), settings.chains),
                random_seed=seed,
                progressbar=False,
            )
            seconds = time.perf_counter() - started
    return tree, seconds


def _nuts(
    example: Example,
    settings: ClustersSettings,
    own: list[_Partitions],
    undecided: np.ndarray,
    rate: float,
    length: tuple[int, int],
) -> tuple[object, ...]:
    tune, draws = length
    cores = min(available_cores(), settings.nuts_chains)
    found = run_sticks(
        example,
        n_sticks=settings.n_sticks,
        weight_sd=settings.weight_sd,
        noise_scale=_NOISE_SCALE,
        tune=tune,
        draws=draws,
        chains=settings.nuts_chains,
        cores=cores,
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if found is None:
        print(
            f"PyMC: a chain made fewer than {MINIMUM_DRAWS} draws after {tune} "
            f"tuning steps in {settings.nuts_seconds:g} s; no estimate"
        )
        return float("nan"), float("nan"), "100", "too slow to estimate"
    boxed, labels = found
    theirs = _Partitions(labels, boxed.seconds)
    result = NutsRun(*boxed[:-1], mixing=theirs.mixing(undecided))
    _print_nuts(boxed, result, settings)
    _print_agreement(own, theirs, undecided)
    how = "" if result.complete else ", extrapolated"
    note = f"{result.tune}+{result.draws} draws{how}"
    return result.rate, rate / result.rate, "100", note


def _print_nuts(boxed: Boxed, result: NutsRun, settings: ClustersSettings) -> None:
    mixed = result.mixing
    print(
        f"PyMC, {settings.n_sticks} sticks, labels summed out on sufficient statistics, nutpie: "
        f"{boxed.chains} chains, {boxed.tune} + {boxed.draws}\n  in {boxed.seconds:.0f} s (time "
        f"box {settings.nuts_seconds:g} s), compiled in {boxed.compile_seconds:.0f} s; "
        f"{boxed.gradients:.0f} gradients and {boxed.seconds_per_draw:.2g} s a draw;\n  worst ESS "
        f"{mixed.ess:.1f} ({mixed.worst}), chains one by one {mixed.ess_apart:.1f}, R-hat "
        f"{mixed.rhat:.2f}; load {load_average()}."
    )
    if not result.complete:
        print(
            f"  Cut by the time box, so extrapolated to as many draws as tuning steps: "
            f"{result.extrapolated_rate:.3g} ESS/s."
        )


def _print_agreement(own: list[_Partitions], theirs: _Partitions, undecided: np.ndarray) -> None:
    """Whether both have the same posterior, beside how much our own runs differ."""
    ours = np.concatenate([found.labels for found in own])
    pooled = _Partitions(ours, 0.0)
    pairs = pooled.together().mean(axis=(0, 1))[undecided]

    def distance(labels: np.ndarray) -> float:
        other = _Partitions(labels, 0.0).together().mean(axis=(0, 1))[undecided]
        return float(np.abs(other - pairs).mean())

    one = np.mean([distance(chain[None]) for chain in ours])
    by_chain = ", ".join(f"{value:.1f}" for value in theirs.n_clusters().mean(axis=1))
    print(
        f"  Mean number of clusters: ours {pooled.n_clusters().mean():.2f}, theirs "
        f"{theirs.n_clusters().mean():.2f} (by chain {by_chain}).\n  Mean absolute difference of "
        "co-clustering from that of all our draws, undecided pairs:\n  theirs "
        f"{distance(theirs.labels):.3f}, one of our chains {one:.3f}."
    )


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
        tree, seconds = _fit(model, school.frame, settings, settings.seed)
        rows.append(_mixing_row("School", tree, seconds))
        lines.append(f"School: partition of least expected VI, sizes {_sizes(tree)}.")
    if settings.rats:
        model = bm.Model("weight ~ day", "rat", relation, likelihood, intercept="relation")
        tree, seconds = _fit(model, bm.load_dataset("rats"), settings, settings.seed)
        rows.append(_mixing_row("Rats", tree, seconds))
        lines += _rats(tree)
    print_table(MIXING_COLUMNS, rows)
    print("\n".join(lines), flush=True)


def _mixing_row(name: str, tree: xr.DataTree, seconds: float) -> tuple[object, ...]:
    counts = tree["posterior"]["n_clusters"].to_numpy().astype(np.float64)
    mixed = mixing({"n_clusters": counts})
    low, high = np.quantile(counts, (0.05, 0.95))
    sampling = float(tree.attrs["sampling_seconds"])
    between = f"{low:.0f}-{high:.0f}"
    found = (f"{mixed.rhat:.4f}", mixed.ess, float(counts.mean()), between)
    return (name, *found, sampling, seconds, load_average())


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
