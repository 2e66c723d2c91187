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
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.numerics.densities import CODES, REGULARISED, log_regularised
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import mean_moments
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.moves import set_weights
from bayesmtl.relations.exchangeable.state import JOINT, NORMAL, PopulationPrior

__all__ = [
    "MEAN_SCALE",
    "SLAB",
    "SLAB_RATE",
    "SLAB_SHAPE",
    "SPREAD_SCALE",
    "SelectionPrior",
    "SelectionState",
    "draw_selection",
    "global_scales",
    "log_hyper",
    "log_selection",
    "own_prior",
    "select_given_deviations",
    "select_given_weights",
    "selection_prior",
    "set_rows",
    "start_selection",
    "under_selection",
    "update_hyper",
]

# Places in the vector of hyperparameters.
MEAN_SCALE, SPREAD_SCALE, SLAB = 0, 1, 2
# Variance of the slab: InverseGamma, in units of the response over the feature.
SLAB_SHAPE, SLAB_RATE = 2.0, 8.0
# Half-Cauchy scales beyond so many slabs could not be told from the slab.
_WIDEST = 1e6
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


def global_scales(relevant: float, noise: float, n_rows: int, n_tasks: int) -> np.ndarray:
    """Scales (2,) of the priors of the global scales of means and of deviations.

    Given the global scale g of the means, the share of them that data of N rows do not shrink is
    about ``g sqrt(N) / (g sqrt(N) + noise)`` (Piironen and Vehtari 2017, section 3.3); for
    deviations with the rows of one task.

    Parameters
    ----------
    relevant : float
        Prior median of that share, between 0 and 1.
    noise : float
        Sd of an average row.
    n_rows, n_tasks : int
    """
    odds = relevant / (1.0 - relevant)
    return noise * odds / np.sqrt(np.array([n_rows, n_rows / n_tasks]))


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
    hyper[SLAB] = math.sqrt(SLAB_RATE / rng.gamma(SLAB_SHAPE))
    raw = np.abs(rng.standard_cauchy((p, n_effects + 1)))
    raw[:, :-1] *= hyper[MEAN_SCALE]
    raw[:, -1] *= hyper[SPREAD_SCALE]
    members = np.column_stack([selection.means, selection.member])
    scales = np.where(members, _regularise(raw, hyper[SLAB]), 1.0)
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


def _regularise(u: np.ndarray, slab: float) -> Any:
    """Half-Cauchy scales, bounded by the slab."""
    u = np.minimum(u, _WIDEST * slab)
    return slab * u / np.sqrt(slab**2 + u**2)


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


@kernel
def log_hyper(hyper, global_scale, start):
    """Log prior density of the slab and the global scales from ``start`` on, up to a constant."""
    value = _log_slab(hyper[2])
    for which in range(start, 2):
        value += _log_global(hyper[which], global_scale[which])
    return value


@inner_kernel
def _log_slab(slab):
    """Log density of the sd of the slab."""
    return -(2.0 * SLAB_SHAPE + 1.0) * math.log(slab) - SLAB_RATE / slab**2


@inner_kernel
def _log_global(scale, prior_scale):
    return -math.log1p((scale / prior_scale) ** 2)


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
def _hyper_target(x, args):
    """Log conditional of the log of a hyperparameter, the scales given."""
    which, scales, of_means, hyper, global_scale = args
    value = math.exp(x)
    slab = value if which == 2 else hyper[2]
    total = x + (_log_slab(slab) if which == 2 else _log_global(value, global_scale[which]))
    for i in range(scales.shape[0]):
        kind = 0 if of_means[i] else 1
        if which == 2:
            total += log_regularised(scales[i], hyper[kind], slab)
        elif kind == which:
            total += log_regularised(scales[i], value, slab)
    return total


_slice_hyper = slice_sampler(_hyper_target)


@inner_kernel
def _rescaled(u, of_mean, which, value, hyper):
    """A scale whose half-Cauchy variable u is in units of the global scale."""
    scale = hyper[0] if of_mean else hyper[1]
    if (which == 0 and of_mean) or (which == 1 and not of_mean):
        scale = value
    slab = value if which == 2 else hyper[2]
    wide = min(u * scale, _WIDEST * slab)
    return slab * wide / math.sqrt(slab * slab + wide * wide)


@inner_kernel
def _moving_target(x, args):
    """As `_hyper_target`, but the scales move with it and what they are scales of is given."""
    which, units, of_means, count, square, added, hyper, global_scale = args
    value = math.exp(x)
    total = x + (_log_slab(value) if which == 2 else _log_global(value, global_scale[which]))
    for i in range(units.shape[0]):
        scale = _rescaled(units[i], of_means[i], which, value, hyper)
        variance = scale * scale + added[i]
        total -= 0.5 * (count[i] * math.log(variance) + square[i] / variance)
    return total


_slice_moving = slice_sampler(_moving_target)


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


@inner_kernel
def _move_together(which, scales, of_means, count, square, added, hyper, global_scale, rng):
    """Update a hyperparameter and the scales (n,) that it rules, these in its units given."""
    units, slab = np.empty_like(scales), hyper[2]
    moved = np.empty_like(of_means)
    for n in range(scales.shape[0]):
        scale = hyper[0] if of_means[n] else hyper[1]
        units[n] = scales[n] * slab / math.sqrt((slab - scales[n]) * (slab + scales[n])) / scale
        moved[n] = which == 2 or of_means[n] == (which == 0)
    args = (
        which,
        units[moved],
        of_means[moved],
        count[moved],
        square[moved],
        added[moved],
        hyper,
        global_scale,
    )
    value = math.exp(_slice_moving(args, math.log(hyper[which]), 1.0, rng))
    for n in range(scales.shape[0]):
        if moved[n]:
            scales[n] = _rescaled(units[n], of_means[n], which, value, hyper)
    hyper[which] = value


@kernel
def update_hyper(scales, of_means, count, square, added, hyper, global_scale, start, stop, rng):
    """Update hyperparameters given scales, then each together with the scales, in place.

    Parameters
    ----------
    scales : (n,)
    of_means : (n,) bool
        Which of the two global scales rules them.
    count, square, added : (n,)
        Number of normal variables that a scale and a variance ``added`` to its square rule, and
        their sum of squares.
    hyper : (3,)
    global_scale : (2,)
    start, stop : int
        Those from ``start`` on are updated; of these, those before ``stop`` with the scales too.
    rng : numpy.random.Generator
    """
    for which in range(start, 3):
        args = (which, scales, of_means, hyper, global_scale)
        hyper[which] = math.exp(_slice_hyper(args, math.log(hyper[which]), 1.0, rng))
    for which in range(start, stop):
        _move_together(which, scales, of_means, count, square, added, hyper, global_scale, rng)


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
