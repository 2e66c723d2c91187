"""Our fits, timed, and that of the hierarchical regression with full covariance."""

from __future__ import annotations

import time
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from benchmarks.data import Example, formula_of
from benchmarks.effective import Mixing, correlation_elements, mixing

__all__ = ["OwnRun", "TimedFit", "run_own", "timed_fit"]


class TimedFit(NamedTuple):
    """A fit, its seconds from data frame to summaries, and those of a first one of a few draws."""

    tree: xr.DataTree
    seconds: float
    first_seconds: float

    @property
    def sampling_seconds(self) -> float:
        """Of tuning and draws alone."""
        return float(self.tree.attrs["sampling_seconds"])


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
    return TimedFit(tree, seconds, first)


def _lkj(example: Example) -> bm.Exchangeable:
    """Separate sds and correlations, as the peer has them, in units of the pooled sds."""
    features = list(example.features)
    unit = example.frame["y"].std() / example.frame[features].std()
    return bm.Exchangeable(
        feature_covariance="full",
        scale={name: bm.Prior("HalfNormal", sigma=float(unit[name])) for name in features},
        correlation=bm.Prior("LKJ", eta=2.0),
    )
