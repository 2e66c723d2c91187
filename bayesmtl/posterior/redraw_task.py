"""Coefficients of one task of a fit whose weights were not stored."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["redraw_task"]


def _samples(posterior: xr.Dataset, name: str, *dims: str) -> np.ndarray:
    values = posterior[name].transpose("chain", "draw", *dims).to_numpy()
    return values.reshape(-1, *values.shape[2:])


def _task_site(sites: xr.Dataset, task: int) -> tuple[np.ndarray, np.ndarray, float]:
    lanes = sites.sizes["lane"]
    block, lane = divmod(task, lanes)
    moment = sites["moment"].to_numpy()[block, :, lane]
    p = moment.size
    gram = np.empty((p, p))
    row, column = np.tril_indices(p)
    gram[row, column] = sites["gram"].to_numpy()[block, :, lane]
    gram[column, row] = gram[row, column]
    return gram, moment, float(sites["precision"].to_numpy()[block, lane])


def _population(
    idata: xr.DataTree, posterior: xr.Dataset, task: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sd (sample, p) and correlation (sample or 1, p, p) of the task, user units."""
    constant = idata["constant_data"].to_dataset()
    z = np.zeros(0)
    if "task_features" in constant:
        z = constant["task_features"].to_numpy()[task] - constant["task_feature_center"].to_numpy()
    means, sds = [], []
    if "intercept_mean" in posterior:
        mean = _samples(posterior, "intercept_mean")
        if z.size:
            mean = mean + _samples(posterior, "intercept_task_effects", "task_feature") @ z
        means.append(mean[:, None])
        sds.append(_samples(posterior, "intercept_sd")[:, None])
    if "population_mean" in posterior:
        mean, sd = _features(idata, posterior, task)
        if z.size:
            mean = mean + _samples(posterior, "task_effects", "feature", "task_feature") @ z
        means.append(mean)
        sds.append(sd)
    mean, sd = np.concatenate(means, axis=1), np.concatenate(sds, axis=1)
    p = mean.shape[1]
    correlation = np.eye(p)[None]
    if "feature_correlation" in posterior:
        first = p - posterior.sizes["feature"]
        correlation = np.repeat(correlation, len(mean), axis=0)
        correlation[:, first:, first:] = _samples(
            posterior, "feature_correlation", "feature", "feature_bis"
        )
    return mean, sd, correlation


def _features(
    idata: xr.DataTree, posterior: xr.Dataset, task: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (sample, feature) of the task's cluster where there are any, else of all."""
    if "clusters" not in idata.children:
        return (
            _samples(posterior, "population_mean", "feature"),
            _samples(posterior, "population_sd", "feature"),
        )
    clusters = idata["clusters"].to_dataset()
    label = _samples(clusters["assignment"].isel(task=task).to_dataset(), "assignment")
    means = _samples(clusters, "cluster_mean", "cluster", "feature")
    within = np.sqrt(1.0 - _samples(posterior, "between"))
    return (
        means[np.arange(label.size), label],
        within[:, None] * _samples(posterior, "base_sd", "feature"),
    )


def redraw_task(idata: xr.DataTree, task: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Draw the coefficients of a task from their conditional given each draw of the structure.

    The stream of random numbers depends on the task alone, so a second call gives the same draws.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit with the group ``sites``.
    task : int
        Position of the task.

    Returns
    -------
    intercept : (sample,) or None
        At x = 0.
    weights : (sample, feature)
    """
    posterior, sites = idata["posterior"].to_dataset(), idata["sites"].to_dataset()
    gram, moment, precision = _task_site(sites, task)
    mean, sd, correlation = _population(idata, posterior, task)
    unit, location = sites["unit"].to_numpy(), sites["mean_location"].to_numpy()[:, 0]
    center, scale = (mean - location) / unit, sd / unit
    noise = np.full(len(mean), precision)
    if "noise_sd" in posterior:
        variable = posterior["noise_sd"]
        if "task" in variable.dims:
            posterior = posterior.isel(task=task)
        noise = (_samples(posterior, "noise_sd") / sites.attrs["response_scale"]) ** -2.0
    inner = noise[:, None, None] * scale[:, :, None] * gram * scale[:, None, :]
    inner = inner + np.linalg.inv(correlation)
    score = (moment - center @ gram) * scale * noise[:, None]
    lower = np.linalg.cholesky(inner)
    rng = np.random.default_rng([task, 0])
    half = np.linalg.solve(lower, score[..., None]) + rng.normal(size=(*score.shape, 1))
    deviation = np.linalg.solve(lower.transpose(0, 2, 1), half)[..., 0]
    coefficients = location + unit * (center + scale * deviation)
    if "intercept_mean" not in posterior:
        return None, coefficients
    at_zero = coefficients[:, 0]
    if coefficients.shape[1] > 1:
        feature_center = idata["constant_data"]["feature_center"].to_numpy()
        at_zero = at_zero - coefficients[:, 1:] @ feature_center
    return at_zero, coefficients[:, 1:]
