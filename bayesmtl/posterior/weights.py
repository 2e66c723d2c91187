"""The one place where task weights are read from a fit, stored or not."""

import xarray as xr

from bayesmtl.errors import UnsupportedError

__all__ = ["task_weights"]


def task_weights(idata: xr.DataTree) -> xr.DataArray | None:
    """Give the draws of the weights of every task.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit.

    Returns
    -------
    xarray.DataArray (chain, draw, task, feature) or None
        On the user's scale; None for a model without features.

    Raises
    ------
    UnsupportedError
        If the fit is so large that its weights were not stored.
    """
    if not idata.attrs.get("weights_stored", 1):
        raise UnsupportedError(
            "the weights of the tasks were too large to be stored with this fit: "
            "fit fewer tasks or draws to use them"
        )
    posterior = idata["posterior"]
    if "weights" not in posterior.data_vars:
        return None
    return posterior["weights"].transpose("chain", "draw", "task", "feature")
