"""Which tasks cluster together, into how many clusters, and how the clusters differ."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.plots.blocks import Block, block_weights, coclustering_of_blocks, read_blocks
from bayesmtl.plots.coclustering import draw_blocks, draw_pairs
from bayesmtl.plots.common import (
    POINT,
    POSTERIOR,
    drawn_labels,
    get_group,
    linear_group,
    quiet_glyphs,
    shorten,
    write_note,
)
from bayesmtl.plots.estimates import choose_names
from bayesmtl.posterior.access import common_units
from bayesmtl.posterior.clusters import n_clusters_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["plot_clusters"]

FONT_SIZE = 7.0
MAX_BLOCKS = 12  # of which the weights are drawn
NEGLIGIBLE = 0.002  # probability of a number of clusters beyond which the axis ends
READING = (
    "The clusters are those of the partition that is closest to all draws (least expected "
    "variation of information), the largest first; their letters name them in this figure only."
)
READING_PAIRS = (
    "They are framed: what is dark outside the frames, or pale inside, the data do not settle."
)


@quiet_glyphs()
def plot_clusters(
    idata: xr.DataTree,
    *,
    features: str | Sequence[str] | None = None,
    max_features: int = 4,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw which tasks cluster together, the number of clusters, and what sets them apart.

    Left: the posterior probability that two tasks are in one cluster; the tasks are in the order
    of the optimal partition, whose clusters are framed. Above: the posterior of the number of
    clusters beside its prior. Below: for each cluster of the optimal partition the posterior of
    the average weights of its members, mean and 90% interval. Nothing depends on the labels that
    clusters have in the draws.

    Parameters
    ----------
    idata
        Result of `model.fit`; reads ``clusters``, ``task_relations``, ``posterior`` and
        ``constant_data``.
    features
        Features to show, in this order. By default those that differ most between the clusters,
        in standard deviations of the feature.
    max_features
        Largest number of features when `features` is not given.
    figsize
        Width and height in inches; more room shows more task labels.

    Returns
    -------
    matplotlib.figure.Figure
        The matrix, the number of clusters, one axes per feature, a colour bar. Above 2,000
        tasks the matrix is that of the clusters of the optimal partition.

    Raises
    ------
    InvalidDataError
        If a group or a feature is missing, or `max_features` is not positive.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For a fit of graphs; if the relation of the model has no clusters.
    """
    posterior, relations = (
        linear_group(idata, name, "bm.plot_clusters") for name in ("posterior", "task_relations")
    )
    if "clusters" not in idata.children or "partition" not in relations:
        raise UnsupportedError(_no_clusters(idata))
    if max_features < 1:
        raise InvalidDataError(f"max_features={max_features} must be at least 1.")
    clusters, blocks = get_group(idata, "clusters"), read_blocks(relations)
    shown = blocks[:MAX_BLOCKS]
    names = [str(name) for name in clusters["feature"].to_numpy()]
    posterior, constant = common_units(posterior, get_group(idata, "constant_data"))
    draws = block_weights(posterior, clusters, shown)
    means = draws.mean(axis=0) * np.asarray(constant.get("feature_scale", 1.0))
    ranked = _most_different(means, names, max_features)
    chosen = ranked if features is None else choose_names(features, names)
    texts = drawn_labels(relations["task"].to_numpy())
    sizes = _sizes(figsize, len(chosen), blocks, texts)
    figure, matrix, number, weights = _new_figure(sizes, len(chosen))
    _draw_number(number, relations)
    _draw_weights(weights, draws, shown, dict(zip(chosen, map(names.index, chosen), strict=True)))
    dense = "coclustering" in relations
    hidden = _hidden(len(chosen), len(names), features is None, len(blocks))
    notes = [f"{READING} {READING_PAIRS}" if dense else READING, *hidden]
    if "weights" not in posterior:
        notes.append("The weights are not stored: the means of the tasks' clusters are averaged.")
    write_note(figure, [*notes, " "])  # takes its room before the labels are counted
    if dense:
        last = draw_pairs(matrix, relations["coclustering"].to_numpy(), blocks, texts)
    else:
        last = draw_blocks(matrix, coclustering_of_blocks(clusters, relations), blocks, texts)
    write_note(figure, [*notes, last])
    return figure


def _no_clusters(idata: xr.DataTree) -> str:
    """Say why there are no clusters, and what to use instead."""
    relation = json.loads(idata.attrs.get("model", "{}")).get("relation", {}).get("type")
    whose = f"of this fit, {relation}," if relation else "of this fit"
    return (
        f"There are no clusters to plot: the relation {whose} does not sort the tasks into "
        "clusters. Use bm.plot_task_relations(idata), or fit with relation=bm.DirichletProcess()."
    )


def _most_different(means: NDArray[np.float64], names: list[str], limit: int) -> list[str]:
    """Choose features by the spread of the standardised means (block, feature) of the blocks."""
    order = np.argsort(-means.std(axis=0), kind="stable")[:limit]
    return [names[i] for i in order]


class Sizes(NamedTuple):
    """Width and height of the figure and widths of its parts, in inches."""

    figure: tuple[float, float]
    matrix: float  # without labels and colour bar
    weights: float  # with labels


def _sizes(
    figsize: tuple[float, float] | None, n_features: int, blocks: list[Block], texts: list[str]
) -> Sizes:
    """Return sizes that keep the matrix and the intervals readable."""
    titles = [block.title for block in blocks[:MAX_BLOCKS]]
    left, right = (max(map(len, t)) * FONT_SIZE * 0.55 / 72 for t in (texts, titles))
    matrix = float(np.clip(0.17 * len(texts), 4.4, 6.6))
    if figsize is None:
        weights = right + max(4.0, 1.7 * n_features)
        return Sizes((left + matrix + 2.2 + weights, matrix + 1.7), matrix, weights)
    # The matrix is square: it can use no more width than height.
    matrix = max(figsize[1] - 1.7, 0.2 * figsize[0])
    return Sizes(figsize, matrix, max(figsize[0] - left - matrix - 1.4, right + 1.0))


def _new_figure(sizes: Sizes, n_features: int) -> tuple[Figure, Axes, Axes, list[Axes]]:
    """Make the matrix at the left, the number of clusters above the weights at the right."""
    from matplotlib import pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
    figure = plt.figure(figsize=sizes.figure, layout=layout)
    outer = figure.add_gridspec(1, 2, width_ratios=(sizes.matrix, sizes.weights))
    inner = outer[0, 1].subgridspec(2, n_features, height_ratios=(1.0, 1.2))
    matrix, number = figure.add_subplot(outer[0, 0]), figure.add_subplot(inner[0, :])
    first = figure.add_subplot(inner[1, 0])
    rest = [figure.add_subplot(inner[1, i], sharey=first) for i in range(1, n_features)]
    return figure, matrix, number, [first, *rest]


def _draw_number(ax: Axes, relations: xr.Dataset) -> None:
    """Draw the distribution of the number of clusters beside its prior."""
    from matplotlib.ticker import MaxNLocator

    table = relations["n_clusters_probability"].transpose("n_clusters_value", "distribution")
    values = table["n_clusters_value"].to_numpy()
    posterior, prior = (table.sel(distribution=d).to_numpy() for d in ("posterior", "prior"))
    last = int(np.flatnonzero(np.maximum(posterior, prior) > NEGLIGIBLE).max()) + 1
    median, low, high = n_clusters_interval(relations, "posterior")
    label = f"posterior: {median} (90% {low} to {high})"
    bars = ax.bar(values[:last], posterior[:last], color=POSTERIOR, alpha=0.8, label=label)
    median, low, high = n_clusters_interval(relations, "prior")
    style: dict[str, Any] = {"color": POINT, "lw": 1.0, "marker": "o", "ms": 4, "mfc": "white"}
    label = f"prior: {median} ({low} to {high})"
    (line,) = ax.plot(values[:last], prior[:last], **style, label=label)
    ax.set_title("Number of clusters", fontsize=11, pad=20)
    ax.set_ylabel("probability", fontsize=8)
    ax.set_ylim(bottom=0)
    ax.set_xlim(0.4, last + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    ax.tick_params(labelsize=8)
    ax.legend(
        handles=[bars, line],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        fontsize=8,
        frameon=False,
    )


def _draw_weights(
    axes: list[Axes], draws: NDArray[np.float64], blocks: list[Block], chosen: dict[str, int]
) -> None:
    """Draw the posterior of the blocks' average weights, one feature in each axes."""
    from matplotlib.ticker import MaxNLocator

    place = np.arange(len(blocks))
    for ax, (name, index) in zip(axes, chosen.items(), strict=True):
        values = draws[:, :, index]
        low, high = np.quantile(values, (0.05, 0.95), axis=0)
        ax.hlines(place, low, high, color=POSTERIOR, lw=3, alpha=0.4)
        ax.plot(values.mean(axis=0), place, "o", color=POSTERIOR, ms=4)
        title = textwrap.fill(shorten(name, 36), 18).replace("$", r"\$")
        ax.set_xlabel(title, fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.tick_params(axis="x", labelsize=8)
        ax.tick_params(axis="y", labelleft=ax is axes[0], length=0)
        ax.grid(axis="x", color="#DDDDDD", lw=0.5)
        ax.set_axisbelow(True)
    axes[0].set_yticks(place, [block.title for block in blocks], fontsize=FONT_SIZE)
    axes[0].set_ylim(len(blocks) - 0.4, -0.6)
    axes[0].set_title("Average weights, 90% intervals", loc="left", fontsize=11)


def _hidden(n_chosen: int, n_names: int, automatic: bool, n_blocks: int) -> list[str]:
    """Say what is not shown."""
    notes = []
    if automatic and n_chosen < n_names:
        notes.append(
            f"{n_chosen} of {n_names} features: those that differ most between the clusters "
            "(features= chooses others)."
        )
    if n_blocks > MAX_BLOCKS:
        notes.append(f"Average weights of the {MAX_BLOCKS} largest of {n_blocks} clusters.")
    return notes
