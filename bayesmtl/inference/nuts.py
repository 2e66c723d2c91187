"""The same model as a PyMC graph, sampled by NUTS: a second, independent implementation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.errors import UnsupportedError
from bayesmtl.inference.draws import Draws, SelectionDraws, SparseDraws, TaskDraws
from bayesmtl.inference.options import NutsOptions
from bayesmtl.inference.samplers import run_sampler
from bayesmtl.likelihoods import Likelihood, Mixed
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.graph import add_noise, add_rows, add_sites, add_task_scale
from bayesmtl.likelihoods.parameters import parameter_coords, read_parameters, rescale
from bayesmtl.relations.clusters.conditional import draw_partitions
from bayesmtl.relations.clusters.graph import (
    ClusterTensors,
    add_cluster_sites,
    add_cluster_weights,
    add_clusters,
)
from bayesmtl.relations.covariance.graph import add_task_covariance, draw_active
from bayesmtl.relations.covariance.state import SPIKE
from bayesmtl.relations.exchangeable.graph import (
    Coefficients,
    add_intercept,
    add_intercept_population,
    add_weights,
)
from bayesmtl.relations.exchangeable.whitened_graph import add_whitened_coefficients
from bayesmtl.relations.sparse.graph import add_deviations
from bayesmtl.scaling import INTERCEPT

if TYPE_CHECKING:
    from bayesmtl.assembly import Prepared

__all__ = ["build_graph", "internal_draws", "sample_nuts"]

# Weights in units that tasks with different likelihoods have in common.
_COMMON = "weights_in_common_units"


def build_graph(prepared: Prepared, likelihood: Likelihood | Mixed, kind: str) -> Any:
    """A PyMC model with the names and dimensions of the posterior.

    Where tasks fall into clusters, "sites" has neither the weights nor separate intercepts.

    Parameters
    ----------
    prepared : Prepared
    likelihood : Likelihood
    kind : {"rows", "sites", "whitened"}
        "whitened" is "rows" with coefficients from variables that are almost standard normal in the
        posterior, see `bayesmtl.relations.exchangeable.whitened_graph`, but in clusters and where
        tasks are correlated. Normal
        approximations need it. For NUTS its gradients, of a Cholesky factor a task, cost more than
        they save where tasks have few rows.

    Returns
    -------
    pymc.Model

    Raises
    ------
    UnsupportedError
        For an unknown number of components; for weights without a density on the rows; for sites of
        a likelihood that is not Gaussian.
    """
    import pymc as pm

    problem = prepared.problem
    mixed = isinstance(likelihood, Mixed)
    if kind == "sites" and not isinstance(likelihood, Gaussian):
        raise UnsupportedError(
            f"{likelihood!r} has no exact sites: use to_pymc(data, likelihood='rows')"
        )
    with pm.Model(coords=_coords(prepared)) as graph:
        z = None
        if prepared.task_design is not None:
            centred = problem.task_features - problem.scaling.task_feature_center
            z = pm.Data("task_features_centred", centred, dims=("task", "task_feature"))
        noise, reference = add_noise(problem, likelihood)
        scale = add_task_scale(problem) if mixed else None
        clusters = add_clusters(problem, z, reference) if problem.partition is not None else None
        if clusters is not None and kind == "sites":
            separate = problem.separate_intercept
            population = add_intercept_population(problem, z) if separate else None
            add_cluster_sites(problem, clusters, population, noise)
            return graph
        independent = clusters is None and problem.task_covariance is None
        independent = independent and problem.sparse is None
        if independent and kind == "whitened":
            coefficients = _add_whitened(problem, z, reference, scale)
        else:
            coefficients = _add_plain(problem, z, reference, clusters, scale)
        coefficients = _on_user_scale(problem, coefficients, scale)
        if kind == "sites":
            add_sites(problem, coefficients, noise)
        else:
            add_rows(prepared, likelihood, coefficients, noise)
    return graph


def _coords(prepared: Prepared) -> dict[str, Any]:
    """Labels of tasks, features and parameters."""
    problem = prepared.problem
    coords: dict[str, Any] = {"task": problem.rows.tasks}
    if problem.features:
        coords |= {"feature": list(problem.features), "feature_bis": list(problem.features)}
    if prepared.task_design is not None:
        coords["task_feature"] = list(prepared.task_design.features)
    if problem.task_covariance is not None:
        number = problem.task_covariance.n_factors
        coords |= {"task_bis": problem.rows.tasks, "factor": np.arange(number)}
    return coords | parameter_coords(problem.row_parameters.blocks)


def _add_plain(
    problem: Problem, z: Any, reference: Any, clusters: ClusterTensors | None, scale: Any
) -> Coefficients:
    """Weights and intercepts of the tasks as variables, non-centred.

    Where tasks have a ``scale``, in common units, before it is multiplied in.
    """
    name = total = "weights" if scale is None else _COMMON
    if problem.sparse is not None:
        name = "weights_in_common"
    intercept = add_intercept(problem, z) if problem.separate_intercept else None
    if clusters is not None:
        weights = add_cluster_weights(problem, clusters, name)
    else:
        couple = None
        if problem.task_covariance is not None:
            couple = partial(add_task_covariance, problem)
        weights = add_weights(problem, z, reference, name, couple) if problem.features else None
    if problem.sparse is not None:
        weights = add_deviations(problem, weights, total)
    return Coefficients(weights, intercept)


def _add_whitened(problem: Problem, z: Any, reference: Any, scale: Any) -> Coefficients:
    """The same by way of the sites, which move with the ``scale`` of their task."""
    if scale is None:
        return add_whitened_coefficients(problem, z, reference)
    assert problem.groups is not None
    factor = scale / problem.groups.unit
    return add_whitened_coefficients(problem, z, reference, _COMMON, factor)


def _on_user_scale(problem: Problem, coefficients: Coefficients, scale: Any) -> Coefficients:
    """Those of the predictor of each task: with its ``scale``, if it has one, multiplied in."""
    import pymc as pm
    import pytensor.tensor as pt

    weights, intercept = coefficients
    if scale is not None and problem.groups is not None:
        center = pt.as_tensor(problem.groups.center)
        intercept = None if intercept is None else center + scale * intercept
        if weights is not None:
            weights = scale[:, None] * weights
            if INTERCEPT in problem.features:
                own = [float(name == INTERCEPT) for name in problem.features]
                weights = weights + center[:, None] * np.array(own)
            pm.Deterministic("weights", weights, dims=("task", "feature"))
    if intercept is not None:
        at_zero = intercept
        if weights is not None:
            at_zero = at_zero - weights @ pt.as_tensor(problem.scaling.feature_center)
        pm.Deterministic("intercept", at_zero, dims="task")
    return Coefficients(weights, intercept)


def sample_nuts(
    prepared: Prepared,
    likelihood: Likelihood | Mixed,
    *,
    options: NutsOptions,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[Draws, dict[str, np.ndarray], bool]:
    """Sample the graph: on the sites of a Gaussian likelihood, else non-centred on the rows.

    Returns
    -------
    draws : Draws
        Internal units, as from every method.
    stats : dict of (chain, draw) arrays
        Named as in the ArviZ schema.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before all chains had a draw.
    """
    # Only the sites of a Gaussian likelihood are exact.
    kind = "sites" if isinstance(likelihood, Gaussian) else "rows"
    graph = build_graph(prepared, likelihood, kind)
    trace = run_sampler(
        graph,
        options,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    finished = trace.log_density.shape[1]
    if not finished:
        raise KeyboardInterrupt("interrupted before all chains had a draw")
    posterior, problem = trace.posterior, prepared.problem
    result = internal_draws(problem, posterior, trace.log_density)
    if problem.partition is not None:
        rng = np.random.default_rng(random_seed)
        result = draw_partitions(problem, result, posterior, rng)
    return result, trace.stats, finished < draws


def internal_draws(problem: Problem, posterior: xr.Dataset, lp: np.ndarray) -> Draws:
    """From variables on the user's scale to internal units."""
    prior, first = problem.prior, int(problem.separate_intercept)
    p, q = prior.mean_location.shape
    shape = lp.shape
    means, scale = np.zeros((*shape, p, q)), np.zeros((*shape, p))
    effects = "task_feature" in posterior.dims
    prefix = "population" if problem.partition is None else "base"
    prefix = prefix if problem.task_covariance is None else "typical"

    def values(name: str, *dims: str) -> np.ndarray:
        return posterior[name].transpose("chain", "draw", *dims).to_numpy()

    if first:
        means[..., 0, 0] = values("intercept_mean")
        scale[..., 0] = values("intercept_sd")
        if effects:
            means[..., 0, 1:] = values("intercept_task_effects", "task_feature")
    if problem.features:
        means[..., first:, 0] = values(f"{prefix}_mean", "feature")
        scale[..., first:] = values(f"{prefix}_sd", "feature")
        if effects:
            means[..., first:, 1:] = values("task_effects", "feature", "task_feature")
    correlation = None
    if "feature_correlation" in posterior:
        correlation = np.broadcast_to(np.eye(p), (*shape, p, p)).copy()
        correlation[..., first:, first:] = values("feature_correlation", "feature", "feature_bis")
    unit = problem.scaling.response_scale
    per_task = ("task",) if "noise_median" in posterior else ()
    blocks, gaussian = problem.row_parameters.blocks, problem.row_data is None
    learned = gaussian and "noise_sd" in posterior
    task_scale = None
    if problem.groups is not None:
        task_scale = values("task_scale", "task") / problem.groups.unit
    return Draws(
        means=(means - prior.mean_location) / prior.mean_unit,
        scale=scale / prior.scale_unit,
        correlation=correlation,
        shared=values("shared_fraction") if "shared_fraction" in posterior else None,
        noise_median=values("noise_median") / unit if "noise_median" in posterior else None,
        noise_spread=values("noise_spread") if "noise_spread" in posterior else None,
        log_noise=np.log(values("noise_sd", *per_task) / unit) if learned else None,
        weights=_weights(problem, posterior),
        lp=lp,
        parameters=rescale(blocks, read_parameters(blocks, posterior), unit),
        task_scale=task_scale,
        tasks=None if problem.task_covariance is None else _tasks(posterior),
        selection=None if problem.selection is None else _selection(problem, posterior),
        sparse=None if problem.sparse is None else _sparse(problem, posterior),
    )


def _sparse(problem: Problem, posterior: xr.Dataset) -> SparseDraws:
    first = problem.prior.block
    scale, slab = posterior["sparse_scale"].to_numpy(), posterior["sparse_slab"].to_numpy()

    def place(name: str, unit: Any) -> np.ndarray:
        values = posterior[name].transpose("chain", "draw", "task", "feature").to_numpy()
        out = np.zeros((*values.shape[:3], first + values.shape[3]))
        out[..., first:] = values / unit
        return out

    unit = problem.prior.scale_unit[first:]
    hyper = np.stack([np.ones_like(scale), scale, slab], axis=-1)
    return SparseDraws(place("sparse_part", unit), place("sparse_local", 1.0), hyper)


def _selection(problem: Problem, posterior: xr.Dataset) -> SelectionDraws:
    assert problem.selection is not None
    member = problem.selection.member
    found = posterior["selection_local"].to_numpy()
    local = np.ones((*found.shape[:2], member.size, found.shape[3]))
    local[:, :, member] = found
    names = ("selection_mean_scale", "selection_spread_scale", "selection_slab")
    return SelectionDraws(local, np.stack([posterior[name].to_numpy() for name in names], axis=-1))


def _tasks(posterior: xr.Dataset) -> TaskDraws:
    """The covariance of the tasks; whether a factor is active is drawn given its loadings."""

    def values(name: str, *dims: str) -> np.ndarray:
        return posterior[name].transpose("chain", "draw", *dims).to_numpy()

    if "task_covariance" in posterior:
        return TaskDraws(
            values("task_covariance", "task", "task_bis"),
            dependence=values("rho") if "rho" in posterior else None,
            share=values("level_share", str(posterior["level_share"].dims[2]))
            if "level_share" in posterior
            else None,
        )
    loadings, slab = values("loadings", "task", "factor"), values("slab_variance", "factor")
    active = draw_active(loadings, slab, values("sticks", "factor"), np.random.default_rng(0))
    return TaskDraws(
        None,
        loadings,
        values("factors", "factor", "feature"),
        values("specific_sd", "task") ** 2,
        np.where(active, slab, SPIKE),
        active.sum(axis=-1).astype(np.int32),
    )


def _weights(problem: Problem, posterior: xr.Dataset) -> np.ndarray:
    """Coefficients (chain, draw, task, p), internal units; to be drawn if they are no variables."""
    prior, parts = problem.prior, []
    if "intercept_at_center" in posterior:
        parts.append(posterior["intercept_at_center"].transpose("chain", "draw", "task").to_numpy())
        parts[0] = parts[0][..., None]
    name = "weights" if problem.groups is None else _COMMON
    if name in posterior:
        weights = posterior[name].transpose("chain", "draw", "task", "feature")
        parts.append(weights.to_numpy())
    if not parts:
        shape = (posterior.sizes["chain"], posterior.sizes["draw"], prior.n_tasks)
        return np.empty((*shape, prior.scale_unit.size))
    return (np.concatenate(parts, axis=-1) - prior.mean_location[:, 0]) / prior.scale_unit
