"""How related the tasks are: sharing, borrowing, differences and correlations of predictors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, PartitionDraws, TaskDraws, evenly_spaced, take
from bayesmtl.likelihoods.parameters import noise_position
from bayesmtl.numerics.lanes import pack_tasks, prior_shares, unpack_tasks
from bayesmtl.posterior import task_draws
from bayesmtl.posterior.partition_draws import conditional_means, variance_factors
from bayesmtl.posterior.redraw import with_weights
from bayesmtl.sites import square_root

__all__ = [
    "STATISTICS",
    "borrowing",
    "sharing",
    "site_precisions",
    "summarise",
    "task_relations",
]

INTERVAL = 0.9
DENSE_LIMIT = 2000
NEIGHBOURS = 5
_CANDIDATES, _TREE_DIMENSIONS = 40, 5
_PAIR_BUDGET = 2e7
_BORROWING_BUDGET = 2e10
# Weights of so many numbers at a time.
_NUMBERS = 10_000_000


def sharing(problem: Problem, draws: Draws) -> np.ndarray:
    """(chain, draw) share of the tasks' signal that comes from their common part.

    ``sum_t m_t'C m_t / (sum_t m_t'C m_t + sum_t tr(C D))``, m_t and D mean and covariance of the
    weights of task t given the structure, C the pooled second moment of the features. Without
    features it speaks of the intercept.
    """
    if draws.partition is not None or draws.tasks is not None:
        return _sharing_given_others(problem, draws)
    first = int(problem.separate_intercept and bool(problem.features))
    prior = problem.prior
    # Task features stay standardised, as in task_cross.
    unit = prior.scale_unit[first:, None]
    means = prior.mean_location[first:] + unit * draws.means[..., first:, :]
    second = _second_moment(problem)
    common = np.einsum("...ia,ij,...jb,ab->...", means, second, means, prior.task_cross)
    sd = prior.scale_unit[first:] * draws.scale[..., first:]
    if draws.correlation is None:
        own = (sd**2) @ np.diag(second)
    else:
        correlation = draws.correlation[..., first:, first:]
        own = np.einsum("...i,...ij,...j,ij->...", sd, correlation, sd, second)
    total = common + prior.n_tasks * own + _deviations(problem, draws, second)
    return np.divide(common, total, out=np.zeros_like(total), where=total > 0)


def _second_moment(problem: Problem) -> np.ndarray:
    if not problem.features:
        return np.ones((1, 1))
    design = problem.rows.features - problem.scaling.feature_center
    return np.asarray(design.T @ design / max(1, len(design)))


def _sharing_given_others(problem: Problem, draws: Draws) -> np.ndarray:
    """As `sharing`, with each task's moments given the structure and the other tasks' weights."""
    prior, first = problem.prior, problem.prior.block
    second, unit = _second_moment(problem), prior.scale_unit[first:]
    chains, rows = np.divmod(np.arange(draws.lp.size), draws.lp.shape[1])
    n_parts = min(draws.lp.size, 1 + draws.lp.size * prior.n_tasks * unit.size // _NUMBERS)
    out, rng = [], np.random.default_rng(0)
    for some in np.array_split(np.arange(draws.lp.size), n_parts):
        part = take(draws, chains[some], rows[some])
        if part.weights is None:
            part = with_weights(problem, part, rng)
        if part.tasks is not None:
            means, factors = task_draws.conditional_means(problem, part), part.tasks
            variance = task_draws.variance_factors(factors)
        else:
            assert part.partition is not None
            means = conditional_means(problem, part)
            variance = variance_factors(part.partition)
        mean = prior.mean_location[first:, 0] + unit * means[0]
        common = np.einsum("sti,ij,stj->s", mean, second, mean, optimize=True)
        own = ((unit * part.scale[0, :, first:]) ** 2) @ np.diag(second)
        total = common + own * variance[0].sum(axis=-1) + _deviations(problem, part, second)[0]
        out.append(np.divide(common, total, out=np.zeros_like(total), where=total > 0))
    return np.concatenate(out).reshape(draws.lp.shape)


def _deviations(problem: Problem, draws: Draws, second: np.ndarray) -> np.ndarray:
    """(chain, draw) sum over tasks of ``tr(C D)``, D the variances of sparse deviations."""
    if draws.sparse is None:
        return np.zeros(draws.lp.shape)
    first = problem.prior.block
    unit = problem.prior.scale_unit[first:]
    variance = (draws.sparse.local[..., first:] ** 2).sum(axis=-2)
    return np.asarray(variance @ (unit**2 * np.diag(second)))


def _task_scales(problem: Problem, draws: Draws) -> Callable[[int, int], np.ndarray]:
    """Function of chain and draw that gives the sds (task, p) of the weights given the others."""
    common = _common_scales(problem, draws)
    if draws.sparse is None:
        return common
    local = draws.sparse.local
    return lambda chain, draw: np.hypot(common(chain, draw), local[chain, draw])


def _common_scales(problem: Problem, draws: Draws) -> Callable[[int, int], np.ndarray]:
    """As `_task_scales`, without sparse deviations."""
    n_tasks, first = problem.prior.n_tasks, problem.prior.block
    if draws.tasks is not None:
        return _scales_of_correlated(problem, draws)
    if draws.partition is None:
        return lambda chain, draw: np.broadcast_to(
            draws.scale[chain, draw], (n_tasks, draws.scale.shape[-1])
        )
    partition = draws.partition

    def scales(chain: int, draw: int) -> np.ndarray:
        one = PartitionDraws(*(part[chain, draw] for part in partition))
        out = np.tile(draws.scale[chain, draw], (n_tasks, 1))
        out[:, first:] *= np.sqrt(variance_factors(one))[:, None]
        return out

    return scales


def _scales_of_correlated(problem: Problem, draws: Draws) -> Callable[[int, int], np.ndarray]:
    assert draws.tasks is not None
    n_tasks, first = problem.prior.n_tasks, problem.prior.block
    parts = draws.tasks

    def scales(chain: int, draw: int) -> np.ndarray:
        one = TaskDraws(*(None if part is None else part[chain, draw] for part in parts))
        out = np.tile(draws.scale[chain, draw], (n_tasks, 1))
        out[:, first:] *= np.sqrt(task_draws.variance_factors(one))[:, None]
        return out

    return scales


def site_precisions(problem: Problem, draws: Draws) -> Callable[[tuple[int, int]], np.ndarray]:
    """Function of chain and draw that gives the precisions (block, lane) of the sites."""
    n_tasks, kernels = problem.prior.n_tasks, problem.row_kernels
    if draws.log_noise is not None:
        log_noise = draws.log_noise
        return lambda index: pack_tasks(
            np.broadcast_to(np.exp(-2.0 * log_noise[index]), (n_tasks,))
        )
    known = problem.sites.precision
    if problem.groups is not None:
        return _scaled_precisions(problem, draws)
    if kernels is None or kernels.information is None:
        return lambda index: known
    assert draws.parameters is not None
    ratio = kernels.information(draws.parameters)
    ratio = ratio / kernels.information(problem.row_parameters.start)
    return lambda index: known * ratio[index]


def _scaled_precisions(problem: Problem, draws: Draws) -> Callable[[tuple[int, int]], np.ndarray]:
    """As `site_precisions`, of tasks with scales of their own."""
    assert problem.groups is not None
    assert draws.parameters is not None
    assert draws.task_scale is not None
    ratio = np.array(draws.task_scale**2)
    for group in problem.groups.groups:
        information = group.likelihood.kernels.information
        if information is not None:
            change = information(draws.parameters[..., group.parameters]) / information(group.start)
            ratio[..., group.tasks] *= change[..., None]
    return lambda index: problem.sites.precision * pack_tasks(ratio[index])


def borrowing(problem: Problem, draws: Draws, cores: int) -> tuple[np.ndarray, bool]:
    """Share of each task's estimate that comes from the others, ``tr[(G_t + D^-1)^-1 D^-1] / d``.

    Returns
    -------
    values : (chain, draw, task), or (draw, task) of evenly spaced draws where all are too much work
    complete : bool
        Whether every draw is there.
    """
    n_chains, n_draws = draws.lp.shape
    p = draws.scale.shape[-1]
    first = int(problem.separate_intercept and bool(problem.features))
    cost = 0.5 * problem.prior.n_tasks * p**3
    keep = min(n_chains * n_draws, max(50, int(_BORROWING_BUDGET / cost)))
    complete = keep == n_chains * n_draws
    picks = list(zip(*evenly_spaced(draws, keep), strict=True))
    out = np.empty((keep, problem.prior.n_tasks))
    precisions = site_precisions(problem, draws)
    scales = _task_scales(problem, draws)

    def one(position: int) -> None:
        index = picks[position]
        correlation = np.eye(p) if draws.correlation is None else draws.correlation[index]
        lanes = precisions(index)
        shares = np.empty_like(lanes)
        scale = pack_tasks(scales(*index))
        prior_shares(problem.sites.gram, lanes, scale, np.linalg.inv(correlation), first, shares)
        out[position] = unpack_tasks(shares, problem.prior.n_tasks)

    one(0)
    with ThreadPoolExecutor(max_workers=cores) as pool:
        list(pool.map(one, range(1, keep)))
    return (out.reshape(n_chains, n_draws, -1) if complete else out), complete


def summarise(values: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """(sample, ...) -> (..., statistic): mean, sd, 5% and 95% quantile, P(> 0) where signed."""
    # Quantiles along contiguous memory are several times faster; a copy, because they sort it.
    last = np.array(np.moveaxis(values, 0, -1), order="C")
    mean, sd = last.mean(axis=-1), last.std(axis=-1)
    sign = (last > 0).mean(axis=-1) if signed else np.full(mean.shape, np.nan)
    tail = 0.5 * (1.0 - INTERVAL)
    lower, upper = np.quantile(last, [tail, 1.0 - tail], axis=-1, overwrite_input=True)
    return np.stack([mean, sd, lower, upper, sign], axis=-1)


STATISTICS = np.array(["mean", "sd", "lower", "upper", "p_positive"], dtype=object)


def _predictors(problem: Problem, draws: Draws, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced draws of coefficients (sample, task, p) and noise variances (sample, task)."""
    assert draws.weights is not None
    chain, draw = evenly_spaced(draws, n_samples)
    weights = draws.weights[chain, draw]
    position = noise_position(problem.row_parameters.blocks)
    if position is not None:
        assert draws.parameters is not None
        shared = np.exp(2.0 * draws.parameters[chain, draw, position])
        variance = np.broadcast_to(shared[:, None], weights.shape[:2])
    elif problem.fixed_noise is not None:
        fixed = (problem.fixed_noise / problem.scaling.response_scale) ** 2
        variance = np.broadcast_to(fixed, weights.shape[:2])
    elif draws.log_noise is None:
        variance = np.full(weights.shape[:2], problem.reference_noise)
    else:
        log_noise = draws.log_noise[chain, draw]
        wide = log_noise if log_noise.ndim == 2 else log_noise[:, None]
        variance = np.broadcast_to(np.exp(2.0 * wide), weights.shape[:2])
    return weights, variance


def _features_covariance(problem: Problem) -> np.ndarray:
    """Pooled covariance of the coefficients' columns; the intercept's row and column are zero."""
    if len(problem.design) == 0:
        return np.zeros((problem.design.shape[1],) * 2)
    centred = problem.design - problem.design.mean(axis=0)
    return np.asarray(centred.T @ centred / len(centred))


def _effective_features(covariance: np.ndarray) -> int:
    sd = np.sqrt(np.diag(covariance))
    varying = sd > 1e-9
    if not varying.any():
        return 0
    correlation = covariance[np.ix_(varying, varying)] / np.outer(sd[varying], sd[varying])
    return int((np.linalg.eigvalsh(correlation) > 1e-8).sum())


def _unit(problem: Problem) -> str:
    """What differences of predictors are given in."""
    if problem.row_data is None or noise_position(problem.row_parameters.blocks) is not None:
        return "noise standard deviations"
    if problem.groups is not None:
        return "steps as large as the scatter of an average row"
    return f"steps of {np.sqrt(problem.reference_noise):.2g} on the scale of the link"


def _pairwise(left: np.ndarray, noise: np.ndarray | None, rows: slice) -> np.ndarray:
    """(sample, some tasks, those and later): differences in noise sds; cosines without noise."""
    rest = slice(rows.start, None)
    products = left[:, rows] @ left[:, rest].transpose(0, 2, 1)
    squares = (left**2).sum(axis=2)
    if noise is None:
        size = np.sqrt(squares[:, rows, None] * squares[:, None, rest])
        return np.divide(products, size, out=np.zeros_like(products), where=size > 0)
    square = squares[:, rows, None] + squares[:, None, rest] - 2.0 * products
    pooled = 0.5 * (noise[:, rows, None] + noise[:, None, rest])
    return np.asarray(np.sqrt(np.clip(square, 0.0, None) / pooled))


def _dense(left: np.ndarray, noise: np.ndarray | None, cores: int) -> np.ndarray:
    """(task, task, statistic) summaries over samples, in blocks of tasks."""
    n_samples, n_tasks, _ = left.shape
    step = max(1, int(2e6 / (n_samples * n_tasks)))
    out = np.empty((n_tasks, n_tasks, STATISTICS.size))

    def block(start: int) -> None:
        rows = slice(start, start + step)
        values = summarise(_pairwise(left, noise, rows), signed=noise is None)
        out[rows, start:] = values
        out[start:, rows] = values.transpose(1, 0, 2)

    with ThreadPoolExecutor(max_workers=cores) as pool:
        list(pool.map(block, range(0, n_tasks, step)))
    same = np.arange(n_tasks)
    exact = [0.0, 0.0, 0.0, 0.0, np.nan] if noise is not None else [1.0, 0.0, 1.0, 1.0, 1.0]
    out[same, same] = exact
    return out


def _nearest_tasks(center: np.ndarray) -> np.ndarray:
    """(task, neighbour) tasks of the smallest distance between their rows of ``center``.

    Candidates are the nearest in the leading principal components, since a tree over many
    dimensions is no faster than all pairs; their order is that of the full distances.
    """
    n_tasks = len(center)
    count = min(NEIGHBOURS, n_tasks - 1)
    centred = center - center.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    leading = centred @ axes[:, -_TREE_DIMENSIONS:]
    _, found = cKDTree(leading).query(leading, k=min(_CANDIDATES + 1, n_tasks), workers=-1)
    out = np.empty((n_tasks, count), dtype=np.int64)
    for start in range(0, n_tasks, 10_000):
        rows = np.arange(start, min(start + 10_000, n_tasks))
        distance = ((center[found[rows]] - center[rows, None]) ** 2).sum(axis=2)
        distance[found[rows] == rows[:, None]] = np.inf
        order = np.argsort(distance, axis=1, kind="stable")[:, :count]
        out[rows] = np.take_along_axis(found[rows], order, axis=1)
    return out


def _nearest(left: np.ndarray, noise: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The tasks nearest in posterior mean, with the summaries of their differences."""
    neighbour = _nearest_tasks(left.mean(axis=0))
    count = neighbour.shape[1]
    stats = np.empty((len(labels), count, STATISTICS.size))
    for j in range(count):
        other = neighbour[:, j]
        square = ((left - left[:, other]) ** 2).sum(axis=2)
        pooled = 0.5 * (noise + noise[:, other])
        stats[:, j] = summarise(np.sqrt(square / pooled))
    return {
        "nearest_task": (("task", "neighbour"), labels[neighbour]),
        "nearest_difference": (("task", "neighbour", "statistic"), stats),
    }


def task_relations(
    problem: Problem, draws: Draws, share: np.ndarray, borrowed: np.ndarray, cores: int
) -> xr.Dataset:
    """The group ``task_relations``: label-free summaries of how the tasks relate.

    Parameters
    ----------
    problem : Problem
    draws : Draws
        With weights.
    share : (chain, draw)
    borrowed : (..., task)
    cores : int
    """
    labels = problem.rows.tasks
    n_tasks = len(labels)
    out: dict[str, Any] = {
        "sharing": (("statistic",), summarise(share.reshape(-1))),
        "borrowing": (("task", "statistic"), summarise(borrowed.reshape(-1, n_tasks))),
    }
    attrs: dict[str, Any] = {"interval": INTERVAL, "difference_unit": _unit(problem)}
    design = problem.design
    second = design.T @ design / max(1, len(design))
    dense = n_tasks <= DENSE_LIMIT
    size = n_tasks**2 if dense else n_tasks * 40 * design.shape[1]
    n_samples = int(np.clip(_PAIR_BUDGET / size, 200, 4000))
    weights, noise = _predictors(problem, draws, n_samples)
    left = weights @ square_root(second)
    coords: dict[str, Any] = {"task": labels, "statistic": STATISTICS}
    if not dense:
        out |= _nearest(left, noise, labels)
        attrs["correlation_absent"] = f"more than {DENSE_LIMIT} tasks"
        return xr.Dataset(out, coords, attrs)
    out["difference"] = (("task", "task_bis", "statistic"), _dense(left, noise, cores))
    coords["task_bis"] = labels
    covariance = _features_covariance(problem)
    effective = _effective_features(covariance)
    if effective < 2:
        number = ("no feature varies", "there is one effective feature")[effective]
        attrs["correlation_absent"] = (
            f"{number}: correlations of predictors need two or more effective features"
        )
    else:
        correlations = _dense(weights @ square_root(covariance), None, cores)
        out["correlation"] = (("task", "task_bis", "statistic"), correlations)
    return xr.Dataset(out, coords, attrs)
