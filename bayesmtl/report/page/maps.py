"""The task-relation map: every pair of tasks, or the nearest tasks of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.plots.common import difference_unit
from bayesmtl.report.page.packing import pack, packed_size
from bayesmtl.report.page.tasks import MAP_LIMIT, PageTasks

__all__ = ["relation_maps"]

_BUDGET = 4_200_000  # characters of all maps
_NEIGHBOURS = 10
_NOISE = " 0.1 hardly matters; 1 is as large as the scatter of single observations."


class _Kind(NamedTuple):
    """One measure of two tasks. Near tasks have large values, except of distances."""

    name: str
    title: str
    about: str
    signed: bool = False
    distance: bool = False


_KINDS = (
    _Kind(
        "coclustering",
        "Probability to be in one cluster",
        "How probable it is that two tasks belong together: 1 surely, 0 surely not.",
    ),
    _Kind(
        "task_correlation",
        "Correlation of the weights",
        "Whether the effects in two tasks deviate from the common mean in the same direction: "
        "1 fully, 0 not at all, -1 in opposite directions.",
        signed=True,
    ),
    _Kind(
        "partial_correlation",
        "Direct link (partial correlation)",
        "How two tasks go together when all other tasks are known: 0 means no direct link.",
        signed=True,
    ),
    _Kind(
        "edge_probability",
        "Probability of a direct link",
        "How probable it is that two tasks are linked directly, not by way of others.",
    ),
    _Kind(
        "graph_similarity",
        "Links in common",
        "Of the links that either graph has, the share that both have.",
    ),
    _Kind(
        "partial_correlation_similarity",
        "Similarity of the links' strengths",
        "Whether the links of two graphs have the same strengths and signs: 1 fully, 0 not at all.",
        signed=True,
    ),
    _Kind(
        "relatedness",
        "Relatedness",
        "How strongly the model draws two graphs towards each other: 0 not at all.",
    ),
    _Kind(
        "difference",
        "Difference of predictions",
        "Typical distance between the predictions of two tasks, in {unit}.",
        distance=True,
    ),
    _Kind(
        "correlation",
        "Correlation of predictions",
        "Whether the predictions of two tasks rise and fall together: 1 fully, 0 not at all, "
        "-1 one rises where the other falls.",
        signed=True,
    ),
)


def relation_maps(relations: xr.Dataset, tasks: PageTasks) -> dict[str, Any]:
    """Pack what is known of pairs of tasks.

    Parameters
    ----------
    relations
        The group ``task_relations``, which may be empty.
    tasks
        Of the page.

    Returns
    -------
    dict
        ``kinds``, each with a title, a sentence and packed pairs above the diagonal, row by row
        (``mean`` and, where there are intervals, ``lower``, ``upper``, ``p_positive``); or
        ``nearest`` (neighbours of each task); or neither, with the reason in ``note``.
    """
    if tasks.n_all < 2:
        return {"kinds": [], "note": "There is one task only: it has no relations to show."}
    if "nearest_task" in relations:
        return _stored_nearest(relations, tasks)
    present = [
        kind
        for kind in _KINDS
        if kind.name in relations and "task_bis" in relations[kind.name].dims
    ]
    if not present:
        return {"kinds": [], "note": "This fit does not hold the relations of its tasks."}
    if tasks.n_all > MAP_LIMIT:
        return _nearest_of_pairs(relations, present, tasks)
    kinds: list[dict[str, Any]] = []
    left_out: list[str] = []
    for kind in present:
        packed = _pack_kind(kind, relations)
        fits = packed_size([*kinds, packed]) <= _BUDGET
        if fits or not kinds:
            kinds.append(packed)
        else:
            left_out.append(kind.title.lower())
    note = f"Left out to keep this page small: {', '.join(left_out)}." if left_out else ""
    return {"kinds": kinds, "note": _sentence(relations, note)}


def _sentence(relations: xr.Dataset, note: str) -> str:
    reason = str(relations.attrs.get("correlation_absent", "")).strip().rstrip(".")
    absent = f"No correlation of predictions is shown: {reason}." if reason else ""
    return " ".join(part for part in (note, absent) if part)


def _titles(kind: _Kind, relations: xr.Dataset) -> tuple[str, str]:
    """Title and sentence."""
    if "functions" in relations.attrs and kind.name == "task_correlation":
        return "Correlation of the functions", (
            "Whether the curves of two tasks rise and fall together: 1 fully, 0 not at all, "
            "-1 one rises where the other falls."
        )
    unit = difference_unit(relations)
    told = _NOISE if kind.distance and unit == "noise standard deviations" else ""
    return kind.title, kind.about.format(unit=unit) + told


def _pairs(kind: _Kind, relations: xr.Dataset) -> dict[str, np.ndarray]:
    """(task, task) of each statistic that is known."""
    values = relations[kind.name]
    if "statistic" not in values.dims:
        return {"mean": values.transpose("task", "task_bis").to_numpy().astype(np.float64)}
    values = values.transpose("task", "task_bis", "statistic")
    known = values["statistic"].to_numpy().tolist()
    names = ["mean", "lower", "upper", *(["p_positive"] if kind.signed else [])]
    return {
        name: values.sel(statistic=name).to_numpy().astype(np.float64)
        for name in names
        if name in known
    }


def _pack_kind(kind: _Kind, relations: xr.Dataset) -> dict[str, Any]:
    title, about = _titles(kind, relations)
    pairs = _pairs(kind, relations)
    upper = np.triu_indices(len(pairs["mean"]), 1)
    known = {name: cells[upper] for name, cells in pairs.items()}
    known = {name: cells for name, cells in known.items() if np.isfinite(cells).any()}
    out: dict[str, Any] = {"name": kind.name, "title": title, "about": about}
    out |= {"signed": kind.signed, "distance": kind.distance, "top": _top(kind, known)}
    limits: tuple[float | None, float | None] = (None, None)
    if kind.signed:
        limits = (-1.0, 1.0)
    elif kind.distance:
        limits = (0.0, max(float(np.nanmax(cells)) for cells in known.values()) if known else 1.0)
    elif kind.name != "relatedness":
        limits = (0.0, 1.0)
    for name, cells in known.items():
        ends = (0.0, 1.0) if name == "p_positive" else limits
        out[name] = pack(cells, *ends, root=kind.distance)
    return out


def _top(kind: _Kind, known: dict[str, np.ndarray]) -> float:
    """End of the colours: one odd task must not take them from all others."""
    mean = known.get("mean", np.zeros(1))
    if kind.distance:
        return max(float(np.nanquantile(mean, 0.99)), 1.0)
    return max(float(np.nanmax(mean)), 1e-9) if kind.name == "relatedness" else 1.0


def _nearest_of_pairs(
    relations: xr.Dataset, present: list[_Kind], tasks: PageTasks
) -> dict[str, Any]:
    """The nearest tasks of each, by the difference of predictions where it is known."""
    kind = next((kind for kind in present if kind.distance), present[0])
    pairs = _pairs(kind, relations)
    away = pairs["mean"].copy() if kind.distance else -pairs["mean"]
    np.fill_diagonal(away, np.inf)
    index = np.argsort(away, axis=1, kind="stable")[:, :_NEIGHBOURS]
    stats = {name: np.take_along_axis(cells, index, axis=1) for name, cells in pairs.items()}
    return _nearest(kind, relations, index, stats, tasks)


def _stored_nearest(relations: xr.Dataset, tasks: PageTasks) -> dict[str, Any]:
    kind = next(kind for kind in _KINDS if kind.distance)
    place = {label: t for t, label in enumerate(relations["task"].to_numpy().tolist())}
    found = relations["nearest_task"].transpose("task", "neighbour").to_numpy()
    index = np.array([[place[label] for label in row] for row in found.tolist()])
    values = relations["nearest_difference"].transpose("task", "neighbour", "statistic")
    stats = {name: values.sel(statistic=name).to_numpy() for name in ("mean", "lower", "upper")}
    return _nearest(kind, relations, index, stats, tasks)


def _nearest(
    kind: _Kind,
    relations: xr.Dataset,
    index: np.ndarray,
    stats: dict[str, np.ndarray],
    tasks: PageTasks,
) -> dict[str, Any]:
    """Of the tasks of the page; neighbours that are not on it are named by no place, -1."""
    title, about = _titles(kind, relations)
    on_page = np.full(tasks.n_all, -1)
    on_page[tasks.places] = np.arange(len(tasks.places))
    note = (
        f"With {tasks.n_all:,} tasks a map of all pairs would show nothing: choose a task to see "
        "the tasks nearest to it."
    )
    nearest = {"title": title, "about": about, "signed": kind.signed}
    nearest["index"] = on_page[index[tasks.places]].tolist()
    for name, cells in stats.items():
        nearest[name] = pack(cells[tasks.places])
    return {"kinds": [], "nearest": nearest, "note": _sentence(relations, note)}
