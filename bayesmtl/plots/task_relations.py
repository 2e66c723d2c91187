"""Heat map of the task relations, with what is certain beside what is estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.plots.common import (
    INK,
    difference_unit,
    drawn_labels,
    get_group,
    given_correlations,
    linear_group,
    new_figure,
    order_by_similarity,
    panel_height,
    quiet_glyphs,
    rows_that_fit,
    state,
    tell_thinning,
    thin,
    write_note,
)
from bayesmtl.plots.nearest import draw_nearest
from bayesmtl.posterior.access import is_functional

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["plot_task_relations"]

KINDS = ("difference", "correlation", "task_correlation")
MAX_TASKS_WITH_NUMBERS = 10
MAX_COLUMN_LABELS = 30
FONT_SIZE = 7.0
READING = (
    "How to read: below the diagonal the posterior mean; above it the value in the 90% interval "
    "that lies closest to 0, that is, what is left once the uncertainty is granted."
)
READING_PALE = " Colour below but pale above: the data cannot tell the pair from 0."
READING_NUMBERS = " Numbers: mean below, 90% interval above the diagonal."


class Map(NamedTuple):
    """One panel: statistics of the pairs of tasks in the order in which they are drawn."""

    kind: str
    mean: NDArray[np.float64]  # (task, task)
    lower: NDArray[np.float64]  # (task, task)
    upper: NDArray[np.float64]  # (task, task)
    unit: str = ""  # of differences
    prior: str = ""  # interval of one correlation
    functions: bool = False
    given: str = ""  # what makes the correlations of tasks positive whatever the data


@quiet_glyphs()
def plot_task_relations(
    idata: xr.DataTree,
    *,
    kind: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw how much every pair of tasks differs and correlates, similar tasks side by side.

    The tasks are ordered by hierarchical clustering of the posterior means of their correlations
    ``"task_correlation"`` where these are drawn, of the first panel elsewhere. Below the diagonal
    stands the posterior mean of each pair; above it the value closest to 0 in the 90% interval, so
    that a relation which the data do not settle fades to the colour of 0.

    Parameters
    ----------
    idata
        Result of `model.fit`; reads the group ``task_relations``.
    kind
        ``"difference"`` (root-mean-square difference of two tasks' predictors over the pooled
        features, in noise standard deviations or, where the likelihood has none, in units of the
        predictor that the figure gives), ``"correlation"`` (of two tasks' feature effects over the
        pooled features), ``"task_correlation"`` (of two tasks' weights around the common mean,
        where the relation learns or fixes their covariance; of functions the only one) or None: the
        last two where both exist, else the first with those that exist.
    figsize
        Width and height in inches; more room shows more task labels.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per kind. Above 2,000 tasks, where the pairs are not stored, the differences
        to the nearest tasks instead.

    Raises
    ------
    InvalidDataError
        If the group or its variables are missing, or `kind` is unknown.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For a fit of graphs; if the fit has no correlations of the kind that is asked for.
    """
    if is_functional(idata):
        relations = get_group(idata, "task_relations")
        return _draw_dense(relations, _of_functions(kind), "", figsize)
    relations = linear_group(idata, "task_relations", "bm.plot_task_relations")
    if kind is not None and kind not in KINDS:
        names = ", ".join(map(repr, KINDS))
        msg = f"kind={kind!r} is unknown: use {names} or None."
        raise InvalidDataError(msg)
    reason = _reason_without_correlation(relations)
    if kind == "correlation" and reason:
        msg = f"There is no correlation to plot: {reason} Use kind='difference'."
        raise UnsupportedError(msg)
    if kind == "task_correlation" and kind not in relations:
        msg = (
            "The relation of this fit has no covariance of the tasks, as bm.MatrixNormal() has, or "
            "too many tasks to store it: use kind='correlation' or 'difference'."
        )
        raise UnsupportedError(msg)
    if "difference" in relations:
        return _draw_dense(relations, kind, reason, figsize)
    if "nearest_difference" in relations:
        return draw_nearest(relations, figsize)
    msg = (
        "The group 'task_relations' has neither 'difference' nor 'nearest_difference': "
        "pass the object that model.fit returned."
    )
    raise InvalidDataError(msg)


def _of_functions(kind: str | None) -> str:
    """The one kind that functions have.

    Raises
    ------
    UnsupportedError
        For another.
    """
    if kind not in (None, "task_correlation"):
        msg = f"A fit of MultiTaskGP has no {kind} of tasks: use kind='task_correlation'."
        raise UnsupportedError(msg)
    return "task_correlation"


def _reason_without_correlation(relations: xr.Dataset) -> str:
    """Return why there is no correlation, as a sentence; empty where there is one."""
    if "correlation" in relations:
        return ""
    reason = str(relations.attrs.get("correlation_absent", "")).strip()
    if not reason and "nearest_difference" in relations:
        reason = "with this many tasks only the nearest tasks are stored"
    reason = reason or "the fit does not hold it"
    return reason if reason.endswith(".") else reason + "."


def _draw_dense(
    relations: xr.Dataset, kind: str | None, reason: str, figsize: tuple[float, float] | None
) -> Figure:
    """Draw the heat maps of all pairs."""
    kinds = [kind] if kind else [name for name in KINDS if name in relations][-2:]
    alike = kinds[-1] if kinds[-1] == "task_correlation" else kinds[0]
    mean = np.asarray(relations[alike].sel(statistic="mean"), dtype=np.float64)
    order = order_by_similarity(mean if alike == "difference" else np.maximum(1.0 - mean, 0.0))
    texts = drawn_labels(relations["task"].to_numpy()[order])
    n_tasks = len(order)
    if n_tasks < 2:
        figure, axes = new_figure(1, 1, figsize or (6.0, 2.5))
        state(axes[0, 0], f"There is one task only ({texts[0]}): it has no relations to show.")
        return figure
    maps = [_read_map(relations, name, order) for name in kinds]
    figure, axes = new_figure(1, len(maps), figsize or _default_size(n_tasks, len(maps), texts))
    for panel, ax in zip(maps, axes[0], strict=True):
        _draw_map(figure, ax, panel)
    # The final note has the same number of lines whatever the thinning, so that the measured
    # height of the panels stays the height that they get.
    reading = READING + READING_PALE * any(not panel.given for panel in maps)
    note = [reading + READING_NUMBERS * (n_tasks <= MAX_TASKS_WITH_NUMBERS)]
    if reason and kind is None:
        note.append(f"No correlation is shown: {reason}")
    write_note(figure, [*note, " "])
    write_note(figure, [*note, _label_axes(axes[0], texts)])
    return figure


def _read_map(relations: xr.Dataset, kind: str, order: NDArray[np.int64]) -> Map:
    """Read the statistics of one kind, rows and columns in the order given."""
    pairs = relations[kind].transpose("task", "task_bis", "statistic")
    mean, lower, upper = (
        np.asarray(pairs.sel(statistic=name), dtype=np.float64)[np.ix_(order, order)]
        for name in ("mean", "lower", "upper")
    )
    return Map(
        kind,
        mean,
        lower,
        upper,
        difference_unit(relations),
        _prior_interval(relations),
        "functions" in relations.attrs,
        given_correlations(relations) if kind == "task_correlation" else "",
    )


def _prior_interval(relations: xr.Dataset) -> str:
    """The 90% interval of one correlation of tasks under the prior, where it is learned."""
    if "prior_task_correlation" not in relations:
        return ""
    prior = relations["prior_task_correlation"]
    lower, upper = (float(prior.sel(statistic=name)) for name in ("lower", "upper"))
    return f"\nprior 90%: {lower:.2f} to {upper:.2f}"


def _default_size(n_tasks: int, n_maps: int, texts: list[str]) -> tuple[float, float]:
    """Return a size in inches that gives every panel a readable side."""
    side = float(np.clip(0.17 * n_tasks, 4.4, 6.2))
    label = min(max(map(len, texts)), 30) * FONT_SIZE * 0.55 / 72
    below = label * 0.7 if n_tasks <= MAX_COLUMN_LABELS else 0.0
    note = 2.0 if n_maps == 1 else 1.4  # and titles; below one panel it has more lines
    return n_maps * (side + 0.8) + label, side + below + note


def certain_part(panel: Map) -> NDArray[np.float64]:
    """Return the value in the 90% interval that is closest to 0, for each pair of tasks."""
    return np.maximum(panel.lower, 0.0) + np.minimum(panel.upper, 0.0)


def _draw_map(figure: Figure, ax: Axes, panel: Map) -> None:
    """Draw one heat map with its colour bar and title."""
    n_tasks = len(panel.mean)
    below = np.tril(np.ones((n_tasks, n_tasks), dtype=bool), -1)
    cells = np.where(below, panel.mean, certain_part(panel))
    np.fill_diagonal(cells, np.nan)
    pairs = panel.mean[below]
    finite = cells[np.isfinite(cells)]
    if panel.kind == "difference":
        # One odd task must not take the colours away from all others, and differences that are
        # small against the noise must not look large.
        top = float(np.nanquantile(pairs, 0.99)) if finite.size else 0.0
        limits, colours = (0.0, max(top, 1.0)), "YlGnBu"
        title = "Difference between the tasks' predictors"
        subtitle = f"root mean square over the pooled features,\nin {panel.unit}"
    else:
        limits, colours = (-1.0, 1.0), "PuOr"
        title = "Correlation between the tasks' feature effects"
        subtitle = _say_settled(panel, below)
        if panel.kind == "task_correlation":
            title, subtitle = "Correlation of the weights around their mean", subtitle + panel.prior
            title = "Correlation of the tasks' functions" if panel.functions else title
    from matplotlib import colormaps

    image = ax.imshow(
        cells,
        cmap=colormaps[colours].with_extremes(bad="#BBBBBB"),
        vmin=limits[0],
        vmax=limits[1],
    )
    extend = "max" if finite.max(initial=0.0) > limits[1] else "neither"
    bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, extend=extend)
    bar.ax.tick_params(labelsize=8)
    ax.set_title(title + "\n" * (1 + subtitle.count("\n")), fontsize=11)
    ax.text(0.5, 1.015, subtitle, transform=ax.transAxes, ha="center", fontsize=8, color=INK)
    if n_tasks <= MAX_TASKS_WITH_NUMBERS:
        _write_numbers(ax, panel, cells, limits[1])


def _say_settled(panel: Map, below: NDArray[np.bool_]) -> str:
    """Say how many correlations the data settle, or that they have no say in it."""
    if panel.given:
        return panel.given
    settled = int((np.abs(certain_part(panel)[below]) > 0).sum())
    return f"90% interval excludes 0 in {settled:,} of {int(below.sum()):,} pairs"


def _write_numbers(ax: Axes, panel: Map, cells: NDArray[np.float64], top: float) -> None:
    """Write means below and intervals above the diagonal, in ink that stands out."""
    for row, column in np.argwhere(np.isfinite(cells)).tolist():
        if row > column:
            text = f"{panel.mean[row, column]:.2f}"
        else:
            text = f"{panel.lower[row, column]:.2f}\nto {panel.upper[row, column]:.2f}"
        ink = "white" if abs(cells[row, column]) > 0.6 * top else INK
        ax.text(column, row, text, ha="center", va="center", fontsize=FONT_SIZE, color=ink)


def _label_axes(axes: NDArray[np.object_], texts: list[str]) -> str:
    """Label the rows of the first panel, the columns where there is room; return a note."""
    n_tasks = len(texts)
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
    # The longest label first: its width decides how much is left for the square panels.
    axes[0].set_yticks([0], [max(texts, key=len)], fontsize=FONT_SIZE)
    n_fit = rows_that_fit(panel_height(axes[0]), FONT_SIZE)
    shown = thin(n_tasks, n_fit)
    for ax in axes:
        if n_tasks <= min(n_fit, MAX_COLUMN_LABELS):
            ax.set_xticks(
                range(n_tasks),
                texts,
                fontsize=FONT_SIZE,
                rotation=45 if max(map(len, texts)) > 3 else 0,
                ha="right" if max(map(len, texts)) > 3 else "center",
                rotation_mode="anchor",
            )
        else:
            ax.set_xlabel("tasks in the order of the rows", fontsize=8)
    axes[0].set_yticks(shown, [texts[i] for i in shown], fontsize=FONT_SIZE)
    return tell_thinning(f"{n_tasks} tasks, similar tasks side by side", shown, n_tasks)
