"""Functions at rows: weighted sums of a basis, or conditional normals given the rows of the fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.linalg import solve_triangular
from scipy.special import ndtri

from bayesmtl.errors import UnsupportedError
from bayesmtl.gp.dense import factor_rows, row_covariance
from bayesmtl.gp.hyperparameters import Hyper
from bayesmtl.gp.sparse_fits import read_sparse
from bayesmtl.gp.sparse_predict import draw_latent
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis
from bayesmtl.likelihoods import Likelihood, Mixed
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.posterior.access import require_all_tasks
from bayesmtl.posterior.prediction_results import add_group, response_frame, response_values
from bayesmtl.posterior.predictor import Block, check_size, shared_parameters
from bayesmtl.posterior.rows import (
    PredictorRows,
    new_rows,
    refuse_unseen,
    task_labels,
    training_rows,
)
from bayesmtl.posterior.settings import FitSettings, fit_settings

__all__ = [
    "add_function_likelihood",
    "predict_functions",
]

_BLOCK_NUMBERS = 1 << 24
# Floating point operations that conditional draws of functions may take, and the fewest draws.
_BUDGET, _FEWEST = 4e11, 100
# Of a value of a kernel, and of a root of a covariance as a multiple of the cube of its side.
_KERNEL, _ROOT = 30, 10
# Rows whose function values are drawn jointly.
_JOINT = 1000


class _Fit(NamedTuple):
    """What a fit holds of its functions, internal units but for the response."""

    posterior: xr.Dataset
    constant: xr.Dataset
    observed: np.ndarray
    kernel: str

    def inputs(self, features: np.ndarray) -> np.ndarray:
        center, scale = (self.constant[f"input_{name}"].to_numpy() for name in ("center", "scale"))
        return np.asarray((features - center) / scale)

    def flat(self, name: str) -> np.ndarray:
        """Draws (sample, ...) of a variable."""
        values = self.posterior[name].to_numpy()
        return np.asarray(values.reshape(-1, *values.shape[2:]))


def _read(idata: xr.DataTree) -> _Fit:
    kernel = json.loads(idata.attrs["model"])["kernel"]
    observed = next(iter(idata["observed_data"].data_vars.values())).to_numpy()
    posterior, constant = idata["posterior"].to_dataset(), idata["constant_data"].to_dataset()
    return _Fit(posterior, constant, observed, kernel)


def _thinned(idata: xr.DataTree, n_rows: int, *, jointly: bool) -> xr.DataTree:
    """The fit with as many evenly spaced draws as functions can be drawn from in fair time."""
    posterior = idata["posterior"]
    if "weights" in posterior or "variational_mean" in idata["constant_data"]:
        return idata
    n = idata["constant_data"].sizes["obs"]
    n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
    joint = min(n_rows, _JOINT) if jointly else 0
    work = n**3 / 3.0 + (n + _KERNEL) * n * n_rows + n_rows * joint * (n + _ROOT * joint)
    most = max(int(_BUDGET / work), _FEWEST) // n_chains
    if most >= n_draws:
        return idata
    step = int(np.ceil(n_draws / max(most, 1)))
    return idata.isel(draw=slice(step - 1, None, step), missing_dims="ignore")


def predict_functions(
    idata: xr.DataTree,
    data: Any,
    rng: np.random.Generator,
    response: bool,
    ci_prob: float | None,
) -> xr.DataTree | pd.DataFrame:
    """Expected response of rows, and draws of the response; see `bayesmtl.predict`.

    Parameters
    ----------
    idata : xarray.DataTree
    data : data frame or None
    rng : numpy.random.Generator
    response : bool
        Whether to draw the response too.
    ci_prob : float or None
        Of the interval in a frame; None for groups of the tree.

    Raises
    ------
    InvalidDataError
        For tasks that the fit does not know, and unusable rows.
    UnsupportedError
        For results of more than 8 GiB, and rows outside the box of a basis.
    """
    settings = fit_settings(idata)
    rows = _known_rows(idata, settings, data, need_response=False)
    likelihood = settings.likelihood
    assert not isinstance(likelihood, Mixed)
    # Summaries of single rows need no draws of whole functions.
    jointly = ci_prob is None
    some = _thinned(idata, len(rows.task), jointly=jointly)
    posterior = some["posterior"]
    if ci_prob is None:
        n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
        check_size(1 + int(response), n_samples, rows.task.size, "use as_frame=True")
    parameters = shared_parameters(some, likelihood)
    blocks = _function_blocks(some, rows, likelihood, parameters, rng, jointly=jointly)
    values = response_values(blocks, rng if response else None)
    if ci_prob is not None:
        return response_frame(values, rows, None, ci_prob)
    found = add_group(some, settings.response, rows, values, None, in_sample=data is None)
    if found is not idata:
        for name in ("posterior_predictive", "predictions", "predictions_constant_data"):
            if name in found.children and (name == "posterior_predictive") == (data is None):
                idata[name] = xr.DataTree(found[name].to_dataset())
    return idata


def add_function_likelihood(idata: xr.DataTree, settings: FitSettings, data: Any) -> xr.DataTree:
    """Add the group `log_likelihood`; see `bayesmtl.compute_log_likelihood`.

    Where functions are drawn from conditional normals, for evenly spaced draws alone if the rows
    are many.

    Raises
    ------
    InvalidDataError, UnsupportedError
        As `predict_functions`.
    """
    rows = _known_rows(idata, settings, data, need_response=True)
    likelihood = settings.likelihood
    assert not isinstance(likelihood, Mixed)
    some = _thinned(idata, len(rows.task), jointly=True)
    posterior = some["posterior"]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], rows.task.size)
    check_size(1, shape[0] * shape[1], shape[2], "thin the draws first, idata.sel(draw=slice(...))")
    values = np.empty((shape[0] * shape[1], shape[2]))
    parameters = shared_parameters(some, likelihood)
    rng = np.random.default_rng(0)
    blocks = _function_blocks(some, rows, likelihood, parameters, rng, jointly=True)
    assert rows.response is not None
    for block in blocks:
        response = rows.response[block.rows, None]
        values[:, block.rows] = likelihood.log_density(response, block.predicted).T
    coords = {
        "chain": posterior["chain"],
        "draw": posterior["draw"],
        "obs": idata["observed_data"]["obs"] if data is None else rows.position,
    }
    variable = xr.DataArray(values.reshape(shape), dims=("chain", "draw", "obs"), coords=coords)
    idata["log_likelihood"] = xr.DataTree(xr.Dataset({settings.response: variable}))
    return idata


def _known_rows(
    idata: xr.DataTree, settings: FitSettings, data: Any, *, need_response: bool
) -> PredictorRows:
    """Rows of the fit, or new ones of its tasks.

    Raises
    ------
    InvalidDataError
        For tasks that the fit does not know, and unusable rows.
    """
    if data is None:
        return training_rows(idata, settings)
    rows = new_rows(data, idata, settings, need_response=need_response, need_noise=need_response)
    refuse_unseen(rows, len(task_labels(idata)), settings.task)
    return rows


def _function_blocks(
    idata: xr.DataTree,
    rows: PredictorRows,
    likelihood: Likelihood,
    parameters: np.ndarray,
    rng: np.random.Generator,
    *,
    jointly: bool,
) -> Iterator[Block]:
    """Compute the rows in blocks: predictor, noise and parameters of the likelihood.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit of `bayesmtl.MultiTaskGP`.
    rows : PredictorRows
    likelihood : Likelihood
    parameters : (parameter, sample)
        Of the likelihood.
    rng : numpy.random.Generator
        For functions that are drawn from conditional normals.
    jointly : bool
        Whether these are drawn as functions; else only the distribution of each row is right.

    Yields
    ------
    Block
        Together they hold every row once.
    """
    fit = _read(idata)
    noise = fit.flat("noise_sd").T if isinstance(likelihood, Gaussian) else None
    if "weights" in fit.posterior:
        pieces = _in_basis(fit, rows)
    elif "variational_mean" in fit.constant:
        pieces = _from_inducing(fit, rows, rng)
    else:
        require_all_tasks(fit.constant)
        pieces = _conditional(fit, rows, rng, jointly=jointly)
    for index, functions in pieces:
        predictor = functions + rows.offset[index, None]
        own = np.full((len(index), 1), np.nan) if noise is None else noise[rows.task[index]]
        yield Block(
            index, Predicted(predictor, rows.size[index, None], own, parameters), likelihood
        )


def _in_basis(fit: _Fit, rows: PredictorRows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    weights, basis = fit.flat("weights"), _read_basis(fit)
    inputs = fit.inputs(rows.features)
    if isinstance(basis, HilbertBasis):
        _require_inside(inputs, basis, fit)
    level = _levels(fit)
    order = np.argsort(rows.task, kind="stable")
    size = max(1, _BLOCK_NUMBERS // (len(weights) + basis.size))
    for task in np.unique(rows.task):
        mine = order[rows.task[order] == task]
        own = np.ascontiguousarray(weights[:, task].T)
        for start in range(0, len(mine), size):
            index = mine[start : start + size]
            yield index, basis.columns(inputs[index]) @ own + level[:, task]


def _from_inducing(
    fit: _Fit, rows: PredictorRows, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws given the normal approximation of the inducing values."""
    sparse = read_sparse(fit.constant, fit.kernel)
    inputs = fit.inputs(rows.features)
    scale, center = (
        fit.constant[f"response_{name}"].to_numpy()[rows.task] for name in ("scale", "center")
    )
    n_samples = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    size = max(1, _BLOCK_NUMBERS // n_samples)
    for start in range(0, len(inputs), size):
        index = np.arange(start, min(start + size, len(inputs)))
        drawn = draw_latent(sparse, inputs[index], rows.task[index], n_samples, rng)
        yield index, center[index, None] + scale[index, None] * drawn.T


def _read_basis(fit: _Fit) -> HilbertBasis | NystroemBasis:
    constant = fit.constant
    if "basis_center" in constant:
        centers = constant["basis_center"].to_numpy()
        return NystroemBasis(fit.kernel, centers, constant["basis_lengthscale"].to_numpy())
    return HilbertBasis(
        fit.kernel,
        tuple(constant["basis_count"].to_numpy().tolist()),
        tuple(constant["basis_half_width"].to_numpy().tolist()),
    )


def _levels(fit: _Fit) -> np.ndarray:
    """Intercepts (sample, task)."""
    if "intercept" in fit.posterior:
        return fit.flat("intercept")
    return np.atleast_2d(fit.constant["response_center"].to_numpy())


def _require_inside(inputs: np.ndarray, basis: HilbertBasis, fit: _Fit) -> None:
    """Refuse inputs outside the box, where the basis is zero or repeats itself."""
    outside = np.abs(inputs) > np.array(basis.half_widths)
    if not outside.any():
        return
    row, j = np.argwhere(outside)[0]
    center, scale = (fit.constant[f"input_{name}"].to_numpy()[j] for name in ("center", "scale"))
    low, high = (center + sign * scale * basis.half_widths[j] for sign in (-1.0, 1.0))
    raise UnsupportedError(
        f"{int(outside.any(axis=1).sum())} rows lie outside the box of the basis: "
        f"{fit.posterior['feature'].to_numpy()[j]} = {center + scale * inputs[row, j]:g} in the "
        f"first, and functions are known from {low:g} to {high:g}; leave them out, or fit with "
        "inference='nuts'"
    )


def _conditional(
    fit: _Fit, rows: PredictorRows, rng: np.random.Generator, *, jointly: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws of the functions given the rows of the fit, many rows at a time or each alone.

    Alone all rows deviate by the same quantiles, so that summaries are as smooth as functions are.
    """
    constant = fit.constant
    scale, center = (constant[f"response_{name}"].to_numpy() for name in ("scale", "center"))
    level_sd = constant["level_sd"].to_numpy()
    task = constant["task_index"].to_numpy().astype(np.int64)
    inputs, new = fit.inputs(constant["features"].to_numpy()), fit.inputs(rows.features)
    known, observed = (inputs, task), (fit.observed - center[task]) / scale[task]
    covariance, lengthscale = _components(fit, scale)
    noise = fit.flat("noise_sd") / scale
    out = np.empty((len(rows.task), len(covariance)))
    blocks = [
        np.arange(start, min(start + _JOINT, len(new))) for start in range(0, len(new), _JOINT)
    ]
    deviation = ndtri((rng.permutation(len(covariance)) + 0.5) / len(covariance))
    for s in range(len(covariance)):
        hyper = Hyper(covariance[s], covariance[s], lengthscale[s], noise[s])
        total = row_covariance(fit.kernel, hyper, known, known, level_sd)
        total[np.diag_indices(len(task))] += noise[s, task] ** 2
        lower = factor_rows(total, *known, constant["task"].to_numpy())
        half = solve_triangular(lower, observed, lower=True, check_finite=False)
        for index in blocks:
            these = (new[index], rows.task[index])
            cross = row_covariance(fit.kernel, hyper, known, these, level_sd)
            gain = solve_triangular(lower, cross, lower=True, check_finite=False)
            out[index, s] = gain.T @ half
            if jointly:
                rest = row_covariance(fit.kernel, hyper, these, these, level_sd) - gain.T @ gain
                out[index, s] += _draw(rest, rng)
            else:
                own = (hyper.covariance.sum(axis=0).diagonal() + level_sd**2)[these[1]]
                left = np.maximum(own - (gain**2).sum(axis=0), 0.0)
                out[index, s] += deviation[s] * np.sqrt(left)
    out = center[rows.task, None] + scale[rows.task, None] * out
    yield np.arange(len(new)), out


def _components(fit: _Fit, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (sample, component, task, task) and length-scales (sample, component, input)."""
    units = np.outer(scale, scale)
    length = fit.flat("lengthscale") / fit.constant["input_scale"].to_numpy()
    if "component_covariance" in fit.posterior:
        return fit.flat("component_covariance") / units, length
    return fit.flat("task_covariance")[:, None] / units, length[:, None]


def _draw(covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A normal with a covariance that may be singular but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.normal(size=len(values))))
