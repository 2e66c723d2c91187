"""Updates of length-scales: given the weights of the basis, or whitened weights, or neither.

Rows say least of length-scale and covariance apart where functions stay equally rough: along
``B ~ l^(2 nu)`` (Zhang 2004, J. Am. Stat. Assoc. 99). Where B is learned, the updates at fixed
weights and without weights move both along this ridge too.
"""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.joint_weights import factor_dense
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.state import HALF_T_DOF, HALF_T_SCALE

__all__ = [
    "COLLAPSED_LIMIT",
    "directions",
    "draw_ridge",
    "from_here",
    "given_weights",
    "given_whitened",
    "grow",
    "place_grown",
    "place_lengths",
    "place_scales",
    "without_weights",
]

# Weights of all tasks up to which they are integrated out in every sweep.
COLLAPSED_LIMIT = 400
# Share of the moves without weights that are along the ridge.
_ALONG = 0.5

_WIDTH = 1.0
# Logs of length-scales in half ranges: beyond, no data can speak.
_LARGEST = 12.0


@inner_kernel
def _log_variances(logs, squares, smoothness, constant, out):
    """Log spectral densities (m,), see `bayesmtl.numerics.kernels.log_spectral_density`."""
    m, p = squares.shape
    volume = constant
    for j in range(p):
        volume += logs[j]
    for i in range(m):
        square = 0.0
        for j in range(p):
            square += squares[i, j] * math.exp(2.0 * logs[j])
        if smoothness == np.inf:
            out[i] = volume - 0.5 * square
        else:
            out[i] = volume - (smoothness + 0.5 * p) * math.log(2.0 * smoothness + square)


@inner_kernel
def directions(free):
    """Logs of the length-scales move along these (k, p): each alone, and all that are free at once.

    All at once, as rows that tell how rough functions are in one input to another leave the ridge
    of all length-scales and the covariance.
    """
    members = np.flatnonzero(free)
    n = members.size
    out = np.zeros((n + 1 if n > 1 else n, free.size))
    for a in range(n):
        out[a, members[a]] = 1.0
        if n > 1:
            out[n, members[a]] = 1.0
    return out


@inner_kernel
def place_lengths(x, args):
    """Set logs of length-scales, ``origin + x direction``, and log variances; log prior density."""
    logs, origin, direction, squares, smoothness, constant, out, rows, units = args
    value = 0.0
    for j in range(logs.shape[0]):
        if direction[j] != 0.0:
            moved = origin[j] + x
            if not abs(moved) < _LARGEST:
                return -np.inf
            logs[j] = moved
            value += log_density(rows[j], units[j] * math.exp(moved)) + moved
    _log_variances(logs, squares, smoothness, constant, out)
    return value


@inner_kernel
def _log_scaled(grown, own):
    """Log prior of a covariance times ``e^grown``, with the Jacobian, up to a constant.

    ``own`` (task,) is the diagonal of its inverse; Huang and Wand 2013, Bayesian Anal. 8, eq. 3.
    """
    n = own.shape[0]
    value = 0.5 * n * (n + 1.0 - HALF_T_DOF - 2.0 * n) * grown
    for t in range(n):
        rate = HALF_T_DOF * own[t] * math.exp(-grown) + 1.0 / HALF_T_SCALE**2
        value -= 0.5 * (HALF_T_DOF + n) * math.log(rate)
    return value


@inner_kernel
def place_grown(x, place, ridge, own):
    """`place_lengths`, the covariance growing by ``ridge`` times x; log prior density of both."""
    value = place_lengths(x, place)
    if ridge > 0.0 and value > -np.inf:
        value += _log_scaled(ridge * x, own)
    return value


@inner_kernel
def place_scales(x, place, ridge, own, scale):
    """`place_grown`, and the sds (m,) of the weights, which grow in place of the covariance."""
    value, out = place_grown(x, place, ridge, own), place[6]
    if value > -np.inf:
        for i in range(scale.shape[0]):
            scale[i] = math.exp(0.5 * (out[i] + ridge * x))
    return value


@inner_kernel
def draw_ridge(lengths, rng):
    """Slope of moves without weights: in a way at random they are along the ridge, if there is."""
    return lengths.ridge if rng.random() < _ALONG else 0.0


@inner_kernel
def _centred(x, args):
    """Weights normal, ``quadratic`` (m,) their squares in units of the covariance of the tasks.

    The covariance grows by ``ridge`` times x.
    """
    place, start, quadratic, n_tasks, ridge, own = args
    value, grown, out = place_grown(x, place, ridge, own), ridge * x, place[6]
    if value == -np.inf:
        return value
    for i in range(out.shape[0]):
        change = out[i] - start[i] + grown
        value -= 0.5 * (n_tasks * change + quadratic[i] * math.exp(-change))
    return value


@inner_kernel
def _noncentred(x, args):
    """Weights follow: ``linear'sd - sd'inner sd / 2`` is what the rows say of them."""
    place, linear, inner, sd = args
    value = place_lengths(x, place)
    if value == -np.inf:
        return value
    out = place[6]
    m = out.shape[0]
    for i in range(m):
        sd[i] = math.exp(0.5 * out[i])
    for i in range(m):
        total = 0.0
        for k in range(m):
            total += inner[i, k] * sd[k]
        value += sd[i] * (linear[i] - 0.5 * total)
    return value


@inner_kernel
def _collapsed(x, args):
    """Log evidence of the sites, all weights integrated out."""
    place, dense, precision, task_precision, scale, first, ridge, own = args
    value = place_scales(x, place, ridge, own, scale[first:])
    if value == -np.inf:
        return value
    m = scale.shape[0] - first
    center = np.zeros(dense.moment.shape)
    gram, score = standard_sites(dense, precision, scale, center)
    lower, half = factor_dense(gram, score, task_precision, np.eye(m), first)
    for i in range(half.shape[0]):
        value += 0.5 * half[i] ** 2 - math.log(lower[i, i])
    return value


_slice_collapsed = slice_sampler(_collapsed)
_slice_centred = slice_sampler(_centred)
_slice_noncentred = slice_sampler(_noncentred)


@inner_kernel
def from_here(lengths, direction, out):
    """The first argument of `place_lengths`: moves from the current values along a direction."""
    return (
        lengths.logs,
        lengths.logs.copy(),
        direction,
        lengths.squares,
        lengths.smoothness,
        lengths.constant,
        out,
        lengths.rows,
        lengths.units,
    )


@kernel
def given_weights(lengths, quadratic, n_tasks, own, rng):
    """Update length-scales at fixed weights.

    ``quadratic`` (m,) holds ``d_i' B^-1 d_i`` of the standardised weights d_i of each function; its
    unit is the old variance, on return the new one. With a ridge above zero the covariance B grows
    too, whose inverse has the diagonal ``own`` (task,): the log of its factor is returned.
    """
    log_variance = lengths.log_variance
    out, total = log_variance.copy(), 0.0
    own = own.copy()
    for direction in directions(lengths.free):
        for along in range(2 if lengths.ridge > 0.0 else 1):
            slope = along * lengths.ridge * direction.sum()
            place = from_here(lengths, direction, out)
            args = (place, log_variance.copy(), quadratic.copy(), n_tasks, slope, own)
            x = _slice_centred(args, 0.0, _WIDTH, rng)
            place_lengths(x, place)
            grown = slope * x
            total += grown
            for t in range(own.shape[0]):
                own[t] *= math.exp(-grown)
            for i in range(out.shape[0]):
                quadratic[i] *= math.exp(log_variance[i] - out[i] - grown)
                log_variance[i] = out[i]
    return total


@kernel
def given_whitened(lengths, linear, inner, rng):
    """Update length-scales at fixed whitened weights.

    ``linear`` (m,) and ``inner`` (m, m) are the quadratic form that the rows make of the sds.
    """
    out, sd = lengths.log_variance.copy(), np.empty_like(lengths.log_variance)
    for direction in directions(lengths.free):
        place = from_here(lengths, direction, out)
        x = _slice_noncentred((place, linear, inner, sd), 0.0, _WIDTH, rng)
        place_lengths(x, place)
        lengths.log_variance[:] = out


@kernel
def without_weights(lengths, dense, precision, task_precision, scale, rng):
    """Update length-scales, and the ``scale`` (1 or 0 + m,) of the weights, these integrated out.

    The weights must be drawn next. In a way at random, the length-scales move alone or, where there
    is a ridge, along it: the covariance, whose inverse is ``task_precision``, grows too; the log of
    its factor is returned.
    """
    ridge = draw_ridge(lengths, rng)
    out, first = lengths.log_variance.copy(), scale.shape[0] - lengths.log_variance.shape[0]
    task_precision, total = task_precision.copy(), 0.0
    for direction in directions(lengths.free):
        slope, own = ridge * direction.sum(), np.diag(task_precision).copy()
        place = from_here(lengths, direction, out)
        args = (place, dense, precision, task_precision, scale, first, slope, own)
        x = _slice_collapsed(args, 0.0, _WIDTH, rng)
        place_lengths(x, place)
        grown = slope * x
        total += grown
        task_precision *= math.exp(-grown)
        lengths.log_variance[:] = out
    for i in range(out.shape[0]):
        scale[first + i] = math.exp(0.5 * out[i])
    return total


@kernel
def grow(tasks, log_factor):
    """Multiply the covariance of the tasks, with its inverse."""
    if log_factor != 0.0:
        tasks.covariance[:] *= math.exp(log_factor)
        tasks.precision[:] *= math.exp(-log_factor)
