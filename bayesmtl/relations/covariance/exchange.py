"""Exchange of scale between the covariance of tasks and that of features.

``(c^2 Omega, Sigma / c^2)`` gives the weights the same distribution for every c, so only the priors
of both enter the conditional of c, and one slice moves along the whole ridge.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.state import (
    HALF_T_DOF,
    HALF_T_SCALE,
    SPECIFIC_DOF,
    SPECIFIC_SCALE,
)
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.population import learns_scale
from bayesmtl.relations.exchangeable.state import PopulationState

__all__ = ["exchange_dense", "exchange_factors", "exchange_precision"]


@inner_kernel
def _divide(prior, state, x, out):
    """Scales (or the covariance) of the features divided by ``e^x``."""
    factor = math.exp(-x)
    p = state.scale.shape[0]
    for i in range(prior.block, p):
        if prior.covariance == 1:
            for j in range(prior.block, p):
                out.covariance[i, j] = state.covariance[i, j] * factor * factor
                out.precision[i, j] = state.precision[i, j] / (factor * factor)
        else:
            out.scale[i] = state.scale[i] * factor


@inner_kernel
def _target(x, args):
    prior, state, scratch, noise_variance, n_free, density = args
    power, quadratic, weight, ratios, sign, second, fourth = density
    _divide(prior, state, x, scratch)
    value = log_structure(prior, scratch, noise_variance) - n_free * x
    value += power * x - 0.5 * quadratic * math.exp(2.0 * x)
    value -= 0.5 * (second * math.exp(-2.0 * x) + fourth * math.exp(-4.0 * x))
    for ratio in ratios:
        value -= weight * math.log1p(ratio * math.exp(2.0 * sign * x))
    return value


_slice = slice_sampler(_target)


@inner_kernel
def _free(prior, state):
    """Dimension of what is divided; -1 where a fixed scale stands in the way."""
    p = state.scale.shape[0]
    d = p - prior.block
    if prior.covariance == 1:
        return float(d * (d + 1))
    count = 0.0
    for j in range(prior.block, p):
        if learns_scale(prior, j):
            count += 1.0
        elif state.scale[j] > 0.0:
            return -1.0
    return count if count > 0.0 else -1.0


@inner_kernel
def _draw(prior, state, noise_variance, density, rng):
    """The logarithm of c, already applied to the features; 0 where it cannot move.

    ``density`` is the prior of what is multiplied by c, with the Jacobian: ``power x - (quadratic
    e^2x + second e^-2x + fourth e^-4x) / 2 - weight sum log(1 + ratio e^(2 sign x))`` for
    ``x = log c``.
    """
    n_free = _free(prior, state)
    if n_free < 0.0:
        return 0.0
    scratch = PopulationState(
        state.means,
        state.scale.copy(),
        state.covariance.copy(),
        state.precision.copy(),
        state.shared,
        state.center,
        state.deviation,
        state.weights,
    )
    x = _slice((prior, state, scratch, noise_variance, n_free, density), 0.0, 0.5, rng)
    _divide(prior, state, x, scratch)
    state.scale[:] = scratch.scale
    state.covariance[:] = scratch.covariance
    state.precision[:] = scratch.precision
    if prior.covariance == 1:
        return x
    # Deviations are in units of the scales.
    factor = math.exp(x)
    for k in range(state.deviation.shape[0]):
        for i in range(prior.block, state.scale.shape[0]):
            for v in range(state.deviation.shape[2]):
                state.deviation[k, i, v] *= factor
    return x


@kernel
def exchange_dense(prior, state, tasks, noise_variance, rng):
    """Draw c and apply it, in place; the weights stay as they are.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
        With a Huang-Wand prior (2013, Bayesian Anal. 8, eq. 3).
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    # The elements of the covariance have the Jacobian c^(n (n + 1)).
    n = float(tasks.precision.shape[0])
    power = n * (n + 1.0) - (HALF_T_DOF + 2.0 * n) * n
    ratios = HALF_T_DOF * HALF_T_SCALE**2 * np.diag(tasks.precision)
    part = (power, 0.0, 0.5 * (HALF_T_DOF + n), ratios, -1.0, 0.0, 0.0)
    factor = math.exp(_draw(prior, state, noise_variance, part, rng))
    tasks.covariance[:] = tasks.covariance * factor**2
    tasks.precision[:] = tasks.precision / factor**2


@kernel
def exchange_precision(prior, state, tasks, density, noise_variance, rng):
    """As `exchange_dense`, of a precision with another prior, given by a ScaleDensity."""
    part = (density.power, 0.0, 0.0, np.empty(0), 1.0, density.second, density.fourth)
    factor = math.exp(_draw(prior, state, noise_variance, part, rng))
    tasks.covariance[:] = tasks.covariance * factor**2
    tasks.precision[:] = tasks.precision / factor**2


@kernel
def exchange_factors(prior, state, tasks, common, noise_variance, rng):
    """As `exchange_dense`, of FactorTasks: loadings and sds of own parts are multiplied.

    ``common`` says whether these are one sd.
    """
    quadratic = 0.0
    for h in range(tasks.variance.shape[0]):
        for t in range(tasks.specific.shape[0]):
            quadratic += tasks.loadings[t, h] ** 2 / tasks.variance[h]
    specific = tasks.specific[:1] if common else tasks.specific
    ratios = specific / (SPECIFIC_DOF * SPECIFIC_SCALE**2)
    power = float(tasks.loadings.size + specific.size)
    part = (power, quadratic, 0.5 * (SPECIFIC_DOF + 1.0), ratios, 1.0, 0.0, 0.0)
    factor = math.exp(_draw(prior, state, noise_variance, part, rng))
    if prior.covariance == 1:
        # Factors have the covariance of the features, not their scales for units.
        tasks.factors[:] = tasks.factors / factor
    tasks.loadings[:] = tasks.loadings * factor
    tasks.specific[:] = tasks.specific * factor**2
