"""Graphs of variables, or of tasks: who is linked with whom, how surely, and with which sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.labels import label_text, label_texts
from bayesmtl.plots.common import (
    INK,
    POINT,
    POSTERIOR,
    drawn_labels,
    get_group,
    given_structure,
    new_figure,
    order_by_similarity,
    quiet_glyphs,
    write_note,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_graphs", "place_nodes", "plot_graph"]

MOST_NODES = 30  # drawn as a graph; more as a matrix
SHOWN = 0.5  # least probability of an edge that is drawn
MOST_PANELS_IN_A_ROW = 4
MOST_LABELS = 60  # of a matrix
WIDEST = 4.5  # points


class Panel(NamedTuple):
    """One graph to draw."""

    title: str
    probability: NDArray[np.float64]  # (node, node)
    partial: NDArray[np.float64]  # (node, node)


@quiet_glyphs()
def plot_graph(
    idata: xr.DataTree,
    task: Any = None,
    *,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw which nodes are linked given all others, a panel a task.

    The wider a line the more probable the edge; edges below a probability of 0.5 are left out. Blue
    is a positive partial correlation, orange and dashed a negative one. The nodes stand in the same
    places in all panels. More than 30 nodes are drawn as a matrix: below the diagonal edge
    probabilities, above it partial correlations.

    Parameters
    ----------
    idata
        Result of `fit` of a model with graphs: `MultiTaskGraphicalModel`, where each task has a
        graph of variables, or a model whose tasks are the nodes of one graph.
    task
        Label of one task, or a list of labels; all by default.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        If the fit has no graphs, or no such task.
    InvalidTypeError
        If `idata` is not a DataTree.
    """
    relations = get_group(idata, "task_relations")
    if "edge_probability" not in relations:
        given = given_structure(relations)
        raise InvalidDataError(
            f"there is no graph to draw: the {given} of this fit was given and is not estimated; "
            "relation=bm.SparseGraph() learns a graph of the tasks"
            if given
            else "the fit has no graphs: they come from bm.MultiTaskGraphicalModel(...), or from "
            "relation=bm.SparseGraph(), which learn them"
        )
    probability = relations["edge_probability"]
    partial = relations["partial_correlation"]
    if "statistic" in partial.dims:
        partial = partial.sel(statistic="mean")
    nodes = "node" if "node" in probability.dims else "task"
    pair = (nodes, f"{nodes}_bis")
    texts = drawn_labels(probability[nodes].to_numpy())
    if nodes == "task":
        if task is not None:
            raise InvalidDataError("task= chooses a panel, and here the tasks are the nodes")
        chance, mean = (x.transpose(*pair).to_numpy() for x in (probability, partial))
        panels = [Panel("", chance, mean)]
    else:
        chance, mean = (x.transpose("task", *pair).to_numpy() for x in (probability, partial))
        titles = drawn_labels(probability["task"].to_numpy())
        places = _choose(probability["task"].to_numpy(), task)
        panels = [Panel(titles[g], chance[g], mean[g]) for g in places]
    prior = relations.get("prior_edge_probability")
    return draw_graphs(
        texts, panels, prior=None if prior is None else prior.to_numpy(), size=figsize
    )


def _choose(labels: NDArray[Any], task: Any) -> list[int]:
    """Places of the tasks that are asked for."""
    if task is None:
        return list(range(len(labels)))
    known = label_texts(labels)
    wanted = task if isinstance(task, list | tuple) else [task]
    for label in wanted:
        if label_text(label) not in known:
            some = ", ".join(repr(item) for item in labels.tolist()[:8])
            raise InvalidDataError(f"task={label!r} is not in the fit; its tasks are {some}")
    return [known.index(label_text(label)) for label in wanted]


def draw_graphs(
    texts: list[str],
    panels: list[Panel],
    *,
    prior: NDArray[np.float64] | None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Draw graphs of the same nodes side by side.

    Parameters
    ----------
    texts : (node,)
        Labels.
    panels
        Their edge probabilities and partial correlations.
    prior
        Edge probability before the data, one number or a matrix (node, node).
    size
        Width and height in inches.
    """
    n_nodes = len(texts)
    columns = min(len(panels), MOST_PANELS_IN_A_ROW)
    rows = -(-len(panels) // columns)
    side = 4.2 if n_nodes <= MOST_NODES else 5.5
    side = min(side, 16.0 / columns) if columns > 1 else side + 1.5
    figure, axes = new_figure(
        rows, columns, size or (side * columns + 0.3, (side + 0.3) * rows + 0.7)
    )
    for ax in axes.ravel()[len(panels) :]:
        ax.set_axis_off()
    as_graph = n_nodes <= MOST_NODES
    average = np.mean([panel.probability for panel in panels], axis=0)
    places = place_nodes(average) if as_graph else np.empty((0, 2))
    order = np.arange(n_nodes) if as_graph else order_by_similarity(1.0 - average)
    for panel, ax in zip(panels, axes.ravel(), strict=False):
        if as_graph:
            _draw_graph(ax, panel, places, texts)
        else:
            _draw_matrix(ax, panel, order, texts)
        ax.set_title(panel.title, fontsize=11, color=INK)
    unlinked = _say_unlinked(texts, panels) if as_graph else ""
    write_note(figure, [_note(as_graph), unlinked, _prior_text(prior)])
    return figure


def _say_unlinked(texts: list[str], panels: list[Panel]) -> str:
    """Say in words that there are no lines, and which pair comes nearest to one."""
    if len(texts) < 2:
        return ""
    row, column = np.tril_indices(len(texts), k=-1)
    chance = np.array([panel.probability[row, column] for panel in panels])
    if (chance > SHOWN).any():
        return ""
    place, pair = np.unravel_index(int(chance.argmax()), chance.shape)
    where = f" in {panels[place].title}" if panels[place].title else ""
    return (
        f"No pair has an edge of probability above {SHOWN}; the surest is "
        f"{texts[column[pair]]} and {texts[row[pair]]}{where}: {chance.max():.2f}."
    )


def _note(as_graph: bool) -> str:
    if as_graph:
        return (
            "Lines: edges of a posterior probability above 0.5, the wider the surer (full width: "
            "1). Blue: positive partial correlation, orange and dashed: negative."
        )
    return (
        "Below the diagonal: probability of an edge (white 0, black 1). Above it: mean partial "
        "correlation (purple positive, orange negative). Linked nodes stand side by side."
    )


def _prior_text(prior: NDArray[np.float64] | None) -> str:
    if prior is None:
        return ""
    values = np.asarray(prior, dtype=float)
    if values.ndim == 2:
        values = values[np.tril_indices(len(values), k=-1)]
    low, high = float(np.min(values)), float(np.max(values))
    text = f"{low:.2f}" if high - low < 0.01 else f"{low:.2f} to {high:.2f}"
    return f"Before the data an edge has the probability {text}."


def place_nodes(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (node, 2) in which linked nodes are near, the same for every panel."""
    import networkx as nx

    n_nodes = len(probability)
    if n_nodes < 3:
        return np.column_stack([np.arange(n_nodes, dtype=float), np.zeros(n_nodes)])
    # Distances along probable edges; hardly linked nodes are far, but not infinitely.
    distance = 1.0 / (0.08 + np.clip(probability, 0.0, 1.0))
    graph = nx.from_numpy_array(distance - np.diag(np.diag(distance)))
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph))
    start = nx.circular_layout(graph)
    # Kamada-Kawai from a circle has no random start: the same fit gives the same picture.
    found = nx.kamada_kawai_layout(graph, dist=lengths, pos=start)
    places = np.array([found[i] for i in range(n_nodes)])
    return _spread(places)


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push nodes apart that would hide each other."""
    places = places / np.abs(places).max()
    least = 1.5 / np.sqrt(len(places))
    for _ in range(200):
        step = places[:, None] - places[None]
        length = np.sqrt((step**2).sum(axis=2)) + np.eye(len(places))
        push = np.clip(least - length, 0.0, None) / length
        np.fill_diagonal(push, 0.0)
        if push.max() < 1e-3:
            break
        places = places + 0.25 * (push[:, :, None] * step).sum(axis=1)
    return places / np.abs(places).max()


def _draw_graph(ax: Axes, panel: Panel, places: NDArray[np.float64], texts: list[str]) -> None:
    """Draw nodes and probable edges."""
    n_nodes = len(texts)
    ax.set_axis_off()
    for i, j in zip(*np.tril_indices(n_nodes, k=-1), strict=True):
        chance = float(panel.probability[i, j])
        if chance <= SHOWN:
            continue
        positive = panel.partial[i, j] >= 0
        ax.plot(
            *places[[i, j]].T,
            color=POSTERIOR if positive else POINT,
            lw=0.4 + (WIDEST - 0.4) * (chance - SHOWN) / (1.0 - SHOWN),
            ls="-" if positive else (0, (2.2, 1.1)),
            solid_capstyle="round",
            zorder=1,
        )
    font = 9.0 if n_nodes <= 12 else 7.5 if n_nodes <= 20 else 6.5
    for place, text in zip(places, texts, strict=True):
        ax.text(
            place[0],
            place[1],
            text if len(text) <= 14 else f"{text[:12]}…",
            ha="center",
            va="center",
            fontsize=font,
            color=INK,
            zorder=2,
            bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": INK, "lw": 0.7},
        )
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 0.5)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _draw_matrix(ax: Axes, panel: Panel, order: NDArray[np.int64], texts: list[str]) -> None:
    """Draw edge probabilities below the diagonal, partial correlations above it."""
    from matplotlib import colormaps

    n_nodes = len(order)
    chance = panel.probability[np.ix_(order, order)]
    partial = panel.partial[np.ix_(order, order)]
    below = np.tri(n_nodes, k=-1, dtype=bool)
    largest = max(float(np.abs(partial[below]).max()), 0.1)
    for cells, where, colours, limits, label in (
        (chance, below, "Greys", (0.0, 1.0), "edge probability"),
        (partial, below.T, "PuOr", (-largest, largest), "partial correlation"),
    ):
        shown = np.where(where, cells, np.nan)
        colourmap = colormaps[colours].with_extremes(bad=(0, 0, 0, 0))
        image = ax.imshow(shown, cmap=colourmap, vmin=limits[0], vmax=limits[1])
        bar = ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    step = max(1, -(-n_nodes // MOST_LABELS))
    ticks = np.arange(0, n_nodes, step)
    ax.set_xticks([])
    ax.set_yticks(ticks, [texts[order[i]] for i in ticks], fontsize=5.5)
