"""What prediction needs to know of the model, read from the root attributes of a fit."""

import json
from typing import Literal, NamedTuple

import xarray as xr

from bayesmtl.design import Design
from bayesmtl.errors import InvalidDataError
from bayesmtl.likelihoods import Likelihood, Mixed
from bayesmtl.likelihoods.mixed import common_likelihood
from bayesmtl.posterior.access import is_functional, require_fit, require_linear
from bayesmtl.specification import part_from_dict

__all__ = ["FitSettings", "fit_settings"]


class FitSettings(NamedTuple):
    """Columns and options of the model; None where a column is not used."""

    design: Design
    task_design: Design | None
    task: str
    missing: Literal["error", "drop"]
    offset: str | None
    weights: str | None
    standard_error: str | None
    size: str | None  # trials or exposure
    likelihood: Likelihood | Mixed  # whose tasks have columns of their own
    response: str  # name of the response in `observed_data`


def fit_settings(idata: xr.DataTree) -> FitSettings:
    """Read the settings of the model from the attributes `model` and `design` of a fit.

    Raises
    ------
    InvalidTypeError
        If it is no DataTree.
    InvalidDataError
        If the tree is not a fit of this package.
    InvalidModelError
        If its likelihood is not known.
    UnsupportedError
        If it is a fit of graphs.
    """
    require_fit(idata, "posterior")
    if not is_functional(idata):
        require_linear(idata, "this function")
    if not {"model", "design"} <= set(idata.attrs):
        raise InvalidDataError(
            "this is not a fit of bayesmtl: it has no attributes 'model' and 'design'; pass what "
            "model.fit or bm.load returned"
        )
    model, design = json.loads(idata.attrs["model"]), json.loads(idata.attrs["design"])
    likelihood = common_likelihood(part_from_dict(model["likelihood"]))
    columns = {} if isinstance(likelihood, Mixed) else likelihood.columns
    task_design = design.get("task_features")
    return FitSettings(
        design=Design.from_dict(design["rows"]),
        task_design=None if task_design is None else Design.from_dict(task_design),
        task=model["task"],
        missing=model.get("missing", "error"),
        offset=model.get("offset"),
        weights=model.get("weights"),
        standard_error=columns.get("se"),
        size=columns.get("trials") or columns.get("exposure"),
        likelihood=likelihood,
        response=str(next(iter(idata["observed_data"].data_vars))),
    )
