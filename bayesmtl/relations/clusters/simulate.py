"""Draws of a random partition and its cluster means from their prior."""

from __future__ import annotations

import numpy as np

from bayesmtl.inference.draws import PartitionDraws
from bayesmtl.priors import prior_of_row, sample_value
from bayesmtl.relations.clusters.state import PartitionPrior

__all__ = ["simulate_partition"]


def _number(row: np.ndarray, rng: np.random.Generator) -> float:
    return sample_value(prior_of_row(row), rng)


def simulate_partition(
    prior: PartitionPrior, n_tasks: int, d: int, rng: np.random.Generator
) -> PartitionDraws:
    """One draw, without leading dimensions: one task after the other joins a cluster or opens one.

    Parameters
    ----------
    prior : PartitionPrior
    n_tasks, d : int
        d features.
    rng : numpy.random.Generator
    """
    concentration, discount = _number(prior.concentration, rng), _number(prior.discount, rng)
    n_components = 0
    if prior.log_components.size:
        # The end of an unknown number's prior may be missing from the table.
        weight = np.exp(prior.log_components)
        n_components = 1 + int(rng.choice(weight.size, p=weight / weight.sum()))
        discount = -concentration / n_components
    labels, sizes = np.zeros(n_tasks, dtype=np.int32), [1]
    for t in range(1, n_tasks):
        mass = np.array([n - discount for n in sizes] + [concentration + discount * len(sizes)])
        # With all components occupied there is nothing left for another but rounding.
        if len(sizes) == n_components:
            mass[-1] = 0.0
        labels[t] = rng.choice(mass.size, p=mass / mass.sum())
        sizes = np.bincount(labels[: t + 1]).tolist()
    return PartitionDraws(
        labels=labels,
        concentration=np.array(concentration),
        discount=np.array(discount),
        between=np.array(_number(prior.between, rng)),
        n_components=np.array(n_components),
        centers=rng.normal(size=(len(sizes), d)),
    )
