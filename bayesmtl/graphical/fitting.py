"""Running a prepared graphical model: chains, the prior beside them, the result."""

from __future__ import annotations

import json
import time
from typing import Any

import xarray as xr

from bayesmtl.errors import UnsupportedError, warn
from bayesmtl.fitting import NO_DRAWS
from bayesmtl.graphical.data import GraphRows
from bayesmtl.graphical.result import GraphRecord, build_graph_tree
from bayesmtl.graphical.sampling import sample_graphs, simulate_prior
from bayesmtl.graphical.state import GraphProblem
from bayesmtl.inference.compilation import told_of_compilation

__all__ = ["run"]

_MOST_BYTES = 1 << 33


@told_of_compilation
def run(
    problem: GraphProblem,
    rows: GraphRows,
    *,
    model: dict[str, Any],
    edge_threshold: float,
    settings: dict[str, Any],
) -> xr.DataTree:
    """Sample, summarise and diagnose.

    Parameters
    ----------
    problem : GraphProblem
    rows : GraphRows
    model : dict
        Settings of the model, kept with the result.
    edge_threshold : float
    settings : dict
        draws, tune, chains, cores, random_seed and progressbar.

    Raises
    ------
    UnsupportedError
        When the draws would need too much memory.
    KeyboardInterrupt
        When Ctrl-C comes before there is a draw to keep.

    Warns
    -----
    BayesMTLWarning
        When the diagnostics are not passed, with their verdict.
    """
    _check_memory(problem, settings)
    started = time.perf_counter()
    try:
        # Before the chains: Ctrl-C here has no draws to lose.
        prior = simulate_prior(problem.prior, settings["random_seed"], settings["cores"])
        draws, interrupted = sample_graphs(problem, **settings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NO_DRAWS) from None
    record = GraphRecord(
        model=model,
        inference={
            "method": "gibbs",
            **{name: int(settings[name]) for name in ("draws", "tune", "chains")},
        },
        random_seed=settings["random_seed"],
        seconds=time.perf_counter() - started,
        incomplete=interrupted,
        edge_threshold=edge_threshold,
    )
    tree = build_graph_tree(problem, rows, draws, prior, record)
    if not json.loads(tree.attrs["diagnostics"])["passed"]:
        warn(tree.attrs["verdict"])
    return tree


def _check_memory(problem: GraphProblem, settings: dict[str, Any]) -> None:
    """Refuse draws that do not fit: precision, partial correlation and relatedness of tasks."""
    n_tasks, n = len(problem.prior.block), problem.prior.n_variables
    numbers = 2 * n_tasks * n**2 + (n_tasks**2 if problem.prior.relates else 0)
    n_bytes = 8 * numbers * settings["draws"] * settings["chains"]
    if n_bytes > _MOST_BYTES:
        raise UnsupportedError(
            f"the precision matrices of {n_tasks} tasks and {n} variables take "
            f"{n_bytes / 2**30:,.0f} GiB in {settings['chains']} x {settings['draws']} draws, more "
            f"than {_MOST_BYTES / 2**30:.0f} GiB: use fewer draws"
        )
