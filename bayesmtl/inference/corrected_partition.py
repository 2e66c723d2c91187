"""Clusters of tasks under any likelihood: the partition on exact likelihoods around fixed sites.

See `bayesmtl.inference.corrected`; here cluster means are standard normals too, given what the
sites of their tasks say of them. A sweep

- draws the cluster of each task by the exact likelihood of its rows at the mean of every cluster,
  its own q fixed;
- proposes splits and merges under the sites, all means and weights integrated out, and accepts them
  by the change of the correction;
- moves the cluster means by elliptical slices (Murray, Adams and MacKay 2010, AISTATS);
- updates the population given weights and cluster means, and by surrogate transitions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected_state import (
    CorrectedState,
    attempt,
    corrections,
    row_values,
    rows_of,
)
from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.clusters.between import TINY
from bayesmtl.relations.clusters.centred import (
    centred_between,
    centred_exchange,
    centred_means,
    centred_scales,
    shared_with_means,
)
from bayesmtl.relations.clusters.collapsed import (
    cluster_sites,
    collapsed_between,
    collapsed_exchange,
    collapsed_scales,
)
from bayesmtl.relations.clusters.noncentred import noncentred_between
from bayesmtl.relations.clusters.partition import split_or_merge, update_partition_prior
from bayesmtl.relations.clusters.state import PartitionPrior, PartitionState
from bayesmtl.relations.clusters.whitened import (
    close_gaps,
    log_joining,
    log_opening,
    place_centers,
    place_in_clusters,
    scan_given_centers,
    whiten_centers,
)
from bayesmtl.relations.exchangeable.moves import (
    noncentred_means,
    noncentred_scales,
    rescale_joint,
)
from bayesmtl.relations.exchangeable.state import learns

__all__ = ["identical_weights", "update_clusters"]

_PROPOSALS = 3
# Operations of an update that may be left out, or repeated.
_CHEAP = 2_000_000
_MOST_SHRINKS = 60
# Moves of the cluster means with the labels summed out, and the gradients of each.
_SUMMED, _GRADIENTS, _FEWEST_GRADIENTS = 2, 16, 8


def _parts(problem: Problem, state: CorrectedState) -> tuple[PartitionState, PartitionPrior]:
    assert state.partition is not None
    assert problem.partition is not None
    return state.partition, problem.partition


def _place(
    problem: Problem, state: CorrectedState, partition: PartitionState | None = None
) -> None:
    """Weights of q in the clusters of the state, or of another partition."""
    if partition is None:
        partition, _ = _parts(problem, state)
    place_in_clusters(state.sites, problem.prior, state.population, partition, state.whitened)


def _place_at(problem: Problem, state: CorrectedState, center: np.ndarray) -> None:
    """Weights of q with all tasks in one cluster of standardised mean (d,)."""
    partition, _ = _parts(problem, state)
    together = np.zeros(problem.prior.n_tasks, dtype=np.int64)
    _place(problem, state, partition._replace(labels=together, center=center[None]))


def update_clusters(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> list[bool]:
    """Partition, cluster means and population of one sweep, in place; q is then stale.

    Returns
    -------
    list of bool
        Whether the proposals were accepted.
    """
    prior, population = problem.prior, state.population
    partition, partition_prior = _parts(problem, state)
    a, g = cluster_sites(state.sites, prior, population, partition.between[0])
    _scan(problem, state, a, g, rng)
    accepted = [_split_or_merge(problem, state, a, g, rng) for _ in range(_PROPOSALS)]
    update_partition_prior(partition, partition_prior, rng)
    _, kernels = rows_of(problem, state)
    identical = identical_weights(problem, state)
    if identical and kernels.move_centers is not None:
        _move_centers_summed(problem, state, kernels.move_centers, a, rng)
    else:
        _move_centers(problem, state, a, g, rng)
    if identical and not learns(prior):
        return accepted
    accepted += _integrated(problem, state, noise_variance, rng)
    _given_weights(problem, state, noise_variance, rng)
    return accepted + _given_deviations(problem, state, noise_variance, rng)


def _scan(
    problem: Problem, state: CorrectedState, a: np.ndarray, g: np.ndarray, rng: np.random.Generator
) -> None:
    """The cluster of every task given those of the others and all cluster means."""
    partition, _ = _parts(problem, state)
    n_tasks, sites = problem.prior.n_tasks, state.sites
    if identical_weights(problem, state) and state.scales is None:
        # Without q any sites will do. Those at the modes of the tasks by themselves propose better
        # means of new clusters than those that are adapted to the clusters of all.
        sites = problem.sites
        a, g = cluster_sites(sites, problem.prior, state.population, partition.between[0])
    center = partition.center
    opening, b = log_opening(a, g, rng)
    order = rng.permutation(n_tasks)
    n_clusters = int(partition.n_clusters[0])
    join, correction = np.empty((n_tasks, n_clusters)), np.empty((n_tasks, n_clusters + 1))

    def fill(k: int) -> None:
        _place_at(problem, state, center[k])
        join[:, k], correction[:, k] = (
            log_joining(a, g, center[k]),
            _task_corrections(problem, state, sites),
        )

    _place(problem, state, partition._replace(labels=np.arange(n_tasks), center=b))
    correction[:, -1] = _task_corrections(problem, state, sites)
    for k in range(n_clusters):
        fill(k)
    position = 0
    while True:
        position = scan_given_centers(partition, order, position, join, correction, opening, b, rng)
        if position == n_tasks:
            break
        k = int(partition.labels[order[position - 1]])
        if k == join.shape[1]:
            join = np.column_stack([join, np.empty(n_tasks)])
            correction = np.insert(correction, k, 0.0, axis=1)
        fill(k)
    close_gaps(partition)
    _place(problem, state)
    state.value[:] = row_values(problem, state)


def _task_corrections(problem: Problem, state: CorrectedState, sites: Sites) -> np.ndarray:
    """What sites leave (task,) of the log-likelihood at the current weights."""
    value = row_values(problem, state)
    return unpack_tasks(corrections(state, value, sites), problem.prior.n_tasks)


def _split_or_merge(
    problem: Problem, state: CorrectedState, a: np.ndarray, g: np.ndarray, rng: np.random.Generator
) -> bool:
    """One split or merge; one of the two clusters has the q of the whole, the other a fresh one."""
    partition, _ = _parts(problem, state)

    def propose() -> bool:
        before = partition._replace(
            labels=partition.labels.copy(),
            sizes=partition.sizes.copy(),
            center=partition.center.copy(),
        )
        whitened = np.empty((int(partition.n_clusters[0]), g.shape[1]))
        whiten_centers(partition, a, g, whitened)
        if not split_or_merge(partition, a, g, rng):
            return False
        follow, changed = _inherit(before, partition, whitened, rng)
        place_centers(partition, a, g, follow, changed)
        _place(problem, state)
        return True

    return attempt(problem, state, propose, rng)


def _inherit(
    before: PartitionState,
    after: PartitionState,
    whitened: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The q (cluster, d) of the clusters after a split or merge, and which have changed (cluster,).

    Clusters that are the same keep their means. Which half of the whole shares its q is tossed, so
    that splits and merges undo each other with equal probability.
    """
    n_after = int(after.n_clusters[0])
    follow, changed = np.zeros((n_after, whitened.shape[1])), np.zeros(n_after, dtype=np.bool_)
    chosen = rng.random() < 0.5
    for k in range(n_after):
        origin = np.unique(before.labels[after.labels == k])
        if origin.size == 1 and before.sizes[origin[0]] == after.sizes[k]:
            after.center[k] = before.center[origin[0]]
            continue
        changed[k] = True
        if origin.size == 2:
            follow[k] = whitened[origin[int(chosen)]]
        else:
            follow[k] = whitened[origin[0]] if chosen else rng.normal(size=whitened.shape[1])
            chosen = not chosen
    return follow, changed


def _move_centers(
    problem: Problem, state: CorrectedState, a: np.ndarray, g: np.ndarray, rng: np.random.Generator
) -> None:
    """One elliptical slice for the mean of each cluster, of all clusters side by side."""
    partition, _ = _parts(problem, state)
    n_clusters = int(partition.n_clusters[0])
    start = np.empty((n_clusters, g.shape[1]))
    whiten_centers(partition, a, g, start)
    normal = rng.normal(size=start.shape)
    everyone = np.ones(n_clusters, dtype=np.bool_)

    def place_at(angle: np.ndarray) -> None:
        q = start * np.cos(angle)[:, None] + normal * np.sin(angle)[:, None]
        place_centers(partition, a, g, q, everyone)
        _place(problem, state)
        state.value[:] = row_values(problem, state)

    def of_clusters() -> np.ndarray:
        of_tasks = unpack_tasks(corrections(state, state.value), problem.prior.n_tasks)
        return np.bincount(partition.labels, weights=of_tasks, minlength=n_clusters)

    level = of_clusters() + np.log1p(-rng.random(n_clusters))
    angle = rng.uniform(0.0, 2.0 * np.pi, n_clusters)
    low, high = angle - 2.0 * np.pi, angle.copy()
    searching = everyone.copy()
    for _ in range(_MOST_SHRINKS):
        place_at(angle)
        # A correction that is not a number compares as outside the slice.
        searching &= ~(of_clusters() > level)
        if not searching.any():
            return
        low = np.where(searching & (angle < 0.0), angle, low)
        high = np.where(searching & (angle >= 0.0), angle, high)
        angle = np.where(searching, rng.uniform(low, high), angle)
    place_at(np.where(searching, 0.0, angle))


def identical_weights(problem: Problem, state: CorrectedState) -> bool:
    """Whether the tasks of a cluster have the same weights, with nothing of their own."""
    partition, _ = _parts(problem, state)
    return 1.0 - partition.between[0] < TINY and problem.prior.block == 0


def _move_centers_summed(
    problem: Problem,
    state: CorrectedState,
    move: Callable[..., float],
    a: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """All cluster means with the labels summed out, then the labels given the means.

    Given the weights of the occupied clusters and that no task is elsewhere, the tasks are
    independent, with likelihood ``sum_k weight_k L_t(b_k)``. Given the labels the means hardly move
    where a cluster is hard to tell from the next. Labels that leave a cluster empty are refused:
    from there no move leads back.
    """
    partition, _ = _parts(problem, state)
    rows, _ = rows_of(problem, state)
    population = state.population
    n_clusters = int(partition.n_clusters[0])
    affordable = _CHEAP // (n_clusters * problem.design.size)
    gradients = min(max(affordable, _FEWEST_GRADIENTS), _GRADIENTS)
    for _ in range(min(max(affordable // gradients, 1), _SUMMED)):
        share = rng.standard_gamma(partition.sizes[:n_clusters] - partition.discount[0])
        center, labels = partition.center[:n_clusters].copy(), partition.labels.copy()
        state.center_step[1] = move(
            rows,
            state.parameters,
            (population.center, population.scale),
            (a, np.log(share / share.sum())),
            (gradients, state.center_step[0] * rng.uniform(0.7, 1.3)),
            center,
            labels,
            rng,
        )
        if np.bincount(labels, minlength=n_clusters).all():
            partition.center[:n_clusters] = center
            partition.labels[:] = labels
            close_gaps(partition)
    _place(problem, state)
    state.value[:] = row_values(problem, state)


def _integrated(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> list[bool]:
    """Share and scales with means and weights integrated out under the sites, both q fixed."""
    prior, population, sites = problem.prior, state.population, state.sites
    partition, partition_prior = _parts(problem, state)
    p = prior.scale_unit.size
    if prior.n_tasks * p**4 > _CHEAP:
        return []
    updates: list[Callable[[], None]] = [
        lambda: collapsed_scales(sites, prior, population, partition, rng)
    ]
    if partition_prior.between[0] != 0.0:
        updates += [
            lambda: collapsed_between(sites, prior, population, partition, partition_prior, rng),
            lambda: collapsed_exchange(
                sites, prior, population, partition, partition_prior, noise_variance, rng
            ),
        ]

    def keeping_whitened(update: Callable[[], None]) -> Callable[[], None]:
        def propose() -> None:
            n_clusters = int(partition.n_clusters[0])
            a, g = cluster_sites(sites, prior, population, partition.between[0])
            whitened = np.empty((n_clusters, g.shape[1]))
            whiten_centers(partition, a, g, whitened)
            update()
            a, g = cluster_sites(sites, prior, population, partition.between[0])
            place_centers(partition, a, g, whitened, np.ones(n_clusters, dtype=np.bool_))
            _place(problem, state)

        return propose

    return [attempt(problem, state, keeping_whitened(update), rng) for update in updates]


def _given_weights(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> None:
    """Population and share given the weights, which no likelihood enters; then cluster means."""
    prior, population = problem.prior, state.population
    partition, partition_prior = _parts(problem, state)
    centred_means(prior, population, partition, rng)
    centred_scales(prior, population, partition, rng)
    if prior.joint.any():
        shared_with_means(prior, population, partition, noise_variance, rng)
    if partition_prior.between[0] != 0.0:
        centred_exchange(prior, population, partition, partition_prior, noise_variance, rng)
    centred_between(prior, population, partition, partition_prior, rng)


def _given_deviations(
    problem: Problem, state: CorrectedState, noise_variance: float, rng: np.random.Generator
) -> list[bool]:
    """Population and share given standardised cluster means and deviations, by surrogates."""
    prior, population, sites = problem.prior, state.population, state.sites
    partition, partition_prior = _parts(problem, state)
    updates: list[Callable[[], None]] = [
        lambda: noncentred_means(sites, prior, population, rng),
        lambda: noncentred_scales(sites, prior, population, rng),
    ]
    if partition_prior.between[0] != 0.0:
        updates.append(
            lambda: noncentred_between(sites, prior, population, partition, partition_prior, rng)
        )
    if prior.joint.any():
        updates.append(lambda: rescale_joint(sites, prior, population, noise_variance, rng))
    return [attempt(problem, state, update, rng) for update in updates]
