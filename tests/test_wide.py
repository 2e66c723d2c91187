"""Wide outputs to long rows."""

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl.data import to_long
from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError

WIDE = {"site": ["p", "q", "r"], "Cd": [1.0, None, 3.0], "Ni": [10, 20, 30]}


@pytest.mark.parametrize(
    ("make", "kind"),
    [(pd.DataFrame, pd.DataFrame), (pl.DataFrame, pl.DataFrame), (pa.table, pa.Table)],
)
def test_cells_become_rows_of_the_same_library(make: Any, kind: Any) -> None:
    long: Any = to_long(make(WIDE), ["Ni", "Cd"], task="metal", value="ppm")
    assert isinstance(long, kind)
    found: Any = nw.from_native(long, eager_only=True)
    assert found.columns == ["site", "metal", "ppm"]
    assert found["site"].to_list() == ["p", "q", "r", "p", "r"]
    assert found["metal"].to_list() == ["Ni", "Ni", "Ni", "Cd", "Cd"]
    assert found["ppm"].to_list() == [10.0, 20.0, 30.0, 1.0, 3.0]


def test_index_is_new_and_the_frame_untouched() -> None:
    wide = pd.DataFrame(WIDE, index=[7, 7, 1])
    before = wide.copy(deep=True)
    long = to_long(wide, ["Cd", "Ni"])
    assert long.index.tolist() == [0, 1, 2, 3, 4]
    assert long["task"].tolist() == ["Cd", "Cd", "Ni", "Ni", "Ni"]
    pd.testing.assert_frame_equal(wide, before)


@pytest.mark.parametrize("outputs", [[], "Cd", ["Cd", "Cd"]])
def test_outputs_are_different_names(outputs: Any) -> None:
    with pytest.raises(InvalidModelError, match="outputs must be a list of different column"):
        to_long(pd.DataFrame(WIDE), outputs)


def test_missing_output_is_named_with_the_nearest() -> None:
    with pytest.raises(InvalidDataError, match=r'"cd", which the data do not have; .*"Cd"'):
        to_long(pd.DataFrame(WIDE), ["cd"])


def test_new_names_must_be_free() -> None:
    with pytest.raises(InvalidModelError, match=r'the new column "site" would repeat'):
        to_long(pd.DataFrame(WIDE), ["Cd"], task="site")
    with pytest.raises(InvalidModelError, match=r'the new column "v" would repeat'):
        to_long(pd.DataFrame(WIDE), ["Cd"], task="v", value="v")


def test_output_must_hold_numbers() -> None:
    with pytest.raises(InvalidTypeError, match=r'the output "site" must hold numbers, but .* text'):
        to_long(pd.DataFrame(WIDE), ["site"])
    with pytest.raises(InvalidDataError, match=r'"Ni" holds integers beyond 2\^53'):
        to_long(pd.DataFrame({**WIDE, "Ni": [2**60 + 1, 0, 0]}), ["Ni"])


def test_infinite_cell_is_an_error() -> None:
    with pytest.raises(InvalidDataError, match=r'"Cd" holds inf in row 1'):
        to_long(pd.DataFrame({**WIDE, "Cd": [1.0, np.inf, 2.0]}), ["Cd"])


def test_nothing_observed_is_an_error() -> None:
    with pytest.raises(InvalidDataError, match=r'no output has an observed cell .*"Cd"'):
        to_long(pd.DataFrame({**WIDE, "Cd": [np.nan] * 3}), ["Cd"])


def test_outputs_may_be_an_index_or_array() -> None:
    wide = pd.DataFrame({"x": [1.0, 2.0], "Cd": [0.1, 0.2], "Ni": [1.0, 2.0]})
    expected = to_long(wide, ["Cd", "Ni"])
    pd.testing.assert_frame_equal(to_long(wide, wide.columns[1:]), expected)
