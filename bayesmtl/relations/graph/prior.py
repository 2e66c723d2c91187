"""Settings of the relations in which a graph links the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.priors import Prior
from bayesmtl.relations.covariance.prior import CorrelatedTasks, TaskSettings
from bayesmtl.relations.graph.adjacency import as_graph
from bayesmtl.relations.graph.known import CarStructure
from bayesmtl.relations.graph.leroux import car_basis, car_covariance
from bayesmtl.relations.graph.sparse import SparsePrecision
from bayesmtl.relations.settings import clean, describe

__all__ = ["KnownGraph", "SparseGraph"]

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
    edge_share : float, optional
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
    edge_share: Any = None
    spike: Any = None
    slab: Any = None
    global_scale: Any = None
    feature_covariance: Any = "diagonal"

    def __post_init__(self) -> None:
        if self.prior not in ("spike_slab", "horseshoe"):
            raise InvalidModelError(
                f"SparseGraph prior must be 'spike_slab' or 'horseshoe', got {self.prior!r}"
            )
        _check_owner(self, "spike_slab", ("edge_share", "spike", "slab"))
        _check_owner(self, "horseshoe", ("global_scale",))
        for name in ("edge_share", "spike", "slab", "global_scale"):
            _check_positive(self, name)
        if self.edge_share is not None and not self.edge_share < 1.0:
            raise InvalidModelError(
                f"SparseGraph edge_share must be between 0 and 1, got {self.edge_share:g}"
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
        chosen = (
            "about two neighbours a task" if self.edge_share is None else f"{self.edge_share:g}"
        )
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
        edge_share = float(np.clip(_NEIGHBOURS / max(n - 1, 1), _FEWEST, _MOST))
        structure = SparsePrecision(
            n,
            self.prior,
            self.spike or _SPIKE,
            self.slab or _SLAB,
            self.edge_share or edge_share,
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


@dataclass(frozen=True)
class KnownGraph(CorrelatedTasks):
    """Tasks borrow from their neighbours in a known graph (Leroux et al. 2000).

    ``W ~ MatrixNormal(mean, K(rho)^-1, Sigma)`` with ``K = rho L + (1 - rho) I``, L the Laplacian
    of the graph, scaled for each connected component so that a task varies about as much whatever
    rho (Riebler et al. 2016): ``rho = 0`` is `Exchangeable`, near 1 the weights are smooth over the
    graph. A task without neighbours has variance one.

    Parameters
    ----------
    adjacency : square frame, networkx.Graph, edge list, or (task, task) array
        Weights of the edges. A square frame has the labels of the tasks as columns (and index). An
        edge list is a frame of two or three columns (source, target, weight) or tuples ``(a, b)``,
        ``(a, b, weight)`` and, for a task without neighbours, ``(a,)``. Rows of an array follow the
        sorted tasks. Tasks of a labelled graph without rows in the data are estimated too. See also
        `nearest_neighbour_graph`.
    rho : Prior or float, optional
        Dependence: a Beta prior, default Beta(1, 1), or a number from 0 to below 1.
    feature_covariance : {"diagonal", "full"}
        Sigma: sds ``scale``, or as in `Exchangeable`.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the weights over tasks.
    scale : Prior, float, array or {feature: Prior or float}
        Sd of the weights of a typical task around the mean.
    correlation, task_effects, r2, shared, feature_selection
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a graph that is directed, has self loops, negative weights or labels that do not match,
        a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Leroux, Lei and Breslow 2000, in Statistical Models in Epidemiology, 179-191; Riebler, Soerbye,
    Simpson and Rue 2016, Stat. Methods Med. Res. 25; Freni-Sterrantino, Ventrucci and Rue 2018,
    Spat. Spatiotemporal Epidemiol. 26.
    """

    adjacency: Any
    rho: Any = None
    feature_covariance: Any = "diagonal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "adjacency", as_graph(self.adjacency, "KnownGraph adjacency"))
        rho = clean(self.rho, "KnownGraph rho")
        object.__setattr__(self, "rho", rho)
        if isinstance(rho, Prior) and rho.family != "Beta":
            raise InvalidModelError(f"KnownGraph rho must be a Beta prior or a number, got {rho}")
        if rho is not None and not isinstance(rho, Prior | float):
            raise InvalidModelError(f"KnownGraph rho must be one prior or number, got {rho!r}")
        if isinstance(rho, float) and not 0.0 <= rho < 1.0:
            raise InvalidModelError(
                f"KnownGraph rho must be from 0 to below 1, got {rho:g}: at 1 the weights have no "
                "variance of their own and their distribution is improper"
            )
        super().__post_init__()

    def story(self) -> list[str]:
        """The prior of the tasks in words."""
        return [
            "Omega^-1 = rho L + (1 - rho) I, L the scaled Laplacian of the graph",
            f"rho {'=' if isinstance(self.rho, float) else '~'} {describe(self.rho, 'Beta(1, 1)')}",
        ]

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        del n_features
        basis = car_basis(self.adjacency.arranged(tasks.tolist(), "KnownGraph adjacency"))
        if isinstance(self.rho, float):
            return TaskSettings("given", car_covariance(basis, self.rho))
        shape = (
            dict(self.rho.params) if isinstance(self.rho, Prior) else {"alpha": 1.0, "beta": 1.0}
        )
        prior = np.array([shape["alpha"], shape["beta"]])
        return TaskSettings("structure", structure=CarStructure(basis, prior))

    @property
    def declared_tasks(self) -> tuple[Any, ...]:
        """Labels of the graph."""
        return self.adjacency.labels or ()
