"""Run the benchmarks that are named, or all: ``python -m benchmarks speed scaling clusters``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import clusters, scaling, school, speed
from benchmarks.reporting import machine

__all__ = ["main"]

NAMES = ("speed", "scaling", "school", "clusters")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--no-peers", action="store_true", help="speed, clusters: ours only")
    parser.add_argument(
        "--peer-seconds",
        type=float,
        default=300.0,
        help="speed, clusters: time box of PyMC (default 300)",
    )
    parser.add_argument(
        "--splits", type=int, default=10, help="school: published splits to use (default 10)"
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    names = chosen.names or NAMES
    print(machine(), flush=True)
    if "speed" in names:
        speed.run(speed.SpeedSettings(peers=not chosen.no_peers, nuts_seconds=chosen.peer_seconds))
    if "scaling" in names:
        scaling.run(scaling.ScalingSettings())
    if "school" in names:
        school.run(school.SchoolSettings(n_splits=chosen.splits))
    if "clusters" in names:
        peers, seconds = not chosen.no_peers, chosen.peer_seconds
        clusters.run(clusters.ClustersSettings(peers=peers, nuts_seconds=seconds))


if __name__ == "__main__":
    main()
