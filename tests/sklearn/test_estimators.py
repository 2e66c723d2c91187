"""Estimators: what they predict, and the conventions of scikit-learn."""

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import bayesmtl as bm
from bayesmtl.datasets import simulate

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")

SHORT: dict[str, Any] = {"draws": 100, "tune": 50, "chains": 1, "random_state": 1}
TINY: dict[str, Any] = {"draws": 20, "tune": 20, "chains": 1, "random_state": 1}
TASKS = simulate(n_tasks=8, n_rows=25, n_features=2, noise_sd=0.5, random_seed=1)
X, Y = TASKS.data[["task", "x1", "x2"]], TASKS.data["y"]
NUMBERED = X.assign(task=X["task"].str[1:].astype(float)).to_numpy()
EXPECTED = {
    "check_dtype_object": "mixed types are refused by a message of the package",
    "check_fit2d_1sample": "the message is of the response, whose one value has no scale",
}


def regressor(**settings: Any) -> Any:
    return bm.sklearn.MultiTaskRegressor(**{"task": "task", **SHORT, **settings})


def classifier(**settings: Any) -> Any:
    return bm.sklearn.MultiTaskClassifier(**{"task": "task", **SHORT, **settings})


def test_predictions_are_those_of_the_package() -> None:
    fitted = regressor().fit(X, Y)
    mean, sd = fitted.predict(X, return_std=True)
    expected = bm.predict(fitted.idata_, X, as_frame=True)
    np.testing.assert_allclose(mean, expected["mean"])
    np.testing.assert_array_equal(mean, fitted.predict(X))
    inner = expected["sd"].to_numpy()
    noise = float(fitted.idata_["posterior"]["noise_sd"].mean())
    np.testing.assert_allclose(sd.mean(), np.sqrt(noise**2 + np.mean(inner**2)), rtol=0.05)
    assert fitted.score(X, Y) > 0.8
    assert fitted.n_features_in_ == 3
    assert fitted.feature_names_in_.tolist() == ["task", "x1", "x2"]


def test_arrays_and_frames_agree() -> None:
    expected = regressor(**TINY).fit(X, Y).predict(X)
    names = regressor(**TINY, formula="x1 + x2").fit(X.assign(z=1), Y).predict(X.assign(z=1))
    np.testing.assert_array_equal(names, expected)
    table = pl.DataFrame(X.to_dict("list"))
    np.testing.assert_array_equal(regressor(**TINY).fit(table, Y).predict(table), expected)
    objects = X.to_numpy()
    for rows, task in ((NUMBERED, 0), (NUMBERED, "x0"), (objects, -3)):
        fitted = regressor(**{**TINY, "task": task}).fit(rows, Y.to_numpy())
        np.testing.assert_array_equal(fitted.predict(rows), expected)
        assert fitted.idata_["posterior"]["feature"].to_numpy().tolist() == ["x1", "x2"]
    numbered = X.set_axis([0, 1, 2], axis=1)
    fitted = regressor(**{**TINY, "task": 0}).fit(numbered, Y)
    np.testing.assert_array_equal(fitted.predict(numbered), expected)


def test_settings_reach_the_model() -> None:
    rows = X.assign(y=1.0, days=2.0, **{"odd name": np.arange(len(X))})
    model = regressor(
        **TINY, relation=bm.Pooled(), likelihood=bm.Poisson(exposure="days"), intercept="none"
    ).fit(rows, np.arange(len(X)) % 3)
    spec = bm.Model.from_dict(json.loads(model.idata_.attrs["model"]))
    assert spec == bm.Model(
        "`y_` ~ `x1` + `x2` + `y` + `odd name`",
        "task",
        bm.Pooled(),
        bm.Poisson(exposure="days"),
        "none",
    )


def test_tasks_that_were_not_seen() -> None:
    fitted = regressor().fit(X[X["task"] != "t1"], Y[X["task"] != "t1"])
    unseen = X[X["task"] == "t1"]
    mean = fitted.predict(unseen)
    np.testing.assert_array_equal(mean, fitted.predict(unseen))
    assert np.corrcoef(mean, Y[X["task"] == "t1"])[0, 1] > 0.5
    with pytest.raises(bm.InvalidDataError, match="t1"):
        fitted.set_params(new_task="error").predict(unseen)


def test_cross_validation_over_tasks() -> None:
    scores = cross_val_score(regressor(**TINY), X, Y, groups=X["task"], cv=GroupKFold(4))
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()


def test_search_and_pipeline() -> None:
    scale = ColumnTransformer([("scale", StandardScaler(), ["x1", "x2"])], remainder="passthrough")
    named = make_pipeline(
        scale.set_output(transform="pandas"), regressor(**TINY, task="remainder__task")
    )
    grid = {"multitaskregressor__relation": [bm.Independent(), bm.Pooled()]}
    folds = KFold(2, shuffle=True, random_state=1)  # rows of all tasks in both
    search = GridSearchCV(named, grid, cv=folds).fit(X, Y)
    assert search.best_params_ == {"multitaskregressor__relation": bm.Independent()}
    plain = make_pipeline(
        ColumnTransformer([("scale", StandardScaler(), [1, 2])], remainder="passthrough"),
        regressor(**TINY, task=2),
    )
    np.testing.assert_allclose(
        plain.fit(NUMBERED, Y).predict(NUMBERED), named.fit(X, Y).predict(X), rtol=1e-10
    )


def test_classes() -> None:
    labels = np.where(Y > 0, "yes", "no")
    fitted = classifier().fit(X, labels)
    assert fitted.classes_.tolist() == ["no", "yes"]
    chance = fitted.predict_proba(X)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    np.testing.assert_array_equal(fitted.predict(X) == "yes", chance[:, 1] > 0.5)
    assert fitted.score(X, labels) > 0.85
    probit = clone(fitted).set_params(likelihood=bm.Bernoulli(link="probit"), **TINY)
    assert probit.fit(X, labels).score(X, labels) > 0.8


@pytest.mark.parametrize(
    ("model", "y", "error", "message"),
    [
        (regressor(task="school"), Y, bm.InvalidDataError, "task='school' is neither a column"),
        (regressor(task="taks"), Y, bm.InvalidDataError, "did you mean 'task'"),
        (regressor(task=3), Y, bm.InvalidDataError, "task=3 is neither a column of X nor the"),
        (regressor(task=True), Y, bm.InvalidDataError, "task=True is neither"),
        (regressor(task="x1"), Y, bm.InvalidDataError, "'x1' names the tasks by texts or whole"),
        (regressor(formula="y ~ x1"), Y, bm.InvalidModelError, "formula must be the right-hand"),
        (regressor(formula=3), Y, bm.InvalidModelError, "formula must be the right-hand side"),
        (regressor(relation=3), Y, bm.InvalidModelError, "relation must be one of"),
        (regressor(likelihood=bm.Bernoulli()), Y, bm.InvalidModelError, "for MultiTaskClassifier"),
        (regressor(likelihood=3), Y, bm.InvalidModelError, "must be one of bm.Gaussian.*got 3"),
        (regressor(draws=0), Y, bm.InvalidModelError, "draws must be an integer"),
        (regressor(), Y[:-1], ValueError, "inconsistent numbers of samples"),
        (regressor(), Y.where(Y.index > 0), ValueError, "NaN"),
        (classifier(), np.arange(len(Y)) % 3, bm.InvalidDataError, "Only binary .* 3 classes"),
        (classifier(), np.zeros(len(Y)), bm.InvalidDataError, "y has 1 class$"),
        (classifier(likelihood=bm.Gaussian()), Y > 0, bm.InvalidModelError, "must be bm.Bernoulli"),
    ],
)
def test_what_is_refused(model: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        model.fit(X, y)
    assert isinstance(caught.value, ValueError)


def test_before_the_fit_and_other_columns() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        regressor().predict(X)
    fitted = regressor(**TINY).fit(X, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(X.rename(columns={"x1": "z"}))


@pytest.mark.filterwarnings("ignore")
def test_conventions_of_scikit_learn() -> None:
    """As one task: the checks know of no column with labels."""
    model = regressor(task=None, draws=5, tune=5)
    results = check_estimator(model, expected_failed_checks=EXPECTED, on_skip=None)
    assert {one["check_name"] for one in results if one["status"] == "xfail"} == set(EXPECTED)
    assert sum(one["status"] == "passed" for one in results) > 45


def test_conventions_of_classifiers() -> None:
    model = classifier(task=None, draws=5, tune=5)
    checks = [one for one in estimator_checks_generator(model) if "classif" in str(one[1])]
    assert len(checks) > 5
    for estimator, check in checks:
        check(estimator)


def test_scikit_learn_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("bayesmtl.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(bm, "sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(bm.UnsupportedError, match="needs scikit-learn, which is not"):
        bm.sklearn  # noqa: B018
    with pytest.raises(AttributeError, match="module 'bayesmtl' has no attribute 'skl'"):
        bm.skl  # noqa: B018


def test_frames_without_a_task() -> None:
    table = pd.DataFrame({"task": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 0.0, 1.0, 0.0]})
    fitted = regressor(**TINY, task=None).fit(table, [1.0, 2.0, 3.0, 4.5])
    assert fitted.idata_["posterior"]["feature"].to_numpy().tolist() == ["task", "y"]
    assert fitted.predict(table).shape == (4,)


@pytest.mark.filterwarnings("ignore:X (has|does not have) .*feature names:UserWarning")
def test_columns_without_names_are_those_of_the_fit_by_their_places() -> None:
    frame = X.assign(task=NUMBERED[:, 0])
    fitted = regressor(**TINY).fit(frame, Y)
    np.testing.assert_array_equal(fitted.predict(NUMBERED), fitted.predict(frame))
    fitted = regressor(**{**TINY, "task": 0}).fit(NUMBERED, Y)
    np.testing.assert_array_equal(fitted.predict(frame), fitted.predict(NUMBERED))
