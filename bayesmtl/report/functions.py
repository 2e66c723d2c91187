"""What a fit of functions says: how curves of tasks go together, how fast they bend, the noise."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.report.noise import describe_noise
from bayesmtl.report.summary import describe_correlations, describe_draws

__all__ = ["describe_functions"]

_MOST_INPUTS = 8


def describe_functions(
    idata: xr.DataTree,
) -> tuple[str, list[tuple[str, str]], list[tuple[str, pd.DataFrame]]]:
    """Describe a fit of `bayesmtl.MultiTaskGP`.

    Parameters
    ----------
    idata
        With the groups posterior, constant_data and task_relations.

    Returns
    -------
    heading : str
    sentences : list of (title, text)
    tables : list of (title, frame)
        Length-scales of the inputs, beside the sd of each input.
    """
    posterior, relations = idata["posterior"].to_dataset(), idata["task_relations"].to_dataset()
    constant = idata["constant_data"].to_dataset()
    model, design = json.loads(idata.attrs["model"]), json.loads(idata.attrs["design"])["rows"]
    n_rows = constant["n_rows"]
    heading = (
        f"{design['formula']}, a function for each of {n_rows.size:,} tasks ({model['task']}), "
        f"{int(n_rows.sum()):,} rows, kernel {relations.attrs.get('kernel', 'unknown')}\n"
        f"{describe_draws(idata)}"
    )
    sentences = [("Correlations of the tasks' functions", describe_correlations(relations))]
    if "noise_sd" in posterior:
        sentences.append(("Noise", describe_noise(posterior)))
    table = _lengths(relations, constant)
    return (
        heading,
        [(title, text) for title, text in sentences if text],
        [("Length-scales: a function bends over this distance", table)] if len(table) else [],
    )


def _lengths(relations: xr.Dataset, constant: xr.Dataset) -> pd.DataFrame:
    """Mean and interval of each input's length-scale, the shortest against its input first."""
    if "lengthscale" not in relations or "component" in relations["lengthscale"].dims:
        return pd.DataFrame()
    table = relations["lengthscale"].transpose("feature", "statistic")
    scale = constant["input_scale"].to_numpy()
    cells = pd.DataFrame(
        {
            "": label_texts(table["feature"]),
            "length-scale": table.sel(statistic="mean").to_numpy(),
            "5%": table.sel(statistic="lower").to_numpy(),
            "95%": table.sel(statistic="upper").to_numpy(),
            "half the range": scale,
        }
    )
    order = np.argsort(cells["length-scale"].to_numpy() / scale, kind="stable")[:_MOST_INPUTS]
    return cells.iloc[order].reset_index(drop=True)
