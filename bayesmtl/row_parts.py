"""What rows say of the weights under a likelihood: sites, rows in internal units, noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.cautions import warn_of_separation
from bayesmtl.data import Rows
from bayesmtl.errors import InvalidDataError
from bayesmtl.likelihoods import Bernoulli, StudentT
from bayesmtl.likelihoods.gaussian import Gaussian, gaussian_sites
from bayesmtl.likelihoods.groups import (
    group_kernels,
    group_parameters,
    group_rows,
    group_sites,
    learn_groups,
    sub_rows,
)
from bayesmtl.likelihoods.mixed import Mixed
from bayesmtl.likelihoods.parameters import rescale
from bayesmtl.likelihoods.pilot import pilot_sites
from bayesmtl.likelihoods.protocol import RowLikelihood, refuse_rows
from bayesmtl.likelihoods.reference import total_exposure
from bayesmtl.likelihoods.rows import NO_PARAMETERS, RowParameters, sort_rows
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.priors import table_row

__all__ = ["gaussian_parts", "mixed_parts", "row_column", "row_parts", "row_weights"]


def row_parts(
    common: dict[str, Any], likelihood: RowLikelihood, reference_noise: float
) -> dict[str, Any]:
    """Rows, sites and parameters of a likelihood that is not Gaussian."""
    rows, scaling, size = common["rows"], common["scaling"], common["size"]
    offset, weight, response = common["offset"], common["row_weight"], rows.response
    added = scaling.response_center + offset + likelihood.offset(size)
    start = likelihood.start(response, total_exposure(likelihood, size, offset), weight)
    if isinstance(likelihood, StudentT):
        response, added = (response - added) / scaling.response_scale, np.zeros_like(added)
    data = sort_rows(
        common["design"],
        response,
        rows.task,
        len(rows.tasks),
        offset=added,
        size=size,
        weight=weight,
    )
    if isinstance(likelihood, StudentT):
        start = rescale(likelihood.parameters, start, scaling.response_scale)
        start = likelihood.pilot(data, start, scaling.response_scale)
        reference_noise = float(np.exp(2.0 * start[0]))
    return {
        "response": response,
        "weight": weight,
        "standard_error": None,
        "fixed_noise": None,
        "noise_priors": (table_row(1.0), table_row(1.0)),
        "sites": pilot_sites(data, likelihood.kernels, start),
        "reference_noise": reference_noise,
        "row_data": data,
        "row_kernels": likelihood.kernels,
        "row_parameters": RowParameters(likelihood.parameters, start, likelihood.prior),
    }


def mixed_parts(
    common: dict[str, Any], likelihood: Mixed, intercept: bool, standardize: bool
) -> dict[str, Any]:
    """Rows, sites and parameters of tasks with different likelihoods."""
    rows = common["rows"]
    groups = learn_groups(
        likelihood,
        rows,
        common["design"],
        offset=common["offset"],
        weight=common["row_weight"],
        intercept=intercept,
        standardize=standardize,
    )
    for group in groups.groups:
        if isinstance(group.settings, Bernoulli):
            warn_of_separation(sub_rows(rows, group.rows), common["features"])
    return {
        "response": rows.response,
        "weight": common["row_weight"],
        "standard_error": None,
        "fixed_noise": None,
        "noise_priors": (table_row(1.0), table_row(1.0)),
        "sites": group_sites(groups.groups, len(rows.tasks)),
        "reference_noise": 1.0,
        "row_data": group_rows(groups.groups),
        "row_kernels": group_kernels(groups.groups),
        "row_parameters": group_parameters(groups.groups, rows.tasks),
        "groups": groups,
    }


def gaussian_parts(common: dict[str, Any], likelihood: Gaussian, se: str | None) -> dict[str, Any]:
    """Sites, noise and internal response under a Gaussian likelihood."""
    rows, scaling, weight = common["rows"], common["scaling"], common["row_weight"]
    unit, noise = scaling.response_scale, 1.0
    if se is not None:
        _require_positive(rows, se, "standard errors", zero_allowed=False)
        variance = (rows.extra[se] / unit) ** 2
        weight = weight / variance
        noise = float(variance.mean())
    response = (rows.response - common["offset"] - scaling.response_center) / unit
    sites = gaussian_sites(common["design"], response, rows.task, weight, len(rows.tasks))
    fixed_noise = None
    if likelihood.fixed and se is None:
        fixed_noise = likelihood.fixed_sds(rows.tasks)
        noise = float(np.mean((fixed_noise / unit) ** 2))
        sites = sites._replace(precision=pack_tasks((unit / fixed_noise) ** 2))
    sd_prior, spread_prior = likelihood.priors(unit)
    return {
        "response": response,
        "weight": weight,
        "standard_error": None if se is None else rows.extra[se],
        "fixed_noise": fixed_noise,
        "noise_priors": (table_row(sd_prior), table_row(spread_prior)),
        "sites": sites,
        "reference_noise": noise,
        "row_data": None,
        "row_kernels": None,
        "row_parameters": NO_PARAMETERS,
    }


def row_column(rows: Rows, name: str | None, default: float) -> np.ndarray:
    """Values (row,) of a column with a role, or the same one for all."""
    return np.full(len(rows.task), default) if name is None else rows.extra[name]


def row_weights(rows: Rows, column: str | None) -> np.ndarray:
    """Weight of each row."""
    weight = row_column(rows, column, 1.0)
    if column is not None:
        _require_positive(rows, column, "weights", zero_allowed=True)
        if not weight.sum() > 0:
            raise InvalidDataError(f"weights column {column!r} sums to zero")
    return weight


def _require_positive(rows: Rows, column: str, what: str, *, zero_allowed: bool) -> None:
    values = rows.extra[column]
    bad = values < 0 if zero_allowed else values <= 0
    bound = "at least 0" if zero_allowed else "positive"
    rule = f"{what} in column {column!r} must be {bound} in every row"
    refuse_rows(bad, values, rows.position, rule)
