"""What the sampler of random partitions works on and changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.errors import UnsupportedError
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.partition_priors import n_clusters_prior, n_clusters_prior_mixture
from bayesmtl.priors import Prior, prior_of_row, table_row
from bayesmtl.relations.clusters.prior import PartitionSettings
from bayesmtl.relations.exchangeable.state import PopulationPrior, support

__all__ = [
    "PartitionPrior",
    "PartitionState",
    "fixed_components",
    "initial_partition",
    "partition_prior",
    "prior_n_clusters",
]

_QUANTILES, _FEW_QUANTILES = 50, 10
_MOST_AT_FIRST = 500


class PartitionPrior(NamedTuple):
    """Prior of the partition, in rows of `bayesmtl.numerics.densities`.

    Parameters
    ----------
    concentration, discount, between : (6,)
    log_components : (M,)
        Log prior of the number of components 1, 2, ...; empty for a process.
    """

    concentration: np.ndarray
    discount: np.ndarray
    between: np.ndarray
    log_components: np.ndarray


class PartitionState(NamedTuple):
    """Current values, updated in place.

    With standardised deviations ``u_t = (w_t - center_t) / scale`` of the features, ``u_t =
    sqrt(between) b_c(t) + sqrt(1 - between) z_t`` and b, z standard normal.

    Parameters
    ----------
    labels : (task,)
        Clusters 0, 1, ... without gaps.
    sizes : (task,)
        Of the clusters; the first ``n_clusters[0]`` count.
    n_clusters, n_components : (1,)
        Components of a finite mixture; 0 for a process.
    concentration, discount, between : (1,)
        The discount of a finite mixture is ``-concentration / n_components``.
    center : (task, d)
        b; the first ``n_clusters[0]`` rows count.
    """

    labels: np.ndarray
    sizes: np.ndarray
    n_clusters: np.ndarray
    n_components: np.ndarray
    concentration: np.ndarray
    discount: np.ndarray
    between: np.ndarray
    center: np.ndarray


def partition_prior(settings: PartitionSettings) -> PartitionPrior:
    """Rows of the resolved priors."""
    log_components = settings.log_components
    return PartitionPrior(
        table_row(settings.concentration),
        table_row(settings.discount),
        table_row(settings.between),
        np.zeros(0) if log_components is None else log_components,
    )


def fixed_components(prior: PartitionPrior) -> int:
    """Number of components, 0 for a process.

    Raises
    ------
    UnsupportedError
        Where it is not known: the PyMC graph needs it.
    """
    possible = np.flatnonzero(np.isfinite(prior.log_components))
    if possible.size > 1:
        raise UnsupportedError(
            "the PyMC graph of a FiniteMixture needs a fixed number of components: set "
            "components=, use bm.DirichletProcess(), or fit with inference='gibbs'"
        )
    return int(possible[0]) + 1 if possible.size else 0


def prior_n_clusters(prior: PartitionPrior, n_tasks: int) -> np.ndarray:
    """Prior probabilities (task,) of 1, 2, ... clusters.

    Exact given concentration and discount, which are averaged over quantiles of their priors.
    """
    concentration = _quantiles(prior.concentration, _QUANTILES)
    if prior.log_components.size:
        return n_clusters_prior_mixture(n_tasks, concentration, prior.log_components)
    discounts = _quantiles(prior.discount, _FEW_QUANTILES)
    each = [n_clusters_prior(n_tasks, concentration, float(value)) for value in discounts]
    return np.mean(each, axis=0)


def _quantiles(row: np.ndarray, n: int) -> np.ndarray:
    prior = prior_of_row(row)
    if isinstance(prior, Prior):
        return prior.quantile((np.arange(n) + 0.5) / n)
    return np.array([prior])


def initial_partition(
    prior: PartitionPrior, population: PopulationPrior, rng: np.random.Generator
) -> PartitionState:
    """A dispersed start: all tasks in one cluster, each in its own, or anything between."""
    n_tasks, d = population.n_tasks, population.scale_unit.size - population.block
    # The first sweep from as many clusters as tasks is quadratic in their number.
    most = min(n_tasks, _MOST_AT_FIRST)
    if prior.log_components.size:
        most = min(most, prior.log_components.size)
    wanted = (1, most, int(rng.integers(1, most + 1)))[int(rng.integers(3))]
    _, labels = np.unique(rng.integers(wanted, size=n_tasks), return_inverse=True)
    if wanted == n_tasks:
        labels = np.arange(n_tasks)
    n_clusters = int(labels.max()) + 1
    sizes = np.zeros(n_tasks, dtype=np.int64)
    sizes[:n_clusters] = np.bincount(labels)
    concentration = _start(prior.concentration, rng.uniform(0.3, 3.0), np.inf)
    n_components = 0
    discount = _start(prior.discount, rng.uniform(0.0, 0.5), 1.0)
    if prior.log_components.size:
        weight = np.exp(prior.log_components[n_clusters - 1 :])
        n_components = n_clusters + int(rng.choice(weight.size, p=weight / weight.sum()))
        discount = -concentration / n_components
    return PartitionState(
        labels.astype(np.int64),
        sizes,
        np.array([n_clusters]),
        np.array([n_components]),
        np.array([concentration]),
        np.array([discount]),
        np.array([_start(prior.between, rng.uniform(0.1, 0.9), 1.0)]),
        np.zeros((n_tasks, d)),
    )


def _start(row: np.ndarray, value: float, highest: float) -> float:
    """A fixed number itself; else ``value``, or a point inside the support if it is outside."""
    if row[0] == FIXED:
        return float(row[1])
    ends = support(row)
    low, high = max(float(ends[0]), 0.0), min(float(ends[1]), highest)
    if low < value < high:
        return value
    return 0.5 * (low + high) if np.isfinite(high) else low + 1.0
