"""An unknown sparse graph between tasks: the precision of the tasks has few large elements.

The precision K of the tasks has the prior of `bayesmtl.numerics.graph_precision`. It is updated
given the weights, and given innovations: for task t, with C the inverse of K without its row and b
its column, the deviations are ``x_t = u / sqrt(g)`` and ``x_s = e_s - (C b)_s x_t``. Given u, e and
C the weights of all tasks follow b and g, and the sites are quadratic in both.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.numerics.graph_precision import (
    column_complement,
    others_of,
    place_column,
    update_columns,
    update_edges,
    update_horseshoe_scale,
    update_local_scales,
)
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.matrices import draw_gaussian, inverse_spd
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.covariance.structure import FeaturePart, ScaleDensity

__all__ = [
    "DIAGONAL_RATE",
    "EDGE_CORRELATION",
    "EdgeState",
    "SparsePrecision",
    "update_innovations",
]

# Of the exponential prior of the diagonal, times two: the sd of a task's weights is then about one.
DIAGONAL_RATE = 1.0
# Operations that updates given innovations may take in a sweep, and the fewest tasks for them.
_BUDGET, _FEWEST = 4e6, 4
# From the start to a draw of the prior.
_SWEEPS = 40
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
    edge_prior : float
        Probability of an edge, but for the constant of the positive definite region.
    global_scale : float
        Of the half-Cauchy prior of the horseshoe's global sd.
    """

    n_tasks: int
    kind: str
    spike: float = 0.05
    slab: float = 1.0
    edge_prior: float = 0.5
    global_scale: float = 1.0

    @property
    def log_odds(self) -> float:
        """Of an edge a priori."""
        return math.log(self.edge_prior) - math.log1p(-self.edge_prior)

    def variance(self, own: EdgeState) -> np.ndarray:
        """Variances (task, task) of the elements off the diagonal."""
        if self.kind == "spike_slab":
            return np.where(own.edge, self.slab**2, self.spike**2)
        return np.asarray(own.local * own.scale[0])

    def start(self, rng: np.random.Generator) -> tuple[np.ndarray, EdgeState]:
        """Independent tasks of dispersed scales, edges at random."""
        n = self.n_tasks
        edge = np.tril(rng.random((n, n)) < self.edge_prior, -1)
        local, auxiliary = np.ones((n, n)), np.ones((n, n))
        scale = np.array([self.global_scale**2 * np.exp(rng.uniform(-4.0, 0.0)), 1.0])
        own = EdgeState(edge | edge.T, local, auxiliary, scale)
        return np.diag(np.exp(rng.uniform(-1.0, 2.0, n))), own

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, EdgeState]:
        """By a chain without data, which forgets its start within few sweeps."""
        precision, own = self.start(rng)
        self._sweeps(precision, own, _SWEEPS, rng)
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
        sd = np.sqrt(np.diag(precision))
        return np.asarray(np.abs(precision) > EDGE_CORRELATION * np.outer(sd, sd))

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
        dof = float(features.count)
        self._update(scatter, dof, own, tasks.precision, tasks.covariance, rng)

    def given_innovations(
        self,
        own: EdgeState,
        tasks: Any,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        rng: np.random.Generator,
    ) -> None:
        """Columns of some tasks, and scales of all, with the weights."""
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


@inner_kernel
def _moments(gram, score, others, t, x):
    """Of the scalars m in ``x_s = e_s - m_s x_t``, at the deviations x (task, d).

    ``square`` (n,) and ``linear`` (n,): log-likelihood ``linear'm - m'diag(square) m / 2`` but for a
    constant, for m measured from its present value.
    """
    n, d = others.shape[0], x.shape[1]
    square, linear = np.zeros(n), np.zeros(n)
    for a in range(n):
        s = others[a]
        for i in range(d):
            image, pull = 0.0, -score[s, i]
            for j in range(d):
                image += gram[s, i, j] * x[t, j]
                pull += gram[s, i, j] * x[s, j]
            square[a] += x[t, i] * image
            linear[a] += x[t, i] * pull
    return square, linear


@inner_kernel
def _column_given_innovations(gram, score, t, others, complement, b, variance, x, rng):
    """Draw b and move the deviations of the other tasks along, in place."""
    n, d = others.shape[0], x.shape[1]
    square, linear = _moments(gram, score, others, t, x)
    slopes = np.dot(complement, b)
    whole = np.empty((n, n))
    for a in range(n):
        whole[a] = square[a] * complement[a]
    whole = np.dot(complement, whole)
    for a in range(n):
        linear[a] += square[a] * slopes[a]
        for c in range(n):
            whole[a, c] += DIAGONAL_RATE * complement[a, c]
        whole[a, a] += 1.0 / variance[t, others[a]]
    b[:] = draw_gaussian(whole, np.dot(complement, linear), rng)
    moved = np.dot(complement, b) - slopes
    for a in range(n):
        for i in range(d):
            x[others[a], i] -= moved[a] * x[t, i]


@inner_kernel
def _scale_target(x, args):
    """Log conditional of ``x = log r``, where deviations move as r and the site is quadratic in it.

    ``power x - (second r^-2 + fourth r^-4) / 2 + linear r - quadratic r^2 / 2``.
    """
    power, second, fourth, quadratic, linear = args
    r = math.exp(x)
    value = power * x - 0.5 * (second + fourth / (r * r)) / (r * r)
    return value + linear * r - 0.5 * quadratic * r * r


_slice = slice_sampler(_scale_target)


@inner_kernel
def _site_along(gram, score, t, x, direction):
    """Quadratic and linear term of r at deviations ``x_t + (r - 1) direction``."""
    quadratic, linear = 0.0, 0.0
    for i in range(direction.shape[0]):
        image, pull = 0.0, score[t, i]
        for j in range(direction.shape[0]):
            image += gram[t, i, j] * direction[j]
            pull -= gram[t, i, j] * (x[t, j] - direction[j])
        quadratic += direction[i] * image
        linear += direction[i] * pull
    return quadratic, linear


@inner_kernel
def _spread_given_innovations(gram, score, t, others, slopes, g, x, rng):
    """Draw g, the deviations of all tasks moving with ``1 / sqrt(g)``; returns g."""
    quadratic, linear = _site_along(gram, score, t, x, x[t])
    for a in range(others.shape[0]):
        more = _site_along(gram, score, others[a], x, -slopes[a] * x[t])
        quadratic += more[0]
        linear += more[1]
    # Of log g = -2 x the density has the factor g.
    args = (-2.0, DIAGONAL_RATE * g, 0.0, quadratic, linear)
    r = math.exp(_slice(args, 0.0, 0.5, rng))
    for a in range(others.shape[0]):
        x[others[a]] -= (r - 1.0) * slopes[a] * x[t]
    x[t] *= r
    return g / (r * r)


@kernel
def update_innovations(gram, score, variance, members, x, covariance, precision, rng):
    """Update columns of some tasks, then the scale of each, and the deviations with them, in place.

    Parameters
    ----------
    gram : (task, d, d)
        Sites of the standardised deviations.
    score : (task, d)
        Their linear term, at deviations zero.
    variance : (task, task)
        Of the elements off the diagonal.
    members : (k,) int
        Tasks whose columns are updated.
    x : (task, d)
        Deviations.
    covariance, precision : (task, task)
    rng : numpy.random.Generator
    """
    n = x.shape[0]
    for t in members:
        others = others_of(t, n)
        complement = column_complement(t, others, covariance)
        b = np.empty(n - 1)
        for a in range(n - 1):
            b[a] = precision[t, others[a]]
        if n > 1:
            _column_given_innovations(gram, score, t, others, complement, b, variance, x, rng)
        slopes = np.dot(complement, b)
        g = 1.0 / covariance[t, t]
        g = _spread_given_innovations(gram, score, t, others, slopes, g, x, rng)
        place_column(t, others, complement, b, g, precision, covariance)
    for t in rng.permutation(n):
        _rescale_task(gram, score, variance, t, x, covariance, precision, rng)
    covariance[:] = inverse_spd(precision)


@inner_kernel
def _rescale_task(gram, score, variance, t, x, covariance, precision, rng):
    """Deviations of one task times r, its row and column of the precision divided by it."""
    n = x.shape[0]
    square = 0.0
    for s in range(n):
        if s != t:
            square += precision[t, s] ** 2 / variance[t, s]
    quadratic, linear = _site_along(gram, score, t, x, x[t])
    # Jacobian of the row and the diagonal element; those of deviations and their density cancel.
    second = square + DIAGONAL_RATE * precision[t, t]
    args = (-(n + 1.0), second, 0.0, quadratic, linear)
    r = math.exp(_slice(args, 0.0, 0.5, rng))
    x[t] *= r
    precision[t] /= r
    precision[:, t] /= r
    covariance[t] *= r
    covariance[:, t] *= r
