"""What a fit of any kind says in words: a heading, titled sentences, small tables."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import xarray as xr

from bayesmtl.posterior.access import is_functional, is_graphical
from bayesmtl.report.functions import describe_functions
from bayesmtl.report.networks import describe_networks
from bayesmtl.report.summary import Report, summarize_fit

__all__ = ["Passages", "describe_fit", "number_text"]


class Passages(NamedTuple):
    """A fit in words.

    Parameters
    ----------
    heading, verdict : str
    sentences : list of (title, text)
    tables : list of (title, frame)
        Cells are texts or numbers; none of them is empty.
    """

    heading: str
    verdict: str
    sentences: list[tuple[str, str]]
    tables: list[tuple[str, pd.DataFrame]]


def describe_fit(idata: xr.DataTree, n_listed: int = 5) -> Passages:
    """Describe a fit: diagnostics first, then how much tasks share, then what stands out.

    Parameters
    ----------
    idata
        What ``fit`` of any model returned or ``bm.load`` read.
    n_listed
        Most tasks, pairs or links to list.

    Returns
    -------
    Passages
    """
    if is_functional(idata):
        heading, sentences, tables = describe_functions(idata)
    elif is_graphical(idata):
        heading, sentences, tables = describe_networks(idata, n_listed)
    else:
        return _of_report(summarize_fit(idata, n_listed))
    return Passages(heading, str(idata.attrs["verdict"]), sentences, tables)


def _of_report(report: Report) -> Passages:
    sentences = [
        ("Sharing", report.sharing),
        ("Noise", report.noise),
        ("Links of the tasks", report.graph),
        ("Correlations of the tasks' weights", report.correlations),
        ("Features that matter", report.features),
        ("Parts of the weights", report.parts),
        ("Clusters", report.clusters),
    ]
    different = report.different.rename(columns={"at_least": "at least (95%)"})
    uncertain = report.uncertain.rename(columns={"sd": "sd of predictor"})
    if "borrowing" in uncertain:
        uncertain["borrowing"] = [f"{share:.0%}" for share in uncertain["borrowing"]]
    tables = [
        ("Clusters of the partition closest to all draws", report.members),
        ("Population of tasks, with 90% intervals", _population_cells(report.population)),
        (f"Tasks that differ most from the others, in {report.difference_unit}", different),
        ("Most uncertain tasks, and how much they borrow from the others", uncertain),
    ]
    return Passages(
        report.heading,
        report.verdict,
        [(title, text) for title, text in sentences if text],
        [(title, cells) for title, cells in tables if not cells.empty],
    )


def _population_cells(population: pd.DataFrame) -> pd.DataFrame:
    cells = pd.DataFrame({"": population["term"]})
    for name, title in (("mean", "mean"), ("sd", "sd between tasks")):
        cells[title] = population[name]
        lower, upper = population[f"{name}_lower"], population[f"{name}_upper"]
        cells[f"{name} 90%"] = [
            "" if math.isnan(a) else "fixed" if a == b else f"{number_text(a)} to {number_text(b)}"
            for a, b in zip(lower, upper, strict=True)
        ]
    return cells


def number_text(cell: object) -> str:
    """A cell of a table as text: three digits of a number, nothing for NaN."""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell)
    return "" if math.isnan(cell) else f"{cell:.3g}"
