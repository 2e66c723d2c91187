"""The file of results keeps the newest section of each benchmark."""

import sys
from pathlib import Path

import pytest

from benchmarks.reporting import headline
from benchmarks.results import printed, write_section


def test_sections_are_replaced_and_keep_their_order(tmp_path: Path) -> None:
    path, order = tmp_path / "RESULTS.md", ("speed", "school")
    write_section(path, "school", "of school", order)
    write_section(path, "speed", "first of speed", order)
    write_section(path, "speed", "second of speed", order)
    text = path.read_text()
    assert text.index("## speed") < text.index("second of speed") < text.index("## school")
    assert "first of speed" not in text
    assert text.count("of school") == 1
    assert "Python 3" in text


def test_what_is_printed_is_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        sys.stdout.write("a table\n")

    assert printed(run) == "a table\n"
    assert capsys.readouterr().out == "a table\n"


def test_headlines_of_all_sections_make_one_table(tmp_path: Path) -> None:
    path, order = tmp_path / "RESULTS.md", ("speed", "school")
    write_section(path, "school", "nothing to tell", order)
    assert "| measured |" not in path.read_text()
    write_section(path, "school", printed(lambda: headline("R2, %", 38.4, "ridge", 37.0)), order)
    write_section(path, "speed", printed(lambda: headline("rows a second", float("nan"))), order)
    table = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    assert table[0].startswith("| benchmark | measured | bayesmtl | beside | its figure |")
    assert table[2].startswith("| [speed](#speed) | rows a second | - |  |  | 20")
    assert table[3].startswith("| [school](#school) | R2, % | 38.4 | ridge | 37 | 20")
