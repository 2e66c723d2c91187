"""Clusters in the report."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console

from bayesmtl.report import print_report, write_plots
from bayesmtl.report.clusters import describe_clusters
from tests.cluster_trees import with_clusters

MakeFit = Callable[..., xr.DataTree]
MOVED = np.array([0.05, 0.02, 0.5, 0.0])


@pytest.fixture
def fit(make_fit: MakeFit) -> xr.DataTree:
    return with_clusters(make_fit(), np.array([0, 0, 0, 1]), MOVED)


def test_clusters_and_doubtful_members(fit: xr.DataTree) -> None:
    relations = fit["task_relations"].to_dataset()
    text, members = describe_clusters(relations, 5)
    first, second = text.splitlines()
    assert first == (
        "2 (90% interval 2 to 3; prior 2, 1 to 4); 2 in the partition closest to all draws"
    )
    share = float(relations["membership"][2])
    assert second.startswith(f"Least certain of their cluster: c {share:.0%}, ")
    assert members["tasks"].tolist() == [3, 1]
    assert members["members"].iloc[0].split(", ")[-1] == "c"
    assert members["members"].iloc[1] == "d"


def test_long_lists_are_cut() -> None:
    n_tasks = 12
    relations = xr.Dataset(
        {
            "partition": ("task", np.repeat([0, 1, 2], [6, 4, 2])),
            "membership": ("task", np.full(n_tasks, 0.95)),
            "n_clusters_probability": (("n_clusters_value", "distribution"), np.ones((1, 2))),
        },
        {
            "task": [f"task {i}" for i in range(n_tasks)],
            "n_clusters_value": [3],
            "distribution": ["posterior", "prior"],
        },
    )
    text, members = describe_clusters(relations, 2)
    assert text.endswith("of which the 2 largest are listed (others: 2 tasks)")
    assert members["members"].tolist() == [
        "task 0, task 1, task 2 and 3 more",
        "task 6, task 7, task 8 and 1 more",
    ]


def test_the_printed_report_has_them_only_for_clusters(make_fit: MakeFit, fit: xr.DataTree) -> None:
    out = io.StringIO()
    print_report(fit, Console(file=out))
    assert "Clusters: 2 (90%" in out.getvalue()
    assert "Clusters of the partition closest to all draws\n" in out.getvalue()
    out = io.StringIO()
    print_report(make_fit(), Console(file=out))
    assert "luster" not in out.getvalue()


def test_their_plot_is_written(
    fit: xr.DataTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("task_relations", "weights", "sharing", "clusters"):
        monkeypatch.setattr(f"bayesmtl.plots.plot_{name}", lambda _: Figure())
    assert write_plots(fit, tmp_path)[-1].name == "clusters.png"
