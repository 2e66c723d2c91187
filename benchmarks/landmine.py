"""Landmine (Xue et al. 2007): accuracy, effective draws per second and clusters of logistic tasks.

Protocol of the accuracy, after Xue, Liao, Carin and Krishnapuram (2007, J. Mach. Learn. Res. 8):
from each task 40 rows are drawn at random without replacement for training, the others are for
testing; the area under the ROC curve of each task on its test rows is averaged over tasks. This is
repeated for 20 draws of the rows, for a collection of 19 tasks (fields 1-10 and 16-24) and for all
29, each collection fitted by itself. Baselines standardise the features on the training rows and
choose their penalties by 5-fold cross-validation inside these, by log loss.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.metrics import adjusted_rand_score  # type: ignore[import-untyped]

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from benchmarks.baselines import Rows, cross_validated
from benchmarks.data import Example, formula_of, read_landmine, standardised
from benchmarks.effective import mixing
from benchmarks.logistic_baselines import (
    LOGISTIC_BASELINES,
    POOLED,
    SINGLE,
    log_loss,
    mean_auc,
)
from benchmarks.own import TimedFit, timed_fit
from benchmarks.partitions import SPEED_COLUMNS, Partitions, Sticks, compare_partitions
from benchmarks.peers.logistic import run_hierarchy, run_logistic_sticks
from benchmarks.peers.nuts import MINIMUM_DRAWS, Boxed
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = [
    "PARTS",
    "Collection",
    "LandmineSettings",
    "accuracy",
    "clusters",
    "rows_per_task",
    "run",
    "speed",
    "terrains",
]

PARTS = ("accuracy", "speed", "clusters", "terrains")
ACCURACY_COLUMNS = ("method", "mean AUC", "sd", "over single", "over pooled", "s/draw", "tuned to")
OWN_COLUMNS = ("ours", "ESS/s", "worst ESS", "of", "one by one", "R-hat", "s", "load")
TERRAIN_COLUMNS = ("relation", "clusters", "adjusted Rand", "mixed", "R-hat", "s", "fit s", "load")
OURS = {"Exchangeable()": bm.Exchangeable(), "DirichletProcess()": bm.DirichletProcess()}
_FIRST_BARE = 16
_PEER_TERRAIN_SECONDS = 326


class Collection(NamedTuple):
    """Tasks that are fitted together, and the mean AUC to beat.

    Parameters
    ----------
    name : str
    tasks : tuple of int
    single, pooled : float
        Of logistic regressions per task and of one for all tasks.
    """

    name: str
    tasks: tuple[int, ...]
    single: float
    pooled: float


_COLLECTIONS = (
    Collection("19 tasks", (*range(1, 11), *range(16, 25)), 0.706, 0.734),
    Collection("29 tasks", tuple(range(1, 30)), 0.694, 0.727),
)


@dataclass(frozen=True)
class LandmineSettings:
    """Parts, sizes and lengths.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    collections : tuple of Collection
        Of the accuracy.
    row_draws : int
        Random draws of training rows.
    train_rows : int
        Rows of each task for training, and for the clusters.
    short_draws, short_tune, short_chains : int
        Of our fits for the accuracy.
    draws, tune, chains : int
        Of our other fits.
    repeats : int
        Runs of ours with different seeds for speed and clusters; the median counts.
    mean_sd, sd_scale : float
        Priors of the hierarchy for speed: Normal means, HalfNormal sds; features standardised.
    weight_sd : float
        Of the weights of a cluster, fixed, for speed and terrains; features standardised.
    peers : bool
    n_sticks : int
    nuts_seconds : float
        Time box of each run of PyMC with nutpie.
    hierarchy_lengths, stick_lengths : tuple of (tune, draws)
        Of PyMC.
    nuts_chains : int
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    collections: tuple[Collection, ...] = _COLLECTIONS
    row_draws: int = 20
    train_rows: int = 40
    short_draws: int = 300
    short_tune: int = 300
    short_chains: int = 2
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    repeats: int = 2
    mean_sd: float = 2.5
    sd_scale: float = 1.0
    weight_sd: float = 1.5
    peers: bool = True
    n_sticks: int = 20
    nuts_seconds: float = 180.0
    hierarchy_lengths: tuple[tuple[int, int], ...] = ((500, 500),)
    stick_lengths: tuple[tuple[int, int], ...] = ((500, 500),)
    nuts_chains: int = 2
    seed: int = 1


def run(settings: LandmineSettings) -> None:
    """Print the parts that are asked for, or why there is nothing."""
    example = read_landmine()
    if example is None:
        print("Landmine: skipped, ../shared/data/landmine.csv.gz is not there", flush=True)
        return
    for name, part in _PARTS.items():
        if name in settings.parts:
            part(example, settings)


def rows_per_task(frame: pd.DataFrame, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which rows are among ``count`` of each task, drawn without replacement (row,)."""
    task, chosen = frame["task"].to_numpy(), np.zeros(len(frame), dtype=bool)
    for label in np.unique(task):
        chosen[rng.choice(np.flatnonzero(task == label), count, replace=False)] = True
    return chosen


class _Score(NamedTuple):
    auc: float
    seconds: float
    tuned: str


def accuracy(example: Example, settings: LandmineSettings) -> None:
    """Print the mean AUC of ours and of tuned baselines over random draws of training rows."""
    _load_kernels(example, settings)
    for collection in settings.collections:
        heading(
            f"Landmine, accuracy: mean AUC over {collection.name}, {settings.train_rows} training "
            f"rows each, {settings.row_draws} random draws"
        )
        print(
            f"Ours: default priors, {settings.short_chains} chains x ({settings.short_tune} + "
            f"{settings.short_draws}), posterior mean probability. Baselines tuned by "
            "cross-validation.\n"
            f"Targets: ours above {collection.single} (per task) and {collection.pooled} (pooled), "
            "and above both baselines here.",
            flush=True,
        )
        frame = example.frame[example.frame["task"].isin(collection.tasks)]
        scores: dict[str, list[_Score]] = {}
        for i in range(settings.row_draws):
            seed = settings.seed + i
            chosen = rows_per_task(frame, settings.train_rows, np.random.default_rng(seed))
            found = _scores(example, frame[chosen], frame[~chosen], settings, seed)
            for name, score in found.items():
                scores.setdefault(name, []).append(score)
            line = ", ".join(f"{name} {score.auc:.3f}" for name, score in found.items())
            print(f"draw {i + 1}: {line}", flush=True)
        rows = {name: _accuracy_row(name, scores) for name in scores}
        print_table(ACCURACY_COLUMNS, list(rows.values()))
        best = max(LOGISTIC_BASELINES, key=lambda name: float(str(rows[name][1])))
        for name in OURS:
            what = f"mean AUC, {collection.name}, {name}"
            headline(what, rows[name][1], f"{best}, tuned", rows[best][1])
        print(
            "'over' are mean differences on the same rows and, in brackets, on how many of the "
            f"draws ours was better; load {load_average()}",
            flush=True,
        )


def _load_kernels(example: Example, settings: LandmineSettings) -> None:
    """Compile or load what the fits call, so that no time counts it."""
    chosen = rows_per_task(example.frame, settings.train_rows, np.random.default_rng(0))
    short = replace(settings, short_draws=4, short_tune=4)
    for relation in OURS.values():
        model = bm.Model(formula_of(example.features), "task", relation, bm.Bernoulli())
        _short_fit(model, example.frame[chosen], short, settings.seed)


def _scores(
    example: Example,
    train: pd.DataFrame,
    test: pd.DataFrame,
    settings: LandmineSettings,
    seed: int,
) -> dict[str, _Score]:
    """Mean AUC of every method on one draw of rows."""
    response, task = test["y"].to_numpy(), test["task"].to_numpy()
    found = {}
    for name, relation in OURS.items():
        started = time.perf_counter()
        model = bm.Model(formula_of(example.features), "task", relation, bm.Bernoulli())
        tree = _short_fit(model, train, settings, seed)
        expected = bm.predict(tree, test, as_frame=True)["mean"].to_numpy()
        seconds = time.perf_counter() - started
        found[name] = _Score(mean_auc(response, expected, task), seconds, "")
    inside, outside = _rows(example, train), _rows(example, test)
    for name, (predict, candidates) in LOGISTIC_BASELINES.items():
        started = time.perf_counter()
        predicted, best = cross_validated(predict, candidates, inside, outside, seed, loss=log_loss)
        seconds = time.perf_counter() - started
        tuned = "/".join(f"{value:g}" for value in best)
        found[name] = _Score(mean_auc(response, predicted, task), seconds, tuned)
    return found


def _short_fit(
    model: bm.Model, frame: pd.DataFrame, settings: LandmineSettings, seed: int
) -> xr.DataTree:
    with warnings.catch_warnings():
        # Short chains: what counts here is the ranking of the test rows.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        return model.fit(
            frame,
            draws=settings.short_draws,
            tune=settings.short_tune,
            chains=settings.short_chains,
            random_seed=seed,
            progressbar=False,
        )


def _rows(example: Example, frame: pd.DataFrame) -> Rows:
    codes = np.unique(frame["task"], return_inverse=True)[1]
    return Rows(frame[list(example.features)].to_numpy(), frame["y"].to_numpy(), codes)


def _accuracy_row(name: str, scores: dict[str, list[_Score]]) -> tuple[object, ...]:
    auc = {key: np.array([score.auc for score in found]) for key, found in scores.items()}

    def over(other: str) -> str:
        gain = auc[name] - auc[other]
        return "-" if name == other else f"{gain.mean():+.4f} ({(gain > 0).sum()}/{gain.size})"

    found = scores[name]
    sd = f"{auc[name].std(ddof=1):.4f}" if len(found) > 1 else "-"
    seconds = float(np.mean([score.seconds for score in found]))
    tuned = pd.Series([score.tuned for score in found]).mode()[0]
    return (name, f"{auc[name].mean():.4f}", sd, over(SINGLE), over(POOLED), seconds, tuned)


def speed(example: Example, settings: LandmineSettings) -> None:
    """Print effective draws per second of hierarchical logistic regression, ours and PyMC's."""
    example = standardised(example)
    n_tasks, n_features = example.frame["task"].nunique(), len(example.features)
    heading(
        f"Landmine, speed: hierarchical logistic regression, {n_tasks} tasks x {n_features} "
        f"features x {len(example.frame):,} rows"
    )
    print(
        f"Standardised features; every mean Normal(0, {settings.mean_sd:g}), every sd HalfNormal("
        f"{settings.sd_scale:g}), the intercept likewise.\n{_lengths(settings)}",
        flush=True,
    )
    mean = bm.Prior("Normal", mu=0.0, sigma=settings.mean_sd)
    normal = bm.Exchangeable(mean=mean, scale=bm.Prior("HalfNormal", sigma=settings.sd_scale))
    model = bm.Model(formula_of(example.features), "task", normal, bm.Bernoulli(), intercept=normal)
    rows, rates = [], []
    for seed in range(settings.seed, settings.seed + settings.repeats):
        fit = _fit(model, example, settings, seed)
        posterior = fit.tree["posterior"]
        names = ("population_mean", "population_sd", "weights")
        names += ("intercept_mean", "intercept_sd", "intercept")
        mixed = mixing({name: posterior[name].to_numpy() for name in names})
        rates.append(mixed.ess / fit.sampling_seconds)
        worst = (mixed.ess, mixed.worst, mixed.ess_apart, mixed.rhat)
        after = (fit.sampling_seconds, load_average())
        rows.append((f"seed {seed}", rates[-1], *worst, *after))
    print_table(OWN_COLUMNS, rows)
    rate = float(np.median(rates))
    lines: list[tuple[object, ...]] = [("-", rate, float("nan"), float("nan"), "100", "not run")]
    if settings.peers:
        lines = [
            ("PyMC, nutpie", rate, *_nuts(example, settings, rate, length))
            for length in settings.hierarchy_lengths
        ]
    heading("Landmine, speed: worst bulk ESS per second over means, sds and weights")
    print_table(SPEED_COLUMNS, lines)
    for other, ours, theirs, *_, note in lines:
        headline("worst ESS a second, hierarchical logistic", ours, f"{other}, {note}", theirs)


def _lengths(settings: LandmineSettings) -> str:
    cores = min(available_cores(), settings.chains)
    return (
        f"Ours: {settings.chains} chains on {cores} cores, {settings.tune} + {settings.draws}; "
        "tuning counts."
    )


def _fit(model: bm.Model, example: Example, settings: LandmineSettings, seed: int) -> TimedFit:
    return timed_fit(
        model,
        example.frame,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        seed=seed,
    )


def _nuts(
    example: Example, settings: LandmineSettings, rate: float, length: tuple[int, int]
) -> tuple[object, ...]:
    tune, draws = length
    result = run_hierarchy(
        example,
        mean_sd=settings.mean_sd,
        sd_scale=settings.sd_scale,
        tune=tune,
        draws=draws,
        chains=settings.nuts_chains,
        cores=min(available_cores(), settings.nuts_chains),
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if result is None:
        print(
            f"PyMC: a chain made fewer than {MINIMUM_DRAWS} draws after {tune} tuning steps in "
            f"{settings.nuts_seconds:g} s; no estimate"
        )
        return float("nan"), float("nan"), "100", "too slow to estimate"
    mixed = result.mixing
    print(
        f"PyMC, non-centred, nutpie: {result.chains} chains, {result.tune} + {result.draws} in "
        f"{result.seconds:.0f} s (time box {settings.nuts_seconds:g} s), compiled in "
        f"{result.compile_seconds:.0f} s;\n  {result.gradients:.0f} gradients and "
        f"{result.seconds_per_draw:.2g} s a draw; worst ESS {mixed.ess:.1f} ({mixed.worst}), "
        f"chains one by one {mixed.ess_apart:.1f},\n  R-hat {mixed.rhat:.2f}; load "
        f"{load_average()}."
    )
    return result.rate, rate / result.rate, "100", result.note


def _equal_weights(example: Example, weight_sd: float) -> bm.Model:
    """Logistic tasks with the same weights, intercept included, inside a cluster."""
    return bm.Model(
        formula_of(example.features),
        "task",
        bm.DirichletProcess(mean=0.0, scale=weight_sd, between=1.0),
        bm.Bernoulli(),
        intercept="relation",
    )


def clusters(example: Example, settings: LandmineSettings) -> None:
    """Print effective draws per second of clusters of tasks with few rows, ours and PyMC's."""
    rng = np.random.default_rng(settings.seed)
    few = example.frame[rows_per_task(example.frame, settings.train_rows, rng)]
    example = standardised(example._replace(frame=few))
    heading(f"Landmine, clusters: {few['task'].nunique()} tasks, {settings.train_rows} rows each")
    print(
        "Equal weights inside a cluster, intercept included, Normal(0, "
        f"{settings.weight_sd:g}) on standardised features; Gamma(2, 2) concentration.\n"
        f"{_lengths(settings)}",
        flush=True,
    )
    model = _equal_weights(example, settings.weight_sd)
    own = []
    for seed in range(settings.seed, settings.seed + settings.repeats):
        fit = _fit(model, example, settings, seed)
        labels = fit.tree["clusters"]["assignment"].to_numpy()
        own.append(Partitions(labels, fit.sampling_seconds))

    def sticks(tune: int, draws: int) -> tuple[Boxed, np.ndarray] | None:
        return run_logistic_sticks(
            example,
            n_sticks=settings.n_sticks,
            weight_sd=settings.weight_sd,
            tune=tune,
            draws=draws,
            chains=settings.nuts_chains,
            cores=min(available_cores(), settings.nuts_chains),
            limit=settings.nuts_seconds,
            seed=settings.seed,
        )

    what = f"{settings.n_sticks} sticks, labels summed out"
    peer = Sticks(sticks, settings.stick_lengths, settings.nuts_seconds, what)
    compare_partitions(
        own,
        peer if settings.peers else None,
        name="Landmine, clusters",
        seed=settings.seed,
        target=50,
    )


def terrains(example: Example, settings: LandmineSettings) -> None:
    """Print the clusters of all rows beside the two terrains."""
    example = standardised(example)
    heading(f"Landmine, terrains: clusters of tasks from all {len(example.frame):,} rows")
    print(
        f"{_lengths(settings)} Tasks below {_FIRST_BARE} are foliated, the others bare earth; "
        "partition of least expected VI.\nTarget: no cluster mixes the terrains.",
        flush=True,
    )
    default = bm.Model(formula_of(example.features), "task", bm.DirichletProcess(), bm.Bernoulli())
    models = {"equal weights": _equal_weights(example, settings.weight_sd), "default": default}
    rows = []
    for name, model in models.items():
        fit = _fit(model, example, settings, settings.seed)
        rows.append(_terrain_row(name, fit))
    print_table(TERRAIN_COLUMNS, rows)
    for name, _, rand, *_ in rows:
        headline(f"adjusted Rand index of clusters and terrains, {name}", rand)
    print(
        "'equal weights' as for the clusters above; 'default' is bm.DirichletProcess() with a "
        "separate intercept. 'fit s' is\nfrom the data to the partition. PyMC's mixture of "
        f"{settings.n_sticks} sticks with equal weights: {_PEER_TERRAIN_SECONDS} s, measured "
        "beforehand.",
        flush=True,
    )


def _terrain_row(name: str, fit: TimedFit) -> tuple[object, ...]:
    """The row of the table; prints the tasks of each cluster."""
    partition = bm.task_relations(fit.tree)["partition"]
    tasks, cluster = partition["task"].to_numpy(), partition.to_numpy()
    bare = tasks >= _FIRST_BARE
    members = [tasks[cluster == k] for k in np.unique(cluster)]
    print(f"{name}: " + "; ".join(" ".join(map(str, some)) for some in members), flush=True)
    mixed = sum(0 < (some >= _FIRST_BARE).sum() < some.size for some in members)
    rhat = mixing({"n_clusters": fit.tree["posterior"]["n_clusters"].to_numpy().astype(float)}).rhat
    found = (len(members), float(adjusted_rand_score(bare, cluster)), mixed, rhat)
    return (name, *found, fit.sampling_seconds, fit.seconds, load_average())


_PARTS = {"accuracy": accuracy, "speed": speed, "clusters": clusters, "terrains": terrains}
