"""The result of a graphical model: one DataTree with the user's labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.graphical.data import GraphRows
from bayesmtl.graphical.relations import graph_relations
from bayesmtl.graphical.sampling import GraphDraws
from bayesmtl.graphical.state import GraphProblem
from bayesmtl.numerics.graph_precision import partial_correlations
from bayesmtl.posterior.build import fit_attrs, posterior_attrs
from bayesmtl.posterior.diagnostics import diagnosis_attrs

__all__ = ["OBSERVED", "GraphRecord", "build_graph_tree"]

OBSERVED = "y"


class GraphRecord(NamedTuple):
    """What a fit has to say of itself.

    Parameters
    ----------
    model : dict
        ``model.to_dict()``.
    inference : dict
        Method and settings.
    random_seed : int or None
    seconds : float
    incomplete : bool
    edge_threshold : float
    """

    model: dict[str, Any]
    inference: dict[str, Any]
    random_seed: int | None
    seconds: float
    incomplete: bool
    edge_threshold: float


def build_graph_tree(
    problem: GraphProblem,
    rows: GraphRows,
    draws: GraphDraws,
    prior: GraphDraws,
    record: GraphRecord,
) -> xr.DataTree:
    """Draws, data and summaries as one DataTree, diagnosed.

    Parameters
    ----------
    problem : GraphProblem
    rows : GraphRows
    draws, prior : GraphDraws
        (chain, draw, ...) with data and without, internal units.
    record : GraphRecord
    """
    posterior = _posterior(problem, rows, draws)
    posterior.attrs.update(posterior_attrs(record.seconds, record.inference["tune"]))
    sample_coords = {name: posterior[name].values for name in ("chain", "draw")}
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset({"lp": (("chain", "draw"), draws.lp)}, sample_coords),
            "observed_data": _observed(rows),
            "constant_data": _constant(problem, rows),
            "task_relations": graph_relations(
                problem.prior,
                draws,
                prior,
                tasks=rows.tasks,
                variables=rows.variables,
                edge_threshold=record.edge_threshold,
            ),
        }
    )
    tree.attrs.update(
        fit_attrs(
            model=record.model,
            inference=record.inference,
            random_seed=record.random_seed,
            seconds=record.seconds,
            incomplete=record.incomplete,
        )
    )
    tree.attrs.update(diagnosis_attrs(tree))
    return tree


def _posterior(problem: GraphProblem, rows: GraphRows, draws: GraphDraws) -> xr.Dataset:
    """Draws of every task on the user's scale."""
    prior, unit = problem.prior, problem.scale
    names = np.array(rows.variables, dtype=object)
    sample, pair = ("chain", "draw"), ("node", "node_bis")
    partial = partial_correlations(draws.precision)
    out: dict[str, Any] = {
        "mean": (
            (*sample, "task", "node"),
            problem.location + unit * draws.mean[:, :, prior.center],
        ),
        "precision": (
            (*sample, "task", *pair),
            draws.precision[:, :, prior.block] / np.outer(unit, unit),
            {"symmetric": 1},
        ),
        "partial_correlation": (
            (*sample, "task", *pair),
            partial[:, :, prior.block],
            {"symmetric": 1},
        ),
    }
    hollow = {"symmetric": 1, "empty_diagonal": 1}
    if draws.edge is not None:
        # ArviZ takes differences of quantiles, which yes and no do not have.
        edge = draws.edge[:, :, prior.block].astype(np.int8)
        out["edge"] = ((*sample, "task", *pair), edge, {**hollow, "binary": 1})
    if draws.global_scale is not None:
        out["global_scale"] = ((*sample, "task"), draws.global_scale[:, :, prior.block])
    n_chains, n_draws = draws.lp.shape
    coords: dict[str, Any] = {
        "chain": np.arange(n_chains),
        "draw": np.arange(n_draws),
        "task": rows.tasks,
        "node": names,
        "node_bis": names,
    }
    if draws.theta is not None:
        out["relatedness"] = ((*sample, "task", "task_bis"), draws.theta, hollow)
        coords["task_bis"] = rows.tasks
    return xr.Dataset(out, coords)


def _observed(rows: GraphRows) -> xr.Dataset:
    """The rows as they were read, NaN where missing."""
    coords = {
        "obs": np.arange(len(rows.task)),
        "node": np.array(rows.variables, dtype=object),
    }
    return xr.Dataset({OBSERVED: (("obs", "node"), rows.values)}, coords)


def _constant(problem: GraphProblem, rows: GraphRows) -> xr.Dataset:
    """Task of each row, and what the variables were standardised by."""
    counts = np.bincount(rows.task, minlength=len(rows.tasks))
    return xr.Dataset(
        {
            "task_index": (("obs",), rows.task),
            "row_position": (("obs",), rows.position),
            "n_rows": (("task",), counts),
            "node_center": (("node",), problem.location),
            "node_scale": (("node",), problem.scale),
        },
        {
            "obs": np.arange(len(rows.task)),
            "task": rows.tasks,
            "node": np.array(rows.variables, dtype=object),
        },
    )
