"""A small table in every frame library, and the reading of its rows."""

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from bayesmtl.data import Rows, read_rows
from bayesmtl.design import learn_design

__all__ = ["BASE", "LIBRARIES", "make", "read"]

LIBRARIES = ("pandas", "polars", "pyarrow")
BASE: dict[str, list[Any]] = {
    "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "x": [0.5, 1.5, 2.5, 0.0, 1.0, 4.0],
    "task": ["b", "a", "b", "a", "c", "c"],
}


def make(library: str, columns: dict[str, Any]) -> Any:
    if library == "pandas":
        return pd.DataFrame(columns)
    return pl.DataFrame(columns, strict=False) if library == "polars" else pa.table(columns)


def read(data: Any, formula: str = "y ~ x", **settings: Any) -> Rows:
    settings = {"task": "task", **settings}
    return read_rows(data, learn_design(formula, data), **settings)
