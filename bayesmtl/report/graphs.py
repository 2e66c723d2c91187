"""What a report says of the graph or tree that links the tasks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmtl.frames.labels import label_texts

__all__ = ["describe_graph"]


def describe_graph(relations: xr.Dataset) -> str:
    """Edges beside their prior, the dependence on a known graph, or the shares along a tree.

    Parameters
    ----------
    relations : xarray.Dataset
        The group ``task_relations`` of a fit.
    """
    if "edge_probability" in relations and relations.sizes["task"] > 1:
        return _edges(relations)
    if "rho" in relations:
        prior = _told(relations["prior_rho"])
        return f"dependence on the neighbours rho {_told(relations['rho'])}; prior {prior}"
    if "level_share" in relations:
        shares, before = relations["level_share"], relations["prior_level_share"]
        told = [
            f"{name} {_told(shares.sel(level=name))}, prior {_told(before.sel(level=name))}"
            for name in shares["level"].to_numpy()
        ]
        return f"share of the variance of the weights: {'; '.join(told)}"
    return ""


def _told(summary: xr.DataArray) -> str:
    mean, lower, upper = (float(summary.sel(statistic=x)) for x in ("mean", "lower", "upper"))
    return f"{mean:.2f} (90% interval {lower:.2f} to {upper:.2f})"


def _edges(relations: xr.Dataset) -> str:
    """How many pairs are linked, and the surest link."""
    probability = relations["edge_probability"].transpose("task", "task_bis").to_numpy()
    row, column = np.triu_indices(len(probability), 1)
    pairs = probability[row, column]
    best, labels = int(pairs.argmax()), label_texts(relations["task"])
    s, t = int(row[best]), int(column[best])
    partial = relations["partial_correlation"].isel(task=s, task_bis=t)
    text = (
        f"{int((pairs > 0.5).sum()):,} of {pairs.size:,} pairs of tasks are linked with a "
        f"probability above 0.5 (prior {float(relations['prior_edge_probability']):.2f}); surest: "
        f"{labels[s]} and {labels[t]}, {pairs[best]:.2f}, partial correlation {_told(partial)}"
    )
    found = float(relations["false_discovery_rate"])
    return f"{text}; expected share of false links {found:.2f}" if (pairs > 0.5).any() else text
