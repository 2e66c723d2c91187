"""Rows to predict: those of the fit, or new ones read from a data frame."""

from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr

from bayesmtl.data import Rows, open_frame, read_rows
from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.labels import label_text, label_texts
from bayesmtl.likelihoods import Likelihood, Mixed, response_levels
from bayesmtl.likelihoods.groups import merge_columns
from bayesmtl.likelihoods.levels import from_stored
from bayesmtl.likelihoods.mixed import partition_tasks
from bayesmtl.posterior.access import require_all_tasks
from bayesmtl.posterior.settings import FitSettings

__all__ = [
    "PredictorRows",
    "feature_names",
    "name_labels",
    "new_rows",
    "refuse_unseen",
    "task_labels",
    "training_rows",
]


class PredictorRows(NamedTuple):
    """Rows as arrays; `tasks` are the tasks of the fit followed by those it has not seen."""

    features: np.ndarray  # (row, feature) in the order of the posterior, "Intercept" included
    task: np.ndarray  # (row,) code into tasks
    tasks: np.ndarray  # (task,) labels
    position: np.ndarray  # (row,) in the user's frame
    offset: np.ndarray  # (row,)
    weight: np.ndarray  # (row,)
    size: np.ndarray  # (row,) trials or exposure, 1 without
    standard_error: np.ndarray | None  # (row,) where it is known and asked for
    response: np.ndarray | None  # (row,) where it is asked for

    def of_task(self, code: int) -> Self:
        """Give the rows of one task."""
        mine = self.task == code
        parts = {
            name: value[mine]
            for name, value in self._asdict().items()
            if name != "tasks" and value is not None
        }
        return self._replace(**parts)


def feature_names(idata: xr.DataTree) -> list[str]:
    """Give the names of the features of a fit, without any for a model of intercepts."""
    posterior = idata["posterior"]
    if "feature" not in posterior.dims:
        return []
    return [str(name) for name in posterior["feature"].to_numpy()]


def task_labels(idata: xr.DataTree) -> np.ndarray:
    """Give the labels of the tasks of a fit."""
    return idata["posterior"]["task"].to_numpy()


def name_labels(labels: np.ndarray) -> str:
    """List the first labels: "task 'a' is" or "3 tasks ('a', 'b', 'c') are"."""
    names = ", ".join(repr(label) for label in labels[:5].tolist())
    if len(labels) == 1:
        return f"task {names} is"
    return f"{len(labels)} tasks ({names}{', ...' if len(labels) > 5 else ''}) are"


def training_rows(idata: xr.DataTree, settings: FitSettings) -> PredictorRows:
    """Read the rows that were fitted, in the order of `observed_data`."""
    data = idata["constant_data"].to_dataset()
    require_all_tasks(data)
    task = data["task_index"].to_numpy().astype(np.int64)
    n_rows, names = task.size, feature_names(idata)
    features = np.empty((n_rows, 0))
    if names:
        features = data["features"].sel(feature=names).transpose("obs", "feature").to_numpy()
    error = data["standard_error"].to_numpy() if "standard_error" in data else None
    trials, exposure = (
        data[role].to_numpy() if role in data else None for role in ("trials", "exposure")
    )
    size = _sizes(trials, exposure, n_rows)
    offset = data["offset"].to_numpy() if "offset" in data else np.zeros(n_rows)
    response = idata["observed_data"][settings.response].to_numpy()
    tasks = task_labels(idata)
    texts = np.array(label_texts(tasks), dtype=object)[task]
    return PredictorRows(
        features=features,
        task=task,
        tasks=tasks,
        position=data["row_position"].to_numpy(),
        offset=offset + _added(settings.likelihood, tasks, task, size),
        weight=data["row_weight"].to_numpy() if "row_weight" in data else np.ones(n_rows),
        size=size,
        standard_error=error,
        response=from_stored(response, texts, response_levels(settings.likelihood)),
    )


def new_rows(
    data: Any,
    idata: xr.DataTree,
    settings: FitSettings,
    *,
    need_response: bool,
    need_noise: bool,
) -> PredictorRows:
    """Read rows of a data frame with the design of the fit.

    Parameters
    ----------
    data : data frame
        pandas, polars or pyarrow, in long format.
    need_response, need_noise : bool
        Whether the response, and the known standard errors, must be there.

    Raises
    ------
    InvalidDataError
        If a column is missing, or as `bayesmtl.data.read_rows`.

    Warns
    -----
    BayesMTLWarning
        As `bayesmtl.data.read_rows`, if rows are dropped.
    """
    wanted = [settings.offset, settings.size]
    if need_response:
        wanted.append(settings.weights)
    if need_noise:
        wanted.append(settings.standard_error)
    extra = [column for column in wanted if column is not None]
    _check_standard_error(data, settings, need_noise)
    users: dict[str, frozenset[str]] = {}
    if isinstance(settings.likelihood, Mixed):
        users = settings.likelihood.users(need_noise=need_noise)
        users = {name: some for name, some in users.items() if name not in extra}
    rows = read_rows(
        data,
        settings.design,
        task=settings.task,
        tasks=task_labels(idata),
        extra=[*extra, *users],
        missing=settings.missing,
        need_response=need_response,
        levels=response_levels(settings.likelihood),
        users=users,
    )
    offset, weight = _extra(rows, settings.offset), _extra(rows, settings.weights)
    columns = {"se": settings.standard_error, "trials": settings.size, "exposure": None}
    if isinstance(settings.likelihood, Mixed):
        _require_likelihoods(settings.likelihood, rows.tasks, settings.task)
        rows, columns = merge_columns(settings.likelihood, rows)
    error = _extra(rows, columns["se"])
    trials, exposure = _extra(rows, columns["trials"]), _extra(rows, columns["exposure"])
    size = _sizes(trials, exposure, rows.task.size)
    for one, codes in partition_tasks(settings.likelihood, rows.tasks, split_noise=False):
        mine = np.isin(rows.task, codes)
        response = None if rows.response is None else rows.response[mine]
        one.check(response, size[mine], rows.position[mine])
    added = _added(settings.likelihood, rows.tasks, rows.task, size)
    _check_values(rows, columns["se"], error, "standard errors must be positive")
    _check_values(rows, settings.weights, weight, "row weights must not be negative")
    return PredictorRows(
        features=_columns(rows.features, settings.design.features, feature_names(idata)),
        task=rows.task,
        tasks=rows.tasks,
        position=rows.position,
        offset=added if offset is None else added + offset,
        weight=np.ones(rows.task.size) if weight is None else weight,
        size=size,
        standard_error=error,
        response=rows.response,
    )


def refuse_unseen(rows: PredictorRows, n_known: int, task: str) -> None:
    """Refuse rows of tasks without draws.

    Raises
    ------
    InvalidDataError
        Naming the first of these tasks.
    """
    unseen = rows.tasks[n_known:]
    if unseen.size:
        raise InvalidDataError(
            f"{name_labels(unseen)} in column '{task}' but not in the fit: leave these rows out, "
            "or fit with them"
        )


def _check_standard_error(data: Any, settings: FitSettings, need_noise: bool) -> None:
    """Refuse a frame without the known standard errors where the noise is needed."""
    column = settings.standard_error
    if need_noise and column is not None and column not in open_frame(data).columns:
        raise InvalidDataError(
            f"the standard errors of the response are read from column '{column}', which the data "
            f'lack: add it, or use kind="response_params" for the expected response'
        )


def _require_likelihoods(likelihood: Mixed, tasks: np.ndarray, column: str) -> None:
    """Refuse tasks of which nobody has said what their response is."""
    known = {label for label, _ in likelihood.tasks}
    without = np.array([x for x in tasks.tolist() if label_text(x) not in known], dtype=object)
    if without.size:
        raise InvalidDataError(
            f"{name_labels(without)} in column '{column}' but not in the fit, whose tasks have "
            "different likelihoods: leave these rows out, or use bm.predict(..., "
            'new_task="population", likelihood={task: ...})'
        )


def _added(
    likelihood: Likelihood | Mixed, tasks: np.ndarray, task: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """What the sizes add to the predictor of each row."""
    out = np.empty(len(size))
    for one, codes in partition_tasks(likelihood, tasks, split_noise=False):
        mine = np.isin(task, codes)
        out[mine] = one.offset(size[mine])
    return out


def _sizes(trials: np.ndarray | None, exposure: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Trials or exposure of each row, 1 without; a row has one of them at most."""
    size = np.ones(n_rows)
    for given in (trials, exposure):
        if given is not None:
            size = np.where(np.isnan(given), size, given)
    return size


def _extra(rows: Rows, column: str | None) -> np.ndarray | None:
    """Give a further column, if the model has it and it was read."""
    return None if column is None else rows.extra.get(column)


def _check_values(rows: Rows, column: str | None, values: np.ndarray | None, rule: str) -> None:
    """Refuse negative values, and zeros where they must be positive."""
    if values is None:
        return
    broken = np.flatnonzero(values <= 0 if "positive" in rule else values < 0)
    if broken.size:
        raise InvalidDataError(
            f"{rule}: column '{column}' holds {values[broken[0]]:g} in row "
            f"{rows.position[broken[0]]} ({broken.size} such rows); correct or remove them"
        )


def _columns(features: np.ndarray, have: tuple[str, ...], wanted: list[str]) -> np.ndarray:
    """Put the columns into the order of the posterior, with ones for "Intercept"."""
    ones = np.ones(len(features))
    columns = [ones if name == "Intercept" else features[:, have.index(name)] for name in wanted]
    return np.column_stack(columns) if columns else np.empty((len(features), 0))
