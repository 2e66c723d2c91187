"""Fits in which some tasks are grades and others numbers, from data frame to plots."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.report.summary import summarize_fit
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.cases import fit

LEVELS = ["low", "mid", "high"]
KINDS: dict[str, Any] = {
    "dose": bm.Gaussian(),
    "cured": bm.Bernoulli(),
    "pain": bm.Ordinal(levels=LEVELS),
    "ache": bm.Ordinal(levels=LEVELS),
    "score": bm.Ordinal(levels=[1, 2, 4]),
}
CUTS = np.array([-1.5, 1.0])
N = 20


def rows(seed: int = 0, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task, x = np.repeat(list(KINDS), n), rng.normal(size=len(KINDS) * n)
    latent = 1.5 * x + rng.logistic(size=x.size)
    code = np.digitize(latent, CUTS)
    of: dict[str, Any] = {
        "dose": 50.0 + 10.0 * (0.8 * x + 0.5 * rng.normal(size=x.size)),
        "cured": (latent > 0.0).astype(int),
        "pain": np.array(LEVELS)[code],
        "ache": np.array(LEVELS)[code],
        "score": np.array([1, 2, 4])[code],
    }
    y = [of[name].tolist()[i] for i, name in enumerate(task.tolist())]
    out = pd.DataFrame({"task": task, "x": x, "y": pd.Series(y, dtype=object)})
    return out.sample(frac=1.0, random_state=1).reset_index(drop=True)


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return bm.Model("y ~ x", "task", likelihood=KINDS)


@pytest.fixture(scope="module")
def fitted(model: bm.Model) -> xr.DataTree:
    return fit(model, rows())


def stacked(tree: xr.DataTree, group: str) -> xr.Dataset:
    return tree[group].to_dataset().stack(sample=("chain", "draw"))


def predicted(tree: xr.DataTree, task: str, group: str = "posterior") -> np.ndarray:
    """Probability of each level (sample, row, level), from the posterior by hand."""
    data, posterior = rows(), stacked(tree, group)
    mine = data["task"] == task
    own = posterior.sel(task=task)
    slope = own["weights"].sel(feature="x").to_numpy()[:, None]
    eta = own["intercept"].to_numpy()[:, None] + slope * data["x"].to_numpy()[mine]
    name = "ordinal_thresholds_" + ("score" if task == "score" else "ache")
    cuts = posterior[name].transpose("sample", ...).to_numpy()
    below = expit(cuts[:, None] - eta[..., None])
    ends = np.zeros((*eta.shape, 1))
    return np.diff(np.concatenate([ends, below, ends + 1.0], axis=2))


def test_thresholds_belong_to_tasks_with_equal_levels(fitted: xr.DataTree) -> None:
    posterior = fitted["posterior"]
    first, second = (posterior[f"ordinal_thresholds_{name}"] for name in ("ache", "score"))
    assert first["threshold_ache"].to_numpy().tolist() == ["low|mid", "mid|high"]
    assert second["threshold_score"].to_numpy().tolist() == ["1|2", "2|4"]
    unit = fitted["constant_data"]["task_unit"].sel(task="pain")
    assert float(unit) == pytest.approx(np.sqrt(3.0 / (1.0 - 1.0 / 9.0)))
    assert float(fitted["constant_data"]["task_center"].sel(task="pain")) == 0.0
    data = rows()
    for name in ("pain", "ache", "score"):
        y = data.loc[data["task"] == name, "y"]
        shares = [(y == level).mean() for level in KINDS[name].levels]
        np.testing.assert_allclose(predicted(fitted, name).mean(axis=(0, 1)), shares, atol=0.12)
        weight = posterior["weights"].sel(task=name, feature="x")
        assert 0.4 < float(weight.mean()) < 2.2


def test_trees_hold_probabilities_beside_means(fitted: xr.DataTree) -> None:
    data = rows()
    bm.predict(fitted, kind="response", random_seed=0)
    found = stacked(fitted, "posterior_predictive")
    assert found["level"].to_numpy().tolist() == [*LEVELS, "1", "2", "4"]
    probability = found["probability"].transpose("sample", "obs", "level").to_numpy()
    mean = found["mean"].transpose("sample", "obs").to_numpy()
    drawn = found["y"].transpose("sample", "obs").to_numpy()
    for name in KINDS:
        mine = (data["task"] == name).to_numpy()
        graded = name in ("pain", "ache", "score")
        assert np.isnan(mean[:, mine]).all() == graded
        own = [3, 4, 5] if name == "score" else [0, 1, 2]
        rest = [k for k in range(6) if not graded or k not in own]
        assert np.isnan(probability[:, mine][..., rest]).all()
        if not graded:
            continue
        np.testing.assert_allclose(probability[:, mine][..., own], predicted(fitted, name))
        values = [1.0, 2.0, 4.0] if name == "score" else [0.0, 1.0, 2.0]
        assert np.isin(drawn[:, mine], values).all()
        for k, value in enumerate(values):
            share = (drawn[:, mine] == value).mean()
            assert share == pytest.approx(probability[:, mine][..., own[k]].mean(), abs=0.02)
    observed = fitted["observed_data"]["y"]
    score = (data["task"] == "score").to_numpy()
    np.testing.assert_array_equal(observed[score], data["y"][score].astype(float))
    pain = (data["task"] == "pain").to_numpy()
    np.testing.assert_array_equal(observed[pain], data["y"][pain].map(LEVELS.index))
    levels = '{"ache": ["low", "mid", "high"], "pain": ["low", "mid", "high"], "score": [1, 2, 4]}'
    assert observed.attrs["levels"] == fitted["posterior_predictive"]["y"].attrs["levels"] == levels


@pytest.mark.parametrize("kind", ["response_params", "response"])
def test_frames_have_what_applies_to_each_row(fitted: xr.DataTree, kind: Any) -> None:
    data = rows()
    table = bm.predict(fitted, data, kind=kind, as_frame=True, random_seed=0)
    numbers, shares = ["mean", "sd", "lower", "upper"], [f"P({x})" for x in [*LEVELS, 1, 2, 4]]
    assert table.columns.tolist() == ["task", *numbers, *shares, "most_likely"]
    graded = data["task"].isin(["pain", "ache", "score"])
    assert table.loc[graded, numbers].isna().all(axis=None)
    assert table.loc[~graded, numbers].notna().all(axis=None)
    assert table.loc[~graded, [*shares, "most_likely"]].isna().all(axis=None)
    for name, own in (("pain", shares[:3]), ("score", shares[3:])):
        mine = data["task"] == name
        expected = predicted(fitted, name).mean(axis=0)
        np.testing.assert_allclose(table.loc[mine, own], expected, atol=0.1)
        if kind == "response_params":
            np.testing.assert_allclose(table.loc[mine, own], expected)
        best = np.array(KINDS[name].levels)[table.loc[mine, own].to_numpy().argmax(axis=1)]
        assert table.loc[mine, "most_likely"].tolist() == best.tolist()


def test_the_log_likelihood_is_that_of_each_task(fitted: xr.DataTree) -> None:
    data = rows()
    bm.compute_log_likelihood(fitted)
    found = stacked(fitted, "log_likelihood")["y"].transpose("sample", "obs")
    for name in ("pain", "score"):
        mine = (data["task"] == name).to_numpy()
        code = data["y"][mine].map(KINDS[name].levels.index).to_numpy()
        exact = np.log(predicted(fitted, name)[:, np.arange(N), code])
        np.testing.assert_allclose(found[:, mine], exact, rtol=1e-8)
    again = stacked(bm.compute_log_likelihood(fitted, data), "log_likelihood")["y"]
    np.testing.assert_allclose(again.transpose("sample", "obs"), found)


def test_a_fit_comes_back_and_files_of_text_are_the_same_data(
    model: bm.Model, fitted: xr.DataTree, tmp_path: Path
) -> None:
    bm.save(fitted, tmp_path / "graded.zarr")
    loaded = bm.load(tmp_path / "graded.zarr")
    first, second = (
        bm.predict(x, kind="response", random_seed=1, as_frame=True) for x in (fitted, loaded)
    )
    pd.testing.assert_frame_equal(first, second)
    text = rows().to_csv(index=False)
    plain = fit(model, rows(), draws=20, tune=20)["posterior"]
    for table in (
        pd.read_csv(io.StringIO(text)),
        pl.read_csv(io.StringIO(text), infer_schema_length=None),
    ):
        assert fit(model, table, draws=20, tune=20)["posterior"].equals(plain)


def test_the_model_is_a_value_and_its_story_names_the_thresholds(model: bm.Model) -> None:
    assert bm.Model.from_dict(model.to_dict()) == model
    text = str(model)
    for line in (
        "tasks ache, pain: P(y_i <= level k) = logit^-1(threshold_k - eta_i)",
        "    center = 0, u = sqrt(3.375)",
        "    levels low < mid < high",
        "    only priors tell a shift of all thresholds from one of a_t",
        "    mean ~ Normal(0, 2.5)",
    ):
        assert line in text


def test_the_mean_of_intercepts_is_free_unless_all_tasks_are_grades(fitted: xr.DataTree) -> None:
    assert float(fitted["posterior"]["intercept_mean"].std()) > 0.05
    kinds = {name: KINDS[name] for name in ("pain", "score")}
    data = rows()
    data = data[data["task"].isin(kinds)]
    model = bm.Model("y ~ x", "task", likelihood=kinds)
    assert "    mean ~ 0 (the thresholds take its place)" in str(model)
    graded = fit(model, data, draws=30, tune=30)
    assert (graded["posterior"]["intercept_mean"] == 0.0).all()
    table = bm.predict(graded, as_frame=True)
    assert "mean" not in table
    assert table["most_likely"].notna().all()
    away = bm.Model("y ~ x", "task", likelihood=kinds, intercept=bm.Exchangeable(mean=1.0))
    with pytest.raises(InvalidModelError, match="thresholds in place of the mean of the intercept"):
        away.prepare(data)


def test_prior_predictive_draws_thresholds_and_levels(model: bm.Model) -> None:
    prior = model.prior_predictive(rows(), draws=2000, random_seed=0)
    cuts = prior["prior"]["ordinal_thresholds_score"].to_numpy()[0]
    share = np.diff(np.column_stack([np.zeros(2000), expit(cuts), np.ones(2000)]))
    for level in range(3):
        assert stats.kstest(share[:, level], stats.beta(1, 2).cdf).pvalue > 1e-4
    y, data = prior["prior_predictive"]["y"].to_numpy()[0], rows()
    assert set(np.unique(y[:, data["task"] == "score"])) == {1.0, 2.0, 4.0}
    pain, probability = y[:, data["task"] == "pain"], predicted(prior, "pain", "prior")
    for k in range(3):
        gap = ((pain == k) - probability[..., k]).mean(axis=1)
        assert abs(gap.mean()) < 4.0 * gap.std() / np.sqrt(2000)


def test_a_new_graded_task_takes_the_thresholds_of_its_likelihood(fitted: xr.DataTree) -> None:
    new = pd.DataFrame({"task": ["p", "q"], "x": [0.0, 0.0]})
    kinds = {"p": KINDS["pain"], "q": KINDS["score"]}
    options: dict[str, Any] = {"new_task": "population", "likelihood": kinds, "as_frame": True}
    table = bm.predict(fitted, new, random_seed=0, **options)
    assert table.filter(like="P(").notna().to_numpy().tolist() == [
        [True] * 3 + [False] * 3,
        [False] * 3 + [True] * 3,
    ]
    assert table["most_likely"][0] in LEVELS
    assert table["most_likely"][1] in (1, 2, 4)
    unlike = {"p": bm.Ordinal(levels=["low", "high"])}
    with pytest.raises(InvalidModelError, match=r"no task of the fit has Ordinal.*scale of task"):
        bm.predict(fitted, new[:1], new_task="population", likelihood=unlike)
    with pytest.raises(InvalidDataError, match="task 'p': column \"y\" holds what is none of the"):
        bm.predict(fitted, new[:1], given=new[:1].assign(y="huge"), likelihood={"p": kinds["p"]})


@pytest.mark.calibration
@pytest.mark.parametrize("kind", ["pain", "score"])
def test_given_rows_say_what_a_fit_with_them_would(kind: str) -> None:
    data, settings = rows(), {"draws": 1500, "tune": 500}
    new = data[data["task"] == kind].assign(task="new")
    # Thresholds of many rows, so that those of the new task hardly move them.
    data = pd.concat([data, *[data[data["task"] == kind]] * 3], ignore_index=True)
    at = pd.DataFrame({"task": "new", "x": [-1.0, 0.0, 1.0]})
    whole = fit(
        bm.Model("y ~ x", "task", likelihood={**KINDS, "new": KINDS[kind]}),
        pd.concat([data, new], ignore_index=True),
        **settings,
    )
    part = fit(bm.Model("y ~ x", "task", likelihood=KINDS), data, **settings)
    options: dict[str, Any] = {"given": new, "likelihood": {"new": KINDS[kind]}}
    for tree, more in ((whole, {}), (part, options)):
        bm.predict(tree, at, random_seed=1, **more)
    own = [str(level) for level in KINDS[kind].levels]
    one, other = (
        stacked(tree, "predictions")["probability"].sel(level=own) for tree in (whole, part)
    )
    np.testing.assert_allclose(one.mean("sample"), other.mean("sample"), atol=0.03)
    np.testing.assert_allclose(one.std("sample"), other.std("sample"), atol=0.025)


def test_reports_and_plots(fitted: xr.DataTree) -> None:
    report = summarize_fit(fitted)
    assert report.noise.startswith("that of Bernoulli, Gaussian and Ordinal responses, noise_sd")
    assert "ordinal_thresholds_ache low|mid" in report.noise
    for figure in (bm.plot_weights, bm.plot_task_relations, bm.plot_sharing):
        figure(fitted)


@pytest.mark.parametrize(
    ("relation", "intercept"),
    [
        (bm.Independent(), None),
        (bm.Pooled(), bm.Pooled()),
        (bm.Exchangeable(feature_covariance="full"), "relation"),
        (bm.DirichletProcess(), None),
        (bm.DirichletProcess(between=1.0), "relation"),
        (bm.PitmanYor(), "relation"),
        (bm.FiniteMixture(components=2), "relation"),
        (bm.Exchangeable(), "none"),
    ],
)
def test_every_relation(relation: Any, intercept: Any) -> None:
    tree = fit(
        bm.Model("y ~ x", "task", relation, KINDS, intercept=intercept), rows(), draws=30, tune=30
    )
    posterior = tree["posterior"].to_dataset()
    assert all(np.isfinite(value).all() for value in posterior.data_vars.values())
    for name in ("ache", "score"):
        cuts = posterior[f"ordinal_thresholds_{name}"]
        assert (cuts.diff(f"threshold_{name}") > 0.0).all()
        assert float(cuts.std()) > 0.05


@pytest.mark.calibration
@pytest.mark.parametrize("method", ["advi", "fullrank_advi"])
def test_approximations_find_weights_and_thresholds(
    model: bm.Model, fitted: xr.DataTree, method: str
) -> None:
    approximate, draws = fit(model, rows(), inference=method), ("chain", "draw")
    for name in ("weights", "ordinal_thresholds_ache", "ordinal_thresholds_score"):
        expected, found = fitted["posterior"][name], approximate["posterior"][name]
        distance: Any = np.abs(found.mean(draws) - expected.mean(draws)) / expected.std(draws)
        assert float(distance.max()) < 1.0, name


@pytest.mark.calibration
def test_the_graph_has_the_same_posterior() -> None:
    """With row weights."""
    data = rows().assign(w=np.tile([0.5, 1.5], len(KINDS) * N // 2))
    model = bm.Model("y ~ x", "task", likelihood=KINDS, weights="w")
    names = ("weights", "intercept", "task_scale", "intercept_mean")
    cuts = ("ordinal_thresholds_ache", "ordinal_thresholds_score")
    tree = assert_same_posterior(model, data, *names, *cuts)
    assert tree["posterior"]["ordinal_thresholds_ache"].sizes["threshold_ache"] == 2
