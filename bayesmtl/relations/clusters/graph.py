"""Random partitions as PyMC variables, the labels of the tasks summed out.

Clusters are numbered as they appear in the order of the tasks. Given the weights ``p_k = v_k
prod_{j<k} (1 - v_j)`` of clusters in that order, ``v_k ~ Beta(1 - delta, alpha + k delta)``, a task
joins cluster k of the K so far with probability p_k and opens another with the rest (Pitman 1995,
Probab. Theory Relat. Fields 102, section 2). The sum over all partitions is then a forward
recursion over the tasks whose state is K. It needs no more clusters than tasks, nothing is cut off,
and clusters cannot swap their labels. M components of weights Dirichlet(alpha / M) are the case
``delta = -alpha / M``, with ``v_M = 1``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.errors import UnsupportedError
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.priors import prior_of_row
from bayesmtl.relations.clusters.state import fixed_components
from bayesmtl.relations.exchangeable.graph import add_population, scalar_variable

__all__ = ["ClusterTensors", "add_cluster_sites", "add_cluster_weights", "add_clusters"]

# More tasks share at most that many clusters.
_MOST_CLUSTERS = 30
# Log probability of what cannot be; minus infinity has no gradient.
_NEVER = -1e12


class ClusterTensors(NamedTuple):
    """Tensors of the clusters and the population that their means come from.

    Parameters
    ----------
    center : (task or 1, feature)
        Means of the weights before the cluster adds its own, user units.
    sd : (feature,)
        Total, user units.
    between : scalar
    offset : (cluster, feature)
        Standardised cluster means.
    log_join : (cluster,)
        Log p_k.
    log_open : (cluster,)
        Log probability to open cluster k beside the first k - 1.
    """

    center: Any
    sd: Any
    between: Any
    offset: Any
    log_join: Any
    log_open: Any


def add_clusters(problem: Problem, z: Any, noise: Any) -> ClusterTensors:
    """Population, partition prior and cluster means; the coordinate ``cluster``.

    Beyond 30 tasks the partition is conditioned on having at most 30 clusters.

    Parameters
    ----------
    problem : Problem
    z : (task, task_feature) or None
        Centred.
    noise : tensor or float
        The sd that the joint prior refers to, user units.

    Raises
    ------
    UnsupportedError
        For an unknown number of components.
    """
    import pymc as pm
    import pytensor.tensor as pt

    prior = problem.partition
    assert prior is not None
    center, sd = add_population(problem, z, noise, "base")
    between = scalar_variable("between", prior_of_row(prior.between))
    concentration = scalar_variable("concentration", prior_of_row(prior.concentration))
    n_components = fixed_components(prior)
    discount: Any = 0.0
    if n_components:
        discount = -concentration / n_components
    elif prior.discount[0] != FIXED or prior.discount[1] != 0.0:
        discount = scalar_variable("discount", prior_of_row(prior.discount))
    n_tasks = problem.prior.n_tasks
    n_clusters = min(n_tasks, _MOST_CLUSTERS, n_components or n_tasks)
    pm.modelcontext(None).add_coord("cluster", np.arange(n_clusters))
    # The last cluster takes the rest where there can be no other.
    closed = n_clusters in (n_tasks, n_components)
    n_sticks = n_clusters - closed
    log_stick, log_rest = pt.zeros(0), pt.zeros(0)
    if n_sticks:
        k = np.arange(1, n_sticks + 1)
        stick = pm.Beta("stick", 1.0 - discount, concentration + k * discount, shape=n_sticks)
        log_stick, log_rest = pt.log(stick), pt.log1p(-stick)
    if closed:
        log_stick = pt.concatenate([log_stick, pt.zeros(1)])
    log_open = pt.concatenate([pt.zeros(1), pt.cumsum(log_rest)])[:n_clusters]
    offset = pm.Normal("cluster_offset", dims=("cluster", "feature"))
    mean = pm.modelcontext(None)["base_mean"] + pt.sqrt(between) * sd * offset
    pm.Deterministic("cluster_mean", mean, dims=("cluster", "feature"))
    return ClusterTensors(center, sd, between, offset, log_stick + log_open, log_open)


def _log_sum(log_evidence: Any, clusters: ClusterTensors, n_tasks: int) -> Any:
    """Log of the sum over partitions of their probability times the evidence of the tasks.

    Parameters
    ----------
    log_evidence : (task, cluster)
    clusters : ClusterTensors
    n_tasks : int
    """
    import pytensor.tensor as pt
    from pytensor.tensor.special import logaddexp, logsumexp

    n_clusters = log_evidence.shape[1]
    # Row K - 1 has the clusters that exist when there are K.
    absent = pt.arange(n_clusters)[None, :] > pt.arange(n_clusters)[:, None]
    each = (log_evidence + clusters.log_join)[1:, None, :]
    join = logsumexp(pt.switch(absent, _NEVER, each), axis=2)
    opened = (log_evidence + clusters.log_open)[1:]
    never = pt.full((1,), _NEVER)
    state = pt.concatenate([log_evidence[0, :1], pt.full((n_clusters - 1,), _NEVER)])
    for t in range(n_tasks - 1):
        one_less = pt.concatenate([never, state[:-1]])
        state = logaddexp(state + join[t], one_less + opened[t])
    return logsumexp(state)


def add_cluster_weights(problem: Problem, clusters: ClusterTensors, name: str = "weights") -> Any:
    """Weights (task, feature) with the density that is left when the labels are summed out.

    Raises
    ------
    UnsupportedError
        Where tasks of a cluster have identical weights, which have no density.
    """
    import pymc as pm
    import pytensor.tensor as pt

    assert problem.partition is not None
    if prior_of_row(problem.partition.between) == 1.0:
        raise UnsupportedError(
            "with between=1 the tasks of a cluster have identical weights, which have no density: "
            "use likelihood='sites', which integrates the weights out, or a smaller between="
        )
    offset = pm.Flat("weights_offset", dims=("task", "feature"))
    within = 1.0 - clusters.between
    gap = offset[:, None, :] - pt.sqrt(clusters.between) * clusters.offset
    density = -0.5 * (gap**2 / within + pt.log(2.0 * np.pi * within)).sum(axis=2)
    pm.Potential("partition", _log_sum(density, clusters, problem.prior.n_tasks))
    return pm.Deterministic(name, clusters.center + clusters.sd * offset, dims=("task", "feature"))


def add_cluster_sites(
    problem: Problem, clusters: ClusterTensors, intercept: tuple[Any, Any] | None, noise: Any
) -> None:
    """The log-likelihood with labels, weights and separate intercepts integrated out.

    Parameters
    ----------
    problem : Problem
    clusters : ClusterTensors
    intercept : (center, sd) or None
        Of separate intercepts, user units.
    noise : (task,) or None
        Sds, user units; None for known standard errors.
    """
    import pymc as pm
    import pytensor.tensor as pt

    prior = problem.prior
    n_tasks, p = prior.n_tasks, prior.scale_unit.size
    mean = clusters.center[:, None, :] + pt.sqrt(clusters.between) * clusters.sd * clusters.offset
    n_clusters = clusters.offset.shape[0]
    mean = pt.broadcast_to(mean, (n_tasks, n_clusters, p - prior.block))
    sd = pt.sqrt(1.0 - clusters.between) * clusters.sd
    if intercept is not None:
        center = pt.broadcast_to(pt.atleast_1d(intercept[0])[:, None], (n_tasks, n_clusters))
        mean = pt.concatenate([center[:, :, None], mean], axis=2)
        sd = pt.concatenate([pt.atleast_1d(intercept[1]), sd])
    mean, sd = (mean - prior.mean_location[:, 0]) / prior.scale_unit, sd / prior.scale_unit
    unit = problem.scaling.response_scale
    precision = pt.ones(n_tasks) if noise is None else (unit / noise) ** 2
    gram = unpack_symmetric(problem.sites.gram, n_tasks)
    moment = unpack_tasks(problem.sites.moment, n_tasks)
    # With P = I + sd G sd and the score s = h - G m at the prior mean m of the weights, their
    # evidence is that of w = m, plus |P^-1/2 sd s|^2 / 2 - log|P| / 2.
    image = (gram[:, None, :, :] * mean[:, :, None, :]).sum(axis=3)
    square = ((image - 2.0 * moment[:, None, :]) * mean).sum(axis=2)
    score = (moment[:, None, :] - image) * precision[:, None, None] * sd
    inner = np.eye(p) + gram * precision[:, None, None] * sd[:, None] * sd
    evidence = _eliminate(inner, score, p) - 0.5 * precision[:, None] * square
    total = unpack_tasks(problem.sites.total, n_tasks)
    counts = unpack_tasks(problem.sites.rows, n_tasks)
    alone = 0.5 * (counts * pt.log(precision) - precision * total).sum()
    pm.Potential("sites", alone + _log_sum(evidence, clusters, n_tasks))


def _eliminate(inner: Any, score: Any, p: int) -> Any:
    """``s' A^-1 s / 2 - log|A| / 2`` for A (task, p, p) and s (task, cluster, p).

    Over all tasks at once: compiled batches of LAPACK calls are slower, and wrong when chains run
    in threads.
    """
    import pytensor.tensor as pt

    out: Any = 0.0
    for _ in range(p):
        pivot, column, lead = inner[:, 0, 0], inner[:, 1:, 0], score[:, :, 0]
        ratio = lead / pivot[:, None]
        out += 0.5 * (lead * ratio - pt.log(pivot)[:, None])
        score = score[:, :, 1:] - ratio[:, :, None] * column[:, None, :]
        inner = inner[:, 1:, 1:] - column[:, :, None] * (column / pivot[:, None])[:, None, :]
    return out
