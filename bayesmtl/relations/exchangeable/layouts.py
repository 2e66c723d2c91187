"""Which hyperparameters of a model are estimated, between which bounds, and where to start."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from bayesmtl.assembly import Problem
from bayesmtl.evidence import task_sites
from bayesmtl.likelihoods.gaussian import NoiseState
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.priors import table_row
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point
from bayesmtl.relations.exchangeable.state import (
    HUANG_WAND,
    OTHER,
    PopulationState,
    support,
)

__all__ = ["layout_of"]

# Logs and logits beyond which nothing changes.
_LOWEST, _HIGHEST = -12.0, 12.0
_DELTA = 8.0
# Without clusters nothing is to be learned of the share between them.
_WHOLE = table_row(1.0)


def layout_of(
    problem: Problem, population: PopulationState, between: float, noise: NoiseState
) -> tuple[Layout, np.ndarray]:
    """Layout, and the x of a start.

    Parameters
    ----------
    problem : Problem
    population : PopulationState
    between : float
        Share between clusters; it matters only where there are some.
    noise : NoiseState
    """
    prior = problem.prior
    of_features = (np.arange(prior.joint.size) >= prior.block) & (prior.covariance == HUANG_WAND)
    # The covariance itself has the scales of features that a Huang-Wand prior correlates.
    scales = np.flatnonzero(((prior.scale_prior[:, 0] != FIXED) | prior.joint) & ~of_features)
    means = np.flatnonzero(prior.mean_kind == OTHER)
    learned_noise = noise.kind != FIXED_NOISE
    row = _WHOLE if problem.partition is None else problem.partition.between
    flags = np.array(
        [
            prior.joint.any(),
            row[0] != FIXED,
            learned_noise and noise.sd_prior[0] != FIXED,
            noise.kind == HIERARCHICAL and noise.spread_prior[0] != FIXED,
        ]
    )
    point = Point(
        base=population.means.copy(),
        spread_of_means=np.zeros_like(population.means),
        scale=population.scale.copy(),
        shared=float(population.shared[0]),
        between=between,
        log_median=float(noise.log_median[0]),
        spread=float(noise.spread[0]),
        log_sd=unpack_tasks(noise.log_sd, prior.n_tasks),
    )
    noise_sd = problem.fixed_noise
    if learned_noise:
        noise_sd = np.full(prior.n_tasks, problem.scaling.response_scale)
    n_deltas = prior.n_tasks if noise.kind == HIERARCHICAL else 0
    bounds = _bounds(problem, noise, row, (scales, means, flags))
    layout = Layout(
        problem=problem,
        point=point,
        population=population,
        between=row,
        noise_kind=noise.kind,
        scales=scales,
        means=means,
        flags=flags,
        bounds=np.concatenate([bounds, np.tile([-_DELTA, _DELTA], (n_deltas, 1))]),
        sites=task_sites(problem, noise_sd),
        rows=unpack_tasks(problem.sites.rows, prior.n_tasks),
        total=unpack_tasks(problem.sites.total, prior.n_tasks),
    )
    return layout, _start(layout)


def _start(layout: Layout) -> np.ndarray:
    """The x of the layout's own values."""
    point = layout.point
    four = [logit(point.shared), 0.0, point.log_median, np.log(point.spread)]
    if layout.flags[1]:
        four[1] = logit(point.between)
    x = np.concatenate(
        [
            np.log(point.scale[layout.scales]),
            point.base.reshape(-1)[layout.means],
            np.array(four)[layout.flags],
            np.zeros(layout.n_deltas),
        ]
    )
    return np.clip(x, *layout.bounds.T)


def _bounds(
    problem: Problem,
    noise: NoiseState,
    between: np.ndarray,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Supports of the priors in the coordinates of x."""
    prior = problem.prior
    scales, means, flags = places
    low, high = support(prior.scale_prior[scales])
    # The row of a joint scale is that of a fixed number.
    unit = prior.scale_unit[scales]
    ends = [np.column_stack([_log(low / unit), _log(high / unit)])]
    low, high = support(prior.mean_prior.reshape(-1, prior.mean_prior.shape[2])[means])
    place, unit = prior.mean_location.reshape(-1)[means], prior.mean_unit.reshape(-1)[means]
    ends.append(np.column_stack([(low - place) / unit, (high - place) / unit]))
    rows = (prior.shared_prior, between, noise.sd_prior, noise.spread_prior)
    four = np.array([support(row) for row in rows])
    inner = np.clip(four[:2], 1e-6, 1.0 - 1e-6)
    ends.append(np.concatenate([logit(inner), _log(four[2:3] / noise.unit), _log(four[3:])])[flags])
    return np.concatenate(ends)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.clip(values, np.exp(_LOWEST), np.exp(_HIGHEST)))
