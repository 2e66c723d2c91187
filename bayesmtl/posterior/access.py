"""Reading a fit: what is none is refused, and the summaries of the tasks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidDataError, InvalidTypeError, UnsupportedError
from bayesmtl.scaling import INTERCEPT

__all__ = [
    "common_units",
    "has_gaussian_response",
    "is_functional",
    "is_graphical",
    "require_all_tasks",
    "require_fit",
    "require_linear",
    "stored_likelihoods",
    "task_relations",
]


def require_fit(idata: Any, *groups: str) -> None:
    """Refuse what is not a fit, or lacks one of the groups.

    Raises
    ------
    InvalidTypeError
        If it is no DataTree.
    InvalidDataError
        If a group is missing, or its draws have lost the dimension of chains or draws.
    """
    if not isinstance(idata, xr.DataTree):
        raise InvalidTypeError(
            f"a fit is needed, but this is a {type(idata).__name__}: pass the xarray.DataTree that "
            "model.fit or bm.load returned"
        )
    for group in groups:
        if group not in idata.children:
            raise InvalidDataError(
                f"the group '{group}' is missing from the fit (groups found: "
                f"{', '.join(idata.children) or 'none'}): pass the whole xarray.DataTree that "
                "model.fit or bm.load returned"
            )
    for name in ("chain", "draw"):
        if "posterior" in groups and name not in idata["posterior"].dims:
            raise InvalidDataError(
                f"the draws of the fit have no dimension '{name}': choose a single one by a list, "
                f"idata.isel({name}=[0], missing_dims='ignore')"
            )


def require_all_tasks(constant: xr.Dataset) -> None:
    """Refuse a fit of which tasks were selected: its rows speak of the tasks by their places.

    Parameters
    ----------
    constant : xarray.Dataset
        The group ``constant_data``.

    Raises
    ------
    InvalidDataError
        When tasks are missing or stand in another order.
    """
    if "task_position" not in constant:
        return
    place = constant["task_position"].to_numpy()
    last = int(constant["task_index"].max()) if constant.sizes["obs"] else -1
    if last >= place.size or (place != np.arange(place.size)).any():
        raise InvalidDataError(
            "tasks of this fit were selected or put in another order, so that its rows no longer "
            "belong to them: pass the whole fit, and select tasks in what comes back"
        )


def is_graphical(idata: Any) -> bool:
    """Whether it is a fit of `bayesmtl.MultiTaskGraphicalModel`."""
    return _model_type(idata) == "MultiTaskGraphicalModel"


def is_functional(idata: Any) -> bool:
    """Whether it is a fit of `bayesmtl.MultiTaskGP`."""
    return _model_type(idata) == "MultiTaskGP"


def _model_type(idata: Any) -> str | None:
    if not isinstance(idata, xr.DataTree):
        return None
    return json.loads(idata.attrs.get("model", "{}")).get("type")


def require_linear(idata: Any, what: str, instead: str = "bm.plot_graph(idata)") -> None:
    """Refuse a fit of graphs, or of functions, where weights of features are needed.

    Raises
    ------
    UnsupportedError
        For a fit of `bayesmtl.MultiTaskGraphicalModel` or `bayesmtl.MultiTaskGP`.
    """
    if is_functional(idata):
        raise UnsupportedError(
            f"{what} is about the weights of linear models, and this is a fit of MultiTaskGP, "
            "which has functions: use bm.plot_functions(idata) or bm.plot_task_relations(idata)"
        )
    if is_graphical(idata):
        raise UnsupportedError(
            f"{what} is about the weights of linear models, and this is a fit of "
            f"MultiTaskGraphicalModel, which has graphs: use {instead} or bm.task_relations(idata)"
        )


def common_units(posterior: xr.Dataset, constant: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The groups posterior and constant_data with coefficients that compare between tasks.

    Where tasks have different likelihoods, those of each are divided by its ``task_scale`` (its
    estimates from its own rows alone by the posterior mean), after its centre has been taken from
    the intercept; elsewhere they are as they are.
    """
    if "task_scale" not in posterior:
        return posterior, constant
    scale, center = posterior["task_scale"], constant["task_center"]
    if "intercept" in posterior:
        posterior = posterior.assign(intercept=(posterior["intercept"] - center) / scale)
    if "weights" in posterior:
        # Elsewhere the centre is part of an intercept that is one of the features.
        shift = center * (posterior["feature"] == INTERCEPT)
        alone = (constant["unpooled_weights"] - shift) / scale.mean(("chain", "draw"))
        posterior = posterior.assign(weights=(posterior["weights"] - shift) / scale)
        constant = constant.assign(unpooled_weights=alone)
    return posterior, constant


def has_gaussian_response(idata: xr.DataTree) -> bool:
    """Whether the likelihood is Gaussian, as where a tree does not name it."""
    # A mapping of equal likelihoods is that likelihood.
    first, *others = stored_likelihoods(idata)
    return bool(first.get("type", "Gaussian") == "Gaussian" and all(x == first for x in others))


def stored_likelihoods(idata: xr.DataTree) -> list[dict[str, Any]]:
    """Settings of the likelihood, of each task where they were given by task."""
    likelihood = json.loads(idata.attrs.get("model", "{}")).get("likelihood", {})
    return list(likelihood.get("tasks", {"": likelihood}).values())


def task_relations(idata: xr.DataTree) -> xr.Dataset:
    """How the tasks relate: label-free posterior summaries, computed when the model was fitted.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit.

    Returns
    -------
    xarray.Dataset
        ``difference`` and, where it is identified, ``correlation`` (task, task_bis, statistic);
        ``sharing`` (statistic); ``borrowing`` (task, statistic). Statistics are mean, sd, the ends
        of the 90% interval and, where signed, P(> 0). Where the tasks form clusters also
        ``coclustering`` (task, task_bis), the probability that two tasks are in one cluster;
        ``partition`` (task), the partition closest to all draws, with ``membership`` (task), how
        surely each task belongs to its cluster, and ``partition_bound`` (bound, task), the edges
        of its 95% credible ball; ``n_clusters`` (statistic) and ``n_clusters_probability``. Of
        graphs (`MultiTaskGraphicalModel`) instead ``edge_probability`` beside
        ``prior_edge_probability``, ``partial_correlation``, ``median_graph``, edges that are shared
        and private, and how alike the graphs of two tasks are; see
        `bayesmtl.graphical.relations.graph_relations`.

    Raises
    ------
    InvalidTypeError
        When ``idata`` is not a DataTree.
    InvalidDataError
        When it lacks the group.
    """
    require_fit(idata, "task_relations")
    return idata["task_relations"].to_dataset()
