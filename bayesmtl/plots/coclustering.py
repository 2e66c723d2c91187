"""Heat maps of how often tasks are in the same cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmtl.frames.opening import count_text
from bayesmtl.plots.common import (
    INK,
    LINE_HEIGHT,
    POINT,
    panel_height,
    rows_that_fit,
    tell_thinning,
    thin,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmtl.plots.blocks import Block

__all__ = ["draw_blocks", "draw_pairs"]

FONT_SIZE = 7.0
LETTER_SIZE = 9.0
MAX_ROWS = 30  # blocks in the map of very many tasks
MAX_ROWS_WITH_NUMBERS = 10


def _draw_map(ax: Axes, cells: NDArray[np.float64], title: str) -> None:
    """Draw probabilities with their colour bar."""
    from matplotlib import colormaps

    colours = colormaps["YlGnBu"].with_extremes(bad="#BBBBBB")
    image = ax.imshow(cells, cmap=colours, vmin=0.0, vmax=1.0)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("posterior probability of being in the same cluster", fontsize=8)
    ax.set_title(title, fontsize=11)
    ax.set_xticks([])


def draw_pairs(
    ax: Axes, together: NDArray[np.float64], blocks: list[Block], texts: list[str]
) -> str:
    """Draw the matrix of all pairs of tasks with the blocks framed.

    Parameters
    ----------
    ax
        Its figure has everything else already: the labels get the room that is left.
    together : (task, task)
        Probabilities.
    blocks
        Members give the order of the tasks.
    texts : (task,)
        Labels.

    Returns
    -------
    str
        A note on what is written.
    """
    from matplotlib.patches import Rectangle

    order = np.concatenate([block.members for block in blocks])
    n_tasks = len(order)
    cells = together[np.ix_(order, order)]
    np.fill_diagonal(cells, np.nan)
    _draw_map(ax, cells, "Which tasks cluster together")
    sizes = np.array([len(block.members) for block in blocks])
    starts = np.cumsum(sizes) - sizes
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        corner = (start - 0.5, start - 0.5)
        ax.add_patch(Rectangle(corner, size, size, fill=False, ec=POINT, lw=1.3, clip_on=False))
    # The longest label first: its width decides how much is left for the square.
    ax.set_yticks([0], [max(texts, key=len)], fontsize=FONT_SIZE)
    right = ax.secondary_yaxis("right")
    right.tick_params(length=0, labelcolor=POINT)
    right.set_yticks([0], [blocks[-1].letter], fontsize=LETTER_SIZE)
    height = panel_height(ax)
    shown = thin(n_tasks, rows_that_fit(height, FONT_SIZE))
    ax.set_yticks(shown, [texts[order[i]] for i in shown], fontsize=FONT_SIZE)
    centers = starts + (sizes - 1) / 2
    lettered = _keep_apart(centers, LINE_HEIGHT * LETTER_SIZE / 72 * n_tasks / height)
    right.set_yticks(centers[lettered], [blocks[i].letter for i in lettered], fontsize=LETTER_SIZE)
    told = f"{count_text(n_tasks, 'task')} in {count_text(len(blocks), 'cluster')}"
    return tell_thinning(told, shown, n_tasks)


def _keep_apart(places: NDArray[np.float64], distance: float) -> list[int]:
    """Choose, from the first on, the increasing places that are at least so far apart."""
    kept: list[int] = []
    for i, place in enumerate(places.tolist()):
        if not kept or place - places[kept[-1]] >= distance:
            kept.append(i)
    return kept


def draw_blocks(
    ax: Axes, together: NDArray[np.float64], blocks: list[Block], texts: list[str]
) -> str:
    """Draw the matrix of the largest blocks.

    Parameters
    ----------
    ax
        Where to draw.
    together : (block, block)
        Probabilities, NaN on the diagonal for a block of one task.
    blocks
        Their titles name the rows.
    texts : (task,)
        Labels.

    Returns
    -------
    str
        A note on what is shown.
    """
    rows = min(len(blocks), MAX_ROWS)
    cells = together[:rows, :rows]
    _draw_map(ax, cells, "Which clusters hold together")
    ax.set_yticks(range(rows), [block.title for block in blocks[:rows]], fontsize=FONT_SIZE)
    if rows <= MAX_ROWS_WITH_NUMBERS:
        for row, column in np.argwhere(np.isfinite(cells)).tolist():
            ink = "white" if cells[row, column] > 0.6 else INK
            text = f"{cells[row, column]:.2f}"
            ax.text(column, row, text, ha="center", va="center", fontsize=FONT_SIZE, color=ink)
    which = "all" if rows == len(blocks) else f"the {rows} largest"
    return (
        f"{count_text(len(texts), 'task')} in {count_text(len(blocks), 'cluster')}, of which the "
        f"map shows {which}: mean probability over the pairs of their tasks (pairs are not stored "
        "for so many tasks)."
    )
