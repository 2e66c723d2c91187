"""Covariance of the tasks given the weights, their means integrated out, by Hamiltonian moves.

Where the weights of one task are near the mean, the mean follows them and the variance of the task
is small, or neither: given each other both hardly move (the funnel of Neal 2003, Ann. Statist. 31).
Given the weights the covariance has few dimensions and a cheap gradient. Its coordinates are the
elements of the lower triangular R with ``Omega^-1 = R'R``, scaled by what the weights say of them.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.relations.covariance.innovations import by_task
from bayesmtl.relations.covariance.state import HALF_T_DOF, HALF_T_SCALE
from bayesmtl.relations.exchangeable.population import joint_sums, varying_features
from bayesmtl.relations.exchangeable.updates import mean_variance

__all__ = ["FIRST_STEP", "log_root", "move_root"]

FIRST_STEP = 0.25
_FEWEST_STEPS, _MOST_STEPS = 5, 15


@inner_kernel
def _normal_means(prior, state, members):
    """Which means (d q,) have a normal prior, its location (d, q), 0 elsewhere, and precision."""
    d, q = members.shape[0], prior.mean_location.shape[1]
    free = np.zeros(d * q, dtype=np.bool_)
    location, precision = np.zeros((d, q)), np.ones((d, q))
    total, n_means, _, _ = joint_sums(prior, state)
    for i in range(d):
        j = members[i]
        for a in range(q):
            kind, row = prior.mean_kind[j * q + a], prior.mean_prior[j, a]
            if kind == 1:
                location[i, a] = (row[1] - prior.mean_location[j, a]) / prior.mean_unit[j, a]
                precision[i, a] = (prior.mean_unit[j, a] / row[2]) ** 2
            elif kind == 3:
                precision[i, a] = 1.0 / mean_variance(total, state.shared[0], n_means)
            free[i * q + a] = kind in (1, 3)
    return free, location, precision


@inner_kernel
def _data(prior, state, members, design):
    """The data of `log_root`."""
    d, n_tasks, first = members.shape[0], prior.n_tasks, prior.block
    whole = by_task(state.weights, n_tasks, first, state.scale.shape[0])
    weights, features = np.empty((n_tasks, d)), np.empty((d, d))
    for i in range(d):
        weights[:, i] = whole[:, members[i] - first]
        for k in range(d):
            own = state.precision[members[i], members[k]]
            features[i, k] = own / (state.scale[members[i]] * state.scale[members[k]])
    free, location, precision = _normal_means(prior, state, members)
    q = design.shape[1]
    for i in range(d):
        for a in range(q):
            center = location[i, a] if free[i * q + a] else state.means[members[i], a]
            weights[:, i] -= center * design[:, a]
    return weights, design, features, np.flatnonzero(free), precision.copy().reshape(-1)


@inner_kernel
def _mean_moments(of_tasks, pulled, features, free, precision):
    """Mean (n,) and covariance (n, n) of the free means, and the log of their part of the evidence.

    But for the deviations of the weights from that mean.

    ``of_tasks`` is ``Z'K Z``, ``pulled`` (d, q) the linear term of the means.
    """
    n, q = free.shape[0], of_tasks.shape[0]
    whole, linear = np.empty((n, n)), np.empty(n)
    for a in range(n):
        i, k = free[a] // q, free[a] % q
        linear[a] = pulled[i, k]
        for b in range(n):
            whole[a, b] = features[i, free[b] // q] * of_tasks[k, free[b] % q]
        whole[a, a] += precision[free[a]]
    lower = cholesky(whole)
    inverse = invert_lower(lower)
    mean = np.dot(inverse.T, np.dot(inverse, linear))
    value = -np.log(np.diag(lower)).sum()
    for a in range(n):
        value -= 0.5 * precision[free[a]] * mean[a] ** 2
    return mean, np.dot(inverse.T, inverse), value


@kernel
def log_root(root, data, gradient):
    """Log density of R given the weights, logs of its diagonal for coordinates.

    Huang and Wand 2013, Bayesian Anal. 8, eq. 3, for ``(R'R)^-1`` with the Jacobian of R, and the
    normal density of the weights with their means integrated out.

    Parameters
    ----------
    root : (task, task)
        R, lower triangular.
    data : tuple
        Weights (task, d) less the locations of their means, design (task, q), precision (d, d) of
        the features, places (n,) of the means that have a normal prior among all (d q,), and the
        precisions (d q,) of these priors.
    gradient : (task, task)
        Overwritten by the derivatives by the elements of R.
    """
    weights, design, features, free, precision = data
    n_tasks, d = weights.shape
    q = design.shape[1]
    of_tasks = np.dot(root, design)
    pulled = np.dot(features, np.dot(np.dot(root, weights).T, of_tasks))
    gram = np.dot(of_tasks.T, of_tasks)
    mean, covariance, value = _mean_moments(gram, pulled, features, free, precision)

    # Expected scatter of the deviations: at the mean, and what the means spread.
    means, spread = np.zeros((d, q)), np.zeros((q, q))
    for a in range(free.shape[0]):
        means[free[a] // q, free[a] % q] = mean[a]
        for b in range(free.shape[0]):
            own = features[free[a] // q, free[b] // q] * covariance[a, b]
            spread[free[a] % q, free[b] % q] += own
    deviation = weights - np.dot(design, means.T)
    white = np.dot(root, deviation)
    value -= 0.5 * (np.dot(white, features) * white).sum()
    scatter = np.dot(np.dot(deviation, features), deviation.T)
    scatter += np.dot(np.dot(design, spread), design.T)
    gradient[:] = -np.dot(root, scatter)

    diagonal = np.zeros(n_tasks)
    for i in range(n_tasks):
        value += (d + HALF_T_DOF + i) * math.log(root[i, i])
        for t in range(i + 1):
            diagonal[t] += root[i, t] ** 2
    weight = HALF_T_DOF * (HALF_T_DOF + n_tasks)
    for t in range(n_tasks):
        rate = HALF_T_DOF * diagonal[t] + 1.0 / HALF_T_SCALE**2
        value -= 0.5 * (HALF_T_DOF + n_tasks) * math.log(rate)
        gradient[:t, t] = 0.0
        for i in range(t, n_tasks):
            gradient[i, t] -= weight * root[i, t] / rate
        gradient[t, t] += (d + HALF_T_DOF + t) / root[t, t]
    return value


@inner_kernel
def _base(weights, features):
    """Lower triangular; with it R is near the identity. Depends on the weights, not on R.

    ``base' base`` is the inverse of the second moment of the weights around their average over
    tasks, with a ridge, and the variance of that average added.
    """
    n_tasks, d = weights.shape
    centred = weights - weights.sum(axis=0) / n_tasks
    moment = np.dot(np.dot(centred, features), centred.T) / d
    ridge = np.trace(moment) / n_tasks + 1e-12
    for t in range(n_tasks):
        for s in range(n_tasks):
            moment[t, s] += ridge / n_tasks
        moment[t, t] += 0.1 * ridge
    return invert_lower(cholesky(moment))


@inner_kernel
def _place(x, base, unit, root):
    """R of the coordinates x (task, task) of ``R base^-1``; that matrix."""
    inner = np.zeros_like(x)
    for i in range(x.shape[0]):
        for k in range(i):
            inner[i, k] = x[i, k] * unit
        inner[i, i] = math.exp(x[i, i] * unit * math.sqrt(0.5))
    root[:] = np.dot(inner, base)
    return inner


@inner_kernel
def _evaluate(x, base, unit, data, root, gradient):
    """Log density at the coordinates x, and its gradient by them; R is overwritten."""
    inner = _place(x, base, unit, root)
    value = log_root(root, data, gradient)
    pulled = np.dot(gradient, base.T)
    for i in range(x.shape[0]):
        gradient[i, i + 1 :] = 0.0
        for k in range(i):
            gradient[i, k] = pulled[i, k] * unit
        gradient[i, i] = pulled[i, i] * inner[i, i] * unit * math.sqrt(0.5)
    return value


@inner_kernel
def _trajectory(data, root, step, rng):
    """Leapfrog steps from R, which is overwritten; the probability of acceptance."""
    n_tasks, d = data[0].shape
    base, unit = _base(data[0], data[2]), 1.0 / math.sqrt(d)
    x = np.dot(root, invert_lower(base)) / unit
    momentum = np.zeros_like(x)
    for i in range(n_tasks):
        x[i, i] = math.log(x[i, i] * unit) / (unit * math.sqrt(0.5))
        for k in range(i + 1):
            momentum[i, k] = rng.standard_normal()
    gradient = np.empty_like(x)
    value = _evaluate(x, base, unit, data, root, gradient)
    energy = value - 0.5 * (momentum**2).sum()
    size = step * (0.8 + 0.4 * rng.random())
    for _ in range(rng.integers(_FEWEST_STEPS, _MOST_STEPS + 1)):
        momentum += 0.5 * size * gradient
        x += size * momentum
        value = _evaluate(x, base, unit, data, root, gradient)
        momentum += 0.5 * size * gradient
        if not math.isfinite(value):
            return 0.0
    change = value - 0.5 * (momentum**2).sum() - energy
    return math.exp(min(0.0, change)) if math.isfinite(change) else 0.0


@kernel
def move_root(prior, state, tasks, design, step, rng):
    """One move of the covariance of tasks given the weights, in place.

    Means with a normal prior are integrated out and have to be drawn next.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
    design : (task, q)
    step : (2,)
        Size of a step; the probability of acceptance is written into the second place.
    rng : numpy.random.Generator
    """
    members = varying_features(prior, state)
    if members.shape[0] == 0:
        return
    data = _data(prior, state, members, design)
    root = invert_lower(cholesky(tasks.covariance))
    step[1] = _trajectory(data, root, step[0], rng)
    if rng.random() < step[1]:
        lower = invert_lower(root)
        tasks.covariance[:] = np.dot(lower, lower.T)
        tasks.precision[:] = np.dot(root.T, root)
