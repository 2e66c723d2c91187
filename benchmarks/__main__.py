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


def _section(name: str, part: str) -> str:
    """Title in the file of results."""
    return f"{name} {part}" if part else name


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
PARTS_OF: dict[str, tuple[str, ...]] = {
    "landmine": landmine.PARTS,
    "counts": counts.PARTS,
    "mixed": mixed.PARTS,
    "covariance": covariance.PARTS,
    "correlated": correlated.PARTS,
    "graphical": graphical.PARTS,
    "sparse_gp": sparse_gp.PARTS,
    "functions": functions.PARTS,
}
PARTS = tuple(part for parts in PARTS_OF.values() for part in parts)
# Of the file of results: a benchmark without parts, or each of its parts.
SECTIONS = tuple(_section(name, part) for name in NAMES for part in PARTS_OF.get(name, ("",)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    chosen = _parse(arguments)
    names = chosen.names or NAMES
    print(machine(), flush=True)
    for name in NAMES:
        if name not in names:
            continue
        for part in PARTS_OF.get(name, ("",)):
            if part and chosen.parts and part not in chosen.parts:
                continue
            text = printed(_run(name, part, chosen))
            if chosen.out is not None:
                write_section(chosen.out, _section(name, part), text, SECTIONS)


def _run(name: str, part: str, chosen: argparse.Namespace) -> Callable[[], None]:
    """A benchmark, or one of its parts, with the settings of the command line."""
    peers, parts = not chosen.no_peers, (part,)
    box = {} if chosen.peer_seconds is None else {"nuts_seconds": chosen.peer_seconds}
    splits = {} if chosen.splits is None else {"n_splits": chosen.splits}
    repeats = {} if chosen.splits is None else {"repeats": chosen.splits}
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
    return runs[name]


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
        help="; ".join(f"{name}: any of {', '.join(parts)}" for name, parts in PARTS_OF.items()),
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    return chosen


if __name__ == "__main__":
    main()
