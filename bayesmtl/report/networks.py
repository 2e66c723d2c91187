"""What a fit of graphs says: which variables are linked, and what the tasks' graphs share."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.report.summary import describe_draws

__all__ = ["describe_networks"]


def describe_networks(
    idata: xr.DataTree, n_listed: int
) -> tuple[str, list[tuple[str, str]], list[tuple[str, pd.DataFrame]]]:
    """Describe a fit of `bayesmtl.MultiTaskGraphicalModel`.

    Parameters
    ----------
    idata
        With the groups posterior, constant_data and task_relations.
    n_listed
        Most links to list of each task.

    Returns
    -------
    heading : str
    sentences : list of (title, text)
    tables : list of (title, frame)
        Links of each task, and the surest of them.
    """
    relations = idata["task_relations"].to_dataset()
    n_rows = idata["constant_data"].to_dataset()["n_rows"]
    n_nodes = relations.sizes["node"]
    model = json.loads(idata.attrs["model"])
    heading = (
        f"A graph of {n_nodes:,} variables for each of {n_rows.size:,} tasks ({model['task']}), "
        f"{int(n_rows.sum()):,} rows, relation {model['relation']}, prior {model['prior']}\n"
        f"{describe_draws(idata)}"
    )
    sentences = [("Links", _links(relations))]
    if "graph_similarity" in relations:
        sentences.append(("Shared between tasks", _shared(relations)))
    tables = [
        (
            "Links of each task, the surest first (partial correlation)",
            _tasks(relations, n_rows, n_listed),
        )
    ]
    return heading, sentences, tables


def _pairs(cells: np.ndarray) -> np.ndarray:
    """Entries above the diagonal of the last two axes."""
    row, column = np.triu_indices(cells.shape[-1], 1)
    return cells[..., row, column]


def _links(relations: xr.Dataset) -> str:
    probability = relations["edge_probability"].transpose("task", "node", "node_bis").to_numpy()
    found = (_pairs(probability) > 0.5).sum(axis=1)
    n_pairs = _pairs(probability).shape[1]
    low, high = int(found.min()), int(found.max())
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return (
        f"{number} of {n_pairs:,} pairs of variables are linked in each task with a probability "
        f"above 0.5 (before the data {float(relations['prior_edge_probability']):.2f})"
    )


def _shared(relations: xr.Dataset) -> str:
    """Links in all tasks, and the two tasks whose graphs are most alike."""
    number = relations["n_shared_edges"]
    mean, lower, upper = (float(number.sel(statistic=x)) for x in ("mean", "lower", "upper"))
    alike = relations["graph_similarity"].transpose("task", "task_bis", "statistic")
    pairs = _pairs(alike.sel(statistic="mean").to_numpy())
    row, column = np.triu_indices(alike.sizes["task"], 1)
    best, labels = int(pairs.argmax()), label_texts(alike["task"])
    s, t = int(row[best]), int(column[best])
    low, high = (float(alike.sel(statistic=x)[s, t]) for x in ("lower", "upper"))
    prior = float(relations["prior_graph_similarity"].sel(statistic="mean"))
    return (
        f"{mean:.1f} links are in all tasks (90% interval {lower:.0f} to {upper:.0f}); most alike "
        f"are {labels[s]} and {labels[t]}: both have {pairs[best]:.0%} of the links of either "
        f"({low:.0%} to {high:.0%}; before the data {prior:.0%})"
    )


def _tasks(relations: xr.Dataset, n_rows: xr.DataArray, n_listed: int) -> pd.DataFrame:
    chance = relations["edge_probability"].transpose("task", "node", "node_bis").to_numpy()
    partial = relations["partial_correlation"].sel(statistic="mean")
    strength = partial.transpose("task", "node", "node_bis").to_numpy()
    nodes = label_texts(relations["node"])
    row, column = np.triu_indices(len(nodes), 1)
    links = []
    for g in range(len(chance)):
        values = chance[g][row, column]
        order = np.argsort(-values, kind="stable")[:n_listed]
        links.append(
            ", ".join(
                f"{nodes[row[k]]} – {nodes[column[k]]} ({strength[g, row[k], column[k]]:+.2f})"
                for k in order
                if values[k] > 0.5
            )
            or "none"
        )
    return pd.DataFrame(
        {
            "task": label_texts(relations["task"]),
            "rows": n_rows.to_numpy(),
            "links": (_pairs(chance) > 0.5).sum(axis=1),
            "surest links": links,
        }
    )
