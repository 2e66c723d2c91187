"""Functions of the tasks over their data: curves with bands, or maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.frames.labels import label_text, label_texts
from bayesmtl.frames.opening import count_text
from bayesmtl.plots.common import (
    INK,
    POINT,
    POSTERIOR,
    drawn_labels,
    new_figure,
    quiet_glyphs,
    write_note,
)
from bayesmtl.plots.function_values import (
    FunctionData,
    held_points,
    predict_points,
    read_functions,
)
from bayesmtl.posterior.access import require_fit

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

__all__ = ["plot_functions"]

_POINTS, _CELLS = 120, 30
_COLUMNS = 4
_FAINT = "#C9C4BC"
_MOST_DOTS = 600
_MOST_RATIO = 5.0  # of a common range of colours to that of one task


@quiet_glyphs()
def plot_functions(
    idata: xr.DataTree,
    data: Any = None,
    *,
    tasks: Sequence[Any] | None = None,
    input: str | None = None,
    ci_prob: float = 0.9,
    random_seed: int | None = 0,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the function of each task: mean and interval of the expected response over its data.

    The rows of the other tasks stand behind in grey, moved and scaled to the units of the task, so
    that it can be seen what a task with few rows leans on. Of two inputs the mean is a map, with
    the rows of the task in the colours of their response; all maps have the same colours where they
    would leave each of them a fifth of the range. Counts out of trials or exposure are drawn as
    shares or rates.

    Parameters
    ----------
    idata
        Fit of `bayesmtl.MultiTaskGP`, or of a linear model, whose curves are drawn over the columns
        of its basis terms.
    data
        Rows of tasks of the fit in long format. A linear model needs them, and a formula that
        computes inputs: fits hold what was computed. By default the rows of the fit.
    tasks
        Labels; by default the 12 with the most rows, in the order of the fit.
    input
        Over which input to draw a curve, the others at their medians over the rows of the task,
        categories at their commonest level; by default the only input, or a map of two. Those of
        basis terms count where there are any.
    ci_prob
        Probability of the interval, of equal tails.
    random_seed
        Of the draws that the interval is made from.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        For a task or input that the fit does not have, and as `bayesmtl.predict`.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For graphs, levels and tasks of different kinds, more than two inputs without `input`, and
        computed inputs without `data`.
    """
    require_fit(idata, "posterior", "constant_data", "observed_data")
    rows = read_functions(idata, data)
    chosen = _choose_tasks(rows, tasks)
    drawn = _choose_inputs(rows, input)
    n_columns = min(_COLUMNS, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    size = figsize or (max(3.1 * n_columns, 4.5), 2.6 * n_rows + 0.6)
    figure, axes = new_figure(n_rows, n_columns, size)
    texts = drawn_labels(rows.labels)
    name = drawn_labels([rows.what])[0]
    shown = axes.ravel()[: len(chosen)]
    for ax in axes.ravel()[len(chosen) :]:
        ax.set_visible(False)
    if len(drawn) == 2:
        bars = _draw_maps(shown, idata, rows, chosen, drawn, random_seed)
        for bar in bars:
            bar.set_label(name, fontsize=8)
    for panel, (ax, task) in enumerate(zip(shown, chosen, strict=True)):
        if len(drawn) == 1:
            _draw_curve(ax, idata, rows, task, drawn[0], (ci_prob, random_seed))
            if panel % n_columns == 0:
                ax.set_ylabel(name, fontsize=8)
        count = count_text(int((rows.task == task).sum()), "row")
        ax.set_title(f"{texts[task]} ({count})", fontsize=9)
        ax.tick_params(labelsize=7)
    left_out = len(rows.labels) - len(chosen)
    write_note(figure, [_reading(rows, drawn, ci_prob, left_out)])
    return figure


def _reading(data: FunctionData, drawn: list[int], ci_prob: float, left_out: int) -> str:
    others = [name for j, name in enumerate(data.inputs) if j not in drawn]
    parts = [f"the median of {', '.join(others)}"] if others else []
    if len(data.held.columns):
        parts.append(f"the commonest {', '.join(map(str, data.held.columns))}")
    held = f" at {' and '.join(parts)} of the task" if parts else ""
    rest = [*others, *map(str, data.held.columns)]
    whatever = f" (whatever their {', '.join(rest)})" if rest else ""
    if len(drawn) == 2:
        what = (
            f"How to read: colour is the posterior mean of the expected response{held}; dots are "
            f"the rows of the task{whatever} in the colours of their response."
        )
    else:
        units = "" if data.scale is None else " in its units"
        what = (
            f"How to read: line and band are the posterior mean and the {ci_prob:.0%} interval of "
            f"the expected response{held}; dots are the rows of the task{whatever}, grey dots "
            f"those of the others{units}, where they fall into the picture."
        )
    more = f" {count_text(left_out, 'more task')}: choose with tasks=." if left_out else ""
    return what + more


def _choose_tasks(data: FunctionData, tasks: Sequence[Any] | None) -> list[int]:
    labels = label_texts(data.labels)
    if tasks is None:
        return data.most_told.tolist()
    unknown = [task for task in tasks if label_text(task) not in labels]
    if unknown or not len(tasks):
        raise InvalidDataError(
            f"tasks= must name tasks of the fit, got {(unknown[0] if unknown else tasks)!r}; they "
            f"are {', '.join(map(str, labels[:5]))}{', ...' if len(labels) > 5 else ''}"
        )
    return [labels.index(label_text(task)) for task in tasks]


def _choose_inputs(data: FunctionData, name: str | None) -> list[int]:
    """Places of the input of a curve, or of the two of a map."""
    if not data.drawn:
        raise UnsupportedError(
            "the formula has no column of numbers to draw functions over: use "
            "bm.plot_weights(idata)"
        )
    if name is None and len(data.drawn) > 2:
        raise UnsupportedError(
            f"functions of {len(data.drawn)} inputs are drawn over one of them: choose with "
            f"input=, one of {', '.join(data.drawn)}"
        )
    if name is not None and name not in data.inputs:
        why = "holds no numbers" if name in data.held.columns else "is no input of the fit"
        raise InvalidDataError(f"input={name!r} {why}; inputs are {', '.join(data.inputs)}")
    return [data.inputs.index(one) for one in (data.drawn if name is None else [name])]


def _draw_curve(
    ax: Axes,
    idata: xr.DataTree,
    data: FunctionData,
    task: int,
    axis: int,
    drawn: tuple[float, int | None],
) -> None:
    mine = data.task == task
    points = held_points(data, task, _POINTS)
    points[:, axis] = np.linspace(
        data.features[:, axis].min(), data.features[:, axis].max(), _POINTS
    )
    found = predict_points(idata, data, task, points, *drawn)
    behind = np.flatnonzero(~mine)
    behind = behind[:: max(1, len(behind) // _MOST_DOTS)]
    moved = _in_units(data, task)
    ax.plot(data.features[behind, axis], moved[behind], ".", color=_FAINT, markersize=3, zorder=1)
    x = points[:, axis]
    ax.fill_between(x, found["lower"], found["upper"], color=POSTERIOR, alpha=0.22, lw=0, zorder=2)
    ax.plot(x, found["mean"], color=POSTERIOR, lw=1.6, zorder=3)
    own = np.flatnonzero(mine)
    own = own[:: max(1, len(own) // _MOST_DOTS)]
    ax.plot(data.features[own, axis], data.response[own], "o", color=POINT, markersize=3, zorder=4)
    ax.set_xlabel(data.inputs[axis], fontsize=8)
    shown = [data.response[own], found["lower"], found["upper"]]
    low, high = min(map(np.min, filter(len, shown))), max(map(np.max, filter(len, shown)))
    margin = 0.08 * (high - low) or 1.0
    if data.bounds is not None:
        (low, high), margin = data.bounds, 0.05
    ax.set_ylim(low - margin, high + margin)


def _in_units(data: FunctionData, task: int) -> np.ndarray:
    """Responses (row,) moved from the level and scale of their task to those of another."""
    if data.scale is None:
        return data.response
    counts = np.bincount(data.task, minlength=len(data.labels))
    sums = np.bincount(data.task, data.response, minlength=len(data.labels))
    center = np.where(counts > 0, sums / np.maximum(counts, 1), data.response.mean())
    standard = (data.response - center[data.task]) / data.scale[data.task]
    return np.asarray(center[task] + data.scale[task] * standard)


def _draw_maps(
    axes: np.ndarray,
    idata: xr.DataTree,
    data: FunctionData,
    chosen: list[int],
    drawn: list[int],
    random_seed: int | None,
) -> list[Colorbar]:
    """Draw the maps of tasks, in the colours of one scale where each has enough of it."""
    names = tuple(data.inputs[place] for place in drawn)
    flat = data._replace(features=data.features[:, drawn], inputs=names)
    low, high = flat.features.min(axis=0), flat.features.max(axis=0)
    grid = (np.linspace(low[0], high[0], _CELLS), np.linspace(low[1], high[1], _CELLS))
    cells = np.stack([part.ravel() for part in np.meshgrid(*grid)], axis=1)
    means = []
    for task in chosen:
        points = held_points(data, task, len(cells))
        points[:, drawn] = cells
        found = predict_points(idata, data, task, points, 0.9, random_seed)
        means.append(found["mean"].to_numpy())
    limits = np.array(
        [
            np.quantile(np.concatenate([mean, data.response[data.task == task]]), [0.01, 0.99])
            for task, mean in zip(chosen, means, strict=True)
        ]
    )
    whole = np.array([limits[:, 0].min(), limits[:, 1].max()])
    common = bool(np.ptp(whole) <= _MOST_RATIO * np.ptp(limits, axis=1).min())
    meshes = [
        _draw_map(ax, flat, task, grid, mean, whole if common else own)
        for ax, task, mean, own in zip(axes, chosen, means, limits, strict=True)
    ]
    bars = []
    for mesh, ax in [(meshes[0], axes.tolist())] if common else zip(meshes, axes, strict=True):
        room = {"fraction": 0.02, "pad": 0.01} if common else {"fraction": 0.046, "pad": 0.03}
        bars.append(axes[0].figure.colorbar(mesh, ax=ax, **room))
        bars[-1].ax.tick_params(labelsize=7)
    return bars


def _draw_map(
    ax: Axes,
    data: FunctionData,
    task: int,
    grid: tuple[np.ndarray, np.ndarray],
    mean: np.ndarray,
    limits: np.ndarray,
) -> QuadMesh:
    across, up = grid
    mine = data.task == task
    mesh = ax.pcolormesh(
        across,
        up,
        mean.reshape(_CELLS, _CELLS),
        cmap="viridis",
        vmin=limits[0],
        vmax=limits[1],
        shading="gouraud",
    )
    ax.scatter(
        data.features[mine, 0],
        data.features[mine, 1],
        c=data.response[mine],
        s=9,
        cmap="viridis",
        vmin=limits[0],
        vmax=limits[1],
        edgecolors=INK,
        linewidths=0.3,
    )
    ax.set_aspect("equal" if _alike(np.ptp(np.array(grid), axis=1)) else "auto")
    ax.set_xlabel(data.inputs[0], fontsize=8)
    ax.set_ylabel(data.inputs[1], fontsize=8)
    return mesh


def _alike(ranges: np.ndarray) -> bool:
    """Whether two inputs look like coordinates in one unit."""
    return bool(ranges.min() > 0.5 * ranges.max())
