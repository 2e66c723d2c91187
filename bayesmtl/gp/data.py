"""From a data frame to rows of functions in internal units, with their prior."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmtl.cautions import warn_of_yes_or_no
from bayesmtl.data import Rows, read_rows
from bayesmtl.design import Design, learn_design
from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.frames.labels import sort_labels
from bayesmtl.gp.hyperparameters import GIVEN, HUANG_WAND, LOW_RANK, HyperPrior
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.likelihoods import StudentT
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.priors import Prior, PriorLike, table_row
from bayesmtl.relations.matrices import FixedMatrix
from bayesmtl.relations.settings import per_feature

if TYPE_CHECKING:
    from bayesmtl.gp.model import MultiTaskGP

__all__ = ["MEDIAN_LENGTH", "FunctionProblem", "Units", "noise_prior", "read_functions"]

# Up to so many tasks their covariance has full rank by default; beyond, so many factors.
_FEW_TASKS, _DEFAULT_RANK = 12, 3
# Median of a length-scale in half ranges of an input, for one input, and sd of its log.
MEDIAN_LENGTH, _LOG_LENGTH_SD = 0.6, 1.0
_MEDIAN_NOISE, _LOG_NOISE_SD = 0.3, 1.5
_LEVEL_SD, _LINK_LEVEL_SD = 1.0, 2.5
# Rows that the pooled spread of a task's response weighs, on the log scale.
_SPREAD_ROWS = 2.0
_ROUNDING = 1e-13


class Units(NamedTuple):
    """``internal = (user - center) / scale``.

    Parameters
    ----------
    input_center, input_scale : (input,)
    response_center, response_scale : (task,)
        The centre is the prior mean of the task's intercept.
    """

    input_center: np.ndarray
    input_scale: np.ndarray
    response_center: np.ndarray
    response_scale: np.ndarray


class FunctionProblem(NamedTuple):
    """One data set under one model.

    Parameters
    ----------
    table : Rows
        User units, in the order of the frame.
    rows : FunctionRows
        Internal units, sorted by task.
    order : (row,)
        Place in ``table`` of each of ``rows``.
    units : Units
    prior : HyperPrior
    inputs : tuple of str
    design : Design
    kernel : str
    intercept : float or None
        Prior mean of the intercepts where it is set, internal units.
    """

    table: Rows
    rows: FunctionRows
    order: np.ndarray
    units: Units
    prior: HyperPrior
    inputs: tuple[str, ...]
    design: Design
    kernel: str
    intercept: float | None = None

    @property
    def log_unit(self) -> float:
        """What a log density of the response loses when its unit is the user's."""
        return float(np.log(self.units.response_scale)[self.rows.task].sum())


def read_functions(model: MultiTaskGP, data: Any) -> FunctionProblem:
    """Read the data and put them together with the prior.

    Raises
    ------
    InvalidDataError, InvalidModelError
        See the messages: each names the column, task or value and what to do.
    """
    columns = [name for name in model.likelihood.columns.values() if name is not None]
    also = (model.task, *columns) if model.missing == "drop" else ()
    design = learn_design(model.formula, data, also=also)
    if not design.features:
        raise InvalidModelError(
            f"the formula {model.formula!r} has no inputs: write the columns that the functions "
            'depend on, "y ~ x1 + x2"'
        )
    given = model.task_covariance
    declared = given.labels if isinstance(given, FixedMatrix) else None
    tasks = None if declared is None else sort_labels(declared)
    table = read_rows(
        data,
        design,
        task=model.task,
        missing=model.missing,  # type: ignore[arg-type]
        tasks=tasks,
        extra=columns,
        warn_single=isinstance(model.likelihood, Gaussian),
    )
    assert table.response is not None
    warn_of_yes_or_no(table, model.likelihood)
    if tasks is not None and len(table.tasks) > len(tasks):
        raise InvalidModelError(
            f"task_covariance has no row for the task {table.tasks[len(tasks)]!r} of the data: its "
            f"labels are {', '.join(map(str, tasks[:5]))}"
        )
    units = _units(model, table, design)
    order = np.argsort(table.task, kind="stable")
    task = table.task[order]
    response = (table.response[order] - units.response_center[task]) / units.response_scale[task]
    rows = FunctionRows(
        np.ascontiguousarray((table.features[order] - units.input_center) / units.input_scale),
        task,
        response,
        len(table.tasks),
        _level_sd(model, design, units),
    )
    prior = _prior(model, design, table.tasks, units)
    level = None
    if isinstance(model.intercept, Prior):
        level = dict(model.intercept.params)["mu"] / float(units.response_scale[0])
    return FunctionProblem(
        table, rows, order, units, prior, design.features, design, model.kernel, level
    )


def _units(model: MultiTaskGP, table: Rows, design: Design) -> Units:
    assert table.response is not None
    low, high = table.features.min(axis=0), table.features.max(axis=0)
    half = 0.5 * (high - low)
    size = np.maximum(np.abs(low), np.abs(high))
    center = 0.5 * low + 0.5 * high
    return Units(
        center,
        np.where(half > _ROUNDING * size, half, 1.0),
        _response_center(model, table, design),
        _response_scale(model, table),
    )


def _response_scale(model: MultiTaskGP, table: Rows) -> np.ndarray:
    """Unit (task,) of each task's functions: of the response, or of the predictor."""
    assert table.response is not None
    n_tasks = len(table.tasks)
    measured = isinstance(model.likelihood, Gaussian | StudentT)
    if not measured:
        return np.ones(n_tasks)
    spread = response_spread(table.response, table.task, n_tasks)
    own = isinstance(model.likelihood, Gaussian) and model.noise == "task"
    if own and not isinstance(model.intercept, Prior):
        return spread
    # What all tasks share is in one unit.
    counts = np.bincount(table.task, minlength=n_tasks)
    means = np.bincount(table.task, table.response, minlength=n_tasks) / np.maximum(counts, 1)
    within = float(((table.response - means[table.task]) ** 2).mean())
    return np.full(n_tasks, math.sqrt(within) if within > 0.0 else spread[0])


def response_spread(response: np.ndarray, task: np.ndarray, n_tasks: int) -> np.ndarray:
    """Sd of the response of each task (task,), that of few rows drawn to the typical one.

    Raises
    ------
    InvalidDataError
        When the response varies in no task.
    """
    counts = np.bincount(task, minlength=n_tasks)
    means = np.bincount(task, response, minlength=n_tasks) / np.maximum(counts, 1)
    square = np.bincount(task, (response - means[task]) ** 2, minlength=n_tasks)
    sd = np.sqrt(square / np.maximum(counts - 1, 1))
    size = float(np.abs(response).max(initial=0.0))
    varies = sd > _ROUNDING * size
    if not varies.any():
        if float(np.ptp(response)) > _ROUNDING * size:
            return np.full(n_tasks, float(response.std()))
        raise InvalidDataError(
            f"the response is constant ({response[0]:g} in all {len(response)} rows), so it cannot "
            "set the scale of the priors; check the column"
        )
    degrees = np.where(varies, counts - 1.0, 0.0)
    logs = np.log(np.where(varies, sd, 1.0))
    typical = float((degrees * logs).sum() / degrees.sum())
    return np.exp((degrees * logs + _SPREAD_ROWS * typical) / (degrees + _SPREAD_ROWS))


def _response_center(model: MultiTaskGP, table: Rows, design: Design) -> np.ndarray:
    """Prior mean of the intercept of each task."""
    assert table.response is not None
    n_tasks, own = len(table.tasks), model.intercept
    if not design.intercept or not isinstance(model.likelihood, Gaussian):
        return np.zeros(n_tasks)
    if isinstance(own, Prior):
        return np.full(n_tasks, dict(own.params)["mu"])
    if own is not None:
        return np.full(n_tasks, own)
    if model.task_covariance is not None:
        return np.zeros(n_tasks)
    counts = np.bincount(table.task, minlength=n_tasks)
    sums = np.bincount(table.task, table.response, minlength=n_tasks)
    return np.where(counts > 0, sums / np.maximum(counts, 1), table.response.mean())


def _level_sd(model: MultiTaskGP, design: Design, units: Units) -> np.ndarray:
    """Prior sd of the intercept of each task, internal units."""
    n_tasks, own = len(units.response_scale), model.intercept
    if isinstance(own, Prior) and design.intercept:
        return dict(own.params)["sigma"] / units.response_scale
    learned = design.intercept and own is None and model.task_covariance is None
    measured = isinstance(model.likelihood, Gaussian | StudentT)
    return np.full(n_tasks, (_LEVEL_SD if measured else _LINK_LEVEL_SD) if learned else 0.0)


def _prior(model: MultiTaskGP, design: Design, tasks: np.ndarray, units: Units) -> HyperPrior:
    n_tasks, number = len(tasks), model.n_components
    given = np.broadcast_to(np.eye(n_tasks), (number, n_tasks, n_tasks)).copy()
    kind, rank = LOW_RANK, model.rank or _DEFAULT_RANK
    if isinstance(model.task_covariance, FixedMatrix):
        matrix = model.task_covariance.arranged(tasks.tolist(), "task", "task_covariance")
        kind = GIVEN
        given = (matrix / np.outer(units.response_scale, units.response_scale))[None]
    elif model.rank is None and n_tasks <= _FEW_TASKS:
        kind = HUANG_WAND
    lengths = _lengthscale_priors(model, design.features, units.input_scale)
    return HyperPrior(
        kind=kind,
        given=given,
        rank=min(rank, n_tasks) if kind == LOW_RANK else 0,
        lengthscale_rows=np.tile([table_row(one) for one in lengths], (number, 1, 1)),
        lengthscale_unit=units.input_scale,
        noise_rows=np.array(
            [table_row(one) for one in _noise_priors(model, tasks, units.response_scale)]
        ),
        noise_unit=units.response_scale,
        shared_noise=model.noise == "shared",
    )


def _lengthscale_priors(
    model: MultiTaskGP, inputs: tuple[str, ...], scale: np.ndarray
) -> list[PriorLike]:
    # Distances grow as the root of the number of inputs.
    median = MEDIAN_LENGTH * math.sqrt(len(inputs)) * scale
    default: list[PriorLike] = [
        Prior("LogNormal", mu=math.log(one), sigma=_LOG_LENGTH_SD) for one in median.tolist()
    ]
    return per_feature(model.lengthscale, inputs, default, "MultiTaskGP lengthscale")


def noise_prior(unit: float) -> Prior:
    """Of the noise sd of a task: away from zero, which rows that do not vary would lead to."""
    return Prior("LogNormal", mu=math.log(_MEDIAN_NOISE * unit), sigma=_LOG_NOISE_SD)


def _noise_priors(model: MultiTaskGP, tasks: np.ndarray, scale: np.ndarray) -> list[PriorLike]:
    own = model.noise_sd
    default = [noise_prior(one) for one in scale.tolist()]
    if own is None:
        return list(default)
    if isinstance(own, tuple):
        if len(own) != len(tasks):
            raise InvalidModelError(
                f"noise_sd has {len(own)} numbers, the data have {len(tasks)} tasks: give one for "
                f"each of {', '.join(map(str, tasks[:5]))}, in this order, or a mapping"
            )
        return list(own)
    if isinstance(own, Prior | float):
        return [own] * len(tasks)
    names = [str(label) for label in tasks.tolist()]
    unknown = [key for key in own if key not in names]
    if unknown:
        raise InvalidModelError(
            f"noise_sd: {unknown[0]!r} is no task of the data; its tasks are {', '.join(names[:5])}"
        )
    return [own.get(name, one) for name, one in zip(names, default, strict=True)]
