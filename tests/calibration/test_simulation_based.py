"""Simulation-based calibration: prior draws rank uniformly among the draws of their posteriors.

Talts et al. 2018, arXiv 1804.06788; the log-likelihood is among the quantities, because a sampler
that ignored the data would pass without it. Ranks are tested by their normal scores, whose mean and
variance notice biases and widths (`make calibrate`).
"""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesmtl as bm
from bayesmtl.datasets import simulate

FITS = 200
TEMPLATE = simulate(n_tasks=6, n_rows=5, n_features=2, random_seed=1).data
NORMAL = bm.Prior("Normal", mu=0.5, sigma=1)
HALF = bm.Prior("HalfNormal", sigma=0.7)


def models() -> dict[str, bm.Model]:
    """Models whose priors do not depend on the data."""
    intercept = bm.Exchangeable(mean=NORMAL, scale=HALF)
    noise = bm.Prior("LogNormal", mu=0, sigma=0.4)
    shared = bm.Gaussian(noise="shared", noise_sd=noise)
    spread = bm.Gaussian(noise_sd=noise, noise_spread=bm.Prior("HalfNormal", sigma=0.4))
    diagonal = bm.Exchangeable(mean=NORMAL, scale=HALF)
    full = bm.Exchangeable(mean=NORMAL, scale=HALF, feature_covariance="full")
    return {
        "diagonal": bm.Model("y ~ x1 + x2", "task", diagonal, spread, intercept),
        "full": bm.Model("y ~ x1 + x2", "task", full, shared, intercept),
    }


def quantities(draws: xr.Dataset, data: Any, response: np.ndarray) -> dict[str, np.ndarray]:
    """Scalars of (chain, draw) draws, the log-likelihood of the response among them."""
    names = ("intercept_mean", "intercept_sd", "noise_median", "noise_spread")
    out = {name: draws[name].to_numpy() for name in names if name in draws}
    for name in ("population_mean", "population_sd"):
        out[name] = draws[name].isel(feature=0).to_numpy()
    if "feature_correlation" in draws:
        out["correlation"] = draws["feature_correlation"].to_numpy()[..., 0, 1]
    weights = draws["weights"].to_numpy()
    out["weight"] = weights[..., 0, 0]
    out["product"] = weights[..., 0, 0] * weights[..., 1, 1]
    task = data["task"].astype("category").cat.codes.to_numpy()
    x = data[["x1", "x2"]].to_numpy()
    predictor = draws["intercept"].to_numpy()[..., task] + (weights[..., task, :] * x).sum(-1)
    noise = draws["noise_sd"].to_numpy()
    sd = noise[..., task] if noise.ndim == 3 else noise[..., None]
    out["log likelihood"] = stats.norm.logpdf(response, predictor, sd).sum(axis=-1)
    return out


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_prior_draws_rank_uniformly(name: str) -> None:
    model = models()[name]
    prior = model.prior_predictive(TEMPLATE, draws=FITS, random_seed=5)
    responses = prior["prior_predictive"]["y"].to_numpy()[0]
    ranks: dict[str, list[float]] = {}
    for i, response in enumerate(responses):
        data = TEMPLATE.assign(y=response)
        truth = quantities(prior["prior"].to_dataset().isel(draw=[i]), data, response)
        fit = model.fit(data, draws=500, tune=500, chains=2, random_seed=i, progressbar=False)
        found = quantities(fit["posterior"].to_dataset(), data, response)
        for key, values in found.items():
            thinned = values.ravel()[::5]
            below = (thinned < truth[key].item()).sum()
            ranks.setdefault(key, []).append((below + 0.5) / (thinned.size + 1))
    p_values = {}
    for key, found_ranks in ranks.items():
        scores = stats.norm.ppf(np.clip(found_ranks, 1e-3, 1 - 1e-3))
        mean_test = 2 * stats.norm.sf(abs(scores.mean()) * np.sqrt(FITS))
        low = stats.chi2.cdf((FITS - 1) * scores.var(ddof=1), FITS - 1)
        p_values[key] = min(
            mean_test, 2 * min(low, 1 - low), stats.kstest(found_ranks, "uniform").pvalue
        )
    # Three tests of each quantity, Bonferroni.
    assert min(p_values.values()) > 0.01 / (3 * len(p_values)), p_values
