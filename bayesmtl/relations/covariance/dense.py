"""Gibbs sweep over weights whose tasks have a dense covariance matrix.

All weights are drawn in one block. The covariance is then updated given the weights (centred) and
given whitened deviations (non-centred), as are means and scales (Yu and Meng 2011, J. Comput.
Graph. Stat. 20).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.joint_weights import (
    CONJUGATE_GRADIENTS,
    DENSE,
    EIGEN,
    Blocks,
    choose_route,
    draw_eigen,
    draw_perturbed,
    factor_dense,
    gram_roots,
    place_dense,
    solve_columns,
)
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.relations.covariance.dense_covariance import (
    standard_sites,
    structure_given_weights,
)
from bayesmtl.relations.covariance.exchange import exchange_dense
from bayesmtl.relations.covariance.innovations import by_task, place_deviations_of
from bayesmtl.relations.covariance.state import DenseTasks, TaskCovariancePrior
from bayesmtl.relations.covariance.structure import (
    structure_given_deviations,
    structure_with_weights,
)
from bayesmtl.relations.covariance.task_by_task import update_tasks
from bayesmtl.relations.exchangeable.moves import (
    noncentred_means,
    noncentred_scales,
    set_weights,
    update_joint,
)
from bayesmtl.relations.exchangeable.population import update_means_of
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
    root = gram_roots(gram) if route == CONJUGATE_GRADIENTS else None
    dense = DenseSites(
        gram,
        unpack_tasks(sites.moment, prior.n_tasks),
        unpack_tasks(prior.task_features, prior.n_tasks),
    )
    return dense, Route(route, root)


@kernel
def _images_of_means(dense, precision, scale):
    """``-d score / d means`` (task p, p q), and the information (p q, p q) of the sites on them."""
    n_tasks, p = dense.moment.shape
    n_lanes, q = precision.shape[1], dense.design.shape[1]
    image, information = np.empty((n_tasks * p, p * q)), np.zeros((p * q, p * q))
    linear = np.zeros(p * q)
    for t in range(n_tasks):
        own = precision[t // n_lanes, t % n_lanes]
        for i in range(p):
            for a in range(q):
                weight = own * dense.design[t, a]
                linear[i * q + a] += weight * dense.moment[t, i]
                for j in range(p):
                    image[t * p + j, i * q + a] = weight * scale[j] * dense.gram[t, j, i]
                    for b in range(q):
                        both = weight * dense.design[t, b] * dense.gram[t, i, j]
                        information[i * q + a, j * q + b] += both
    return image, information, linear


@kernel
def _draw_with_means(dense, precision, prior, state, task_precision, normals, rng):
    """Draw the means with the weights integrated out, then the standardised deviations (task, p).

    Given each other both hardly move where the data do not tell the weights.
    """
    first, (n_tasks, p) = prior.block, dense.moment.shape
    gram, score = standard_sites(dense, precision, state.scale, np.zeros((n_tasks, p)))
    features = state.precision[first:, first:].copy()
    lower, half = factor_dense(gram, score, task_precision, features, first)
    image, information, linear = _images_of_means(dense, precision, state.scale)
    images = solve_columns(lower, image)
    information -= np.dot(images.T, images)
    linear -= np.dot(images.T, half)
    active = np.ones(linear.shape[0], dtype=np.bool_)
    update_means_of(prior, state, information, linear, active, rng)
    half -= np.dot(images, state.means.copy().reshape(-1))
    return place_dense(lower, half, normals.reshape(-1)).reshape((n_tasks, p))


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

    On the dense route the means are drawn with them, in place.

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
    normals = rng.normal(size=dense.moment.shape)
    if route.name == DENSE:
        drawn = _draw_with_means(dense, precision, prior, state, tasks.precision, normals, rng)
        return np.asarray(drawn)
    first, center = prior.block, dense.design @ state.means.T
    gram, score = standard_sites(dense, precision, state.scale, center)
    features = state.precision[first:, first:].copy()
    blocks = Blocks(gram, score, tasks.precision, features, first)
    if route.name == EIGEN:
        return draw_eigen(blocks, unpack_tasks(precision, prior.n_tasks), normals)
    assert route.name == CONJUGATE_GRADIENTS
    assert route.root is not None
    noise = np.sqrt(unpack_tasks(precision, prior.n_tasks))[:, None]
    perturbation = noise * state.scale * (route.root @ normals[..., None])[..., 0]
    return draw_perturbed(blocks, perturbation, rng)


def sweep_dense(
    sites: Sites,
    dense: DenseSites,
    route: Route,
    prior: PopulationPrior,
    state: PopulationState,
    task_prior: TaskCovariancePrior,
    tasks: DenseTasks,
    noise_variance: float,
    step: np.ndarray,
    own: Any,
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
    step : (2,)
        Of `move_root`.
    own : NamedTuple of arrays or None
        Of a structure of the tasks.
    rng : numpy.random.Generator
    """
    deviation = draw_weights(dense, route, sites.precision, prior, state, tasks, rng)
    learned = task_prior.kind == "full"
    part = (sites, dense, prior, state, tasks, deviation, learned, noise_variance, step)
    _given_weights(*part, rng)
    if task_prior.structure is not None:
        structure = task_prior.structure
        structure_given_deviations(
            structure, own, prior, state, tasks, noise_variance=noise_variance, rng=rng
        )
        of = (sites, dense, prior, state)
        structure_with_weights(structure, own, *of, tasks=tasks, exact=True, rng=rng)


@kernel
def _given_weights(
    sites, dense, prior, state, tasks, deviation, learned, noise_variance, step, rng
):
    """All updates but the draw of the weights in one call, as chains share the interpreter."""
    place_deviations_of(state, deviation, 0)
    set_weights(prior, state)
    structure_given_weights(dense, prior, state, tasks, learned, noise_variance, step, rng)
    if learned:
        _covariance_given_others(sites, dense, prior, state, tasks, rng)
    noncentred_means(sites, prior, state, rng)
    noncentred_scales(sites, prior, state, rng)
    if prior.covariance == 1:
        row_pass(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
    if learned:
        exchange_dense(prior, state, tasks, noise_variance, rng)


@inner_kernel
def _covariance_given_others(sites, dense, prior, state, tasks, rng):
    """Row of each task, and with it its weights."""
    first, p = prior.block, state.scale.shape[0]
    deviation = by_task(state.deviation, prior.n_tasks, 0, p)
    center = np.dot(dense.design, state.means.T)
    gram, score = standard_sites(dense, sites.precision, state.scale, center)
    features = state.precision[first:, first:].copy()
    of_tasks = (deviation, tasks.covariance, tasks.precision)
    update_tasks(gram, score, first, features, *of_tasks, prior.n_tasks, rng)
    place_deviations_of(state, deviation, 0)
    set_weights(prior, state)
