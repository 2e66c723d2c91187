"""Log evidence against the dense multivariate normal density of the response."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayesmtl as bm

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")


def frame() -> Any:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "t": np.repeat(["a", "b", "c"], [3, 5, 2]),
            "x": 1.0 + 3.0 * rng.normal(size=10),
            "z": np.repeat([1.0, 2.0, 5.0], [3, 5, 2]),
            "y": 7.0 + 2.0 * rng.normal(size=10),
            "se": rng.uniform(1, 2, 10),
        }
    )


def same_task(data: Any) -> np.ndarray:
    label = data["t"].to_numpy(dtype=object)
    return np.asarray(label[:, None] == label[None, :])


@pytest.mark.parametrize("standardize", [True, False])
def test_separate_intercept_and_normal_mean(standardize: bool) -> None:
    data, noise = frame(), {"a": 1.0, "b": 2.0, "c": 0.5}
    model = bm.Model(
        "y ~ x",
        task="t",
        relation=bm.Exchangeable(mean=bm.Prior("Normal", mu=0.5, sigma=2), scale=0.7),
        intercept=bm.Exchangeable(mean=3.0, scale=1.5),
        likelihood=bm.Gaussian(noise_sd=noise),
        standardize=standardize,
    )
    x, same = (data["x"] - data["x"].mean()).to_numpy(), same_task(data)
    products = np.outer(x, x)
    covariance = same * (1.5**2 + 0.7**2 * products) + 4.0 * products
    covariance += np.diag(data["t"].map(noise).to_numpy() ** 2)
    expected = multivariate_normal.logpdf(data["y"], 3.0 + 0.5 * x, covariance)
    assert model.log_evidence(data) == pytest.approx(expected, abs=1e-9)


def test_pooled_with_known_standard_errors() -> None:
    data = frame()
    model = bm.Model(
        "y ~ x",
        task="t",
        relation=bm.Pooled(mean=bm.Prior("Normal", mu=0.5, sigma=2)),
        intercept="relation",
        likelihood=bm.Gaussian(se="se"),
    )
    design = np.column_stack([np.ones(10), data["x"]])
    covariance = 4.0 * design @ design.T + np.diag(data["se"] ** 2)
    expected = multivariate_normal.logpdf(data["y"], design @ [0.5, 0.5], covariance)
    assert model.log_evidence(data) == pytest.approx(expected, abs=1e-9)


def test_task_features_shift_the_mean() -> None:
    data = frame()
    model = bm.Model(
        "y ~ x",
        task="t",
        relation=bm.Exchangeable(
            mean=0.0, scale=1.0, task_effects=bm.Prior("Normal", mu=0, sigma=0.3)
        ),
        intercept="relation",
        task_features="~ z",
        likelihood=bm.Gaussian(noise_sd=1.1),
    )
    z = data["z"].to_numpy() - np.mean([1.0, 2.0, 5.0])
    kernel = 1.0 + np.outer(data["x"], data["x"])
    covariance = kernel * (same_task(data) + 0.09 * np.outer(z, z)) + 1.1**2 * np.eye(10)
    expected = multivariate_normal.logpdf(data["y"], np.zeros(10), covariance)
    assert model.log_evidence(data) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("relation", "likelihood", "what"),
    [
        (bm.Independent(), bm.Gaussian(), "the noise"),
        (bm.Exchangeable(mean=0.0), bm.Gaussian(noise_sd=1.0), "the scale of 'x'"),
        (bm.Pooled(mean=bm.Prior("Cauchy")), bm.Gaussian(noise_sd=1.0), "the mean of 'x'"),
    ],
)
def test_what_is_learned_is_named(relation: Any, likelihood: Any, what: str) -> None:
    model = bm.Model("y ~ 0 + x", task="t", relation=relation, likelihood=likelihood)
    with pytest.raises(bm.UnsupportedError, match=f"and {what} is learned"):
        model.log_evidence(frame())
