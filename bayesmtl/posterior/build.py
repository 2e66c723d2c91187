"""The result of a fit: one DataTree with the user's labels."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.design import Design, response_variable
from bayesmtl.frames.labels import label_texts
from bayesmtl.inference.draws import Draws, PartitionDraws
from bayesmtl.likelihoods.levels import stored_attrs, to_stored
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.posterior.clusters import cluster_relations
from bayesmtl.posterior.covariance import covariance_relations
from bayesmtl.posterior.diagnostics import diagnosis_attrs
from bayesmtl.posterior.manifest import SCHEMA_VERSION
from bayesmtl.posterior.partition_draws import cluster_group
from bayesmtl.posterior.redraw import redraw, sites_group
from bayesmtl.posterior.relations import borrowing, sharing, task_relations
from bayesmtl.posterior.selection import inclusion_relations
from bayesmtl.posterior.unpooled import unpooled_weights
from bayesmtl.posterior.user_scale import posterior_variables
from bayesmtl.relations.clusters.state import prior_n_clusters
from bayesmtl.relations.exchangeable.state import DIAGONAL

__all__ = [
    "FitRecord",
    "build_tree",
    "constant_data",
    "fit_attrs",
    "observed_data",
    "posterior_attrs",
    "task_texts",
    "versions",
]


class FitRecord(NamedTuple):
    """What a fit has to say of itself.

    Parameters
    ----------
    model : dict
        ``model.to_dict()``.
    design, task_design : Design or None
    inference : dict
        Method and settings.
    random_seed : int or None
    seconds : float
    incomplete : bool
    constant_sharing : float or None
        0 or 1 where the relation fixes it.
    columns : dict
        Column of each role, or None.
    """

    model: dict[str, Any]
    design: Design
    task_design: Design | None
    inference: dict[str, Any]
    random_seed: int | None
    seconds: float
    incomplete: bool
    constant_sharing: float | None
    columns: dict[str, Any]


def versions() -> dict[str, str]:
    """Versions of the packages that make a fit."""
    names = ("bayesmtl", "numpy", "scipy", "numba", "xarray", "arviz", "pymc", "nutpie")
    return {name: version(name) for name in names}


def build_tree(
    problem: Problem,
    draws: Draws,
    record: FitRecord,
    *,
    sample_stats: dict[str, np.ndarray],
    cores: int,
) -> xr.DataTree:
    """Draws, data and summaries as one DataTree, diagnosed.

    Parameters
    ----------
    problem : Problem
    draws : Draws
        (chain, draw, ...), internal units.
    record : FitRecord
    sample_stats : dict of (chain, draw) arrays
        Beside ``lp``; names of the ArviZ schema.
    cores : int
    """
    z_names = () if record.task_design is None else record.task_design.features
    posterior = posterior_variables(problem, draws, z_names)
    stored = draws.weights is not None
    full = draws if stored else redraw(problem, draws)
    fixed = record.constant_sharing
    share = sharing(problem, draws)
    borrowed, complete = borrowing(problem, draws, cores)
    if fixed is not None:
        share, borrowed = np.full_like(share, fixed), np.full_like(borrowed, fixed)
        share_attrs = borrowed_attrs = {"constant": 1}
    else:
        share_attrs, borrowed_attrs = _constants(problem)
    posterior["sharing"] = (("chain", "draw"), share, share_attrs)
    if complete:
        posterior["borrowing"] = (("chain", "draw", "task"), borrowed, borrowed_attrs)
    stats = {"lp": draws.lp, **sample_stats}
    sample_coords = {name: posterior[name].values for name in ("chain", "draw")}
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset(
            {name: (("chain", "draw"), values) for name, values in stats.items()}, sample_coords
        ),
        "observed_data": observed_data(problem, record.design),
        "constant_data": constant_data(problem, record.columns, z_names),
        "task_relations": _relations(
            problem, draws, task_relations(problem, full, share, borrowed, cores)
        ),
    }
    if not stored:
        groups["sites"] = sites_group(problem)
    if draws.partition is not None:
        groups["clusters"] = cluster_group(problem, draws)
    groups["posterior"].attrs.update(posterior_attrs(record.seconds, record.inference["tune"]))
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(_root_attrs(record, stored))
    tree.attrs.update(diagnosis_attrs(tree))
    return tree


def _relations(problem: Problem, draws: Draws, common: xr.Dataset) -> xr.Dataset:
    """What is summarised for every model, and what the relation adds."""
    parts = [common]
    if draws.partition is not None:
        parts.append(_clusters(problem, draws.partition))
    if draws.tasks is not None:
        parts.append(covariance_relations(problem, draws))
    if draws.selection is not None:
        parts.append(inclusion_relations(problem, draws))
    return xr.merge(parts, join="exact", combine_attrs="no_conflicts")


def _clusters(problem: Problem, partition: PartitionDraws) -> xr.Dataset:
    assert problem.partition is not None
    prior = prior_n_clusters(problem.partition, problem.prior.n_tasks)
    return cluster_relations(partition.labels, problem.rows.tasks, prior)


def _constants(problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which of sharing and borrowing cannot move: their attributes ``constant``."""
    # A task without rows borrows everything, whatever the draw.
    empty = unpack_tasks(problem.sites.rows, problem.prior.n_tasks) == 0
    labels = label_texts(problem.rows.tasks[empty])
    borrowed: dict[str, Any] = {"constant": json.dumps(labels)} if labels else {}
    if problem.partition is not None or problem.sparse is not None:
        return {}, borrowed
    if problem.task_covariance is not None and problem.task_covariance.kind != "given":
        return {}, borrowed
    block = problem.blocks[-1] if problem.features else problem.blocks[0]
    means = [value for row in block.mean for value in row]
    fixed_means = all(isinstance(value, float) for value in means)
    # Correlations of features are learned beside their scales.
    diagonal = problem.prior.covariance == DIAGONAL
    fixed_scales = diagonal and all(isinstance(scale, float) for scale in block.scale)
    none_common = fixed_means and not any(means)
    share = {"constant": 1} if none_common or (fixed_means and fixed_scales) else {}
    if problem.task_covariance is not None:
        share = {}
    if problem.groups is not None:
        return share, borrowed
    noise = problem.fixed_noise is not None or problem.standard_error is not None
    separate = [scale for other in problem.blocks for scale in other.scale]
    if noise and diagonal and all(isinstance(scale, float) for scale in separate):
        return share, {"constant": 1}
    return share, borrowed


def _root_attrs(record: FitRecord, stored: bool) -> dict[str, Any]:
    task_design = None if record.task_design is None else record.task_design.to_dict()
    return {
        **fit_attrs(
            model=record.model,
            inference=record.inference,
            random_seed=record.random_seed,
            seconds=record.seconds,
            incomplete=record.incomplete,
        ),
        "design": json.dumps({"rows": record.design.to_dict(), "task_features": task_design}),
        "weights_stored": int(stored),
    }


def posterior_attrs(seconds: float, tune: int) -> dict[str, Any]:
    """Attributes of the group posterior of every fit, as in the ArviZ schema."""
    return {
        "inference_library": "bayesmtl",
        "inference_library_version": version("bayesmtl"),
        "modeling_interface": "bayesmtl",
        "sampling_time": seconds,
        "tuning_steps": tune,
    }


def fit_attrs(
    *,
    model: dict[str, Any],
    inference: dict[str, Any],
    random_seed: int | None,
    seconds: float,
    incomplete: bool,
) -> dict[str, Any]:
    """Root attributes of every fit: model and inference as JSON, versions, seed, time."""
    return {
        "modeling_interface": "bayesmtl",
        "modeling_interface_version": version("bayesmtl"),
        "creation_library": "bayesmtl",
        "creation_library_version": version("bayesmtl"),
        "schema_version": SCHEMA_VERSION,
        "model": json.dumps(model),
        "inference": json.dumps(inference),
        "random_seed": str(random_seed),
        "sampling_seconds": seconds,
        "incomplete": int(incomplete),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": json.dumps(versions()),
    }


def observed_data(problem: Problem, design: Design) -> xr.Dataset:
    """The response of each row."""
    coords = {"obs": np.arange(len(problem.rows.task))}
    assert problem.rows.response is not None
    response = to_stored(problem.rows.response, task_texts(problem), problem.levels)
    variable = (("obs",), response, stored_attrs(problem.levels))
    return xr.Dataset({response_variable(design): variable}, coords)


def task_texts(problem: Problem) -> np.ndarray:
    """Label of the task of each row, as text."""
    texts = label_texts(problem.rows.tasks)
    return np.array(texts, dtype=object)[problem.rows.task]


def constant_data(
    problem: Problem, columns: dict[str, Any], task_feature_names: tuple[str, ...]
) -> xr.Dataset:
    """Features, task of each row, scaling, and the estimates of each task by itself."""
    rows, scaling = problem.rows, problem.scaling
    names = np.array(problem.features, dtype=object)
    centred = rows.features - scaling.feature_center
    counts = np.bincount(rows.task, minlength=len(rows.tasks))
    out: dict[str, Any] = {
        "task_index": (("obs",), rows.task),
        "row_position": (("obs",), rows.position),
        "n_rows": (("task",), counts),
        "task_position": (("task",), np.arange(len(counts))),
    }
    roles = {"standard_error": "se", "row_weight": "weights"}
    roles |= {name: name for name in ("trials", "exposure", "offset")}
    for name, role in roles.items():
        if columns[role] is not None:
            out[name] = (("obs",), rows.extra[columns[role]])
    coords: dict[str, Any] = {"obs": np.arange(len(rows.task)), "task": rows.tasks}
    if problem.groups is not None:
        out["task_center"] = (("task",), problem.groups.center)
        out["task_unit"] = (("task",), problem.groups.unit)
    if problem.features:
        coords |= {"feature": names, "feature_bis": names}
        estimate, sd = unpooled_weights(problem)
        out |= {
            "features": (("obs", "feature"), rows.features),
            "feature_center": (("feature",), scaling.feature_center),
            "feature_scale": (("feature",), scaling.feature_scale),
            "second_moment": (("feature", "feature_bis"), centred.T @ centred / len(centred)),
            "unpooled_weights": (("task", "feature"), estimate),
            "unpooled_sd": (("task", "feature"), sd),
        }
        if problem.sparse is not None:
            out["weight_unit"] = (("feature",), problem.prior.scale_unit[problem.prior.block :])
    if task_feature_names:
        coords["task_feature"] = np.array(task_feature_names, dtype=object)
        out["task_features"] = (("task", "task_feature"), problem.task_features)
        out["task_feature_center"] = (("task_feature",), scaling.task_feature_center)
    return xr.Dataset(out, coords)
