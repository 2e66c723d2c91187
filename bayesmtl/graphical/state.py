"""Data, prior and state of graphs in internal units: every variable in pooled within-task sds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.graphical.data import GraphRows

__all__ = [
    "HORSESHOE",
    "SPIKE_SLAB",
    "GraphPrior",
    "GraphProblem",
    "GraphState",
    "initial_state",
    "no_data",
    "standardise",
]

HORSESHOE, SPIKE_SLAB = "horseshoe", "spike_slab"


class GraphPrior(NamedTuple):
    """Prior of the precision matrices K_b and the means.

    Parameters
    ----------
    kind : str
        `HORSESHOE` or `SPIKE_SLAB`.
    block : (task,) int
        Which precision matrix a task has.
    center : (task,) int
        Which mean a task has.
    family : (block,) int
        Matrices of one family share their edges.
    n_variables : int
    mean_sd : float
        Of the means around the pooled one.
    diagonal_rate : float
        ``K_ii ~ Exponential(diagonal_rate / 2)``.
    global_scale : float
        ``tau_b ~ HalfCauchy(global_scale)``.
    own_scales : bool
        Whether elements have a local scale of their own beside that of the family.
    spike, slab : float
        Sds of elements without and with an edge.
    edge_shape : (2,) tuple of float
        Of the beta distribution of the propensity of an edge.
    relatedness : (3,) tuple of float
        Shape and rate of the gamma distribution of theta, and its probability of not being 0.
    """

    kind: str
    block: np.ndarray
    center: np.ndarray
    family: np.ndarray
    n_variables: int
    mean_sd: float
    diagonal_rate: float
    global_scale: float
    own_scales: bool
    spike: float
    slab: float
    edge_shape: tuple[float, float]
    relatedness: tuple[float, float, float]

    @property
    def n_blocks(self) -> int:
        """Number of precision matrices."""
        return len(self.family)

    @property
    def n_families(self) -> int:
        """Number of families of precision matrices."""
        return int(self.family.max()) + 1

    @property
    def relates(self) -> bool:
        """Whether the relatedness theta of the tasks is learned."""
        return self.kind == SPIKE_SLAB and self.n_families == 1 and self.n_blocks > 1


class GraphProblem(NamedTuple):
    """Standardised rows, and the prior.

    Parameters
    ----------
    values : (row, variable)
        NaN where missing; ``(y - location) / scale``.
    task : (row,) int
    location, scale : (variable,)
        Pooled mean and sd.
    prior : GraphPrior
    """

    values: np.ndarray
    task: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    prior: GraphPrior

    @property
    def missing(self) -> np.ndarray:
        """Whether an entry (row, variable) is missing."""
        return np.isnan(self.values)


class GraphState(NamedTuple):
    """All that one chain changes, in place.

    Parameters
    ----------
    values : (row, variable)
        With the missing entries drawn.
    mean : (center, variable)
    precision, covariance : (block, variable, variable)
    local : (family, variable, variable)
        Local variances of the horseshoe.
    own : (block, variable, variable)
        Those of single elements, 1 unless the prior has them.
    scale : (block, 2)
        tau^2 and what it is mixed over.
    edge : (block, variable, variable) bool
    theta : (block, block)
        Relatedness of graphs in the Markov random field of the edges.
    """

    values: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    covariance: np.ndarray
    local: np.ndarray
    own: np.ndarray
    scale: np.ndarray
    edge: np.ndarray
    theta: np.ndarray


def standardise(rows: GraphRows, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(y - location) / scale``: pooled means, and pooled sds around the means of the centers.

    Parameters
    ----------
    rows : GraphRows
    center : (task,) int

    Returns
    -------
    values : (row, variable)
    location, scale : (variable,)
    """
    location = np.nanmean(rows.values, axis=0)
    values = rows.values - location
    code = center[rows.task]
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    n_centers = int(center.max()) + 1
    count, total = np.zeros((2, n_centers, values.shape[1]))
    np.add.at(count, code, there)
    np.add.at(total, code, filled)
    average = total / np.maximum(count, 1.0)
    square = np.where(there, (filled - average[code]) ** 2, 0.0).sum(axis=0)
    dof = np.maximum(count - 1.0, 0.0).sum(axis=0)
    # With one row in every task there is nothing within tasks to see.
    within = (dof > 0) & (square > 0)
    around = (filled**2).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    variance = np.where(within, square / np.maximum(dof, 1.0), around)
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    return values / scale, location, scale


def no_data(prior: GraphPrior) -> GraphProblem:
    """The prior alone."""
    n = prior.n_variables
    nothing = np.zeros((0, n))
    return GraphProblem(nothing, np.zeros(0, dtype=np.int64), np.zeros(n), np.ones(n), prior)


def initial_state(problem: GraphProblem, rng: np.random.Generator) -> GraphState:
    """A dispersed starting point."""
    prior, n = problem.prior, problem.prior.n_variables
    blocks, families = prior.n_blocks, prior.n_families
    n_centers = int(prior.center.max()) + 1
    missing = problem.missing
    values = np.where(missing, rng.standard_normal(missing.shape), problem.values)
    precision, covariance = np.zeros((2, blocks, n, n))
    for b in range(blocks):
        diagonal = np.exp(0.5 * rng.standard_normal(n))
        precision[b], covariance[b] = np.diag(diagonal), np.diag(1.0 / diagonal)
    chance = prior.edge_shape[0] / sum(prior.edge_shape)
    edge = np.zeros((blocks, n, n), dtype=np.bool_)
    for b in range(blocks):
        drawn = np.tril(rng.random((n, n)) < chance * rng.uniform(0.2, 2.0), k=-1)
        edge[b] = drawn | drawn.T
    return GraphState(
        values=values,
        mean=rng.standard_normal((n_centers, n)),
        precision=precision,
        covariance=covariance,
        local=np.ones((families, n, n)),
        own=np.ones((blocks, n, n)),
        scale=np.tile([np.exp(rng.normal(-4.0, 1.0)), 1.0], (blocks, 1)),
        edge=edge,
        theta=np.zeros((blocks, blocks)),
    )
