"""Everything a page shows, as values that JSON can hold, read from the DataTree alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.errors import BayesMTLError
from bayesmtl.plots.sharing import full_sharing
from bayesmtl.posterior.access import is_functional, is_graphical, require_fit
from bayesmtl.report.page.clusters import cluster_values
from bayesmtl.report.page.curves import function_curves
from bayesmtl.report.page.fitted import fitted_values
from bayesmtl.report.page.graph import linked_nodes
from bayesmtl.report.page.maps import relation_maps
from bayesmtl.report.page.packing import json_number
from bayesmtl.report.page.tasks import PageTasks, group_or_empty, page_tasks, task_facts
from bayesmtl.report.page.trust import diagnostics, model_facts, stored_diagnosis, verdict
from bayesmtl.report.page.weights import task_weights
from bayesmtl.report.passages import describe_fit, number_text

__all__ = ["page_content"]

_GROUPS = ("task_relations", "constant_data", "observed_data")


def page_content(idata: xr.DataTree) -> dict[str, Any]:
    """Collect the parts of a page; one that cannot be told is a sentence that says why.

    Parameters
    ----------
    idata
        What ``fit`` of any model returned or ``bm.load`` read.

    Returns
    -------
    dict
        ``verdict``, ``summary``, ``tasks``, ``sharing``, ``maps``, ``graph``, ``clusters``,
        ``weights``, ``curves``, ``fitted``, ``diagnostics`` and ``model``; None for parts that
        the model does not have.

    Raises
    ------
    InvalidTypeError
        If ``idata`` is not a DataTree.
    InvalidDataError
        If it has no posterior.
    """
    require_fit(idata, "posterior")
    tasks = page_tasks(idata)
    linear = not (is_functional(idata) or is_graphical(idata))
    relations = group_or_empty(idata, "task_relations")
    stored = stored_diagnosis(idata)
    return {
        "verdict": verdict(stored),
        "summary": _told(lambda: _summary(idata)),
        "tasks": task_facts(idata, tasks),
        "sharing": _sharing(idata) if linear else None,
        "maps": relation_maps(relations, tasks),
        "graph": linked_nodes(idata, tasks),
        "clusters": cluster_values(idata, tasks),
        "weights": _told(lambda: task_weights(idata, tasks)) if linear else None,
        "curves": _curves(idata, tasks) if is_functional(idata) else None,
        "fitted": None if is_graphical(idata) else _told(lambda: fitted_values(idata, tasks)),
        "diagnostics": diagnostics(idata, stored),
        "model": model_facts(idata),
    }


def _told(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part, or the sentence that says why there is none."""
    try:
        return part()
    except BayesMTLError as error:
        return {"note": str(error)}


def _missing(idata: xr.DataTree) -> str:
    missing = [name for name in _GROUPS if name not in idata.children]
    return f"The fit lacks the group {missing[0]}, which this part reads." if missing else ""


def _curves(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any]:
    missing = _missing(idata)
    return {"note": missing} if missing else _told(lambda: function_curves(idata, tasks))


def _summary(idata: xr.DataTree) -> dict[str, Any]:
    """Heading, sentences and small tables, as in the terminal."""
    missing = _missing(idata)
    if missing:
        return {"heading": f"A fit of {idata['posterior'].sizes.get('task', 1):,} tasks"} | {
            "note": missing
        }
    told = describe_fit(idata)
    return {
        "heading": told.heading,
        "sentences": [list(pair) for pair in told.sentences],
        "tables": [[title, _cells(cells)] for title, cells in told.tables],
    }


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    rows = zip(*(map(number_text, frame[name]) for name in frame), strict=True)
    words = [not pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    return {"columns": list(frame), "rows": [list(row) for row in rows], "words": words}


def _sharing(idata: xr.DataTree) -> dict[str, Any]:
    """Mean, interval and histogram of sharing, and the shares of the parts of the weights."""
    posterior = idata["posterior"].to_dataset()
    out: dict[str, Any] = {}
    draws = posterior["sharing"].to_numpy().ravel() if "sharing" in posterior else np.empty(0)
    draws = draws[np.isfinite(draws)]
    if draws.size:
        low, high = np.quantile(draws, [0.05, 0.95])
        out["interval"] = [json_number(float(x), 4) for x in (draws.mean(), low, high)]
        counts, _ = np.histogram(draws, bins=50, range=(0.0, 1.0))
        out["histogram"] = counts.tolist()
        out["full"] = full_sharing(idata)
    if "variance_share" in posterior:
        share = posterior["variance_share"].transpose("chain", "draw", "part")
        values = share.to_numpy().reshape(-1, share.sizes["part"])
        ends = np.quantile(values, [0.05, 0.95], axis=0)
        out["parts"] = [
            [str(name), *(json_number(float(x), 3) for x in (values[:, k].mean(), *ends[:, k]))]
            for k, name in enumerate(share["part"].to_numpy())
        ]
    if not math.isfinite(out.get("interval", [math.nan])[0]):
        out["note"] = "Sharing is not defined for this model."
    return out
