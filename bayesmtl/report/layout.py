"""The report on the screen, and its plots in files."""

import math
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
from bayesmtl.report.summary import Report, summarize_fit

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
    report = summarize_fit(idata)
    _say(console, report.heading)
    parts = [("Diagnostics", report.verdict), ("Sharing", report.sharing), ("Noise", report.noise)]
    for title, text in parts:
        _say(console, text, f"\n{title}: ")
    if report.graph:
        _say(console, report.graph, "\nGraph of the tasks: ")
    if report.correlations:
        _say(console, report.correlations, "\nCorrelations of the tasks' weights: ")
    if report.features:
        _say(console, report.features, "\nFeatures that matter: ")
    if report.parts:
        _say(console, report.parts, "\nParts of the weights: ")
    _print_clusters(console, report)
    _show(console, "Population of tasks, with 90% intervals", _population_cells(report.population))
    different = report.different.rename(columns={"at_least": "at least (95%)"})
    title = f"Tasks that differ most from the others, in {report.difference_unit}"
    _show(console, title, different)
    uncertain = report.uncertain.rename(columns={"sd": "sd of predictor"})
    if "borrowing" in uncertain:
        uncertain["borrowing"] = [f"{share:.0%}" for share in uncertain["borrowing"]]
    _show(console, "Most uncertain tasks, and how much they borrow from the others", uncertain)


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
    _print_clusters(console, report)


def _plain_unless_terminal(console: Console | None) -> Console:
    console = console or Console()
    if console.is_terminal:
        return console
    return Console(file=console.file, width=_PLAIN_WIDTH, color_system=None)


def _print_clusters(console: Console, report: Report) -> None:
    if report.clusters:
        _say(console, report.clusters, "\nClusters: ")
    _show(console, "Clusters of the partition closest to all draws", report.members)


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
        clusters, ``clusters.png``, where features are selected, ``inclusion.png``; a plot
        that this fit does not support is left out with a
        `BayesMTLWarning`.
    """
    import matplotlib as mpl

    mpl.use("agg")  # files only: never open a window, and work without a display
    from matplotlib import pyplot as plt

    from bayesmtl.plots import (
        plot_clusters,
        plot_inclusion,
        plot_sharing,
        plot_task_relations,
        plot_weights,
    )

    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Callable[[xr.DataTree], Figure]] = {
        "task_relations": plot_task_relations,
        "weights": plot_weights,
        "sharing": plot_sharing,
    }
    if "clusters" in idata.children:
        plots["clusters"] = plot_clusters
    if "feature_inclusion" in idata["task_relations"].to_dataset():
        plots["inclusion"] = plot_inclusion
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
        left = words or name == "members"
        table.add_column(Text(name), justify="left" if left else "right", overflow="fold")
        texts = [_number(cell) for cell in cells[name]]
        columns.append(shorten_all(texts, _MAX_CHARS) if words else texts)
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    console.print(table)


def _population_cells(population: pd.DataFrame) -> pd.DataFrame:
    cells = pd.DataFrame({"": population["term"]})
    for name, title in (("mean", "mean"), ("sd", "sd between tasks")):
        cells[title] = population[name]
        lower, upper = population[f"{name}_lower"], population[f"{name}_upper"]
        cells[f"{name} 90%"] = [
            "" if math.isnan(a) else "fixed" if a == b else f"{_number(a)} to {_number(b)}"
            for a, b in zip(lower, upper, strict=True)
        ]
    return cells


def _number(cell: object) -> str:
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell)
    return "" if math.isnan(cell) else f"{cell:.3g}"
