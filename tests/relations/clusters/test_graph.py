"""The PyMC graph of clusters: against sums over partitions, and its draws against Gibbs."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

import bayesmtl as bm
from bayesmtl.relations.clusters.conditional import draw_labels
from bayesmtl.relations.clusters.evidence import all_partitions

UNIT = bm.Prior("Normal", mu=0, sigma=1)
FIXED: dict[str, Any] = {"concentration": 0.8, "between": 0.6, "scale": 1.3, "mean": 0.4}


def frame(n_tasks: int, n_rows: int = 3) -> Any:
    rng = np.random.default_rng(n_tasks)
    rows = np.repeat(np.arange(n_tasks), n_rows)
    x = 0.5 + rng.normal(size=rows.size)
    y = 2.0 + np.where(rows % 2, 1.5, -0.5) * x + rng.normal(size=rows.size)
    return pd.DataFrame({"t": rows, "x": x, "z": rows**2.0, "y": y})


def model(relation: Any, formula: str = "y ~ 0 + x", **settings: Any) -> Any:
    likelihood = bm.Gaussian(noise_sd=0.9)
    return bm.Model(formula, "t", relation, likelihood=likelihood, **settings)


def path_weights(stick: np.ndarray, labels: np.ndarray) -> float:
    """Probability of labels by first appearance given the sticks."""
    share = stick * np.concatenate([[1.0], np.cumprod(1.0 - stick)[:-1]])
    value, used = 1.0, 1
    for label in labels[1:]:
        value *= 1.0 - share[:used].sum() if label == used else share[label]
        used += label == used
    return value


@pytest.mark.parametrize(
    "relation",
    [
        bm.DirichletProcess(**FIXED),
        bm.PitmanYor(discount=0.3, **FIXED),
        bm.FiniteMixture(components=2, **FIXED),
        bm.DirichletProcess(**(FIXED | {"between": 1.0})),
    ],
    ids=["DirichletProcess", "PitmanYor", "two components", "identical weights"],
)
def test_sites_sum_over_all_partitions(relation: Any) -> None:
    """With a separate intercept and task effects; the constant does not depend on the point."""
    data = frame(4)
    intercept = bm.Exchangeable(mean=1.0, scale=0.7, task_effects=0.0)
    full = type(relation)(**(vars(relation) | {"task_effects": UNIT}))
    graph = model(full, "y ~ x", intercept=intercept, task_features="~ z").to_pymc(
        data, likelihood="sites"
    )
    x, task = (data["x"] - data["x"].mean()).to_numpy(), data["t"].to_numpy()
    z = (data["z"] - data["z"].mean()).to_numpy()
    same_task = task[:, None] == task[None, :]
    within = (1.0 - relation.between) * 1.69
    covariance = same_task * (0.49 + within * np.outer(x, x)) + 0.81 * np.eye(len(x))
    (density,) = graph.replace_rvs_by_values([graph["sites"]])
    logp = graph.compile_fn(density, mode="FAST_COMPILE", on_unused_input="ignore")
    rng, gaps = np.random.default_rng(1), []
    for _ in range(3):
        start = graph.initial_point().items()
        point = {key: value + 0.5 * rng.normal(size=np.shape(value)) for key, value in start}
        stick = np.ones(graph.dim_lengths["cluster"].eval())
        free = 1.0 / (1.0 + np.exp(-point["stick_logodds__"]))
        stick[: len(free)] = free
        beta = 0.4 + np.sqrt(relation.between) * 1.3 * point["cluster_offset"][:, 0]
        effect = point["task_effects_0"][0]
        total = 0.0
        for labels in all_partitions(4):
            if labels.max() < len(beta):
                mean = 1.0 + (beta[labels][task] + effect * z) * x
                density = multivariate_normal.pdf(data["y"], mean, covariance)
                total += path_weights(stick, labels) * density
        gaps.append(float(np.sum(logp(point))) - np.log(total))
    assert np.ptp(gaps) < 1e-9


def test_rows_are_sites_with_explicit_weights() -> None:
    """The weights of two tasks integrated out of the one by quadrature give the other."""
    # Weak data leave the weights so wide that a coarse grid is exact.
    data = frame(2)
    data["x"] *= 0.3
    graphs = [
        model(bm.DirichletProcess(**FIXED)).to_pymc(data, likelihood=kind)
        for kind in ("rows", "sites")
    ]
    rows, sites = (graph.compile_logp(mode="FAST_COMPILE") for graph in graphs)
    start = graphs[1].initial_point()
    grid = np.linspace(-6.0, 6.0, 31)
    rng, gaps = np.random.default_rng(2), []
    for _ in range(2):
        point = {
            key: value + 0.5 * rng.normal(size=np.shape(value)) for key, value in start.items()
        }
        values = [
            float(rows(point | {"weights_offset": np.array(pair)[:, None]}))
            for pair in itertools.product(grid, grid)
        ]
        gaps.append(np.logaddexp.reduce(values) - float(sites(point)))
    assert np.ptp(gaps) < 1e-6


def test_the_graph_speaks_the_users_names() -> None:
    graph = bm.Model("y ~ x", "t", bm.PitmanYor()).to_pymc(frame(4))
    assert graph.named_vars_to_dims["cluster_mean"] == ("cluster", "feature")
    assert {"concentration", "discount", "between", "base_mean", "base_sd", "weights"} <= set(
        graph.named_vars
    )
    assert [variable.name for variable in graph.observed_RVs] == ["y"]


def test_at_most_thirty_clusters() -> None:
    graph = model(bm.DirichletProcess()).to_pymc(frame(33, 2), likelihood="sites")
    assert graph.dim_lengths["cluster"].eval() == 30
    assert graph["stick"].type.shape == (30,)


def test_unknown_number_of_components() -> None:
    with pytest.raises(bm.UnsupportedError, match=r"fixed number of components: set components=,"):
        model(bm.FiniteMixture()).to_pymc(frame(3))


def test_rows_of_identical_weights() -> None:
    with pytest.raises(bm.UnsupportedError, match="no density: use likelihood='sites'"):
        model(bm.DirichletProcess(between=1.0)).to_pymc(frame(3), likelihood="rows")


def test_labels_follow_their_conditional() -> None:
    rng = np.random.default_rng(3)
    stick = np.array([0.5, 0.3, 0.6, 1.0])
    evidence = rng.normal(size=(4, 4))
    partitions = all_partitions(4)
    exact = np.array(
        [
            path_weights(stick, labels) * np.exp(evidence[np.arange(4), labels].sum())
            for labels in partitions
        ]
    )
    exact /= exact.sum()
    with np.errstate(divide="ignore"):
        args = (evidence, np.log(stick), np.log1p(-stick))
    draws = np.array([draw_labels(*args, rng) for _ in range(4000)])
    for labels, probability in zip(partitions, exact, strict=True):
        share = (draws == labels).all(axis=1).mean()
        assert share == pytest.approx(probability, abs=4.0 * np.sqrt(probability / 4000))


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore:CHECK:bayesmtl.BayesMTLWarning")
def test_nuts_equals_gibbs() -> None:
    import arviz as az

    relation = bm.PitmanYor(mean=UNIT, scale=bm.Prior("HalfNormal", sigma=1))
    one = bm.Model("y ~ 0 + x", "t", relation, likelihood=bm.Gaussian(noise="shared"))
    settings: dict[str, Any] = {"chains": 2, "progressbar": False, "random_seed": 3}
    data = frame(6, 5)
    gibbs = one.fit(data, draws=4000, **settings)
    nuts = one.fit(data, inference="nuts", draws=1000, tune=700, **settings)
    assert set(nuts["posterior"].data_vars) == set(gibbs["posterior"].data_vars)
    assert float(nuts["sample_stats"]["diverging"].mean()) < 0.02
    assigned = [tree["clusters"].to_dataset()["assignment"] for tree in (gibbs, nuts)]
    together = [(labels == labels.rename(task="other")).astype(float) for labels in assigned]
    names = [
        "n_clusters",
        "concentration",
        "discount",
        "between",
        "base_mean",
        "base_sd",
        "noise_sd",
        "weights",
        "population_sd",
    ]
    pairs = [(gibbs["posterior"][name], nuts["posterior"][name]) for name in names]
    pairs.append((together[0], together[1]))
    for first, second in pairs:
        errors = [az.mcse(xr.Dataset({"v": values}))["v"] for values in (first, second)]
        gap = np.abs(first.mean(("chain", "draw")) - second.mean(("chain", "draw")))
        allowed = 4.5 * np.sqrt(errors[0] ** 2 + errors[1] ** 2) + 1e-12
        assert float((gap / allowed).max()) < 1.0, first.name
