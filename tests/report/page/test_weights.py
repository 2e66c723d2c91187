"""Weights on the page."""

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import UnsupportedError
from bayesmtl.report.page import weights as module
from bayesmtl.report.page.packing import unpack
from bayesmtl.report.page.tasks import page_tasks
from bayesmtl.report.page.weights import task_weights


def test_estimates_with_sharing_and_alone(clustered: xr.DataTree) -> None:
    found = task_weights(clustered, page_tasks(clustered))
    names = [feature["name"] for feature in found["features"]]
    assert names[0] == "intercept (features at 0)"
    assert sorted(names[1:]) == ["x1", "x2"]
    feature = found["features"][names.index("x1")]
    draws = clustered["posterior"]["weights"].sel(feature="x1")
    np.testing.assert_allclose(unpack(feature["mean"]), draws.mean(("chain", "draw")), atol=1e-3)
    alone = clustered["constant_data"]["unpooled_weights"].sel(feature="x1")
    np.testing.assert_allclose(unpack(feature["alone"]), alone, atol=0.01)
    low, low50, high50, high = (unpack(feature[x]) for x in ("low", "low50", "high50", "high"))
    assert ((low <= low50) & (low50 <= high50) & (high50 <= high)).all()
    assert found["inclusion"] == []


def test_a_wild_estimate_of_one_task_is_told_as_it_is(clustered: xr.DataTree) -> None:
    fit = clustered.copy(deep=True)
    fit["constant_data"].data_vars["unpooled_weights"][2] = 98765.0
    for feature in task_weights(fit, page_tasks(fit))["features"][1:]:
        assert 98765.0 in unpack(feature["alone"])


def test_a_band_where_a_new_task_would_lie(clustered: xr.DataTree, neighbours: xr.DataTree) -> None:
    found = task_weights(neighbours, page_tasks(neighbours))["features"]
    assert all(len(feature["population"]) == 2 for feature in found)
    # Between clusters no task need lie.
    found = task_weights(clustered, page_tasks(clustered))["features"]
    assert all("population" not in feature for feature in found)


def test_many_features_leave_those_that_vary_most(
    clustered: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FEATURES", 1)
    found = task_weights(clustered, page_tasks(clustered))
    assert len(found["features"]) == 1
    assert found["note"] == "The 1 of 3 that vary most between tasks."


def test_whose_band_is_shaded(neighbours: xr.DataTree) -> None:
    told = "The shaded band is that of a new task with average task features."
    assert told not in task_weights(neighbours, page_tasks(neighbours))["note"]
    posterior = neighbours["posterior"].to_dataset()
    fit = neighbours.copy()
    fit["posterior"] = xr.DataTree(posterior.assign(task_effects=0.0))
    assert told in task_weights(fit, page_tasks(fit))["note"]


def test_a_posterior_alone(clustered: xr.DataTree) -> None:
    fit = xr.DataTree.from_dict({"/posterior": clustered["posterior"].to_dataset()})
    found = task_weights(fit, page_tasks(fit))
    assert all("alone" not in feature for feature in found["features"])
    assert "rows of each task alone are not known" in found["note"]


def test_weights_that_are_not_stored(clustered: xr.DataTree) -> None:
    posterior = clustered["posterior"].to_dataset().drop_vars(["weights", "intercept"])
    fit = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"weights_stored": 0})})
    fit["posterior"] = xr.DataTree(posterior)
    with pytest.raises(UnsupportedError, match="draws of the weights are not stored"):
        task_weights(fit, page_tasks(fit))


def test_inclusion_of_features(clustered: xr.DataTree) -> None:
    fit = clustered.copy()
    table = np.stack([[0.1, 0.9], [0.0, 0.8], [0.2, 1.0]], axis=-1)[:, None]
    relations = xr.Dataset(
        {"feature_inclusion": (("feature", "part", "statistic"), table)},
        {"feature": ["x1", "x2"], "part": ["any"], "statistic": ["mean", "lower", "upper"]},
    )
    fit["task_relations"] = xr.DataTree(relations)
    assert task_weights(fit, page_tasks(fit))["inclusion"] == [
        ["x2", 0.9, 0.8, 1.0],
        ["x1", 0.1, 0.0, 0.2],
    ]
