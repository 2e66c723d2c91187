"""Least squares of each task by itself."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl.posterior.unpooled as unpooled
from bayesmtl import BayesMTLWarning, Exchangeable, Gaussian, Model
from bayesmtl.posterior.unpooled import unpooled_weights
from tests.oracles.cases import regression


def estimates(data: pd.DataFrame, formula: str = "y ~ x0 + x1", **settings: Any) -> Any:
    return unpooled_weights(Model(formula, "task", **settings).prepare(data).problem)


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate = np.linalg.solve(x.T @ x, x.T @ y)
    variance = np.sum((y - x @ estimate) ** 2) / (len(y) - x.shape[1])
    return estimate, np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))


@pytest.mark.parametrize("intercept", ["exchangeable", "relation", "none"])
def test_each_task_by_itself(intercept: str) -> None:
    data = regression(9, 6, 2).assign(x0=lambda d: 3.0 + 2.0 * d["x0"])
    estimate, sd = estimates(data, intercept=intercept)
    for t, (_, rows) in enumerate(data.groupby("task")):
        x, y = rows[["x0", "x1"]].to_numpy(), rows["y"].to_numpy()
        if intercept != "none":
            x = np.column_stack([np.ones(len(x)), x])
        expected = least_squares(x, y)
        skip = 1 if intercept == "exchangeable" else 0
        np.testing.assert_allclose(estimate[t], expected[0][skip:], rtol=1e-8)
        np.testing.assert_allclose(sd[t], expected[1][skip:], rtol=1e-8)


@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
def test_what_the_rows_do_not_determine_is_missing() -> None:
    data = regression(3, 6, 2)
    data.loc[data["task"] == "task 01", "x1"] = 2.0 * data["x0"]
    data = data.drop(index=range(14, 18))
    data.loc[data["task"] == "task 02", "x0"] = 1.0
    estimate, sd = estimates(data)
    assert np.isfinite(estimate[0]).all()
    # Collinear features: neither is known; two rows with the same x0: nothing is known of it.
    assert np.isnan(estimate[1]).all()
    assert np.isnan(sd[1]).all()
    assert np.isnan(estimate[2, 0])
    # Two rows, an intercept and a slope: an estimate without a standard error.
    assert np.isfinite(estimate[2, 1])
    assert np.isnan(sd[2]).all()


def test_a_single_row_estimates_nothing_of_a_slope() -> None:
    data = regression(3, 4, 1).drop(index=[9, 10, 11])
    with pytest.warns(BayesMTLWarning, match="single row"):
        estimate, sd = estimates(data, "y ~ x0")
    assert np.isnan(estimate[2]).all()
    assert np.isnan(sd[2]).all()


def test_row_weights_weigh() -> None:
    data = regression(2, 6, 1).assign(w=np.tile([1.0, 2.0, 0.5], 4))
    estimate, _ = estimates(data, "y ~ 0 + x0", weights="w")
    for t, (_, rows) in enumerate(data.groupby("task")):
        expected = (rows["w"] * rows["x0"] * rows["y"]).sum() / (rows["w"] * rows["x0"] ** 2).sum()
        assert estimate[t, 0] == pytest.approx(expected, rel=1e-10)


def test_too_many_tasks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpooled, "_TASK_LIMIT", 2)
    estimate, sd = estimates(regression(3, 4, 2))
    assert estimate.shape == sd.shape == (3, 2)
    assert np.isnan(estimate).all()
    assert np.isnan(sd).all()


def test_estimates_do_not_depend_on_the_prior() -> None:
    data = regression(3, 6, 2)
    default, _ = estimates(data)
    other, _ = estimates(data, relation=Exchangeable(mean=5.0, scale=0.1), standardize=False)
    np.testing.assert_allclose(default, other, rtol=1e-9)


def test_rows_of_no_weight_spare_nothing() -> None:
    data = regression(3, 9, 2)
    data["w"] = np.tile([1.0] * 5 + [0.0] * 4, 3)
    estimate, sd = estimates(data, weights="w")
    expected = estimates(data[data["w"] > 0])
    np.testing.assert_allclose(estimate, expected[0], rtol=1e-8)
    np.testing.assert_allclose(sd, expected[1], rtol=1e-8)


def test_known_noise_is_not_estimated() -> None:
    data = regression(3, 9, 2)
    _, sd = estimates(data, likelihood=Gaussian(noise_sd=0.7), intercept="none")
    for t, (_, rows) in enumerate(data.groupby("task")):
        x = rows[["x0", "x1"]].to_numpy()
        np.testing.assert_allclose(sd[t], 0.7 * np.sqrt(np.diag(np.linalg.inv(x.T @ x))))
