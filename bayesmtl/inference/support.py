"""Which methods work for which relations and likelihoods."""

from __future__ import annotations

from typing import Any

from bayesmtl.assembly import Problem
from bayesmtl.errors import UnsupportedError
from bayesmtl.relations.clusters.state import fixed_components
from bayesmtl.relations.covariance.state import TaskCovariancePrior
from bayesmtl.relations.exchangeable.state import SEPARATE
from bayesmtl.relations.graph.sparse import SparsePrecision

__all__ = ["EXACT", "require_supported"]

# Methods whose draws are of the posterior itself; the others approximate it.
EXACT = ("gibbs", "nuts")


def require_supported(problem: Problem, likelihood: Any, method: str) -> None:
    """Refuse a method that does not work for the model.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
        For the message.
    method : str

    Raises
    ------
    UnsupportedError
        With methods that would work.
    """
    if problem.sparse is not None:
        _require_sparse(problem, likelihood, method)
    if problem.task_covariance is not None:
        _require_correlated(problem.task_covariance, problem, likelihood, method)
    elif method == "cavi":
        _require_gaussian_clusters(problem, likelihood)
    elif method == "laplace_sites":
        _require_approximate_sites(problem, likelihood)
    elif problem.partition is None or method == "gibbs":
        return
    elif method == "nuts":
        fixed_components(problem.partition)
    else:
        raise UnsupportedError(
            f"inference={method!r} is one normal distribution, and tasks in clusters have a "
            "posterior with a mode for each partition: use inference='gibbs' or 'nuts', or 'cavi'"
        )


def _require_sparse(problem: Problem, likelihood: Any, method: str) -> None:
    clusters = problem.partition is not None
    if method not in EXACT or (method == "nuts" and clusters):
        other = "" if clusters else " or 'nuts'"
        raise UnsupportedError(
            f"inference={method!r} does not work for bm.Decomposition(...)"
            f"{' with clusters' if clusters else ''}: use inference='gibbs'{other}"
        )
    if method == "gibbs" and problem.row_data is not None:
        other = "leave out the clusters and use" if clusters else "use"
        raise UnsupportedError(
            f"inference='gibbs' of bm.Decomposition(...) needs a Gaussian likelihood, not "
            f"{likelihood!r}: {other} inference='nuts'"
        )


def _require_correlated(
    prior: TaskCovariancePrior, problem: Problem, likelihood: Any, method: str
) -> None:
    if isinstance(prior.structure, SparsePrecision) and method != "gibbs":
        raise UnsupportedError(
            f"inference={method!r} does not work for bm.SparseGraph(), whose graph is unknown: use "
            "inference='gibbs'"
        )
    if prior.structure is not None and method == "cavi":
        raise UnsupportedError(
            "inference='cavi' does not work where a graph links the tasks: use inference='gibbs' "
            "or 'nuts'"
        )
    if method == "laplace_sites":
        raise UnsupportedError(
            "inference='laplace_sites' does not work for correlated tasks: use "
            "inference='gibbs' or 'nuts'"
        )
    if method == "gibbs" and problem.groups is not None:
        raise UnsupportedError(
            "inference='gibbs' of correlated tasks needs one likelihood for all tasks: use "
            "inference='nuts'"
        )
    if method == "cavi":
        _require_conjugate(problem, likelihood)
    if method in ("gibbs", "cavi") and prior.kind == "lkj":
        raise UnsupportedError(
            "task_covariance='lkj' is for inference='nuts': use it, or task_covariance='full' with "
            f"inference={method!r}"
        )


def _require_conjugate(problem: Problem, likelihood: Any) -> None:
    """Coordinate ascent of correlated tasks."""
    if problem.row_data is not None:
        raise UnsupportedError(
            f"inference='cavi' of correlated tasks needs a Gaussian likelihood, not "
            f"{likelihood!r}: use inference='gibbs' or 'nuts'"
        )
    if problem.prior.covariance == SEPARATE:
        raise UnsupportedError(
            "inference='cavi' of correlated tasks has no update of LKJ correlations of features: "
            "leave scale= out, so that feature_covariance='full' has the Huang-Wand prior, or use "
            "inference='gibbs' or 'nuts'"
        )
    if problem.selection is not None:
        raise UnsupportedError(
            "inference='cavi' does not select features: use inference='gibbs' or 'nuts'"
        )


def _require_gaussian_clusters(problem: Problem, likelihood: Any) -> None:
    if problem.partition is None:
        raise UnsupportedError(
            "inference='cavi' works for relations in which the tasks fall into clusters, as "
            "bm.DirichletProcess(), or are correlated, as bm.MatrixNormal(): use inference='gibbs' "
            "or 'nuts' for this one"
        )
    if problem.row_data is not None:
        raise UnsupportedError(
            f"inference='cavi' needs a Gaussian likelihood, not {likelihood!r}: use "
            "inference='gibbs' or 'nuts'"
        )


def _require_approximate_sites(problem: Problem, likelihood: Any) -> None:
    if problem.row_data is None:
        raise UnsupportedError(
            "the sites of a Gaussian likelihood are exact: use inference='gibbs'"
        )
    if problem.groups is not None:
        raise UnsupportedError(
            "the scales of tasks with different likelihoods change their sites: use "
            "inference='gibbs'"
        )
    if problem.row_parameters.start.size:
        raise UnsupportedError(
            f"{likelihood!r} has parameters that its sites depend on: use inference='gibbs'"
        )
