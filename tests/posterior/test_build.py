"""The DataTree of a fit: groups, data, attributes."""

import json

import arviz as az
import numpy as np
import pandas as pd
import pytest

from bayesmtl import Exchangeable, Gaussian, Model
from bayesmtl.design import Design
from bayesmtl.posterior.manifest import SCHEMA_VERSION
from tests.oracles.cases import fit, regression

DATA = regression(3, 5, 2).assign(
    z=np.repeat([0.0, 1.0, 5.0], 5),
    x0=lambda d: 3.0 + 2.0 * d["x0"],
    w=1.0,
    o=0.5,
    se=0.7,
)


def test_data_are_kept_on_the_users_scale() -> None:
    mixed = DATA.sample(frac=1.0, random_state=2)
    model = Model("y ~ x0 + x1", "task", task_features="~ z", weights="w", offset="o")
    idata = fit(model, mixed, draws=4, tune=2)
    constant = idata["constant_data"]
    np.testing.assert_array_equal(idata["observed_data"]["y"], mixed["y"])
    np.testing.assert_array_equal(constant["features"], mixed[["x0", "x1"]])
    np.testing.assert_array_equal(constant["row_position"], np.arange(15))
    np.testing.assert_array_equal(constant["n_rows"], [5, 5, 5])
    labels = constant["task"].values[constant["task_index"].values]
    np.testing.assert_array_equal(labels, mixed["task"])
    center = mixed[["x0", "x1"]].mean().to_numpy()
    np.testing.assert_allclose(constant["feature_center"], center)
    np.testing.assert_allclose(constant["feature_scale"], mixed[["x0", "x1"]].std(ddof=0))
    centred = mixed[["x0", "x1"]].to_numpy() - center
    np.testing.assert_allclose(constant["second_moment"], centred.T @ centred / 15)
    np.testing.assert_array_equal(constant["task_features"].values[:, 0], [0.0, 1.0, 5.0])
    np.testing.assert_allclose(constant["task_feature_center"], [2.0])
    assert {"row_weight", "offset"} <= set(constant.data_vars)
    assert "standard_error" not in constant.data_vars


def test_known_standard_errors_are_kept() -> None:
    idata = fit(Model("y ~ x0", "task", likelihood=Gaussian(se="se")), DATA, draws=4)
    np.testing.assert_array_equal(idata["constant_data"]["standard_error"], 0.7)


def test_an_intercept_in_the_relation_is_a_feature_everywhere() -> None:
    idata = fit(Model("y ~ x0", "task", intercept="relation"), DATA, draws=4)
    constant = idata["constant_data"]
    assert list(constant["feature"].values) == ["Intercept", "x0"]
    np.testing.assert_array_equal(constant["features"].values[:, 0], 1.0)
    np.testing.assert_array_equal(constant["feature_center"], 0.0)


def test_without_features_there_are_none() -> None:
    idata = fit(Model("y ~ 1", "task"), DATA, draws=4)
    assert not {"features", "feature_center"} & set(idata["constant_data"].data_vars)
    assert "feature" not in idata["posterior"].coords


@pytest.mark.parametrize("name", ["task", "obs", "feature"])
def test_a_response_named_like_a_dimension(name: str) -> None:
    data = DATA.rename(columns={"y": name, "task": "group"})
    idata = fit(Model(f"{name} ~ x0", "group"), data, draws=4)
    assert list(idata["observed_data"].data_vars) == ["y"]


def test_root_attributes_are_plain() -> None:
    model = Model("y ~ x0", "task", Exchangeable(feature_covariance="full"), task_features="~ z")
    attrs = fit(model, DATA, draws=4, tune=3).attrs
    assert all(isinstance(value, str | int | float) for value in attrs.values())
    assert attrs["modeling_interface"] == "bayesmtl"
    assert attrs["schema_version"] == SCHEMA_VERSION
    design = json.loads(attrs["design"])
    assert Design.from_dict(design["rows"]).features == ("x0",)
    assert Design.from_dict(design["task_features"]).features == ("z",)
    assert json.loads(attrs["versions"])["numpy"] == np.__version__
    assert attrs["sampling_seconds"] > 0
    assert isinstance(json.loads(attrs["diagnostics"]), dict)
    assert attrs["verdict"]
    pd.Timestamp(attrs["created_at"])


def test_arviz_reads_the_tree() -> None:
    idata = fit(Model("y ~ x0 + x1", "task"), DATA, draws=50)
    table = az.summary(idata, var_names=["population_mean", "noise_sd"])
    assert list(table.index[:2]) == ["population_mean[x0]", "population_mean[x1]"]
    assert len(table) == 5


def test_the_log_joint_density_is_recorded() -> None:
    lp = fit(Model("y ~ x0", "task"), DATA)["sample_stats"]["lp"]
    assert lp.dims == ("chain", "draw")
    assert np.isfinite(lp.values).all()
    assert np.unique(lp.values).size == lp.size


@pytest.mark.parametrize(("features", "known"), [("diagonal", 1), ("full", 0)])
def test_sharing_is_constant_where_nothing_of_the_population_is_learned(
    features: str, known: int
) -> None:
    relation = Exchangeable(mean=1.0, scale=1.0, feature_covariance=features)
    idata = fit(Model("y ~ x0 + x1", "task", relation), regression(4, 5, 2), draws=20)
    assert idata["posterior"]["sharing"].attrs.get("constant", 0) == known
