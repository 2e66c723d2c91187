"""Covariance and length-scales given weights, those that the rows hardly tell taken with them.

Given all weights both move slowly where the rows tell few of them, given all innovations where they
tell many. So each function of the basis is held by its weights or by its innovations, by what the
rows say of it (partial non-centring: Papaspiliopoulos, Roberts and Skold 2007, Statist. Sci. 22).
"""

import math

import numpy as np

from bayesmtl.gp.lengthscales import directions, from_here, grow, place_grown, place_lengths
from bayesmtl.numerics.jit import inner_kernel
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.task_by_task import draw_covariance

__all__ = ["draw_told", "split_covariance", "split_lengths"]

# Logs of the information of the rows on a standardised weight from which on it is held.
_LEAST, _MOST = math.log(0.1), math.log(10.0)
_WIDTH = 1.0


@inner_kernel
def _information(sites, state, first):
    """Logs (m,) of what the rows of a task say, on average, of a weight."""
    n_tasks, p = sites.moment.shape
    out = np.zeros(p - first)
    for i in range(first, p):
        for t in range(n_tasks):
            out[i - first] += sites.gram[t, i, i] * math.exp(-2.0 * state.log_noise[t]) / n_tasks
    return np.log(out)


@inner_kernel
def draw_told(sites, state, first, rng):
    """Which functions (m,) are held by their weights, with a threshold at random.

    It depends on noise sds and length-scales, not on weights or covariance.
    """
    threshold = _LEAST + (_MOST - _LEAST) * rng.random()
    return _information(sites, state, first) + 2.0 * np.log(state.scale[first:]) > threshold


@inner_kernel
def _log_chance(told, information, log_variance):
    """Log probability of `draw_told` at length-scales, up to a constant."""
    low, high = _LEAST, _MOST
    for i in range(told.shape[0]):
        own = information[i] + log_variance[i]
        if told[i]:
            high = min(high, own)
        else:
            low = max(low, own)
    return math.log(high - low) if high > low else -np.inf


@inner_kernel
def _gain(sites, state, change):
    """Log likelihood of weights with the changes (task, p), less that of those before."""
    n_tasks, p = sites.moment.shape
    total = 0.0
    for t in range(n_tasks):
        value = 0.0
        for i in range(p):
            if change[t, i] != 0.0:
                rest = sites.moment[t, i]
                for j in range(p):
                    own = state.scale[j] * state.deviation[t, j] + 0.5 * change[t, j]
                    rest -= sites.gram[t, i, j] * own
                value += change[t, i] * rest
        total += value * math.exp(-2.0 * state.log_noise[t])
    return total


@inner_kernel
def split_covariance(sites, state, told, rng):
    """Covariance from the weights that are told; the others follow, accepted by the rows."""
    n_tasks, p = state.deviation.shape
    first = p - told.shape[0]
    scatter = np.zeros((n_tasks, n_tasks))
    n_told = 0
    for i in range(told.shape[0]):
        if told[i]:
            n_told += 1
            for t in range(n_tasks):
                for u in range(n_tasks):
                    scatter[t, u] += state.deviation[t, first + i] * state.deviation[u, first + i]
    covariance, precision = draw_covariance(state.precision, scatter, n_told, rng)
    follow = np.dot(cholesky(covariance), invert_lower(cholesky(state.covariance)))
    change = np.zeros((n_tasks, p))
    moved = state.deviation.copy()
    for i in range(told.shape[0]):
        if not told[i]:
            moved[:, first + i] = np.dot(follow, state.deviation[:, first + i].copy())
            difference = moved[:, first + i] - state.deviation[:, first + i]
            change[:, first + i] = state.scale[first + i] * difference
    if math.log1p(-rng.random()) < _gain(sites, state, change):
        state.covariance[:] = covariance
        state.precision[:] = precision
        state.deviation[:] = moved


@inner_kernel
def _likelihood_of_factors(sites, state, untold, first):
    """What the rows say of factors (k,) of the untold weights: linear term, and matrix (k, k)."""
    n_tasks, p = sites.moment.shape
    k = untold.shape[0]
    linear, inner = np.zeros(k), np.zeros((k, k))
    weights = np.empty(p)
    for t in range(n_tasks):
        precision = math.exp(-2.0 * state.log_noise[t])
        for i in range(p):
            weights[i] = state.scale[i] * state.deviation[t, i]
        for a in range(k):
            i = first + untold[a]
            rest = sites.moment[t, i]
            for j in range(p):
                rest -= sites.gram[t, i, j] * weights[j]
            own = precision * weights[i]
            for b in range(k):
                both = sites.gram[t, i, first + untold[b]] * weights[first + untold[b]]
                inner[a, b] += own * both
                # The linear term is of the rows less what the told weights explain.
                rest += both
            linear[a] += own * rest
    return linear, inner


@inner_kernel
def _split(x, args):
    """Told weights are normal; the others change by factors of which the rows speak.

    Which are told was drawn at the old length-scales, and the new ones must allow for it.
    """
    place, start, quadratic, told, information, n_tasks, ridge, own, linear, inner, factor = args
    value, grown, out = place_grown(x, place, ridge, own), ridge * x, place[6]
    if value > -np.inf:
        value += _log_chance(told, information, out)
    if value == -np.inf:
        return value
    k = 0
    for i in range(out.shape[0]):
        change = out[i] - start[i] + grown
        if told[i]:
            value -= 0.5 * (n_tasks * change + quadratic[i] * math.exp(-change))
        else:
            factor[k] = math.exp(0.5 * change)
            k += 1
    for a in range(k):
        total = 0.0
        for b in range(k):
            total += inner[a, b] * factor[b]
        value += factor[a] * (linear[a] - 0.5 * total)
    return value


_slice_split = slice_sampler(_split)


@inner_kernel
def split_lengths(sites, state, lengths, told, rng):
    """Length-scales, alone and where the covariance is learned along the ridge with it."""
    n_tasks, p = sites.moment.shape
    first = p - told.shape[0]
    dev = state.deviation[:, first:].copy()
    quadratic = (dev * np.dot(state.precision, dev)).sum(axis=0)
    untold = np.flatnonzero(~told)
    linear, inner = _likelihood_of_factors(sites, state, untold, first)
    information = _information(sites, state, first)
    out, factor = lengths.log_variance.copy(), np.ones(untold.shape[0])
    for direction in directions(lengths.free):
        for along in range(2 if lengths.ridge > 0.0 else 1):
            slope = along * lengths.ridge * direction.sum()
            own = np.diag(state.precision).copy()
            place = from_here(lengths, direction, out)
            start = lengths.log_variance.copy()
            of_told = (quadratic, told, information, float(n_tasks), slope, own)
            x = _slice_split((place, start, *of_told, linear, inner, factor), 0.0, _WIDTH, rng)
            place_lengths(x, place)
            grown = slope * x
            grow(state, grown)
            k = 0
            for i in range(told.shape[0]):
                change = out[i] - start[i]
                if told[i]:
                    quadratic[i] *= math.exp(-change - grown)
                    state.deviation[:, first + i] *= math.exp(-0.5 * change)
                else:
                    factor[k] = math.exp(0.5 * (change + grown))
                    state.deviation[:, first + i] *= math.exp(0.5 * grown)
                    k += 1
                state.scale[first + i] = math.exp(0.5 * out[i])
            for a in range(k):
                linear[a] *= factor[a]
                for b in range(k):
                    inner[a, b] *= factor[a] * factor[b]
            lengths.log_variance[:] = out
