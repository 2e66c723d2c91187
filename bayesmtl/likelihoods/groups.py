"""Tasks of different kinds in one problem: groups that share a likelihood, and their loops.

The predictor of row i of task t is ``center_t + offset_i + u_t s_t x_i'w_t``, with the unit u_t of
its likelihood and the learned scale ``log s_t ~ Normal(0, 0.5)``. The features of the rows here are
``u_t x_i``; those of a chain are multiplied by its s_t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.data import Rows
from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.labels import label_text, variable_text
from bayesmtl.likelihoods.gaussian import Gaussian, Sites
from bayesmtl.likelihoods.gaussian_rows import GaussianRows
from bayesmtl.likelihoods.group_centers import move_group_centers
from bayesmtl.likelihoods.mixed import Mixed, partition_tasks
from bayesmtl.likelihoods.pilot import pilot_sites
from bayesmtl.likelihoods.protocol import refuse_rows
from bayesmtl.likelihoods.reference import reference_of, total_exposure
from bayesmtl.likelihoods.rows import ParameterBlock, RowData, RowKernels, RowParameters, sort_rows
from bayesmtl.likelihoods.student_t import StudentT
from bayesmtl.numerics.lanes import pack_tasks, unpack_symmetric, unpack_tasks
from bayesmtl.priors import Prior, table_row
from bayesmtl.scaling import response_scaling, robust_unit

__all__ = [
    "LOG_SCALE_SD",
    "Group",
    "TaskGroups",
    "group_kernels",
    "group_parameters",
    "group_rows",
    "group_sites",
    "learn_groups",
    "merge_columns",
    "mixed_blocks",
    "row_likelihood",
    "sub_rows",
]

LOG_SCALE_SD = 0.5
_KINDS = {"NegativeBinomial": "negative_binomial", "Ordinal": "ordinal", "StudentT": "student_t"}


class Group(NamedTuple):
    """Tasks that share a likelihood and its parameters.

    Parameters
    ----------
    settings : Likelihood
        As the user wrote it.
    likelihood : RowLikelihood or GaussianRows
        With its default priors.
    tasks : (group_task,)
        Codes.
    rows : (group_row,)
        Positions among the rows of the problem, in order of their tasks.
    data : RowData
        Of these rows.
    start : (parameter,)
    parameters : slice
        Of those of all groups.
    """

    settings: Any
    likelihood: Any
    tasks: np.ndarray
    rows: np.ndarray
    data: RowData
    start: np.ndarray
    parameters: slice


class TaskGroups(NamedTuple):
    """All groups.

    Parameters
    ----------
    groups : tuple of Group
    center : (task,)
        Predictor at which the defaults are centred, 0 without an intercept.
    unit : (task,)
        Of the predictor.
    """

    groups: tuple[Group, ...]
    center: np.ndarray
    unit: np.ndarray


def row_likelihood(settings: Any, unit: float) -> Any:
    """With its default priors, for a response of scale ``unit``."""
    if isinstance(settings, Gaussian):
        if settings.fixed:
            return GaussianRows(None)
        prior, _ = settings.priors(unit)
        assert isinstance(prior, Prior)
        return GaussianRows(prior)
    return settings.resolve(unit) if isinstance(settings, StudentT) else settings


def merge_columns(likelihood: Mixed, rows: Rows) -> tuple[Rows, dict[str, str | None]]:
    """One column for each role, NaN in rows without it, and its name."""
    extra = dict(rows.extra)
    names: dict[str, str | None] = {}
    for role, of_task in likelihood.columns.items():
        used = sorted(set(of_task.values()) & set(rows.extra))
        names[role] = f"{role} in {' and '.join(used)}" if used else None
        if not used:
            continue
        values = np.full(len(rows.task), np.nan)
        for one, codes in partition_tasks(likelihood, rows.tasks, split_noise=False):
            column = one.columns.get(role)
            if column in rows.extra:
                mine = np.isin(rows.task, codes)
                values[mine] = rows.extra[column][mine]
        extra[f"{role} in {' and '.join(used)}"] = values
    return rows._replace(extra=extra), names


def learn_groups(
    likelihood: Mixed,
    rows: Rows,
    design: np.ndarray,
    *,
    offset: np.ndarray,
    weight: np.ndarray,
    intercept: bool,
    standardize: bool,
) -> TaskGroups:
    """Centres, units and rows of the groups, and where their parameters start.

    Parameters
    ----------
    likelihood : Mixed
    rows : Rows
    design : (row, p)
        Internal features.
    offset, weight : (row,)
    intercept : bool
        Whether there is any.
    standardize : bool
        Whether the data set the unit of measured responses.

    Raises
    ------
    InvalidDataError
        For responses outside the support; measured responses that set no scale; known standard
        errors, trials or exposures that are meaningless; likelihoods of tasks without rows alone.
    """
    n_tasks = len(rows.tasks)
    groups: list[Group] = []
    center, unit = np.zeros(n_tasks), np.ones(n_tasks)
    first = 0
    for settings, tasks in partition_tasks(likelihood, rows.tasks):
        mine = np.flatnonzero(np.isin(rows.task, tasks))
        mine = mine[np.argsort(rows.task[mine], kind="stable")]
        part, labels = sub_rows(rows, mine), rows.tasks[tasks]
        if not mine.size:
            raise InvalidDataError(
                f"task {label_text(labels[0])!r} has no rows, and no other task shares the "
                f"parameters of its likelihood {settings!r}, which nothing tells then: give it "
                "rows, or leave it out of the relation and of the likelihoods"
            )
        local = np.searchsorted(tasks, part.task)
        sizes = _sizes(settings, part, labels, local)
        assert part.response is not None
        settings.check(part.response, sizes, part.position)
        own = (part.response, sizes, offset[mine], weight[mine])
        middle, scale = _reference(settings, labels, *own, standardize=standardize)
        center[tasks], unit[tasks] = middle if intercept else 0.0, scale
        one = row_likelihood(settings, scale)
        data = sort_rows(
            design[mine] * scale,
            part.response,
            local,
            len(tasks),
            offset=center[part.task] + offset[mine] + settings.offset(sizes),
            size=sizes,
            weight=weight[mine],
        )
        start = _start(one, data, *own)
        last = first + start.size
        groups.append(Group(settings, one, tasks, mine, data, start, slice(first, last)))
        first = last
    return TaskGroups(tuple(groups), center, unit)


def sub_rows(rows: Rows, chosen: np.ndarray) -> Rows:
    """Some of the rows, of the same tasks."""
    assert rows.response is not None
    return rows._replace(
        features=rows.features[chosen],
        response=rows.response[chosen],
        task=rows.task[chosen],
        position=rows.position[chosen],
        extra={name: values[chosen] for name, values in rows.extra.items()},
    )


def _sizes(settings: Any, rows: Rows, labels: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Trials, exposure or known noise sd of each row, else 1."""
    column = next((name for name in settings.columns.values() if name is not None), None)
    if isinstance(settings, Gaussian):
        if column is None:
            return settings.fixed_sds(labels)[local] if settings.fixed else np.ones(len(local))
        rule = f"standard errors in column {column!r} must be positive"
        refuse_rows(rows.extra[column] <= 0.0, rows.extra[column], rows.position, rule)
    return np.ones(len(local)) if column is None else rows.extra[column]


def _reference(
    settings: Any,
    labels: np.ndarray,
    response: np.ndarray,
    size: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray,
    *,
    standardize: bool,
) -> tuple[float, float]:
    """Centre of the predictor without its offset, and its unit."""
    if not isinstance(settings, Gaussian | StudentT):
        center, noise = reference_of(settings, response, size, offset, weight)
        return center, math.sqrt(noise)
    measured = response - offset
    try:
        if isinstance(settings, Gaussian):
            return response_scaling(measured, intercept=True, standardize=standardize)
        center, noise = settings.reference(measured, size, weight)
        return center, robust_unit(measured, math.sqrt(noise)) if standardize else 1.0
    except InvalidDataError as error:
        names = ", ".join(repr(label) for label in labels[:5].tolist())
        plural = "s" if len(labels) > 1 else ""
        raise InvalidDataError(f"task{plural} {names}: {error}") from error


def _start(
    likelihood: Any,
    data: RowData,
    response: np.ndarray,
    size: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Known parameters, or an estimate from the rows of the group."""
    if isinstance(likelihood, StudentT | GaussianRows):
        start = likelihood.start(response - offset, size, weight)
        return likelihood.pilot(data, start, 1.0)
    return np.asarray(likelihood.start(response, total_exposure(likelihood, size, offset), weight))


def group_sites(groups: Sequence[Group], n_tasks: int) -> Sites:
    """Pilot sites of all tasks at scale one; the tasks of a group lean on each other."""
    p = groups[0].data.features.shape[0]
    gram, moment = np.zeros((n_tasks, p, p)), np.zeros((n_tasks, p))
    scalars = np.zeros((3, n_tasks))
    for group in groups:
        count = len(group.tasks)
        part = pilot_sites(group.data, group.likelihood.kernels, group.start)
        gram[group.tasks] = unpack_symmetric(part.gram, count)
        moment[group.tasks] = unpack_tasks(part.moment, count)
        for values, lanes in zip(scalars, part[2:], strict=True):
            values[group.tasks] = unpack_tasks(lanes, count)
    row, column = np.tril_indices(p)
    precision, total, rows = (pack_tasks(values) for values in scalars)
    return Sites(pack_tasks(gram[:, row, column]), pack_tasks(moment), precision, total, rows)


def group_rows(groups: Sequence[Group]) -> tuple[RowData, ...]:
    """Rows of each group for its kernels, under the codes that its tasks have among all."""
    return tuple(group.data._replace(task=group.tasks) for group in groups)


def group_kernels(groups: Sequence[Group]) -> RowKernels:
    """Loops over the rows of every group, which are `group_rows`, by its own kernels."""
    each = [(group.likelihood.kernels, group.parameters) for group in groups]

    def evaluate(rows: Any, weights: np.ndarray, parameters: np.ndarray, out: np.ndarray) -> None:
        for part, (kernels, own) in zip(rows, each, strict=True):
            kernels.evaluate(part, weights, parameters[own], out)

    def moments(
        rows: Any, weights: np.ndarray, parameters: np.ndarray, gram: np.ndarray, score: np.ndarray
    ) -> None:
        for part, (kernels, own) in zip(rows, each, strict=True):
            kernels.moments(part, weights, parameters[own], gram, score)

    def move(rows: Any, parameters: np.ndarray, *state: Any) -> None:
        for part, (kernels, own) in zip(rows, each, strict=True):
            kernels.move(part, parameters[own], *state)

    def score(rows: Any, weights: np.ndarray, parameters: np.ndarray, out: np.ndarray) -> None:
        for part, (kernels, own) in zip(rows, each, strict=True):
            kernels.score(part, weights, parameters[own], out)

    def update(
        rows: Any, weights: np.ndarray, parameters: np.ndarray, prior: Any, rng: Any
    ) -> None:
        for part, (kernels, own), known in zip(rows, each, prior, strict=True):
            if kernels.update is not None:
                kernels.update(part, weights, parameters[own], known, rng)

    def log_parameters(rows: Any, parameters: np.ndarray, prior: Any) -> float:
        return sum(
            kernels.log_parameters(part, parameters[own], known)
            for part, (kernels, own), known in zip(rows, each, prior, strict=True)
            if kernels.log_parameters is not None
        )

    learned = any(kernels.update is not None for kernels, _ in each)
    whole = RowKernels(evaluate, moments, move, score, update if learned else None, log_parameters)
    return whole._replace(move_centers=partial(move_group_centers, whole))


def group_parameters(groups: Sequence[Group], labels: np.ndarray) -> RowParameters:
    """Parameters of all groups, with priors as the kernels of each want them."""
    none = table_row(1.0)
    priors = []
    for group in groups:
        prior = group.likelihood.prior
        scaled = isinstance(group.likelihood, StudentT | GaussianRows)
        priors.append((prior, 1.0, 0.0, none) if scaled else prior)
    start = np.concatenate([group.start for group in groups])
    blocks = _group_blocks([(group.likelihood, group.tasks) for group in groups], labels)
    return RowParameters(blocks, start, priors)  # type: ignore[arg-type]


def mixed_blocks(likelihood: Mixed, labels: np.ndarray) -> tuple[ParameterBlock, ...]:
    """Posterior variables of the parameters of a mapping, for its tasks (task,)."""
    found = partition_tasks(likelihood, labels)
    return _group_blocks([(row_likelihood(one, 1.0), tasks) for one, tasks in found], labels)


def _group_blocks(
    groups: Sequence[tuple[Any, np.ndarray]], labels: np.ndarray
) -> tuple[ParameterBlock, ...]:
    """Posterior variables of the parameters of all groups, in their order.

    Noise sds are one variable, labelled by task. Other names begin with the kind of likelihood and,
    where groups share it, end with the first task, as the dimensions of their labels do.

    Parameters
    ----------
    groups : sequence of (likelihood, codes of its tasks)
    labels : (task,)
    """
    kinds = [type(likelihood).__name__ for likelihood, _ in groups]
    noise: list[tuple[int, int, bool]] = []
    out: list[ParameterBlock] = []
    position = 0
    for (likelihood, tasks), kind in zip(groups, kinds, strict=True):
        for block in likelihood.parameters:
            last = position + max(1, len(block.labels))
            if block.name == "noise_sd":
                noise += [(int(task), position, bool(block.fixed)) for task in tasks]
            else:
                first = variable_text(label_text(labels[tasks[0]]))
                end = f"_{first}" if kinds.count(kind) > 1 else ""
                name = f"{_KINDS[kind]}_{block.name}{end}"
                dim = None if block.dim is None else f"{block.dim}{end}"
                places = tuple(range(position, last))
                out.append(block._replace(name=name, dim=dim, positions=places))
            position = last
    if noise:
        noise.sort()
        names = labels[[task for task, _, _ in noise]].tolist()
        known = tuple(name for name, (_, _, fixed) in zip(names, noise, strict=True) if fixed)
        places = tuple(place for _, place, _ in noise)
        block = ParameterBlock("noise_sd", tuple(names), "noise_task", log=True, fixed=known)
        out.insert(0, block._replace(positions=places))
    return tuple(out)
