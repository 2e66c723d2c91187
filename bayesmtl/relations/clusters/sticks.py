"""Sticks of random partitions, with concentration, discount and number of components: one factor.

The weights of the clusters, in size-biased order, are sticks ``v_k ~ Beta(1 - delta, alpha + k
delta)`` under all three relations: ``delta = 0`` is the Dirichlet process, ``0 <= delta < 1``
Pitman-Yor, and ``delta = -alpha / M`` a mixture of M components with Dirichlet(alpha / M) weights,
whose Mth stick takes the rest (Pitman 1996). In this order M components need no factor for the
names of the empty ones.

Given expected numbers of tasks N_k, and N_>k in later clusters, the sticks integrate to ::

    log S(alpha, delta) = sum_k log Gamma(1 - delta + N_k) - log Gamma(1 - delta)
                          + log Gamma(1 + alpha) - log Gamma(1 + alpha + N)
                          + sum_{k < K} log (alpha + k delta) - log (alpha + k delta + N_>k)

and the optimal joint factor of sticks, alpha, delta and M adds ``log E S``, over their prior, to
the bound. The expectation is a sum over M up to 60, which can only be too small, and a double
exponential rule in the quantiles of alpha and delta.

References
----------
Pitman 1996, IMS Lecture Notes 30 (size-biased order); Blei and Jordan 2006, Bayesian Analysis 1;
Takahasi and Mori 1974, Publ. RIMS 9 (quadrature).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, expit, gammaln, logsumexp, softmax

from bayesmtl.priors import Prior, prior_of_row
from bayesmtl.relations.clusters.partition import update_partition_prior
from bayesmtl.relations.clusters.state import PartitionPrior, PartitionState

__all__ = [
    "StickPrior",
    "Sticks",
    "draw_settings",
    "fit_sticks",
    "points_given",
    "stick_prior",
]

_MOST_CLUSTERS = 30
_CONCENTRATIONS, _DISCOUNTS, _COMPONENTS = 40, 20, 60
# The rule ends at probabilities of 1e-9.
_REACH = 2.58
_ROUNDING, _NEGLIGIBLE = 1e-12, 1e-12


class StickPrior(NamedTuple):
    """Points that the prior of concentration, discount and number of components is summed over.

    Parameters
    ----------
    concentration, discount, n_components : (point,)
        0 components for a process; the discount of a finite mixture is ``-alpha / M``.
    log_weight : (point,)
        With the terms of log S that do not depend on the clusters.
    mass : (point, most - 1)
        ``alpha + k delta``, k = 1, 2, ...
    discounts, which : (value,), (point,)
        Distinct discounts, and which of them each point has.
    n_tasks, most : int
        Tasks, and clusters that an approximation of them may have.
    """

    concentration: np.ndarray
    discount: np.ndarray
    n_components: np.ndarray
    log_weight: np.ndarray
    mass: np.ndarray
    discounts: np.ndarray
    which: np.ndarray
    n_tasks: int
    most: int


class Sticks(NamedTuple):
    """The optimal factor of sticks, concentration, discount and number of components.

    Parameters
    ----------
    log_weights : (cluster,)
        Expected log weights of the clusters.
    bound : float
        ``log E S``: what the factor and the prior of the clusters add to the bound. Where the
        numbers of tasks are certain it is the log prior probability of the clusters.
    probabilities : (point,)
    """

    log_weights: np.ndarray
    bound: float
    probabilities: np.ndarray


def stick_prior(prior: PartitionPrior, n_tasks: int) -> StickPrior:
    """The points of a prior.

    Parameters
    ----------
    prior : PartitionPrior
    n_tasks : int
    """
    most = min(n_tasks, _MOST_CLUSTERS)
    alpha, log_alpha = _rule(prior.concentration, _CONCENTRATIONS)
    possible = np.flatnonzero(np.isfinite(prior.log_components))
    number = np.zeros(1, dtype=np.int64)
    if possible.size:
        most = min(most, int(possible[-1]) + 1)
        number = 1 + possible[:_COMPONENTS]
        log_other = prior.log_components[number - 1]
        delta = -alpha[:, None] / number
    else:
        delta, log_other = _rule(prior.discount, _DISCOUNTS)
    alpha, log_weight, delta, number = (
        part.reshape(-1)
        for part in np.broadcast_arrays(
            alpha[:, None], log_alpha[:, None] + log_other, delta, number
        )
    )
    mass = alpha[:, None] + delta[:, None] * np.arange(1, most)
    # M components leave nothing to a stick after the Mth.
    mass = np.where(mass > _ROUNDING * alpha[:, None], mass, 0.0)
    log_weight = log_weight + gammaln(1.0 + alpha) - gammaln(1.0 + alpha + n_tasks)
    discounts, which = np.unique(delta, return_inverse=True)
    return StickPrior(alpha, delta, number, log_weight, mass, discounts, which, n_tasks, most)


def _rule(row: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a hyperparameter and their log weights."""
    prior = prior_of_row(row)
    if not isinstance(prior, Prior):
        return np.array([prior]), np.zeros(1)
    x, step = np.linspace(-_REACH, _REACH, n, retstep=True)
    level = expit(np.pi * np.sinh(x))
    return prior.quantile(level), np.log(step * np.pi * np.cosh(x) * level * (1.0 - level))


def fit_sticks(counts: np.ndarray, prior: StickPrior) -> Sticks:
    """The optimal factor.

    Parameters
    ----------
    counts : (cluster,)
        Expected numbers of tasks, of sum ``n_tasks``.
    prior : StickPrior
    """
    after = counts[::-1].cumsum()[::-1][1:]
    first = 1.0 - prior.discounts[:, None] + counts
    second = prior.mass[:, : after.size] + after
    gained = gammaln(first).sum(axis=1) - counts.size * gammaln(1.0 - prior.discounts)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.log(np.where(after > 0.0, prior.mass[:, : after.size] / second, 1.0))
    log_s = prior.log_weight + gained[prior.which] + lost.sum(axis=1)
    bound = logsumexp(log_s)
    probabilities = np.exp(log_s - bound)
    shares = np.bincount(prior.which, probabilities)
    own, point = shares > _NEGLIGIBLE, probabilities > _NEGLIGIBLE
    log_weights = shares[own] @ digamma(first[own])
    log_weights -= probabilities @ digamma(1.0 + prior.concentration + prior.n_tasks)
    with np.errstate(divide="ignore"):
        log_weights[1:] -= np.cumsum(probabilities[point] @ (1.0 / second[point]))
    return Sticks(log_weights, float(bound), probabilities)


def points_given(sizes: np.ndarray, points: StickPrior) -> np.ndarray:
    """Posterior probabilities of the points given the sizes (cluster,) of a partition."""
    gained = gammaln(sizes - points.discounts[:, None]).sum(axis=1)
    gained -= sizes.size * gammaln(1.0 - points.discounts)
    with np.errstate(divide="ignore"):
        opened = np.log(points.mass[:, : sizes.size - 1]).sum(axis=1)
    # The weights have the constant of clusters in size-biased order.
    log_p = points.log_weight + np.log(points.concentration + points.n_tasks)
    return softmax(log_p + gained[points.which] + opened)


def draw_settings(
    labels: np.ndarray,
    n_draws: int,
    points: StickPrior,
    prior: PartitionPrior,
    rng: np.random.Generator,
) -> np.ndarray:
    """Concentration, discount and number of components (draw, 3) given a partition.

    Each draw is a point, then one Gibbs update away from it.

    Parameters
    ----------
    labels : (task,) int
        Clusters 0, 1, ... by first appearance.
    n_draws : int
    points : StickPrior
    prior : PartitionPrior
    rng : numpy.random.Generator
    """
    sizes = np.bincount(labels)
    probabilities = points_given(sizes, points)
    which = rng.choice(probabilities.size, n_draws, p=probabilities)
    out = np.column_stack([points.concentration, points.discount, points.n_components])[which]
    for draw in out:
        concentration, discount, n_components = draw[:1], draw[1:2], draw[2:].astype(np.int64)
        state = PartitionState(
            labels,
            sizes,
            np.array([sizes.size]),
            n_components,
            concentration,
            discount,
            np.zeros(1),
            np.zeros((1, 1)),
        )
        update_partition_prior(state, prior, rng)
        draw[2] = n_components[0]
    return out
