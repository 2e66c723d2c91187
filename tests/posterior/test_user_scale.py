"""Draws in internal units become variables on the user's scale."""

import json

import numpy as np
import pytest
import xarray as xr

from bayesmtl import Exchangeable, Gaussian, Model, Pooled, Prior
from bayesmtl.posterior.user_scale import posterior_variables
from tests.oracles.cases import draw, regression

DATA = regression(3, 5, 2).assign(z=np.repeat([0.0, 1.0, 5.0], 5), x0=lambda d: 3.0 + 2.0 * d["x0"])
S_Y, S_X, S_Z = DATA["y"].std(ddof=0), DATA[["x0", "x1"]].std(ddof=0), np.std([0.0, 1.0, 5.0])


def variables(model: Model, names: tuple[str, ...] = ()) -> tuple[xr.Dataset, xr.Dataset]:
    draws = draw(model, DATA, draws=6, tune=5)
    found = posterior_variables(model.prepare(DATA).problem, draws, names)
    internal = {
        name: ((*"cd", *(f"{name}{i}" for i in range(part.ndim - 2))), part)
        for name, part in draws._asdict().items()
        if part is not None
    }
    return found, xr.Dataset(internal)


def test_a_separate_intercept_is_moved_to_zero() -> None:
    found, raw = variables(Model("y ~ x0 + x1", "task", task_features="~ z"), ("z",))
    weights, means = raw["weights"].values, raw["means"].values
    unit = (S_Y / S_X).to_numpy()
    np.testing.assert_allclose(found["weights"], weights[..., 1:] * unit, rtol=1e-10)
    center = DATA[["x0", "x1"]].mean().to_numpy()
    expected = DATA["y"].mean() + S_Y * weights[..., 0] - found["weights"].values @ center
    np.testing.assert_allclose(found["intercept"], expected, rtol=1e-10)
    np.testing.assert_allclose(found["population_mean"], means[..., 1:, 0] * unit, rtol=1e-10)
    np.testing.assert_allclose(
        found["population_sd"], raw["scale"].values[..., 1:] * unit, rtol=1e-10
    )
    np.testing.assert_allclose(
        found["task_effects"].values[..., 0], means[..., 1:, 1] * unit / S_Z, rtol=1e-10
    )
    np.testing.assert_allclose(
        found["intercept_task_effects"].values[..., 0], means[..., 0, 1] * S_Y / S_Z, rtol=1e-10
    )
    np.testing.assert_allclose(
        found["intercept_mean"], DATA["y"].mean() + S_Y * means[..., 0, 0], rtol=1e-10
    )
    np.testing.assert_allclose(found["intercept_sd"], S_Y * raw["scale"].values[..., 0])
    assert found["task_effects"].dims == ("chain", "draw", "feature", "task_feature")
    assert list(found["task_feature"].values) == ["z"]


def test_an_intercept_in_the_relation_is_at_zero() -> None:
    found, raw = variables(Model("y ~ x0 + x1", "task", intercept="relation"))
    weights = found["weights"].sel(feature="Intercept")
    expected = DATA["y"].mean() + S_Y * raw["weights"].values[..., 0]
    np.testing.assert_allclose(weights, expected, rtol=1e-10)
    assert "intercept" not in found


def test_noise_is_in_units_of_the_response() -> None:
    found, raw = variables(Model("y ~ x0", "task"))
    np.testing.assert_allclose(found["noise_sd"], S_Y * np.exp(raw["log_noise"].values))
    np.testing.assert_allclose(found["noise_median"], S_Y * raw["noise_median"].values)
    # The spread is that of logs: without unit.
    np.testing.assert_array_equal(found["noise_spread"], raw["noise_spread"].values)
    shared, raw = variables(Model("y ~ x0", "task", likelihood=Gaussian(noise="shared")))
    assert shared["noise_sd"].dims == ("chain", "draw")
    np.testing.assert_allclose(shared["noise_sd"], S_Y * np.exp(raw["log_noise"].values))


def test_correlations_are_those_of_the_features() -> None:
    found, raw = variables(Model("y ~ x0 + x1", "task", Exchangeable(feature_covariance="full")))
    np.testing.assert_array_equal(
        found["feature_correlation"], raw["correlation"].values[..., 1:, 1:]
    )
    assert found["feature_correlation"].dims[2:] == ("feature", "feature_bis")


@pytest.mark.parametrize(
    ("model", "constants"),
    [
        (
            Model("y ~ x0 + x1", "task", Exchangeable(mean={"x1": 0.0}, scale=[0.5, 2.0])),
            {"population_mean": '["x1"]', "population_sd": '["x0", "x1"]'},
        ),
        (
            Model("y ~ x0", "task", Pooled(), intercept=Exchangeable(mean=1.0)),
            {"population_sd": '["x0"]', "intercept_mean": 1},
        ),
        (
            Model("y ~ x0", "task", intercept=Pooled(mean=Prior("Normal"))),
            {"intercept_sd": 1},
        ),
    ],
)
def test_fixed_quantities_are_marked(model: Model, constants: dict[str, object]) -> None:
    found, _ = variables(model)
    marked = {
        name: found[name].attrs["constant"]
        for name in ("population_mean", "population_sd", "intercept_mean", "intercept_sd")
        if "constant" in found[name].attrs
    }
    assert marked == constants
    for name, mark in marked.items():
        features = json.loads(mark) if isinstance(mark, str) else None
        part = found[name] if features is None else found[name].sel(feature=features)
        # User units are reached through a product: equal up to rounding.
        np.testing.assert_allclose(part, part.isel(chain=[0], draw=[0]).values + 0 * part)


def test_fixed_numbers_are_kept_on_the_users_scale() -> None:
    model = Model(
        "y ~ x0 + x1", "task", Exchangeable(mean=0.25, scale=[0.5, 2.0]), intercept=Pooled(mean=7.0)
    )
    found, _ = variables(model)
    np.testing.assert_allclose(found["population_mean"], 0.25, rtol=1e-12)
    np.testing.assert_allclose(found["population_sd"].values[0, 0], [0.5, 2.0], rtol=1e-12)
    np.testing.assert_allclose(found["intercept_mean"], 7.0, rtol=1e-12)
