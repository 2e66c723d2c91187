"""The model: settings and messages, round trip, fits that are labelled, sized and stored."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from bayesmtl import (
    BayesMTLWarning,
    Binomial,
    Exchangeable,
    Gaussian,
    Independent,
    InvalidDataError,
    InvalidModelError,
    Model,
    Pooled,
    Prior,
)
from bayesmtl.cautions import warn_of_collinear_features
from tests.oracles.cases import fit, regression

DATA = regression(3, 5, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": 3}, "task must be the name of a column, got 3"),
        (
            {"relation": "exchangeable"},
            r"relation must be one of bm.Independent\(\), .*bm.KnownGraph\(...\), .*"
            r"got 'exchangeable'; did you mean bm.Exchangeable\(\), without quotes\?",
        ),
        ({"relation": "matrix-normal"}, r"did you mean bm.MatrixNormal\(\)"),
        ({"relation": Exchangeable}, r"got <class .*Exchangeable'>; write bm.Exchangeable\(\)$"),
        ({"relation": Gaussian}, r"relation must be one of .*got <class .*Gaussian'>$"),
        ({"relation": "friends"}, "got 'friends'$"),
        ({"likelihood": Binomial}, r"or a mapping .*got <class .*; write bm.Binomial\(...\)$"),
        ({"likelihood": "gaussian"}, r"one of bm.Gaussian.*; did you mean bm.Gaussian\(\)"),
        ({"missing": "ignore"}, "missing must be 'error' or 'drop', got 'ignore'"),
        ({"intercept": "pooled"}, "intercept must be None, one of 'exchangeable', 'none', 'rel"),
        ({"intercept": 0.0}, "intercept must be None, one of .* got 0.0"),
        (
            {"intercept": Exchangeable(feature_covariance="full")},
            r"intercept=bm.Exchangeable\(...\) takes mean=, scale= and task_effects= only",
        ),
        (
            {"intercept": Exchangeable(r2=Prior("Beta", alpha=1, beta=1))},
            "takes mean=, scale= and task_effects= only",
        ),
        (
            {"intercept": Exchangeable(shared=Prior("Beta", alpha=1, beta=1))},
            "takes mean=, scale= and task_effects= only",
        ),
        (
            {"task_features": "~ z", "relation": Pooled(), "intercept": "none"},
            r"task_features predict what is drawn from a population: use bm.Exchangeable\(\)",
        ),
        (
            {"task_features": "~ z", "relation": Independent(), "intercept": Pooled()},
            "task_features predict what is drawn from a population",
        ),
        ({"task_features": "u ~ z"}, 'takes a formula without a left side, like "~ z", not'),
        ({"formula": "~ x0"}, 'no left side, and a response is needed; write "y ~ x0"'),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Model(**{"formula": "y ~ x0", "task": "task", **settings})


def test_task_features_go_with_any_exchangeable_part() -> None:
    Model("y ~ x0", "task", Pooled(), task_features="~ z")
    Model("y ~ x0", "task", intercept=Pooled(), task_features="~ z")
    Model("y ~ x0", "task", Independent(), intercept=Exchangeable(), task_features="~ z")


@pytest.mark.parametrize(
    ("formula", "intercept", "message"),
    [
        ("y ~ 0 + x0", "relation", "has no intercept, but intercept='relation' asks for one: drop"),
        ("y ~ 0 + x0", "exchangeable", "has no intercept, but intercept='exchangeable' asks"),
        ("y ~ 0 + x0", Pooled(), "has no intercept, but intercept=Pooled"),
        ("y ~ 1", "none", "the formula 'y ~ 1' has neither features nor an intercept"),
    ],
)
def test_formulas_and_intercepts(formula: str, intercept: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Model(formula, "task", intercept=intercept).prepare(DATA)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draws": 0}, "draws must be an integer of at least 1, got 0"),
        ({"draws": 10.0}, "draws must be an integer of at least 1, got 10.0"),
        ({"draws": True}, "draws must be an integer of at least 1, got True"),
        ({"tune": -1}, "tune must be an integer of at least 0, got -1"),
        ({"chains": 0}, "chains must be an integer of at least 1, got 0"),
        ({"cores": 0}, "cores must be an integer of at least 1, got 0"),
        ({"random_seed": -1}, "random_seed must be a non-negative integer or None, got -1"),
        ({"random_seed": 1.5}, "random_seed must be a non-negative integer or None, got 1.5"),
        ({"random_seed": True}, "random_seed must be a non-negative integer or None, got True"),
        ({"inference": "vi"}, "inference must be 'gibbs', 'nuts', .* or 'laplace', got 'vi'"),
    ],
)
def test_sizes_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        fit(Model("y ~ x0", "task"), DATA, **settings)


def test_settings_of_the_model_are_none_of_fit() -> None:
    message = r"missing= is a setting of the model, not of fit: bm.Model\(..., missing=...\)"
    with pytest.raises(InvalidModelError, match=message):
        Model("y ~ x0", "task").fit(DATA, missing="drop")


def test_graphs_are_on_rows_or_sites() -> None:
    with pytest.raises(InvalidModelError, match="likelihood must be 'rows' or 'sites', got 'all'"):
        Model("y ~ x0", "task").to_pymc(DATA, likelihood="all")


def test_numpy_integers_are_integers() -> None:
    idata = fit(Model("y ~ x0", "task"), DATA, draws=np.int64(5), random_seed=np.int64(3))
    assert dict(idata["posterior"].sizes)["draw"] == 5


@pytest.mark.parametrize(
    "model",
    [
        Model("y ~ x0", "task"),
        Model(
            "y ~ x0 + x1",
            "task",
            Exchangeable(mean={"x0": Prior("Normal")}, feature_covariance="full"),
            Gaussian(se="se"),
            intercept=Pooled(mean=3.0),
            task_features="~ z",
            weights="w",
            offset="o",
            missing="drop",
            standardize=False,
        ),
        Model("y ~ x0", "task", Independent(scale=[1.0]), intercept="relation"),
    ],
    ids=["default", "everything", "array"],
)
def test_models_survive_json(model: Model) -> None:
    spec = json.loads(json.dumps(model.to_dict(), allow_nan=False))
    assert Model.from_dict(spec) == model


def test_unknown_settings_are_named() -> None:
    with pytest.raises(InvalidModelError, match="a model has no setting 'prior'; its settings are"):
        Model.from_dict({"formula": "y ~ x0", "task": "task", "prior": 1})


def test_models_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="formula"):
        Model("y ~ x0", "task").formula = "y ~ x1"  # type: ignore[misc]


def test_missing_rows_are_dropped_on_request() -> None:
    data = DATA.copy()
    data.loc[3, "y"] = np.nan
    with pytest.raises(InvalidDataError, match="missing"):
        Model("y ~ x0", "task").prepare(data)
    with pytest.warns(BayesMTLWarning, match="1"):
        rows = Model("y ~ x0", "task", missing="drop").prepare(data).problem.rows
    assert rows.n_dropped == 1
    assert 3 not in rows.position


@pytest.mark.parametrize("name", ["task_features", "weights", "offset"])
def test_columns_are_named_by_strings(name: str) -> None:
    with pytest.raises(InvalidModelError, match=f"{name} must be a string or None"):
        Model("y ~ x", task="t", **{name: ["z"]})  # type: ignore[arg-type]


def test_standardize_is_a_switch() -> None:
    with pytest.raises(InvalidModelError, match="standardize must be True or False, got 'no'"):
        Model("y ~ x", task="t", standardize="no")  # type: ignore[arg-type]


def test_settings_without_a_formula() -> None:
    with pytest.raises(InvalidModelError, match="the settings of a model need 'task'"):
        Model.from_dict({"formula": "y ~ x"})


def test_warnings_point_to_the_call_of_the_user() -> None:
    single = DATA.assign(task=["a", *["b"] * (len(DATA) - 1)])
    with pytest.warns(BayesMTLWarning, match="single row") as caught:
        Model("y ~ x0", "task").prepare(single)
    assert [warning.filename for warning in caught] == [__file__]


def test_zeros_and_ones_taken_for_measurements_are_announced() -> None:
    data = DATA.assign(y=(DATA["y"] > 0).astype(int))
    match = r"every response is 0 or 1, .*; for yes or no write likelihood=bm.Bernoulli\(\)"
    with pytest.warns(BayesMTLWarning, match=match):
        Model("y ~ x0", "task").prepare(data)


def test_collinear_features_are_named_once() -> None:
    data = DATA.assign(months=12.0 * DATA["x0"] + 3.0, both=DATA["x0"] - DATA["x1"])
    with pytest.warns(BayesMTLWarning, match='of "x0", "months", one is a sum') as caught:
        Model("y ~ x0 + months + x1", "task").prepare(data)
    assert len(caught) == 1
    with pytest.warns(BayesMTLWarning, match='of "x0", "months", "x1", "both", some are'):
        Model("y ~ x0 + months + x1 + both", "task").prepare(data)
    nearly = data.assign(months=data["months"] + 1e-3 * np.sin(np.arange(len(data))))
    Model("y ~ x0 + months", "task").prepare(nearly)
    Model("y ~ 0 + x0 + months", "task").prepare(data)  # without a constant they differ
    few = data[["x0", "months"]].to_numpy()[:3]
    warn_of_collinear_features(few, ("x0", "months"), np.full(2, np.nan), intercept=True)


def test_collinear_features_in_many_rows() -> None:
    x = np.random.default_rng(1).normal(size=(30_000, 3))
    check = partial(warn_of_collinear_features, own_scales=np.full(3, np.nan), intercept=True)
    check(x, ("a", "b", "c"))
    x[:, 2] = x[:, 0]
    with pytest.warns(BayesMTLWarning, match='of "a", "c", one is a sum'):
        check(x, ("a", "b", "c"))
    x[1, 2] += 1.0  # in a row that the first look leaves out
    check(x, ("a", "b", "c"))
