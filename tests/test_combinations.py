"""The table of what works with what is the one that the documentation shows."""

from pathlib import Path

from bayesmtl.combinations import table


def test_the_documentation_has_the_table() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "choose.md"
    assert table() in page.read_text()
