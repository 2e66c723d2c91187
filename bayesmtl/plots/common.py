"""What the plots share: groups of the fit, order of the tasks, labels that fit, colours."""

from __future__ import annotations

import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bayesmtl.frames.labels import label_texts
from bayesmtl.posterior.access import require_fit, require_linear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BAND",
    "INK",
    "POINT",
    "POSTERIOR",
    "difference_unit",
    "drawn_labels",
    "get_group",
    "given_correlations",
    "given_structure",
    "linear_group",
    "new_figure",
    "order_by_similarity",
    "panel_height",
    "quiet_glyphs",
    "rows_that_fit",
    "shorten",
    "shorten_all",
    "state",
    "tell_thinning",
    "thin",
    "write_note",
]

# Okabe-Ito colours: told apart with every common kind of colour blindness.
POSTERIOR = "#0072B2"
POINT = "#D55E00"
BAND = "#E8DFC8"
INK = "#333333"

LINE_HEIGHT = 1.25  # of a row of text, in units of its font size
OPTIMAL_ORDER_LIMIT = 500  # optimal leaf ordering takes 1 s here where tasks lie on a line


def difference_unit(relations: xr.Dataset) -> str:
    """Return what differences of the group ``task_relations`` are given in."""
    return str(relations.attrs.get("difference_unit", "noise standard deviations"))


def given_structure(relations: xr.Dataset) -> str:
    """Return "graph" or "tree" where the relation of a fit was given one, else nothing."""
    names = {"rho": "graph", "level_share": "tree"}
    return next((word for name, word in names.items() if name in relations), "")


def given_correlations(relations: xr.Dataset) -> str:
    """Say what decides the correlations of tasks where it is not the data, else nothing."""
    structure = given_structure(relations)
    if structure:
        return f"positive or 0 by the {structure}, whatever the data"
    fixed = relations.attrs.get("task_covariance") == "given"
    return "given with the model, whatever the data" if fixed else ""


def get_group(idata: xr.DataTree, group: str) -> xr.Dataset:
    """Return one group of a fit as a dataset.

    Parameters
    ----------
    idata
        Result of `model.fit`.
    group
        Name of the group, e.g. ``"posterior"``.

    Returns
    -------
    xarray.Dataset
        The group with its coordinates and attributes.

    Raises
    ------
    InvalidTypeError
        If `idata` is not a DataTree.
    InvalidDataError
        If the group is missing.
    """
    require_fit(idata, group)
    return idata[group].to_dataset()


def linear_group(idata: xr.DataTree, group: str, what: str) -> xr.Dataset:
    """As `get_group`, of a fit of a linear model: ``what`` makes no sense of another.

    Raises
    ------
    InvalidTypeError
        If `idata` is not a DataTree.
    InvalidDataError
        If the group is missing.
    UnsupportedError
        For a fit of graphs.
    """
    require_linear(idata, what)
    return get_group(idata, group)


def shorten(text: str, max_chars: int) -> str:
    """Cut the middle out of a long text, because labels often differ only at their end."""
    if len(text) <= max_chars:
        return text
    tail = (max_chars - 1) // 2
    head = max_chars - 1 - tail
    return f"{text[:head].rstrip()}…{text[-tail:].lstrip()}"


def shorten_all(texts: Sequence[str], max_chars: int) -> list[str]:
    """Cut the middle out of long texts; those that would look the same lose their beginning."""
    short = {text: shorten(text, max_chars) for text in texts}
    alike: dict[str, list[str]] = {}
    for text, look in short.items():
        alike.setdefault(look, []).append(text)
    for group in alike.values():
        if len(group) > 1:
            columns = enumerate(zip(*group, strict=False))
            differ = next((i for i, column in columns if len(set(column)) > 1), max_chars // 3)
            start = group[0].rfind(" ", 0, differ) + 1 or differ  # keeps numbers whole
            ends = shorten_all([text[start:] for text in group], max_chars - 1)
            short |= {t: f"…{end.lstrip('…')}" for t, end in zip(group, ends, strict=True)}
    distinct = len(set(short.values())) == len(short)
    return [short[text] for text in texts] if distinct else list(texts)


def drawn_labels(labels: ArrayLike, max_chars: int = 28) -> list[str]:
    """Turn labels into texts that matplotlib can draw.

    Parameters
    ----------
    labels : (label,)
        Strings, numbers, booleans or dates.
    max_chars
        Longer labels lose their middle, or what they begin with where they would look the same.

    Returns
    -------
    list of str
        One line per label, dollar signs escaped so that they are not read as mathematics.
    """
    full = [" ".join(text.split()) for text in label_texts(labels)]
    return [text.replace("$", r"\$") for text in shorten_all(full, max_chars)]


def thin(n_labels: int, n_fit: float) -> NDArray[np.int64]:
    """Return evenly spaced positions, at most `n_fit` (and at least one) of `n_labels`."""
    step = int(np.ceil(n_labels / max(n_fit, 1.0)))
    return np.arange(0, n_labels, max(step, 1), dtype=np.int64)


def tell_thinning(sentence: str, shown: NDArray[np.int64], n_labels: int) -> str:
    """Finish a sentence (without its full stop) by saying how many labels are written."""
    if len(shown) == n_labels:
        return f"{sentence}."
    every = int(shown[1] - shown[0]) if len(shown) > 1 else n_labels
    return f"{sentence}; one label in {every} is written (a larger figsize writes more)."


def order_by_similarity(difference: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order tasks so that neighbours are alike: average linkage, optimal leaf ordering.

    Parameters
    ----------
    difference : (task, task)
        Non-negative differences; NaN counts as the largest of them.

    Returns
    -------
    (task,)
        Positions of the tasks in the new order.
    """
    if len(difference) < 2:
        return np.arange(len(difference))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    finite = np.isfinite(difference)
    filled = np.where(finite, difference, np.max(difference, where=finite, initial=0.0))
    symmetric = (filled + filled.T) / 2
    np.fill_diagonal(symmetric, 0.0)
    optimal = len(difference) <= OPTIMAL_ORDER_LIMIT
    tree = linkage(squareform(symmetric), method="average", optimal_ordering=optimal)
    return np.asarray(leaves_list(tree), dtype=np.int64)


def new_figure(
    n_rows: int,
    n_columns: int,
    figsize: tuple[float, float],
    width_ratios: Sequence[float] | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Make a figure with a grid of axes that keeps texts apart (constrained layout)."""
    from matplotlib import pyplot as plt

    from bayesmtl.plots.layout import PlainLayout

    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=figsize,
        width_ratios=width_ratios,
        squeeze=False,
        layout=PlainLayout(h_pad=0.08, w_pad=0.08),
    )
    return figure, axes


@contextmanager
def quiet_glyphs() -> Iterator[None]:
    """Keep quiet about characters of labels that the font lacks: one warning for each of them.

    They are drawn as boxes. A figure that the user saves still warns: that font is their choice.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


def panel_height(axes: Axes) -> float:
    """Return the height of an axes in inches, after the layout has been settled."""
    figure = axes.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    return float(axes.get_window_extent().height / figure.dpi)


def rows_that_fit(height: float, font_size: float) -> float:
    """Return how many lines of text fit into a height in inches."""
    return height * 72 / (LINE_HEIGHT * font_size)


def write_note(figure: Figure, sentences: Sequence[str], font_size: float = 8.0) -> None:
    """Write small text below the panels, wrapped to the width of the figure."""
    if not sentences:
        return
    n_chars = int((figure.get_size_inches()[0] - 0.3) * 72 / (0.56 * font_size))
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, n_chars)]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=font_size, color=INK)


def state(axes: Axes, text: str, width: int = 42) -> None:
    """Write a sentence in place of a plot that would show nothing."""
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, width),
        ha="center",
        va="center",
        fontsize=11,
        color=INK,
        transform=axes.transAxes,
    )
