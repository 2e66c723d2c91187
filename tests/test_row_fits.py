"""Fits of yes or no and of counts through the public names: bad data, limits, predictions."""

import json
import warnings
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import bayesmtl as bm
from bayesmtl import Bernoulli, Exchangeable, Independent, Model, Poisson, Pooled, Prior
from bayesmtl.report import print_report
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.cases import fit


def rows(n_tasks: int = 5, n_rows: int = 8, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), 2))
    eta = 0.3 + 0.8 * rng.normal(size=n_tasks)[task] + x @ [0.7, -0.4]
    return pd.DataFrame(
        {
            "y": (rng.random(len(task)) < expit(eta)).astype(int),
            "n": rng.poisson(np.exp(0.5 * eta)),
            "x0": x[:, 0],
            "x1": x[:, 1],
            "days": rng.uniform(0.5, 2.0, len(task)),
            "w": 1.0,
            "task": [f"t{t}" for t in task],
        }
    )


def yes_or_no(**settings: Any) -> Model:
    return Model(
        **{"formula": "y ~ x0 + x1", "task": "task", "likelihood": Bernoulli(), **settings}
    )


def counts(**settings: Any) -> Model:
    return Model(**{"formula": "n ~ x0", "task": "task", "likelihood": Poisson("days"), **settings})


@pytest.fixture(scope="module")
def fitted() -> xr.DataTree:
    return fit(yes_or_no(), rows())


@pytest.mark.parametrize(
    ("change", "model", "message"),
    [
        ({"y": 2}, yes_or_no(), r"must be 0 or 1 .* 40 rows break this rule: row 0 has 2"),
        ({"y": np.nan}, yes_or_no(), '"y" has 40 missing values'),
        ({"n": -1}, counts(), r"bm\.Poisson\(\) must be a whole number .* row 0 has -1"),
        ({"n": 0.5}, counts(), "whole number of at least 0 .* row 0 has 0.5"),
        ({"days": 0.0}, counts(), "exposure in column 'days' must be positive .* row 0 has 0"),
        ({"days": -1.0}, counts(), "exposure in column 'days' must be positive .* row 0 has -1"),
        ({"days": np.nan}, counts(), '"days" has 40 missing values'),
        ({"days": np.inf}, counts(), 'column "days" holds inf in row 0'),
        ({"w": -1.0}, yes_or_no(weights="w"), "weights in column 'w' must be at least 0"),
        ({"w": 0.0}, counts(weights="w"), "weights column 'w' sums to zero"),
    ],
)
def test_bad_values_name_column_and_rows(
    change: dict[str, Any], model: Model, message: str
) -> None:
    with pytest.raises(bm.InvalidDataError, match=message):
        model.prepare(rows().assign(**change))


def test_labels_as_response_are_refused() -> None:
    data = rows()
    with pytest.raises(bm.InvalidTypeError, match=r'"y" holds text, but .* needs numbers'):
        yes_or_no().prepare(data.assign(y=np.where(data["y"] == 1, "yes", "no")))


def test_a_missing_exposure_column_is_named() -> None:
    with pytest.raises(bm.InvalidDataError, match='"days", which the data do not have'):
        counts().prepare(rows().drop(columns="days"))


def test_true_and_false_are_one_and_zero() -> None:
    data = rows()
    settings: dict[str, Any] = {"draws": 20, "tune": 20}
    first = fit(yes_or_no(), data, **settings)
    second = fit(yes_or_no(), data.assign(y=data["y"] == 1), **settings)
    xr.testing.assert_equal(first["posterior"].to_dataset(), second["posterior"].to_dataset())


def limits() -> dict[str, tuple[Model, pd.DataFrame]]:
    data = rows()
    first = data["task"] == "t0"
    wide = data.assign(**{f"z{j}": np.random.default_rng(j).normal(size=40) for j in range(50)})
    features = " + ".join(f"z{j}" for j in range(50))
    return {
        "all zero": (yes_or_no(), data.assign(y=0)),
        "all one": (yes_or_no(), data.assign(y=1)),
        "a task of ones, a task of zeros": (
            yes_or_no(),
            data.assign(y=np.where(first, 1, np.where(data["task"] == "t1", 0, data["y"]))),
        ),
        "no counts at all": (counts(), data.assign(n=0)),
        "one task": (yes_or_no(), data[first]),
        "one row per task": (counts(), data.drop_duplicates("task")),
        "a task without weight": (yes_or_no(weights="w"), data.assign(w=np.where(first, 0.0, 1.0))),
        "constant feature": (yes_or_no(), data.assign(x1=3.0)),
        "more features than rows": (yes_or_no(formula=f"y ~ {features}"), wide),
        "tiny feature": (yes_or_no(), data.assign(x0=1e-9 * data["x0"])),
        "huge feature": (counts(), data.assign(x0=1e12 * data["x0"])),
        "feature far from zero": (yes_or_no(), data.assign(x0=1e6 + data["x0"])),
        "outlying feature": (counts(), data.assign(x0=np.where(data.index == 0, 1e4, data["x0"]))),
        "huge counts": (counts(), data.assign(n=np.round(1e12 * np.exp(0.1 * data["x0"])))),
        "tiny exposure": (counts(), data.assign(days=1e-9)),
        "huge exposure": (counts(), data.assign(days=1e12)),
        "huge offset": (counts(offset="w"), data.assign(w=800.0 + data["x1"])),
        "separable": (yes_or_no(), data.assign(y=(data["x0"] > 0).astype(int))),
        "no intercept": (yes_or_no(formula="y ~ 0 + x0"), data),
        "intercepts only": (yes_or_no(formula="y ~ 1"), data),
    }


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", limits())
def test_limits_have_finite_draws_that_move(name: str) -> None:
    model, data = limits()[name]
    tree = fit(model, data, draws=60, tune=60)
    posterior = tree["posterior"].to_dataset()
    for part in ("weights", "intercept", "population_sd", "lp"):
        if part in posterior:
            values = posterior[part].to_numpy()
            assert np.isfinite(values).all(), part
            assert values.std(axis=1).min() > 0.0, part
    assert np.isfinite(tree["sample_stats"]["lp"]).all()


def test_an_offset_is_an_exposure_on_the_log_scale() -> None:
    data = rows().assign(days=lambda frame: 1e5 * frame["days"])
    data["log_days"] = np.log(data["days"])
    settings: dict[str, Any] = {"draws": 50, "tune": 50}
    exposed = fit(counts(), data, **settings)
    shifted = fit(counts(likelihood=Poisson(), offset="log_days"), data, **settings)
    for name in ("intercept", "weights", "intercept_mean"):
        np.testing.assert_allclose(exposed["posterior"][name], shifted["posterior"][name])


def test_weights_of_two_are_rows_twice() -> None:
    data = rows()
    normal = Prior("Normal", mu=0.0, sigma=1.0)
    relation = Exchangeable(mean=normal, scale=0.5)
    settings: dict[str, Any] = {"relation": relation, "intercept": "relation", "standardize": False}
    weighted = yes_or_no(weights="w", **settings).prepare(data.assign(w=2.0)).problem
    repeated = yes_or_no(**settings).prepare(pd.concat([data, data])).problem
    np.testing.assert_allclose(weighted.sites.gram, repeated.sites.gram, rtol=1e-6)
    np.testing.assert_allclose(weighted.sites.moment, repeated.sites.moment, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_separates_the_responses_is_named(sign: int) -> None:
    data = rows()
    separable = data.assign(y=(sign * data["x1"] > 0.2).astype(int))
    match = r"a single feature \('x1'\) separates the rows with response 1 from those with 0"
    with pytest.warns(bm.BayesMTLWarning, match=match):
        yes_or_no().prepare(separable)


def test_responses_that_are_all_equal_need_no_warning() -> None:
    data = rows()
    yes_or_no().prepare(data.assign(y=1))
    yes_or_no().prepare(data.assign(y=np.where(data["task"] == "t0", 1, data["y"])))


def test_predictions_are_probabilities_and_responses(fitted: xr.DataTree) -> None:
    tree = bm.predict(fitted.copy(deep=True), kind="response", random_seed=1)
    predicted = tree["posterior_predictive"].to_dataset()
    posterior = fitted["posterior"].to_dataset()
    data = rows()
    weights = posterior["weights"].sel(task=data["task"].to_numpy()).to_numpy()
    intercept = posterior["intercept"].sel(task=data["task"].to_numpy()).to_numpy()
    eta = intercept + np.einsum("cdri,ri->cdr", weights, data[["x0", "x1"]].to_numpy())
    np.testing.assert_allclose(predicted["mean"].to_numpy(), expit(eta), rtol=1e-9)
    assert set(np.unique(predicted["y"])) == {0.0, 1.0}
    frame = bm.predict(fitted, data.iloc[:7], as_frame=True)
    np.testing.assert_allclose(frame["mean"], expit(eta).mean(axis=(0, 1))[:7], rtol=1e-9)
    assert frame[["lower", "upper"]].stack().between(0, 1).all()


def test_rates_are_predicted_with_their_exposure() -> None:
    data = rows()
    tree = fit(counts(), data, draws=50, tune=50)
    once = bm.predict(tree, data.iloc[:3], as_frame=True)["mean"]
    twice = bm.predict(tree, data.iloc[:3].assign(days=2 * data["days"]), as_frame=True)["mean"]
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)
    with pytest.raises(bm.InvalidDataError, match="exposure in column 'days' must be positive"):
        bm.predict(tree, data.assign(days=0.0))


def test_new_tasks_come_from_the_population(fitted: xr.DataTree) -> None:
    new = rows().iloc[:2].assign(task="new")
    with pytest.raises(bm.InvalidDataError, match="task 'new' is in column 'task' but not in"):
        bm.predict(fitted, new)
    frame = bm.predict(fitted, new, new_task="population", as_frame=True, random_seed=1)
    assert frame["mean"].between(0, 1).all()


def test_a_fit_that_was_saved_predicts_the_same(fitted: xr.DataTree, tmp_path: Path) -> None:
    bm.save(fitted, tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    for tree in (fitted, loaded):
        assert json.loads(tree.attrs["model"])["likelihood"] == {
            "type": "Bernoulli",
            "link": "logit",
        }
    first, second = (bm.predict(tree, rows(), as_frame=True) for tree in (fitted, loaded))
    pd.testing.assert_frame_equal(first, second)


def test_log_likelihoods_and_leave_one_out(fitted: xr.DataTree) -> None:
    tree = bm.compute_log_likelihood(fitted.copy(deep=True))
    values = tree["log_likelihood"]["y"].to_numpy()
    mean = bm.predict(fitted.copy(deep=True))["posterior_predictive"]["mean"].to_numpy()
    y = rows()["y"].to_numpy()
    expected = np.log(np.where(y == 1, mean, 1 - mean))
    np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(az.loo(tree).elpd)


@pytest.mark.parametrize("model", [yes_or_no(), counts()], ids=["yes or no", "counts"])
def test_prior_predictive_responses_are_in_the_support(model: Model) -> None:
    tree = model.prior_predictive(rows(), draws=40, random_seed=1)
    drawn = next(iter(tree["prior_predictive"].data_vars.values())).to_numpy()
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, np.round(drawn))
    assert drawn.min() >= 0.0
    assert drawn.std() > 0.0


def test_only_the_rows_go_to_pymc() -> None:
    graph = yes_or_no().to_pymc(rows())
    assert [variable.name for variable in graph.observed_RVs] == ["y"]
    with pytest.raises(bm.UnsupportedError, match=r"no exact sites: use .*likelihood='rows'"):
        yes_or_no().to_pymc(rows(), likelihood="sites")


def test_the_report_speaks_of_the_predictor(
    fitted: xr.DataTree, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(fitted)
    text = " ".join(capsys.readouterr().out.split())
    assert "Tasks that differ most from the others, in steps of 2 on the scale of the link" in text
    assert "noise s" not in text
    assert "standard errors" not in text


def test_plots_are_drawn(fitted: xr.DataTree) -> None:
    figure = bm.plot_task_relations(fitted)
    titles = " ".join(text.get_text() for ax in figure.axes for text in ax.texts)
    titles += " ".join(ax.get_title() for ax in figure.axes)
    assert "steps of 2 on the scale of the link" in titles
    for plot in (bm.plot_weights, bm.plot_sharing):
        assert plot(fitted).axes


@pytest.mark.mcmc
def test_nuts_agrees_on_yes_or_no() -> None:
    model = yes_or_no(
        formula="y ~ x0",
        relation=Exchangeable(
            mean=Prior("Normal", mu=0, sigma=1), scale=Prior("HalfNormal", sigma=0.7)
        ),
    )
    assert_same_posterior(
        model, rows(4, 10), "population_mean", "population_sd", "intercept", "weights"
    )


@pytest.mark.calibration
def test_nuts_agrees_on_the_joint_prior_with_weights() -> None:
    data = rows(4, 10).assign(w=np.tile([0.5, 1.5], 20))
    model = counts(weights="w", relation=Exchangeable(r2=Prior("Beta", alpha=2, beta=3)))
    assert_same_posterior(model, data, "population_mean", "shared_fraction", "intercept", "weights")


@pytest.mark.calibration
def test_nuts_agrees_on_a_full_covariance_under_probit() -> None:
    model = yes_or_no(
        likelihood=Bernoulli(link="probit"),
        relation=Exchangeable(
            mean=Prior("Normal", mu=0, sigma=1),
            scale=Prior("HalfNormal", sigma=0.7),
            feature_covariance="full",
            correlation=Prior("LKJ", eta=2),
        ),
        intercept="relation",
    )
    tree = assert_same_posterior(model, rows(6, 8), "population_mean", "population_sd", "weights")
    assert "feature_correlation" in tree["posterior"]


@pytest.mark.mcmc
@pytest.mark.parametrize(
    "relation",
    [Pooled(), pytest.param(Independent(), marks=pytest.mark.calibration)],
    ids=["pooled", "independent"],
)
def test_nuts_agrees_without_a_population(relation: Pooled | Independent) -> None:
    intercept = type(relation)()
    model = counts(relation=relation, intercept=intercept)
    assert_same_posterior(model, rows(3, 8), "intercept", "weights")
