"""Changes of the data or settings that leave a correct fit as it is, or scale it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmtl import Exchangeable, Gaussian, Independent, Model, Pooled, Prior
from tests.oracles.cases import regression
from tests.oracles.comparisons import LONG, equal_draws, posterior, same_means

NOISE = Gaussian(noise="shared", noise_sd=Prior("HalfNormal", sigma=2.0))


@pytest.mark.mcmc
@pytest.mark.parametrize(
    "relation", [Exchangeable(), Exchangeable(feature_covariance="full")], ids=["joint", "full"]
)
def test_tasks_may_come_in_any_order(relation: Exchangeable) -> None:
    """Nine tasks with other names and rows in another order: other lanes, the same posterior."""
    data = regression(9, 4, 2)
    names = {label: f"{chr(ord('z') - i)}" for i, label in enumerate(sorted(set(data["task"])))}
    moved = data.assign(task=data["task"].map(names)).sample(frac=1.0, random_state=1)
    model = Model("y ~ x0 + x1", "task", relation)
    first, second = posterior(model, data, **LONG), posterior(model, moved, **LONG)
    back = {new: old for old, new in names.items()}
    second = second.assign_coords(task=[back[label] for label in second["task"].values])
    second = second.sortby("task")
    varying = ["weights", "intercept", "noise_sd", "borrowing", "population_mean"]
    same_means(first, second, varying)
    # Scales have heavy tails: their logs.
    heavy = ["population_sd", "noise_median", "intercept_sd"]
    same_means(np.log(first[heavy]), np.log(second[heavy]), heavy)


def scaled(data: pd.DataFrame, x: float, y: float) -> pd.DataFrame:
    return data.assign(x0=x * data["x0"], x1=x * data["x1"], y=y * data["y"])


@pytest.mark.parametrize(
    "relation",
    [Exchangeable(), Exchangeable(feature_covariance="full"), Independent(), Pooled()],
    ids=["joint", "full", "independent", "pooled"],
)
@pytest.mark.parametrize("likelihood", [Gaussian(), Gaussian(noise="shared")], ids=["by", "shared"])
def test_default_models_are_scale_equivariant(relation: Any, likelihood: Gaussian) -> None:
    data, model = regression(), Model("y ~ x0 + x1", "task", relation, likelihood)
    first = posterior(model, data, draws=200)
    second = posterior(model, scaled(data, 1e3, 1e-3), draws=200)
    powers = {
        "weights": 1e6,
        "population_mean": 1e6,
        "population_sd": 1e6,
        "intercept": 1e3,
        "intercept_mean": 1e3,
        "intercept_sd": 1e3,
        "noise_sd": 1e3,
        "sharing": 1.0,
        "borrowing": 1.0,
    }
    for name, factor in powers.items():
        # Values that nearly cancel keep fewer digits than the largest.
        largest = float(np.abs(first[name]).max())
        np.testing.assert_allclose(
            first[name].values, factor * second[name].values, rtol=1e-8, atol=1e-8 * largest
        )


def test_defaults_do_not_depend_on_where_features_and_response_lie() -> None:
    data, model = regression(), Model("y ~ x0 + x1", "task")
    moved = data.assign(x0=data["x0"] + 100.0, y=data["y"] - 50.0)
    first, second = posterior(model, data, draws=100), posterior(model, moved, draws=100)
    equal_draws(first, second, ["weights", "population_sd", "noise_sd"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(second["intercept_mean"], first["intercept_mean"] - 50.0, rtol=1e-8)
    np.testing.assert_allclose(
        second["intercept"],
        first["intercept"] - 50.0 - 100.0 * first["weights"].sel(feature="x0"),
        rtol=1e-8,
    )


USER = {
    "joint scales": Exchangeable(
        mean=Prior("Normal", mu=0.5, sigma=2.0), scale=Prior("HalfNormal", sigma=1.0)
    ),
    "full": Exchangeable(
        mean=Prior("StudentT", nu=4, mu=0, sigma=2),
        scale=Prior("Exponential", lam=1.0),
        feature_covariance="full",
        correlation=Prior("LKJ", eta=2),
    ),
}


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", USER)
def test_standardising_does_not_change_a_posterior_under_user_priors(kind: str) -> None:
    data = scaled(regression(), 5.0, 1.0)
    fits = []
    for standardize, seed in ((True, 1), (False, 2)):
        model = Model(
            "y ~ x0 + x1",
            "task",
            USER[kind],
            Gaussian(noise_sd=Prior("HalfNormal", sigma=1.0)),
            intercept=Exchangeable(
                mean=Prior("Normal", mu=1.0, sigma=2.0), scale=Prior("HalfNormal", sigma=1.0)
            ),
            standardize=standardize,
        )
        fits.append(posterior(model, data, **{**LONG, "random_seed": seed}))
    names = ["weights", "intercept", "noise_sd", "population_mean", "population_sd"]
    same_means(
        fits[0], fits[1], [*names, "intercept_mean", "intercept_sd", "noise_spread", "sharing"]
    )


@pytest.mark.mcmc
def test_the_intercept_in_the_relation_equals_a_separate_one_under_the_same_priors() -> None:
    """Without features the two are one model; with centred features too, if scales are apart."""
    data = regression(5, 5, 1)
    data["x0"] -= data["x0"].mean()
    mean = {"Intercept": Prior("Normal", mu=1, sigma=2), "x0": Prior("Normal", mu=0, sigma=2)}
    scale = {"Intercept": Prior("HalfNormal", sigma=1), "x0": Prior("HalfNormal", sigma=0.5)}
    together = posterior(
        Model("y ~ x0", "task", Exchangeable(mean=mean, scale=scale), NOISE, intercept="relation"),
        data,
        **LONG,
    )
    apart = posterior(
        Model(
            "y ~ x0",
            "task",
            Exchangeable(mean=mean["x0"], scale=scale["x0"]),
            NOISE,
            intercept=Exchangeable(mean=mean["Intercept"], scale=scale["Intercept"]),
        ),
        data,
        **{**LONG, "random_seed": 8},
    )
    renamed: Any = xr.Dataset(
        {
            "intercept": together["weights"].sel(feature="Intercept", drop=True),
            "intercept_mean": together["population_mean"].sel(feature="Intercept", drop=True),
            "intercept_sd": together["population_sd"].sel(feature="Intercept", drop=True),
            "weights": together["weights"].sel(feature=["x0"]),
            "population_sd": together["population_sd"].sel(feature=["x0"]),
            "noise_sd": together["noise_sd"],
        }
    )
    same_means(renamed, apart, list(renamed))


@pytest.mark.mcmc
def test_row_weights_count_rows() -> None:
    """Weight 2 is the row given twice."""
    data = regression(3, 4, 1)
    data["w"] = np.tile([1, 2], 6)
    repeated = data.loc[data.index.repeat(data["w"])]
    model = Model("y ~ 0 + x0", "task", standardize=False)
    weighted = Model("y ~ 0 + x0", "task", standardize=False, weights="w")
    first = posterior(weighted, data, draws=100)
    second = posterior(model, repeated, draws=100)
    equal_draws(first, second, ["weights", "noise_sd", "population_sd"], rtol=1e-8)


def test_an_offset_is_taken_from_the_response() -> None:
    data = regression(3, 4, 1)
    data["o"] = np.linspace(-3, 3, len(data))
    first = posterior(Model("y ~ x0", "task", offset="o"), data, draws=50)
    second = posterior(Model("y ~ x0", "task"), data.assign(y=data["y"] - data["o"]), draws=50)
    equal_draws(first, second, ["weights", "intercept", "noise_sd"], rtol=0)


def test_equal_standard_errors_are_a_fixed_noise() -> None:
    data = regression(3, 4, 1).assign(se=0.6)
    first = posterior(Model("y ~ x0", "task", likelihood=Gaussian(se="se")), data, draws=100)
    second = posterior(Model("y ~ x0", "task", likelihood=Gaussian(noise_sd=0.6)), data, draws=100)
    names = ["weights", "intercept", "population_sd", "sharing", "borrowing"]
    equal_draws(first, second, names, rtol=1e-8)
