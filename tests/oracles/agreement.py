"""Two samplers of one model agree within Monte Carlo error."""

import warnings
from typing import Any

import numpy as np
import xarray as xr

import bayesmtl as bm
from tests.oracles.monte_carlo import mcse

__all__ = ["assert_same_posterior"]


def assert_same_posterior(model: bm.Model, data: Any, *names: str) -> xr.DataTree:
    """Fit by both methods, compare means and standard deviations, and give the first fit."""
    fits = []
    for inference in ("gibbs", "nuts"):
        with warnings.catch_warnings():
            # Two short chains do not pass every threshold of the verdict.
            warnings.simplefilter("ignore", bm.BayesMTLWarning)
            fits.append(
                model.fit(
                    data,
                    inference=inference,
                    draws=1000,
                    tune=500,
                    chains=2,
                    random_seed=1,
                    progressbar=False,
                )
            )
    for name in names:
        first, second = (fit["posterior"][name].to_numpy() for fit in fits)
        for index in np.ndindex(first.shape[2:]):
            a, b = first[(..., *index)], second[(..., *index)]
            center = a.mean()
            for what, one, two in (
                ("mean", a, b),
                ("spread", (a - center) ** 2, (b - center) ** 2),
            ):
                error = np.hypot(mcse(one), mcse(two))
                assert abs(one.mean() - two.mean()) < 4.5 * error, (name, index, what)
    return fits[0]
