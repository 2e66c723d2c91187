"""The forms in which predictions are handed over: a group of the tree, or a data frame."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.likelihoods import Ordinal
from bayesmtl.likelihoods.levels import (
    Levels,
    ResponseKinds,
    level_labels,
    response_kinds,
    stored_attrs,
    to_stored,
)
from bayesmtl.posterior.predictor import Block
from bayesmtl.posterior.rows import PredictorRows, feature_names

__all__ = ["add_group", "response_frame", "response_values"]


class Values(NamedTuple):
    """Some rows: their expected response, and draws of the response or None."""

    rows: np.ndarray  # (row,)
    mean: np.ndarray  # (row, sample); of ordered levels (row, sample, level) their probabilities
    response: np.ndarray | None  # (row, sample)
    levels: Sequence[Any] | None  # of these rows


def response_values(blocks: Iterable[Block], rng: np.random.Generator | None) -> Iterator[Values]:
    """The expected response of each row and, with ``rng``, draws of it."""
    for rows, predicted, likelihood in blocks:
        drawn = None if rng is None else likelihood.sample(predicted, rng)
        levels = likelihood.levels if isinstance(likelihood, Ordinal) else None
        yield Values(rows, likelihood.expected(predicted), drawn, levels)


def response_frame(
    values: Iterable[Values], rows: PredictorRows, levels: Levels, ci_prob: float
) -> pd.DataFrame:
    """Summarise the response of each row, or its expectation.

    Parameters
    ----------
    values : iterable of Values
        Every row once; consumed block by block.
    rows : PredictorRows
        The rows.
    levels : Levels
        Of the fit.
    ci_prob : float
        Probability of the interval, of equal tails.

    Returns
    -------
    pandas.DataFrame
        task; of numbers mean, sd, lower, upper; of ordered levels ``P(level)`` of each (posterior
        mean, or its share of the draws of the response) and most_likely; NaN and None in rows
        without. Sorted and indexed by position in the user's frame.
    """
    tails = np.array([(1 - ci_prob) / 2, (1 + ci_prob) / 2])
    kinds = response_kinds(levels)
    summary = np.full((rows.task.size, 4), np.nan)
    share = np.full((rows.task.size, len(kinds.levels)), np.nan)
    most_likely = np.full(rows.task.size, None, dtype=object)
    for some, mean, response, own in values:
        if own is not None:
            found = _shares(mean, response)
            share[np.ix_(some, kinds.places(own))] = found
            most_likely[some] = level_labels(found.argmax(axis=1), own)
            continue
        draws = mean if response is None else response
        summary[some, 0] = draws.mean(axis=1)
        summary[some, 1] = draws.std(axis=1, ddof=1)
        summary[some, 2:] = _quantiles(draws, tails)
    frame = pd.DataFrame({"task": rows.tasks[rows.task]}, index=rows.position)
    if kinds.numbers:
        frame[["mean", "sd", "lower", "upper"]] = summary
    if kinds.levels:
        frame[[f"P({x})" for x in kinds.levels]] = share
        frame["most_likely"] = most_likely if kinds.numbers else most_likely.tolist()
    return frame.sort_index()


def _shares(probability: np.ndarray, response: np.ndarray | None) -> np.ndarray:
    """(row, level): mean probabilities, or shares of the draws (row, sample) of codes."""
    if response is None:
        return np.asarray(probability.mean(axis=1))
    codes = np.arange(probability.shape[2])
    return np.asarray((response[..., None] == codes).mean(axis=1))


def _quantiles(draws: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Interpolate order statistics as `numpy.quantile`, twice as fast; reorders each row."""
    last = draws.shape[1] - 1
    where = probabilities * last
    low = np.floor(where).astype(np.int64)
    high = np.minimum(low + 1, last)
    draws.partition(np.unique([low, high]), axis=1)
    return draws[:, low] + (draws[:, high] - draws[:, low]) * (where - low)


def add_group(
    idata: xr.DataTree,
    response_name: str,
    rows: PredictorRows,
    values: Iterable[Values],
    levels: Levels,
    *,
    in_sample: bool,
) -> xr.DataTree:
    """Store the draws in place: in `posterior_predictive`, or apart in `predictions`.

    Parameters
    ----------
    idata : xarray.DataTree
        The fit.
    response_name : str
        Name of the response in `observed_data`.
    rows : PredictorRows
        The rows.
    values : iterable of Values
        Every row once.
    levels : Levels
        Of the fit.
    in_sample : bool
        Whether the rows are those of the fit.

    Returns
    -------
    xarray.DataTree
        The same object.
    """
    posterior = idata["posterior"]
    n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
    kinds = response_kinds(levels)
    taken = ["mean"] * kinds.numbers + ["probability"] * bool(kinds.levels)
    response_name = "response" if response_name in taken else response_name
    size = (n_chains * n_draws, rows.task.size)
    arrays = _collect(values, size, kinds, response_name)
    observed = idata["observed_data"].to_dataset() if in_sample else xr.Dataset()
    coords = {
        "chain": posterior["chain"].to_numpy(),
        "draw": posterior["draw"].to_numpy(),
        "obs": observed["obs"].to_numpy() if "obs" in observed.coords else rows.position,
    }
    if "probability" in arrays:
        coords["level"] = np.array(kinds.levels)
    if response_name in arrays:
        texts = np.array(label_texts(rows.tasks), dtype=object)[rows.task]
        arrays[response_name] = to_stored(arrays[response_name], texts, levels)
    dims = ("chain", "draw", "obs", "level")
    variables = {
        name: (dims[: values.ndim + 1], values.reshape(n_chains, n_draws, *values.shape[1:]))
        for name, values in arrays.items()
    }
    predicted = xr.Dataset(variables, coords=coords)
    if response_name in predicted:
        predicted[response_name].attrs |= stored_attrs(levels)
    if in_sample:
        idata["posterior_predictive"] = xr.DataTree(predicted)
    else:
        idata["predictions"] = xr.DataTree(predicted)
        idata["predictions_constant_data"] = xr.DataTree(_constants(idata, rows))
    return idata


def _collect(
    values: Iterable[Values], size: tuple[int, int], kinds: ResponseKinds, response_name: str
) -> dict[str, np.ndarray]:
    """Draws (sample, row, ...) of all rows."""
    arrays: dict[str, np.ndarray] = {}
    for some, mean, response, own in values:
        if own is None:
            _set(arrays, "mean", size)[:, some] = mean.T
        else:
            whole = _set(arrays, "probability", (*size, len(kinds.levels)))
            whole[:, some[:, None], kinds.places(own)] = mean.swapaxes(0, 1)
        if response is not None:
            _set(arrays, response_name, size)[:, some] = response.T
    return arrays


def _set(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of this name, NaN where nothing is written."""
    if name not in arrays:
        arrays[name] = np.full(shape, np.nan)
    return arrays[name]


def _constants(idata: xr.DataTree, rows: PredictorRows) -> xr.Dataset:
    """Record what was predicted from."""
    variables: dict[str, Any] = {
        "features": (("obs", "feature"), rows.features),
        "task_label": (("obs",), rows.tasks[rows.task]),
        "offset": (("obs",), rows.offset),
    }
    coords: dict[str, Any] = {"obs": rows.position, "feature": feature_names(idata)}
    if not coords["feature"]:
        del variables["features"], coords["feature"]
    if rows.standard_error is not None:
        variables["standard_error"] = (("obs",), rows.standard_error)
    return xr.Dataset(variables, coords=coords)
