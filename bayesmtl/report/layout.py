"""The report on the screen, and its plots in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bayesmtl.errors import UnsupportedError, warn
from bayesmtl.plots.common import quiet_glyphs, shorten_all
from bayesmtl.posterior.access import is_functional, is_graphical
from bayesmtl.report.passages import describe_fit, number_text
from bayesmtl.report.summary import summarize_fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["print_clusters", "print_report", "write_plots"]

_PLAIN_WIDTH = 100  # of output to a file or pipe
_MAX_CHARS = 60  # of a label in a table; of "mainly" the end, which is cut to half, holds numbers


def print_report(idata: xr.DataTree, console: Console | None = None) -> None:
    """Print the summary of a fit; plain text where the output is no terminal.

    Parameters
    ----------
    idata
        What ``model.fit`` returned or ``bm.load`` read.
    console
        Where to print; default: standard output.
    """
    console = _plain_unless_terminal(console)
    told = describe_fit(idata)
    _say(console, told.heading)
    for title, text in [("Diagnostics", told.verdict), *told.sentences]:
        _say(console, text, f"\n{title}: ")
    for title, cells in told.tables:
        _show(console, title, cells)


def print_clusters(idata: xr.DataTree, console: Console | None = None) -> None:
    """Print of a fit what concerns its clusters: verdict, number and members.

    Parameters
    ----------
    idata, console
        As in `print_report`.
    """
    console = _plain_unless_terminal(console)
    report = summarize_fit(idata)
    _say(console, report.heading)
    _say(console, report.verdict, "\nDiagnostics: ")
    if report.clusters:
        _say(console, report.clusters, "\nClusters: ")
    _show(console, "Clusters of the partition closest to all draws", report.members)


def _plain_unless_terminal(console: Console | None) -> Console:
    console = console or Console()
    if console.is_terminal:
        return console
    return Console(file=console.file, width=_PLAIN_WIDTH, color_system=None)


def write_plots(idata: xr.DataTree, folder: Path) -> list[Path]:
    """Write the plots of a fit as PNG files.

    Parameters
    ----------
    idata
        What ``model.fit`` returned or ``bm.load`` read.
    folder
        Made if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        ``task_relations.png``, ``weights.png``, ``sharing.png`` and, where the tasks form
        clusters, ``clusters.png``, where features are selected, ``inclusion.png``; of functions
        ``task_relations.png`` and ``functions.png``; of graphs ``graph.png``. A plot that this fit
        does not support is left out with a `BayesMTLWarning`.
    """
    import matplotlib as mpl

    mpl.use("agg")  # files only: never open a window, and work without a display
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    plots = _plots_of(idata)
    written = []
    for name, plot in plots.items():
        try:
            figure = plot(idata)
        except UnsupportedError as error:
            warn(f"No plot {name}.png: {error}")
            continue
        path = folder / f"{name}.png"
        with quiet_glyphs():
            figure.savefig(path, dpi=150, bbox_inches="tight")
        plt.close(figure)
        written.append(path)
    return written


def _plots_of(idata: xr.DataTree) -> dict[str, Callable[[xr.DataTree], Figure]]:
    """The plots that go with the kind of model, by the name of their file."""
    from bayesmtl import plots

    if is_functional(idata):
        return {"task_relations": plots.plot_task_relations, "functions": plots.plot_functions}
    if is_graphical(idata):
        return {"graph": plots.plot_graph}
    out: dict[str, Callable[[xr.DataTree], Figure]] = {
        "task_relations": plots.plot_task_relations,
        "weights": plots.plot_weights,
        "sharing": plots.plot_sharing,
    }
    if "clusters" in idata.children:
        out["clusters"] = plots.plot_clusters
    if "feature_inclusion" in idata["task_relations"].to_dataset():
        out["inclusion"] = plots.plot_inclusion
    return out


def _say(console: Console, text: str, title: str = "") -> None:
    """Print text as it is: labels of the user are neither markup nor highlighted."""
    console.print(Text.assemble((title, "bold"), text), highlight=False)


def _show(console: Console, title: str, cells: pd.DataFrame) -> None:
    if cells.empty:
        return
    _say(console, "", f"\n{title}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns = []
    for name in cells.columns:
        words = name in ("", "task", "mainly")
        left = words or name in ("members", "surest links")
        table.add_column(Text(name), justify="left" if left else "right", overflow="fold")
        texts = [number_text(cell) for cell in cells[name]]
        columns.append(shorten_all(texts, _MAX_CHARS) if words else texts)
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
