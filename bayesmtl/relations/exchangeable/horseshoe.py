"""The regularised horseshoe: scales, what rules them all, and updates of that.

Scales are half-Cauchy of a global scale and bounded by a slab; the global scales of two kinds, of
means and of deviations, share the slab (Piironen and Vehtari 2017, Electron. J. Stat. 11).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmtl.numerics.densities import log_regularised
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.slicing import slice_sampler

__all__ = [
    "MEAN_SCALE",
    "SLAB",
    "SLAB_RATE",
    "SLAB_SHAPE",
    "SPREAD_SCALE",
    "draw_slab",
    "expected_variance",
    "global_scales",
    "log_hyper",
    "regularise",
    "update_hyper",
]

# Places in the vector of hyperparameters.
MEAN_SCALE, SPREAD_SCALE, SLAB = 0, 1, 2
# Variance of the slab: InverseGamma, in units of the response over the feature.
SLAB_SHAPE, SLAB_RATE = 2.0, 8.0
# Half-Cauchy scales beyond so many slabs could not be told from the slab.
_WIDEST = 1e6


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


def draw_slab(rng: np.random.Generator) -> float:
    """Sd of the slab from its prior."""
    return math.sqrt(SLAB_RATE / rng.gamma(SLAB_SHAPE))


def regularise(u: np.ndarray, slab: Any) -> np.ndarray:
    """Half-Cauchy scales u, bounded by slabs that broadcast to them."""
    u = np.minimum(u, _WIDEST * slab)
    return np.asarray(slab * u / np.sqrt(slab**2 + u**2))


def expected_variance(hyper: np.ndarray) -> np.ndarray:
    """Mean of ``local^2`` (...,) given global scale and slab (..., 3).

    ``c^2 u^2 / (c^2 + u^2)`` has the mean ``c^2 g / (g + c)`` for a half-Cauchy u of scale g.
    """
    scale, slab = hyper[..., SPREAD_SCALE], hyper[..., SLAB]
    return np.asarray(slab**2 * scale / (scale + slab))


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
