"""Task relations of very many tasks."""

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import UnsupportedError
from bayesmtl.plots import plot_task_relations


@pytest.fixture
def many() -> xr.DataTree:
    rng = np.random.default_rng(2)
    labels = np.array([f"task {i}" for i in range(60)], dtype=object)
    mean = np.sort(rng.gamma(3, 0.3, (60, 5)), axis=1)
    mean[17] += 10
    data = {
        "nearest_task": (("task", "neighbour"), labels[rng.integers(0, 60, (60, 5))]),
        "nearest_difference": (
            ("task", "neighbour", "statistic"),
            np.stack([mean, 0.1 * mean, 0.8 * mean, 1.2 * mean], axis=-1),
        ),
    }
    coords = {"task": labels, "statistic": ["mean", "sd", "lower", "upper"]}
    return xr.DataTree.from_dict({"task_relations": xr.Dataset(data, coords)})


def test_most_isolated_task_is_named_on_top(many: xr.DataTree) -> None:
    figure = plot_task_relations(many)
    curve, extremes = figure.axes
    line = curve.lines[0].get_ydata()
    assert np.all(np.diff(np.asarray(line)) >= 0)
    nearest = str(many["task_relations"]["nearest_task"].to_numpy()[17, 0])
    assert extremes.get_yticklabels()[-1].get_text() == f"task 17 – {nearest}"
    assert len(extremes.get_yticklabels()) == 16
    assert "60 tasks: the differences of all pairs are not stored" in figure.texts[-1].get_text()


def test_correlation_of_very_many_tasks_is_refused(many: xr.DataTree) -> None:
    with pytest.raises(UnsupportedError, match="only the nearest tasks are stored"):
        plot_task_relations(many, kind="correlation")
