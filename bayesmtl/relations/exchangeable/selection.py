"""Feature selection: a regularised horseshoe over the features, shared by all tasks.

Each feature has a scale of its mean over tasks and one of the tasks' deviations from it, both
regularised half-Cauchy: most are near zero, where the feature has no effect in any task, or the
same in all; the others are almost free up to the slab (Piironen and Vehtari 2017, Electron. J.
Stat. 11; grouped by features as in Makalic and Schmidt 2016, IEEE Signal Process. Lett. 23). Given
the global scales and the slab, the scales of deviations are scales with a prior like any other, and
given its own scale a mean is normal: the rows of these priors are part of the state of a chain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.numerics.densities import CODES, REGULARISED, log_regularised
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import mean_moments
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.horseshoe import (
    MEAN_SCALE,
    SLAB,
    SPREAD_SCALE,
    draw_slab,
    global_scales,
    log_hyper,
    regularise,
    update_hyper,
)
from bayesmtl.relations.exchangeable.moves import set_weights
from bayesmtl.relations.exchangeable.state import JOINT, NORMAL, PopulationPrior

__all__ = [
    "SelectionPrior",
    "SelectionState",
    "draw_selection",
    "log_selection",
    "own_prior",
    "select_given_deviations",
    "select_given_weights",
    "selection_prior",
    "set_rows",
    "start_selection",
    "under_selection",
]

_NORMAL = CODES["Normal"]


class SelectionPrior(NamedTuple):
    """What is selected, and the priors of the hyperparameters, internal units.

    Parameters
    ----------
    member : (p,) bool
        Coefficients under selection.
    means : (p, q) bool
        Their means and effects of task features that have no priors of their own.
    global_scale : (2,)
        Scales of the half-Cauchy priors of the global scales of means and of deviations.
    """

    member: np.ndarray
    means: np.ndarray
    global_scale: np.ndarray


class SelectionState(NamedTuple):
    """Current values, updated in place.

    Parameters
    ----------
    local : (p, q)
        Sd of each mean; 1 for those that are not under selection.
    hyper : (3,)
        Global scales of means and of deviations, and the slab (an sd).
    """

    local: np.ndarray
    hyper: np.ndarray


def selection_prior(
    prior: PopulationPrior, relevant: float, noise: float, n_rows: int
) -> SelectionPrior:
    """Prior of what is selected: the members of the joint prior; see `global_scales`."""
    means = (prior.mean_kind == JOINT).reshape(prior.mean_location.shape)
    scales = global_scales(relevant, noise, n_rows, prior.n_tasks)
    return SelectionPrior(prior.joint, means, scales)


def under_selection(prior: PopulationPrior) -> PopulationPrior:
    """The prior with normal means and learned scales in place of JOINT ones; rows to be set."""
    scale_prior = prior.scale_prior.copy()
    scale_prior[prior.joint, 0] = REGULARISED
    kind = np.where(prior.mean_kind == JOINT, NORMAL, prior.mean_kind)
    return prior._replace(scale_prior=scale_prior, mean_kind=kind, joint=np.zeros_like(prior.joint))


def own_prior(prior: PopulationPrior) -> PopulationPrior:
    """The same prior with rows of its own, for one chain to change."""
    return prior._replace(mean_prior=prior.mean_prior.copy(), scale_prior=prior.scale_prior.copy())


def draw_selection(
    selection: SelectionPrior, n_effects: int, rng: np.random.Generator
) -> tuple[SelectionState, np.ndarray]:
    """Draw hyperparameters and local scales from their prior.

    Parameters
    ----------
    selection : SelectionPrior
    n_effects : int
        q, a constant and the task features.
    rng : numpy.random.Generator

    Returns
    -------
    state : SelectionState
    spread : (p,)
        Scales of the deviations; 1 for coefficients that are not under selection.
    """
    p = selection.member.size
    hyper = np.empty(3)
    hyper[:2] = selection.global_scale * np.abs(rng.standard_cauchy(2))
    hyper[SLAB] = draw_slab(rng)
    raw = np.abs(rng.standard_cauchy((p, n_effects + 1)))
    raw[:, :-1] *= hyper[MEAN_SCALE]
    raw[:, -1] *= hyper[SPREAD_SCALE]
    members = np.column_stack([selection.means, selection.member])
    scales = np.where(members, regularise(raw, hyper[SLAB]), 1.0)
    return SelectionState(scales[:, :-1].copy(), hyper), scales[:, -1].copy()


def start_selection(
    prior: PopulationPrior, selection: SelectionPrior, rng: np.random.Generator
) -> SelectionState:
    """A dispersed start, with the rows of the prior to match."""
    hyper = np.exp(rng.uniform([-3.0, -3.0, 0.5], [0.0, 0.0, 1.5]))
    local = np.exp(rng.uniform(-3.0, 0.0, selection.means.shape))
    state = SelectionState(np.where(selection.means, local, 1.0), hyper)
    set_rows(prior, selection, state)
    return state


@kernel
def set_rows(prior, selection, state):
    """Write the conditional priors of means and scales into the rows of the population's prior."""
    p, q = state.local.shape
    for i in range(p):
        if not selection.member[i]:
            continue
        unit = prior.scale_unit[i]
        row = prior.scale_prior[i]
        row[0], row[1], row[2] = REGULARISED, state.hyper[1] * unit, state.hyper[2] * unit
        row[5] = math.log(2.0 / math.pi)
        for a in range(q):
            if not selection.means[i, a]:
                continue
            sd = state.local[i, a] * prior.mean_unit[i, a]
            prior.mean_prior[i, a, 0] = _NORMAL
            prior.mean_prior[i, a, 1] = prior.mean_location[i, a]
            prior.mean_prior[i, a, 2] = sd
            prior.mean_prior[i, a, 5] = -math.log(sd) - 0.5 * math.log(2.0 * math.pi)


@kernel
def log_selection(selection, state):
    """Log prior density of local scales of the means and hyperparameters, up to a constant."""
    p, q = state.local.shape
    value = 0.0
    for i in range(p):
        for a in range(q):
            if selection.means[i, a]:
                value += log_regularised(state.local[i, a], state.hyper[0], state.hyper[2])
    return value + log_hyper(state.hyper, selection.global_scale, 0)


@inner_kernel
def _local_target(x, args):
    """Log conditional of the log of one local scale.

    ``count`` and ``square`` where its mean is given, the rest where that is given in its units.
    """
    count, square, quadratic, linear, scale, slab = args
    sd = math.exp(x)
    value = log_regularised(sd, scale, slab) + x
    if count > 0.0:
        value -= count * x + 0.5 * square / (sd * sd)
    return value - 0.5 * quadratic * sd * sd + linear * sd


_slice_local = slice_sampler(_local_target)


@inner_kernel
def _gather(prior, selection, population, state):
    """Scales (n,) under selection, whether of means, and the counts and squares they explain."""
    p, q = state.local.shape
    size = 0
    for i in range(p):
        size += selection.member[i] + selection.means[i].sum()
    scales, of_means = np.empty(size), np.empty(size, dtype=np.bool_)
    count, square = np.ones(size), np.zeros(size)
    n = 0
    for i in range(p):
        if not selection.member[i]:
            continue
        for a in range(q):
            if selection.means[i, a]:
                scales[n], of_means[n] = state.local[i, a], True
                square[n] = population.means[i, a] ** 2
                n += 1
        scales[n], of_means[n], count[n] = population.scale[i], False, prior.n_tasks
        for k in range(population.deviation.shape[0]):
            for v in range(population.deviation.shape[2]):
                square[n] += (population.scale[i] * population.deviation[k, i, v]) ** 2
        n += 1
    return scales, of_means, count, square


@inner_kernel
def _scatter(selection, population, state, scales):
    """Write scales (n,) back; the weights keep their values."""
    p, q = state.local.shape
    n = 0
    for i in range(p):
        if not selection.member[i]:
            continue
        for a in range(q):
            if selection.means[i, a]:
                state.local[i, a] = scales[n]
                n += 1
        factor = population.scale[i] / scales[n]
        population.scale[i] = scales[n]
        if factor != 1.0:
            population.deviation[:, i] *= factor
        n += 1


@kernel
def select_given_weights(prior, selection, population, state, independent, rng):
    """Update local scales and hyperparameters given the weights and their means, in place.

    Parameters
    ----------
    prior : PopulationPrior
        Its rows follow.
    selection : SelectionPrior
    population : PopulationState
    state : SelectionState
    independent : bool
        Whether tasks are independent given the means: then hyperparameters also move together with
        the scales of deviations.
    rng : numpy.random.Generator
    """
    p, q = state.local.shape
    hyper = state.hyper
    for i in range(p):
        for a in range(q):
            if selection.means[i, a]:
                of_mean = (1.0, population.means[i, a] ** 2, 0.0, 0.0, hyper[0], hyper[2])
                x = _slice_local(of_mean, math.log(state.local[i, a]), 2.0, rng)
                state.local[i, a] = math.exp(x)
    scales, of_means, count, square = _gather(prior, selection, population, state)
    stop = 3 if independent else 1
    none, rules = np.zeros_like(scales), selection.global_scale
    update_hyper(scales, of_means, count, square, none, hyper, rules, 0, stop, rng)
    _scatter(selection, population, state, scales)
    set_rows(prior, selection, state)


@kernel
def select_given_deviations(sites, prior, selection, population, state, rng):
    """Update each local scale together with its mean, the mean in its units given, in place.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
    selection : SelectionPrior
    population : PopulationState
        Weights follow the means.
    state : SelectionState
    rng : numpy.random.Generator
    """
    p, q = state.local.shape
    precision, linear = mean_moments(
        sites.gram,
        sites.moment,
        sites.precision,
        population.deviation,
        population.scale,
        prior.task_features,
    )
    means = population.means.reshape(-1)
    for i in range(p):
        for a in range(q):
            if not selection.means[i, a]:
                continue
            at = i * q + a
            unit = means[at] / state.local[i, a]
            slope = linear[at]
            for j in range(p * q):
                if j != at:
                    slope -= precision[at, j] * means[j]
            quadratic = precision[at, at] * unit * unit
            args = (0.0, 0.0, quadratic, slope * unit, state.hyper[0], state.hyper[2])
            x = _slice_local(args, math.log(state.local[i, a]), 2.0, rng)
            state.local[i, a] = math.exp(x)
            means[at] = unit * state.local[i, a]
    set_weights(prior, population)
    set_rows(prior, selection, state)
