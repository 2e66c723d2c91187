"""Run the benchmarks that are named, or all: ``python -m benchmarks speed scaling clusters``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    clusters,
    correlated,
    counts,
    covariance,
    curves,
    functions,
    graphical,
    intervals,
    landmine,
    mixed,
    neighbours,
    overconfidence,
    scaling,
    school,
    sparse_gp,
    speed,
)
from benchmarks.jura import SoilSettings
from benchmarks.reporting import machine
from benchmarks.results import printed, write_section

__all__ = ["main"]

NAMES = (
    "speed",
    "scaling",
    "school",
    "clusters",
    "overconfidence",
    "landmine",
    "counts",
    "mixed",
    "covariance",
    "correlated",
    "intervals",
    "neighbours",
    "graphical",
    "sparse_gp",
    "curves",
    "functions",
)
PARTS = (
    *landmine.PARTS,
    *counts.PARTS,
    *mixed.PARTS,
    *covariance.PARTS,
    *correlated.PARTS,
    *graphical.PARTS,
    *sparse_gp.PARTS,
    *functions.PARTS,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    chosen = _parse(arguments)
    names = chosen.names or NAMES
    peers = not chosen.no_peers
    box = {} if chosen.peer_seconds is None else {"nuts_seconds": chosen.peer_seconds}
    splits = {} if chosen.splits is None else {"n_splits": chosen.splits}
    repeats = {} if chosen.splits is None else {"repeats": chosen.splits}
    parts = tuple(chosen.parts or PARTS)
    print(machine(), flush=True)
    runs: dict[str, Callable[[], None]] = {
        "speed": lambda: speed.run(speed.SpeedSettings(peers=peers, **box)),
        "scaling": lambda: scaling.run(scaling.ScalingSettings()),
        "school": lambda: school.run(school.SchoolSettings(**splits)),
        "clusters": lambda: clusters.run(clusters.ClustersSettings(peers=peers, **box)),
        "overconfidence": lambda: overconfidence.run(overconfidence.OverconfidenceSettings()),
        "landmine": lambda: landmine.run(
            landmine.LandmineSettings(parts=parts, peers=peers, **box)
        ),
        "counts": lambda: counts.run(counts.CountsSettings(parts=parts, peers=peers)),
        "mixed": lambda: mixed.run(mixed.MixedSettings(parts=parts)),
        "covariance": lambda: covariance.run(
            covariance.CovarianceSettings(parts=parts, peers=peers, **box)
        ),
        "correlated": lambda: correlated.run(correlated.CorrelatedSettings(parts=parts, **splits)),
        "intervals": lambda: intervals.run(intervals.IntervalSettings()),
        "neighbours": lambda: neighbours.run(neighbours.NeighbourSettings(**splits)),
        "curves": lambda: curves.run(curves.CurveSettings(**splits)),
        "graphical": lambda: graphical.run(
            graphical.GraphicalSettings(parts=parts, peers=peers, **repeats)
        ),
        "sparse_gp": lambda: sparse_gp.run(sparse_gp.SparseGPSettings(parts=parts, peers=peers)),
        "functions": lambda: functions.run(_functions(chosen, parts)),
    }
    for name in NAMES:
        if name in names:
            text = printed(runs[name])
            if chosen.out is not None:
                write_section(chosen.out, name, text, NAMES)


def _functions(chosen: argparse.Namespace, parts: tuple[str, ...]) -> functions.FunctionsSettings:
    """Settings of the functions."""
    peers = not chosen.no_peers
    box = {} if chosen.peer_seconds is None else {"nuts_seconds": chosen.peer_seconds}
    return functions.FunctionsSettings(
        parts=parts,
        peers=peers,
        peer_python=chosen.peer_python,
        soil=SoilSettings(peers=peers),
        **box,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, help="file of results to put what is printed into")
    parser.add_argument("--no-peers", action="store_true", help="run ours only")
    parser.add_argument(
        "--peer-seconds",
        type=float,
        help="time box of each run of PyMC (default 300, landmine 180)",
    )
    parser.add_argument(
        "--peer-python",
        default=sys.executable,
        help="functions: path of a Python that has BoTorch with JAX and NumPyro (default this one)",
    )
    parser.add_argument(
        "--splits",
        type=int,
        help="school: published splits to use (default 10); correlated, neighbours and curves: "
        "splits (default 5); graphical: data sets (default 10)",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        metavar="part",
        help=f"landmine: any of {', '.join(landmine.PARTS)}; counts: {', '.join(counts.PARTS)}; "
        f"mixed: {', '.join(mixed.PARTS)}; covariance: {', '.join(covariance.PARTS)}; "
        f"correlated: {', '.join(correlated.PARTS)}; graphical: {', '.join(graphical.PARTS)}; "
        f"sparse_gp: {', '.join(sparse_gp.PARTS)}; "
        f"functions: {', '.join(functions.PARTS)}",
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    return chosen


if __name__ == "__main__":
    main()
