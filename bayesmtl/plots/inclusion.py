"""Which features matter: inclusion weights under feature selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmtl.errors import InvalidDataError
from bayesmtl.plots.common import (
    POINT,
    POSTERIOR,
    drawn_labels,
    linear_group,
    new_figure,
    quiet_glyphs,
    write_note,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot_inclusion"]

MOST_FEATURES = 40
READING = (
    "How to read: a weight is no probability but the part of what the rows say that is not shrunk "
    "away; features without effect can stand far above 0.5, most of all at the left, which is "
    "large where either part may matter, so compare the features with each other."
)
_PANELS = (
    ("any", "Does the feature matter?", POSTERIOR),
    ("mean", "on average over tasks", POINT),
    ("deviations", "differently by task", POINT),
)


@quiet_glyphs()
def plot_inclusion(idata: xr.DataTree, *, figsize: tuple[float, float] | None = None) -> Figure:
    """Draw the posterior of each feature's inclusion weight, the largest on top.

    Left: whether the feature matters at all; then its mean over tasks, and the tasks' deviations
    from it. Dots are means, lines 90% intervals.

    Parameters
    ----------
    idata
        Result of `model.fit` under ``feature_selection``; reads ``task_relations``.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Three axes with a common vertical axis of features, at most 40 of them.

    Raises
    ------
    InvalidDataError
        If the fit selected no features.
    InvalidTypeError
        If `idata` is not a DataTree.
    UnsupportedError
        For a fit of graphs.
    """
    relations = linear_group(idata, "task_relations", "bm.plot_inclusion")
    if "feature_inclusion" not in relations:
        raise InvalidDataError(
            "the fit selects no features: use feature_selection=True in the relation, as "
            "bm.Exchangeable(feature_selection=True)"
        )
    table = relations["feature_inclusion"].transpose("feature", "part", "statistic")
    order = np.argsort(-table.sel(part="any", statistic="mean").to_numpy(), kind="stable")
    shown = order[:MOST_FEATURES]
    size = figsize or (9.5, 1.8 + 0.26 * len(shown))
    figure, axes = new_figure(1, len(_PANELS), size)
    place = np.arange(len(shown))[::-1]
    for axis, (part, title, colour) in zip(axes[0], _PANELS, strict=True):
        values = table.sel(part=part).isel(feature=shown)
        low, high = (values.sel(statistic=name).to_numpy() for name in ("lower", "upper"))
        axis.hlines(place, low, high, color=colour, lw=1.5, alpha=0.6)
        axis.plot(values.sel(statistic="mean").to_numpy(), place, "o", color=colour, ms=4)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.7, len(shown) - 0.3)
        axis.set_yticks([])
        axis.axvline(0.5, color="0.85", lw=0.8, zorder=0)
    axes[0, 0].set_yticks(place, drawn_labels(table["feature"].to_numpy()[shown]), fontsize=9)
    axes[0, 1].set_xlabel("inclusion weight: 0 shrunk away, 1 as the rows say")
    few = f"{len(shown)} of {len(order)} features, those that matter most."
    write_note(figure, [READING, few] if len(shown) < len(order) else [READING])
    return figure
