"""Effective draws of the population's parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

__all__ = ["Mixing", "correlation_elements", "mixing"]


class Mixing(NamedTuple):
    """Bulk effective sample sizes and rank-normalised R-hat of all quantities.

    Parameters
    ----------
    ess : float
        Of the worst quantity, chains together.
    ess_apart : float
        The same with every chain by itself, summed: disagreement of the chains does not count.
    rhat : float
        Of the worst quantity.
    worst : str
    n_quantities : int
    median : float
        Effective sample size of the median quantity, chains together.
    """

    ess: float
    ess_apart: float
    rhat: float
    worst: str
    n_quantities: int
    median: float


def correlation_elements(correlation: np.ndarray) -> np.ndarray:
    """(chain, draw, d, d) -> (chain, draw, d (d - 1) / 2), the elements below the diagonal."""
    row, column = np.tril_indices(correlation.shape[-1], k=-1)
    return correlation[..., row, column]


def mixing(quantities: dict[str, np.ndarray]) -> Mixing:
    """Summarise arrays (chain, draw, ...) of parameters.

    Parameters
    ----------
    quantities : dict of (chain, draw) or (chain, draw, element) arrays
    """
    import arviz as az

    data = xr.Dataset(
        {
            name: (("chain", "draw", f"{name}_element"), values.reshape(*values.shape[:2], -1))
            for name, values in quantities.items()
        }
    )
    # An indicator that is true in just half of the draws is constant when folded at its median.
    with np.errstate(divide="ignore", invalid="ignore"):
        together = az.ess(data, method="bulk")
        apart = sum(
            az.ess(data.isel(chain=[chain]), method="bulk") for chain in range(data.sizes["chain"])
        )
        rhat = az.rhat(data, method="rank")
    lowest = {name: float(together[name].min()) for name in quantities}
    return Mixing(
        ess=min(lowest.values()),
        ess_apart=min(float(apart[name].min()) for name in quantities),
        rhat=max(float(rhat[name].max()) for name in quantities),
        worst=min(lowest, key=lambda name: lowest[name]),
        n_quantities=sum(together[name].size for name in quantities),
        median=float(np.median(np.concatenate([together[name] for name in quantities]))),
    )
