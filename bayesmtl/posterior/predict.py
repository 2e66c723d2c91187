"""Predictions: of the rows of a fit, of new rows, and of tasks the fit has not seen."""

from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.likelihoods import Likelihood, response_levels
from bayesmtl.likelihoods.levels import response_kinds
from bayesmtl.posterior.access import is_functional, is_graphical
from bayesmtl.posterior.mixed_tasks import name_likelihoods, require_named
from bayesmtl.posterior.new_tasks import new_task_draws
from bayesmtl.posterior.prediction_results import (
    add_group,
    response_frame,
    response_values,
)
from bayesmtl.posterior.predictor import (
    TaskDraws,
    check_size,
    known_tasks,
    predictor_blocks,
    shared_parameters,
)
from bayesmtl.posterior.rows import new_rows, task_labels, training_rows
from bayesmtl.posterior.settings import FitSettings, fit_settings

__all__ = ["predict"]

_OF_GRAPHS = (
    "MultiTaskGraphicalModel: bm.predict gives the mean and sd of missing entries of rows of its "
    "tasks; leave it out"
)
_OF_FUNCTIONS = (
    "MultiTaskGP, whose covariance says nothing of tasks that it has not seen: leave it out; a "
    "task_covariance= may name tasks without rows"
)


@overload
def predict(
    idata: xr.DataTree,
    data: Any = None,
    *,
    given: Any = None,
    kind: Literal["response_params", "response"] = "response_params",
    new_task: Literal["error", "population"] = "error",
    likelihood: Mapping[Any, Likelihood] | None = None,
    as_frame: Literal[False] = False,
    ci_prob: float = 0.9,
    random_seed: int | np.random.Generator | None = None,
) -> xr.DataTree: ...


@overload
def predict(
    idata: xr.DataTree,
    data: Any = None,
    *,
    given: Any = None,
    kind: Literal["response_params", "response"] = "response_params",
    new_task: Literal["error", "population"] = "error",
    likelihood: Mapping[Any, Likelihood] | None = None,
    as_frame: Literal[True],
    ci_prob: float = 0.9,
    random_seed: int | np.random.Generator | None = None,
) -> pd.DataFrame: ...


def predict(
    idata: xr.DataTree,
    data: Any = None,
    *,
    given: Any = None,
    kind: Literal["response_params", "response"] = "response_params",
    new_task: Literal["error", "population"] = "error",
    likelihood: Mapping[Any, Likelihood] | None = None,
    as_frame: bool = False,
    ci_prob: float = 0.9,
    random_seed: int | np.random.Generator | None = None,
) -> xr.DataTree | pd.DataFrame:
    """Predict the expected response of rows, mean_i = a_t + x_i'w_t, or draws of the response.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit, also one that was loaded.
    data : data frame, optional
        Rows to predict, with the task column and the columns of the formula; by default the rows
        that were fitted.
    given : data frame, optional
        Rows of new tasks with their response: the weights of these tasks are conditioned on them,
        exactly for each draw, and the draws are weighted by how well they predict the rows.
    kind : {"response_params", "response"}
        The expected response `mean`, or in addition draws of the response with its noise.
    new_task : {"error", "population"}
        What to do with tasks that are neither in the fit nor in `given`: refuse, or draw their
        weights from the population, once per draw for all rows of a task.
    likelihood : {task: likelihood}, optional
        Of tasks that are not in the fit, where its tasks have different likelihoods; each must be
        one of theirs.
    as_frame : bool
        Return a data frame with the columns task, mean, sd, lower and upper, in the order of the
        rows, with the index of the data where these are a pandas frame, so that columns join, and
        else with the position of the row. Works for any number of rows. Of ordered
        levels: task, ``P(level)`` of each level (its mean, or its share of the draws of the
        response) and most_likely. Where some tasks have levels and others numbers, all of these
        columns, empty where they do not apply.
    ci_prob : float
        Probability between `lower` and `upper`, which cut off equal tails.
    random_seed : int or numpy.random.Generator, optional
        Used for the noise and for new tasks.

    Returns
    -------
    xarray.DataTree or pandas.DataFrame
        The same tree with the group `posterior_predictive` (rows of the fit) or `predictions` and
        `predictions_constant_data` (new rows), which hold `mean` (chain, draw, obs), or for ordered
        levels `probability` (chain, draw, obs, level), and with ``kind="response"`` a variable
        named like the response (labels of levels); or the frame. Where some tasks have levels and
        others numbers, both `mean` and `probability`, NaN where they do not apply; the response,
        also in `observed_data`, is then a number in all rows, a level of text its place 0, 1, ...
        among the levels in the attribute ``levels``. A later call replaces the group of an earlier
        one. Of graphs (`MultiTaskGraphicalModel`) each missing entry is predicted from the others
        in its row: `mean`, `sd`, `lower` and `upper` (obs, node), averaged over the draws,
        known entries as they are; or a frame with one line for each missing entry and its
        `variable`.

    Raises
    ------
    InvalidModelError
        If an option has another value than those above, or a new task another likelihood than those
        of the fit.
    InvalidTypeError
        If `idata` is not a DataTree.
    InvalidDataError
        If the data lack a column, hold unusable values, a task that is not in the fit, or `given`
        one that is.
    UnsupportedError
        If the result would take more than 8 GiB, or the model says nothing about new tasks, as
        graphs do not.

    Warns
    -----
    BayesMTLWarning
        If the given rows of a task disagree so much with the fit that it should be repeated, or
        rows are dropped.
    """
    _check_options(data, given, kind, new_task, ci_prob)
    found = _predict(
        idata,
        (data, given),
        np.random.default_rng(random_seed),
        kind=kind,
        new_task=new_task,
        likelihood=likelihood,
        as_frame=as_frame,
        ci_prob=ci_prob,
    )
    if isinstance(found, pd.DataFrame) and isinstance(data, pd.DataFrame):
        found.index = data.index[found.index]
    return found


def _predict(
    idata: xr.DataTree,
    frames: tuple[Any, Any],
    rng: np.random.Generator,
    *,
    kind: Literal["response_params", "response"],
    new_task: Literal["error", "population"],
    likelihood: Mapping[Any, Likelihood] | None,
    as_frame: bool,
    ci_prob: float,
) -> xr.DataTree | pd.DataFrame:
    """By the kind of the fit; ``frames`` are the rows and those that are given."""
    data, given = frames
    if is_graphical(idata):
        from bayesmtl.graphical.predict import predict_missing

        unused = {
            "given": given is not None,
            "kind": kind != "response_params",
            "new_task": new_task != "error",
            "likelihood": likelihood is not None,
        }
        _refuse_options(unused, _OF_GRAPHS)
        return predict_missing(idata, data, as_frame=as_frame, ci_prob=ci_prob)
    interval = ci_prob if as_frame else None
    if is_functional(idata):
        from bayesmtl.gp.predict import predict_functions

        unused = {
            "given": given is not None,
            "new_task": new_task != "error",
            "likelihood": likelihood is not None,
        }
        _refuse_options(unused, _OF_FUNCTIONS)
        return predict_functions(idata, data, rng, kind == "response", interval)
    settings = name_likelihoods(fit_settings(idata), likelihood)
    return _predict_linear(
        idata,
        settings,
        frames,
        rng,
        likelihood=likelihood,
        kind=kind,
        new_task=new_task,
        interval=interval,
    )


def _predict_linear(
    idata: xr.DataTree,
    settings: FitSettings,
    frames: tuple[Any, Any],
    rng: np.random.Generator,
    *,
    likelihood: Mapping[Any, Likelihood] | None,
    kind: Literal["response_params", "response"],
    new_task: Literal["error", "population"],
    interval: float | None,
) -> xr.DataTree | pd.DataFrame:
    """Of a linear model; ``frames`` are the rows and those that are given."""
    data, given = frames
    as_frame, ci_prob = interval is not None, interval or 0.0
    if data is None:
        rows = training_rows(idata, settings)
    else:
        need_noise = kind == "response"
        rows = new_rows(data, idata, settings, need_response=False, need_noise=need_noise)
    n_known = len(task_labels(idata))
    require_named(likelihood, rows.tasks[n_known:])
    new = new_task_draws(
        idata, settings, rows, (data, given), new_task, need_noise=kind == "response", rng=rng
    )

    some_known = (rows.task < n_known).any()
    known = known_tasks(idata, settings.likelihood) if some_known else None

    def draws_of(task: int) -> TaskDraws:
        return new[task - n_known] if known is None or task >= n_known else known(task)

    posterior = idata["posterior"]
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    levels = response_levels(settings.likelihood)
    if not as_frame:
        kinds = response_kinds(levels)
        arrays = int(kinds.numbers) + len(kinds.levels) + int(kind == "response")
        check_size(arrays, n_samples, rows.task.size, "use as_frame=True")
    parameters = shared_parameters(idata, settings.likelihood)
    blocks = predictor_blocks(rows, draws_of, parameters, settings.likelihood)
    values = response_values(blocks, rng if kind == "response" else None)
    if as_frame:
        return response_frame(values, rows, levels, ci_prob)
    return add_group(idata, settings.response, rows, values, levels, in_sample=data is None)


def _check_options(data: Any, given: Any, kind: str, new_task: str, ci_prob: float) -> None:
    """Refuse options that mean nothing."""
    if kind not in ("response_params", "response"):
        raise InvalidModelError(f"kind={kind!r}: use 'response_params' or 'response'")
    if new_task not in ("error", "population"):
        raise InvalidModelError(f"new_task={new_task!r}: use 'error' or 'population'")
    if not 0 < ci_prob < 1:
        raise InvalidModelError(f"ci_prob={ci_prob!r}: use a probability between 0 and 1, as 0.9")
    if given is not None and data is None:
        raise InvalidModelError("given= needs data: pass the rows of the new tasks to predict")


def _refuse_options(used: Mapping[str, bool], why: str) -> None:
    """Refuse options that a model has no use for.

    Raises
    ------
    UnsupportedError
        Naming the first that is used.
    """
    for name, one in used.items():
        if one:
            raise UnsupportedError(f"{name}= does not go with {why}")
