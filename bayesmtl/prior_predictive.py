"""Simulation from the prior: structure, weights and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import (
    Draws,
    PartitionDraws,
    SparseDraws,
    TaskDraws,
    join_chains,
    map_draws,
)
from bayesmtl.inference.recording import task_draw
from bayesmtl.likelihoods import Likelihood, Mixed, resolve_likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.groups import LOG_SCALE_SD, TaskGroups
from bayesmtl.likelihoods.levels import stored_attrs, to_stored
from bayesmtl.likelihoods.parameters import noise_position, rescale
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.posterior.build import constant_data, observed_data, task_texts
from bayesmtl.posterior.user_scale import posterior_variables
from bayesmtl.priors import sample_value
from bayesmtl.relations.clusters.simulate import simulate_partition
from bayesmtl.relations.covariance.simulate import simulate_deviations, simulate_tasks
from bayesmtl.relations.exchangeable.simulate import simulate_population
from bayesmtl.relations.sparse.state import simulate_sparse

if TYPE_CHECKING:
    from bayesmtl.assembly import Prepared

__all__ = ["prior_predictive"]


def prior_predictive(
    prepared: Prepared, likelihood: Likelihood | Mixed, draws: int, random_seed: int | None
) -> xr.DataTree:
    """See `bayesmtl.Model.prior_predictive`."""
    problem = prepared.problem
    rng = np.random.default_rng(random_seed)
    simulated = [_one(problem, likelihood, rng) for _ in range(draws)]
    stacked = map_draws(np.stack, [draw for draw, _ in simulated])
    z_names = () if prepared.task_design is None else prepared.task_design.features
    observed = observed_data(problem, prepared.design)
    name = next(iter(observed.data_vars))
    responses = np.stack([response for _, response in simulated])[None]
    responses = to_stored(responses, task_texts(problem), problem.levels)
    coords = {"chain": [0], "draw": np.arange(draws), "obs": observed["obs"]}
    groups = {
        "prior": posterior_variables(problem, join_chains([stacked], draws), z_names),
        "prior_predictive": xr.Dataset(
            {name: (("chain", "draw", "obs"), responses, stored_attrs(problem.levels))}, coords
        ),
        "observed_data": observed,
        "constant_data": constant_data(problem, prepared.columns, z_names),
    }
    return xr.DataTree.from_dict(groups)


def _noise(
    problem: Problem, likelihood: Likelihood | Mixed, rng: np.random.Generator
) -> tuple[float | None, float | None, np.ndarray | None]:
    """Median (or shared) noise sd, spread, sd of each task, user units; None if not learned."""
    n_tasks = problem.prior.n_tasks
    if not isinstance(likelihood, Gaussian) or likelihood.se is not None:
        return None, None, None
    if likelihood.fixed:
        return None, None, likelihood.fixed_sds(problem.rows.tasks)
    sd_prior, spread_prior = likelihood.priors(problem.reference_sd)
    median = sample_value(sd_prior, rng)
    if likelihood.noise == "shared":
        return median, None, np.full(n_tasks, median)
    spread = sample_value(spread_prior, rng)
    return median, spread, median * np.exp(spread * rng.normal(size=n_tasks))


def _response(
    problem: Problem,
    likelihood: Likelihood | Mixed,
    weights: np.ndarray,
    sds: np.ndarray | None,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Response of every row in user units."""
    task = problem.rows.task
    if problem.groups is not None:
        return _mixed_response(problem, problem.groups, weights, parameters, rng)
    predictor = np.einsum("rp,rp->r", problem.design, weights[task])
    known = np.full(len(task), np.nan) if problem.standard_error is None else problem.standard_error
    noise = known if sds is None else sds[task]
    predictor = problem.scaling.response_center + problem.scaling.response_scale * predictor
    assert not isinstance(likelihood, Mixed)
    predictor = predictor + problem.offset + likelihood.offset(problem.size)
    predicted = Predicted(*(x[:, None] for x in (predictor, problem.size, noise, parameters)))
    return likelihood.sample(predicted, rng)[:, 0]


def _mixed_response(
    problem: Problem,
    groups: TaskGroups,
    weights: np.ndarray,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """As `_response`, with weights (task, p) that are multiplied by the scales of the tasks."""
    out = np.empty(len(problem.rows.task))
    for group in groups.groups:
        data = group.data
        of_rows = np.repeat(weights[group.tasks], np.diff(data.start), axis=0)
        predictor = data.offset + np.einsum("pr,rp->r", data.features, of_rows)
        noise, own = np.full(len(predictor), np.nan), parameters[group.parameters]
        predicted = Predicted(*(x[:, None] for x in (predictor, data.size, noise, own)))
        out[group.rows] = group.likelihood.sample(predicted, rng)[:, 0]
    return out


def _parameters(
    problem: Problem, likelihood: Likelihood | Mixed, rng: np.random.Generator
) -> np.ndarray:
    """Those of a likelihood that is not Gaussian, user units."""
    if isinstance(likelihood, Gaussian):
        return np.zeros(0)
    if problem.groups is not None:
        drawn = [group.likelihood.draw_parameters(rng) for group in problem.groups.groups]
        return np.concatenate(drawn)
    assert not isinstance(likelihood, Mixed)
    return np.asarray(resolve_likelihood(likelihood, problem.reference_sd).draw_parameters(rng))


def _deviations(
    problem: Problem, root: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, PartitionDraws | None, TaskDraws | None]:
    """Standardised deviations (task, p), and what makes tasks alike."""
    prior, first = problem.prior, problem.prior.block
    deviation = rng.normal(size=(prior.n_tasks, len(root))) @ root.T
    if problem.partition is not None:
        partition = simulate_partition(problem.partition, prior.n_tasks, len(root) - first, rng)
        of_cluster, share = partition.centers[partition.labels], partition.between
        within = np.sqrt(1.0 - share) * deviation[:, first:]
        deviation[:, first:] = np.sqrt(share) * of_cluster + within
        return deviation, partition, None
    if problem.task_covariance is not None:
        inner = root[first:, first:]
        tasks, own = simulate_tasks(problem.task_covariance, inner, rng)
        deviation[:, first:] = simulate_deviations(tasks, inner, rng)
        return deviation, None, task_draw(problem.task_covariance, tasks, own, None)
    return deviation, None, None


def _one(
    problem: Problem, likelihood: Likelihood | Mixed, rng: np.random.Generator
) -> tuple[Draws, np.ndarray]:
    """One draw in internal units, and the response of every row in user units."""
    prior, unit = problem.prior, problem.scaling.response_scale
    median, spread, sds = _noise(problem, likelihood, rng)
    variance = problem.reference_noise if median is None else (median / unit) ** 2
    blocks, user = problem.row_parameters.blocks, _parameters(problem, likelihood, rng)
    parameters, position = rescale(blocks, user, unit), noise_position(blocks)
    variance = variance if position is None else np.exp(2.0 * parameters[position])
    drawn = simulate_population(problem, variance, rng)
    means = (drawn.means - prior.mean_location) / prior.mean_unit
    scale = drawn.scale / prior.scale_unit
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    deviation, partition, tasks = _deviations(problem, np.linalg.cholesky(drawn.correlation), rng)
    weights = z @ means.T + scale * deviation
    sparse = None
    if problem.sparse is not None:
        state = simulate_sparse(problem.sparse, prior.n_tasks, prior.block, weights.shape[1], rng)
        weights = weights + state.part
        sparse = SparseDraws(*state)
    task_scale = None
    if problem.groups is not None:
        task_scale = np.exp(LOG_SCALE_SD * rng.normal(size=prior.n_tasks))
    on_predictor = weights if task_scale is None else weights * task_scale[:, None]
    response = _response(problem, likelihood, on_predictor, sds, user, rng)
    log_noise = None
    if sds is not None and isinstance(likelihood, Gaussian) and not likelihood.fixed:
        log_noise = np.log(sds / unit) if spread is not None else np.log(sds[:1] / unit)[0]
    draw = Draws(
        means=means,
        scale=scale,
        correlation=drawn.correlation if problem.correlated_features else None,
        shared=None if drawn.shared is None else np.array(drawn.shared),
        noise_median=None if spread is None or median is None else np.array(median / unit),
        noise_spread=None if spread is None else np.array(spread),
        log_noise=log_noise,
        weights=weights,
        lp=np.zeros(()),
        parameters=parameters,
        task_scale=task_scale,
        partition=partition,
        tasks=tasks,
        sparse=sparse,
    )
    return draw, response
