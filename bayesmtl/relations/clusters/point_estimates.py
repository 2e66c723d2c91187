"""Hyperparameters as point estimates: scales, share between clusters and noise given a partition.

They maximise bound plus log prior density, of the logs of scales and noise sds and of the logits of
shares, so that the boundary at zero is no mode. Population means with a Normal or the joint prior
are not among them: they are integrated out with the cluster means.

With hierarchical noise ``log sd_t = log median + spread delta_t``. At a joint mode the spread would
fall to zero or run off; therefore delta_t, with the Fisher information ``2 n_t spread^2`` of n_t
rows, is integrated out by Laplace's method: ``-delta_t^2 / 2 - log(1 + 2 n_t spread^2) / 2``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from bayesmtl.assembly import Problem
from bayesmtl.evidence import task_sites
from bayesmtl.likelihoods.gaussian import NoiseState
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL, SHARED
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.clusters.cavi import TaskTerms, fit_means, mean_moments
from bayesmtl.relations.clusters.state import PartitionState
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.state import (
    JOINT,
    NORMAL,
    OTHER,
    SET,
    PopulationState,
    support,
)
from bayesmtl.relations.exchangeable.updates import mean_variance
from bayesmtl.sites import GaussianSites, collapse, evaluate

__all__ = ["Layout", "Point", "layout_of", "log_prior", "maximise", "task_terms", "unpack"]

# Logs and logits beyond which nothing changes.
_LOWEST, _HIGHEST = -12.0, 12.0
_STEP, _REACH = 1e-5, 3.0


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


def layout_of(
    problem: Problem, population: PopulationState, partition: PartitionState, noise: NoiseState
) -> tuple[Layout, np.ndarray]:
    """Layout, and the x of a start.

    Parameters
    ----------
    problem : Problem
    population : PopulationState
    partition : PartitionState
    noise : NoiseState
    """
    prior = problem.prior
    assert problem.partition is not None
    scales = np.flatnonzero((prior.scale_prior[:, 0] != FIXED) | prior.joint)
    means = np.flatnonzero(prior.mean_kind == OTHER)
    learned_noise = noise.kind != FIXED_NOISE
    flags = np.array(
        [
            prior.joint.any(),
            problem.partition.between[0] != FIXED,
            learned_noise and noise.sd_prior[0] != FIXED,
            noise.kind == HIERARCHICAL and noise.spread_prior[0] != FIXED,
        ]
    )
    between = float(partition.between[0])
    log_median, spread = float(noise.log_median[0]), float(noise.spread[0])
    point = Point(
        base=population.means.copy(),
        spread_of_means=np.zeros_like(population.means),
        scale=population.scale.copy(),
        shared=float(population.shared[0]),
        between=between,
        log_median=log_median,
        spread=spread,
        log_sd=unpack_tasks(noise.log_sd, prior.n_tasks),
    )
    n_deltas = prior.n_tasks if noise.kind == HIERARCHICAL else 0
    four = np.array([logit(point.shared), logit(between), log_median, np.log(spread)])
    start = [np.log(point.scale[scales]), point.base.reshape(-1)[means], four[flags]]
    x = np.concatenate([*start, np.zeros(n_deltas)])
    bounds = _bounds(problem, noise, scales, means, flags)
    bounds = np.concatenate([bounds, np.tile([-8.0, 8.0], (n_deltas, 1))])
    noise_sd = problem.fixed_noise
    if learned_noise:
        noise_sd = np.full(prior.n_tasks, problem.scaling.response_scale)
    layout = Layout(
        problem=problem,
        point=point,
        population=population,
        noise_kind=noise.kind,
        scales=scales,
        means=means,
        flags=flags,
        bounds=bounds,
        sites=task_sites(problem, noise_sd),
        rows=unpack_tasks(problem.sites.rows, prior.n_tasks),
        total=unpack_tasks(problem.sites.total, prior.n_tasks),
    )
    return layout, np.clip(x, *bounds.T)


def _bounds(
    problem: Problem, noise: NoiseState, scales: np.ndarray, means: np.ndarray, flags: np.ndarray
) -> np.ndarray:
    """Supports of the priors in the coordinates of x."""
    prior = problem.prior
    assert problem.partition is not None
    low, high = support(prior.scale_prior[scales])
    # The row of a joint scale is that of a fixed number.
    unit = prior.scale_unit[scales]
    ends = [np.column_stack([_log(low / unit), _log(high / unit)])]
    low, high = support(prior.mean_prior.reshape(-1, prior.mean_prior.shape[2])[means])
    place, unit = prior.mean_location.reshape(-1)[means], prior.mean_unit.reshape(-1)[means]
    ends.append(np.column_stack([(low - place) / unit, (high - place) / unit]))
    rows = (prior.shared_prior, problem.partition.between, noise.sd_prior, noise.spread_prior)
    four = np.array([support(row) for row in rows])
    inner = np.clip(four[:2], 1e-6, 1.0 - 1e-6)
    ends.append(np.concatenate([logit(inner), _log(four[2:3] / noise.unit), _log(four[3:])])[flags])
    return np.concatenate(ends)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.clip(values, np.exp(_LOWEST), np.exp(_HIGHEST)))


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
        log_sd = log_median + spread * x[n + m + count :]
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


class _Collapsed(NamedTuple):
    """Sites of the tasks with their weights integrated out, and what their means are.

    Coefficient i of task t has the mean ``center_ti + sum_c loading_tic x_c``.

    Parameters
    ----------
    sites, collapsed : GaussianSites
        With the weights, and without.
    variance : (p,)
        Of the weights within clusters.
    center : (task, p)
    loading : (task, p, m + d)
    columns : (2, m)
        Coefficient and task feature of each population mean that is integrated out.
    """

    sites: GaussianSites
    collapsed: GaussianSites
    variance: np.ndarray
    center: np.ndarray
    loading: np.ndarray
    columns: np.ndarray


def _collapse(layout: Layout, point: Point) -> _Collapsed:
    prior, sites = layout.problem.prior, layout.sites
    p = prior.scale_unit.size
    if layout.noise_kind != FIXED_NOISE:
        # The sites are those of unit noise.
        precision = np.exp(-2.0 * point.log_sd)
        constant = sites.constant + 0.5 * (1.0 - precision) * layout.total
        sites = GaussianSites(
            sites.gram * precision[:, None, None],
            sites.moment * precision[:, None],
            constant - layout.rows * point.log_sd,
        )
    share = np.where(np.arange(p) < prior.block, 0.0, point.between)
    variance = (1.0 - share) * point.scale**2
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    columns = np.array(np.nonzero(point.spread_of_means))
    which, column = columns
    m, d = which.size, p - prior.block
    loading = np.zeros((prior.n_tasks, p, m + d))
    loading[:, which, np.arange(m)] = z[:, column] * point.spread_of_means[which, column]
    loading[:, :, m:] = np.diag(np.sqrt(share) * point.scale)[:, prior.block :]
    collapsed = collapse(sites, np.diag(variance))
    return _Collapsed(sites, collapsed, variance, z @ point.base.T, loading, columns)


def _terms(state: _Collapsed) -> TaskTerms:
    sites, loading = state.collapsed, state.loading
    score = sites.moment - (sites.gram @ state.center[..., None])[..., 0]
    return TaskTerms(
        loading.mT @ sites.gram @ loading,
        (loading.mT @ score[..., None])[..., 0],
        evaluate(sites, state.center),
        state.columns.shape[1],
    )


def task_terms(layout: Layout, point: Point) -> TaskTerms:
    """What the tasks say of the standardised means, weights integrated out.

    Parameters
    ----------
    layout : Layout
    point : Point
    """
    return _terms(_collapse(layout, point))


def log_prior(layout: Layout, point: Point) -> float:
    """Log prior density of x, up to a constant."""
    problem, prior = layout.problem, layout.problem.prior
    assert problem.partition is not None
    population = layout.population
    population.scale[:] = point.scale
    population.shared[0] = point.shared
    population.means[:] = point.base
    kind = prior.mean_kind
    others = prior._replace(mean_kind=np.where(kind == NORMAL, SET, kind))
    noise = problem.reference_noise
    if layout.noise_kind != FIXED_NOISE:
        noise = float(np.exp(2.0 * point.log_median))
    value = log_structure(others, population, noise) + np.log(point.scale[layout.scales]).sum()
    # Means of the joint prior are integrated out: minus their density, which is that of zeros.
    value += np.log(point.spread_of_means[(kind == JOINT).reshape(point.base.shape)]).sum()
    shares = np.array([point.shared, point.between])[layout.flags[:2]]
    value += np.log(shares).sum() + np.log1p(-shares).sum()
    value += log_density(problem.partition.between, point.between)
    return float(value + _log_noise_prior(layout, point))


def _log_noise_prior(layout: Layout, point: Point) -> float:
    if layout.noise_kind == FIXED_NOISE:
        return 0.0
    problem = layout.problem
    sd_prior, spread_prior = problem.noise_priors
    median = problem.scaling.response_scale * np.exp(point.log_median)
    value = log_density(sd_prior, median) + layout.flags[2] * point.log_median
    if layout.noise_kind == HIERARCHICAL:
        value += log_density(spread_prior, point.spread) + layout.flags[3] * np.log(point.spread)
        value += _log_deltas(layout, point).sum()
    return float(value)


def _log_deltas(layout: Layout, point: Point) -> np.ndarray:
    """Of each task's noise, Laplace's term included."""
    delta = (point.log_sd - point.log_median) / point.spread
    return -0.5 * (delta**2 + np.log1p(2.0 * layout.rows * point.spread**2))


def maximise(
    layout: Layout, x: np.ndarray, responsibilities: np.ndarray, n_iterations: int
) -> np.ndarray:
    """Raise bound plus log prior given the responsibilities: x, never worse than before.

    Parameters
    ----------
    layout : Layout
    x : (n,)
    responsibilities : (task, cluster)
    n_iterations : int
        Of L-BFGS.
    """
    if not x.size:
        return x

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            value, slope = value_and_slope(layout, x, responsibilities)
        except np.linalg.LinAlgError:
            # So far out that precisions are no longer positive definite to rounding.
            return np.inf, np.zeros_like(x)
        return -value, -slope

    low, high = layout.bounds.T
    found = minimize(
        objective,
        x,
        jac=True,
        method="L-BFGS-B",
        # The first step, along the slope, would go to the ends of the scales.
        bounds=np.column_stack([np.maximum(low, x - _REACH), np.minimum(high, x + _REACH)]),
        options={"maxiter": n_iterations},
    )
    return found.x if found.fun < objective(x)[0] else x


def value_and_slope(
    layout: Layout, x: np.ndarray, responsibilities: np.ndarray
) -> tuple[float, np.ndarray]:
    """Bound plus log prior at the optimal means, without what depends on the partition alone.

    As the means are at their optimum, the slope (n,) is that of the expected log-likelihood at
    these means. With score ``s = h - S m`` of the collapsed site (S, h) at the mean m of a task, it
    is s in m and ``(s_j^2 - S_jj) / 2`` in the variance within clusters; in the log noise sd it is
    minus the rows plus the expected squared residuals over the noise variance (Fisher's identity).
    """
    point = unpack(layout, x)
    state = _collapse(layout, point)
    terms = _terms(state)
    means = fit_means(terms, responsibilities)
    mean, second = mean_moments(terms, means)
    n_tasks, n = terms.linear.shape
    mean = responsibilities @ mean
    second = (responsibilities @ second.reshape(-1, n * n)).reshape(n_tasks, n, n)
    value = float(terms.constant.sum() + means.log_evidence + log_prior(layout, point))
    slope = _slope_of_prior(layout, x) + _slope_of_data(layout, point, state, (mean, second))
    return value, slope


def _slope_of_prior(layout: Layout, x: np.ndarray) -> np.ndarray:
    n = x.size - layout.n_deltas
    slope = np.zeros_like(x)
    slope[n:] = -x[n:]
    for i in range(n):
        low, high = x.copy(), x.copy()
        low[i], high[i] = np.clip([x[i] - _STEP, x[i] + _STEP], *layout.bounds[i])
        rise = log_prior(layout, unpack(layout, high)) - log_prior(layout, unpack(layout, low))
        slope[i] = rise / (high[i] - low[i])
    return slope


def _slope_of_data(
    layout: Layout,
    point: Point,
    state: _Collapsed,
    moments: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Slope given the first (task, n) and second (task, n, n) moments of the tasks' means x."""
    prior = layout.problem.prior
    mean, second = moments
    a = state.collapsed.moment - (state.collapsed.gram @ state.center[..., None])[..., 0]
    b = state.collapsed.gram @ state.loading
    score = a - (b @ mean[..., None])[..., 0]
    # Expectations of s_i x_c and s_i^2.
    products = a[..., None] * mean[:, None, :] - b @ second
    squares = a * score - (b * products).sum(axis=2)
    of_variance = 0.5 * (squares - np.diagonal(state.collapsed.gram, axis1=1, axis2=2)).sum(axis=0)
    of_loading = (products * state.loading).sum(axis=0)
    m = state.columns.shape[1]
    of_clusters = of_loading[:, m:].sum(axis=1)
    of_scale = 2.0 * of_variance * state.variance + of_clusters
    joint = (prior.mean_kind == JOINT).reshape(point.base.shape)[tuple(state.columns)]
    of_joint = float(of_loading[:, :m].sum(axis=0)[joint].sum())
    if prior.joint.any():
        squared = np.where(prior.joint, point.scale**2, 0.0)
        of_scale += of_joint * squared / squared.sum()
    variance = np.where(np.arange(of_scale.size) < prior.block, 0.0, point.scale**2)
    inner = point.between * (1.0 - point.between)
    of_between = 0.5 * (1.0 - point.between) * of_clusters.sum() - inner * of_variance @ variance
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    of_base = (score.T @ z).reshape(-1)
    parts = [of_scale[layout.scales], of_base[layout.means]]
    four = np.array([0.5 * of_joint, of_between, 0.0, 0.0])
    if layout.noise_kind == FIXED_NOISE:
        return np.concatenate([*parts, four[layout.flags]])
    of_noise = _squared_residuals(layout, point, state, (a, b), moments) - layout.rows
    four[2:] = of_noise.sum(), of_noise @ (point.log_sd - point.log_median)
    last = point.spread * of_noise if layout.n_deltas else np.zeros(0)
    return np.concatenate([*parts, four[layout.flags], last])


def _squared_residuals(
    layout: Layout,
    point: Point,
    state: _Collapsed,
    scores: tuple[np.ndarray, np.ndarray],
    moments: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Expected sums of squared residuals (task,) over the noise variance.

    The weights of a task have mean ``m + D s`` and covariance ``D - D S D`` given m.
    """
    mean, second = moments
    a, b = scores
    gram, moment, variance = state.sites.gram, state.sites.moment, state.variance
    base = state.center + variance * a
    slope = state.loading - variance[:, None] * b
    covariance = np.diag(variance) - variance[:, None] * state.collapsed.gram * variance
    covariance = covariance + slope @ (second - mean[:, :, None] * mean[:, None, :]) @ slope.mT
    center = base + (slope @ mean[..., None])[..., 0]
    fitted = (gram @ center[..., None])[..., 0]
    total = layout.total * np.exp(-2.0 * point.log_sd)
    spread = (gram * covariance).sum(axis=(1, 2))
    return total + (center * (fitted - 2.0 * moment)).sum(axis=1) + spread
