"""New tasks by dense algebra: their prior under one draw, and its conditional given rows."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import multivariate_normal

__all__ = [
    "Prior",
    "assert_moments",
    "dense_conditional",
    "design_of",
    "freeze",
    "new_frame",
    "prior_of",
]


class Prior(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray


def freeze(idata: xr.DataTree, **values: object) -> xr.DataTree:
    """Repeat the first draw, so that the population is one known distribution."""
    posterior = idata["posterior"].to_dataset()
    first = posterior.isel(chain=0, draw=0, drop=True).assign(values)
    samples = {"chain": posterior["chain"], "draw": posterior["draw"]}
    frozen = first.map(lambda variable: variable.expand_dims(samples))
    idata["posterior"] = xr.DataTree(frozen)
    return idata


def new_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Make two unseen tasks of three rows each."""
    new = frame.iloc[[0, 4, 8, 12, 16, 20]].reset_index(drop=True)
    return new.assign(school=["p", "q"] * 3, size=[2.0, 6.0] * 3)


def design_of(idata: xr.DataTree, frame: pd.DataFrame) -> np.ndarray:
    """Make the predictors of (intercept at the centre, weights), or of the weights alone."""
    posterior = idata["posterior"].to_dataset()
    columns = [np.ones(len(frame))] if "intercept" in posterior else []
    for name in posterior["feature"].to_numpy() if "feature" in posterior.dims else []:
        center = float(idata["constant_data"]["feature_center"].sel(feature=name))
        columns.append(np.ones(len(frame)) if name == "Intercept" else frame[name] - center)
    return np.column_stack(columns)


def prior_of(idata: xr.DataTree, size: float, chain: int = 0, draw: int = 0) -> Prior:
    """Make the dense prior of a new task under one draw."""
    one = idata["posterior"].to_dataset().isel(chain=chain, draw=draw)
    means, sds, n_features = [], [], one.sizes.get("feature", 0)
    if "intercept" in one:
        shift = one.get("intercept_task_effects", xr.zeros_like(one["intercept_mean"]))
        means.append(one["intercept_mean"].item() + shift.to_numpy().sum() * (size - 3))
        sds.append(one["intercept_sd"].item())
    correlation = np.eye(len(means) + n_features)
    if n_features:
        effects = one["task_effects"].to_numpy()[:, 0] if "task_effects" in one else 0.0
        means += list(one["population_mean"].to_numpy() + effects * (size - 3))
        sds += list(one["population_sd"].to_numpy())
        if "feature_correlation" in one:
            correlation[-n_features:, -n_features:] = one["feature_correlation"]
    sd = np.array(sds)
    return Prior(np.array(means), sd[:, None] * correlation * sd)


def dense_conditional(
    prior: Prior, x: np.ndarray, y: np.ndarray, variance: np.ndarray
) -> tuple[Prior, float]:
    marginal = x @ prior.covariance @ x.T + np.diag(variance)
    gain = np.linalg.solve(marginal, x @ prior.covariance).T
    conditional = Prior(
        prior.mean + gain @ (y - x @ prior.mean), prior.covariance - gain @ x @ prior.covariance
    )
    return conditional, float(multivariate_normal.logpdf(y, x @ prior.mean, marginal))


def assert_moments(draws: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Compare draws (sample, row) with exact moments, within five standard errors."""
    n_samples, sd = len(draws), np.sqrt(np.diag(covariance))
    assert np.abs((draws.mean(axis=0) - mean) / sd).max() < 5 / np.sqrt(n_samples)
    error = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.abs(error).max() < 5 * np.sqrt(2 / n_samples)
