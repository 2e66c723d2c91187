"""Gibbs sweep over weights whose tasks have a dense covariance matrix.

All weights are drawn in one block. The covariance is then updated given the weights (centred) and
given whitened deviations (non-centred), as are means and scales (Yu and Meng 2011, J. Comput.
Graph. Stat. 20).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.joint_weights import (
    CONJUGATE_GRADIENTS,
    DENSE,
    EIGEN,
    Blocks,
    choose_route,
    draw_dense,
    draw_eigen,
    draw_perturbed,
)
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.numerics.matrices import cholesky, draw_inverse_wishart, invert_lower
from bayesmtl.relations.covariance.exchange import exchange_dense
from bayesmtl.relations.covariance.innovations import (
    by_task,
    place_deviations_of,
    update_from_rows,
)
from bayesmtl.relations.covariance.state import (
    HALF_T_DOF,
    HALF_T_SCALE,
    DenseTasks,
    TaskCovariancePrior,
)
from bayesmtl.relations.covariance.task_rows import update_task_rows
from bayesmtl.relations.exchangeable.moves import (
    noncentred_means,
    noncentred_scales,
    set_weights,
    standardise,
    update_joint,
)
from bayesmtl.relations.exchangeable.rows import row_pass
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = ["DenseSites", "dense_sites", "draw_weights", "sweep_dense"]


class DenseSites(NamedTuple):
    """Sites by task, for draws of all weights at once.

    Parameters
    ----------
    gram : (task, p, p)
    moment : (task, p)
        Both for a noise precision of one.
    design : (task, q)
        Constant and task features.
    """

    gram: np.ndarray
    moment: np.ndarray
    design: np.ndarray


class Route(NamedTuple):
    """How weights are drawn jointly.

    Parameters
    ----------
    name : str
    root : (task, p, p) or None
        ``root root' = gram`` where the route needs it.
    """

    name: str
    root: np.ndarray | None


def dense_sites(
    sites: Sites, prior: PopulationPrior, route: str | None = None
) -> tuple[DenseSites, Route]:
    """Unpack the sites and choose the route, if it is not given."""
    gram = unpack_symmetric(sites.gram, prior.n_tasks)
    route = route or choose_route(gram, prior.block)
    root = None
    if route == CONJUGATE_GRADIENTS:
        values, vectors = np.linalg.eigh(gram)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    dense = DenseSites(
        gram,
        unpack_tasks(sites.moment, prior.n_tasks),
        unpack_tasks(prior.task_features, prior.n_tasks),
    )
    return dense, Route(route, root)


@kernel
def _standard_sites(dense, precision, prior, state):
    """Precision (task, p, p) and linear term (task, p) of the standardised deviations."""
    n_tasks, p = dense.moment.shape
    n_lanes = precision.shape[1]
    center = np.dot(dense.design, state.means.T)
    gram, score = np.empty((n_tasks, p, p)), np.empty((n_tasks, p))
    for t in range(n_tasks):
        own = precision[t // n_lanes, t % n_lanes]
        for i in range(p):
            image = 0.0
            for j in range(p):
                image += dense.gram[t, i, j] * center[t, j]
                gram[t, i, j] = own * state.scale[i] * state.scale[j] * dense.gram[t, i, j]
            score[t, i] = own * state.scale[i] * (dense.moment[t, i] - image)
    return gram, score


def draw_weights(
    dense: DenseSites,
    route: Route,
    precision: np.ndarray,
    prior: PopulationPrior,
    state: PopulationState,
    tasks: DenseTasks,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the standardised deviations (task, p) of all tasks in one block.

    Parameters
    ----------
    dense : DenseSites
    route : Route
    precision : (block, lane)
        Noise precisions.
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
    rng : numpy.random.Generator
    """
    first = prior.block
    gram, score = _standard_sites(dense, precision, prior, state)
    features = state.precision[first:, first:].copy()
    blocks = Blocks(gram, score, tasks.precision, features, first)
    if route.name == CONJUGATE_GRADIENTS:
        assert route.root is not None
        noise = np.sqrt(unpack_tasks(precision, prior.n_tasks))[:, None, None]
        return draw_perturbed(blocks, noise * (state.scale[:, None] * route.root), rng)
    normals = rng.normal(size=score.shape)
    if route.name == EIGEN:
        return draw_eigen(blocks, unpack_tasks(precision, prior.n_tasks), normals)
    assert route.name == DENSE
    return np.asarray(draw_dense(*blocks, normals))


def sweep_dense(
    sites: Sites,
    dense: DenseSites,
    route: Route,
    prior: PopulationPrior,
    state: PopulationState,
    task_prior: TaskCovariancePrior,
    tasks: DenseTasks,
    noise_variance: float,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep over weights, means, scales and both covariances, in place.

    Parameters
    ----------
    sites : Sites
    dense : DenseSites
        The same, by task.
    route : Route
    prior : PopulationPrior
    state : PopulationState
    task_prior : TaskCovariancePrior
    tasks : DenseTasks
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    deviation = draw_weights(dense, route, sites.precision, prior, state, tasks, rng)
    learned = task_prior.kind != "given"
    _given_weights(sites, dense, prior, state, tasks, deviation, learned, noise_variance, rng)


@kernel
def _given_weights(sites, dense, prior, state, tasks, deviation, learned, noise_variance, rng):
    """All updates but the draw of the weights in one call, as chains share the interpreter."""
    place_deviations_of(state, deviation, 0)
    set_weights(prior, state)
    if learned:
        _covariance_given_weights(prior, state, tasks, rng)
    inverse = invert_lower(cholesky(tasks.covariance))
    weights = by_task(state.weights, prior.n_tasks, prior.block, state.scale.shape[0])
    rows, design = np.dot(inverse, weights), np.dot(inverse, dense.design)
    update_from_rows(prior, state, rows, design, noise_variance, rng)
    standardise(prior, state)
    if learned:
        _covariance_given_innovations(sites, dense, prior, state, tasks, rng)
    noncentred_means(sites, prior, state, rng)
    noncentred_scales(sites, prior, state, rng)
    if prior.covariance == 1:
        row_pass(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
    if learned:
        exchange_dense(prior, state, tasks, noise_variance, rng)


@inner_kernel
def _prior_scales(tasks, rng):
    """Diagonal (task,) of the inverse-Wishart scale of a Huang-Wand covariance, given it."""
    n_tasks = tasks.precision.shape[0]
    out = np.empty(n_tasks)
    for t in range(n_tasks):
        rate = HALF_T_DOF * tasks.precision[t, t] + 1.0 / HALF_T_SCALE**2
        out[t] = 2.0 * HALF_T_DOF * rng.standard_gamma(0.5 * (HALF_T_DOF + n_tasks)) / rate
    return out


@inner_kernel
def _covariance_given_weights(prior, state, tasks, rng):
    """Huang and Wand 2013, Bayesian Anal. 8, section 4.2, with tasks for variables.

    A feature whose scale is zero says nothing.
    """
    first, p = prior.block, state.scale.shape[0]
    deviation = by_task(state.deviation, prior.n_tasks, first, p)
    precision = state.precision[first:, first:].copy()
    d = 0
    for i in range(p - first):
        if state.scale[first + i] > 0.0:
            d += 1
        else:
            precision[i, :] = 0.0
            precision[:, i] = 0.0
    scatter = np.dot(np.dot(deviation, precision), deviation.T)
    scales = _prior_scales(tasks, rng)
    for t in range(prior.n_tasks):
        scatter[t, t] += scales[t]
    dof = HALF_T_DOF + prior.n_tasks - 1.0 + d
    covariance, inverse = draw_inverse_wishart(dof, scatter, rng)
    tasks.covariance[:] = covariance
    tasks.precision[:] = inverse


@inner_kernel
def _covariance_given_innovations(sites, dense, prior, state, tasks, rng):
    """Rows of the Cholesky factor, tasks in random order, and with them the weights."""
    first, p, n_tasks = prior.block, state.scale.shape[0], prior.n_tasks
    d = p - first
    order = rng.permutation(n_tasks)
    whole = by_task(state.deviation, n_tasks, 0, p)
    gram, score = _standard_sites(dense, sites.precision, prior, state)
    covariance = np.empty((n_tasks, n_tasks))
    own_gram, own_score = np.empty((n_tasks, d, d)), np.empty((n_tasks, d))
    deviation = np.empty((n_tasks, d))
    scales = _prior_scales(tasks, rng)
    psi = np.empty(n_tasks)
    for a in range(n_tasks):
        t = order[a]
        psi[a] = scales[t]
        for b in range(n_tasks):
            covariance[a, b] = tasks.covariance[t, order[b]]
        for i in range(d):
            deviation[a, i] = whole[t, first + i]
            own_score[a, i] = score[t, first + i]
            # Intercepts keep their value.
            for j in range(first):
                own_score[a, i] -= gram[t, first + i, j] * whole[t, j]
            for j in range(d):
                own_gram[a, i, j] = gram[t, first + i, first + j]
    lower = cholesky(covariance)
    inverse = invert_lower(lower)
    white = np.dot(inverse, deviation)
    update_task_rows(own_gram, own_score, lower, inverse, white, psi, rng)
    deviation = np.dot(lower, white)
    inverse = invert_lower(lower)
    covariance, precision = np.dot(lower, lower.T), np.dot(inverse.T, inverse)
    for a in range(n_tasks):
        for i in range(d):
            whole[order[a], first + i] = deviation[a, i]
        for b in range(n_tasks):
            tasks.covariance[order[a], order[b]] = covariance[a, b]
            tasks.precision[order[a], order[b]] = precision[a, b]
    place_deviations_of(state, whole, 0)
    set_weights(prior, state)
