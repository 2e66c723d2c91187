"""Log-likelihood of every row under every draw, for leave-one-out cross-validation."""

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.posterior.access import is_functional, is_graphical
from bayesmtl.posterior.predictor import (
    check_size,
    known_tasks,
    predictor_blocks,
    shared_parameters,
)
from bayesmtl.posterior.rows import new_rows, refuse_unseen, task_labels, training_rows
from bayesmtl.posterior.settings import fit_settings

__all__ = ["compute_log_likelihood"]


def compute_log_likelihood(idata: xr.DataTree, data: Any = None) -> xr.DataTree:
    """Add the group `log_likelihood`: log p(y_i | draw) of each row.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit; the group is added in place.
    data : data frame, optional
        Rows of tasks of the fit, with the response; by default those that were fitted. With row
        weights in the model a row counts with its weight. Of graphs the density is of the entries
        that are not missing.

    Returns
    -------
    xarray.DataTree
        The same object, ready for ``az.loo``.

    Raises
    ------
    InvalidTypeError
        If `idata` is not a DataTree.
    InvalidDataError
        If the data are not as `predict` needs them, or hold a task that was not in the fit.
    UnsupportedError
        If the result would take more than 8 GiB.
    """
    if is_graphical(idata):
        from bayesmtl.graphical.predict import add_log_likelihood

        return add_log_likelihood(idata, data)
    settings = fit_settings(idata)
    if is_functional(idata):
        from bayesmtl.gp.predict import add_function_likelihood

        return add_function_likelihood(idata, settings, data)
    if data is None:
        rows, coordinate = training_rows(idata, settings), idata["observed_data"].get("obs")
    else:
        rows = new_rows(data, idata, settings, need_response=True, need_noise=True)
        refuse_unseen(rows, len(task_labels(idata)), settings.task)
        coordinate = None
    posterior = idata["posterior"]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], rows.task.size)
    check_size(1, shape[0] * shape[1], shape[2], "thin the draws first, idata.sel(draw=slice(...))")
    values = np.empty((shape[0] * shape[1], shape[2]))
    parameters = shared_parameters(idata, settings.likelihood)
    draws_of = known_tasks(idata, settings.likelihood)
    for block in predictor_blocks(rows, draws_of, parameters, settings.likelihood):
        response = rows.response[block.rows, None]  # type: ignore[index]
        density = block.likelihood.log_density(response, block.predicted)
        values[:, block.rows] = (rows.weight[block.rows, None] * density).T
    variable = xr.DataArray(
        values.reshape(shape),
        dims=("chain", "draw", "obs"),
        coords={"chain": posterior["chain"], "draw": posterior["draw"]},
    )
    variable = variable.assign_coords(obs=rows.position if coordinate is None else coordinate)
    idata["log_likelihood"] = xr.DataTree(xr.Dataset({settings.response: variable}))
    return idata
