"""What a page holds, of every kind of fit and where groups are missing."""

import json
from collections.abc import Callable

import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError, InvalidTypeError
from bayesmtl.report.page.content import page_content


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("clustered", {"graph", "curves"}),
        ("neighbours", {"clusters", "curves"}),
        ("functions", {"sharing", "graph", "clusters", "weights"}),
        ("networks", {"sharing", "clusters", "weights", "curves", "fitted"}),
    ],
)
def test_parts_of_every_model(name: str, without: set[str], request: pytest.FixtureRequest) -> None:
    content = page_content(request.getfixturevalue(name))
    json.dumps(content, allow_nan=False)
    assert {part for part, value in content.items() if value is None} == without
    assert content["summary"]["sentences"]
    for title, cells in content["summary"]["tables"]:
        assert title
        assert {len(row) for row in cells["rows"]} == {len(cells["columns"])}
        assert len(cells["words"]) == len(cells["columns"])


@pytest.mark.parametrize("group", ["task_relations", "constant_data", "observed_data"])
@pytest.mark.parametrize("name", ["clustered", "functions", "networks"])
def test_missing_groups_are_sentences(
    group: str, name: str, request: pytest.FixtureRequest
) -> None:
    fit = request.getfixturevalue(name).copy()
    del fit[group]
    content = page_content(fit)
    json.dumps(content, allow_nan=False)
    assert content["summary"]["note"] == f"The fit lacks the group {group}, which this part reads."


def test_thinned_draws(clustered: xr.DataTree) -> None:
    thinned = clustered.isel(draw=slice(None, None, 3), missing_dims="ignore")
    content = page_content(thinned)
    assert content["diagnostics"]["draws"] == 10
    assert "by_task" in content["fitted"]


def test_sharing(many_tasks: Callable[[int], xr.DataTree]) -> None:
    fit = many_tasks(3)
    content = page_content(fit)["sharing"]
    mean, low, high = content["interval"]
    assert low < mean < high
    assert sum(content["histogram"]) == 40
    assert content["full"] == "one common model"
    fit["posterior"] = xr.DataTree(fit["posterior"].to_dataset().drop_vars("sharing"))
    assert page_content(fit)["sharing"] == {"note": "Sharing is not defined for this model."}


def test_what_is_no_fit(many_tasks: Callable[[int], xr.DataTree]) -> None:
    with pytest.raises(InvalidTypeError, match="a fit is needed"):
        page_content("fit.zarr")  # type: ignore[arg-type]
    fit = many_tasks(2)
    del fit["posterior"]
    with pytest.raises(InvalidDataError, match="the group 'posterior' is missing"):
        page_content(fit)
