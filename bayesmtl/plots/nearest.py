"""Task relations of very many tasks: how far the nearest tasks are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmtl.plots.common import (
    INK,
    POSTERIOR,
    difference_unit,
    drawn_labels,
    new_figure,
    write_note,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_nearest"]

N_LISTED = 8


def draw_nearest(relations: xr.Dataset, figsize: tuple[float, float] | None) -> Figure:
    """Draw every task's difference to its nearest task, and name the extremes.

    Parameters
    ----------
    relations
        The group ``task_relations`` with ``nearest_task (task, neighbour)`` and
        ``nearest_difference (task, neighbour, statistic)``, nearest first.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels: all tasks in order of the difference, and the extreme tasks by name.
    """
    nearest = relations["nearest_difference"].isel(neighbour=0)
    mean, lower, upper = (
        np.asarray(nearest.sel(statistic=name), dtype=np.float64)
        for name in ("mean", "lower", "upper")
    )
    order = np.argsort(mean, kind="stable")
    figure, axes = new_figure(1, 2, figsize or (12.0, 5.0), width_ratios=(1.0, 1.0))
    ax = axes[0, 0]
    rank = np.arange(1, len(order) + 1)
    ax.fill_between(
        rank, lower[order], upper[order], color=POSTERIOR, alpha=0.25, lw=0, label="90% interval"
    )
    ax.plot(rank, mean[order], color=POSTERIOR, label="posterior mean, nearest task")
    last = relations["nearest_difference"].isel(neighbour=-1).sel(statistic="mean")
    n_neighbours = relations.sizes["neighbour"]
    ax.plot(
        rank,
        np.asarray(last)[order],
        ".",
        color=INK,
        ms=1.5,
        alpha=0.5,
        rasterized=True,
        label=f"posterior mean, neighbour number {n_neighbours}",
    )
    label = f"difference ({difference_unit(relations)})"
    ax.set(xlabel="tasks, in order of the difference to their nearest task", ylabel=label)
    ax.set_ylim(bottom=0)
    ax.set_title("Difference to the nearest task", fontsize=11)
    ax.legend(fontsize=8, loc="upper left")
    _draw_extremes(axes[0, 1], relations, order, (mean, lower, upper))
    note = (
        f"{len(order):,} tasks: the differences of all pairs are not stored, only those to the "
        f"{n_neighbours} nearest tasks of each (nearest_task, nearest_difference). "
        "Right: each task with its nearest task."
    )
    write_note(figure, [note])
    return figure


def _draw_extremes(
    ax: Axes,
    relations: xr.Dataset,
    order: NDArray[np.int64],
    statistics: tuple[NDArray[np.float64], ...],
) -> None:
    """Draw the closest and the most isolated tasks with the name of their nearest task."""
    mean, lower, upper = statistics
    n_listed = min(N_LISTED, len(order) // 2)
    listed = np.concatenate([order[:n_listed], order[len(order) - n_listed :]])
    own = drawn_labels(relations["task"].to_numpy()[listed], 24)
    other = drawn_labels(relations["nearest_task"].isel(neighbour=0).to_numpy()[listed], 24)
    place = np.arange(len(listed)) + np.where(np.arange(len(listed)) < n_listed, 0, 1)
    ax.hlines(place, lower[listed], upper[listed], color=POSTERIOR, lw=2, alpha=0.5)
    ax.plot(mean[listed], place, "o", color=POSTERIOR, ms=4)
    pairs = [f"{a} – {b}" for a, b in zip(own, other, strict=True)]
    ax.set_yticks(place, pairs, fontsize=7)
    ax.axhline(n_listed, color=INK, lw=0.6, ls=":")
    ax.set_xlim(left=0)
    ax.set_xlabel(f"difference ({difference_unit(relations)})")
    ax.set_title("Most isolated (top) and closest (bottom)", fontsize=11)
