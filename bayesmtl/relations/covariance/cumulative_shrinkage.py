"""Variational factors of what loadings are shrunk by: kinds of factors, slab variances, sticks.

The part of the unit interval in which factor h falls, one of ``n_factors + 1``, makes it inactive
where it is among the first h. Part and slab variance have one factor ``q(part_h, variance_h)``,
inverse gamma where the factor is active; sticks have Beta factors.

References
----------
Legramanti, Durante and Dunson 2020, Biometrika 107.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, digamma, gammaln, logsumexp, softmax

from bayesmtl.relations.covariance.state import SLAB_RATE, SLAB_SHAPE, SPIKE, STICK

__all__ = [
    "KindDraws",
    "Shrinkage",
    "draw_kinds",
    "moved",
    "permuted",
    "start_shrinkage",
    "update_shrinkage",
]

_ROUNDS = 5


class Shrinkage(NamedTuple):
    """The factors, and what follows from them.

    Parameters
    ----------
    parts : (factor, factor + 1)
        Probabilities of the parts.
    sticks : (factor, 2)
        Beta parameters.
    rate : (factor,)
        Of the inverse gamma factors.
    precision : (factor,)
        Expected precision of the loadings.
    squares : (factor,)
        Expected sums of squares of the loadings over tasks.
    bound : float
        Expected log density of loadings, kinds, variances and sticks, minus that of the factors of
        the last three.
    """

    parts: np.ndarray
    sticks: np.ndarray
    rate: np.ndarray
    precision: np.ndarray
    squares: np.ndarray
    bound: float

    @property
    def active(self) -> np.ndarray:
        """Probability (factor,) that each is active."""
        return np.asarray(np.triu(self.parts, 1)[:, 1:].sum(axis=1))


def _log_parts(sticks: np.ndarray) -> np.ndarray:
    """Expected logs (factor + 1,) of the parts of the interval."""
    whole = digamma(sticks.sum(axis=1))
    taken, left = digamma(sticks[:, 0]) - whole, digamma(sticks[:, 1]) - whole
    before = np.concatenate([[0.0], np.cumsum(left)])
    return np.asarray(np.concatenate([taken, [0.0]]) + before)


def _spike_rows(number: int) -> np.ndarray:
    """Which parts (factor, factor + 1) make a factor inactive."""
    return np.arange(number + 1) <= np.arange(number)[:, None]


def start_shrinkage(squares: np.ndarray, n_tasks: int) -> Shrinkage:
    """Sticks at their prior, all else at its optimum given the squares."""
    number = len(squares)
    sticks = np.tile([1.0, STICK], (number, 1))
    return _with_sticks(sticks, squares, n_tasks)


def update_shrinkage(now: Shrinkage, squares: np.ndarray, n_tasks: int) -> Shrinkage:
    """Sticks and kinds in turn, given expected squares (factor,) of the loadings."""
    for _ in range(_ROUNDS):
        counts = now.parts.sum(axis=0)
        later = counts[::-1].cumsum()[::-1]
        sticks = np.column_stack([1.0 + counts[:-1], STICK + later[1:]])
        now = _with_sticks(sticks, squares, n_tasks)
    return now


def _with_sticks(sticks: np.ndarray, squares: np.ndarray, n_tasks: int) -> Shrinkage:
    """Kinds and variances at their optimum given the sticks."""
    number = len(squares)
    shape, rate = SLAB_SHAPE + 0.5 * n_tasks, SLAB_RATE + 0.5 * squares
    slab = gammaln(shape) - gammaln(SLAB_SHAPE) + SLAB_SHAPE * np.log(SLAB_RATE)
    slab = slab - shape * np.log(rate)
    spike = -0.5 * (n_tasks * np.log(SPIKE) + squares / SPIKE)
    spikes = _spike_rows(number)
    scores = _log_parts(sticks) + np.where(spikes, spike[:, None], slab[:, None])
    parts = softmax(scores, axis=1)
    inactive = (parts * spikes).sum(axis=1)
    prior, own = np.array([1.0, STICK]), sticks
    ratio = betaln(*own.T) - betaln(*prior) - ((own - prior) * _log_of_sticks(own)).sum(axis=1)
    bound = logsumexp(scores, axis=1).sum() + ratio.sum()
    bound -= 0.5 * n_tasks * number * np.log(2.0 * np.pi)
    precision = (1.0 - inactive) * shape / rate + inactive / SPIKE
    return Shrinkage(parts, sticks, rate, precision, squares, float(bound))


def _log_of_sticks(sticks: np.ndarray) -> np.ndarray:
    """Expected logs (factor, 2) of each break and of what it leaves."""
    return digamma(sticks) - digamma(sticks.sum(axis=1, keepdims=True))


def moved(now: Shrinkage, squares: np.ndarray) -> Shrinkage:
    """The same factors with other loadings."""
    change = squares - now.squares
    return now._replace(squares=squares, bound=now.bound - 0.5 * float(now.precision @ change))


def permuted(now: Shrinkage, order: np.ndarray, n_tasks: int) -> Shrinkage:
    """Factors in another order, kinds and variances at their optimum there."""
    return update_shrinkage(
        _with_sticks(now.sticks, now.squares[order], n_tasks), now.squares[order], n_tasks
    )


class KindDraws(NamedTuple):
    """Draws of kinds and variances of the loadings.

    Parameters
    ----------
    active : (draw, factor) bool
    variance : (draw, factor)
    log_prior, log_factor : (draw,)
        Log densities, sticks included.
    """

    active: np.ndarray
    variance: np.ndarray
    log_prior: np.ndarray
    log_factor: np.ndarray


def draw_kinds(now: Shrinkage, n_tasks: int, n_draws: int, rng: np.random.Generator) -> KindDraws:
    """Draw from the factors of kinds, variances and sticks."""
    number, one = len(now.rate), np.zeros((n_draws, 1))
    taken, left = now.sticks.T
    v = np.clip(rng.beta(taken, left, size=(n_draws, number)), 1e-12, 1.0 - 1e-12)
    log_v, log_rest = np.log(v), np.log1p(-v)
    log_prior = _log_beta(log_v, log_rest, np.ones(number), np.full(number, STICK))
    log_factor = _log_beta(log_v, log_rest, taken, left)
    log_parts = np.concatenate([one, log_rest.cumsum(axis=1)], axis=1)
    log_parts += np.concatenate([log_v, one], axis=1)
    level = rng.random((n_draws, number, 1))
    part = (level >= now.parts.cumsum(axis=1)[:, :-1]).sum(axis=2)
    log_prior += np.take_along_axis(log_parts, part, axis=1).sum(axis=1)
    log_factor += np.log(now.parts[np.arange(number), part]).sum(axis=1)
    active = part > np.arange(number)
    shape = SLAB_SHAPE + 0.5 * n_tasks
    slab = now.rate / rng.gamma(shape, size=(n_draws, number))
    log_prior += np.where(active, _log_inverse_gamma(slab, SLAB_SHAPE, SLAB_RATE), 0.0).sum(axis=1)
    log_factor += np.where(active, _log_inverse_gamma(slab, shape, now.rate), 0.0).sum(axis=1)
    return KindDraws(active, np.where(active, slab, SPIKE), log_prior, log_factor)


def _log_beta(
    log_v: np.ndarray, log_rest: np.ndarray, one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """Log densities (draw,) of all sticks."""
    each = (one - 1.0) * log_v + (other - 1.0) * log_rest - betaln(one, other)
    return np.asarray(each.sum(axis=1))


def _log_inverse_gamma(x: np.ndarray, shape: float, rate: np.ndarray | float) -> np.ndarray:
    constant = shape * np.log(rate) - gammaln(shape)
    return np.asarray(constant - (shape + 1.0) * np.log(x) - rate / x)
