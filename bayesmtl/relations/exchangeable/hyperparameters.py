"""Hyperparameters as point estimates: scales, shared fraction and noise, as one vector.

They maximise a bound plus log prior density, of the logs of scales and noise sds and of the logits
of shares, so that the boundary at zero is no mode. Population means with a Normal or the joint
prior are not among them: they are integrated out.

With hierarchical noise ``log sd_t = log median + spread delta_t``. At a joint mode the spread would
fall to zero or run off; therefore delta_t, with the Fisher information ``2 n_t spread^2`` of n_t
rows, is integrated out by Laplace's method: ``-delta_t^2 / 2 - log(1 + 2 n_t spread^2) / 2``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from bayesmtl.assembly import Problem
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL, SHARED
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.exchangeable.state import (
    JOINT,
    NORMAL,
    PopulationState,
)
from bayesmtl.relations.exchangeable.updates import mean_variance
from bayesmtl.sites import GaussianSites

__all__ = [
    "LOWEST_SD",
    "Layout",
    "Point",
    "mean_loadings",
    "noisy_sites",
    "unpack",
]


# Log noise sd, in units of the response's, below which sums of squares are rounding errors.
LOWEST_SD = -13.0


class Point(NamedTuple):
    """Values of all hyperparameters, internal units.

    Parameters
    ----------
    base, spread_of_means : (p, q)
        Mean and sd of the population means; sd 0 where they are known or estimated.
    scale : (p,)
    shared, between : float
    log_median, spread : float
    log_sd : (task,)
    """

    base: np.ndarray
    spread_of_means: np.ndarray
    scale: np.ndarray
    shared: float
    between: float
    log_median: float
    spread: float
    log_sd: np.ndarray


class Layout(NamedTuple):
    """Which hyperparameters are estimated, and the vector x that holds them.

    Parts of x: log scales, means, logit of the shared fraction, logit of the share between
    clusters, log median noise, log spread of the noise, and delta of each task.

    Parameters
    ----------
    problem : Problem
    point : Point
        Start, and the values of what is not estimated.
    population : PopulationState
        Work space of the prior density.
    between : (6,)
        Prior of the share between clusters; a fixed number without clusters.
    noise_kind : int
    scales, means : int arrays
        Places in (p,) and in the flat (p, q).
    flags : (4,) bool
        Whether shared, between, median and spread are estimated.
    bounds : (n, 2)
        Of x.
    sites : GaussianSites
        Of the tasks, at unit noise (internal units) where it is estimated.
    rows, total : (task,)
        Numbers of rows, and sums of squares of the response.
    """

    problem: Problem
    point: Point
    population: PopulationState
    between: np.ndarray
    noise_kind: int
    scales: np.ndarray
    means: np.ndarray
    flags: np.ndarray
    bounds: np.ndarray
    sites: GaussianSites
    rows: np.ndarray
    total: np.ndarray

    @property
    def n_deltas(self) -> int:
        """Tasks whose noise is estimated one by one."""
        return self.point.log_sd.size if self.noise_kind == HIERARCHICAL else 0

    def with_between(self, x: np.ndarray, share: float) -> np.ndarray:
        """The same hyperparameters with another share between clusters, where it is estimated."""
        x = x.copy()
        if self.flags[1]:
            place = self.scales.size + self.means.size + int(self.flags[0])
            x[place] = np.clip(logit(share), *self.bounds[place])
        return x


def unpack(layout: Layout, x: np.ndarray) -> Point:
    """The hyperparameters that x stands for."""
    prior, point = layout.problem.prior, layout.point
    n, m = layout.scales.size, layout.means.size
    count = int(layout.flags.sum())
    scale, base = point.scale.copy(), point.base.copy()
    scale[layout.scales] = np.exp(x[:n])
    base.reshape(-1)[layout.means] = x[n : n + m]
    four = np.array([point.shared, point.between, point.log_median, point.spread])
    four[layout.flags] = x[n + m : n + m + count]
    shared, between, log_median, spread = np.where(
        layout.flags, [expit(four[0]), expit(four[1]), four[2], np.exp(four[3])], four
    )
    log_sd = point.log_sd
    if layout.noise_kind == SHARED:
        log_sd = np.full_like(log_sd, log_median)
    elif layout.noise_kind == HIERARCHICAL:
        log_sd = np.maximum(log_median + spread * x[n + m + count :], LOWEST_SD)
    kind = prior.mean_kind.reshape(base.shape)
    normal, joint = kind == NORMAL, kind == JOINT
    base = np.where(
        normal, (prior.mean_prior[..., 1] - prior.mean_location) / prior.mean_unit, base
    )
    spread_of_means = np.where(normal, prior.mean_prior[..., 2] / prior.mean_unit, 0.0)
    if joint.any():
        total = float((scale[prior.joint] ** 2).sum())
        spread_of_means[joint] = np.sqrt(mean_variance(total, shared, float(joint.sum())))
        base[joint] = 0.0
    values = (float(shared), float(between), float(log_median), float(spread))
    return Point(base, spread_of_means, scale, *values, log_sd)


def noisy_sites(layout: Layout, point: Point) -> GaussianSites:
    """Sites of the tasks' coefficients at the noise of the point."""
    sites = layout.sites
    if layout.noise_kind == FIXED_NOISE:
        return sites
    # The sites are those of unit noise.
    precision = np.exp(-2.0 * point.log_sd)
    constant = sites.constant + 0.5 * (1.0 - precision) * layout.total
    return GaussianSites(
        sites.gram * precision[:, None, None],
        sites.moment * precision[:, None],
        constant - layout.rows * point.log_sd,
    )


def mean_loadings(layout: Layout, point: Point) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the tasks' means depend on standardised population means u, ``center_t + loading_t u``.

    Returns
    -------
    center : (task, p)
    loading : (task, p, m)
    columns : (2, m)
        Coefficient and task feature of each mean that is integrated out.
    """
    prior = layout.problem.prior
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    columns = np.array(np.nonzero(point.spread_of_means))
    which, column = columns
    loading = np.zeros((prior.n_tasks, point.scale.size, which.size))
    loading[:, which, np.arange(which.size)] = z[:, column] * point.spread_of_means[which, column]
    return z @ point.base.T, loading, columns
