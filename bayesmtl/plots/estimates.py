"""What a plot of the weights shows: posterior summaries, unpooled estimates, population."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.posterior.access import has_gaussian_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Estimates",
    "choose_names",
    "find_limits",
    "find_outside",
    "panel_names",
    "read_intercept",
    "read_panels",
    "read_weight",
    "unpooled_intercept",
]

ROOM_FOR_UNPOOLED = 0.6  # of the span of the posterior, on either side
QUANTILES = (0.05, 0.25, 0.75, 0.95)


class Estimates(NamedTuple):
    """One weight of every task."""

    title: str
    mean: NDArray[np.float64]  # (task,)
    quantiles: NDArray[np.float64]  # (quantile, task): 5, 25, 75 and 95%
    unpooled: NDArray[np.float64]  # (task,), NaN where a task alone cannot tell
    population: tuple[float, float]  # mean and sd of a new task; NaN where unknown


def panel_names(posterior: xr.Dataset, constant: xr.Dataset, stored: bool) -> list[str]:
    """Return the names of all panels: intercept first, then by spread between the tasks.

    Parameters
    ----------
    posterior, constant
        The groups ``posterior`` and ``constant_data`` of a fit.
    stored
        Whether the fit keeps the draws of its weights.

    Returns
    -------
    list of str
        Features, and ``"intercept"`` where the intercepts are apart from them.

    Raises
    ------
    UnsupportedError
        If the draws of the weights are not stored.
    InvalidDataError
        If there are neither weights nor intercepts.
    """
    names: list[str] = []
    if "weights" in posterior:
        features = [str(name) for name in posterior["feature"].to_numpy()]
        if "population_sd" in posterior:
            spread = posterior["population_sd"].mean(["chain", "draw"])
        else:
            spread = posterior["weights"].mean(["chain", "draw"]).std("task")
        if "feature_scale" in constant:  # makes metres and millimetres comparable
            spread = spread * constant["feature_scale"]
        names = [features[i] for i in np.argsort(-spread.to_numpy(), kind="stable")]
        if "Intercept" in names:
            names.insert(0, names.pop(names.index("Intercept")))
    elif not stored:
        msg = (
            "The draws of the weights are not stored in this fit, because they would be too "
            "large: there is nothing to plot. Fit fewer draws or tasks to store them, or look "
            "at bm.predict(idata) and bm.plot_sharing(idata)."
        )
        raise UnsupportedError(msg)
    if "intercept" in posterior:
        names.insert(0, "intercept")
    if not names:
        msg = "The group 'posterior' has neither 'weights' nor 'intercept': pass a fitted model's."
        raise InvalidDataError(msg)
    return names


def choose_names(features: str | Sequence[str], names: list[str]) -> list[str]:
    """Return the features asked for.

    Raises
    ------
    InvalidDataError
        If one of them does not exist, or none is given.
    """
    chosen = [features] if isinstance(features, str) else list(dict.fromkeys(features))
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        wrong = f"Unknown features {unknown}" if unknown else "No features were given"
        msg = f"{wrong}: features= takes some of {names}."
        raise InvalidDataError(msg)
    return chosen


def _summarise(draws: xr.DataArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (task) and quantiles (quantile, task) of the draws of every task."""
    values = draws.transpose("chain", "draw", "task").to_numpy()
    return values.mean(axis=(0, 1)), np.quantile(values, QUANTILES, axis=(0, 1))


def read_panels(
    idata: xr.DataTree, posterior: xr.Dataset, constant: xr.Dataset, chosen: Sequence[str]
) -> list[Estimates]:
    """Read the weights of some features, and the intercepts where "intercept" stands for them.

    Parameters
    ----------
    idata
        A fit of a linear model.
    posterior, constant
        Its groups ``posterior`` and ``constant_data``, in common units.
    chosen
        Names that `panel_names` gives.

    Returns
    -------
    list of Estimates
        Without population where tasks form clusters: mean and sd of a mixture cover the gaps
        between its parts.
    """
    # Least squares on the response says nothing of other likelihoods.
    known = has_gaussian_response(idata) and "observed_data" in idata.children
    observed = idata["observed_data"].to_dataset() if known else xr.Dataset()
    panels = [
        read_intercept(posterior, constant, observed)
        if name == "intercept" and "intercept" in posterior
        else read_weight(posterior, constant, name)
        for name in chosen
    ]
    if "clusters" in idata.children:
        panels = [panel._replace(population=(np.nan, np.nan)) for panel in panels]
    return panels


def read_weight(posterior: xr.Dataset, constant: xr.Dataset, feature: object) -> Estimates:
    """Read the weights of one feature.

    Parameters
    ----------
    posterior, constant
        The groups ``posterior`` and ``constant_data`` of a fit.
    feature
        Label of the feature.

    Returns
    -------
    Estimates
        Everything that its panel shows.
    """
    mean, quantiles = _summarise(posterior["weights"].sel(feature=feature))
    unpooled = np.full(len(mean), np.nan)
    if "unpooled_weights" in constant:
        chosen = constant["unpooled_weights"].sel(feature=feature)
        # `sel` would read boolean labels as a mask.
        unpooled = np.asarray(chosen.reindex(task=posterior["task"]), dtype=np.float64)
    population = (np.nan, np.nan)
    if "population_mean" in posterior and "population_sd" in posterior:
        population = (
            float(posterior["population_mean"].sel(feature=feature).mean()),
            float(posterior["population_sd"].sel(feature=feature).mean()),
        )
    return Estimates(str(feature), mean, quantiles, unpooled, population)


def read_intercept(posterior: xr.Dataset, constant: xr.Dataset, observed: xr.Dataset) -> Estimates:
    """Read the intercepts, at the zero of the features.

    Parameters
    ----------
    posterior, constant, observed
        The groups ``posterior``, ``constant_data`` and ``observed_data`` (may be empty) of a fit.

    Returns
    -------
    Estimates
        Everything that its panel shows.
    """
    mean, quantiles = _summarise(posterior["intercept"])
    unpooled = unpooled_intercept(constant, observed)
    population = _population_at_zero(posterior, constant)
    title = "intercept (features at 0)" if "weights" in posterior else "intercept"
    return Estimates(title, mean, quantiles, unpooled, population)


def unpooled_intercept(constant: xr.Dataset, observed: xr.Dataset) -> NDArray[np.float64]:
    """Return each task's least-squares intercept: mean response minus mean features' share.

    Parameters
    ----------
    constant
        Group with ``task_index (obs)`` and, where the model has features, ``features (obs,
        feature)`` and ``unpooled_weights (task, feature)``; ``offset``, ``row_weight`` and
        ``standard_error`` (obs) are honoured where they exist.
    observed
        Group with the response (obs).

    Returns
    -------
    (task,)
        Intercepts at the zero of the features; NaN where a task alone cannot tell.
    """
    n_tasks = constant.sizes["task"]
    if "task_index" not in constant or not observed.data_vars:
        return np.full(n_tasks, np.nan)
    rows = np.asarray(next(iter(observed.data_vars.values())), dtype=np.float64)
    task = np.asarray(constant["task_index"])
    precision = np.ones(len(rows))
    if "row_weight" in constant:
        precision = precision * np.asarray(constant["row_weight"])
    if "standard_error" in constant:
        precision = precision / np.asarray(constant["standard_error"]) ** 2
    if "offset" in constant:
        rows = rows - np.asarray(constant["offset"])
    if constant.sizes.get("feature", 0):
        if "unpooled_weights" not in constant or "features" not in constant:
            return np.full(n_tasks, np.nan)
        weights = np.asarray(constant["unpooled_weights"].transpose("task", "feature"))
        features = np.asarray(constant["features"].transpose("obs", "feature"))
        rows = rows - np.einsum("if,if->i", features, weights[task])
    total = np.bincount(task, precision, n_tasks)
    total_response = np.bincount(task, precision * rows, n_tasks)
    return np.divide(total_response, total, out=np.full(n_tasks, np.nan), where=total > 0)


def _population_at_zero(posterior: xr.Dataset, constant: xr.Dataset) -> tuple[float, float]:
    """Return mean and sd of a new task's intercept at x = 0, averaged over the draws.

    The structure speaks of the centre of the features: the intercept at 0 is the one at the
    centre minus centre' weights, two independent parts given the draw.
    """
    if "intercept_mean" not in posterior or "intercept_sd" not in posterior:
        return np.nan, np.nan
    mean, variance = posterior["intercept_mean"], posterior["intercept_sd"] ** 2
    if "population_mean" in posterior and "feature_center" in constant:
        center = constant["feature_center"]
        scaled = center * posterior["population_sd"]
        mean = mean - (center * posterior["population_mean"]).sum("feature")
        names = ("population_correlation", "feature_correlation")
        correlation = next((posterior[name] for name in names if name in posterior), None)
        if correlation is None:
            spread = (scaled**2).sum("feature")
        else:
            other = scaled.rename(feature="feature_bis")
            spread = (scaled * correlation * other).sum(["feature", "feature_bis"])
        variance = variance + spread
    return float(mean.mean()), float((variance**0.5).mean())


def find_limits(panel: Estimates) -> tuple[float, float]:
    """Return axis limits that hold the whole posterior, and unpooled estimates near to it.

    One task with a wild estimate of its own must not squeeze all others into a line.
    """
    mean, sd = panel.population
    core = np.concatenate([panel.quantiles[[0, -1]].ravel(), panel.mean, [mean - sd, mean + sd]])
    low, high = float(np.nanmin(core)), float(np.nanmax(core))
    span = (high - low) or max(abs(high), 1.0)
    room = ROOM_FOR_UNPOOLED * span
    near = panel.unpooled[(panel.unpooled >= low - room) & (panel.unpooled <= high + room)]
    low, high = min(low, *near, low), max(high, *near, high)
    pad = 0.04 * ((high - low) or span)
    return low - pad, high + pad


def find_outside(panel: Estimates) -> NDArray[np.bool_]:
    """Tell which unpooled estimates (task) lie outside the axis of their panel."""
    low, high = find_limits(panel)
    return (panel.unpooled < low) | (panel.unpooled > high)
