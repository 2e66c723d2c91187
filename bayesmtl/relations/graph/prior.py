"""Settings of the relations in which a graph links the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.relations.covariance.prior import CorrelatedTasks, TaskSettings
from bayesmtl.relations.graph.sparse import SparsePrecision

__all__ = ["SparseGraph"]

_SPIKE, _SLAB, _GLOBAL_SCALE = 0.05, 1.0, 1.0
# Neighbours that a task is expected to have, and the bounds of the probability of an edge.
_NEIGHBOURS, _FEWEST, _MOST = 2.0, 0.05, 0.5
_MOST_TASKS = 300


@dataclass(frozen=True)
class SparseGraph(CorrelatedTasks):
    """Few pairs of tasks are directly linked: the precision of the tasks is a sparse graph.

    ``W ~ MatrixNormal(mean, K^-1, Sigma)``: as `MatrixNormal`, but the prior is of the precision K
    of the tasks. Two tasks without an edge are independent given all others. The elements of K
    off the diagonal are ``Normal(0, spike^2)`` without an edge and ``Normal(0, slab^2)`` with one,
    or have a horseshoe prior; those on it are Exponential(1/2); K is positive definite. A typical
    task has then a variance of about one, so that ``scale`` speaks of its weights. Every feature
    is one replicate of the graph: with fewer features than tasks few edges can be told.

    Parameters
    ----------
    prior : {"spike_slab", "horseshoe"}
        "spike_slab" has an edge or none for each pair of tasks; "horseshoe" estimates partial
        correlations, and calls those beyond 0.1 edges.
    edge_prior : float, optional
        Probability of an edge of "spike_slab", before K is confined to positive definite matrices:
        what remains is reported as ``prior_edge_probability``. Default two neighbours a task,
        between 0.05 and 0.5.
    spike, slab : float, optional
        Sds of "spike_slab", default 0.05 and 1.
    global_scale : float, optional
        Scale of the half-Cauchy prior of the global sd of "horseshoe", default 1.
    feature_covariance : {"diagonal", "full"}
        Sigma: sds ``scale``, or as in `Exchangeable`.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the weights over tasks.
    scale : Prior, float, array or {feature: Prior or float}
        Sd of the weights of a task of variance one around the mean.
    correlation, task_effects, r2, shared, feature_selection
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Wang 2015, Bayesian Analysis 10 (spike and slab); Li, Craig and Bhadra 2019, J. Comput. Graph.
    Stat. 28 (horseshoe; the diagonal has a proper prior here).
    """

    prior: Any = "spike_slab"
    edge_prior: Any = None
    spike: Any = None
    slab: Any = None
    global_scale: Any = None
    feature_covariance: Any = "diagonal"

    def __post_init__(self) -> None:
        if self.prior not in ("spike_slab", "horseshoe"):
            raise InvalidModelError(
                f"SparseGraph prior must be 'spike_slab' or 'horseshoe', got {self.prior!r}"
            )
        _check_owner(self, "spike_slab", ("edge_prior", "spike", "slab"))
        _check_owner(self, "horseshoe", ("global_scale",))
        for name in ("edge_prior", "spike", "slab", "global_scale"):
            _check_positive(self, name)
        if self.edge_prior is not None and not self.edge_prior < 1.0:
            raise InvalidModelError(
                f"SparseGraph edge_prior must be between 0 and 1, got {self.edge_prior:g}"
            )
        spike, slab = self.spike or _SPIKE, self.slab or _SLAB
        if not 2.0 * spike <= slab <= 1000.0 * spike:
            raise InvalidModelError(
                f"SparseGraph slab must be 2 to 1000 times spike, got spike={spike:g} and "
                f"slab={slab:g}: nearer to each other they tell no edges, further apart edges "
                "hardly ever change"
            )
        super().__post_init__()

    def story(self) -> list[str]:
        """The prior of the tasks in words."""
        if self.prior == "horseshoe":
            scale = self.global_scale or _GLOBAL_SCALE
            return [
                "Omega = K^-1, K_st ~ Normal(0, m_st tau), m_st ~ HalfCauchy(1), "
                f"tau ~ HalfCauchy({scale:g}),",
                "K_tt ~ Exponential(1/2), K positive definite",
            ]
        chosen = "about two neighbours a task" if self.edge_prior is None else f"{self.edge_prior:g}"
        return [
            f"Omega = K^-1, K_st ~ Normal(0, {self.slab or _SLAB:g}) with an edge, else "
            f"Normal(0, {self.spike or _SPIKE:g}),",
            f"K_tt ~ Exponential(1/2), K positive definite; probability of an edge: {chosen}",
        ]

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        del n_features
        n = len(tasks)
        if n > _MOST_TASKS:
            raise InvalidModelError(
                f"SparseGraph is for up to {_MOST_TASKS} tasks, and the data have {n}: use "
                "bm.LowRank() or bm.DirichletProcess()"
            )
        edge_prior = float(np.clip(_NEIGHBOURS / max(n - 1, 1), _FEWEST, _MOST))
        structure = SparsePrecision(
            n,
            self.prior,
            self.spike or _SPIKE,
            self.slab or _SLAB,
            self.edge_prior or edge_prior,
            self.global_scale or _GLOBAL_SCALE,
        )
        return TaskSettings("structure", structure=structure)


def _check_owner(part: SparseGraph, owner: str, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(part, name) is not None and part.prior != owner:
            raise InvalidModelError(f"SparseGraph {name}= goes with prior={owner!r}")


def _check_positive(part: SparseGraph, name: str) -> None:
    value = getattr(part, name)
    if value is None:
        return
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0.0):
        raise InvalidModelError(f"SparseGraph {name} must be a positive number, got {value!r}")
    object.__setattr__(part, name, float(value))
