"""The file of results: a section for each benchmark, replaced when it runs again."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.reporting import HEADLINE, machine

__all__ = ["printed", "write_section"]

_TITLE = (
    "# Results of the benchmarks\n\nWritten by `make bench`; times are of one run each. Below the "
    "table stands all that each benchmark printed, with machine and versions.\n"
)
_COLUMNS = ("benchmark", "measured", "bayesmtl", "beside", "its figure", "on")
_SECTION = "\n## "


class _Tee(io.TextIOBase):
    """Writes to a stream and keeps what it wrote."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self.stream = stream
        self.kept: list[str] = []

    def write(self, text: str) -> int:
        """Write and keep."""
        self.kept.append(text)
        return self.stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


def printed(run: Callable[[], None]) -> str:
    """Run, and return what was printed meanwhile."""
    tee = _Tee(sys.stdout)  # type: ignore[arg-type]
    with redirect_stdout(tee):
        run()
    return "".join(tee.kept)


def write_section(path: Path, name: str, text: str, order: Sequence[str]) -> None:
    """Put what a benchmark printed into the file, in place of what it printed before.

    Parameters
    ----------
    path : Path
    name : str
        Of the benchmark.
    text : str
    order : sequence of str
        Names of all benchmarks, as they stand in the file.
    """
    sections: dict[str, str] = {}
    if path.is_file():
        for part in path.read_text().split(_SECTION)[1:]:
            sections[part.split("\n", 1)[0]] = part.split("\n", 1)[1]
    head = f"{datetime.now(UTC):%Y-%m-%d}\n{machine()}"
    sections[name] = f"\n```\n{head}\n\n{text.strip()}\n```\n"
    known = [one for one in order if one in sections]
    below = "".join(f"{_SECTION}{one}\n{sections[one]}" for one in known)
    path.write_text(_TITLE + _table({one: sections[one] for one in known}) + below)


def _table(sections: Mapping[str, str]) -> str:
    """Headlines of all sections."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for name, text in sections.items():
        lines = text.strip().splitlines()
        for line in lines:
            if line.startswith(HEADLINE):
                cells = line.removeprefix(HEADLINE).split(" | ")
                nothing = [""] * (len(_COLUMNS) - 2 - len(cells))
                rows.append((f"[{name}](#{name.replace(' ', '-')})", *cells, *nothing, lines[1]))
    return "".join(f"\n| {' | '.join(row)} |" for row in rows) + "\n" if len(rows) > 2 else ""
