"""The table of what works with what is the one that the README shows."""

from pathlib import Path

from bayesmtl.combinations import table


def test_the_readme_has_the_table() -> None:
    readme = Path(__file__).resolve().parents[1] / "README.md"
    assert table() in readme.read_text()
