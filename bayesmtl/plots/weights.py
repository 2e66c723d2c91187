"""Task weights beside their unpooled estimates: shrinkage at a glance."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.plots.common import (
    BAND,
    INK,
    POINT,
    POSTERIOR,
    drawn_labels,
    get_group,
    linear_group,
    new_figure,
    panel_height,
    quiet_glyphs,
    rows_that_fit,
    shorten,
    tell_thinning,
    thin,
    write_note,
)
from bayesmtl.plots.estimates import (
    Estimates,
    choose_names,
    find_limits,
    find_outside,
    panel_names,
    read_panels,
)
from bayesmtl.posterior.access import common_units, has_gaussian_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["plot_weights"]

FONT_SIZE = 7.0
MAX_ESTIMATED = 20_000  # tasks of which a fit has estimates from their rows alone


@quiet_glyphs()
def plot_weights(
    idata: xr.DataTree,
    *,
    features: str | Sequence[str] | None = None,
    max_panels: int = 12,
    max_tasks: int = 1000,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the weights of all tasks beside their unpooled estimates, one panel per feature.

    In each panel the tasks are sorted by their posterior mean. Filled: posterior mean with
    50% and 90% intervals. Ring: the estimate from the rows of that task alone (by least squares
    where the likelihood is Gaussian), joined to its posterior mean by a thin line whose length is
    the shrinkage; at the edge, an arrow where it lies outside. Shaded: where the weight of a new
    task would lie, population mean plus and minus one population sd; not where tasks form clusters,
    between which no task need lie.

    Parameters
    ----------
    idata
        Result of `model.fit`; reads ``posterior``, ``constant_data`` and ``observed_data``.
    features
        Features to show, in this order; ``"intercept"`` stands for the intercepts. By default
        the intercepts and then the features that vary most between tasks.
    max_panels
        Largest number of panels when `features` is not given.
    max_tasks
        Above it, so many tasks evenly spaced among the sorted ones are drawn.
    figsize
        Width and height in inches; more room shows more task labels.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per feature.

    Raises
    ------
    InvalidDataError
        If a group or a feature is missing, or a limit is not positive.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For a fit of graphs; if the draws of the weights are not stored in this fit.
    """
    posterior = linear_group(idata, "posterior", "bm.plot_weights")
    constant = get_group(idata, "constant_data")
    posterior, constant = common_units(posterior, constant)
    if min(max_panels, max_tasks) < 1:
        msg = f"max_panels={max_panels} and max_tasks={max_tasks}: both must be at least 1."
        raise InvalidDataError(msg)
    stored = idata.attrs.get("weights_stored", 1) != 0
    names = panel_names(posterior, constant, stored)
    chosen = names[:max_panels] if features is None else choose_names(features, names)
    squares = has_gaussian_response(idata)
    panels = read_panels(idata, posterior, constant, chosen)
    labels = posterior["task"].to_numpy()
    n_columns = min(len(panels), 3 if len(panels) <= 6 else 4)
    n_rows = -(-len(panels) // n_columns)
    size = figsize or _default_size(n_rows, n_columns, drawn_labels(labels, 24))
    figure, axes = new_figure(n_rows, n_columns, size)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    orders = [
        _draw_panel(ax, panel, max_tasks) for ax, panel in zip(axes.flat, panels, strict=False)
    ]
    _add_legend(figure, panels, squares=squares)
    notes = _notes(panels, len(names) if features is None else 0, max_tasks)
    notes += _tell_absent(panels, squares=squares)
    if "task_scale" in posterior:
        notes.append("Tasks have different likelihoods: of each, what its task_scale multiplies.")
    if "task_effects" in posterior or "intercept_task_effects" in posterior:
        notes.append("The shaded band is that of a new task with average task features.")
    write_note(figure, [*notes, " "])  # takes its room before the labels are counted
    write_note(figure, [*notes, _label_tasks(list(axes.flat[: len(panels)]), orders, labels)])
    return figure


def _default_size(n_rows: int, n_columns: int, texts: list[str]) -> tuple[float, float]:
    """Return a size in inches that gives every panel room for its labels."""
    height = float(np.clip(0.16 * len(texts) + 0.5, 1.6, 5.4 if n_rows == 1 else 4.2))
    label = max(map(len, texts)) * FONT_SIZE * 0.55 / 72
    return max(n_columns * (2.6 + label) + 0.3, 7.0), n_rows * (height + 0.4) + 1.6


def _draw_panel(ax: Axes, panel: Estimates, max_tasks: int) -> NDArray[np.int64]:
    """Draw one feature; return the tasks from the bottom to the top."""
    order = np.argsort(panel.mean, kind="stable")
    if len(order) > max_tasks:
        order = order[np.linspace(0, len(order) - 1, max_tasks).round().astype(np.int64)]
    place = np.arange(len(order))
    limits = find_limits(panel)
    crowded = float(np.clip(30 / len(order), 0.08, 1.0))
    mean, sd = panel.population
    if np.isfinite(mean):
        ax.axvspan(mean - sd, mean + sd, color=BAND, lw=0, zorder=0)
        ax.axvline(mean, color=INK, lw=0.8, ls="--", zorder=1)
    low, low_half, high_half, high = panel.quantiles[:, order]
    ax.hlines(place, low, high, color=POSTERIOR, lw=max(4 * crowded, 0.5), alpha=0.35, zorder=2)
    ax.hlines(place, low_half, high_half, color=POSTERIOR, lw=max(4 * crowded, 0.9), zorder=3)
    size = 40 * max(crowded, 0.1)
    edge: dict[str, Any] = {"edgecolors": "white", "lw": 0.8 if crowded > 0.5 else 0.0}
    ax.scatter(panel.mean[order], place, s=size, facecolors=POSTERIOR, zorder=5, **edge)
    _draw_unpooled(ax, panel, order, limits, crowded)
    ax.set_xlim(*limits)
    ax.set_ylim(-0.8, len(order) - 0.2)
    title = textwrap.fill(shorten(panel.title, 40), 28)
    ax.set_title(title.replace("$", r"\$"), fontsize=10)
    ax.tick_params(axis="x", labelsize=8)
    ax.grid(axis="x", color="#DDDDDD", lw=0.5)
    ax.set_axisbelow(True)
    return order


def _draw_unpooled(
    ax: Axes,
    panel: Estimates,
    order: NDArray[np.int64],
    limits: tuple[float, float],
    crowded: float,
) -> None:
    """Draw rings joined to the posterior means, and arrows for those outside."""
    unpooled = panel.unpooled[order]
    place = np.arange(len(order))
    there = np.isfinite(unpooled)
    shown = np.clip(unpooled, *limits)
    inside = there & (shown == unpooled)
    ax.hlines(
        place[there],
        np.minimum(panel.mean[order], shown)[there],
        np.maximum(panel.mean[order], shown)[there],
        color=POINT,
        lw=0.8 * max(crowded, 0.5),
        alpha=0.6,
        zorder=1,
    )
    # Wider than the filled dots and above them, so that both are seen where they agree.
    hollow: dict[str, Any] = {"edgecolors": POINT, "zorder": 6, "lw": max(1.2 * crowded, 0.7)}
    size = 80 * max(crowded, 0.15)
    ax.scatter(unpooled[inside], place[inside], s=size, facecolors="none", **hollow)
    hollow |= {"facecolors": "white", "s": 40 * max(crowded, 0.2), "clip_on": False}
    for marker, outside in (("<", there & (unpooled < shown)), (">", there & (unpooled > shown))):
        ax.scatter(shown[outside], place[outside], marker=marker, **hollow)


def _add_legend(figure: Figure, panels: list[Estimates], *, squares: bool) -> None:
    """Explain the marks that occur, once for all panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    hollow: dict[str, Any] = {"color": POINT, "mfc": "none", "ls": "none", "ms": 7}
    handles: list[Artist] = [
        Line2D([], [], color=POSTERIOR, marker="o", ms=6, ls="none", label="posterior mean"),
        Line2D([], [], color=POSTERIOR, lw=4, label="50% interval"),
        Line2D([], [], color=POSTERIOR, lw=4, alpha=0.35, label="90% interval"),
    ]
    if any(np.isfinite(panel.population[0]) for panel in panels):
        handles.append(Patch(color=BAND, label="population mean ± sd: a new task"))
    if any(np.isfinite(panel.unpooled).any() for panel in panels):
        label = f"{'least squares' if squares else 'estimate'}, the task's rows alone"
        handles.append(Line2D([], [], marker="o", **hollow, label=label))
    if any(find_outside(panel).any() for panel in panels):
        handles.append(Line2D([], [], marker=">", **hollow, label="the same, beyond the axis"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8, frameon=False)


def _notes(panels: list[Estimates], n_names: int, max_tasks: int) -> list[str]:
    """Say which panels and tasks are not shown."""
    notes = []
    if len(panels) < n_names:
        notes.append(
            f"{len(panels)} of {n_names} panels: the features that vary most between tasks "
            "(features= chooses others)."
        )
    n_tasks = len(panels[0].mean)
    if n_tasks > max_tasks:
        notes.append(f"{max_tasks:,} of {n_tasks:,} tasks, evenly spaced in rank (max_tasks=).")
    return notes


def _tell_absent(panels: list[Estimates], *, squares: bool) -> list[str]:
    """Say which estimates of the tasks alone there are not, and why where all are absent."""
    n_tasks = len(panels[0].mean)
    absent = {panel.title: int(np.isnan(panel.unpooled).sum()) for panel in panels}
    alone = {title: count for title, count in absent.items() if count < n_tasks}
    none = [title for title in absent if title not in alone]
    units = [title for title in none if not squares and title.partition(" (")[0] == "intercept"]
    rest = [title for title in none if title not in units]
    many = "there are too many tasks"
    few = "the rows of each task are too few, or too alike"
    reasons = {
        "the responses are on another scale than the predictor": units,
        many if n_tasks > MAX_ESTIMATED else few: rest,
    }
    notes = [
        f"{', '.join(titles)}: no estimates from the task's rows alone, because {reason}."
        for reason, titles in reasons.items()
        if titles
    ]
    if any(alone.values()):
        each = ", ".join(f"{title} {count}" for title, count in alone.items() if count)
        text = each if len(set(alone.values())) > 1 else str(next(iter(alone.values())))
        notes.append(f"Tasks whose own rows alone give no estimate, of {n_tasks}: {text}.")
    return [note.replace("$", r"\$") for note in notes]


def _label_tasks(
    axes: Sequence[Axes], orders: list[NDArray[np.int64]], labels: NDArray[Any]
) -> str:
    """Write the task labels that fit; return a note."""
    texts = np.array(drawn_labels(labels, 24), dtype=object)
    for ax in axes:
        ax.set_yticks([])
    n_shown = len(orders[0])
    shown = thin(n_shown, rows_that_fit(panel_height(axes[0]), FONT_SIZE))
    for ax, order in zip(axes, orders, strict=True):
        ax.set_yticks(shown, texts[order[shown]], fontsize=FONT_SIZE)
    sentence = "Tasks are sorted by posterior mean, in each panel on its own"
    return tell_thinning(sentence, shown, n_shown)
