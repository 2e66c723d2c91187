"""Opening frames."""

from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl.data import open_frame
from bayesmtl.errors import InvalidDataError, InvalidTypeError
from tests.frame_cases import BASE, LIBRARIES, make


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("bad", [BASE, [BASE], np.zeros((3, 2)), pd.Series([1.0]), None])
def test_only_frames_are_opened(bad: Any) -> None:
    with pytest.raises(
        InvalidTypeError, match=r"must be a pandas or polars DataFrame.*DataFrame\("
    ):
        open_frame(bad)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("mine.csv", r'read_csv\("mine.csv"\)'),
        (Path("in/mine.pq"), r'read_parquet\("in/mine.pq"\)'),
    ],
)
def test_files_are_read_first(path: str | Path, read: str) -> None:
    with pytest.raises(InvalidTypeError, match=rf"for a file use pandas.{read}"):
        open_frame(path)


def test_lazy_frame_is_refused() -> None:
    with pytest.raises(InvalidTypeError, match=r"pass data.collect\(\)"):
        open_frame(pl.DataFrame(BASE).lazy())


def test_opened_frame_opens_again() -> None:
    frame = nw.from_native(pd.DataFrame(BASE), eager_only=True)
    assert open_frame(frame) is frame


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
        pa.table([[1], [2], [3]], names=["a", "b", "a"]),
    ],
)
def test_duplicate_column_names(data: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"several columns of the same name .*'?a'?"):
        open_frame(data)


def test_empty_frame(library: str) -> None:
    with pytest.raises(InvalidDataError, match="0 rows"):
        open_frame(make(library, {name: values[:0] for name, values in BASE.items()}))
