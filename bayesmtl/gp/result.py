"""The result of a model of functions: one DataTree with the user's labels and units."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.design import response_variable
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.hyperparameters import GIVEN, HUANG_WAND
from bayesmtl.gp.sparse import SparseFit
from bayesmtl.gp.sparse_fits import sparse_constants
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.parameters import parameter_coords, parameter_variables, rescale
from bayesmtl.numerics.densities import FIXED
from bayesmtl.posterior.build import fit_attrs, posterior_attrs
from bayesmtl.posterior.covariance import prior_correlation
from bayesmtl.posterior.diagnostics import diagnosis_attrs
from bayesmtl.posterior.relations import STATISTICS, summarise
from bayesmtl.relations.covariance.simulate import simulate_tasks
from bayesmtl.relations.covariance.state import TaskCovariancePrior

__all__ = ["FunctionRecord", "build_function_tree"]

_SAMPLE = ("chain", "draw")


class FunctionRecord(NamedTuple):
    """What a fit has to say of itself.

    Parameters
    ----------
    model : dict
        ``model.to_dict()``.
    inference : dict
        Method and settings.
    random_seed : int or None
    seconds : float
    incomplete : bool
    """

    model: dict[str, Any]
    inference: dict[str, Any]
    random_seed: int | None
    seconds: float
    incomplete: bool


def build_function_tree(
    problem: FunctionProblem,
    draws: FunctionDraws,
    record: FunctionRecord,
    *,
    likelihood: Likelihood,
    basis: HilbertBasis | NystroemBasis | None,
    core: Any,
    sparse: SparseFit | None,
    sample_stats: dict[str, np.ndarray],
) -> xr.DataTree:
    """Draws, data and summaries as one DataTree, diagnosed.

    Parameters
    ----------
    problem : FunctionProblem
    draws : FunctionDraws
        (chain, draw, ...), internal units.
    record : FunctionRecord
    likelihood : Likelihood
    basis : HilbertBasis or None
        Where functions are sums of a basis.
    core : Problem or None
        The linear model of the weights, for parameters of the likelihood.
    sparse : SparseFit or None
        Where functions are known by inducing values.
    sample_stats : dict of (chain, draw) arrays
    """
    posterior = _posterior(problem, draws, core, likelihood)
    if isinstance(basis, NystroemBasis):
        posterior["lengthscale"].attrs["constant"] = 1
    if sparse is not None:
        for variable in posterior.data_vars.values():
            variable.attrs["constant"] = 1
    constant = _constant(problem, likelihood, basis)
    if sparse is not None:
        constant = constant.merge(sparse_constants(sparse))
    posterior.attrs.update(posterior_attrs(record.seconds, record.inference["tune"]))
    stats = {"lp": draws.lp, **sample_stats}
    coords = {name: posterior[name].values for name in _SAMPLE}
    sampled = {name: (_SAMPLE, values) for name, values in stats.items()}
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset(sampled, coords),
            "observed_data": _observed(problem),
            "constant_data": constant,
            "task_relations": _relations(problem, posterior, points=sparse is not None),
        }
    )
    tree.attrs.update(
        fit_attrs(
            model=record.model,
            inference=record.inference,
            random_seed=record.random_seed,
            seconds=record.seconds,
            incomplete=record.incomplete,
        )
    )
    tree.attrs["design"] = json.dumps({"rows": problem.design.to_dict(), "task_features": None})
    tree.attrs.update(diagnosis_attrs(tree))
    return tree


def _fixed_names(rows: np.ndarray, names: Any) -> dict[str, Any]:
    """The attribute of quantities that cannot move."""
    fixed = [str(name) for name, row in zip(names, rows, strict=True) if row[0] == FIXED]
    if len(fixed) == len(rows):
        return {"constant": 1}
    return {"constant": json.dumps(fixed)} if fixed else {}


def _posterior(
    problem: FunctionProblem, draws: FunctionDraws, core: Any, likelihood: Likelihood
) -> xr.Dataset:
    """Draws on the user's scale."""
    prior, tasks = problem.prior, problem.table.tasks
    out = _covariances(problem, draws)
    fixed = _fixed_names(prior.lengthscale_rows[0], problem.inputs)
    length = draws.lengthscale * problem.units.input_scale
    if prior.n_components == 1:
        out["lengthscale"] = ((*_SAMPLE, "feature"), length[:, :, 0], fixed)
    else:
        several = {"constant": 1} if fixed == {"constant": 1} else {}
        out["lengthscale"] = ((*_SAMPLE, "component", "feature"), length, several)
    out |= _of_rows(problem, draws, core, likelihood)
    coords: dict[str, Any] = {
        "chain": np.arange(draws.lp.shape[0]),
        "draw": np.arange(draws.lp.shape[1]),
        "task": tasks,
        "task_bis": tasks,
        "feature": np.array(problem.inputs, dtype=object),
    }
    if draws.parameters is not None:
        blocks = core.row_parameters.blocks
        user = rescale(blocks, draws.parameters, 1.0 / problem.units.response_scale[0])
        out |= parameter_variables(blocks, user)
        coords |= parameter_coords(blocks)
    return xr.Dataset(out, coords)


def _covariances(problem: FunctionProblem, draws: FunctionDraws) -> dict[str, Any]:
    """B and its correlation."""
    prior, tasks, scale = problem.prior, problem.table.tasks, problem.units.response_scale
    known = {"constant": 1} if prior.kind == GIVEN else {}
    total = draws.covariance.sum(axis=2)
    sd = np.sqrt(np.einsum("...tt->...t", total))
    correlation = total / (sd[..., :, None] * sd[..., None, :])
    where = np.arange(len(tasks))
    correlation[..., where, where] = 1.0
    pair = (*_SAMPLE, "task", "task_bis")
    out: dict[str, Any] = {
        "task_covariance": (pair, total * np.outer(scale, scale), {"symmetric": 1, **known}),
        "task_correlation": (
            pair,
            correlation,
            {"constant": 1} if known or len(tasks) == 1 else {"symmetric": 1},
        ),
    }
    if prior.n_components > 1:
        out["component_covariance"] = (
            (*_SAMPLE, "component", "task", "task_bis"),
            draws.covariance * np.outer(scale, scale),
            {"symmetric": 1},
        )
    return out


def _of_rows(
    problem: FunctionProblem, draws: FunctionDraws, core: Any, likelihood: Likelihood
) -> dict[str, Any]:
    """Noise, intercepts and weights."""
    units, scale = problem.units, problem.units.response_scale
    out: dict[str, Any] = {}
    if draws.noise is not None:
        attrs = _fixed_names(problem.prior.noise_rows, problem.table.tasks)
        out["noise_sd"] = ((*_SAMPLE, "task"), draws.noise * scale, attrs)
    if draws.level is not None:
        center = units.response_center
        if core is not None and not isinstance(likelihood, Gaussian):
            center = center + core.scaling.response_center
        level = center + draws.level * scale
        out["intercept"] = ((*_SAMPLE, "task"), level)
    if draws.weights is not None:
        out["weights"] = ((*_SAMPLE, "task", "basis"), draws.weights * scale[:, None])
    return out


def _observed(problem: FunctionProblem) -> xr.Dataset:
    coords = {"obs": np.arange(len(problem.table.task))}
    assert problem.table.response is not None
    variable = (("obs",), problem.table.response)
    return xr.Dataset({response_variable(problem.design): variable}, coords)


def _constant(
    problem: FunctionProblem, likelihood: Likelihood, basis: HilbertBasis | NystroemBasis | None
) -> xr.Dataset:
    """Inputs, task of each row, units, and the basis."""
    table, units = problem.table, problem.units
    out: dict[str, Any] = {
        "task_index": (("obs",), table.task),
        "row_position": (("obs",), table.position),
        "n_rows": (("task",), np.bincount(table.task, minlength=len(table.tasks))),
        "features": (("obs", "feature"), table.features),
        "input_center": (("feature",), units.input_center),
        "input_scale": (("feature",), units.input_scale),
        "response_center": (("task",), units.response_center),
        "response_scale": (("task",), units.response_scale),
        "level_sd": (("task",), problem.rows.level_sd),
        "task_position": (("task",), np.arange(len(table.tasks))),
    }
    for role, column in likelihood.columns.items():
        if column is not None:
            out[role] = (("obs",), table.extra[column])
    if isinstance(basis, NystroemBasis):
        out["basis_center"] = (("basis", "feature"), basis.centers)
        out["basis_lengthscale"] = (("feature",), basis.lengthscale)
    elif basis is not None:
        out["basis_count"] = (("feature",), np.array(basis.counts))
        out["basis_half_width"] = (("feature",), np.array(basis.half_widths))
    coords = {
        "obs": np.arange(len(table.task)),
        "task": table.tasks,
        "feature": np.array(problem.inputs, dtype=object),
    }
    return xr.Dataset(out, coords)


def _relations(problem: FunctionProblem, posterior: xr.Dataset, *, points: bool) -> xr.Dataset:
    """Summaries of B and its correlation, length-scales and noise.

    Of ``points``, which are estimates without a posterior, the mean alone.
    """
    pair = ("task", "task_bis", "statistic")
    flat = {
        name: posterior[name].to_numpy().reshape(-1, *posterior[name].shape[2:])
        for name in ("task_correlation", "task_covariance", "lengthscale", "noise_sd")
        if name in posterior and (name != "noise_sd" or "task" in posterior[name].dims)
    }
    correlation = summarise(flat["task_correlation"], signed=True)
    where = np.arange(len(problem.table.tasks))
    correlation[where, where] = [1.0, 0.0, 1.0, 1.0, 1.0]
    out: dict[str, Any] = {
        "task_correlation": (pair, correlation),
        "task_covariance": (pair, summarise(flat["task_covariance"], signed=True)),
        "lengthscale": (
            (*posterior["lengthscale"].dims[2:], "statistic"),
            summarise(flat["lengthscale"]),
        ),
    }
    if "noise_sd" in flat:
        out["noise_sd"] = (("task", "statistic"), summarise(flat["noise_sd"]))
    # Of point estimates the prior is another, see `bayesmtl.gp.variational`.
    if problem.prior.kind != GIVEN and len(where) > 1 and not points:
        out["prior_task_correlation"] = (("statistic",), _prior_correlation(problem))
    coords: dict[str, Any] = {
        "task": problem.table.tasks,
        "task_bis": problem.table.tasks,
        "feature": np.array(problem.inputs, dtype=object),
        "statistic": STATISTICS,
    }
    if points:
        for _, values in out.values():
            values[..., 1:] = np.nan
    about = {"functions": 1, "kernel": problem.kernel}
    return xr.Dataset(out, coords, about)


def _prior_correlation(problem: FunctionProblem) -> np.ndarray:
    """Summaries of one correlation under the prior."""
    prior = problem.prior
    if prior.n_components > 1:
        return _summed_correlation(prior.kind, prior.n_components, prior.rank)
    if prior.kind == HUANG_WAND:
        return prior_correlation("full", prior.n_tasks, 0)
    return prior_correlation("low_rank", prior.n_tasks, prior.rank)


@lru_cache(maxsize=16)
def _summed_correlation(kind: str, components: int, rank: int) -> np.ndarray:
    """Of two tasks by a sum of kernels; what a prior says of two does not depend on the others."""
    rng = np.random.default_rng(0)
    size = (4000, components)
    if kind == HUANG_WAND:
        pair = TaskCovariancePrior("full", np.eye(2), 0)
        drawn = [simulate_tasks(pair, np.eye(1), rng)[0] for _ in range(math.prod(size))]
        parts = np.reshape([tasks.covariance for tasks in drawn], (*size, 2, 2))
    else:
        loadings = rng.normal(0.0, 1.0 / np.sqrt(rank), (*size, 2, rank))
        parts = loadings @ np.swapaxes(loadings, -1, -2)
        parts[..., [0, 1], [0, 1]] += rng.normal(0.0, 0.5, (*size, 2)) ** 2
    covariance = parts.sum(axis=1)
    sd = np.sqrt(np.einsum("sii->si", covariance))
    return summarise(covariance[:, 0, 1] / (sd[:, 0] * sd[:, 1]), signed=True)
