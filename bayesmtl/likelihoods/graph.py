"""The Gaussian likelihood as PyMC variables, on the rows or on the sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.design import response_variable
from bayesmtl.frames.labels import label_text, variable_text
from bayesmtl.likelihoods import Likelihood, Mixed, Ordinal, StudentT, resolve_likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.groups import LOG_SCALE_SD, Group, TaskGroups
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.priors import Prior
from bayesmtl.relations.exchangeable.graph import (
    Coefficients,
    random_variable,
    scalar_variable,
)

if TYPE_CHECKING:
    from bayesmtl.assembly import Prepared

__all__ = ["add_noise", "add_rows", "add_sites", "add_task_scale"]


def add_noise(problem: Problem, likelihood: Likelihood | Mixed) -> tuple[Any, Any]:
    """Noise sd of each task (None: nothing is learned), and that of reference, in user units.

    The first are the parameters of a likelihood that is not Gaussian; of each group of tasks, where
    they differ.
    """
    import pymc as pm
    import pytensor.tensor as pt

    if isinstance(likelihood, Mixed):
        return _add_group_parameters(problem), 1.0
    unit = problem.scaling.response_scale
    known = float(np.sqrt(problem.reference_noise) * unit)
    if not isinstance(likelihood, Gaussian):
        parameters = resolve_likelihood(likelihood, problem.reference_sd).add_parameters()
        return parameters, parameters[0] if isinstance(likelihood, StudentT) else known
    if likelihood.se is not None:
        return None, known
    if likelihood.fixed:
        return pt.as_tensor(likelihood.fixed_sds(problem.rows.tasks)), known
    sd_prior, spread_prior = likelihood.priors(problem.reference_sd)
    n_tasks = problem.prior.n_tasks
    if likelihood.noise == "shared":
        assert isinstance(sd_prior, Prior)
        noise = random_variable("noise_sd", sd_prior)
        return pt.ones(n_tasks) * noise, noise
    median = scalar_variable("noise_median", sd_prior)
    spread = scalar_variable("noise_spread", spread_prior)
    offset = pm.Normal("noise_offset", dims="task")
    noise = pm.Deterministic("noise_sd", median * pt.exp(spread * offset), dims="task")
    return noise, median


def _add_group_parameters(problem: Problem) -> list[Any]:
    """Parameters of each group, and all of them under the names of the posterior."""
    import pymc as pm
    import pytensor.tensor as pt

    assert problem.groups is not None
    each, flat = [], []
    for group in problem.groups.groups:
        with pm.Model(name=_first_task(problem, group)):
            drawn = group.likelihood.add_parameters()
        each.append(drawn)
        size = group.start.size
        several = isinstance(drawn, tuple) or (drawn is not None and drawn.ndim)
        flat += [drawn[k] for k in range(size)] if several else [] if drawn is None else [drawn]
    for block in problem.row_parameters.blocks:
        values = [flat[position] for position in block.positions]
        value = values[0] if block.dim is None else pt.stack(values)
        pm.Deterministic(block.name, value, dims=block.dim)
    return each


def _first_task(problem: Problem, group: Group) -> str:
    """The group as a part of the names of variables."""
    return f"task {variable_text(label_text(problem.rows.tasks[group.tasks[0]]))}"


def add_task_scale(problem: Problem) -> Any:
    """Units times scales of the tasks."""
    import pymc as pm
    import pytensor.tensor as pt

    assert problem.groups is not None
    step = pm.Normal("task_scale_offset", dims="task")
    scale = problem.groups.unit * pt.exp(LOG_SCALE_SD * step)
    return pm.Deterministic("task_scale", scale, dims="task")


def _predictor(problem: Problem, coefficients: Coefficients, known: np.ndarray) -> Any:
    """Of all rows; ``known`` (row,) is what no coefficient enters."""
    import pymc as pm
    import pytensor.tensor as pt

    rows = problem.rows
    task = pm.Data("task_index", rows.task, dims="obs")
    predictor = pt.as_tensor(known)
    if coefficients.intercept is not None:
        predictor = predictor + coefficients.intercept[task]
    if coefficients.weights is not None:
        centred = rows.features - problem.scaling.feature_center
        features = pm.Data("features_centred", centred, dims=("obs", "feature"))
        predictor = predictor + (features * coefficients.weights[task]).sum(axis=1)
    return predictor


def _add_group_rows(
    prepared: Prepared, groups: TaskGroups, coefficients: Coefficients, parameters: list[Any]
) -> None:
    """An observed variable of each group of tasks with one likelihood."""
    import pymc as pm

    problem, weighted = prepared.problem, prepared.columns["weights"] is not None
    predictor = _predictor(problem, coefficients, np.zeros(len(problem.rows.task)))
    for group, own in zip(groups.groups, parameters, strict=True):
        data = group.data
        # The centre of the task is part of its intercept.
        known = data.offset - np.repeat(groups.center[group.tasks], np.diff(data.start))
        of_rows = predictor[group.rows] + known
        levels = isinstance(group.likelihood, Ordinal)
        response = data.response.astype(np.int64) if levels else data.response
        kind, settings = group.likelihood.variable(of_rows, data.size, own)
        name = f"{response_variable(prepared.design)} of {_first_task(problem, group)}"
        if weighted:
            density = pm.logp(kind.dist(**settings), response)
            pm.Potential(name, data.weight * density)
        else:
            kind(name, **settings, observed=response)


def add_rows(
    prepared: Prepared, likelihood: Likelihood | Mixed, coefficients: Coefficients, noise: Any
) -> None:
    """The response as an observed variable, its features and tasks as data containers."""
    import pymc as pm
    import pytensor.tensor as pt

    problem, design = prepared.problem, prepared.design
    rows = problem.rows
    pm.modelcontext(None).add_coord("obs", np.arange(len(rows.task)))
    if isinstance(likelihood, Mixed):
        assert problem.groups is not None
        _add_group_rows(prepared, problem.groups, coefficients, noise)
        return
    known = problem.offset + likelihood.offset(problem.size)
    predictor = _predictor(problem, coefficients, known)
    if isinstance(likelihood, Gaussian):
        task = pm.modelcontext(None)["task_index"]
        sd = noise[task] if problem.standard_error is None else pt.as_tensor(problem.standard_error)
        kind, parameters = pm.Normal, {"mu": predictor, "sigma": sd}
    else:
        kind, parameters = likelihood.variable(predictor, problem.size, noise)
    response = rows.response
    if problem.levels is not None and response is not None:
        response = response.astype(np.int64)
    name = response_variable(design)
    weighted = prepared.columns["weights"] is not None
    if not weighted:
        kind(name, **parameters, observed=response, dims="obs")
        return
    density = pm.logp(kind.dist(**parameters), response)
    pm.Potential(name, problem.row_weight * density, dims="obs")


def add_sites(problem: Problem, coefficients: Coefficients, noise: Any) -> None:
    """The log-likelihood through each task's sufficient statistics."""
    import pymc as pm
    import pytensor.tensor as pt

    n_tasks = problem.prior.n_tasks
    gram = unpack_symmetric(problem.sites.gram, n_tasks)
    moment = unpack_tasks(problem.sites.moment, n_tasks)
    total = unpack_tasks(problem.sites.total, n_tasks)
    counts = unpack_tasks(problem.sites.rows, n_tasks)
    parts = []
    if coefficients.intercept is not None:
        parts.append(coefficients.intercept[:, None])
    if coefficients.weights is not None:
        parts.append(coefficients.weights)
    internal = (pt.concatenate(parts, axis=1) - problem.prior.mean_location[:, 0]) / (
        problem.prior.scale_unit
    )
    image = (gram * internal[:, None, :]).sum(axis=2)
    square = total - 2.0 * (moment * internal).sum(axis=1) + (image * internal).sum(axis=1)
    if noise is None:
        pm.Potential("sites", -0.5 * square, dims="task")
        return
    scaled = noise / problem.scaling.response_scale
    pm.Potential("sites", -counts * pt.log(scaled) - 0.5 * square / scaled**2, dims="task")
