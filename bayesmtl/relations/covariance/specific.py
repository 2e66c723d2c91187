"""Variances of the tasks' own parts beside factors, given the weights and given standard parts."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel, lane_kernel
from bayesmtl.numerics.lanes import multiply_lanes
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.state import SPECIFIC_DOF, SPECIFIC_SCALE

__all__ = ["own_moments", "update_specific"]


@lane_kernel
def own_moments(gram, moment, precision, base, direction, quadratic, linear):
    """``-q x^2 / 2 + l x``, the log-likelihood of each task at weights ``base + x direction``.

    ``base`` and ``direction`` are (block, p, lane), the results (block, lane) are written to
    ``quadratic`` and ``linear``.
    """
    n_lanes = gram.shape[2]
    p = base.shape[1]
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        quadratic[k] = 0.0
        linear[k] = 0.0
        multiply_lanes(gram, k, direction[k], x)
        for i in range(p):
            for v in range(n_lanes):
                quadratic[k, v] += direction[k, i, v] * x[i, v] * precision[k, v]
        multiply_lanes(gram, k, base[k], x)
        for i in range(p):
            for v in range(n_lanes):
                linear[k, v] += direction[k, i, v] * (moment[k, i, v] - x[i, v]) * precision[k, v]


@inner_kernel
def _target(x, args):
    """Log conditional of the log of one sd.

    ``count`` and ``square`` are those of raw parts, ``quadratic`` and ``linear`` of standard ones.
    """
    count, square, quadratic, linear = args
    sd = math.exp(x)
    value = x - 0.5 * (SPECIFIC_DOF + 1.0) * math.log1p(
        sd * sd / (SPECIFIC_DOF * SPECIFIC_SCALE**2)
    )
    if count > 0.0:
        value -= count * x + 0.5 * square / (sd * sd)
    return value - 0.5 * quadratic * sd * sd + linear * sd


_slice = slice_sampler(_target)


@kernel
def update_specific(count, square, quadratic, linear, common, specific, rng):
    """Draw the variance of each task's own part, or one for all, in place.

    Parameters
    ----------
    count : float
        Features; 0 for an update given standard parts.
    square : (task,)
        Sum of squares of the raw parts.
    quadratic, linear : (task,)
        Log-likelihood of the sd given standard parts; 0 for an update given raw ones.
    common : bool
        Whether there is one variance.
    specific : (task,)
        Variances.
    rng : numpy.random.Generator
    """
    if common:
        n = specific.shape[0]
        together = (n * count, square.sum(), quadratic.sum(), linear.sum())
        specific[:] = math.exp(2.0 * _slice(together, 0.5 * math.log(specific[0]), 1.0, rng))
        return
    for t in range(specific.shape[0]):
        args = (count, square[t], quadratic[t], linear[t])
        x = _slice(args, 0.5 * math.log(specific[t]), 1.0, rng)
        specific[t] = math.exp(2.0 * x)
