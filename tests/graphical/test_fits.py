"""Fits of graphs end to end: recovery, symmetries, small and odd data, the result."""

import json
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.datasets import load_iris

import bayesmtl as bm
from bayesmtl.graphical.relations import graph_relations
from bayesmtl.graphical.sampling import GraphDraws, sample_graphs, simulate_prior
from bayesmtl.graphical.state import no_data
from bayesmtl.posterior.relations import summarise
from tests.graphical.frames import TINY, chain_graph, fit, two_tasks
from tests.oracles.graph_enumeration import edge_probabilities

PRIORS = ["horseshoe", "spike_slab"]
LONG = {"draws": 600, "tune": 300, "chains": 2}
pytestmark = [
    pytest.mark.mcmc,
    pytest.mark.filterwarnings("ignore:CHECK:bayesmtl.errors.BayesMTLWarning"),
]


def chance(idata: xr.DataTree) -> np.ndarray:
    return bm.task_relations(idata)["edge_probability"].to_numpy()


@pytest.mark.parametrize("prior", PRIORS)
def test_many_rows_recover_the_matrix(prior: str) -> None:
    data = two_tasks(4000, 5)
    idata = fit(data, prior=prior)
    truth = chain_graph(5)
    mean = idata["posterior"]["precision"].mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(mean, np.stack([truth, truth]), atol=0.12)
    found = chance(idata)
    assert found[:, truth != 0][found[:, truth != 0] > 0].min() > 0.99
    level = idata["posterior"]["mean"].mean(("chain", "draw"))
    np.testing.assert_allclose(level.sel(task="b"), 3.0, atol=0.15)
    np.testing.assert_allclose(level.sel(task="a"), 0.0, atol=0.15)


@pytest.mark.parametrize("prior", PRIORS)
def test_blocks_have_no_edges_between_them(prior: str) -> None:
    left, right = two_tasks(150, 3, seed=1), two_tasks(150, 3, seed=2)
    other = right.drop(columns="task").add_prefix("y")
    found = chance(
        fit(pd.concat([left.drop(columns="task"), other, left["task"]], axis=1), prior=prior)
    )
    assert found[:, :3, 3:].max() < 0.5
    assert found[:, [0, 1, 3, 4], [1, 2, 4, 5]].min() > 0.9


@pytest.mark.parametrize("prior", PRIORS)
def test_orders_of_columns_and_tasks_do_not_matter(prior: str) -> None:
    data = two_tasks(30, 4)
    data.loc[data["task"] == "b", "x3"] = np.random.default_rng(0).normal(size=30)
    first = bm.task_relations(fit(data, sizes=LONG, prior=prior))
    turned = data[["x2", "task", "x0", "x3", "x1"]].iloc[::-1]
    turned = turned.assign(task=turned["task"].map({"a": "z", "b": "c"}))
    second = bm.task_relations(fit(turned, sizes=LONG, seed=7, prior=prior))
    names = first["node"].to_numpy()
    for name in ("edge_probability", "partial_correlation"):
        again = second[name].sel(task=["z", "c"], node=names, node_bis=names)
        value = first[name].sel(task=["a", "b"])
        if "statistic" in value.dims:
            value, again = (x.sel(statistic="mean") for x in (value, again))
        np.testing.assert_allclose(value, again, atol=0.1)


@pytest.mark.parametrize("prior", PRIORS)
def test_iris_agrees_with_enumeration(prior: str) -> None:
    """Clear edges of exact posteriors over all 64 graphs are found, and none is invented."""
    values, kind = load_iris(return_X_y=True)
    centers = np.stack([values[kind == g].mean(axis=0) for g in range(3)])
    unit = (values - centers[kind]).std(axis=0)
    data = pd.DataFrame(values, columns=list("abcd")).assign(task=kind)
    idata = fit(data, sizes=LONG, prior=prior, relation="independent", edge_share=0.5)
    found = chance(idata)
    rng = np.random.default_rng(0)
    exact = np.stack([edge_probabilities(values[kind == g] / unit, rng) for g in range(3)])
    below = np.tril_indices(4, -1)
    exact, found = exact[:, *below], found[:, *below]
    clear, absent = exact > 0.95, exact < 0.12
    assert clear.sum() == 6
    assert absent.sum() == 2
    assert found[clear].min() > 0.9
    assert found[absent].max() < 0.5
    assert found[exact < 0.3].max() < 0.6
    order = pd.Series(exact.ravel()).corr(pd.Series(found.ravel()), method="spearman")
    assert order > 0.85
    partial = idata["posterior"]["partial_correlation"].mean(("chain", "draw")).to_numpy()
    for g in range(3):
        k = np.linalg.inv(np.cov(values[kind == g].T))
        estimate = (-k / np.sqrt(np.outer(np.diag(k), np.diag(k))))[below]
        assert np.abs(partial[g][below] - estimate)[clear[g]].max() < 0.15


@pytest.mark.parametrize("prior", PRIORS)
def test_pooled_is_one_task_with_all_rows(prior: str) -> None:
    data = two_tasks(20)
    pooled = fit(data, prior=prior, relation="pooled", means="pooled")
    with pytest.warns(bm.BayesMTLWarning, match="one task"):
        one = fit(data.assign(task="all"), prior=prior)
    for name in ("precision", "mean"):
        several, single = pooled["posterior"][name], one["posterior"][name]
        for label in "ab":
            np.testing.assert_allclose(several.sel(task=label), single.sel(task="all"), rtol=1e-10)


@pytest.mark.parametrize("prior", PRIORS)
def test_units_do_not_matter(prior: str) -> None:
    data = two_tasks(25)
    unit = np.array([1e-9, 1e12, 1.0, 50.0])
    wide = data.assign(**{f"x{j}": data[f"x{j}"] * unit[j] for j in range(4)})
    plain, scaled = (fit(frame, prior=prior)["posterior"] for frame in (data, wide))
    np.testing.assert_allclose(
        scaled["partial_correlation"], plain["partial_correlation"], rtol=1e-6
    )
    np.testing.assert_allclose(
        scaled["precision"] * np.outer(unit, unit), plain["precision"], rtol=1e-6
    )
    np.testing.assert_allclose(scaled["mean"] / unit, plain["mean"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("relation", ["joint", "independent", "pooled"])
def test_odd_shapes(prior: str, relation: str) -> None:
    """Fewer rows than variables, a single row, two variables, equal columns, many tasks."""
    few = pd.concat([two_tasks(4, 7), two_tasks(1, 7).tail(1).assign(task="c")])
    with pytest.warns(bm.BayesMTLWarning, match="a single row"):
        trees = [fit(few, prior=prior, relation=relation)]
    trees.append(fit(two_tasks(6, 2), prior=prior, relation=relation))
    data = two_tasks(20, 3)
    with pytest.warns(bm.BayesMTLWarning, match="same but for their units"):
        trees.append(fit(data.assign(y=2 * data["x0"]), prior=prior, relation=relation))
    for tree in trees:
        for variable in tree["posterior"].data_vars.values():
            assert np.isfinite(variable.astype(float)).all()
        k = tree["posterior"]["precision"].to_numpy()
        assert (np.linalg.eigvalsh(k) > 0).all()
    twin = bm.task_relations(trees[-1])["edge_probability"].sel(node="x0", node_bis="y")
    assert twin.min() > 0.99


def test_many_tasks() -> None:
    data = pd.concat([two_tasks(8, 3, seed).assign(task=seed) for seed in range(12)])
    assert chance(fit(data)).shape == (12, 3, 3)
    with pytest.raises(bm.UnsupportedError, match="up to 8 tasks, and the data hold 12"):
        fit(data, prior="spike_slab")


@pytest.mark.parametrize("prior", PRIORS)
def test_missing_values_are_drawn(prior: str) -> None:
    """Holes at random hardly change the answer, and are predicted from the other columns."""
    data = two_tasks(150, 4)
    holes = data.copy()
    rng = np.random.default_rng(5)
    names = ["x0", "x1", "x2", "x3"]
    where = rng.random((len(data), 4)) < 0.15
    holes[names] = data[names].mask(where)
    whole, broken = fit(data, prior=prior), fit(holes, prior=prior, missing="impute")
    gap = whole["posterior"]["partial_correlation"] - broken["posterior"]["partial_correlation"]
    assert np.abs(gap.mean(("chain", "draw"))).max() < 0.15
    filled = bm.predict(broken, as_frame=True)
    assert len(filled) == where.sum()
    truth = data[names].to_numpy()[where]
    assert np.mean((filled["lower"] < truth) & (truth < filled["upper"])) == pytest.approx(
        0.9, abs=0.08
    )
    bm.predict(broken)
    shown = broken["posterior_predictive"]["mean"].to_numpy()
    np.testing.assert_allclose(shown[~where], data[names].to_numpy()[~where])


def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores() -> None:
    data = two_tasks(10)
    one, two = (fit(data, sizes={**TINY, "cores": cores}, prior="spike_slab") for cores in (1, 2))
    xr.testing.assert_identical(
        one["posterior"].to_dataset().drop_attrs(), two["posterior"].to_dataset().drop_attrs()
    )
    xr.testing.assert_equal(one["task_relations"].to_dataset(), two["task_relations"].to_dataset())


def test_interrupted_before_the_first_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmtl.graphical.fitting.sample_graphs", stop)
    with pytest.raises(KeyboardInterrupt, match="nothing is kept: fit again"):
        fit(two_tasks(5))


def test_interrupted_while_the_prior_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chain has run by then, so that no draws are lost."""
    ran: list[object] = []
    monkeypatch.setattr("bayesmtl.graphical.sampling.sample_graphs", lambda *_, **__: (None, True))
    monkeypatch.setattr("bayesmtl.graphical.fitting.sample_graphs", lambda *a, **_: ran.append(a))
    with pytest.raises(KeyboardInterrupt, match="interrupted before the prior was simulated"):
        simulate_prior(bm.MultiTaskGraphicalModel().graph_prior(2, 3), 1, 1)
    with pytest.raises(KeyboardInterrupt, match="nothing is kept: fit again"):
        fit(two_tasks(5))
    assert not ran


@pytest.mark.parametrize(("relation", "kept"), [("joint", True), ("independent", False)])
def test_relatedness_is_kept_where_it_is_learned(relation: str, kept: bool) -> None:
    prior = bm.MultiTaskGraphicalModel(prior="spike_slab", relation=relation).graph_prior(3, 2)
    sizes: dict[str, Any] = {"draws": 2, "tune": 0, "chains": 1, "cores": 1}
    draws, _ = sample_graphs(no_data(prior), random_seed=1, progressbar=False, **sizes)
    assert (draws.theta is not None) == kept
    assert draws.edge is not None


def test_similarities_of_many_tasks_are_summarised_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prior = bm.MultiTaskGraphicalModel().graph_prior(7, 3)
    rng = np.random.default_rng(0)
    half = rng.normal(size=(2, 20, 7, 3, 6))
    none = np.zeros((2, 20))
    draws = GraphDraws(none[..., None, None], half @ half.mT, None, None, None, none)
    sizes: list[int] = []

    def recorded(values: np.ndarray, *, signed: bool = False) -> np.ndarray:
        sizes.append(values.size)
        return summarise(values, signed=signed)

    def relations() -> xr.Dataset:
        names, tasks = ("x", "y", "z"), np.arange(7)
        settings: dict[str, Any] = {"tasks": tasks, "variables": names, "edge_threshold": 0.1}
        return graph_relations(prior, draws, draws, **settings)

    whole = relations()
    monkeypatch.setattr("bayesmtl.graphical.relations.summarise", recorded)
    monkeypatch.setattr("bayesmtl.graphical.relations._SIMILARITIES", 1000, raising=False)
    xr.testing.assert_allclose(relations(), whole)
    assert max(sizes) <= 1000


def test_draws_that_do_not_fit() -> None:
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 200))).add_prefix("x")
    with pytest.raises(bm.UnsupportedError, match="2 tasks and 200 variables take 119 GiB"):
        fit(data.assign(task=[0, 0, 1, 1]), sizes={"draws": 50_000, "chains": 2})
    narrow = pd.DataFrame(np.random.default_rng(0).normal(size=(16, 2)), columns=["x", "y"])
    with pytest.raises(bm.UnsupportedError, match="8 tasks and 2 variables take 19 GiB"):
        fit(
            narrow.assign(task=np.arange(16) % 8),
            sizes={"draws": 10_000_000, "chains": 2},
            prior="spike_slab",
        )


def test_wrong_sizes() -> None:
    with pytest.raises(bm.InvalidModelError, match="draws must be an integer of at least 1"):
        fit(two_tasks(5), sizes={"draws": 0})


def test_result(spike_slab: xr.DataTree, horseshoe: xr.DataTree, rows: pd.DataFrame) -> None:
    assert set(horseshoe["posterior"].data_vars) == {
        "mean",
        "precision",
        "partial_correlation",
        "global_scale",
    }
    posterior = spike_slab["posterior"]
    assert set(np.unique(posterior["edge"])) == {0, 1}
    assert posterior["edge"].dims == ("chain", "draw", "task", "node", "node_bis")
    assert posterior["relatedness"].dims == ("chain", "draw", "task", "task_bis")
    assert posterior["task"].to_numpy().tolist() == ["a", "b"]
    assert set(spike_slab["sample_stats"].data_vars) == {"lp"}
    observed = spike_slab["observed_data"]["y"]
    np.testing.assert_array_equal(observed, rows.drop(columns="task"))
    assert spike_slab["constant_data"]["n_rows"].to_numpy().tolist() == [40, 40]
    settings = json.loads(spike_slab.attrs["model"])
    assert bm.MultiTaskGraphicalModel.from_dict(settings).prior == "spike_slab"
    for name in ("versions", "random_seed", "verdict", "diagnostics", "inference"):
        assert spike_slab.attrs[name]
    k = posterior["precision"].to_numpy()
    root = np.sqrt(np.diagonal(k, axis1=-2, axis2=-1))
    partial = -k / (root[..., None] * root[..., None, :])
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(
        posterior["partial_correlation"].to_numpy()[..., off], partial[..., off]
    )


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto:UserWarning")
def test_arviz_and_diagnostics(spike_slab: xr.DataTree) -> None:
    assert len(az.summary(spike_slab, var_names=["mean"])) == 8
    with np.errstate(invalid="ignore"):  # of pairs that are no edge in any draw
        assert len(az.summary(spike_slab)) == 2 * (4 + 3 * 16) + 4
    diagnosis = bm.diagnose(spike_slab)
    counts = diagnosis.table["quantities"]
    assert counts["precision"] == 2 * 10
    assert counts["partial_correlation"] == 2 * 6
    assert counts["relatedness"] == 1
    assert counts["edge"] <= 2 * 6
    bm.compute_log_likelihood(spike_slab)
    assert np.isfinite(az.loo(spike_slab).elpd)


@pytest.mark.parametrize("name", PRIORS)
def test_saved_fits_predict(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, rows: pd.DataFrame
) -> None:
    idata = request.getfixturevalue(name)
    bm.save(idata, tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    new = rows.head(3).assign(x1=np.nan)
    pd.testing.assert_frame_equal(
        bm.predict(loaded, new, as_frame=True), bm.predict(idata, new, as_frame=True)
    )
    xr.testing.assert_identical(bm.task_relations(loaded), bm.task_relations(idata))
    assert bm.diagnose(loaded).verdict == idata.attrs["verdict"]
