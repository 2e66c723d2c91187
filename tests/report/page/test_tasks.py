"""Which tasks a page holds, and in which orders."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report.page import tasks as module
from bayesmtl.report.page.tasks import page_tasks, task_facts

ManyTasks = Callable[[int], xr.DataTree]


def test_orders_by_label_similarity_and_cluster(
    many_tasks: ManyTasks, clustered: xr.DataTree
) -> None:
    fit = many_tasks(12)
    facts = task_facts(fit, page_tasks(fit))
    labels = [facts["labels"][t] for t in facts["orders"]["label"]]
    assert labels[1:3] == ["task 1", "task 2"]
    assert labels[-1] == "task 11"
    # The tasks stand on a line.
    assert facts["orders"]["similarity"] in (list(range(12)), list(range(12))[::-1])
    assert "cluster" not in facts["orders"]
    facts = task_facts(clustered, page_tasks(clustered))
    inside = np.array(facts["cluster"])[facts["orders"]["cluster"]]
    assert (np.diff(inside) >= 0).all()
    assert all(0.0 <= share <= 1.0 for share in facts["borrowing"])


def test_too_many_tasks_leave_those_with_most_rows(
    many_tasks: ManyTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TASK_LIMIT", 4)
    fit = many_tasks(12)
    tasks = page_tasks(fit)
    rows = fit["constant_data"]["n_rows"].to_numpy()
    assert sorted(rows[tasks.places]) == sorted(rows)[-4:]
    facts = task_facts(fit, tasks)
    assert (len(facts["labels"]), facts["n_all"]) == (4, 12)
    assert list(facts["orders"]) == ["label"]


def test_a_fit_of_one_group(many_tasks: ManyTasks) -> None:
    fit = xr.DataTree.from_dict({"/posterior": many_tasks(3)["posterior"].to_dataset()})
    facts = task_facts(fit, page_tasks(fit))
    assert set(facts) == {"labels", "n_all", "orders"}
