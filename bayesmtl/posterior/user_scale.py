"""Draws in internal units to variables on the user's scale."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.likelihoods.parameters import parameter_coords, parameter_variables, rescale
from bayesmtl.numerics.densities import FIXED
from bayesmtl.posterior.partition_draws import mixture_moments, partition_variables
from bayesmtl.posterior.selection import selection_variables
from bayesmtl.posterior.sparse import expected_sparse, sparse_variables
from bayesmtl.posterior.task_draws import population_moments, task_variables
from bayesmtl.priors import Prior
from bayesmtl.relations.graph.known import TreeStructure
from bayesmtl.scaling import INTERCEPT

__all__ = ["posterior_variables"]

_SAMPLE = ("chain", "draw")


def posterior_variables(
    problem: Problem, draws: Draws, task_feature_names: tuple[str, ...]
) -> xr.Dataset:
    """The posterior group without `sharing` and `borrowing`.

    Parameters
    ----------
    problem : Problem
    draws : Draws
        (chain, draw, ...).
    task_feature_names : tuple of str

    Returns
    -------
    xarray.Dataset
        With labelled dimensions; quantities that are fixed carry the attribute ``constant``.
    """
    out: dict[str, Any] = {}
    if problem.features:
        _features(problem, draws, out, bool(task_feature_names))
    if problem.separate_intercept:
        _intercept(problem, draws, out, bool(task_feature_names))
    _of_tasks(problem, draws, out)
    _noise(problem, draws, out)
    if draws.shared is not None:
        out["shared_fraction"] = (_SAMPLE, draws.shared)
    if draws.selection is not None:
        out |= selection_variables(problem, draws)
    parts = None
    if draws.sparse is not None:
        out |= sparse_variables(problem, draws)
        parts = out.pop("part")
    blocks = problem.row_parameters.blocks
    coords = _coords(problem, draws, out, task_feature_names)
    if parts is not None:
        coords["part"] = parts
    if draws.parameters is not None:
        user = rescale(blocks, draws.parameters, 1.0 / problem.scaling.response_scale)
        out |= parameter_variables(blocks, user)
    coords |= parameter_coords(blocks)
    return xr.Dataset(out, coords)


def _coords(
    problem: Problem, draws: Draws, out: dict[str, Any], task_feature_names: tuple[str, ...]
) -> dict[str, Any]:
    n_chains, n_draws = draws.lp.shape
    coords: dict[str, Any] = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
    coords["task"] = problem.rows.tasks
    if "task_correlation" in out:
        coords["task_bis"] = problem.rows.tasks
    if "level_share" in out:
        assert problem.task_covariance is not None
        structure = problem.task_covariance.structure
        assert isinstance(structure, TreeStructure)
        coords["level"] = np.array(structure.names, dtype=object)
    if problem.features:
        coords["feature"] = np.array(problem.features, dtype=object)
        if "feature_correlation" in out or "population_correlation" in out:
            coords["feature_bis"] = np.array(problem.features, dtype=object)
    if task_feature_names:
        coords["task_feature"] = np.array(task_feature_names, dtype=object)
    return coords


def _of_tasks(problem: Problem, draws: Draws, out: dict[str, Any]) -> None:
    """Coefficients of the tasks on the scale of their own predictors, where these differ."""
    if problem.groups is None or draws.task_scale is None:
        return
    scale, center = problem.groups.unit * draws.task_scale, problem.groups.center
    out["task_scale"] = ((*_SAMPLE, "task"), scale)
    if problem.separate_intercept:
        dims, values = out["intercept"]
        out["intercept"] = (dims, center + scale * values)
    if problem.features:
        dims, values, same = out["weights"]
        values = values * scale[..., None]
        if INTERCEPT in problem.features:
            values[..., problem.features.index(INTERCEPT)] += center
        # What is fixed at another number than 0 varies with the scale.
        names = json.loads(same.get("constant", "[]"))
        zero = [row[0] == 0.0 for row in problem.blocks[-1].mean]
        kept = [x for x, is_zero in zip(problem.features, zero, strict=True) if is_zero]
        still = [x for x in names if x in kept]
        out["weights"] = (dims, values, {"constant": json.dumps(still)} if still else {})


def _features(problem: Problem, draws: Draws, out: dict[str, Any], effects: bool) -> None:
    first = int(problem.separate_intercept)
    prior, block = problem.prior, problem.blocks[-1]
    unit, location = prior.scale_unit[first:], prior.mean_location[first:, 0]
    if draws.weights is not None:
        weights = location + unit * draws.weights[..., first:]
        same = _fixed(
            [
                row[0]
                if scale == 0 and all(_is_fixed(value) for value in row) and draws.sparse is None
                else None
                for row, scale in zip(block.mean, block.scale, strict=True)
            ],
            problem.features,
        )
        out["weights"] = ((*_SAMPLE, "task", "feature"), weights, same)
    _population(problem, draws, out)
    if draws.correlation is not None:
        correlation = draws.correlation[..., first:, first:]
        fixed = [
            name for name, scale in zip(problem.features, block.scale, strict=True) if scale == 0
        ]
        attrs: dict[str, Any] = {"constant": json.dumps(fixed)} if fixed else {}
        attrs = attrs if block.correlation is None else {"constant": 1}
        out["feature_correlation"] = ((*_SAMPLE, "feature", "feature_bis"), correlation, attrs)
    if effects:
        values = prior.mean_unit[first:, 1:] * draws.means[..., first:, 1:]
        fixed_effects = _all_fixed(value for row in block.mean for value in row[1:])
        out["task_effects"] = ((*_SAMPLE, "feature", "task_feature"), values, fixed_effects)


def _population(problem: Problem, draws: Draws, out: dict[str, Any]) -> None:
    """Means and sds of the weights of a new task."""
    prior, block, first = problem.prior, problem.blocks[-1], int(problem.separate_intercept)
    unit, location = prior.scale_unit[first:], prior.mean_location[first:, 0]
    fixed_means = _fixed([row[0] for row in block.mean], problem.features)
    fixed_scales = _fixed(block.scale, problem.features)
    mean, sd = draws.means[..., first:, 0], draws.scale[..., first:]
    prefix = "population" if draws.partition is None else "base"
    out[f"{prefix}_mean"] = ((*_SAMPLE, "feature"), location + unit * mean, fixed_means)
    if draws.tasks is not None:
        _correlated_tasks(problem, draws, out, fixed_scales)
        return
    if draws.partition is None and draws.sparse is not None:
        fixed_scales, sd = {}, np.sqrt(sd**2 + expected_sparse(draws))
    out[f"{prefix}_sd"] = ((*_SAMPLE, "feature"), unit * sd, fixed_scales)
    if draws.partition is not None:
        mean, sd = mixture_moments(problem, draws)
        sd = np.sqrt(sd**2 + expected_sparse(draws))
        out["population_mean"] = ((*_SAMPLE, "feature"), location + unit * mean)
        out["population_sd"] = ((*_SAMPLE, "feature"), unit * sd)
        out |= partition_variables(problem, draws)


def _correlated_tasks(
    problem: Problem, draws: Draws, out: dict[str, Any], fixed_scales: dict[str, Any]
) -> None:
    """Spread of the weights of a new task, and the covariance of the tasks."""
    assert problem.task_covariance is not None
    sd, correlation = population_moments(problem, draws)
    if draws.sparse is not None:
        assert correlation is not None
        wide = np.sqrt(sd**2 + expected_sparse(draws))
        share = sd / wide
        correlation = correlation * share[..., :, None] * share[..., None, :]
        same, sd = np.arange(sd.shape[-1]), wide
        correlation[..., same, same] = 1.0
    unit = problem.prior.scale_unit[int(problem.separate_intercept) :]
    zero = [scale == 0.0 for scale in problem.blocks[-1].scale]
    still = _fixed([0.0 if z else None for z in zero], problem.features)
    attrs = fixed_scales if problem.task_covariance.kind == "given" else still
    out["population_sd"] = ((*_SAMPLE, "feature"), unit * sd, attrs)
    if problem.task_covariance.kind == "low_rank":
        dims = (*_SAMPLE, "feature", "feature_bis")
        out["population_correlation"] = (dims, correlation, still)
    out |= task_variables(problem, draws)


def _intercept(problem: Problem, draws: Draws, out: dict[str, Any], effects: bool) -> None:
    unit = problem.scaling.response_scale
    center = problem.scaling.response_center
    block = problem.blocks[0]
    if draws.weights is not None:
        # At the centre of the features, then moved to x = 0.
        at_zero = center + unit * draws.weights[..., 0]
        if problem.features:
            at_zero = at_zero - out["weights"][1] @ problem.scaling.feature_center
        out["intercept"] = ((*_SAMPLE, "task"), at_zero)
    mean = center + unit * draws.means[..., 0, 0]
    out["intercept_mean"] = (_SAMPLE, mean, _all_fixed([block.mean[0][0]]))
    out["intercept_sd"] = (_SAMPLE, unit * draws.scale[..., 0], _all_fixed(block.scale))
    if effects:
        values = problem.prior.mean_unit[0, 1:] * draws.means[..., 0, 1:]
        attrs = _all_fixed(block.mean[0][1:])
        out["intercept_task_effects"] = ((*_SAMPLE, "task_feature"), values, attrs)


def _noise(problem: Problem, draws: Draws, out: dict[str, Any]) -> None:
    unit = problem.scaling.response_scale
    if problem.fixed_noise is not None:
        same = bool((problem.fixed_noise == problem.fixed_noise[0]).all())
        dims = _SAMPLE if same else (*_SAMPLE, "task")
        values = problem.fixed_noise[0] if same else problem.fixed_noise
        shape = draws.lp.shape if same else (*draws.lp.shape, problem.fixed_noise.size)
        out["noise_sd"] = (dims, np.broadcast_to(values, shape), {"constant": 1})
    if draws.log_noise is not None:
        dims = (*_SAMPLE, "task") if draws.log_noise.ndim == 3 else _SAMPLE
        out["noise_sd"] = (dims, unit * np.exp(draws.log_noise))
    if draws.noise_median is not None and draws.noise_spread is not None:
        attrs = [{"constant": 1} if row[0] == FIXED else {} for row in problem.noise_priors]
        out["noise_median"] = (_SAMPLE, unit * draws.noise_median, attrs[0])
        out["noise_spread"] = (_SAMPLE, draws.noise_spread, attrs[1])


def _is_fixed(value: Any) -> bool:
    return value is not None and not isinstance(value, Prior)


def _all_fixed(values: Any) -> dict[str, int]:
    return {"constant": 1} if all(_is_fixed(value) for value in values) else {}


def _fixed(values: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Attribute that names the features whose hyperparameter is a fixed number."""
    fixed = [name for name, value in zip(names, values, strict=True) if _is_fixed(value)]
    return {"constant": json.dumps(fixed)} if fixed else {}
