"""Tasks that a graph links through the public names: closed forms, limits and awkward data."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayesmtl as bm
from bayesmtl import fitting
from bayesmtl.report.graphs import describe_graph
from bayesmtl.report.summary import describe_correlations
from tests.oracles.autoregression import scaled_laplacian
from tests.oracles.cases import agree, fit, regression
from tests.oracles.comparisons import LONG, posterior, same_means

FIXED: dict[str, Any] = {
    "likelihood": bm.Gaussian(noise_sd=0.8),
    "intercept": bm.Exchangeable(mean=0.0, scale=1.0),
}
TASKS = [f"task {t:02}" for t in range(5)]
PATH = [(TASKS[t], TASKS[t + 1], 1.0 + t) for t in range(3)] + [(TASKS[4],)]
NEWICK = "(('task 00':1,'task 01':1):1,('task 02':0.5,'task 03':1,'task 04':2):0.5);"
RELATIONS: dict[str, Any] = {
    "spike and slab": bm.SparseGraph(),
    "horseshoe": bm.SparseGraph("horseshoe"),
    "known": bm.KnownGraph(PATH),
    "lengths": bm.Tree(NEWICK),
    "levels": bm.Tree(["group"], concentration=[1.0, 2.0]),
}


def grouped(n_rows: int, n_features: int) -> pd.DataFrame:
    data = regression(5, n_rows, n_features)
    return data.assign(group=np.where(data["task"] < TASKS[2], "a", "b"))


def dense_evidence(data: pd.DataFrame, omega: np.ndarray) -> float:
    """Of intercepts Normal(0, 1) and one slope per task, variance 1.5^2 times ``omega``."""
    code = data["task"].map({task: t for t, task in enumerate(TASKS)}).to_numpy()
    x = data["x0"].to_numpy() - data["x0"].mean()
    covariance = 2.25 * omega[np.ix_(code, code)] * np.outer(x, x)
    covariance += (code[:, None] == code) + 0.64 * np.eye(len(x))
    return float(multivariate_normal(np.zeros(len(x)), covariance).logpdf(data["y"]))


@pytest.mark.parametrize("rho", [0.0, 0.35, 0.98])
def test_evidence_of_a_known_graph_is_the_dense_normal_density(rho: float) -> None:
    data, adjacency = regression(5, 6, 1), np.zeros((5, 5))
    for t in range(3):
        adjacency[t, t + 1] = adjacency[t + 1, t] = 1.0 + t
    omega = np.linalg.inv(rho * scaled_laplacian(adjacency) + (1.0 - rho) * np.eye(5))
    relation = bm.KnownGraph(PATH, rho=rho, mean=0.0, scale=1.5)
    model = bm.Model("y ~ x0", "task", relation, **FIXED)
    assert model.log_evidence(data) == pytest.approx(dense_evidence(data, omega), rel=1e-9)
    if rho == 0.0:
        plain = bm.Model("y ~ x0", "task", bm.Independent(mean=0.0, scale=1.5), **FIXED)
        assert model.log_evidence(data) == pytest.approx(plain.log_evidence(data), rel=1e-11)


def test_a_tree_of_one_level_has_exchangeable_tasks() -> None:
    data = regression(5, 6, 1)
    star = bm.Tree(f"({','.join(repr(task) for task in TASKS)});", mean=0.0, scale=1.5)
    model = bm.Model("y ~ x0", "task", star, **FIXED)
    assert model.log_evidence(data) == pytest.approx(dense_evidence(data, np.eye(5)), rel=1e-9)


@pytest.mark.parametrize(
    ("tree", "shares"), [(NEWICK, (0.7, 0.3)), (NEWICK, (1.0, 0.0)), (["group"], (0.4, 0.6))]
)
def test_evidence_of_a_tree_is_the_dense_normal_density(tree: Any, shares: Any) -> None:
    own = np.eye(5)
    common = np.zeros((5, 5))
    common[:2, :2] = common[2:, 2:] = 1.0
    if tree == NEWICK:
        common = np.diag([2.0, 2.0, 1.0, 1.5, 2.5])
        common[:2, :2] += 1.0 - np.eye(2)
        common[2:, 2:] += 0.5 * (1.0 - np.eye(3))
        common /= 1.8
    model = bm.Model("y ~ x0", "task", bm.Tree(tree, shares, mean=0.0, scale=1.5), **FIXED)
    data = grouped(6, 1)
    expected = dense_evidence(data, shares[0] * common + shares[1] * own)
    assert model.log_evidence(data) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", RELATIONS)
def test_models_survive_json(name: str) -> None:
    model = bm.Model("y ~ x0", "task", RELATIONS[name])
    assert bm.Model.from_dict(model.to_dict()) == model
    assert type(model.relation).__name__ in str(model)


@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize(
    "relation",
    [
        bm.SparseGraph(mean=0.0, scale=1.0),
        bm.KnownGraph(PATH, mean=0.0, scale=1.0),
        bm.Tree(["group"], mean=0.0, scale=1.0),
    ],
)
def test_evidence_needs_fixed_structures(relation: Any) -> None:
    model = bm.Model("y ~ x0", "task", relation, **FIXED)
    with pytest.raises(bm.UnsupportedError, match="the covariance of the tasks is learned"):
        model.log_evidence(grouped(4, 1))


@pytest.mark.calibration
@pytest.mark.parametrize("name", ["known", "lengths", "levels"])
def test_gibbs_is_nuts(name: str) -> None:
    model = bm.Model("y ~ x0 + x1", "task", RELATIONS[name])
    data = grouped(8, 2)
    first = posterior(model, data, **LONG)
    second = posterior(model, data, inference="nuts", draws=1500, tune=700, chains=2, cores=2)
    own = "rho" if name == "known" else "level_share"
    same_means(first, second, ["weights", "population_mean", "population_sd", own])


@pytest.mark.mcmc
@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_fits_have_their_relations(name: str) -> None:
    data = grouped(12, 3)
    tree = fit(bm.Model("y ~ x0 + x1 + x2", "task", RELATIONS[name]), data, draws=200, tune=100)
    relations = bm.task_relations(tree)
    if "known" in name:
        assert {"rho", "prior_rho"} <= set(relations)
    elif name in ("lengths", "levels"):
        total = relations["level_share"].sel(statistic="mean").sum("level")
        assert float(total) == pytest.approx(1.0)
    else:
        probability = relations["edge_probability"].to_numpy()
        np.testing.assert_array_equal(probability, probability.T)
        assert not np.diag(probability).any()
        np.testing.assert_array_equal(relations["median_graph"], probability > 0.5)
        assert 0.0 < float(relations["prior_edge_probability"]) < 0.7
        edges = tree["posterior"]["n_edges"].mean()
        assert float(edges) == pytest.approx(probability.sum() / 2.0, rel=1e-6)
    new = data.assign(task="new")
    assert np.isfinite(bm.predict(tree, new, new_task="population", as_frame=True)["mean"]).all()


@pytest.mark.mcmc
@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_any_likelihood_is_fitted(name: str) -> None:
    data = grouped(12, 2)
    data["y"] = (data["y"] > data["y"].mean()).astype(int)
    model = bm.Model("y ~ x0 + x1", "task", RELATIONS[name], bm.Bernoulli())
    draws = fit(model, data, draws=100, tune=100)["posterior"]
    assert np.isfinite(draws["weights"]).all()
    assert (draws["weights"].std(("chain", "draw")) > 0.01).all()


@pytest.mark.mcmc
@pytest.mark.parametrize("name", ["spike and slab", "horseshoe", "known", "levels"])
@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
def test_the_prior_predictive_has_the_structure(name: str) -> None:
    model = bm.Model("y ~ x0 + x1", "task", RELATIONS[name])
    draws = model.prior_predictive(grouped(4, 2), draws=20, random_seed=1)["prior"]
    assert np.isfinite(draws["weights"]).all()


@pytest.mark.mcmc
def test_a_declared_task_without_rows_follows_its_neighbour() -> None:
    data = regression(2, 30, 1)
    model = bm.Model(
        "y ~ 0 + x0",
        "task",
        bm.KnownGraph([("task 00", "new"), ("task 01",)], rho=0.9, mean=0.0, scale=2.0),
        bm.Gaussian(noise_sd=0.6),
    )
    weights = posterior(model, data, **LONG)["weights"].sel(feature="x0")
    first, empty = weights.sel(task="task 00").values, weights.sel(task="new").values
    # Two tasks: L = [[1, -1], [-1, 1]] / 4, whose generalised inverse has the diagonal 1.
    own, other = 0.9 * 0.25 + 0.1, 0.9 * 0.25
    assert agree(empty - other / own * first, 0.0)
    assert agree((empty - other / own * first) ** 2, 4.0 / own)


@pytest.mark.mcmc
def test_strong_links_are_found_and_others_are_not() -> None:
    rng, n_tasks, d = np.random.default_rng(6), 6, 100
    precision = np.eye(n_tasks)
    for s, t, value in ((0, 1, -0.6), (2, 3, 0.6), (4, 5, -0.6)):
        precision[s, t] = precision[t, s] = value
    # Their scatter is exactly that of the precision.
    rows = np.sqrt(d) * np.linalg.qr(rng.normal(size=(d, n_tasks)))[0].T
    weights = np.linalg.cholesky(np.linalg.inv(precision)) @ rows
    x = rng.normal(size=(n_tasks, 200, d))
    y = np.einsum("tij,tj->ti", x, weights) + 0.5 * rng.normal(size=(n_tasks, 200))
    data = pd.DataFrame(x.reshape(-1, d), columns=[f"x{j}" for j in range(d)])
    data = data.assign(y=y.ravel(), task=np.repeat(np.arange(n_tasks), 200))
    formula = "y ~ " + " + ".join(f"x{j}" for j in range(d))
    tree = fit(bm.Model(formula, "task", bm.SparseGraph()), data, draws=150, tune=100)
    relations = bm.task_relations(tree)
    found, true = relations["edge_probability"].to_numpy(), precision != 0.0
    np.fill_diagonal(true, False)
    assert found[true].min() > 0.9
    assert found[~true].max() < 0.5
    partial = relations["partial_correlation"].sel(statistic="mean").to_numpy()
    np.testing.assert_array_equal(np.sign(partial[true]), -np.sign(precision[true]))


@pytest.mark.mcmc
@pytest.mark.parametrize("name", ["spike and slab", "horseshoe", "known", "levels"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_awkward_data_are_fitted(name: str) -> None:
    """Identical tasks, a feature given twice, more features than rows, scales of 1e-9 and 1e12."""
    data = grouped(3, 2).assign(x2=lambda d: d["x0"], x3=lambda d: d["x0"] + d["x1"])
    twin = data[data["task"] == TASKS[0]].assign(task=TASKS[1])
    data = pd.concat([data[data["task"] != TASKS[1]], twin], ignore_index=True)
    model = bm.Model("y ~ x0 + x1 + x2 + x3", "task", RELATIONS[name])
    small, large, units = 2.0**-30, 2.0**40, 2.0**20
    scaled = data.assign(x0=small * data["x0"], x1=large * data["x1"], y=units * data["y"])
    first, second = fit(model, data), fit(model, scaled)
    for draws in (first["posterior"], second["posterior"]):
        assert all(np.isfinite(values).all() for values in draws.to_dataset().data_vars.values())
    np.testing.assert_allclose(
        second["posterior"]["task_correlation"], first["posterior"]["task_correlation"], atol=0.01
    )


@pytest.mark.mcmc
@pytest.mark.parametrize("prior", ["spike_slab", "horseshoe"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_one_task_and_two_are_fitted(prior: str) -> None:
    for n_tasks in (1, 2):
        model = bm.Model("y ~ x0", "task", bm.SparseGraph(prior))
        tree = fit(model, regression(n_tasks, 8, 1))
        assert np.isfinite(tree["posterior"]["weights"]).all()


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize(
    ("name", "inference", "match"),
    [
        ("horseshoe", "nuts", "unknown: use inference='gibbs'"),
        ("spike and slab", "cavi", "unknown: use inference='gibbs'"),
        ("known", "cavi", "a graph links the tasks: use inference='gibbs' or 'nuts'"),
    ],
)
def test_methods_that_do_not_work_are_refused(name: str, inference: str, match: str) -> None:
    model = bm.Model("y ~ x0", "task", RELATIONS[name])
    with pytest.raises(bm.UnsupportedError, match=match):
        model.fit(grouped(4, 1), inference=inference)


def test_too_few_features_are_warned_of() -> None:
    model = bm.Model("y ~ x0 + x1", "task", bm.SparseGraph())
    with pytest.warns(bm.BayesMTLWarning, match="graph of 5 tasks is learned from 2 effective"):
        model.prepare(regression(5, 8, 2))


def test_more_covariances_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_MOST_WEIGHT_BYTES", 1000)
    model = bm.Model("y ~ x0", "task", bm.KnownGraph(PATH))
    with pytest.raises(bm.UnsupportedError, match=r"covariances of 5 tasks take .* fewer draws"):
        model.fit(regression(5, 4, 1))


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_dates_name_the_nodes_of_a_graph() -> None:
    days = [datetime.date(2020, 1, day) for day in (1, 2, 3)]
    data = regression(3, 8, 1)
    data["task"] = np.repeat(np.array(days, dtype=object), 8)
    relation = bm.KnownGraph([(days[0], days[1]), (days[2], datetime.date(2021, 5, 1))])
    tree = fit(bm.Model("y ~ x0", "task", relation), data)
    assert tree["posterior"].sizes["task"] == 4
    assert "rho" in describe_graph(tree["task_relations"].to_dataset())
    assert describe_correlations(tree["task_relations"].to_dataset()) == ""


def test_labels_of_a_graph_have_the_type_of_the_tasks() -> None:
    data = regression(2, 4, 1)
    data["task"] = np.repeat([0, 1], 4)
    model = bm.Model("y ~ x0", "task", bm.KnownGraph([("0", "1")]))
    with pytest.raises(bm.InvalidTypeError, match="or the relation of its tasks, names them by"):
        model.prepare(data)
