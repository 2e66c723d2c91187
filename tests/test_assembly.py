"""From rows and settings to internal arrays."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import Exchangeable, Gaussian, InvalidDataError, Model, Pooled, Prior
from bayesmtl.assembly import Problem
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.population import resolve_blocks
from bayesmtl.relations.exchangeable.state import JOINT, NORMAL, OTHER, SET


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    task = np.repeat(["a", "b", "c"], 4)
    return pd.DataFrame(
        {
            "y": 3.0 + 2.0 * rng.normal(size=12),
            "x": 1.0 + 4.0 * rng.normal(size=12),
            "k": 5.0,
            "z": np.repeat([1.0, 2.0, 6.0], 4),
            "se": rng.uniform(0.5, 2.0, 12),
            "w": rng.uniform(0.5, 2.0, 12),
            "o": rng.normal(size=12),
            "task": task,
        }
    )


def problem(data: pd.DataFrame, formula: str = "y ~ x", **settings: Any) -> Problem:
    return Model(formula, "task", **settings).prepare(data).problem


def test_a_separate_intercept_centres_the_features(data: pd.DataFrame) -> None:
    found = problem(data)
    x, y = data["x"].to_numpy(), data["y"].to_numpy()
    np.testing.assert_allclose(found.design[:, 0], 1.0)
    np.testing.assert_allclose(found.design[:, 1], (x - x.mean()) / x.std(), rtol=1e-12)
    np.testing.assert_allclose(found.response, (y - y.mean()) / y.std(), rtol=1e-12)
    np.testing.assert_allclose(found.prior.scale_unit, [y.std(), y.std() / x.std()], rtol=1e-12)
    assert found.prior.block == 1
    assert found.reference_sd == pytest.approx(y.std())


def test_an_intercept_in_the_relation_is_a_column_of_ones(data: pd.DataFrame) -> None:
    found = problem(data, intercept="relation")
    assert found.features == ("Intercept", "x")
    assert found.prior.block == 0
    np.testing.assert_array_equal(found.design[:, 0], 1.0)
    np.testing.assert_allclose(found.design[:, 1], data["x"] / data["x"].std(ddof=0), rtol=1e-12)
    assert found.prior.mean_location[0, 0] == pytest.approx(data["y"].mean())
    np.testing.assert_array_equal(found.scaling.feature_center, 0.0)


def test_without_intercept_nothing_is_centred(data: pd.DataFrame) -> None:
    found = problem(data, "y ~ 0 + x")
    assert found.scaling.response_center == 0.0
    np.testing.assert_allclose(found.response, data["y"] / data["y"].std(ddof=0), rtol=1e-12)
    np.testing.assert_allclose(found.design[:, 0], data["x"] / data["x"].std(ddof=0), rtol=1e-12)


def test_without_standardising_all_scales_are_one(data: pd.DataFrame) -> None:
    found = problem(data, standardize=False, task_features="~ z")
    scaling = found.scaling
    assert scaling.response_scale == 1.0
    np.testing.assert_array_equal(scaling.feature_scale, 1.0)
    np.testing.assert_array_equal(scaling.task_feature_scale, 1.0)


@pytest.mark.filterwarnings("ignore:.*constant:bayesmtl.BayesMTLWarning")
def test_a_constant_feature_keeps_its_scale(data: pd.DataFrame) -> None:
    found = problem(data, "y ~ x + k")
    assert found.scaling.feature_scale[1] == 1.0
    np.testing.assert_array_equal(found.design[:, 2], 0.0)


def test_sites_are_those_of_the_internal_rows(data: pd.DataFrame) -> None:
    found = problem(data, weights="w")
    for t, label in enumerate("abc"):
        mine = (data["task"] == label).to_numpy()
        x, y, w = found.design[mine], found.response[mine], data["w"].to_numpy()[mine]
        gram = unpack_tasks(found.sites.gram, 3)[t]
        np.testing.assert_allclose(gram, (x.T * w @ x)[np.tril_indices(2)], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(unpack_tasks(found.sites.moment, 3)[t], x.T @ (w * y))
        assert unpack_tasks(found.sites.rows[:, None], 3)[t, 0] == pytest.approx(w.sum())


def test_offsets_leave_the_response(data: pd.DataFrame) -> None:
    found = problem(data, offset="o")
    rest = (data["y"] - data["o"]).to_numpy()
    np.testing.assert_allclose(found.response, (rest - rest.mean()) / rest.std(), rtol=1e-12)
    np.testing.assert_array_equal(found.rows.response, data["y"])


def test_known_standard_errors_weigh_the_rows(data: pd.DataFrame) -> None:
    found = problem(data, likelihood=Gaussian(se="se"), weights="w")
    variance = (data["se"] / data["y"].std(ddof=0)) ** 2
    np.testing.assert_allclose(found.weight, data["w"] / variance, rtol=1e-12)
    assert found.reference_noise == pytest.approx(variance.mean())


def test_fixed_noise_sets_the_reference(data: pd.DataFrame) -> None:
    found = problem(data, likelihood=Gaussian(noise_sd={"a": 1.0, "b": 2.0, "c": 3.0}))
    assert found.reference_noise == pytest.approx(14.0 / 3.0 / data["y"].var(ddof=0))


def test_task_features_are_centred_and_scaled(data: pd.DataFrame) -> None:
    found = problem(data, task_features="~ z")
    z = np.array([1.0, 2.0, 6.0])
    expected = np.column_stack([np.ones(3), (z - 3.0) / z.std()])
    np.testing.assert_allclose(unpack_tasks(found.prior.task_features, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(found.prior.task_cross, expected.T @ expected, atol=1e-12)
    unit = found.prior.scale_unit
    np.testing.assert_allclose(found.prior.mean_unit, np.outer(unit, [1.0, 1.0 / z.std()]))


def test_kinds_of_means(data: pd.DataFrame) -> None:
    mean = {"Intercept": 0.5, "x": Prior("Laplace")}
    found = problem(data, relation=Exchangeable(mean=mean), intercept="relation")
    np.testing.assert_array_equal(found.prior.mean_kind, [SET, OTHER])
    assert not found.prior.joint.any()
    found = problem(data, intercept=Pooled())
    np.testing.assert_array_equal(found.prior.mean_kind, [NORMAL, JOINT])
    np.testing.assert_array_equal(found.prior.joint, [False, True])


def test_resolved_blocks_hold_defaults_on_the_users_scale(data: pd.DataFrame) -> None:
    found = problem(data, relation=Exchangeable(mean=0.0))
    s_y, s_x = data["y"].std(ddof=0), data["x"].std(ddof=0)
    blocks = resolve_blocks(Exchangeable(mean=0.0), Pooled(), found.features, found.scaling)
    assert blocks[0].mean == [[Prior("Normal", mu=data["y"].mean(), sigma=2.5 * s_y)]]
    assert blocks[1].mean == [[0.0]]
    scale = blocks[1].scale[0]
    assert isinstance(scale, Prior)
    assert dict(scale.params)["sigma"] == pytest.approx(s_y / s_x)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"y": 2.0}, {}, r"the response is constant \(2 in all 12 rows\)"),
        (
            {"se": [1.0] * 10 + [0.0, -1.0]},
            {"likelihood": Gaussian(se="se")},
            "standard errors in column 'se' must be positive in every row; 2 rows break this rule: "
            "row 10 has 0, row 11 has -1",
        ),
        (
            {"w": [1.0] * 11 + [-1.0]},
            {"weights": "w"},
            "weights in column 'w' must be at least 0 in every row; 1 row breaks this rule: row 11",
        ),
        ({"w": 0.0}, {"weights": "w"}, "weights column 'w' sums to zero"),
    ],
)
def test_data_that_cannot_be_used(
    data: pd.DataFrame, change: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message):
        problem(data.assign(**change), **settings)


def test_a_constant_response_is_fine_without_standardising(data: pd.DataFrame) -> None:
    found = problem(data.assign(y=2.0), standardize=False)
    np.testing.assert_array_equal(found.response, 0.0)


def test_a_row_of_weight_zero_counts_nothing(data: pd.DataFrame) -> None:
    data["w"] = [0.0] + [1.0] * 11
    found = problem(data, weights="w")
    assert unpack_tasks(found.sites.rows[:, None], 3)[0, 0] == 3.0
