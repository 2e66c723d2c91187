"""Fits whose tasks have different likelihoods, from data frame to plots."""

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.errors import BayesMTLWarning, InvalidDataError, InvalidModelError, UnsupportedError
from bayesmtl.report.summary import summarize_fit
from benchmarks import mixed as benchmark
from tests.oracles.comparisons import equal_draws

KINDS: dict[str, Any] = {
    "a": bm.Gaussian(),
    "b": bm.Bernoulli(),
    "c": bm.Poisson(exposure="e"),
    "d": bm.Gaussian(noise="shared"),
    "f": bm.Gaussian(noise_sd=0.5),
    "s": bm.Gaussian(se="se"),
}
N = 15


def rows(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task, x = np.repeat(list(KINDS), N), rng.normal(size=len(KINDS) * N)
    eta = 0.7 * x
    y = np.select(
        [task == name for name in "abcd"],
        [
            100.0 + 10.0 * (eta + 0.5 * rng.normal(size=eta.size)),
            rng.logistic(size=eta.size) < 2.0 * eta,
            rng.poisson(3.0 * np.exp(0.5 * eta)),
            0.1 * (eta + rng.normal(size=eta.size)),
        ],
        eta + 0.5 * rng.normal(size=eta.size),
    )
    out = pd.DataFrame({"task": task, "x": x, "y": y})
    out["e"] = np.where(task == "c", rng.uniform(0.5, 2.0, len(out)), np.nan)
    out["se"] = np.where(task == "s", 0.5, np.nan)
    return out.sample(frac=1.0, random_state=1).reset_index(drop=True)


def fit(model: bm.Model, data: Any, **settings: Any) -> xr.DataTree:
    options = {"draws": 60, "tune": 60, "chains": 2, "cores": 1, "random_seed": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        return model.fit(data, **{**options, **settings}, progressbar=False)


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return bm.Model("y ~ x", "task", likelihood=KINDS)


@pytest.fixture(scope="module")
def fitted(model: bm.Model) -> xr.DataTree:
    return fit(model, rows())


def test_the_posterior_is_on_the_scale_of_each_predictor(fitted: xr.DataTree) -> None:
    posterior, data = fitted["posterior"], fitted["constant_data"]
    assert posterior["noise_sd"].dims == ("chain", "draw", "noise_task")
    assert posterior["noise_task"].to_numpy().tolist() == ["a", "d"]
    unit = data["task_unit"]
    assert float(unit.sel(task="b")) == 2.0
    ratio: Any = np.log(posterior["task_scale"] / unit)
    assert float(ratio.std(("chain", "draw")).min()) > 0.1
    assert float(ratio.std(("chain", "draw")).max()) < 1.0
    weights = posterior["weights"].mean(("chain", "draw")).sel(feature="x")
    assert 5.0 < float(weights.sel(task="a")) < 9.0
    assert 0.04 < float(weights.sel(task="d")) < 0.15
    assert 95.0 < float(posterior["intercept"].sel(task="a").mean()) < 105.0


def test_predictions_are_those_of_each_likelihood(fitted: xr.DataTree) -> None:
    data = rows()
    bm.predict(fitted, kind="response", random_seed=0)
    found = fitted["posterior_predictive"].to_dataset()
    posterior = fitted["posterior"].to_dataset()
    eta = posterior["intercept"] + posterior["weights"].sel(feature="x") * xr.DataArray(
        data["x"], dims="obs"
    )
    inverse = {"b": expit, "c": np.exp}
    for name in KINDS:
        mine = np.flatnonzero(data["task"] == name)
        of = eta.sel(task=name).isel(obs=mine).transpose("chain", "draw", "obs").to_numpy()
        expected = inverse.get(name, lambda u: u)(of)
        if name == "c":
            expected = expected * data["e"].to_numpy()[mine]
        np.testing.assert_allclose(found["mean"].isel(obs=mine), expected, rtol=1e-10)
    drawn = found["y"].to_numpy()
    assert set(np.unique(drawn[..., data["task"] == "b"])) == {0.0, 1.0}
    assert (drawn[..., data["task"] == "c"] % 1 == 0).all()
    noise = (found["y"] - found["mean"]).to_numpy()
    for name, sd in (("f", 0.5), ("s", 0.5)):
        assert noise[..., data["task"] == name].std() == pytest.approx(sd, rel=0.1)
    of_a = posterior["noise_sd"].sel(noise_task="a").to_numpy()[..., None]
    assert (noise[..., data["task"] == "a"] / of_a).std() == pytest.approx(1.0, rel=0.1)
    table = bm.predict(fitted, as_frame=True)
    np.testing.assert_array_equal(table["task"], data["task"])


def test_the_log_likelihood_is_that_of_each_likelihood(fitted: xr.DataTree) -> None:
    data = rows()
    bm.predict(fitted)
    mean = fitted["posterior_predictive"]["mean"].to_numpy()
    bm.compute_log_likelihood(fitted)
    found = fitted["log_likelihood"]["y"].to_numpy()
    noise = fitted["posterior"]["noise_sd"].sel(noise_task="d").to_numpy()[..., None]
    y = data["y"].to_numpy()
    for name, density in (
        ("b", stats.bernoulli.logpmf),
        ("c", stats.poisson.logpmf),
        ("d", lambda y, m: stats.norm.logpdf(y, m, noise)),
        ("s", lambda y, m: stats.norm.logpdf(y, m, 0.5)),
    ):
        mine = (data["task"] == name).to_numpy()
        np.testing.assert_allclose(found[..., mine], density(y[mine], mean[..., mine]), rtol=1e-8)
    again = bm.compute_log_likelihood(fitted, data)["log_likelihood"]["y"].to_numpy()
    np.testing.assert_allclose(again, found)


def test_new_rows_need_the_columns_of_their_tasks_only(fitted: xr.DataTree) -> None:
    new = pd.DataFrame({"task": ["a", "b"], "x": [0.0, 1.0]})
    assert len(bm.predict(fitted, new, as_frame=True)) == 2
    with pytest.raises(InvalidDataError, match='"e"'):
        bm.predict(fitted, new.assign(task="c"))
    with pytest.raises(InvalidDataError, match='"se"'):
        bm.predict(fitted, new.assign(task="s"), kind="response")
    assert len(bm.predict(fitted, new.assign(task="s"), as_frame=True)) == 2


def test_a_new_task_has_the_likelihood_it_is_given(fitted: xr.DataTree) -> None:
    new = pd.DataFrame({"task": np.repeat(["p", "q", "r"], 300), "x": np.tile([-1.0, 1.0], 450)})
    kinds = {"p": bm.Bernoulli(), "q": KINDS["d"], "r": KINDS["f"]}
    bm.predict(fitted, new, new_task="population", likelihood=kinds, kind="response", random_seed=0)
    mean = fitted["predictions"]["mean"].to_numpy()
    assert ((mean[..., :300] > 0.0) & (mean[..., :300] < 1.0)).all()
    slope = 0.5 * (mean[..., 301] - mean[..., 300])
    posterior, unit = fitted["posterior"], fitted["constant_data"]["task_unit"]
    common = (posterior["weights"] / posterior["task_scale"]).sel(feature="x").to_numpy()
    # Scale Normal(0, 0.5) on the log, unit of the other tasks with this likelihood.
    center = np.median(slope) / float(unit.sel(task="d"))
    assert center == pytest.approx(np.median(common), rel=0.3)
    noise = (fitted["predictions"]["y"] - fitted["predictions"]["mean"]).to_numpy()
    sd = posterior["noise_sd"].sel(noise_task="d").to_numpy()[..., None]
    assert (noise[..., 300:600] / sd).std() == pytest.approx(1.0, rel=0.05)
    assert noise[..., 600:].std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.calibration
@pytest.mark.parametrize("kind", ["b", "c", "d", "f", "s"])
def test_given_rows_say_what_a_fit_with_them_would(kind: str) -> None:
    data, settings = rows(), {"draws": 1000, "tune": 500}
    # With rows of a known task over again, centre and unit of the likelihood stay.
    new = data[data["task"] == kind].assign(task="new")
    at = pd.DataFrame({"task": "new", "x": [-1.0, 0.0, 1.0], "e": 1.0, "se": 0.5})
    whole = fit(
        bm.Model("y ~ x", "task", likelihood={**KINDS, "new": KINDS[kind]}),
        pd.concat([data, new], ignore_index=True),
        **settings,
    )
    expected = bm.predict(whole, at, as_frame=True)
    part = fit(bm.Model("y ~ x", "task", likelihood=KINDS), data, **settings)
    found = bm.predict(
        part, at, given=new, likelihood={"new": KINDS[kind]}, as_frame=True, random_seed=1
    )
    scale = expected["sd"].to_numpy()
    np.testing.assert_allclose(found["mean"], expected["mean"], atol=0.3 * scale.max())
    np.testing.assert_allclose(found["sd"], scale, rtol=0.25)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, InvalidDataError, "task 'p' is in column 'task' but not in the fit, whose tasks"),
        (
            {"likelihood": {"p": bm.Bernoulli()}},
            InvalidDataError,
            "task 'p' is .* use new_task=\"population\"",
        ),
        (
            {"likelihood": {"p": bm.Poisson()}, "new_task": "population"},
            InvalidModelError,
            "no task of the fit has Poisson.*scale of task 'p'",
        ),
        (
            {"likelihood": {"p": bm.Gaussian()}, "new_task": "population"},
            UnsupportedError,
            "task 'p': .* noise sd and a unit of its own",
        ),
        (
            {"likelihood": {"a": bm.Gaussian(), "p": bm.Bernoulli()}},
            InvalidModelError,
            "task 'a' is in the fit, with Gaussian",
        ),
        (
            {"likelihood": {"p": bm.Bernoulli(), "z": bm.Bernoulli()}, "new_task": "population"},
            InvalidModelError,
            "likelihood: 'z' is no task of the data to predict",
        ),
    ],
)
def test_what_is_not_known_of_a_new_task(
    fitted: xr.DataTree, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    new = pd.DataFrame({"task": ["p"], "x": [0.0]})
    with pytest.raises(error, match=message):
        bm.predict(fitted, new, **options)


def test_a_fit_with_one_likelihood_takes_none_for_new_tasks() -> None:
    data = rows()
    one = fit(bm.Model("y ~ x", "task"), data[data["task"].isin(["f", "s"])])
    with pytest.raises(InvalidModelError, match="likelihood= is for fits whose tasks have"):
        bm.predict(one, data, likelihood={"p": bm.Bernoulli()})


def test_noise_that_is_fixed_task_by_task_says_nothing_of_a_new_one() -> None:
    data = rows()
    kinds = {"f": bm.Gaussian(noise_sd={"f": 0.5}), "b": bm.Bernoulli()}
    model = bm.Model("y ~ x", "task", likelihood=kinds)
    some = fit(model, data[data["task"].isin(["b", "f"])], draws=5, tune=5)
    new = pd.DataFrame({"task": ["p"], "x": [0.0]})
    options: dict[str, Any] = {"new_task": "population", "likelihood": {"p": kinds["f"]}}
    with pytest.raises(UnsupportedError, match="task 'p': the model fixes the noise task by task"):
        bm.predict(some, new, kind="response", **options)
    assert np.isfinite(bm.predict(some, new, as_frame=True, **options)["mean"]).all()


def test_equal_likelihoods_are_the_plain_model() -> None:
    data = rows()
    data = data[data["task"].isin(["a", "f", "s"])]
    for one in (bm.Gaussian(), bm.StudentT()):
        plain = fit(bm.Model("y ~ x", "task", likelihood=one), data)
        same = fit(bm.Model("y ~ x", "task", likelihood=dict.fromkeys("afs", one)), data)
        equal_draws(plain["posterior"], same["posterior"], ["weights", "intercept", "noise_sd"])
        first, second = (bm.predict(x, as_frame=True) for x in (plain, same))
        pd.testing.assert_frame_equal(first, second)
        assert summarize_fit(plain).noise == summarize_fit(same).noise


def test_a_fit_comes_back_from_a_folder(fitted: xr.DataTree, tmp_path: Path) -> None:
    bm.save(fitted, tmp_path / "mixed.zarr")
    loaded = bm.load(tmp_path / "mixed.zarr")
    first, second = (
        bm.predict(x, kind="response", random_seed=1, as_frame=True) for x in (fitted, loaded)
    )
    pd.testing.assert_frame_equal(first, second)


def test_prior_predictive_has_the_prior_of_scales_and_noise(model: bm.Model) -> None:
    prior = model.prior_predictive(rows(), draws=400, random_seed=0)
    data = rows()
    scale = np.log(prior["prior"]["task_scale"] / prior["constant_data"]["task_unit"])
    assert float(scale.std()) == pytest.approx(0.5, rel=0.1)
    assert abs(float(scale.mean())) < 0.05
    y = prior["prior_predictive"]["y"].to_numpy()[0]
    assert set(np.unique(y[:, data["task"] == "b"])) == {0.0, 1.0}
    noise = np.log(prior["prior"]["noise_sd"].sel(noise_task="a").to_numpy())
    own = data.loc[data["task"] == "a", "y"].std(ddof=0)
    assert float(noise.mean()) == pytest.approx(np.log(own), abs=0.2)
    assert np.median(y[:, data["task"] == "a"]) == pytest.approx(100.0, abs=10.0)


def test_reports_and_plots_compare_in_common_units(fitted: xr.DataTree) -> None:
    report = summarize_fit(fitted)
    assert report.noise.startswith("that of Bernoulli, Gaussian and Poisson responses, noise_sd a")
    assert report.difference_unit == "steps as large as the scatter of an average row"
    for text in report.different["mainly"]:
        number = float(text.split()[1])
        assert abs(number) < 10.0
    assert fitted["task_relations"].attrs["difference_unit"] == report.difference_unit
    figure = bm.plot_weights(fitted)
    for ax in figure.axes:
        assert max(map(abs, ax.get_xlim())) < 20.0
    bm.plot_task_relations(fitted)
    bm.plot_sharing(fitted)


def test_clusters_of_different_kinds() -> None:
    data = rows()
    relation = bm.DirichletProcess(between=1.0)
    model = bm.Model("y ~ x", "task", relation, KINDS, intercept="relation")
    found = fit(model, data, draws=40, tune=40)
    posterior = found["posterior"]
    assert posterior["weights"].sel(feature="Intercept", task="a").mean() > 90.0
    common = posterior["weights"].sel(feature="x") / posterior["task_scale"]
    labels = found["clusters"]["assignment"]
    together = (labels.sel(task="a") == labels.sel(task="d")).to_numpy()
    gap = np.abs((common.sel(task="a") - common.sel(task="d")).to_numpy())
    assert together.any()
    np.testing.assert_allclose(gap[together], 0.0, atol=1e-8)
    means = found["clusters"]["cluster_mean"].sel(feature="x").to_numpy()
    of_a = np.take_along_axis(means, labels.sel(task="a").to_numpy()[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(common.sel(task="a"), of_a)
    bm.plot_clusters(found)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("laplace_sites", "scales of tasks with different likelihoods change their sites"),
        ("cavi", "needs a Gaussian likelihood"),
    ],
)
def test_methods_that_cannot(method: str, message: str) -> None:
    relation = bm.DirichletProcess() if method == "cavi" else bm.Exchangeable()
    model = bm.Model("y ~ x", "task", relation, KINDS)
    with pytest.raises(UnsupportedError, match=message):
        fit(model, rows(), inference=method)


def test_no_exact_sites_nor_evidence(model: bm.Model) -> None:
    with pytest.raises(UnsupportedError, match="no exact sites"):
        model.to_pymc(rows(), likelihood="sites")
    with pytest.raises(UnsupportedError, match="log_evidence"):
        model.log_evidence(rows())


@pytest.mark.calibration
def test_the_graph_has_the_same_posterior() -> None:
    """With row weights and an offset; a method on the graph, and the sampler."""
    data = rows().assign(o=0.1, w=np.tile([0.5, 1.5], len(KINDS) * N // 2))
    kinds = KINDS | {"d": bm.StudentT()}
    model = bm.Model("y ~ x", "task", likelihood=kinds, offset="o", weights="w")
    settings = {"draws": 1000, "tune": 600}
    first = fit(model, data, **settings)
    second = fit(model, data, inference="nuts", target_accept=0.95, **settings)
    assert set(first["posterior"].data_vars) == set(second["posterior"].data_vars)
    for name in ("weights", "intercept", "task_scale", "noise_sd", "student_t_dof"):
        one, other = first["posterior"][name], second["posterior"][name]
        sd = other.std(("chain", "draw"))
        gap = (one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd
        assert float(np.abs(gap).max()) < 0.2, name
        assert float(np.abs(np.log(one.std(("chain", "draw")) / sd)).max()) < 0.25, name


@pytest.mark.calibration
def test_tasks_of_different_kinds_help_each_other() -> None:
    """Three tasks that share their weights: errors together against each alone."""
    settings = benchmark.MixedSettings(
        replicates=4, n_rows=30, n_features=6, spread=0.6, own=0.0, draws=200, tune=200, seed=2
    )
    rows = {row[0]: row for row in benchmark.compare(settings, related=True)}
    together, alone = (
        float(str(rows[how][4]).split()[0])
        for how in ("together, bm.Exchangeable()", "each alone, bm.Exchangeable()")
    )
    assert together < 0.8 * alone


@pytest.mark.calibration
@pytest.mark.parametrize("method", ["advi", "fullrank_advi"])
def test_approximations_find_the_weights(fitted: xr.DataTree, method: str) -> None:
    approximate = fit(bm.Model("y ~ x", "task", likelihood=KINDS), rows(), inference=method)
    assert approximate.attrs["approximate"] == 1
    draws = ("chain", "draw")
    expected, found = fitted["posterior"]["weights"], approximate["posterior"]["weights"]
    distance: Any = np.abs(found.mean(draws) - expected.mean(draws)) / expected.std(draws)
    assert float(distance.max()) < 1.0


def two_scales(labels: list[Any]) -> tuple[bm.Model, pd.DataFrame]:
    """Grades on two scales, whose thresholds are named by the first task of each."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"task": np.repeat(np.arange(2), 30), "x": rng.normal(size=60)})
    grade = np.digitize(data["x"] + rng.logistic(size=60), [-0.7, 0.7])
    data["y"] = np.where(data["task"] == 0, np.minimum(grade, 1), grade)
    data["task"] = pd.Series(labels).iloc[data["task"]].to_numpy()
    kinds = {labels[0]: bm.Ordinal(levels=[0, 1]), labels[1]: bm.Ordinal(levels=[0, 1, 2])}
    return bm.Model("y ~ x", "task", likelihood=kinds), data


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (["a/b", "c"], "ordinal_thresholds_a per b"),
        ([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], "ordinal_thresholds_2020-01-01"),
    ],
)
def test_labels_in_names_of_variables(labels: list[Any], name: str, tmp_path: Path) -> None:
    model, data = two_scales(labels)
    bm.save(fit(model, data, draws=10, tune=10), tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    assert name in loaded["posterior"]
    assert len(bm.predict(loaded, data, as_frame=True)) == len(data)


def test_labels_in_names_of_the_graph() -> None:
    model, data = two_scales(["a/b", "c"])
    graph = model.to_pymc(data)
    assert not [name for name in graph.named_vars if "/" in name]


def test_a_task_without_rows_needs_others_of_its_kind() -> None:
    data = rows()
    relation = bm.KnownGraph([("a", "b"), ("b", "c"), ("c", "e")])
    kinds = {"a": bm.Gaussian(), "b": bm.Bernoulli(), "c": bm.Poisson(), "e": bm.Gaussian()}
    model = bm.Model("y ~ x", "task", relation=relation, likelihood=kinds)
    with pytest.raises(InvalidDataError, match="task 'e' has no rows, and no other task shares"):
        model.prepare(data[data["task"].isin(list("abc"))])
