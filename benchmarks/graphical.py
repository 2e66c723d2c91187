"""Graphs of several tasks: how well edges are found and new rows told, together and alone.

Simulated. Each task has a graph of as many edges as variables, half of them in all tasks, half its
own; partial correlations are drawn between 0.2 and 0.6 for each task, of one sign where an edge is
shared, and shrunk until all matrices are positive definite. Scores are the average precision of the
edges (area under the precision-recall curve, all pairs of all tasks; a random order has the share
of edges) and the mean log density of new rows. All of ours have default priors. The joint graphical
lasso (Danaher et al. 2014, group penalty) of `gglasso`, which is skipped where it is not installed,
is tuned over a grid of both penalties by its own criterion, extended BIC or AIC; its score for an
edge is the absolute partial correlation, for new rows the density at its estimate.

Jura. Logarithms of seven metals in soil, rock types with 60 samples or more as tasks; a few random
samples of each are fitted, the others are new rows.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

import bayesmtl as bm
from bayesmtl.graphical.gibbs import graph_sweep
from bayesmtl.graphical.state import initial_state
from benchmarks.data import SHARED_DATA
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = [
    "METHODS",
    "PARTS",
    "GraphicalSettings",
    "average_precision",
    "graphs",
    "read_jura",
    "run",
]

PARTS = ("edges", "jura", "graph-sweeps")
METHODS = {
    f"{prior}, {relation}": {"prior": prior, "relation": relation}
    for prior in ("horseshoe", "spike_slab")
    for relation in ("joint", "independent", "pooled")
}
JOINT = "horseshoe, joint"


@dataclass(frozen=True)
class GraphicalSettings:
    """Sizes, and the lengths of the fits.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    n_variables, n_tasks, n_rows, n_new : int
        Of the simulated data; rows of each task.
    repeats : int
        Simulated data sets, and random splits of the soil samples.
    soil_rows : tuple of int
        Samples of each rock type that are fitted.
    draws, tune, chains, seed : int
    peers : bool
        Whether to run the joint graphical lasso.
    sweeps : tuple of (int, int)
        Tasks and variables of the sweeps that are timed.
    """

    parts: tuple[str, ...] = PARTS
    n_variables: int = 30
    n_tasks: int = 4
    n_rows: int = 50
    n_new: int = 500
    repeats: int = 10
    soil_rows: tuple[int, ...] = (10, 25)
    draws: int = 500
    tune: int = 500
    chains: int = 2
    seed: int = 1
    peers: bool = True
    sweeps: tuple[tuple[int, int], ...] = ((4, 30), (4, 50), (1, 200), (4, 200))


class Graphs(NamedTuple):
    """Edges (task, n, n), and training and new rows."""

    edge: np.ndarray
    train: pd.DataFrame
    new: pd.DataFrame


def graphs(
    n_variables: int, n_tasks: int, n_rows: int, n_new: int, seed: int, shared: float = 0.5
) -> Graphs:
    """Simulate tasks whose graphs have a share of their edges in common."""
    rng = np.random.default_rng(seed)
    first, second = np.tril_indices(n_variables, k=-1)
    n_common = round(shared * n_variables)
    order = rng.permutation(len(first))
    common, rest = order[:n_common], order[n_common:]
    sign = rng.choice([-1.0, 1.0], n_common)
    edge = np.zeros((n_tasks, n_variables, n_variables), dtype=bool)
    rows = []
    for g in range(n_tasks):
        own = rest[g * (n_variables - n_common) : (g + 1) * (n_variables - n_common)]
        some = np.r_[common, own]
        signs = np.r_[sign, rng.choice([-1.0, 1.0], len(own))]
        partial = np.zeros((n_variables, n_variables))
        partial[first[some], second[some]] = signs * rng.uniform(0.2, 0.6, len(some))
        partial += partial.T
        edge[g] = partial != 0
        # Off-diagonal elements of a precision matrix of unit diagonal.
        largest = -np.linalg.eigvalsh(-partial)[0]
        precision = np.eye(n_variables) - partial * min(1.0, 0.9 / largest)
        root = np.linalg.cholesky(precision)
        noise = rng.normal(size=(n_rows + n_new, n_variables))
        rows.append(np.linalg.solve(root.T, noise.T).T)
    names = [f"x{j + 1}" for j in range(n_variables)]
    train, new = (
        pd.concat(
            [pd.DataFrame(part[some], columns=names).assign(task=g) for g, part in enumerate(rows)],
            ignore_index=True,
        )
        for some in (slice(n_rows), slice(n_rows, None))
    )
    return Graphs(edge, train, new)


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the precision-recall curve, as a step function; ties count as one threshold."""
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(truth[order])
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    precision, recall = found[last] / (last + 1), found[last] / truth.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


class Scored(NamedTuple):
    """Scores (task, n, n) of edges, mean log density of new rows, seconds, a remark."""

    edge: np.ndarray
    density: float
    seconds: float
    remark: str


def fit_ours(
    options: dict[str, Any],
    train: pd.DataFrame,
    new: pd.DataFrame,
    settings: GraphicalSettings,
    seed: int,
) -> Scored:
    """Fit one of our models and score it."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Short chains; the shares of verdicts that are not OK are printed.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        tree = bm.MultiTaskGraphicalModel(task="task", **options).fit(
            train,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            random_seed=seed,
            progressbar=False,
        )
    seconds = time.perf_counter() - started
    bm.compute_log_likelihood(tree, new)
    return Scored(
        bm.task_relations(tree)["edge_probability"].to_numpy(),
        mean_density(tree),
        seconds,
        str(tree.attrs["verdict"]).split(":")[0],
    )


def mean_density(tree: xr.DataTree) -> float:
    """Mean over rows of the log of the density, averaged over draws."""
    values = tree["log_likelihood"]["y"].to_numpy()
    flat = values.reshape(-1, values.shape[2])
    return float((logsumexp(flat, axis=0) - np.log(len(flat))).mean())


def fit_lasso(train: pd.DataFrame, new: pd.DataFrame, criterion: str) -> Scored:
    """Joint graphical lasso with both penalties chosen by a criterion."""
    from gglasso.problem import glasso_problem
    from scipy.stats import multivariate_normal

    started = time.perf_counter()
    parts = [rows.drop(columns="task").to_numpy() for _, rows in train.groupby("task")]
    center, scale = (np.array([f(part, axis=0) for part in parts]) for f in (np.mean, np.std))
    within = np.sqrt((scale**2).mean(axis=0))
    unit = np.outer(within, within)
    covariance = np.array([np.cov(part.T, bias=True) / unit for part in parts])
    counts = np.array([len(part) for part in parts])
    problem = glasso_problem(covariance, counts, reg="GGL")
    grid = {
        "lambda1_range": np.logspace(0, -2, 12),
        "lambda2_range": np.logspace(-0.5, -2.5, 8),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # a line for each pair of penalties
        problem.model_selection(modelselect_params=grid, method=criterion, gamma=0.1)
    found = np.asarray(problem.solution.precision_)
    root = np.sqrt(np.diagonal(found, axis1=1, axis2=2))
    partial = np.abs(found / (root[:, :, None] * root[:, None, :]))
    seconds = time.perf_counter() - started
    density = [
        multivariate_normal(center[g], np.linalg.inv(found[g]) * unit).logpdf(
            rows.drop(columns="task").to_numpy()
        )
        for g, (_, rows) in enumerate(new.groupby("task"))
    ]
    chosen = problem.reg_params
    remark = f"penalties {chosen['lambda1']:.2g}, {chosen['lambda2']:.2g}"
    return Scored(partial, float(np.concatenate(density).mean()), seconds, remark)


def run(settings: GraphicalSettings) -> None:
    """Print the parts that are asked for."""
    peers = settings.peers and _has_lasso()
    if "edges" in settings.parts:
        _edges(settings, peers)
    if "jura" in settings.parts:
        soil = read_jura()
        if soil is None:
            print("jura: skipped, jura.csv.gz is not in ../shared/data")
        else:
            for size in settings.soil_rows:
                _soil(soil, size, settings, peers)
            _links(soil, settings)
    if "graph-sweeps" in settings.parts:
        _sweeps(settings)


def _has_lasso() -> bool:
    try:
        import gglasso  # noqa: F401
    except ImportError:
        print("joint graphical lasso: skipped, gglasso is not installed")
        return False
    return True


def _fit_all(
    train: pd.DataFrame, new: pd.DataFrame, settings: GraphicalSettings, seed: int, peers: bool
) -> dict[str, Scored]:
    """Every method on one data set."""
    found = {
        name: fit_ours(options, train, new, settings, seed) for name, options in METHODS.items()
    }
    if peers:
        for criterion in ("eBIC", "AIC"):
            found[f"gglasso, {criterion}"] = fit_lasso(train, new, criterion)
    return found


def _edges(settings: GraphicalSettings, peers: bool) -> None:
    """Average precision of edges and density of new rows, simulated."""
    heading(
        f"graphs: {settings.n_variables} variables, {settings.n_tasks} tasks of "
        f"{settings.n_rows} rows, half of the edges shared, {settings.repeats} data sets; ours "
        f"{settings.chains} chains x ({settings.tune} + {settings.draws}), load {load_average()}"
    )
    below = np.tril_indices(settings.n_variables, k=-1)
    results: dict[str, list[tuple[float, Scored]]] = {}
    for number in range(settings.repeats):
        seed = settings.seed + number
        data = graphs(settings.n_variables, settings.n_tasks, settings.n_rows, settings.n_new, seed)
        truth = data.edge[:, *below].ravel()
        for name, scored in _fit_all(data.train, data.new, settings, seed, peers).items():
            area = average_precision(scored.edge[:, *below].ravel(), truth)
            results.setdefault(name, []).append((area, scored))
    base = np.array([precision for precision, _ in results[JOINT]])
    level = np.array([one.density for _, one in results[JOINT]])
    rows = []
    for name, found in results.items():
        precision = np.array([value for value, _ in found])
        density = np.array([one.density for _, one in found])
        rows.append(
            (
                name,
                _mean_sd(precision),
                _gain(base - precision, name == JOINT),
                _mean_sd(density),
                _gain(level - density, name == JOINT),
                float(np.mean([one.seconds for _, one in found])),
                found[0][1].remark,
            )
        )
    print_table(
        (
            "method",
            "average precision",
            "joint horseshoe better by",
            "log density",
            "joint horseshoe better by",
            "s",
            "first",
        ),
        rows,
    )
    for name, precision, _, density, *_ in rows:
        if name != JOINT:
            headline("average precision of edges", rows[0][1], name, precision)
            headline("log density of a row, graphs", rows[0][3], name, density)


def _mean_sd(values: np.ndarray) -> str:
    sd = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{values.mean():.3f} ({sd:.3f})"


def _gain(difference: np.ndarray, own: bool) -> str:
    """Mean paired difference with its standard error."""
    if own or len(difference) < 2:
        return "-"
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return f"{difference.mean():+.3f} ± {error:.3f}"


def read_jura() -> pd.DataFrame | None:
    """Logs of the metals, a row each sample, with its ``task``, the rock; None without the file."""
    path = SHARED_DATA / "jura.csv.gz"
    if not path.is_file():
        return None
    rows = pd.read_csv(path)
    wide = rows.pivot_table(index=["row", "Rock"], columns="task", values="y").reset_index()
    metals = [name for name in wide.columns if name not in ("row", "Rock")]
    out = np.log(wide[metals]).assign(task=wide["Rock"].to_numpy())
    return out[out.groupby("task")["task"].transform("size") >= 60].reset_index(drop=True)


def _soil(soil: pd.DataFrame, size: int, settings: GraphicalSettings, peers: bool) -> None:
    """Log density of samples that were not fitted."""
    heading(
        f"metals in soil: {soil.shape[1] - 1} metals, {soil['task'].nunique()} rock types, {size} "
        f"samples of each fitted, {settings.repeats} random splits, load {load_average()}"
    )
    results: dict[str, list[Scored]] = {}
    for number in range(settings.repeats):
        rng = np.random.default_rng([settings.seed, size, number])
        mixed = soil.iloc[rng.permutation(len(soil))]
        inside = mixed.groupby("task").cumcount() < size
        train, new = mixed[inside], mixed[~inside]
        for name, scored in _fit_all(train, new, settings, settings.seed + number, peers).items():
            results.setdefault(name, []).append(scored)
    level = np.array([one.density for one in results[JOINT]])
    rows = []
    for name, found in results.items():
        density = np.array([one.density for one in found])
        seconds = float(np.mean([one.seconds for one in found]))
        rows.append((name, _mean_sd(density), _gain(level - density, name == JOINT), seconds))
    print_table(("method", "log density", "joint horseshoe better by", "s"), rows)
    for name, value, *_ in rows:
        if name != JOINT:
            headline(f"log density of a soil sample, {size} fitted", rows[0][1], name, value)


def _links(soil: pd.DataFrame, settings: GraphicalSettings) -> None:
    """Which metals are linked, from all samples."""
    heading(f"metals in soil: links from all {len(soil)} samples")
    for prior in ("horseshoe", "spike_slab"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.BayesMTLWarning)
            tree = bm.MultiTaskGraphicalModel(task="task", prior=prior).fit(
                soil, random_seed=settings.seed, progressbar=False
            )
        found = bm.task_relations(tree)
        names = found["node"].to_numpy()
        mean = found["partial_correlation"].sel(statistic="mean").to_numpy()
        chance = found["edge_probability"].to_numpy()
        rows = []
        for i, j in zip(*np.tril_indices(len(names), k=-1), strict=True):
            if (chance[:, i, j] > 0.5).any():
                cells = [
                    f"{r:+.2f} ({p:.2f})"
                    for r, p in zip(mean[:, i, j], chance[:, i, j], strict=True)
                ]
                shared = float(found["shared_edge_probability"][i, j])
                rows.append((f"{names[j]} - {names[i]}", *cells, f"{shared:.2f}"))
        print(
            f"{prior}: partial correlation (edge probability; "
            f"{float(found['prior_edge_probability']):.2f} a priori) by rock type; "
            f"{tree.attrs['verdict']}"
        )
        print_table(("link", *map(str, found["task"].to_numpy()), "in all"), rows)


def _sweeps(settings: GraphicalSettings) -> None:
    """Milliseconds of a sweep."""
    heading(f"sweeps over graphs, 100 rows a task, load {load_average()}")
    rows = []
    for n_tasks, n_variables in settings.sweeps:
        data = graphs(n_variables, n_tasks, 100, 0, settings.seed)
        cells = []
        for prior in ("horseshoe", "spike_slab"):
            problem, _ = bm.MultiTaskGraphicalModel(task="task", prior=prior).prepare(
                data.train.assign(task=data.train["task"].astype(str))
            )
            rng = np.random.default_rng(settings.seed)
            state = initial_state(problem, rng)
            graph_sweep(problem, state, rng)
            count = 20 if n_variables <= 50 else 3
            # As in a chain of a fit: chains are what runs in parallel.
            with threadpool_limits(1, "blas"):
                started = time.perf_counter()
                for _ in range(count):
                    graph_sweep(problem, state, rng)
            cells.append(1000.0 * (time.perf_counter() - started) / count)
        rows.append((f"{n_tasks} x {n_variables}", *cells))
    print_table(("tasks x variables", "horseshoe ms", "spike_slab ms"), rows)
    for sizes, *cells in rows:
        for prior, cell in zip(("horseshoe", "spike_slab"), cells, strict=True):
            headline(f"ms a sweep over graphs, {sizes}, {prior}", cell)
