"""Our fits, timed, and that of the hierarchical regression with full covariance."""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from benchmarks.data import Example, formula_of
from benchmarks.effective import Mixing, correlation_elements, mixing

__all__ = ["HeldOut", "OwnRun", "TimedFit", "fit_and_predict", "run_own", "timed_fit"]


class TimedFit(NamedTuple):
    """A fit, its seconds from data frame to summaries, and those of a first one of a few draws.

    ``cpu_seconds`` are ``seconds`` of all processors.
    """

    tree: xr.DataTree
    seconds: float
    first_seconds: float
    cpu_seconds: float

    @property
    def sampling_seconds(self) -> float:
        """Of tuning and draws alone."""
        return float(self.tree.attrs["sampling_seconds"])


class HeldOut(NamedTuple):
    """What a fit to training rows says of test rows.

    Parameters
    ----------
    tree : xarray.DataTree
    mean : (row,)
        Posterior mean of the predictor.
    inside : (row,) bool
        Whether the response is in its 90% posterior predictive interval.
    seconds, cpu_seconds : float
        Of fit and predictions, on the wall and of the processors.
    """

    tree: xr.DataTree
    mean: np.ndarray
    inside: np.ndarray
    seconds: float
    cpu_seconds: float


class OwnRun(NamedTuple):
    """One fit: what it needed and how it mixed.

    Parameters
    ----------
    sampling_seconds, fit_seconds : float
        Tuning and draws; everything from the data frame to the result with its summaries.
    compile_seconds : float
        A first fit of a few draws, which loads or compiles the kernels.
    mixing : Mixing
    """

    sampling_seconds: float
    fit_seconds: float
    compile_seconds: float
    mixing: Mixing

    @property
    def rate(self) -> float:
        """Worst effective draws per second of sampling."""
        return self.mixing.ess / self.sampling_seconds


def run_own(
    example: Example, *, draws: int, tune: int, chains: int, seed: int, lkj: bool = False
) -> OwnRun:
    """Fit with the Gibbs sampler; ``lkj`` takes the peer's priors instead of the defaults."""
    model = bm.Model(
        formula_of(example.features),
        task="task",
        relation=_lkj(example) if lkj else bm.Exchangeable(feature_covariance="full"),
        likelihood=bm.Gaussian(noise="shared"),
    )
    found = timed_fit(model, example.frame, draws=draws, tune=tune, chains=chains, seed=seed)
    posterior = found.tree["posterior"].to_dataset()
    quantities = {
        "mean": posterior["population_mean"].values,
        "sd": posterior["population_sd"].values,
        "correlation": correlation_elements(posterior["feature_correlation"].values),
        "noise": posterior["noise_sd"].values,
    }
    return OwnRun(found.sampling_seconds, found.seconds, found.first_seconds, mixing(quantities))


def timed_fit(
    model: bm.Model, frame: pd.DataFrame, *, draws: int, tune: int, chains: int, seed: int
) -> TimedFit:
    """Fit with the Gibbs sampler on all cores, after a first fit that loads the kernels."""
    with warnings.catch_warnings():
        # How it mixes is printed; the first fit is meant to be too short.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        seconds = np.nan
        for n_draws, n_tune in ((4, 4), (draws, tune)):
            first, started = seconds, time.perf_counter()
            cpu_started = time.process_time()
            tree = model.fit(
                frame,
                draws=n_draws,
                tune=n_tune,
                chains=chains,
                cores=min(available_cores(), chains),
                random_seed=seed,
                progressbar=False,
            )
            seconds = time.perf_counter() - started
            cpu_seconds = time.process_time() - cpu_started
    return TimedFit(tree, seconds, first, cpu_seconds)


def fit_and_predict(
    example: Example,
    relation: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
) -> HeldOut:
    """Fit a relation with the default likelihood, and predict the test rows."""
    started = np.array([time.perf_counter(), time.process_time()])
    model = bm.Model(formula_of(example.features), task="task", relation=relation)
    with warnings.catch_warnings():
        # Short chains: what counts here is the error on the test rows.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        tree = model.fit(
            train, draws=draws, tune=tune, chains=chains, random_seed=seed, progressbar=False
        )
    how: Any = {"as_frame": True, "new_task": "population", "random_seed": seed}
    expected = bm.predict(tree, test, **how)
    interval = bm.predict(tree, test, kind="response", **how)
    y = test["y"].to_numpy(dtype=float)
    inside = (y >= interval["lower"].to_numpy()) & (y <= interval["upper"].to_numpy())
    seconds = np.array([time.perf_counter(), time.process_time()]) - started
    return HeldOut(tree, expected["mean"].to_numpy(), inside, *map(float, seconds))


def _lkj(example: Example) -> bm.Exchangeable:
    """Separate sds and correlations, as the peer has them, in units of the pooled sds."""
    features = list(example.features)
    unit = example.frame["y"].std() / example.frame[features].std()
    return bm.Exchangeable(
        feature_covariance="full",
        scale={name: bm.Prior("HalfNormal", sigma=float(unit[name])) for name in features},
        correlation=bm.Prior("LKJ", eta=2.0),
    )
