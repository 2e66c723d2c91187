"""An unknown sparse graph between tasks: the precision of the tasks has few large elements.

The precision of the tasks has the prior of `bayesmtl.numerics.graph_precision`. It is updated given
the weights, and given innovations (`bayesmtl.relations.graph.sparse_innovations`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.numerics.graph_precision import (
    partial_correlations,
    update_columns,
    update_edges,
    update_horseshoe_scale,
    update_local_scales,
)
from bayesmtl.relations.covariance.structure import FeaturePart, ScaleDensity
from bayesmtl.relations.graph.sparse_innovations import DIAGONAL_RATE, update_innovations

__all__ = [
    "EDGE_CORRELATION",
    "EdgeState",
    "SparsePrecision",
]

# Operations that updates given innovations may take in a sweep, and the fewest tasks for them.
_BUDGET, _FEWEST = 4e6, 4
# From the start to a draw of the prior: the global scale of a horseshoe moves slowly.
_SWEEPS = {"spike_slab": 40, "horseshoe": 200}
# Without a spike, an edge is a partial correlation beyond this.
EDGE_CORRELATION = 0.1


class EdgeState(NamedTuple):
    """What the precision is mixed over, updated in place.

    Parameters
    ----------
    edge : (task, task) bool
        Under a spike and slab, which pairs have the slab.
    local, auxiliary : (task, task)
        Under a horseshoe, the local variances and what they are mixed over.
    scale : (2,)
        Under a horseshoe, the global variance and what it is mixed over.
    """

    edge: np.ndarray
    local: np.ndarray
    auxiliary: np.ndarray
    scale: np.ndarray


class SparsePrecision(NamedTuple):
    """Prior of the precision of tasks that an unknown sparse graph links.

    Parameters
    ----------
    n_tasks : int
    kind : {"spike_slab", "horseshoe"}
    spike, slab : float
        Sds of elements without and with an edge.
    edge_share : float
        Probability of an edge, but for the constant of the positive definite region.
    global_scale : float
        Of the half-Cauchy prior of the horseshoe's global sd.
    """

    n_tasks: int
    kind: str
    spike: float = 0.05
    slab: float = 1.0
    edge_share: float = 0.5
    global_scale: float = 1.0

    @property
    def log_odds(self) -> float:
        """Of an edge a priori."""
        return math.log(self.edge_share) - math.log1p(-self.edge_share)

    def variance(self, own: EdgeState) -> np.ndarray:
        """Variances (task, task) of the elements off the diagonal."""
        if self.kind == "spike_slab":
            return np.where(own.edge, self.slab**2, self.spike**2)
        return np.asarray(own.local * own.scale[0])

    def start(self, rng: np.random.Generator) -> tuple[np.ndarray, EdgeState]:
        """Independent tasks of dispersed scales, edges at random."""
        n = self.n_tasks
        edge = np.tril(rng.random((n, n)) < self.edge_share, -1)
        local, auxiliary = np.ones((n, n)), np.ones((n, n))
        scale = np.array([self.global_scale**2 * np.exp(rng.uniform(-4.0, 0.0)), 1.0])
        own = EdgeState(edge | edge.T, local, auxiliary, scale)
        return np.diag(np.exp(rng.uniform(-1.0, 2.0, n))), own

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, EdgeState]:
        """By a chain without data, long enough to forget its start."""
        precision, own = self.start(rng)
        self._sweeps(precision, own, _SWEEPS[self.kind], rng)
        return precision, own

    def _sweeps(
        self, precision: np.ndarray, own: EdgeState, number: int, rng: np.random.Generator
    ) -> None:
        covariance, scatter = np.linalg.inv(precision), np.zeros_like(precision)
        for _ in range(number):
            self._update(scatter, 0.0, own, precision, covariance, rng)

    def prior_edges(self, n_sweeps: int, rng: np.random.Generator) -> float:
        """Share of the pairs that have an edge, or a partial correlation beyond it, by a chain."""
        precision, own = self.simulate(rng)
        total, pairs = 0.0, np.tril_indices(self.n_tasks, -1)
        for _ in range(n_sweeps):
            self._sweeps(precision, own, 1, rng)
            total += self.edges(precision, own)[pairs].mean()
        return float(total / n_sweeps)

    def edges(self, precision: np.ndarray, own: EdgeState) -> np.ndarray:
        """Which pairs (task, task) are linked."""
        if self.kind == "spike_slab":
            return own.edge
        return np.asarray(np.abs(partial_correlations(precision)) > EDGE_CORRELATION)

    def _update(
        self,
        scatter: np.ndarray,
        dof: float,
        own: EdgeState,
        precision: np.ndarray,
        covariance: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        if self.kind == "spike_slab":
            odds = np.full(scatter.shape, self.log_odds)
            spike, slab, edge = self.spike**2, self.slab**2, own.edge
            update_edges(
                scatter, dof, DIAGONAL_RATE, spike, slab, odds, edge, precision, covariance, rng
            )
            return
        variance = self.variance(own)
        update_columns(scatter, dof, DIAGONAL_RATE, variance, precision, covariance, rng)
        update_horseshoe_scale(precision, own.local, own.scale, self.global_scale, rng)
        square = precision**2 / (2.0 * own.scale[0])
        update_local_scales(square, 1, own.local, own.auxiliary, rng)

    def given_weights(
        self, own: EdgeState, tasks: Any, features: FeaturePart, rng: np.random.Generator
    ) -> None:
        """Columns of the precision, edges or local variances (Wang 2015; see `_update`)."""
        scatter = features.deviation @ features.precision @ features.deviation.T
        dof = float(features.n_varying)
        self._update(scatter, dof, own, tasks.precision, tasks.covariance, rng)

    def with_weights(
        self,
        own: EdgeState,
        tasks: Any,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        *,
        exact: bool,
        rng: np.random.Generator,
    ) -> None:
        """Columns of some tasks, and scales of all, given innovations."""
        del exact
        number = int(np.clip(_BUDGET / self.n_tasks**3, min(_FEWEST, self.n_tasks), self.n_tasks))
        members = rng.permutation(self.n_tasks)[:number]
        variance = self.variance(own)
        update_innovations(*sites, variance, members, features.deviation, *tasks, rng)

    def scale_density(self, own: EdgeState, tasks: Any) -> ScaleDensity:
        """The elements have the Jacobian ``e^-x n (n + 1)``."""
        n, pairs = self.n_tasks, np.tril_indices(self.n_tasks, -1)
        square = float((tasks.precision**2 / self.variance(own))[pairs].sum())
        return ScaleDensity(-n * (n + 1.0), DIAGONAL_RATE * np.trace(tasks.precision), square)

    def log_prior(self, own: EdgeState, tasks: Any) -> float:
        """Of the precision and what it is mixed over."""
        pairs = np.tril_indices(self.n_tasks, -1)
        variance = self.variance(own)[pairs]
        value = -0.5 * float((np.log(variance) + tasks.precision[pairs] ** 2 / variance).sum())
        value -= 0.5 * DIAGONAL_RATE * float(np.trace(tasks.precision))
        if self.kind == "spike_slab":
            return value + self.log_odds * float(own.edge[pairs].sum())
        # Half-Cauchy sds.
        local, scale = own.local[pairs], own.scale[0] / self.global_scale**2
        value -= float((0.5 * np.log(local) + np.log1p(local)).sum())
        return value - 0.5 * math.log(scale) - math.log1p(scale)

    def recorded(self, own: EdgeState) -> dict[str, np.ndarray]:
        """The edges, where there are any."""
        return {"edge": own.edge} if self.kind == "spike_slab" else {}
