"""Simulation from the prior."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.datasets import simulate
from tests.oracles.calibration import MODELS, TEMPLATE, predictor

DATA = simulate(n_tasks=5, n_rows=4, n_features=2, random_seed=1)


def test_moments_under_fixed_hyperparameters() -> None:
    model = bm.Model(
        "y ~ x1 + x2",
        task="task",
        relation=bm.Exchangeable(mean=2.0, scale=0.5),
        intercept=bm.Exchangeable(mean=1.0, scale=0.3),
        likelihood=bm.Gaussian(noise_sd=0.7),
    )
    tree = model.prior_predictive(DATA.data, draws=4000, random_seed=1)
    response = tree["prior_predictive"]["y"].to_numpy()[0]
    x = DATA.data[["x1", "x2"]].to_numpy()
    x = x - x.mean(axis=0)
    variance = 0.3**2 + 0.5**2 * (x**2).sum(axis=1) + 0.7**2
    z = (response.mean(axis=0) - 1.0 - 2.0 * x.sum(axis=1)) / np.sqrt(variance / 4000)
    assert np.abs(z).max() < 4.0
    np.testing.assert_allclose(response.var(axis=0), variance, rtol=0.15)


def test_joint_prior_explains_any_share() -> None:
    """The share of the signal in signal and noise is uniform by default."""
    model = bm.Model("y ~ x1 + x2", task="task", likelihood=bm.Gaussian(noise="shared"))
    prior = model.prior_predictive(DATA.data, draws=3000, random_seed=2)["prior"]
    unit = DATA.data["y"].std(ddof=0) / DATA.data[["x1", "x2"]].std(ddof=0).to_numpy()
    own = ((prior["population_sd"] / unit) ** 2).sum("feature")
    noise = (prior["noise_sd"] / DATA.data["y"].std(ddof=0)) ** 2
    signal = own / (1.0 - prior["shared_fraction"])
    share = (signal / (signal + noise)).to_numpy().ravel()
    assert share.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 3000))
    assert share.var() == pytest.approx(1 / 12, rel=0.1)


@pytest.mark.parametrize(
    "relation",
    [
        bm.Exchangeable(feature_covariance="full"),
        bm.Exchangeable(feature_covariance="full", scale=bm.Prior("HalfNormal", sigma=1)),
    ],
)
def test_correlations_are_uniform_for_two_features(relation: bm.Exchangeable) -> None:
    model = bm.Model("y ~ x1 + x2", task="task", relation=relation)
    prior = model.prior_predictive(DATA.data, draws=3000, random_seed=3)["prior"]
    correlation = prior["feature_correlation"].sel(feature="x1", feature_bis="x2").to_numpy()
    assert correlation.mean() == pytest.approx(0.0, abs=4 * np.sqrt(1 / 3 / 3000))
    assert correlation.var() == pytest.approx(1 / 3, rel=0.1)


def test_same_seed_same_draws() -> None:
    model = bm.Model("y ~ x1", task="task")
    one, other = (model.prior_predictive(DATA.data, draws=5, random_seed=7) for _ in range(2))
    np.testing.assert_array_equal(one["prior_predictive"]["y"], other["prior_predictive"]["y"])


def cumulative(likelihood: Any, draws: xr.Dataset, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """P(response <= y) of rows (draw, row) by SciPy."""

    def shared(name: str) -> np.ndarray:
        return draws[name].to_numpy()[:, None]

    mean = TEMPLATE["exposure"].to_numpy() * np.exp(eta)
    match likelihood:
        case bm.StudentT():
            return stats.t.cdf(y, shared("dof"), eta, shared("noise_sd"))
        case bm.Bernoulli():
            return stats.bernoulli.cdf(y, expit(eta))
        case bm.Binomial():
            return stats.binom.cdf(y, TEMPLATE["trials"].to_numpy(), expit(eta))
        case bm.Poisson():
            return stats.poisson.cdf(y, mean)
        case bm.NegativeBinomial():
            r = shared("dispersion")
            return stats.nbinom.cdf(y, r, r / (r + mean))
    ends = np.full((eta.shape[0], 1), np.inf)
    bounds = np.hstack([-ends, draws["thresholds"].to_numpy(), ends])
    return expit(np.take_along_axis(bounds, y.astype(int) + 1, axis=1) - eta)


@pytest.mark.parametrize(
    "name", ["StudentT", "Bernoulli", "Binomial", "Poisson", "NegativeBinomial", "Ordinal"]
)
def test_responses_follow_the_likelihood(name: str) -> None:
    """With trials and exposures; places of discrete responses are drawn between their steps."""
    model = MODELS[name]
    prior = model.prior_predictive(TEMPLATE, draws=100, random_seed=3)
    draws = prior["prior"].to_dataset().isel(chain=0)
    y = prior["prior_predictive"]["y"].to_numpy()[0].astype(float)
    eta = predictor(draws)
    places = cumulative(model.likelihood, draws, y, eta)
    if name != "StudentT":
        below = cumulative(model.likelihood, draws, y - 1.0, eta)
        places = below + np.random.default_rng(1).random(y.shape) * (places - below)
    assert stats.kstest(places.ravel(), "uniform").pvalue > 1e-3
