"""Task weights drawn again from structure and sites, where they were too many to keep."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, evenly_spaced, take
from bayesmtl.numerics.lanes import draw_deviations, pack_tasks, task_means, unpack_tasks

__all__ = ["redraw", "sites_group", "with_weights"]

# Numbers drawn again in all, about.
_NUMBERS = 1e8


def _prior(problem: Problem, draws: Draws, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (block, p, lane) and sd (p,) of the weights given one draw of the structure."""
    prior = problem.prior
    center, scale = np.empty_like(problem.sites.moment), draws.scale[0, draw].copy()
    task_means(draws.means[0, draw], prior.task_features, center)
    if draws.partition is not None:
        labels, between = draws.partition.labels[0, draw], draws.partition.between[0, draw]
        own = np.zeros((prior.n_tasks, scale.size))
        own[:, prior.block :] = np.sqrt(between) * draws.partition.centers[0, draw, labels]
        center += pack_tasks(own * scale)
        scale[prior.block :] *= np.sqrt(1.0 - between)
    return center, scale


def redraw(problem: Problem, draws: Draws, n_samples: int | None = None) -> Draws:
    """Evenly spaced draws (one chain) with their weights drawn again.

    Returns
    -------
    Draws
        (1, sample, ...).
    """
    size = problem.prior.n_tasks * draws.scale.shape[-1]
    if n_samples is None:
        n_samples = int(np.clip(_NUMBERS / size, 40, 200))
    chosen = take(draws, *evenly_spaced(draws, n_samples))
    return with_weights(problem, chosen, np.random.default_rng(0))


def with_weights(problem: Problem, draws: Draws, rng: np.random.Generator) -> Draws:
    """One chain of draws (1, sample, ...) with their weights drawn again."""
    prior, sites, n_samples = problem.prior, problem.sites, draws.lp.shape[1]
    weights = np.empty((1, n_samples, prior.n_tasks, draws.scale.shape[-1]))
    for i in range(n_samples):
        precision = sites.precision
        if draws.log_noise is not None:
            sds = np.broadcast_to(draws.log_noise[0, i], (prior.n_tasks,))
            precision = pack_tasks(np.exp(-2.0 * sds))
        correlation = np.eye(weights.shape[-1])
        if draws.correlation is not None:
            correlation = draws.correlation[0, i]
        center, scale = _prior(problem, draws, i)
        deviation, inverse = np.empty_like(center), np.linalg.inv(correlation)
        draw_deviations(sites.gram, sites.moment, precision, center, scale, inverse, rng, deviation)
        weights[0, i] = unpack_tasks(center + scale[:, None] * deviation, prior.n_tasks)
    return draws._replace(weights=weights)


def sites_group(problem: Problem) -> xr.Dataset:
    """Sites and scaling, what drawing the weights again takes beside the posterior."""
    return xr.Dataset(
        {
            "gram": (("block", "triangle", "lane"), problem.sites.gram),
            "moment": (("block", "coefficient", "lane"), problem.sites.moment),
            "precision": (("block", "lane"), problem.sites.precision),
            "task_design": (("block", "task_column", "lane"), problem.prior.task_features),
            "unit": (("coefficient",), problem.prior.scale_unit),
            "mean_unit": (("coefficient", "task_column"), problem.prior.mean_unit),
            "mean_location": (("coefficient", "task_column"), problem.prior.mean_location),
        },
        {"lane": np.arange(problem.sites.gram.shape[2])},
        {"response_scale": problem.scaling.response_scale},
    )
