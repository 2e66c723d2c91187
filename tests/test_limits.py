"""Limits with known answers that any correct fit reaches, through the public names."""

import numpy as np
import pytest

from bayesmtl import Exchangeable, Gaussian, Independent, Model, Pooled, Prior
from tests.oracles.cases import agree, regression
from tests.oracles.comparisons import LONG, equal_draws, posterior, same_means

NOISE = Gaussian(noise="shared", noise_sd=Prior("HalfNormal", sigma=2.0))


def test_a_scale_of_zero_is_pooled() -> None:
    data, mean = regression(), Prior("Normal", mu=0, sigma=3)
    zero = posterior(Model("y ~ x0 + x1", "task", Exchangeable(mean=mean, scale=0.0)), data)
    pooled = posterior(Model("y ~ x0 + x1", "task", Pooled(mean=mean)), data)
    equal_draws(zero, pooled, ["weights", "population_mean", "intercept", "noise_sd"], rtol=0)
    assert float(np.ptp(zero["weights"].values, axis=2).max()) == 0.0
    assert float(pooled["sharing"].min()) == 1.0


@pytest.mark.mcmc
def test_small_scales_approach_pooled() -> None:
    data, mean = regression(), Prior("Normal", mu=0, sigma=3)
    small = posterior(
        Model("y ~ x0 + x1", "task", Exchangeable(mean=mean, scale=1e-5)), data, **LONG
    )
    pooled = posterior(
        Model("y ~ x0 + x1", "task", Pooled(mean=mean)), data, **{**LONG, "random_seed": 9}
    )
    same_means(small, pooled, ["weights", "intercept", "noise_sd"])


def test_fixed_mean_and_scale_are_independent() -> None:
    data = regression()
    exchangeable = posterior(Model("y ~ x0 + x1", "task", Exchangeable(mean=0, scale=1.5)), data)
    independent = posterior(Model("y ~ x0 + x1", "task", Independent(mean=0, scale=1.5)), data)
    equal_draws(exchangeable, independent, ["weights", "intercept", "noise_sd"], rtol=0)


@pytest.mark.mcmc
def test_independent_tasks_are_conjugate_regressions() -> None:
    """With everything fixed each task is a closed-form Bayesian linear regression."""
    data = regression(3, 5, 2)
    model = Model(
        "y ~ 0 + x0 + x1",
        "task",
        Independent(mean=[0.5, -0.5], scale=[1.0, 2.0]),
        Gaussian(noise_sd=0.6),
    )
    draws = posterior(model, data, **LONG)["weights"]
    prior_precision = np.diag([1.0, 0.25])
    for label, rows in data.groupby("task"):
        x, y = rows[["x0", "x1"]].to_numpy(), rows["y"].to_numpy()
        precision = prior_precision + x.T @ x / 0.36
        mean = np.linalg.solve(precision, prior_precision @ [0.5, -0.5] + x.T @ y / 0.36)
        sd = np.sqrt(np.diag(np.linalg.inv(precision)))
        for j in range(2):
            values = draws.sel(task=label).values[..., j]
            assert agree(values, float(mean[j]))
            assert agree((values - mean[j]) ** 2, float(sd[j] ** 2))


@pytest.mark.mcmc
def test_one_task() -> None:
    """The weights of one task given fixed scales: population and task merge into one normal."""
    data = regression(1, 8, 1)
    model = Model(
        "y ~ 0 + x0",
        "task",
        Exchangeable(mean=Prior("Normal", mu=0.2, sigma=0.6), scale=0.8),
        Gaussian(noise_sd=0.7),
    )
    draws = posterior(model, data, **LONG)
    x, y = data["x0"].to_numpy(), data["y"].to_numpy()
    precision = 1.0 / (0.36 + 0.64) + x @ x / 0.49
    mean = (0.2 + x @ y / 0.49) / precision
    weights = draws["weights"].values[..., 0, 0]
    assert agree(weights, float(mean))
    assert agree((weights - mean) ** 2, 1.0 / precision)
    # The population mean given the weight: Normal with the weight 0.36 / (0.36 + 0.64).
    center = draws["population_mean"].values[..., 0]
    assert agree(center, 0.2 + 0.36 * (mean - 0.2))
    assert agree((center - center.mean()) ** 2, 0.36 * 0.64 + 0.36**2 / precision)


@pytest.mark.mcmc
def test_many_rows_give_least_squares() -> None:
    data = regression(3, 4000, 2)
    data["y"] += data["task"].map({"task 00": -1.0, "task 01": 0.0, "task 02": 1.5})
    draws = posterior(Model("y ~ x0 + x1", "task"), data)
    for label, rows in data.groupby("task"):
        x = np.column_stack([np.ones(len(rows)), rows[["x0", "x1"]]])
        estimate, rest, *_ = np.linalg.lstsq(x, rows["y"].to_numpy())
        sd = np.sqrt(rest[0] / (len(rows) - 3) * np.diag(np.linalg.inv(x.T @ x)))
        task = draws.sel(task=label)
        found = np.r_[task["intercept"].mean(), task["weights"].mean(("chain", "draw"))]
        assert np.all(np.abs(found - estimate) < 0.3 * sd)
        assert float(task["noise_sd"].mean()) == pytest.approx(
            np.sqrt(rest[0] / (len(rows) - 3)), rel=0.01
        )


@pytest.mark.mcmc
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_feature_given_twice_predicts_like_one(covariance: str) -> None:
    """Only the sum of the two weights is seen by the data."""
    data = regression(4, 20, 1)
    twice = data.assign(x1=data["x0"])
    relation = Exchangeable(feature_covariance=covariance)
    one = posterior(Model("y ~ x0", "task", relation), data, draws=1500)
    two = posterior(Model("y ~ x0 + x1", "task", relation), twice, draws=1500)
    total = two["weights"].sum("feature")
    assert np.isfinite(two["weights"].values).all()
    single = one["weights"].sel(feature="x0")
    gap = np.abs(total.mean(("chain", "draw")) - single.mean(("chain", "draw")))
    assert float(gap.max()) < 0.3 * float(single.std(("chain", "draw")).min())


@pytest.mark.mcmc
def test_more_features_than_rows() -> None:
    data = regression(3, 3, 6)
    terms = " + ".join(f"x{j}" for j in range(6))
    for covariance in ("diagonal", "full"):
        draws = posterior(
            Model(f"y ~ {terms}", "task", Exchangeable(feature_covariance=covariance)), data
        )
        for name in draws:
            assert np.isfinite(draws[name].values).all()
        # What the rows do not see is as uncertain as the population says.
        assert float(draws["borrowing"].min()) > 0.5
