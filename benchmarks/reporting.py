"""What every benchmark prints: the machine, the versions, small tables."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bayesmtl.inference.chains import available_cores

__all__ = [
    "HEADLINE",
    "heading",
    "headline",
    "load_average",
    "machine",
    "print_table",
    "resident_bytes",
]

# Starts a line of which the table of all benchmarks is made, as `headline` prints it.
HEADLINE = "=> "
_PACKAGES = (
    "bayesmtl",
    "numpy",
    "scipy",
    "numba",
    "arviz",
    "pymc",
    "nutpie",
    "scikit-learn",
    "torch",
    "gpytorch",
)


def heading(text: str) -> None:
    """Print a line that starts a section."""
    print(f"\n== {text}", flush=True)


def headline(what: str, ours: object, other: str = "", theirs: object = "") -> None:
    """Print a figure of ours, and what it is to be seen beside, for the table of all benchmarks."""
    beside = (other, _cell(theirs)) if other else ()
    print(HEADLINE + " | ".join((what, _cell(ours), *beside)), flush=True)


def load_average() -> str:
    """Runnable processes over the last minute; times under a load above the cores are too long."""
    return f"{os.getloadavg()[0]:.1f}"


def machine() -> str:
    """Processor, cores, memory and versions, in three lines."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {available_cores()} cores, {memory:.0f} GiB, load {load_average()}\n"
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}\n"
        f"{', '.join(found)}"
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def resident_bytes(peak: bool = False) -> float:
    """Memory that this process holds (or has held at most), NaN where the system does not say."""
    path = Path("/proc/self/status")
    if path.is_file():
        field = "VmHWM:" if peak else "VmRSS:"
        for line in path.read_text().splitlines():
            if line.startswith(field):
                return float(line.split()[1]) * 1024.0
    return float("nan")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; numbers are rounded to three digits or more."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for n, row in enumerate(cells):
        first = row[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((first, *others)).rstrip())
        if n == 0:
            print("  ".join("-" * width for width in widths))
    print(flush=True)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
