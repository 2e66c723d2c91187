"""Fits are labelled, sized and stored as promised."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl.fitting
from bayesmtl import BayesMTLWarning, Exchangeable, Gaussian, Independent, Model, Pooled
from tests.oracles.cases import fit, regression

DATA = regression(3, 5, 2)


def test_a_fit_does_not_change_the_frame() -> None:
    data = DATA.copy()
    fit(Model("y ~ x0", "task"), data, draws=5)
    pd.testing.assert_frame_equal(data, DATA)


@pytest.mark.parametrize(
    ("formula", "settings", "present", "absent"),
    [
        ("y ~ x0", {}, {"weights", "intercept", "intercept_mean", "shared_fraction"}, set()),
        ("y ~ 0 + x0", {}, {"weights"}, {"intercept", "intercept_mean", "intercept_sd"}),
        ("y ~ x0", {"intercept": "relation"}, {"weights"}, {"intercept", "intercept_sd"}),
        ("y ~ x0", {"intercept": "none"}, {"weights"}, {"intercept"}),
        ("y ~ 1", {}, {"intercept", "sharing", "borrowing"}, {"weights", "population_mean"}),
        ("y ~ x0", {"relation": Pooled()}, {"population_sd"}, {"shared_fraction"}),
        (
            "y ~ x0 + x1",
            {"relation": Exchangeable(feature_covariance="full")},
            {"feature_correlation"},
            set(),
        ),
        ("y ~ x0", {"likelihood": Gaussian(noise="shared")}, {"noise_sd"}, {"noise_median"}),
        ("y ~ x0", {}, {"noise_median", "noise_spread"}, set()),
    ],
)
def test_variables_of_a_fit(
    formula: str, settings: dict[str, Any], present: set[str], absent: set[str]
) -> None:
    posterior = fit(Model(formula, "task", **settings), DATA, draws=4, tune=2)["posterior"]
    assert present <= set(posterior.data_vars)
    assert not absent & set(posterior.data_vars)


def test_labels_are_those_of_the_data() -> None:
    posterior = fit(Model("y ~ x0 + x1", "task"), DATA, draws=4, chains=3)["posterior"]
    assert posterior["weights"].dims == ("chain", "draw", "task", "feature")
    assert list(posterior["task"].values) == ["task 00", "task 01", "task 02"]
    assert list(posterior["feature"].values) == ["x0", "x1"]
    assert posterior["noise_sd"].dims == ("chain", "draw", "task")


def test_root_attributes() -> None:
    model = Model("y ~ x0", "task")
    idata = fit(model, DATA, draws=4, tune=3, random_seed=7)
    assert Model.from_dict(json.loads(idata.attrs["model"])) == model
    assert json.loads(idata.attrs["inference"]) == {
        "method": "gibbs",
        "draws": 4,
        "tune": 3,
        "chains": 2,
        "sites": "exact",
    }
    assert idata.attrs["random_seed"] == "7"
    assert idata.attrs["weights_stored"] == 1
    assert set(idata.children) == {
        "posterior",
        "sample_stats",
        "observed_data",
        "constant_data",
        "task_relations",
    }


def test_a_short_run_is_warned_of() -> None:
    with pytest.warns(BayesMTLWarning, match="R-hat|ESS"):
        Model("y ~ x0", "task").fit(DATA, draws=20, tune=5, chains=2, progressbar=False)


def test_weights_that_are_too_large_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("y ~ x0 + x1", "task", Exchangeable(feature_covariance="full"))
    whole = fit(model, DATA)
    # 3 tasks x 3 coefficients x 8 bytes x 300 draws x 2 chains is 43,200.
    monkeypatch.setattr(bayesmtl.fitting, "_WEIGHT_BYTES", 43_199)
    idata = fit(model, DATA)
    assert idata.attrs["weights_stored"] == 0
    posterior = idata["posterior"]
    assert not {"weights", "intercept"} & set(posterior.data_vars)
    np.testing.assert_array_equal(
        posterior["population_mean"], whole["posterior"]["population_mean"]
    )
    difference = idata["task_relations"]["difference"].sel(statistic="mean")
    reference = whole["task_relations"]["difference"]
    error = np.abs(difference - reference.sel(statistic="mean"))
    assert float((error - reference.sel(statistic="sd")).max()) <= 0.0
    assert {"gram", "moment"} <= set(idata["sites"].data_vars)
    monkeypatch.setattr(bayesmtl.fitting, "_WEIGHT_BYTES", 43_200)
    assert fit(model, DATA).attrs["weights_stored"] == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"formula": "y ~ x0", "relation": Independent()}, 0.0),
        ({"formula": "y ~ x0", "relation": Pooled()}, 1.0),
        ({"formula": "y ~ 1", "intercept": Pooled()}, 1.0),
        ({"formula": "y ~ 1", "intercept": Independent()}, 0.0),
        ({"formula": "y ~ x0", "relation": Independent(), "intercept": "relation"}, 0.0),
    ],
)
def test_sharing_of_the_limits(settings: dict[str, Any], expected: float) -> None:
    idata = fit(Model(task="task", **settings), DATA, draws=5)
    for name in ("sharing", "borrowing"):
        assert np.all(idata["posterior"][name].values == expected)
        assert idata["posterior"][name].attrs["constant"] == 1
    summary = idata["task_relations"]["sharing"]
    assert float(summary.sel(statistic="mean")) == expected


def test_sharing_of_exchangeable_tasks_lies_between() -> None:
    sharing = fit(Model("y ~ x0", "task"), DATA)["posterior"]["sharing"].values
    assert np.all((sharing > 0.0) & (sharing < 1.0))
    assert "constant" not in fit(Model("y ~ 1", "task"), DATA)["posterior"]["sharing"].attrs
