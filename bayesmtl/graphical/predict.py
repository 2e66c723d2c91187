"""Predictions of missing entries, and the log density of rows, from a fit alone."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.graphical.conditional import conditional_draws, row_log_density
from bayesmtl.graphical.data import GraphRows, known_rows
from bayesmtl.graphical.result import OBSERVED

__all__ = ["add_log_likelihood", "predict_missing"]

_MOST_NUMBERS = 1 << 27
_MOST_BYTES = 8 * 2**30
_BISECTIONS = 45


class _Fit(NamedTuple):
    """Draws (sample, ...) in internal units, and rows in these."""

    mean: np.ndarray
    precision: np.ndarray
    values: np.ndarray
    rows: GraphRows
    center: np.ndarray
    scale: np.ndarray


def _read(idata: xr.DataTree, data: Any) -> _Fit:
    """Read draws and rows; without data the rows that were fitted."""
    posterior, constant = idata["posterior"].to_dataset(), idata["constant_data"].to_dataset()
    variables = tuple(posterior["node"].to_numpy().tolist())
    tasks = posterior["task"].to_numpy()
    center, scale = (constant[f"node_{name}"].to_numpy() for name in ("center", "scale"))
    if data is None:
        rows = GraphRows(
            idata["observed_data"][OBSERVED].transpose("obs", "node").to_numpy(),
            variables,
            constant["task_index"].to_numpy().astype(np.int64),
            tasks,
            constant["row_position"].to_numpy(),
        )
    else:
        task = json.loads(idata.attrs["model"])["task"]
        rows = known_rows(data, variables, task=task, tasks=tasks)
    sample, pair = ("chain", "draw"), ("node", "node_bis")
    mean = posterior["mean"].transpose(*sample, "task", "node").to_numpy()
    precision = posterior["precision"].transpose(*sample, "task", *pair).to_numpy()
    n_samples = mean.shape[0] * mean.shape[1]
    return _Fit(
        (mean.reshape(n_samples, *mean.shape[2:]) - center) / scale,
        precision.reshape(n_samples, *precision.shape[2:]) * np.outer(scale, scale),
        (rows.values - center) / scale,
        rows,
        center,
        scale,
    )


def _by_pattern(fit: _Fit) -> np.ndarray:
    """Order of the rows in which those of one task and pattern stand together."""
    missing = np.isnan(fit.values)
    return np.lexsort([*missing.T, fit.rows.task])


def predict_missing(
    idata: xr.DataTree, data: Any, *, as_frame: bool, ci_prob: float
) -> xr.DataTree | pd.DataFrame:
    """Mean, sd and interval of each missing entry given the others in its row.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit of a graphical model.
    data : data frame, dict of {task: data frame}, or None
        Rows with missing entries; by default those that were fitted.
    as_frame : bool
        Whether to return one row for each missing entry.
    ci_prob : float
        Probability of the interval, of equal tails.

    Returns
    -------
    xarray.DataTree or pandas.DataFrame
        As `bayesmtl.predict`.

    Raises
    ------
    InvalidDataError
        If no entry is missing, or the data are not as those of the fit.
    """
    fit = _read(idata, data)
    missing = np.isnan(fit.values)
    if not missing.any():
        raise InvalidDataError(
            "no entry of the rows is missing, so there is nothing to predict: put NaN where "
            "values are to be predicted from the others of the row"
        )
    summary = _summaries(fit, missing, ci_prob)
    if as_frame:
        return _frame(fit.rows, missing, summary)
    return _add_group(idata, fit.rows, missing, summary, in_sample=data is None)


def _summaries(fit: _Fit, missing: np.ndarray, ci_prob: float) -> np.ndarray:
    """(4, row, variable): mean, sd and both ends of the interval; known entries are themselves."""
    n_samples = len(fit.mean)
    out = np.stack([fit.rows.values, np.zeros(missing.shape), fit.rows.values, fit.rows.values])
    order = _by_pattern(fit)
    entries = np.cumsum(missing[order].sum(axis=1))
    block = entries // max(1, _MOST_NUMBERS // (4 * n_samples))
    tails = np.array([(1.0 - ci_prob) / 2.0, (1.0 + ci_prob) / 2.0])
    for some in np.split(order, np.flatnonzero(np.diff(block)) + 1):
        gaps = missing[some]
        counts = gaps.sum(axis=1)
        if not counts.any():
            continue
        means, sds = np.empty((2, int(counts.sum()), n_samples))
        first = np.cumsum(counts) - counts
        conditional_draws(
            np.where(gaps, 0.0, fit.values[some]),
            gaps,
            fit.rows.task[some],
            fit.mean,
            fit.precision,
            first,
            means,
            sds,
        )
        where, column = np.nonzero(gaps)
        scale = fit.scale[column]
        center = means.mean(axis=1)
        spread = np.sqrt((sds**2).mean(axis=1) + means.var(axis=1))
        ends = _mixture_quantiles(means, sds, center, spread, tails)
        for k, values in enumerate((center, spread, *ends)):
            shift = 0.0 if k == 1 else fit.center[column]
            out[k, some[where], column] = shift + scale * values
    return out


def _mixture_quantiles(
    means: np.ndarray,
    sds: np.ndarray,
    center: np.ndarray,
    spread: np.ndarray,
    probabilities: np.ndarray,
) -> list[np.ndarray]:
    """Quantiles (entry,) of equal mixtures of normals (entry, draw), by bisection."""
    out = []
    for probability in probabilities.tolist():
        low, high = center - 40.0 * spread, center + 40.0 * spread
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = ndtr((middle[:, None] - means) / sds).mean(axis=1) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        out.append(0.5 * (low + high))
    return out


def _frame(rows: GraphRows, missing: np.ndarray, summary: np.ndarray) -> pd.DataFrame:
    """One line for each missing entry, in the order of the rows, indexed by their position."""
    where, column = np.nonzero(missing)
    names = np.array(rows.variables, dtype=object)
    columns = {
        "task": rows.tasks[rows.task[where]],
        "variable": names[column],
    }
    for k, name in enumerate(("mean", "sd", "lower", "upper")):
        columns[name] = summary[k, where, column]
    return pd.DataFrame(columns, index=rows.position[where])


def _add_group(
    idata: xr.DataTree,
    rows: GraphRows,
    missing: np.ndarray,
    summary: np.ndarray,
    *,
    in_sample: bool,
) -> xr.DataTree:
    """Store the summaries in place, in `posterior_predictive` or apart in `predictions`."""
    dims = ("obs", "node")
    obs = np.arange(len(rows.task)) if in_sample else rows.position
    coords = {"obs": obs, "node": np.array(rows.variables, dtype=object)}
    parts = {name: (dims, summary[k]) for k, name in enumerate(("mean", "sd", "lower", "upper"))}
    group = xr.Dataset({**parts, "missing": (dims, missing)}, coords)
    if in_sample:
        idata["posterior_predictive"] = xr.DataTree(group)
        return idata
    idata["predictions"] = xr.DataTree(group)
    idata["predictions_constant_data"] = xr.DataTree(
        xr.Dataset(
            {"task_index": (("obs",), rows.task), OBSERVED: (dims, rows.values)},
            {**coords, "task": rows.tasks},
        )
    )
    return idata


def add_log_likelihood(idata: xr.DataTree, data: Any) -> xr.DataTree:
    """Add the group `log_likelihood`: log density of what is observed in each row.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit of a graphical model; the group is added in place.
    data : data frame, dict of {task: data frame}, or None
        By default the rows that were fitted.

    Raises
    ------
    UnsupportedError
        If the result would take more than 8 GiB.
    """
    fit = _read(idata, data)
    posterior = idata["posterior"]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], len(fit.values))
    if 8 * np.prod(shape, dtype=float) > _MOST_BYTES:
        raise UnsupportedError(
            f"the log density of {shape[2]:,} rows under {shape[0] * shape[1]:,} draws takes more "
            f"than {_MOST_BYTES / 2**30:.0f} GiB: thin the draws first, "
            "idata.sel(draw=slice(...))"
        )
    missing = np.isnan(fit.values)
    order = _by_pattern(fit)
    out = np.empty((shape[0] * shape[1], shape[2]))
    found = np.empty_like(out)
    row_log_density(
        np.where(missing, 0.0, fit.values)[order],
        missing[order],
        fit.rows.task[order],
        fit.mean,
        fit.precision,
        found,
    )
    # Densities are of the user's units.
    out[:, order] = found - (~missing[order] @ np.log(fit.scale))
    obs = np.arange(shape[2]) if data is None else fit.rows.position
    variable = xr.DataArray(
        out.reshape(shape),
        dims=("chain", "draw", "obs"),
        coords={"chain": posterior["chain"], "draw": posterior["draw"], "obs": obs},
    )
    idata["log_likelihood"] = xr.DataTree(xr.Dataset({OBSERVED: variable}))
    return idata
