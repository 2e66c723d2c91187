"""What plots of functions read: rows, inputs, and predictions at chosen points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from bayesmtl.errors import UnsupportedError
from bayesmtl.plots.common import get_group
from bayesmtl.posterior.predict import predict
from bayesmtl.posterior.settings import fit_settings

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FunctionData", "predict_points", "read_functions"]

_MOST_DRAWS = 500  # of which a picture is made


class FunctionData(NamedTuple):
    """Rows of the fit, and what predictions read.

    Parameters
    ----------
    features : (row, input)
    task : (row,)
    response : (row,)
    labels : (task,)
    inputs : tuple of str
    task_column : str
    response_name : str
    """

    features: np.ndarray
    task: np.ndarray
    response: np.ndarray
    labels: np.ndarray
    inputs: tuple[str, ...]
    task_column: str
    response_name: str = ""


def read_functions(idata: xr.DataTree) -> FunctionData:
    """Read rows and inputs of a fit of functions.

    Parameters
    ----------
    idata : xarray.DataTree

    Raises
    ------
    UnsupportedError
        For inputs that are computed from columns.
    """
    constant = get_group(idata, "constant_data")
    settings = fit_settings(idata)
    inputs = tuple(str(name) for name in constant["feature"].to_numpy())
    columns = set(settings.design.encoding["levels"])
    computed = [name for name in inputs if not name.isidentifier() or name in columns]
    if computed:
        raise UnsupportedError(
            f"the input {computed[0]!r} is computed from columns, which cannot be read back from "
            "it: fit with the computed values as a column to draw them"
        )
    return FunctionData(
        constant["features"].to_numpy(),
        constant["task_index"].to_numpy().astype(np.int64),
        idata["observed_data"][settings.response].to_numpy().astype(np.float64),
        constant["task"].to_numpy(),
        inputs,
        settings.task,
        settings.response,
    )


def predict_points(
    idata: xr.DataTree,
    data: FunctionData,
    task: int,
    points: np.ndarray,
    ci_prob: float,
    random_seed: int | None,
) -> pd.DataFrame:
    """Mean and interval of the expected response of one task.

    Parameters
    ----------
    idata : xarray.DataTree
    data : FunctionData
    task : int
        Its place.
    points : (point, input)
    ci_prob : float
    random_seed : int or None
    """
    frame = pd.DataFrame(points, columns=list(data.inputs))
    frame[data.task_column] = data.labels[task]
    sizes = fit_settings(idata).size
    if sizes is not None:
        frame[sizes] = 1.0
    n_draws = idata["posterior"].sizes["chain"] * idata["posterior"].sizes["draw"]
    thinned = slice(None, None, -(-n_draws // _MOST_DRAWS))
    some = idata.isel(draw=thinned, missing_dims="ignore")
    found = predict(some, frame, as_frame=True, ci_prob=ci_prob, random_seed=random_seed)
    assert isinstance(found, pd.DataFrame)
    return found
