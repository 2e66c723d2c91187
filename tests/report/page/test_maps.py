"""The task-relation map."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report.page import maps as module
from bayesmtl.report.page.maps import relation_maps
from bayesmtl.report.page.packing import unpack
from bayesmtl.report.page.tasks import PageTasks, page_tasks

ManyTasks = Callable[[int], xr.DataTree]


def read(fit: xr.DataTree) -> tuple[xr.Dataset, PageTasks]:
    return fit["task_relations"].to_dataset(), page_tasks(fit)


def test_pairs_above_the_diagonal(many_tasks: ManyTasks) -> None:
    relations, tasks = read(many_tasks(9))
    found = relation_maps(relations, tasks)["kinds"]
    assert [kind["name"] for kind in found] == ["difference", "correlation"]
    upper = np.triu_indices(9, 1)
    for kind in found:
        for name in ("mean", "lower", "upper"):
            expected = relations[kind["name"]].sel(statistic=name).to_numpy()[upper]
            np.testing.assert_allclose(unpack(kind[name]), expected, atol=1e-3)
    assert "p_positive" in found[1]
    assert "p_positive" not in found[0]


def test_clusters_come_first_and_have_no_interval(clustered: xr.DataTree) -> None:
    kind, *others = relation_maps(*read(clustered))["kinds"]
    assert kind["name"] == "coclustering"
    assert "lower" not in kind
    assert [other["name"] for other in others] == ["difference", "correlation"]


def test_functions_and_graphs_have_maps(functions: xr.DataTree, networks: xr.DataTree) -> None:
    (kind,) = relation_maps(*read(functions))["kinds"]
    assert kind["title"] == "Correlation of the functions"
    names = [kind["name"] for kind in relation_maps(*read(networks))["kinds"]]
    assert names == ["graph_similarity", "partial_correlation_similarity"]


def test_maps_beyond_the_budget_are_named(
    many_tasks: ManyTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUDGET", 100)
    found = relation_maps(*read(many_tasks(9)))
    assert len(found["kinds"]) == 1
    assert found["note"] == "Left out to keep this page small: correlation of predictions."


def test_nearest_tasks_stand_in_for_too_many_pairs(
    many_tasks: ManyTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAP_LIMIT", 20)
    relations, tasks = read(many_tasks(30))
    found = relation_maps(relations, tasks)
    assert found["kinds"] == []
    assert "With 30 tasks a map" in found["note"]
    away = relations["difference"].sel(statistic="mean").to_numpy()
    for task, others in enumerate(found["nearest"]["index"]):
        assert others == np.argsort(away[task], kind="stable")[1:11].tolist()


def test_stored_neighbours(many_tasks: ManyTasks) -> None:
    relations, tasks = read(many_tasks(3))
    stored = xr.Dataset(
        {
            "nearest_task": (("task", "neighbour"), [["task 1"], ["task 0"], ["task 1"]]),
            "nearest_difference": (
                ("task", "neighbour", "statistic"),
                np.arange(9.0).reshape(3, 1, 3),
            ),
        },
        {"task": relations["task"], "statistic": ["mean", "lower", "upper"]},
    )
    nearest = relation_maps(stored, tasks)["nearest"]
    assert nearest["index"] == [[1], [0], [1]]
    np.testing.assert_allclose(unpack(nearest["mean"]), [0.0, 3.0, 6.0])
    # A neighbour that is not on the page has no place.
    some = PageTasks(np.array([0, 2]), ["task 0", "task 2"], 3)
    assert relation_maps(stored, some)["nearest"]["index"] == [[-1], [-1]]


def test_nothing_to_show(many_tasks: ManyTasks) -> None:
    relations, tasks = read(many_tasks(1))
    assert "one task only" in relation_maps(relations, tasks)["note"]
    assert "does not hold" in relation_maps(xr.Dataset(), read(many_tasks(3))[1])["note"]


def test_why_there_is_no_correlation(many_tasks: ManyTasks) -> None:
    relations, tasks = read(many_tasks(3))
    relations = relations.drop_vars("correlation").assign_attrs(correlation_absent="one feature")
    note = relation_maps(relations, tasks)["note"]
    assert note == "No correlation of predictions is shown: one feature."
