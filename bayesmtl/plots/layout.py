"""A layout that keeps the texts around square panels apart."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PlainLayout"]


class PlainLayout(ConstrainedLayoutEngine):
    """Constrained layout that gives square panels the room that their texts need.

    The constrained layout measures how far texts stick out of the room of a panel. A panel that
    its aspect makes smaller than that room hides part of its texts in it, which then lack the room
    once the panel has grown: titles were cut and labels ran into the note. So the room is settled
    as if the panels filled it, and they shrink within it when they are drawn.

    Titles are centred over their panels, whatever room the figure has there: one that would leave
    the figure is broken into two lines.
    """

    def execute(self, fig: Figure) -> None:
        """Settle the places of all panels of a figure."""
        fixed = [(ax, ax.get_aspect()) for ax in fig.axes if ax.get_aspect() != "auto"]
        for ax, _ in fixed:
            ax.set_aspect("auto")
        try:
            super().execute(fig)
            if _break_titles(fig):
                super().execute(fig)
        finally:
            for ax, aspect in fixed:
                ax.set_aspect(aspect)


def _break_titles(fig: Figure) -> bool:
    """Break titles in one line that leave the figure, and tell whether there were any."""
    broken = False
    for ax in fig.axes:
        box = ax.title.get_window_extent()
        text = ax.get_title()
        if text and "\n" not in text and (box.x0 < 0.0 or box.x1 > fig.bbox.width):
            ax.title.set_text(textwrap.fill(text, len(text) // 2 + 5))
            broken = True
    return broken
