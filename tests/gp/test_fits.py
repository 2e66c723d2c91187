"""Fits of functions: methods agree, predictions are conditional normals, odd data are survived."""

import datetime
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import bayesmtl as bm
from bayesmtl.gp.hyperparameters import HUANG_WAND
from bayesmtl.gp.result import _summed_correlation
from bayesmtl.numerics.kernels import kernel_values, scaled_distances
from tests.gp.cases import curves
from tests.oracles.monte_carlo import mcse

CORRELATION = np.array([[1.0, 0.8, -0.6], [0.8, 1.0, -0.4], [-0.6, -0.4, 1.0]])


def fit(model: bm.MultiTaskGP, data: pd.DataFrame, **settings: Any) -> xr.DataTree:
    short = {"draws": 60, "tune": 60, "chains": 2, "random_seed": 1, "progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        return model.fit(data, **{**short, **settings})


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return curves(CORRELATION, 20)


@pytest.fixture(scope="module")
def gibbs(rows: pd.DataFrame) -> xr.DataTree:
    return fit(bm.MultiTaskGP("y ~ x", task="task"), rows, draws=1500, tune=500)


@pytest.fixture(scope="module")
def at_mode(rows: pd.DataFrame) -> xr.DataTree:
    return fit(bm.MultiTaskGP("y ~ x", task="task"), rows, inference="map")


@pytest.mark.mcmc
def test_gibbs_and_nuts_agree(rows: pd.DataFrame, gibbs: xr.DataTree) -> None:
    nuts = fit(bm.MultiTaskGP("y ~ x", task="task"), rows, inference="nuts", draws=400, tune=300)
    assert not nuts["sample_stats"]["diverging"].to_numpy().any()

    def values(tree: xr.DataTree, name: str) -> np.ndarray:
        drawn = tree["posterior"][name].to_numpy()
        return drawn if name == "task_correlation" else np.log(drawn)

    for name in ("task_correlation", "lengthscale", "noise_sd"):
        one, other = values(gibbs, name), values(nuts, name)
        for index in np.ndindex(one.shape[2:]):
            if name == "task_correlation" and index[0] <= index[1]:
                continue
            a, b = one[(..., *index)], other[(..., *index)]
            error = np.hypot(mcse(a), mcse(b))
            # Beside Monte Carlo errors, what the basis leaves out.
            assert abs(a.mean() - b.mean()) < 4.5 * error + 0.02, (name, index)
            assert abs(a.std() / b.std() - 1.0) < 0.25, (name, index)


@pytest.mark.mcmc
def test_the_mode_is_near(gibbs: xr.DataTree, at_mode: xr.DataTree) -> None:
    relations = [bm.task_relations(one)["task_correlation"] for one in (gibbs, at_mode)]
    a, b = (one.sel(statistic="mean").to_numpy() for one in relations)
    assert np.abs(a - b).max() < 0.12
    assert at_mode.attrs["verdict"].split(":")[0] in ("APPROXIMATE", "CHECK")
    assert json.loads(at_mode.attrs["inference"])["pareto_k"] < 1.0
    assert at_mode.attrs["approximate"] == 1


@pytest.mark.mcmc
def test_relations_have_signs(gibbs: xr.DataTree) -> None:
    relations = bm.task_relations(gibbs)
    positive = relations["task_correlation"].sel(statistic="p_positive")
    assert positive.sel(task="a", task_bis="b") > 0.9
    assert positive.sel(task="a", task_bis="c") < 0.1
    prior = relations["prior_task_correlation"]
    assert abs(float(prior.sel(statistic="mean"))) < 0.05
    assert float(prior.sel(statistic="sd")) == pytest.approx(3**-0.5, rel=0.05)
    assert set(relations) >= {"task_covariance", "lengthscale", "noise_sd"}


def exact(
    rows: pd.DataFrame, new: pd.DataFrame, covariance: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Conditional mean and sd of zero-mean functions at fixed hyperparameters."""
    x, z = rows[["x"]].to_numpy(), new[["x"]].to_numpy()
    t, u = (np.searchsorted(list("abc"), frame.task) for frame in (rows, new))

    def kernel(p: Any, q: Any, i: Any, j: Any) -> np.ndarray:
        distance = scaled_distances(p, q, np.array([2.0]))
        return np.asarray(covariance[i[:, None], j] * kernel_values("matern52", distance))

    total = kernel(x, x, t, t) + np.diag(noise[t] ** 2)
    cross = kernel(x, z, t, u)
    mean = cross.T @ np.linalg.solve(total, rows.y)
    rest = kernel(z, z, u, u) - cross.T @ np.linalg.solve(total, cross)
    return mean, np.sqrt(np.diag(rest))


@pytest.mark.mcmc
@pytest.mark.parametrize("inference", ["map", "gibbs"])
def test_predictions_at_fixed_hyperparameters_are_conditional_normals(
    rows: pd.DataFrame, inference: str
) -> None:
    sd, noise = np.array([0.1, 1.0, 10.0]), np.array([0.04, 0.3, 3.0])
    covariance = CORRELATION * np.outer(sd, sd)
    centred = rows.assign(y=rows.y - 5.0 * np.searchsorted(list("abc"), rows.task))
    model = bm.MultiTaskGP(
        "y ~ x", task="task", task_covariance=covariance, lengthscale=2.0, noise_sd=noise
    )
    idata = fit(model, centred, inference=inference, draws=1000, tune=10)
    new = pd.DataFrame({"x": [0.5, 3.3, 7.0, 7.0, 9.5], "task": list("aabcc")})
    mean, spread = exact(centred, new, covariance, noise)
    found = bm.predict(idata, new, as_frame=True, random_seed=2)
    unit = sd[np.searchsorted(list("abc"), new.task)]
    np.testing.assert_allclose(found["mean"] / unit, mean / unit, atol=0.05)
    np.testing.assert_allclose(found["sd"] / unit, spread / unit, atol=0.05)
    drawn = bm.predict(idata, new, kind="response", random_seed=2)["predictions"]
    total = np.sqrt(spread**2 + noise[np.searchsorted(list("abc"), new.task)] ** 2)
    np.testing.assert_allclose(drawn["y"].std(("chain", "draw")) / unit, total / unit, atol=0.06)
    paired = drawn["mean"].to_numpy()[..., 2:4].reshape(-1, 2)
    assert np.corrcoef(paired.T)[0, 1] < 0.0


@pytest.mark.mcmc
def test_results_are_saved_and_read(
    rows: pd.DataFrame, gibbs: xr.DataTree, at_mode: xr.DataTree, tmp_path: Path
) -> None:
    for k, tree in enumerate((gibbs, at_mode)):
        bm.save(tree, tmp_path / f"{k}.zarr")
        loaded = bm.load(tmp_path / f"{k}.zarr")
        one, other = (
            bm.predict(idata, rows.head(6), as_frame=True, random_seed=3)
            for idata in (tree, loaded)
        )
        pd.testing.assert_frame_equal(one, other)
        inside = bm.predict(loaded, random_seed=1)["posterior_predictive"]["mean"]
        assert inside.dims == ("chain", "draw", "obs")
        assert inside.sizes["obs"] == len(rows)
        pointwise = bm.compute_log_likelihood(loaded)["log_likelihood"]["y"]
        assert np.isfinite(pointwise.to_numpy()).all()


@pytest.mark.mcmc
def test_what_functions_cannot_predict(rows: pd.DataFrame, gibbs: xr.DataTree) -> None:
    new = rows.head(2).assign(task="z")
    with pytest.raises(bm.InvalidDataError, match="task 'z' is in column 'task' but not in the"):
        bm.predict(gibbs, new)
    with pytest.raises(bm.UnsupportedError, match="new_task= does not go with MultiTaskGP"):
        bm.predict(gibbs, new, new_task="population")
    far = rows.head(2).assign(x=[5.0, 500.0])
    with pytest.raises(
        bm.UnsupportedError, match=r"1 rows lie outside the box of the basis: x = 500"
    ):
        bm.predict(gibbs, far)
    with pytest.raises(
        bm.UnsupportedError, match=r"bm.plot_weights is about the weights of linear"
    ):
        bm.plot_weights(gibbs)


@pytest.mark.mcmc
def test_two_kernels_share_the_rows_between_them(rows: pd.DataFrame) -> None:
    model = bm.MultiTaskGP("y ~ x", task="task", coregionalization="lmc")
    idata = fit(model, rows, inference="map")
    posterior = idata["posterior"]
    assert posterior["lengthscale"].dims == ("chain", "draw", "component", "feature")
    assert (np.diff(posterior["lengthscale"].to_numpy()[..., 0], axis=2) >= 0.0).all()
    total = posterior["component_covariance"].sum("component")
    np.testing.assert_allclose(total, posterior["task_covariance"])
    found = bm.predict(idata, rows, as_frame=True, random_seed=1)
    assert np.corrcoef(found["mean"], rows.y)[0, 1] > 0.95


@pytest.mark.mcmc
@pytest.mark.parametrize("likelihood", [bm.Bernoulli(), bm.Poisson(exposure="time"), bm.StudentT()])
def test_other_likelihoods(likelihood: Any) -> None:
    rng = np.random.default_rng(0)
    data = curves(np.array([[1.0, 0.9], [0.9, 1.0]]), 60, noise=1e-3)
    level = data.groupby("task").y.transform(lambda y: (y - y.mean()) / y.std())
    data["time"] = rng.uniform(5.0, 10.0, len(data))
    drawn = {
        bm.Bernoulli: lambda: rng.random(len(data)) < 1.0 / (1.0 + np.exp(-2.0 * level)),
        bm.Poisson: lambda: rng.poisson(data["time"] * np.exp(level)),
        bm.StudentT: lambda: 3.0 + level + 0.2 * rng.standard_t(3.0, len(data)),
    }
    data["y"] = np.asarray(drawn[type(likelihood)](), dtype=np.float64)
    model = bm.MultiTaskGP("y ~ x", task="task", likelihood=likelihood)
    idata = fit(model, data, draws=150, tune=150)
    assert np.isfinite(idata["posterior"]["task_correlation"].to_numpy()).all()
    found = bm.predict(idata, data, as_frame=True)
    link = np.log(found["mean"]) if isinstance(likelihood, bm.Poisson) else found["mean"]
    assert np.corrcoef(link, level)[0, 1] > 0.7
    response = bm.predict(idata, data.head(3), kind="response", random_seed=1)["predictions"]
    assert np.isfinite(response["y"].to_numpy()).all()
    assert np.isfinite(bm.compute_log_likelihood(idata)["log_likelihood"]["y"].to_numpy()).all()


@pytest.mark.mcmc
def test_many_tasks_share_factors() -> None:
    correlation = 0.8 + 0.2 * np.eye(14)
    data = curves(correlation, 8, seed=1)
    idata = fit(bm.MultiTaskGP("y ~ x", task="task"), data, basis_size=12)
    mean = bm.task_relations(idata)["task_correlation"].sel(statistic="mean").to_numpy()
    assert mean[np.tril_indices(14, -1)].mean() > 0.2
    assert np.isfinite(bm.predict(idata, as_frame=True)["mean"]).all()


@pytest.mark.mcmc
@pytest.mark.parametrize("inference", ["gibbs", "map"])
def test_odd_data_are_survived(inference: str) -> None:
    """Duplicate inputs, a task with one row, one that is constant, and scales far apart."""
    data = curves(CORRELATION, 10)
    twice = pd.concat([data, data.head(5)], ignore_index=True)
    one = pd.DataFrame({"x": [5.0], "task": ["d"], "y": [1e6]})
    still = pd.DataFrame({"x": np.linspace(0, 10, 6), "task": "e", "y": 7.0})
    odd = pd.concat([twice, one, still], ignore_index=True)
    odd["x"] = 1e9 + 1e3 * odd["x"]
    odd.loc[odd.task == "b", "y"] *= 1e8
    idata = fit(bm.MultiTaskGP("y ~ x", task="task"), odd, inference=inference, draws=30, tune=30)
    found = bm.predict(idata, odd, as_frame=True, random_seed=1)
    assert np.isfinite(found[["mean", "sd", "lower", "upper"]].to_numpy()).all()
    b = (odd.task == "b").to_numpy()
    assert found["mean"][b].between(odd.y[b].min(), odd.y[b].max()).all()
    np.testing.assert_allclose(found["mean"][odd.task == "e"], 7.0, atol=1.0)


@pytest.mark.mcmc
def test_a_basis_that_is_too_small_is_announced() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.uniform(size=(120, 3)), columns=["x", "z", "y"])
    data["y"] = np.sin(40.0 * data.x) * np.sin(40.0 * data.z)
    data["task"] = rng.integers(0, 12, 120)
    model = bm.MultiTaskGP("y ~ x + z", task="task", lengthscale=0.05)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data, draws=2, tune=2, chains=1, progressbar=False)
    assert any("are used, which leave out" in str(one.message) for one in caught)


@pytest.mark.mcmc
def test_tasks_that_the_covariance_names_need_no_rows(rows: pd.DataFrame) -> None:
    covariance = pd.DataFrame(0.9 + 0.1 * np.eye(4), index=list("abcd"), columns=list("abcd"))
    same = rows.assign(y=np.sin(rows.x))
    model = bm.MultiTaskGP("y ~ 0 + x", task="task", task_covariance=covariance)
    idata = fit(model, same)
    new = pd.DataFrame({"x": [1.5, 4.7], "task": "d"})
    found = bm.predict(idata, new, as_frame=True, random_seed=1)
    np.testing.assert_allclose(found["mean"], np.sin(new.x), atol=0.45)


@pytest.mark.mcmc
def test_plots(rows: pd.DataFrame, gibbs: xr.DataTree) -> None:
    figure = bm.plot_functions(gibbs)
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.get_title()]
    assert [ax.get_title() for ax in shown] == [f"{t} (20 rows)" for t in "abc"]
    assert "grey dots those of the others" in figure.texts[-1].get_text().replace("\n", " ")
    one = bm.plot_functions(gibbs, tasks=["c"], input="x")
    assert len([ax for ax in one.axes if ax.get_visible()]) == 1
    title = bm.plot_task_relations(gibbs).axes[0].get_title().strip()
    assert title == "Correlation of the tasks' functions"
    with pytest.raises(bm.UnsupportedError, match="has no difference of tasks"):
        bm.plot_task_relations(gibbs, kind="difference")
    with pytest.raises(bm.InvalidDataError, match="tasks= must name tasks of the fit, got 'z'"):
        bm.plot_functions(gibbs, tasks=["z"])
    with pytest.raises(bm.InvalidDataError, match="input='z' is no input of the fit"):
        bm.plot_functions(gibbs, input="z")
    plt.close("all")


@pytest.mark.mcmc
def test_maps_of_two_inputs(rows: pd.DataFrame) -> None:
    data = rows.assign(z=np.cos(rows.x * 17.0))
    idata = fit(bm.MultiTaskGP("y ~ x + z", task="task"), data, draws=5, tune=5, basis_size=4)
    figure = bm.plot_functions(idata)
    assert sum(bool(ax.collections) for ax in figure.axes) >= 3
    curve = bm.plot_functions(idata, input="z")
    assert "at the median of x of the task" in curve.texts[-1].get_text().replace("\n", " ")
    plt.close("all")
    three = data.assign(u=data.z**2)
    model = bm.MultiTaskGP("y ~ x + z + log(u + 1)", task="task")
    idata = fit(model, three, draws=2, tune=2, basis_size=2)
    with pytest.raises(bm.UnsupportedError, match="is computed from columns"):
        bm.plot_functions(idata)
    curve = bm.plot_functions(idata, three, input="u")
    assert "at the median of x, z of the task" in curve.texts[-1].get_text().replace("\n", " ")
    idata = fit(bm.MultiTaskGP("y ~ x + z + u", task="task"), three, draws=2, tune=2, basis_size=2)
    with pytest.raises(bm.UnsupportedError, match="functions of 3 inputs are drawn over one"):
        bm.plot_functions(idata)


@pytest.mark.mcmc
def test_sparse_functions(rows: pd.DataFrame, tmp_path: Path) -> None:
    idata = fit(
        bm.MultiTaskGP("y ~ x", task="task"), rows, inference="svgp", epochs=150, n_inducing=25
    )
    relations = bm.task_relations(idata)["task_correlation"]
    assert float(relations.sel(task="a", task_bis="c", statistic="mean")) < 0.0
    assert np.isnan(relations.sel(statistic="sd")).all()
    assert "point estimates of task_covariance" in idata.attrs["verdict"]
    bm.save(idata, tmp_path / "sparse.zarr")
    loaded = bm.load(tmp_path / "sparse.zarr")
    found = bm.predict(loaded, rows, kind="response", as_frame=True, random_seed=1)
    inside = (rows.y >= found.lower.to_numpy()) & (rows.y <= found.upper.to_numpy())
    assert inside.mean() > 0.7
    assert np.corrcoef(found["mean"], rows.y)[0, 1] > 0.95


@pytest.mark.mcmc
@pytest.mark.parametrize("likelihood", [bm.Bernoulli(), bm.Poisson(exposure="e")])
def test_sparse_functions_of_yes_or_no_and_counts(
    rows: pd.DataFrame, likelihood: object, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    data = rows.assign(e=400.0)
    counts = isinstance(likelihood, bm.Poisson)
    rate = np.exp((0.1 if counts else 0.5) * data.y)
    data["n"] = rng.poisson(data.e * rate) if counts else rng.random(len(data)) < 1 / (1 + 1 / rate)
    data["n"] = data["n"].astype(int)
    model = bm.MultiTaskGP("n ~ x", task="task", likelihood=likelihood)
    idata = fit(model, data, inference="svgp", epochs=150, n_inducing=20)
    found = bm.predict(idata, data, as_frame=True)
    truth = data.e * rate if counts else 1 / (1 + 1 / rate)
    assert np.corrcoef(found["mean"], truth)[0, 1] > (0.9 if counts else 0.5)
    assert found["mean"].mean() == pytest.approx(truth.mean(), rel=0.2)
    assert "prior_task_correlation" not in bm.task_relations(idata)
    bm.write_report(idata, tmp_path / "sparse.html")


@pytest.mark.mcmc
def test_counts_that_sparse_functions_cannot_follow(rows: pd.DataFrame) -> None:
    data = rows.assign(n=np.round(400.0 * np.exp(0.5 * rows.y)))
    model = bm.MultiTaskGP("n ~ x", task="task", likelihood=bm.Poisson())
    with pytest.raises(bm.UnsupportedError, match=r"'svgp' lost precision: .* large counts"):
        fit(model, data, inference="svgp", epochs=50, n_inducing=20)


@pytest.mark.mcmc
def test_the_noise_of_a_student_t_is_in_units_of_the_data(rows: pd.DataFrame) -> None:
    def noise(unit: float, value: object) -> np.ndarray:
        model = bm.MultiTaskGP("y ~ x", task="task", likelihood=bm.StudentT(noise_sd=value))
        data = rows.assign(y=unit * rows.y)
        return fit(model, data, draws=20, tune=20)["posterior"]["noise_sd"].to_numpy()

    np.testing.assert_allclose(noise(20.0, 3.0), 3.0)
    small, large = (noise(u, bm.Prior("Uniform", lower=u, upper=2.0 * u)) for u in (1.0, 20.0))
    np.testing.assert_allclose(large, 20.0 * small, rtol=1e-5)
    assert small.min() > 1.0
    assert np.ptp(small) > 0.0


@pytest.mark.mcmc
def test_chains_start_where_priors_allow(rows: pd.DataFrame) -> None:
    bounds = bm.Prior("Uniform", lower=40.0, upper=60.0)
    noise = bm.Prior("Uniform", lower=5.0, upper=6.0)
    model = bm.MultiTaskGP("y ~ x", task="task", lengthscale=bounds, noise_sd=noise)
    assert np.isfinite(fit(model, rows, inference="map")["posterior"]["lengthscale"]).all()
    posterior = fit(model, rows, draws=40, tune=40)["posterior"]
    for name, low, high in (("lengthscale", 40.0, 60.0), ("noise_sd", 5.0, 6.0)):
        values = posterior[name].to_numpy()
        assert ((values > low) & (values < high)).all()
        assert (np.ptp(values, axis=(0, 1)) > 0.0).all()


def test_a_known_covariance_is_labelled_by_dates(rows: pd.DataFrame) -> None:
    days = [datetime.date(2020, 1, 1 + k) for k in range(rows.task.nunique() + 1)]
    place = dict(zip(sorted(rows.task.unique()), days, strict=False))
    data = rows.assign(task=rows.task.map(place))
    known = pd.DataFrame(np.eye(len(days)) + 0.5, days, days)
    model = bm.MultiTaskGP(
        "y ~ x", task="task", task_covariance=known, lengthscale=2.0, noise_sd=0.5
    )
    plain = known.to_numpy()[:-1, :-1]
    same = bm.MultiTaskGP(
        "y ~ x", task="task", task_covariance=plain, lengthscale=2.0, noise_sd=0.5
    )
    assert model.log_evidence(data) == pytest.approx(same.log_evidence(rows))


def test_rows_without_noise_at_one_place_are_refused(rows: pd.DataFrame) -> None:
    twice = pd.concat([rows, rows[rows.task == "a"]])
    model = bm.MultiTaskGP(
        "y ~ x", task="task", task_covariance=np.eye(3), lengthscale=1.0, noise_sd=1e-12
    )
    with pytest.raises(bm.InvalidDataError, match="two rows of task 'a' have equal or nearly"):
        model.log_evidence(twice)


def test_the_prior_of_summed_kernels_is_narrower() -> None:
    """Correlations of two kernels are averages, those of one are uniform."""
    sd = {n: float(_summed_correlation(HUANG_WAND, n, 0)[1]) for n in (1, 2)}
    assert sd[1] == pytest.approx(1.0 / np.sqrt(3.0), abs=0.02)
    assert sd[2] < 0.5


@pytest.mark.mcmc
def test_many_inputs_have_a_basis_of_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-1.0, 1.0, (150, 4))
    data = pd.DataFrame(x, columns=list("uvwx")).assign(task=np.tile(["a", "b"], 75))
    f = np.sin(2.0 * x[:, 0]) + 0.5 * x[:, 1] ** 2
    data["y"] = f * np.where(data.task == "a", 1.0, -1.0) + 0.1 * rng.normal(size=150)
    idata = fit(bm.MultiTaskGP("y ~ u + v + w + x", task="task"), data, draws=100, tune=100)
    relations = bm.task_relations(idata)
    assert float(relations["task_correlation"].sel(task="a", task_bis="b", statistic="mean")) < -0.7
    assert "given point estimates of lengthscale" in idata.attrs["verdict"] or (
        idata.attrs["verdict"].startswith("CHECK")
    )
    bm.save(idata, tmp_path / "rows.zarr")
    found = bm.predict(bm.load(tmp_path / "rows.zarr"), data, as_frame=True)
    truth = f * np.where(data.task == "a", 1.0, -1.0)
    assert np.corrcoef(found["mean"], truth)[0, 1] > 0.97
