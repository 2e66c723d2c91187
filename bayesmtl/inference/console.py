"""Where progress is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["watched_console"]


def watched_console(enabled: bool) -> Console | None:
    """The console of a terminal or a notebook, where progress is wanted; None elsewhere."""
    from rich.console import Console

    console = Console()
    return console if enabled and (console.is_terminal or console.is_jupyter) else None
