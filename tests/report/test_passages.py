"""Every kind of fit in words."""

from collections.abc import Callable

import pandas as pd
import pytest
import xarray as xr

from bayesmtl.report.passages import describe_fit, number_text

MakeFit = Callable[..., xr.DataTree]


def test_a_linear_model_without_empty_parts(make_fit: MakeFit) -> None:
    told = describe_fit(make_fit())
    assert [title for title, _ in told.sentences] == ["Sharing", "Noise"]
    titles = [title for title, _ in told.tables]
    assert titles[0] == "Population of tasks, with 90% intervals"
    assert all(isinstance(cells, pd.DataFrame) and len(cells) for _, cells in told.tables)


@pytest.mark.parametrize(
    ("cell", "text"),
    [(1.23456, "1.23"), (float("nan"), ""), (1_200, "1,200"), ("a", "a")],
)
def test_cells(cell: object, text: str) -> None:
    assert number_text(cell) == text
