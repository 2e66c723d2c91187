"""Loadings of factors under cumulative shrinkage, the weights of the tasks integrated out.

Legramanti, Durante and Dunson 2020, Biometrika 107: the loadings of factor h have the variance
SPIKE with the probability ``pi_h = sum_{l <= h} omega_l`` of a stick-breaking prior, else a
variance from the slab InverseGamma. Here both variance and kind are drawn with the loadings
integrated out: given the loadings, a factor would hardly ever change its kind.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import multiply_lanes
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.state import SLAB_RATE, SLAB_SHAPE, SPIKE, STICK

__all__ = ["recombine_factors", "update_loadings", "update_sticks"]

# Logarithms of slab variances between which proposals are piecewise uniform.
_LOWEST, _HIGHEST, _CELLS = math.log(0.01), math.log(100.0), 30
_WIDTH = (_HIGHEST - _LOWEST) / _CELLS
# Share of proposals from the slab itself, so that they reach everywhere.
_FROM_SLAB = 0.05
_LOG_SLAB = SLAB_SHAPE * math.log(SLAB_RATE) - math.lgamma(SLAB_SHAPE)


@inner_kernel
def _log_slab(x):
    """Log density of the log x of a slab variance."""
    return _LOG_SLAB - SLAB_SHAPE * x - SLAB_RATE * math.exp(-x)


@inner_kernel
def _evidence(variance, quadratic, linear):
    """Log marginal likelihood of the loadings, those of one factor over all tasks."""
    value = 0.0
    for t in range(quadratic.shape[0]):
        whole = 1.0 + variance * quadratic[t]
        value += 0.5 * (variance * linear[t] * linear[t] / whole - math.log(whole))
    return value


@inner_kernel
def _log_proposal(x, log_cells, log_total):
    """Log density of a proposed log variance."""
    value = math.log(_FROM_SLAB) + _log_slab(x)
    if _LOWEST <= x < _HIGHEST:
        cell = min(int((x - _LOWEST) / _WIDTH), _CELLS - 1)
        part = math.log1p(-_FROM_SLAB) + log_cells[cell] - log_total - math.log(_WIDTH)
        high = max(value, part)
        value = high + math.log(math.exp(value - high) + math.exp(part - high))
    return value


@inner_kernel
def _propose(log_cells, log_total, rng):
    if rng.random() < _FROM_SLAB:
        return -math.log(rng.standard_gamma(SLAB_SHAPE) / SLAB_RATE)
    u, cell = rng.random(), 0
    total = math.exp(log_cells[0] - log_total)
    while cell < _CELLS - 1 and u > total:
        cell += 1
        total += math.exp(log_cells[cell] - log_total)
    return _LOWEST + (cell + rng.random()) * _WIDTH


@inner_kernel
def _draw_variance(variance, active, quadratic, linear, spike_probability, rng):
    """Kind and variance of one factor, by a proposal near their conditional."""
    log_spike = math.log(spike_probability) + _evidence(SPIKE, quadratic, linear)
    log_rest = math.log1p(-spike_probability)
    cells = np.empty(_CELLS)
    for c in range(_CELLS):
        x = _LOWEST + (c + 0.5) * _WIDTH
        cells[c] = _log_slab(x) + _evidence(math.exp(x), quadratic, linear) + math.log(_WIDTH)
    high = cells.max()
    log_total = high + math.log(np.exp(cells - high).sum())
    log_odds = log_rest + log_total - log_spike
    # Probability that the proposal is a slab.
    slab = 1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700.0 else 0.0
    slab = min(max(slab, 1e-3), 1.0 - 1e-3)

    now = log_spike - math.log1p(-slab)
    if active:
        x = math.log(variance)
        target = log_rest + _log_slab(x) + _evidence(variance, quadratic, linear)
        now = target - math.log(slab) - _log_proposal(x, cells, log_total)
    new_active = rng.random() < slab
    new_variance, new = SPIKE, log_spike - math.log1p(-slab)
    if new_active:
        x = _propose(cells, log_total, rng)
        new_variance = math.exp(x)
        target = log_rest + _log_slab(x) + _evidence(new_variance, quadratic, linear)
        new = target - math.log(slab) - _log_proposal(x, cells, log_total)
    if math.log1p(-rng.random()) < new - now:
        return new_variance, new_active
    return variance, active


@kernel
def update_loadings(gram, score, tasks, rng):
    """Draw kind, variance and loadings of every factor given the factors, in place.

    One factor after the other, in random order and so reversibly.

    Parameters
    ----------
    gram : (block, d (d + 1) / 2, lane)
        Sites of the tasks' common parts ``loadings @ factors``, weights integrated out.
    score : (block, d, lane)
        Linear terms.
    tasks : FactorTasks
    rng : numpy.random.Generator
    """
    n_tasks, n_factors = tasks.loadings.shape
    n_blocks, d, n_lanes = score.shape
    rest = score.copy()
    wide, image = np.empty((d, n_lanes)), np.empty((n_blocks, d, n_lanes))
    common = np.dot(tasks.loadings, tasks.factors)
    for k in range(n_blocks):
        wide[:] = 0.0
        for v in range(min(n_lanes, n_tasks - k * n_lanes)):
            wide[:, v] = common[k * n_lanes + v]
        multiply_lanes(gram, k, wide, image[k])
    rest -= image
    quadratic, linear = np.empty(n_tasks), np.empty(n_tasks)
    slab = np.cumprod(1.0 - tasks.sticks)
    for h in rng.permutation(n_factors):
        for k in range(n_blocks):
            for i in range(d):
                wide[i, :] = tasks.factors[h, i]
            multiply_lanes(gram, k, wide, image[k])
        for t in range(n_tasks):
            k, v = t // n_lanes, t % n_lanes
            q, b = 0.0, 0.0
            for i in range(d):
                q += tasks.factors[h, i] * image[k, i, v]
                b += tasks.factors[h, i] * rest[k, i, v]
            quadratic[t], linear[t] = max(q, 0.0), b + q * tasks.loadings[t, h]
        spike = min(max(1.0 - slab[h], 1e-12), 1.0 - 1e-12)
        variance, active = _draw_variance(
            tasks.variance[h], tasks.active[h], quadratic, linear, spike, rng
        )
        tasks.variance[h], tasks.active[h] = variance, active
        for t in range(n_tasks):
            k, v = t // n_lanes, t % n_lanes
            precision = 1.0 / variance + quadratic[t]
            drawn = linear[t] / precision + rng.standard_normal() / math.sqrt(precision)
            step = drawn - tasks.loadings[t, h]
            tasks.loadings[t, h] = drawn
            for i in range(d):
                rest[k, i, v] -= step * image[k, i, v]


@kernel
def update_sticks(tasks, rng):
    """Draw the breaks given which factors are active, in place.

    The part l in which factor h falls is drawn first: one of the first h if it is inactive, a later
    one, or the rest of the interval, if it is active.
    """
    n_factors = tasks.sticks.shape[0]
    parts, left = np.empty(n_factors + 1), 1.0
    for h in range(n_factors):
        parts[h] = left * tasks.sticks[h]
        left *= 1.0 - tasks.sticks[h]
    parts[n_factors] = left
    counts = np.zeros(n_factors + 1)
    for h in range(n_factors):
        low, high = (h + 1, n_factors + 1) if tasks.active[h] else (0, h + 1)
        u, part = rng.random() * parts[low:high].sum(), low
        total = parts[low]
        while part < high - 1 and u > total:
            part += 1
            total += parts[part]
        counts[part] += 1.0
    later = counts.sum()
    for h in range(n_factors):
        later -= counts[h]
        stick = rng.beta(1.0 + counts[h], STICK + later)
        tasks.sticks[h] = min(max(stick, 1e-12), 1.0 - 1e-12)


@inner_kernel
def _rescaling_target(x, args):
    power, of_loadings, of_factors = args
    return power * x - 0.5 * of_loadings * math.exp(-2.0 * x) - 0.5 * of_factors * math.exp(2.0 * x)


_slice_rescaling = slice_sampler(_rescaling_target)


@inner_kernel
def _rescale(h, tasks, precision, rng):
    """Multiply a factor and divide its loadings by one number."""
    n_tasks, d = tasks.loadings.shape[0], precision.shape[0]
    of_loadings, of_factors = 0.0, 0.0
    for t in range(n_tasks):
        of_loadings += tasks.loadings[t, h] ** 2 / tasks.variance[h]
    for i in range(d):
        for j in range(d):
            of_factors += tasks.factors[h, i] * precision[i, j] * tasks.factors[h, j]
    args = (float(d - n_tasks), of_loadings, of_factors)
    factor = math.exp(_slice_rescaling(args, 0.0, 0.5, rng))
    for t in range(n_tasks):
        tasks.loadings[t, h] /= factor
    for i in range(d):
        tasks.factors[h, i] *= factor


@inner_kernel
def _shear(h, other, tasks, precision, rng):
    """Add a multiple of another factor to a factor, whose loadings leave the other's."""
    n_tasks, d = tasks.loadings.shape[0], precision.shape[0]
    whole, linear = 0.0, 0.0
    for t in range(n_tasks):
        whole += tasks.loadings[t, h] ** 2 / tasks.variance[other]
        linear += tasks.loadings[t, h] * tasks.loadings[t, other] / tasks.variance[other]
    for i in range(d):
        for j in range(d):
            part = tasks.factors[other, i] * precision[i, j]
            whole += part * tasks.factors[other, j]
            linear -= part * tasks.factors[h, j]
    if not whole > 0.0:
        return
    multiple = linear / whole + rng.standard_normal() / math.sqrt(whole)
    for t in range(n_tasks):
        tasks.loadings[t, other] -= multiple * tasks.loadings[t, h]
    for i in range(d):
        tasks.factors[h, i] += multiple * tasks.factors[other, i]


@kernel
def recombine_factors(tasks, precision, rng):
    """Replace factors by combinations of them, their product with the loadings given; in place.

    Where the tasks' rows tell this product well, factors and loadings drawn in turn would hardly
    move along it. Each factor is multiplied by a number and receives a multiple of each other one;
    these steps generate all invertible combinations, and each is drawn from its conditional density
    under the measure of its group: normal for the multiples, whose steps keep the volume.

    Parameters
    ----------
    tasks : FactorTasks
    precision : (d, d)
        Of the factors.
    rng : numpy.random.Generator
    """
    n_factors = tasks.loadings.shape[1]
    for h in range(n_factors):
        _rescale(h, tasks, precision, rng)
        for other in range(n_factors):
            if other != h:
                _shear(h, other, tasks, precision, rng)
