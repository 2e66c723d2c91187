"""How much the tasks share, and how much each of them borrows from the others."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmtl.errors import InvalidDataError
from bayesmtl.plots.common import (
    POINT,
    POSTERIOR,
    drawn_labels,
    get_group,
    linear_group,
    new_figure,
    quiet_glyphs,
    state,
    thin,
)
from bayesmtl.plots.placing import place_labels

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["full_sharing", "plot_sharing"]

INTERVAL = (0.05, 0.95)
CONSTANT = 1e-9
TICKS = ("0\nseparate\nestimates", "0.25", "0.5", "0.75")
N_EXTREMES = 3
MAX_NAMED = 30
SLANTED = 11.0  # points: room along the axis of a name at 45 degrees
TITLE_PAD = 24  # points: room for the legend between title and axes


@quiet_glyphs()
def plot_sharing(idata: xr.DataTree, *, figsize: tuple[float, float] | None = None) -> Figure:
    """Draw the posterior of the sharing between tasks beside each task's borrowing.

    Left: density of `sharing` with its mean and 90% interval; 0 means separate estimates and 1
    one common model, or a task that its cluster tells, or that the other tasks tell where they are
    correlated. Right: `borrowing`, the share of a task's estimate that comes from the
    other tasks, with 90% intervals, against the task's number of rows. Where the weights are a sum
    of parts, last: the share of each part in the signal.

    Parameters
    ----------
    idata
        Result of `model.fit`; reads ``posterior`` and ``constant_data``, and from
        ``task_relations`` and ``clusters`` what kind of relation it is.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        One axis for each of the quantities that the fit has.

    Raises
    ------
    InvalidDataError
        If a group is missing, or the posterior has neither quantity.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For a fit of graphs.
    """
    posterior = linear_group(idata, "posterior", "bm.plot_sharing")
    constant = get_group(idata, "constant_data")
    names = [name for name in ("sharing", "borrowing") if name in posterior]
    if not names:
        msg = (
            "The group 'posterior' has neither 'sharing' nor 'borrowing': "
            "pass the object that model.fit returned."
        )
        raise InvalidDataError(msg)
    names += ["variance_share"] if "variance_share" in posterior else []
    size = figsize or (5.0 + 6.0 * (len(names) - 1), 4.4)
    figure, axes = new_figure(1, len(names), size, (1.0, 1.25, 0.9)[: len(names)])
    panels = dict(zip(names, axes[0], strict=True))
    if "sharing" in panels:
        borrows = "borrowing" in posterior and bool((posterior["borrowing"] > 0).any())
        draws = posterior["sharing"].to_numpy().ravel()
        _draw_sharing(panels["sharing"], draws, full_sharing(idata), borrows=borrows)
    if "variance_share" in panels:
        _draw_parts(panels["variance_share"], posterior["variance_share"])
    if "borrowing" in panels:  # last: its names get the room that is left
        borrowing = posterior["borrowing"].transpose("chain", "draw", "task").to_numpy()
        # `sel` would read boolean labels as a mask.
        n_rows = np.asarray(constant["n_rows"].reindex(task=posterior["task"]))
        _draw_borrowing(panels["borrowing"], borrowing, n_rows, posterior["task"].to_numpy())
    return figure


def reflected_density(
    draws: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate a density on [0, 1] with a Gaussian kernel, mirrored at both ends.

    Parameters
    ----------
    draws : (draw,)
        Values in [0, 1] that are not all equal.

    Returns
    -------
    grid, density : (point,)
        The density integrates to one over [0, 1].
    """
    from scipy.stats import gaussian_kde

    kernel = gaussian_kde(draws)
    width = float(np.sqrt(kernel.covariance[0, 0]))
    low, high = max(draws.min() - 4 * width, 0.0), min(draws.max() + 4 * width, 1.0)
    grid = np.linspace(low, high, 400)
    return grid, kernel(grid) + kernel(-grid) + kernel(2.0 - grid)


def full_sharing(idata: xr.DataTree) -> str:
    """Put into words what a sharing of 1 means under the relation of a fit."""
    if "clusters" in idata.children:
        return "told by its cluster"
    if "task_relations" in idata.children and "task_correlation" in idata["task_relations"]:
        return "told by the other tasks"
    return "one common model"


def _draw_sharing(ax: Axes, draws: NDArray[np.float64], full: str, *, borrows: bool) -> None:
    """Draw the density of sharing, or say its value where it does not vary."""
    ax.set_title("How much the tasks share", fontsize=11, pad=TITLE_PAD)
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        state(ax, "Sharing is not defined for this fit.")
        return
    if np.ptp(draws) < CONSTANT:
        state(ax, _say_constant(float(draws[0]), full, borrows=borrows))
        return
    grid, density = reflected_density(draws)
    mean = float(draws.mean())
    low, high = (float(value) for value in np.quantile(draws, INTERVAL))
    inside = (grid >= low) & (grid <= high)
    ax.fill_between(grid, density, color=POSTERIOR, alpha=0.15, lw=0)
    ax.fill_between(
        grid[inside],
        density[inside],
        color=POSTERIOR,
        alpha=0.35,
        lw=0,
        label=f"90% interval {low:.2f} to {high:.2f}",
    )
    ax.plot(grid, density, color=POSTERIOR, lw=1.5)
    ax.axvline(mean, color=POINT, lw=1.5, ls="--", label=f"posterior mean {mean:.2f}")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, float(density.max()) * 1.05)
    ax.set_xticks(np.linspace(0, 1, 5), [*TICKS, "1\n" + textwrap.fill(full, 12)])
    ax.set_yticks([])
    ax.set_ylabel("posterior density")
    ax.set_xlabel("sharing")
    _add_legend(ax)


def _draw_parts(ax: Axes, share: xr.DataArray) -> None:
    """Draw mean and 90% interval of the share of each part of the weights."""
    ax.set_title("What the weights are made of", fontsize=11, pad=TITLE_PAD)
    values = share.transpose("chain", "draw", "part").to_numpy()
    low, high = np.quantile(values, INTERVAL, axis=(0, 1))
    place = np.arange(values.shape[2])[::-1]
    ax.hlines(place, low, high, color=POSTERIOR, lw=2.0, alpha=0.6, label="90% interval")
    ax.plot(values.mean(axis=(0, 1)), place, "o", color=POSTERIOR, label="posterior mean")
    ax.set_yticks(place, drawn_labels(share["part"].to_numpy()))
    ax.set_ylim(-0.6, len(place) - 0.4)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("share of the signal")
    ax.grid(axis="x", color="#E5E5E5", lw=0.5)
    _add_legend(ax)


def _add_legend(ax: Axes) -> None:
    """Write the legend in one line above the axes, where it covers no data."""
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)


def _say_constant(value: float, full: str, *, borrows: bool) -> str:
    """Put a sharing that the model fixes into words."""
    if abs(value) < CONSTANT and borrows:
        return (
            "Sharing is 0 in every draw: the mean of the weights is fixed, so no part of the "
            "signal is common. What the tasks share are the scales of their weights."
        )
    if abs(value) < CONSTANT:
        return "Sharing is 0 in every draw: this relation estimates each task separately."
    if abs(value - 1) < CONSTANT and full == "one common model":
        return "Sharing is 1 in every draw: this relation fits one common model to all tasks."
    return f"Sharing is {value:.2f} in every draw (0: separate estimates, 1: {full})."


def _draw_borrowing(
    ax: Axes, draws: NDArray[np.float64], n_rows: NDArray[np.int64], labels: NDArray[Any]
) -> None:
    """Draw each task's borrowing against its number of rows."""
    ax.set_title("How much each task borrows from the others", fontsize=11, pad=TITLE_PAD)
    mean = draws.mean(axis=(0, 1))
    low, high = np.quantile(draws, INTERVAL, axis=(0, 1))
    n_tasks = len(mean)
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks(np.linspace(0, 1, 5), ["0\nnothing", "0.25", "0.5", "0.75", "1\neverything"])
    ax.set_ylabel("borrowing (share of the estimate)")
    ax.grid(color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)
    equal = n_rows.min() == n_rows.max()
    if equal:
        x = _use_rank_axis(ax, mean, int(n_rows[0]), drawn_labels(labels))
    else:
        x = _use_log_axis(ax, n_rows)
    alpha = float(np.clip(20 / n_tasks, 0.15, 0.6))
    ax.vlines(x, low, high, color=POSTERIOR, lw=1.0, alpha=alpha, label="90% interval")
    dots = float(np.clip(300 / n_tasks, 8, 30))
    ax.scatter(x, mean, s=dots, color=POSTERIOR, lw=0, zorder=3, label="posterior mean")
    _add_legend(ax)
    if np.ptp(mean) > 0.01 and not (equal and n_tasks <= MAX_NAMED):
        chosen, texts = name_extremes(x, mean, labels)
        along = np.linspace(low, high, 5).ravel()
        obstacles, points = np.column_stack([np.tile(x, 5), along]), np.column_stack([x, mean])
        place_labels(ax, points[chosen], texts, obstacles, points)


def _use_rank_axis(
    ax: Axes, mean: NDArray[np.float64], rows: int, texts: list[str]
) -> NDArray[np.float64]:
    """Use the rank of the tasks where all have as many rows; return the rank (task)."""
    order = np.argsort(mean, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    each = f"{rows:,} {'row' if rows == 1 else 'rows'}"
    ax.set_xlabel(f"tasks in order of borrowing (each has {each})")
    ax.set_xlim(0.4, len(order) + 0.6)
    if len(order) <= MAX_NAMED:
        width = _panel_width(ax)
        style: dict[str, Any] = {"fontsize": 9}
        shown = np.arange(len(order))
        if max(map(len, texts)) + 1 > width / (0.6 * 9) / len(order):
            style = {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "fontsize": 7}
            shown = thin(len(order), width / SLANTED)
        ax.set_xticks(shown + 1, [texts[i] for i in order[shown]], **style)
    return rank


def _panel_width(ax: Axes) -> float:
    """Return the width of an axes in points, after the layout has been settled."""
    figure = ax.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    return float(ax.get_window_extent().width * 72 / figure.dpi)


def _use_log_axis(ax: Axes, n_rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Use a log axis with few, plain tick labels; return the places of the tasks."""
    low, high = int(n_rows[n_rows > 0].min()), int(n_rows.max())
    steps = (1, 3) if high / low > 50 else (1, 2, 5)
    ticks = [s * 10**p for p in range(10) for s in steps if low * 0.8 <= s * 10**p <= high * 1.25]
    places = {float(tick): f"{tick:,}" for tick in ticks or [low, high]}
    left = float(low)
    if not n_rows.all():  # tasks that the relation names and the data lack
        left = low / 2.0
        places = {left: "none", **{tick: text for tick, text in places.items() if tick >= low}}
    ax.set_xscale("log")
    ax.set_xlim(left / 1.15, high * 1.15)
    ax.set_xticks(list(places), list(places.values()))
    ax.set_xticks([], minor=True)
    ax.set_xlabel("rows of the task (log scale)")
    return np.where(n_rows > 0, n_rows, left)


def name_extremes(
    x: NDArray[np.float64], mean: NDArray[np.float64], labels: NDArray[Any]
) -> tuple[list[int], list[str]]:
    """Choose the tasks that borrow most and least, naming tasks at one point together.

    Parameters
    ----------
    x, mean : (task,)
        Coordinates of the points.
    labels : (task,)
        Task labels.

    Returns
    -------
    chosen, texts
        Positions of the tasks and the text for each.
    """
    names = drawn_labels(labels)
    together: dict[tuple[float, float], list[int]] = {}
    for i in np.argsort(-mean, kind="stable").tolist():
        together.setdefault((float(x[i]), round(float(mean[i]), 2)), []).append(i)
    groups = list(together.values())
    if len(groups) > 2 * N_EXTREMES:
        groups = groups[:N_EXTREMES] + groups[-N_EXTREMES:]
    more = [f" and {len(group) - 1} more" if len(group) > 1 else "" for group in groups]
    return [g[0] for g in groups], [names[g[0]] + m for g, m in zip(groups, more, strict=True)]
