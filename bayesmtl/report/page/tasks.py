"""The tasks of a page: which ones it holds, their labels, orders and facts."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.plots.blocks import read_blocks
from bayesmtl.plots.common import order_by_similarity
from bayesmtl.report.page.packing import json_number

__all__ = ["MAP_LIMIT", "PageTasks", "group_or_empty", "page_tasks", "task_facts"]

MAP_LIMIT = 1_200  # tasks, beyond which a page holds the nearest of each instead of all pairs
_TASK_LIMIT = 5_000
_DISTANCES = (
    ("task_correlation", True),
    ("difference", False),
    ("partial_correlation_similarity", True),
)


class PageTasks(NamedTuple):
    """Tasks that the page holds: all, or the ones with most rows.

    Parameters
    ----------
    places : (task,)
        In the order of the fit.
    labels : list of str
    n_all : int
        Tasks of the fit.
    """

    places: np.ndarray
    labels: list[str]
    n_all: int


def group_or_empty(idata: xr.DataTree, name: str) -> xr.Dataset:
    """A group of a fit, empty where it is missing."""
    return idata[name].to_dataset() if name in idata.children else xr.Dataset()


def page_tasks(idata: xr.DataTree) -> PageTasks:
    """Choose the tasks: beyond 5,000 those with the most rows."""
    posterior = idata["posterior"].to_dataset()
    if "task" not in posterior.coords:
        return PageTasks(np.arange(0), [], 0)
    labels = label_texts(posterior["task"])
    places = np.arange(len(labels))
    constant = group_or_empty(idata, "constant_data")
    if len(labels) > _TASK_LIMIT:
        if "n_rows" in constant:
            places = np.argsort(-constant["n_rows"].to_numpy(), kind="stable")
        places = np.sort(places[:_TASK_LIMIT])
    return PageTasks(places, [labels[t] for t in places], len(labels))


def task_facts(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any]:
    """Labels, rows, borrowing, clusters, and orders of the tasks.

    Returns
    -------
    dict
        ``labels``; ``rows``, ``borrowing`` and ``cluster`` where they are known, each with one
        entry a task; ``orders``, permutations by name; ``n_all``.
    """
    relations, constant = (group_or_empty(idata, x) for x in ("task_relations", "constant_data"))
    out: dict[str, Any] = {"labels": tasks.labels, "n_all": tasks.n_all}
    if "n_rows" in constant:
        out["rows"] = constant["n_rows"].to_numpy()[tasks.places].tolist()
    if "borrowing" in relations and "task" in relations["borrowing"].dims:
        mean = relations["borrowing"].sel(statistic="mean").to_numpy()[tasks.places]
        out["borrowing"] = [json_number(value, 3) for value in mean]
    if "partition" in relations:
        out["cluster"] = relations["partition"].to_numpy()[tasks.places].tolist()
    out["orders"] = _orders(relations, tasks)
    return out


def _orders(relations: xr.Dataset, tasks: PageTasks) -> dict[str, list[int]]:
    orders = {"label": sorted(range(len(tasks.labels)), key=lambda t: _natural(tasks.labels[t]))}
    if len(tasks.labels) != tasks.n_all:
        return orders
    similar = _similarity(relations, tasks)
    if similar is not None:
        orders["similarity"] = similar.tolist()
    if "partition" in relations:
        members = [block.members for block in read_blocks(relations)]
        orders["cluster"] = np.concatenate(members).tolist()
    return orders


def _similarity(relations: xr.Dataset, tasks: PageTasks) -> np.ndarray | None:
    """Similar tasks side by side, as in the plots."""
    if not 2 < tasks.n_all <= MAP_LIMIT:
        return None
    for name, alike in _DISTANCES:
        if name in relations:
            mean = relations[name].sel(statistic="mean").to_numpy().astype(np.float64)
            return order_by_similarity(np.clip(1.0 - mean, 0.0, None) if alike else mean)
    return None


def _natural(label: str) -> list[tuple[int, float, str]]:
    """Key that sorts "task 2" before "task 10"."""
    pieces = re.split(r"(\d+)", label)
    return [(0, float(x), "") if x.isdigit() else (1, 0.0, x.casefold()) for x in pieces if x]
