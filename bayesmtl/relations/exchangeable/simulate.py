"""Draws of the population from its prior."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.numerics.matrices import draw_inverse_wishart
from bayesmtl.priors import PriorLike, sample_value
from bayesmtl.relations.exchangeable.prior import Block
from bayesmtl.relations.exchangeable.selection import SelectionPrior, draw_selection
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF

__all__ = ["PriorDraw", "simulate_population"]


class PriorDraw(NamedTuple):
    """One draw of the population, user units.

    Parameters
    ----------
    means : (p, q)
    scale : (p,)
    correlation : (p, p)
    shared : float or None
    """

    means: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray
    shared: float | None


def _number(value: PriorLike | None, rng: np.random.Generator) -> float:
    return np.nan if value is None else sample_value(value, rng)


def simulate_population(
    problem: Problem, noise_variance: float, rng: np.random.Generator
) -> PriorDraw:
    """Draw means, scales and correlations from their prior.

    Parameters
    ----------
    problem : Problem
    noise_variance : float
        The noise variance that the joint prior refers to, internal units.
    rng : numpy.random.Generator
    """
    means = np.array(
        [[_number(value, rng) for value in row] for block in problem.blocks for row in block.mean]
    )
    scale = np.array([_number(value, rng) for block in problem.blocks for value in block.scale])
    p = scale.size
    correlation = np.eye(p)
    last, first = problem.blocks[-1], p - len(problem.blocks[-1].scale)
    shared = None
    if problem.selection is not None:
        _selected(problem, problem.selection, means, scale, rng)
    elif problem.prior.joint.any():
        shared = _joint(problem, last, means, scale, noise_variance, rng)
    if last.covariance == "huang_wand":
        covariance = _huang_wand(problem, first, rng)
        sd = np.sqrt(np.diag(covariance))
        scale[first:] = sd * problem.prior.scale_unit[first:]
        correlation[first:, first:] = covariance / np.outer(sd, sd)
    elif last.covariance == "separate":
        varying = first + np.flatnonzero(scale[first:] > 0.0)
        matrix = draw_lkj(len(varying), last.correlation_shape, rng)
        correlation[np.ix_(varying, varying)] = matrix
    elif last.correlation is not None:
        correlation[first:, first:] = last.correlation
    return PriorDraw(means, scale, correlation, shared)


def _selected(
    problem: Problem,
    selection: SelectionPrior,
    means: np.ndarray,
    scale: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Fill in the means and scales under feature selection."""
    state, spread = draw_selection(selection, means.shape[1] - 1, rng)
    member, chosen = selection.member, selection.means
    scale[member] = spread[member] * problem.prior.scale_unit[member]
    sds = state.local[chosen] * problem.prior.mean_unit[chosen]
    means[chosen] = sds * rng.normal(size=sds.size)


def _joint(
    problem: Problem,
    block: Block,
    means: Any,
    scale: Any,
    noise_variance: float,
    rng: np.random.Generator,
) -> float:
    """Fill in the means and scales of the joint prior; return the shared fraction."""
    member = problem.prior.joint
    r2 = _number(block.r2, rng)
    shared = _number(block.shared, rng)
    signal = noise_variance * r2 / (1.0 - r2)
    weight = rng.dirichlet(np.ones(int(member.sum())))
    scale[member] = np.sqrt((1.0 - shared) * signal * weight) * problem.prior.scale_unit[member]
    free = np.isnan(means)
    sd = np.sqrt(shared * signal / int(free.sum()))
    means[free] = rng.normal(0.0, sd, int(free.sum())) * problem.prior.mean_unit[free]
    return shared


def _huang_wand(problem: Problem, first: int, rng: np.random.Generator) -> np.ndarray:
    a_scale = problem.prior.half_t_scale[first:]
    d = a_scale.size
    inverse_a = rng.gamma(0.5, a_scale**2)
    scale = 2.0 * HUANG_WAND_DOF * np.diag(inverse_a)
    covariance, _ = draw_inverse_wishart(HUANG_WAND_DOF + d - 1.0, scale, rng)
    return np.asarray(covariance)


def draw_lkj(d: int, eta: float, rng: np.random.Generator) -> np.ndarray:
    """A d x d correlation matrix from LKJ(eta), by the onion method.

    Grows the Cholesky factor row by row: the squared length of the new row's off-diagonal part is
    Beta(k / 2, eta + (d - k - 1) / 2), its direction uniform (Lewandowski, Kurowicka and Joe 2009,
    J. Multivariate Anal. 100, section 3.2).
    """
    lower = np.zeros((d, d))
    if d > 0:
        lower[0, 0] = 1.0
    for k in range(1, d):
        length = rng.beta(0.5 * k, eta + 0.5 * (d - k - 1))
        direction = rng.normal(size=k)
        lower[k, :k] = np.sqrt(length) * direction / np.linalg.norm(direction)
        lower[k, k] = np.sqrt(1.0 - length)
    return lower @ lower.T
