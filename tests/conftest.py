"""Fixtures for every test."""

from pathlib import Path

import matplotlib as mpl
import pytest

mpl.use("agg")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the benchmark data, which lies beside the checkout and is not part of it."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the benchmark data in {folder}, which this machine does not have")
    return folder.resolve()
