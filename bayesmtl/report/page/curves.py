"""Functions of the tasks over their rows: curves with bands, or maps of two inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.plots.function_values import (
    FunctionData,
    held_points,
    predict_points,
    read_functions,
)
from bayesmtl.report.page.packing import json_number, pack
from bayesmtl.report.page.tasks import PageTasks

__all__ = ["function_curves"]

_POINTS, _CELLS, _MOST_DOTS = 60, 24, 300
_LEVEL = 0.9


def function_curves(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any]:
    """Predict the function of each task where its rows are.

    Parameters
    ----------
    idata
        A fit of functions with the groups constant_data and observed_data.
    tasks
        Of the page.

    Returns
    -------
    dict
        ``inputs``, ``note`` and ``panels``: of each a ``task`` (its label) and ``rows`` (inputs and
        response), with ``x``, ``mean``, ``lower`` and ``upper`` of a curve over the first input,
        or of two inputs ``across``, ``up`` (their ends), ``cells`` and the packed ``mean``.

    Raises
    ------
    UnsupportedError
        For inputs that are computed from columns.
    """
    data = read_functions(idata)
    of_two = len(data.inputs) == 2
    panel = _map_panel if of_two else _curve_panel
    chosen = data.most_told
    panels = [panel(idata, data, int(task)) | {"task": tasks.labels[task]} for task in chosen]
    notes = []
    if len(data.labels) > len(chosen):
        notes.append(f"The {len(chosen)} of {len(data.labels):,} tasks with the most rows.")
    if len(data.inputs) > 2:
        notes.append(f"The inputs other than {data.inputs[0]} are held at their medians.")
    return {"inputs": list(data.inputs[:2]), "panels": panels, "note": " ".join(notes)}


def _dots(data: FunctionData, task: int, n_inputs: int) -> list[list[float | None]]:
    own = np.flatnonzero(data.task == task)
    own = own[:: max(1, -(-len(own) // _MOST_DOTS))]
    return [
        [json_number(float(value)) for value in (*data.features[i, :n_inputs], data.response[i])]
        for i in own
    ]


def _curve_panel(idata: xr.DataTree, data: FunctionData, task: int) -> dict[str, Any]:
    points = held_points(data, task, _POINTS)
    points[:, 0] = np.linspace(data.features[:, 0].min(), data.features[:, 0].max(), _POINTS)
    found = predict_points(idata, data, task, points, _LEVEL, 0)
    out: dict[str, Any] = {"rows": _dots(data, task, 1)}
    out["x"] = [json_number(float(value)) for value in points[:, 0]]
    for name in ("mean", "lower", "upper"):
        out[name] = [json_number(float(value), 4) for value in found[name]]
    return out


def _map_panel(idata: xr.DataTree, data: FunctionData, task: int) -> dict[str, Any]:
    low, high = data.features.min(axis=0), data.features.max(axis=0)
    across, up = (np.linspace(low[j], high[j], _CELLS) for j in range(2))
    points = np.stack([part.ravel() for part in np.meshgrid(across, up)], axis=1)
    mean = predict_points(idata, data, task, points, _LEVEL, 0)["mean"].to_numpy()
    return {
        "rows": _dots(data, task, 2),
        "across": [json_number(float(low[0])), json_number(float(high[0]))],
        "up": [json_number(float(low[1])), json_number(float(high[1]))],
        "cells": _CELLS,
        "mean": pack(mean),
    }
