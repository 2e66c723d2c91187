"""Simulation-based calibration: ranks of prior draws among the draws of their posteriors.

Talts et al. 2018, arXiv 1804.06788; the log-likelihood is among the quantities, because a sampler
that ignored the data would pass without it (Modrak et al. 2023, Bayesian Anal. 20).
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.special import expit, log_expit

import bayesmtl as bm

__all__ = ["MODELS", "TEMPLATE", "p_values", "predictor", "prior_ranks"]

# A rank among more draws than these would tell autocorrelation, not calibration.
_KEPT = 100


def _template() -> pd.DataFrame:
    """Six tasks of eight rows with a response that every likelihood allows."""
    rng = np.random.default_rng(1)
    n = 48
    features = {"x1": rng.normal(size=n), "x2": rng.normal(size=n)}
    sizes = {"trials": rng.integers(1, 6, n), "exposure": rng.uniform(0.5, 3.0, n)}
    return pd.DataFrame({"task": np.arange(n) // 8, "y": np.arange(n) % 2, **features, **sizes})


def _models() -> dict[str, bm.Model]:
    """Priors do not depend on the data."""
    mean, scale = bm.Prior("Normal", mu=0.3, sigma=0.7), bm.Prior("HalfNormal", sigma=0.7)
    sd, spread = bm.Prior("LogNormal", mu=0, sigma=0.4), bm.Prior("HalfNormal", sigma=0.4)
    diagonal = bm.Exchangeable(mean=mean, scale=scale)
    full = bm.Exchangeable(mean=mean, scale=scale, feature_covariance="full")
    clusters = bm.DirichletProcess(mean=mean, scale=scale)
    shared = bm.Gaussian(noise="shared", noise_sd=sd)
    both: dict[str, Any] = {"mean": mean, "scale": scale}
    yes, counts = bm.Bernoulli(), bm.Poisson(exposure="exposure")
    edges = [(0, 1), (1, 2), (3, 4), (5,)]
    # The thresholds take the place of the mean of the intercepts.
    around_zero = bm.Exchangeable(mean=0.0, scale=scale)

    def model(relation: Any, likelihood: Any, intercept: Any = diagonal) -> bm.Model:
        return bm.Model("y ~ x1 + x2", "task", relation, likelihood, intercept=intercept)

    return {
        "Gaussian": model(diagonal, bm.Gaussian(noise_sd=sd, noise_spread=spread)),
        "Gaussian, full covariance": model(full, shared),
        "Gaussian, clusters": model(clusters, shared),
        "Gaussian, correlated tasks": model(bm.MatrixNormal("full", **both), shared),
        "Gaussian, factors": model(bm.MatrixNormal("low_rank", "full", **both), shared),
        "Gaussian, low rank": model(bm.LowRank(**both), shared),
        "Gaussian, unknown graph": model(bm.SparseGraph(**both), shared),
        "Gaussian, graphical horseshoe": model(bm.SparseGraph("horseshoe", **both), shared),
        "Gaussian, known graph": model(bm.KnownGraph(edges, **both), shared),
        "Gaussian, tree": model(bm.Tree("((0,1),(2,3,4),5);", **both), shared),
        "StudentT": model(diagonal, bm.StudentT(noise_sd=sd)),
        "Bernoulli": model(diagonal, yes),
        "Bernoulli, full covariance": model(full, yes),
        "Bernoulli, clusters": model(clusters, yes),
        "Binomial": model(diagonal, bm.Binomial(trials="trials")),
        "Poisson": model(diagonal, counts),
        "Poisson, full covariance": model(full, counts),
        "NegativeBinomial": model(diagonal, bm.NegativeBinomial(exposure="exposure")),
        "Ordinal": model(diagonal, bm.Ordinal(levels=(0, 1, 2)), around_zero),
    }


TEMPLATE, MODELS = _template(), _models()


def predictor(draws: xr.Dataset) -> np.ndarray:
    """(sample, row), without the exposure."""
    slopes = draws["weights"].to_numpy()[:, TEMPLATE["task"]] * TEMPLATE[["x1", "x2"]].to_numpy()
    return draws["intercept"].to_numpy()[:, TEMPLATE["task"]] + slopes.sum(axis=-1)


def _log_likelihood(
    likelihood: Any, draws: xr.Dataset, y: np.ndarray, eta: np.ndarray
) -> np.ndarray:
    """Of all responses under predictors (draw, row), up to a constant."""

    def shared(name: str) -> np.ndarray:
        return draws[name].to_numpy()[:, None]

    match likelihood:
        case bm.Gaussian():
            noise = draws["noise_sd"].to_numpy()
            sd = noise[:, TEMPLATE["task"]] if noise.ndim == 2 else noise[:, None]
            rows = stats.norm.logpdf(y, eta, sd)
        case bm.StudentT():
            rows = stats.t.logpdf(y, shared("dof"), eta, shared("noise_sd"))
        case bm.Bernoulli() | bm.Binomial():
            one = np.ones_like(y)
            trials = one if isinstance(likelihood, bm.Bernoulli) else TEMPLATE["trials"].to_numpy()
            rows = y * log_expit(eta) + (trials - y) * log_expit(-eta)
        case bm.Poisson():
            rows = y * eta - TEMPLATE["exposure"].to_numpy() * np.exp(eta)
        case bm.NegativeBinomial():
            r, mu = shared("dispersion"), TEMPLATE["exposure"].to_numpy() * np.exp(eta)
            rows = stats.nbinom.logpmf(y, r, r / (r + mu))
        case bm.Ordinal():
            ends = np.full((eta.shape[0], 1), np.inf)
            bounds = np.hstack([-ends, draws["thresholds"].to_numpy(), ends])
            level = y.astype(int)
            rows = np.log(expit(bounds[:, level + 1] - eta) - expit(bounds[:, level] - eta))
    return rows.sum(axis=1)


def quantities(model: bm.Model, found: xr.Dataset, y: np.ndarray) -> dict[str, np.ndarray]:
    """Scalars of thinned draws: an entry of each variable, a product, the log-likelihood."""
    step = max(1, found.sizes["chain"] * found.sizes["draw"] // _KEPT)
    draws = found.isel(draw=slice(None, None, step)).stack(sample=("chain", "draw"))
    draws = draws.transpose("sample", ...)
    out = {}
    for name, values in draws.data_vars.items():
        if "constant" not in values.attrs:
            # Neither a pair of one with itself.
            other = {dim: -1 if str(dim).endswith("_bis") else 0 for dim in values.dims[1:]}
            out[str(name)] = values.isel(other).to_numpy()
    weights = draws["weights"].to_numpy()
    out["product of weights"] = weights[:, 0, 0] * weights[:, 1, 1]
    out["log-likelihood"] = _log_likelihood(model.likelihood, draws, y, predictor(draws))
    return out


def prior_ranks(model: bm.Model, fits: int, draws: int = 500) -> dict[str, np.ndarray]:
    """(fit,) ranks from 0 to 1 of each quantity, ties broken at random."""
    rng = np.random.default_rng(9)
    prior = model.prior_predictive(TEMPLATE, draws=fits, random_seed=5)
    ranks: dict[str, list[float]] = {}
    for i, y in enumerate(prior["prior_predictive"]["y"].to_numpy()[0]):
        truth = quantities(model, prior["prior"].to_dataset().isel(draw=[i]), y)
        tree = model.fit(
            TEMPLATE.assign(y=y),
            draws=draws,
            tune=400,
            chains=1,
            random_seed=i,
            progressbar=False,
        )
        drawn = quantities(model, tree["posterior"].to_dataset(), y)
        for name, true in truth.items():
            values = drawn[name]
            ties = rng.integers(0, (values == true).sum() + 1)
            rank = (values < true).sum() + ties + rng.random()
            ranks.setdefault(name, []).append(rank / (values.size + 1))
    return {name: np.array(values) for name, values in ranks.items()}


def p_values(ranks: dict[str, np.ndarray]) -> dict[str, float]:
    """Smallest of three p-values of each quantity.

    Mean and variance of the normal scores of the ranks notice biases and widths, Kolmogorov and
    Smirnov's statistic the rest.
    """
    out = {}
    for name, values in ranks.items():
        scores, n = stats.norm.ppf(values), values.size
        low = stats.chi2.cdf((n - 1) * scores.var(ddof=1), n - 1)
        mean = 2.0 * stats.norm.sf(abs(scores.mean()) * np.sqrt(n))
        out[name] = min(mean, 2.0 * min(low, 1.0 - low), stats.kstest(values, "uniform").pvalue)
    return out
