"""Evidence of random partitions: a sum over all of them, for a few tasks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayesmtl.errors import UnsupportedError
from bayesmtl.numerics.partition_priors import log_eppf, log_eppf_mixture
from bayesmtl.relations.clusters.state import PartitionPrior
from bayesmtl.sites import GaussianSites, collapse

__all__ = ["all_partitions", "log_probabilities", "partition_sites"]

# Ten tasks have 115,975 partitions, eleven 678,570.
_MOST_TASKS = 10
# Partitions whose sites are held in memory at once.
_CHUNK = 2048


def all_partitions(n_tasks: int) -> np.ndarray:
    """Every partition (partition, task), clusters 0, 1, ... by first appearance."""
    labels = np.zeros((1, 1), dtype=np.int64)
    for _ in range(1, n_tasks):
        # The next task joins one of the clusters of each partition or opens another.
        choices = labels.max(axis=1) + 2
        stem = np.repeat(labels, choices, axis=0)
        ends = np.cumsum(choices)
        last = np.arange(ends[-1]) - np.repeat(ends - choices, choices)
        labels = np.column_stack([stem, last])
    return labels


def log_probabilities(labels: np.ndarray, prior: PartitionPrior) -> np.ndarray:
    """Log prior probability (partition,) of partitions (partition, task).

    Concentration and discount are fixed; an unknown number of components is summed over.
    """
    n_tasks = labels.shape[1]
    sizes = np.sort((labels[:, :, None] == np.arange(n_tasks)).sum(axis=1), axis=1)
    distinct, which = np.unique(sizes, axis=0, return_inverse=True)
    alpha, delta = float(prior.concentration[1]), float(prior.discount[1])

    def one(row: np.ndarray) -> float:
        occupied = row[row > 0]
        if prior.log_components.size:
            return log_eppf_mixture(occupied, alpha, prior.log_components)
        return log_eppf(occupied, alpha, delta)

    return np.array([one(row) for row in distinct])[which.reshape(-1)]


def partition_sites(
    sites: GaussianSites, columns: np.ndarray, variance: np.ndarray, prior: PartitionPrior
) -> Iterator[tuple[GaussianSites, np.ndarray]]:
    """Sites of the population means under each partition, cluster means integrated out.

    Coefficient i of task t has the mean ``sum_a means[i, a] z_ta``, plus what its cluster adds to
    the last d coefficients, ``b_c(t) ~ N(0, diag(variance))``. The site of a cluster in (means, b)
    is the sum of those of its tasks, so b is integrated out once for every set of tasks; a
    partition then adds up its clusters.

    Parameters
    ----------
    sites : GaussianSites
        Of the tasks' centers (task, p).
    columns : (task, q)
        z.
    variance : (d,)
        Of the cluster means.
    prior : PartitionPrior
        With fixed concentration and discount.

    Yields
    ------
    sites : GaussianSites
        Of the means, (partition, p q), for some of the partitions.
    log_prior : (partition,)

    Raises
    ------
    UnsupportedError
        For more than 10 tasks.
    """
    n_tasks, p = sites.moment.shape
    if n_tasks > _MOST_TASKS:
        raise UnsupportedError(
            f"log_evidence sums over all partitions of the tasks into clusters, which are too many "
            f"beyond {_MOST_TASKS} tasks, and the data have {n_tasks}: leave out tasks, or compare "
            "models by their predictions"
        )
    n_means, d = p * columns.shape[1], variance.size
    loading = np.zeros((n_tasks, p, n_means + d))
    loading[:, :, :n_means] = np.einsum("ij,ta->tija", np.eye(p), columns).reshape(n_tasks, p, -1)
    loading[:, :, n_means:] = np.eye(p)[:, p - d :]
    member = ((np.arange(2**n_tasks)[:, None] >> np.arange(n_tasks)) & 1).astype(np.float64)
    of_sets = GaussianSites(
        np.tensordot(member, np.swapaxes(loading, 1, 2) @ sites.gram @ loading, axes=1),
        member @ np.einsum("tij,ti->tj", loading, sites.moment),
        member @ sites.constant,
    )
    of_sets = collapse(of_sets, np.diag(np.concatenate([np.zeros(n_means), variance])))
    labels = all_partitions(n_tasks)
    log_prior = log_probabilities(labels, prior)
    labels, log_prior = labels[log_prior > -np.inf], log_prior[log_prior > -np.inf]
    for first in range(0, len(labels), _CHUNK):
        part = labels[first : first + _CHUNK]
        gram = np.zeros((len(part), n_means, n_means))
        moment, constant = np.zeros((len(part), n_means)), np.zeros(len(part))
        for k in range(n_tasks):
            # The empty set has a site of zeros.
            members = ((part == k) << np.arange(n_tasks)).sum(axis=1)
            gram += of_sets.gram[members, :n_means, :n_means]
            moment += of_sets.moment[members, :n_means]
            constant += of_sets.constant[members]
        yield GaussianSites(gram, moment, constant), log_prior[first : first + _CHUNK]
