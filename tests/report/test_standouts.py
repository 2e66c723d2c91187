"""The tasks that stand out, in a fit where they are known."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report.standouts import standout_tasks

MakeFit = Callable[..., xr.DataTree]


def test_the_odd_task_is_named_with_what_makes_it_odd(make_fit: MakeFit) -> None:
    fit = make_fit()
    different, _ = standout_tasks(fit, n_listed=2)
    assert different["task"].to_list()[0] == "d"
    assert different["rows"][0] == 1_200
    assert different["difference"].to_list() == pytest.approx([6.0, 8 / 3])
    assert different["at_least"].to_list() == pytest.approx([3.0, 4 / 3])
    weight = fit["posterior"]["weights"].mean(("chain", "draw")).sel(feature="v")
    own, average = float(weight.sel(task="d")), float(weight.mean())
    assert different["mainly"][0] == f"v {own:.3g} (average {average:.3g})"


def test_the_least_certain_task_comes_first(make_fit: MakeFit) -> None:
    fit = make_fit(spread=0.1)
    _, uncertain = standout_tasks(fit, n_listed=4)
    assert uncertain["task"][0] == "c"
    assert uncertain["borrowing"][0] == pytest.approx(0.9)
    # The intercept at the centre moves with u (centre 1); u counts once more by itself, v twice.
    expected = 0.4 * np.sqrt(1 + 1 + 4)
    assert uncertain["sd"][0] == pytest.approx(expected, rel=0.25)


def test_weights_that_are_not_stored(make_fit: MakeFit) -> None:
    fit = make_fit()
    stored = fit["posterior"].to_dataset()
    fit["posterior"] = xr.DataTree(stored.drop_vars(["weights", "intercept"]))
    different, uncertain = standout_tasks(fit, n_listed=1)
    assert list(different.columns) == ["task", "rows", "difference", "at_least"]
    assert list(uncertain.columns) == ["task", "rows", "borrowing"]
    assert uncertain["task"].to_list() == ["c"]


def test_nearest_differences_stand_in_for_all_pairs(make_fit: MakeFit) -> None:
    fit = make_fit()
    values = np.zeros((4, 2, 2))
    values[1] = 3.0
    nearest = xr.Dataset(
        {"nearest_difference": (("task", "neighbour", "statistic"), values)},
        coords={"task": list("abcd"), "neighbour": [0, 1], "statistic": ["mean", "lower"]},
    )
    fit["task_relations"] = xr.DataTree(nearest)
    different, _ = standout_tasks(fit, n_listed=1)
    assert different["task"].to_list() == ["b"]
    assert different["difference"].to_list() == [3.0]


def test_only_intercepts(make_fit: MakeFit) -> None:
    fit = make_fit()
    posterior = fit["posterior"].to_dataset().drop_dims("feature")
    posterior["intercept"] = posterior["intercept"] + xr.DataArray(
        [0.0, 0.0, 0.0, 1.0], dims="task"
    )
    fit["posterior"] = xr.DataTree(posterior)
    fit["constant_data"] = xr.DataTree(fit["constant_data"].to_dataset().drop_dims("feature"))
    different, _ = standout_tasks(fit, n_listed=1)
    assert different["mainly"].to_list() == ["Intercept 8 (average 7.25)"]


def test_a_single_task_differs_from_none(make_fit: MakeFit) -> None:
    fit = make_fit().isel(task=[0], missing_dims="ignore").isel(task_bis=[0], missing_dims="ignore")
    different, uncertain = standout_tasks(fit, n_listed=5)
    assert different.empty
    assert uncertain["task"].to_list() == ["a"]
