"""Fits by coordinate ascent: bounds, point estimates, draws and what the result says of itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.inference.cavi import fit_clusters, sample_clusters
from bayesmtl.inference.gibbs import start_chain
from bayesmtl.relations.clusters.allocation import responsibilities_of
from bayesmtl.relations.clusters.point_estimates import maximise, value_and_slope
from bayesmtl.relations.exchangeable.layouts import layout_of

APPROXIMATE = "APPROXIMATE: draws of cavi, not of the posterior"
FIXED: dict[str, Any] = {"concentration": 0.8, "between": 0.9, "scale": 2.0}
KNOWN = bm.Gaussian(noise_sd=0.9)
NORMAL = bm.Prior("Normal", mu=0.5, sigma=2)


def frame(n_tasks: int, distance: float = 2.0, n_rows: int = 8) -> Any:
    """Tasks of two clusters in turn."""
    rng = np.random.default_rng(n_tasks)
    rows = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=rows.size)
    slope = np.where(rows % 2, distance, -distance)
    return pd.DataFrame(
        {
            "t": [f"t{t}" for t in rows],
            "x": x,
            "z": rng.normal(size=n_tasks)[rows],
            "w": rng.uniform(0.5, 2.0, rows.size),
            "se": rng.uniform(0.5, 1.0, rows.size),
            "y": 1.0 + slope * x + 0.9 * rng.normal(size=rows.size),
        }
    )


def model(relation: Any, **settings: Any) -> Any:
    return bm.Model("y ~ x", "t", relation, **settings)


def fit(model: Any, data: Any, **settings: Any) -> Any:
    sizes = {"draws": 200, "chains": 2, "random_seed": 1} | settings
    return model.fit(data, inference="cavi", progressbar=False, **sizes)


@pytest.mark.parametrize("distance", [0.2, 2.5])
@pytest.mark.parametrize(
    "relation",
    [
        bm.DirichletProcess(mean=0.4, **FIXED),
        bm.DirichletProcess(mean=NORMAL, **FIXED),
        bm.PitmanYor(mean=NORMAL, discount=0.3, **FIXED),
        bm.FiniteMixture(mean=NORMAL, components=3, **FIXED),
        bm.FiniteMixture(mean=NORMAL, **FIXED),
    ],
    ids=["fixed mean", "dirichlet", "pitman_yor", "three components", "components"],
)
def test_bound_is_below_the_exact_log_evidence(distance: float, relation: Any) -> None:
    data = frame(5, distance)
    intercept = bm.Exchangeable(mean=1.0, scale=0.7)
    one = model(relation, likelihood=KNOWN, intercept=intercept)
    _, best = fit_clusters(one.prepare(data).problem, KNOWN, np.random.default_rng(0))
    exact = one.log_evidence(data)
    assert exact - 2.6 < best.q.elbo < exact
    assert np.diff(best.trace).min() > -1e-8


MODELS = {
    "joint": model(bm.DirichletProcess(), task_features="~ z"),
    "own priors": model(
        bm.DirichletProcess(mean=bm.Prior("StudentT", nu=4), between=0.6, concentration=1.0),
        likelihood=bm.Gaussian(noise="shared"),
        weights="w",
    ),
    "standard errors": model(
        bm.DirichletProcess(scale=bm.Prior("Uniform", lower=0.1, upper=3)),
        likelihood=bm.Gaussian(se="se"),
        intercept="relation",
    ),
    "median of noise": model(
        bm.DirichletProcess(), likelihood=bm.Gaussian(noise_sd=1.0, noise_spread=0.3)
    ),
    "power law": model(bm.PitmanYor(concentration=bm.Prior("LogNormal", mu=0, sigma=1))),
    "three components": model(bm.FiniteMixture(components=3)),
    "components": model(bm.FiniteMixture()),
}


# Which relation it is does not matter to the point estimates.
@pytest.mark.parametrize("name", list(MODELS)[:4])
def test_slope_of_the_objective(name: str) -> None:
    one, rng = MODELS[name], np.random.default_rng(2)
    problem = one.prepare(frame(7)).problem
    chain = start_chain(problem, one.likelihood, rng)
    assert chain.partition is not None
    layout, x = layout_of(problem, chain.population, float(chain.partition.between[0]), chain.noise)
    x = np.clip(x + 0.1 * rng.normal(size=x.size), *layout.bounds.T)
    r = rng.dirichlet(np.ones(3), size=7)
    value, slope = value_and_slope(layout, x, r)
    for i, step in enumerate(1e-5 * np.eye(x.size)):
        rise = value_and_slope(layout, x + step, r)[0] - value_and_slope(layout, x - step, r)[0]
        assert slope[i] == pytest.approx(rise / 2e-5, rel=1e-4, abs=1e-4)
    better = maximise(layout, x, r, 5)
    assert value_and_slope(layout, better, r)[0] > value
    assert (better >= layout.bounds[:, 0]).all()
    assert (better <= layout.bounds[:, 1]).all()


@pytest.mark.parametrize("name", MODELS)
def test_objective_never_falls(name: str) -> None:
    one = MODELS[name]
    problem = one.prepare(frame(8, 1.0)).problem
    layout, best = fit_clusters(problem, one.likelihood, np.random.default_rng(3))
    assert len(best.trace) > 3
    assert np.diff(best.trace).min() > -1e-8
    assert best.value == pytest.approx(best.trace[-1])
    terms = best.terms.constant.sum() + best.q.means.log_evidence
    at_end, _ = value_and_slope(layout, best.x, best.q.responsibilities)
    assert at_end == pytest.approx(terms + best.value - best.q.elbo)


def test_starts_do_not_matter_where_clusters_are_far_apart() -> None:
    one = MODELS["joint"]
    problem = one.prepare(frame(10)).problem
    ends = [
        fit_clusters(problem, one.likelihood, np.random.default_rng(seed))[1] for seed in range(2)
    ]
    assert ends[0].value == pytest.approx(ends[1].value, abs=0.02)
    labels = ends[0].q.responsibilities.argmax(axis=1)
    expected = responsibilities_of(np.arange(10) % 2).argmax(axis=1)
    assert (labels[:, None] == labels).tolist() == (expected[:, None] == expected).tolist()


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_draws_given_a_certain_partition_are_exact() -> None:
    """Moments of weights and cluster means against one dense regression."""
    data = frame(6, 6.0)
    settings = FIXED | {"scale": 5.0, "mean": 0.4}
    intercept = bm.Exchangeable(mean=1.0, scale=0.7)
    one = model(bm.DirichletProcess(**settings), likelihood=KNOWN, intercept=intercept)
    tree = fit(one, data, draws=4000)
    posterior = tree["posterior"]
    assert (posterior["n_clusters"] == 2).mean() > 0.99
    task = np.repeat(np.arange(6), 8)
    x = data["x"].to_numpy()
    own = task[:, None] == np.arange(6)
    design = np.hstack([own * (x - x.mean())[:, None], own])
    same = (np.arange(6)[:, None] - np.arange(6)) % 2 == 0
    prior = np.zeros((12, 12))
    prior[:6, :6] = 25.0 * (0.9 * same + 0.1 * np.eye(6))
    prior[6:, 6:] = 0.49 * np.eye(6)
    center = np.r_[np.full(6, 0.4), np.ones(6)]
    precision = np.linalg.inv(prior) + design.T @ design / 0.81
    mean = np.linalg.solve(
        precision, np.linalg.inv(prior) @ center + design.T @ data["y"].to_numpy() / 0.81
    )
    sd = np.sqrt(np.linalg.inv(precision).diagonal())
    weights = posterior["weights"].to_numpy()[..., 0].reshape(-1, 6)
    assert weights.mean(axis=0) == pytest.approx(mean[:6], abs=5 * sd.max() / np.sqrt(8000))
    assert weights.std(axis=0) == pytest.approx(sd[:6], rel=0.05)
    clusters = tree["clusters"]
    first = clusters["cluster_mean"].sel(cluster=0).to_numpy()[..., 0].ravel()
    assert first.mean() == pytest.approx(mean[:6:2].mean(), abs=0.5)


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_result_says_what_it_is(tmp_path: Path) -> None:
    data = frame(8)
    tree = fit(MODELS["joint"], data)
    assert tree.attrs["approximate"] == 1
    assert tree.attrs["elbo_trace"][-1] == max(tree.attrs["elbo_trace"])
    assert np.isfinite(tree.attrs["elbo"])
    points = json.loads(tree.attrs["point_estimates"])
    expected = ["intercept_sd", "base_sd", "shared_fraction", "between", "noise_sd"]
    assert points == [*expected, "noise_median", "noise_spread"]
    for name in points:
        values = tree["posterior"][name]
        assert float(values.std(("chain", "draw")).max()) < 1e-12
    for name in ("base_mean", "concentration", "weights", "population_mean", "task_effects"):
        assert float(tree["posterior"][name].std(("chain", "draw")).min()) > 0.0
    assert APPROXIMATE in tree.attrs["verdict"]
    assert "with point estimates of intercept_sd" in tree.attrs["verdict"]
    assert "R-hat" not in tree.attrs["verdict"]
    bm.save(tree, tmp_path / "fit.zarr")
    assert bm.load(tmp_path / "fit.zarr").identical(tree)


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", MODELS)
def test_result_has_the_form_of_a_gibbs_fit(name: str) -> None:
    data = frame(6)
    tree = fit(MODELS[name], data)
    gibbs = MODELS[name].fit(data, draws=20, tune=5, chains=2, random_seed=1, progressbar=False)
    for group in ("posterior", "clusters", "task_relations", "constant_data"):
        ours, theirs = tree[group].to_dataset(), gibbs[group].to_dataset()
        assert set(ours.data_vars) == set(theirs.data_vars)
        for variable in ours.data_vars:
            assert ours[variable].dims == theirs[variable].dims
            assert ours[variable].dtype == theirs[variable].dtype
    labels = tree["clusters"]["assignment"].to_numpy()
    assert (labels[..., 0] == 0).all()
    means = tree["clusters"]["cluster_mean"].to_numpy()[..., 0]
    assert (np.isfinite(means).sum(axis=-1) == labels.max(axis=-1) + 1).all()
    predictions = bm.predict(tree, data.head(5), random_seed=1)
    assert np.isfinite(predictions["predictions"].to_dataset().to_array()).all()


def test_clusters_that_are_hard_to_tell_apart_are_called_too_sure() -> None:
    """Where all draws have one partition, as here, importance ratios are equal."""
    with pytest.warns(bm.BayesMTLWarning, match="its partitions are too sure: a few Gibbs sweeps"):
        tree = fit(MODELS["joint"], frame(12, 0.3))
    assert tree["posterior"]["n_clusters"].mean() < 1.1
    assert tree.attrs["n_clusters_after_sweeps"] > 2.0
    assert tree.attrs["co_clustering_drift"] > 0.3
    assert "use inference='gibbs' for the clusters" in tree.attrs["verdict"]


def test_clusters_far_apart_are_not() -> None:
    tree = fit(MODELS["three components"], frame(12, 6.0, n_rows=20))
    assert tree.attrs["verdict"].startswith(APPROXIMATE)
    assert "Gibbs sweeps change co-clustering by 0.0" in tree.attrs["verdict"]


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_same_seed_same_draws() -> None:
    data = frame(5)
    one, other = (fit(MODELS["own priors"], data, draws=20)["posterior"] for _ in range(2))
    assert one.to_dataset().equals(other.to_dataset())


def test_too_few_draws_have_no_k_hat() -> None:
    one = MODELS["own priors"]
    problem = one.prepare(frame(5, 0.5)).problem
    _, report = sample_clusters(problem, one.likelihood, draws=3, chains=1, random_seed=0)
    assert report.pareto_k is None
    assert "pareto_k" not in report.attrs()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"relation": bm.Exchangeable()},
            "tasks fall into clusters.* use inference='gibbs' or 'nuts' for this one",
        ),
        (
            {"relation": bm.PitmanYor(), "likelihood": bm.StudentT()},
            r"needs a Gaussian likelihood, not StudentT\(.*: use inference='gibbs' or 'nuts'",
        ),
    ],
    ids=["exchangeable", "StudentT"],
)
def test_what_does_not_work_is_named(settings: Any, message: str) -> None:
    with pytest.raises(bm.UnsupportedError, match=message):
        fit(model(**settings), frame(4))
