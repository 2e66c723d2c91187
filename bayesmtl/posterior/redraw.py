"""Task weights drawn again from structure and sites, where they were too many to keep."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, evenly_spaced, map_draws
from bayesmtl.numerics.lanes import draw_deviations, pack_tasks, task_means, unpack_tasks

__all__ = ["redraw", "redraw_one", "sites_group"]

# Numbers drawn again in all, about.
_NUMBERS = 1e8


def redraw_one(
    *,
    gram: np.ndarray,
    moment: np.ndarray,
    precision: np.ndarray,
    task_features: np.ndarray,
    means: np.ndarray,
    scale: np.ndarray,
    correlation: np.ndarray,
    n_tasks: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(task, p) coefficients from their full conditional given one draw of the structure."""
    center = np.empty_like(moment)
    deviation = np.empty_like(moment)
    task_means(means, task_features, center)
    inverse = np.linalg.inv(correlation)
    draw_deviations(gram, moment, precision, center, scale, inverse, rng, deviation)
    return unpack_tasks(center + scale[:, None] * deviation, n_tasks)


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
    chain, draw = evenly_spaced(draws, n_samples)
    chosen = map_draws(lambda parts: parts[0][chain, draw][None], [draws])
    prior, rng = problem.prior, np.random.default_rng(0)
    weights = np.empty((1, len(chain), prior.n_tasks, draws.scale.shape[-1]))
    for i in range(len(chain)):
        precision = problem.sites.precision
        if chosen.log_noise is not None:
            sds = np.broadcast_to(chosen.log_noise[0, i], (prior.n_tasks,))
            precision = pack_tasks(np.exp(-2.0 * sds))
        correlation = np.eye(weights.shape[-1])
        if chosen.correlation is not None:
            correlation = chosen.correlation[0, i]
        weights[0, i] = redraw_one(
            gram=problem.sites.gram,
            moment=problem.sites.moment,
            precision=precision,
            task_features=prior.task_features,
            means=chosen.means[0, i],
            scale=chosen.scale[0, i],
            correlation=correlation,
            n_tasks=prior.n_tasks,
            rng=rng,
        )
    return chosen._replace(weights=weights)


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
