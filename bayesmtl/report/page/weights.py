"""Weights of every task with sharing, beside those of its rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.plots.estimates import Estimates, panel_names, read_panels
from bayesmtl.posterior.access import common_units
from bayesmtl.report.page.packing import json_number, pack
from bayesmtl.report.page.tasks import PageTasks, group_or_empty

__all__ = ["task_weights"]

_MOST_FEATURES = 24
_MOST_INCLUDED = 40


def task_weights(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any]:
    """Pack the estimates of the features that vary most between tasks.

    Parameters
    ----------
    idata
        A fit of a linear model.
    tasks
        Of the page.

    Returns
    -------
    dict
        ``features``: of each the ``name``, packed ``mean``, ``low`` and ``high`` (90%),
        ``low50``, ``high50`` and ``alone`` (its own rows), and ``population`` (mean and sd of a
        new task) where they are known; ``inclusion`` of features where they are selected; ``note``.

    Raises
    ------
    UnsupportedError
        If the draws of the weights are not stored.
    InvalidDataError
        If there are neither weights nor intercepts.
    """
    posterior = idata["posterior"].to_dataset()
    constant = group_or_empty(idata, "constant_data")
    if "task" not in constant.coords:
        constant = constant.assign_coords(task=posterior["task"])
    if "unpooled_weights" in constant or "task_scale" not in posterior:
        posterior, constant = common_units(posterior, constant)
    names = panel_names(posterior, constant, idata.attrs.get("weights_stored", 1) != 0)
    panels = read_panels(idata, posterior, constant, names[:_MOST_FEATURES])
    features = [_packed(panel, tasks) for panel in panels]
    note = _note(posterior, len(names), any("alone" in feature for feature in features))
    return {"features": features, "inclusion": _inclusion(idata), "note": note}


def _packed(panel: Estimates, tasks: PageTasks) -> dict[str, Any]:
    low, low50, high50, high = panel.quantiles[:, tasks.places]
    parts = {"mean": panel.mean[tasks.places], "low": low, "high": high}
    parts |= {"low50": low50, "high50": high50}
    alone = panel.unpooled[tasks.places]
    out: dict[str, Any] = {"name": panel.title}
    if np.isfinite(alone).any():
        # Estimates of few rows may be far off, and must not cost the others their digits.
        span = float(high.max() - low.min()) or 1.0
        ends = (float(low.min() - 3 * span), float(high.max() + 3 * span))
        out["alone"] = pack(alone, *ends, beyond=True)
    ends = (float(low.min()), float(high.max()))
    out |= {name: pack(values, *ends) for name, values in parts.items()}
    mean, sd = (json_number(value) for value in panel.population)
    if mean is not None:
        out["population"] = [mean, sd]
    return out


def _note(posterior: xr.Dataset, n_names: int, alone: bool) -> str:
    notes = []
    if n_names > _MOST_FEATURES:
        notes.append(f"The {_MOST_FEATURES} of {n_names:,} that vary most between tasks.")
    if "task_scale" in posterior:
        notes.append("Tasks have different likelihoods: shown is what their scale multiplies.")
    if "task_effects" in posterior or "intercept_task_effects" in posterior:
        notes.append("The shaded band is that of a new task with average task features.")
    if not alone:
        notes.append("Estimates from the rows of each task alone are not known for this fit.")
    return " ".join(notes)


def _inclusion(idata: xr.DataTree) -> list[list[Any]]:
    """Name, mean and interval of the inclusion weight of each feature, the largest first."""
    relations = group_or_empty(idata, "task_relations")
    if "feature_inclusion" not in relations:
        return []
    table = relations["feature_inclusion"].sel(part="any")
    mean, lower, upper = (
        table.sel(statistic=name).to_numpy() for name in ("mean", "lower", "upper")
    )
    order = np.argsort(-mean, kind="stable")[:_MOST_INCLUDED]
    names = [str(name) for name in table["feature"].to_numpy()]
    return [
        [names[j], *(json_number(float(part[j]), 3) for part in (mean, lower, upper))]
        for j in order
    ]
