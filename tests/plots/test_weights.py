"""Weights beside their unpooled estimates."""

import json
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.plots import plot_weights
from tests.cluster_trees import with_clusters

MakeFit = Callable[..., xr.DataTree]
Labels = Callable[[int], list[str]]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def note(figure: Figure) -> str:
    return figure.texts[-1].get_text().replace("\n", " ")


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots(ax: Axes) -> list[np.ndarray]:
    """Return the points of the scatters: posterior means, unpooled, arrows left, arrows right."""
    scatters = [item for item in ax.collections if isinstance(item, PathCollection)]
    return [np.asarray(item.get_offsets()) for item in scatters if item.get_zorder() in (5, 6)]


def with_unpooled(fit: xr.DataTree, values: np.ndarray) -> xr.DataTree:
    constant = fit["constant_data"].to_dataset()
    constant["unpooled_weights"] = (("task", "feature"), values)
    fit["constant_data"] = xr.DataTree(constant)
    return fit


def test_one_panel_per_feature_and_the_intercept_first(make_fit: MakeFit) -> None:
    figure = plot_weights(make_fit(range(8), ["x", "z"]))
    assert titles(figure) == ["intercept (features at 0)", "z", "x"]
    means = dots(figure.axes[1])[0]
    assert len(means) == 8
    assert np.all(np.diff(means[:, 0]) >= 0)


def test_at_most_twelve_panels_by_default(make_fit: MakeFit) -> None:
    fit = make_fit(range(5), [f"x{i}" for i in range(14)])
    figure = plot_weights(fit)
    assert len(figure.axes) == 12
    assert "12 of 15 panels" in note(figure)
    assert len(plot_weights(fit, max_panels=3).axes) == 3


def test_features_are_chosen_by_name(make_fit: MakeFit) -> None:
    fit = make_fit(range(5), ["x", "cost $ and $"])
    figure = plot_weights(fit, features=["x", "intercept"])
    assert titles(figure) == ["x", "intercept (features at 0)"]
    assert "panels" not in note(figure)
    assert titles(plot_weights(fit, features="cost $ and $")) == [r"cost \$ and \$"]
    with pytest.raises(InvalidDataError, match="Unknown features"):
        plot_weights(fit, features="q")


def test_clipped_estimates_become_arrows(make_fit: MakeFit) -> None:
    values = np.array([[0.0], [1e5], [-1e4], [np.nan], [0.1]])
    figure = plot_weights(with_unpooled(make_fit(range(5), ["x"]), values), features="x")
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    assert -20 < low < high < 20
    _, circles, left, right = dots(ax)
    assert [len(circles), len(left), len(right)] == [2, 1, 1]
    assert left[0, 0] == pytest.approx(low)
    assert right[0, 0] == pytest.approx(high)
    assert "the same, beyond the axis" in legend(figure)
    assert "Tasks whose own rows alone give no estimate, of 5: 1." in note(figure)


def test_long_titles_are_wrapped(make_fit: MakeFit) -> None:
    names = ["HEIGHT ABOVE THE LEVEL OF THE OCEAN IN M", "DISTANCE TO THE NEXT LARGE TOWN IN MILES"]
    fit = make_fit(range(4), names)
    figure = plot_weights(fit)
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert boxes[-1].x1 <= figure.bbox.x1
    assert all(a.x1 <= b.x0 for a, b in pairwise(boxes))


def test_legend_tells_only_what_occurs(make_fit: MakeFit) -> None:
    fit = with_unpooled(make_fit(range(5), ["x"]), np.full((5, 1), np.nan))
    posterior = fit["posterior"].to_dataset().drop_vars("population_sd")
    fit["posterior"] = xr.DataTree(posterior)
    assert legend(plot_weights(fit, features="x")) == [
        "posterior mean",
        "50% interval",
        "90% interval",
    ]


@pytest.mark.parametrize("n_tasks", [8, 85, 500])
def test_labels_never_overlap(make_fit: MakeFit, long_labels: Labels, n_tasks: int) -> None:
    figure = plot_weights(make_fit(long_labels(n_tasks), ["x"], n_draws=10))
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
        assert all(not a.overlaps(b) for a, b in pairwise(boxes))
        assert len(boxes) == n_tasks or "one label in" in note(figure)
    assert figure.axes[0].get_yticklabels()[0].get_window_extent().x0 >= 0


def test_very_many_tasks_are_sampled_and_told(make_fit: MakeFit) -> None:
    figure = plot_weights(make_fit(range(40), ["x"]), max_tasks=10)
    assert "10 of 40 tasks, evenly spaced in rank" in note(figure)
    assert len(dots(figure.axes[1])[0]) == 10


def test_no_features_leave_the_intercepts(make_fit: MakeFit) -> None:
    figure = plot_weights(make_fit(range(6), []))
    assert titles(figure) == ["intercept"]
    assert len(dots(figure.axes[0])[1]) > 0


def test_no_observed_data_leave_the_posterior(make_fit: MakeFit) -> None:
    fit = make_fit(range(6), [])
    del fit["observed_data"]
    assert all(len(points) == 0 for points in dots(plot_weights(fit).axes[0])[1:])


def test_other_likelihoods_have_no_least_squares(make_fit: MakeFit) -> None:
    fit = with_unpooled(make_fit(range(6), ["x"]), np.ones((6, 1)))
    fit.attrs["model"] = json.dumps({"likelihood": {"type": "Bernoulli"}})
    figure = plot_weights(fit)
    assert "estimate, the task's rows alone" in legend(figure)
    absent = "intercept (features at 0): no estimates from the task's rows alone, because"
    assert f"{absent} the responses are on another scale than the predictor." in note(figure)
    assert "give no estimate" not in note(figure)


@pytest.mark.parametrize("gaussian", [True, False])
def test_rows_too_few_in_every_task_are_told(make_fit: MakeFit, gaussian: bool) -> None:
    fit = with_unpooled(make_fit(range(6), ["x"]), np.full((6, 1), np.nan))
    kind = "Gaussian" if gaussian else "Bernoulli"
    fit.attrs["model"] = json.dumps({"likelihood": {"type": kind}})
    few = "x: no estimates from the task's rows alone, because the rows of each task are too few"
    assert few in note(plot_weights(fit))


def test_rings_show_around_the_filled_dots(make_fit: MakeFit) -> None:
    fit = make_fit(range(5), ["x"])
    agreed = fit["posterior"]["weights"].mean(["chain", "draw"]).to_numpy()
    ax = plot_weights(with_unpooled(fit, agreed), features="x").axes[0]
    filled, rings, *_ = (item for item in ax.collections if isinstance(item, PathCollection))
    assert rings.get_facecolors().size == 0  # type: ignore[attr-defined]
    assert rings.get_zorder() > filled.get_zorder()
    assert rings.get_sizes()[0] > filled.get_sizes()[0]


def test_task_features_are_told(make_fit: MakeFit) -> None:
    fit = make_fit(range(4), ["x"])
    posterior = fit["posterior"].to_dataset()
    posterior["task_effects"] = posterior["population_mean"].expand_dims(task_feature=["u"])
    fit["posterior"] = xr.DataTree(posterior)
    assert "average task features" in note(plot_weights(fit))


def test_clusters_have_no_band(make_fit: MakeFit) -> None:
    fit = make_fit(range(6), ["x"], centers=np.outer(np.arange(6) % 2, [0, 9]))
    assert "population mean ± sd: a new task" in legend(plot_weights(fit))
    figure = plot_weights(with_clusters(fit, np.arange(6) % 2, np.full(6, 0.1)))
    assert "population mean ± sd: a new task" not in legend(figure)
    assert not any(ax.patches or ax.lines for ax in figure.axes)


def test_wrong_limits_and_missing_parts(make_fit: MakeFit) -> None:
    fit = make_fit(range(4), ["x"])
    with pytest.raises(InvalidDataError, match=r"max_panels=0 and max_tasks=5.*at least 1"):
        plot_weights(fit, max_panels=0, max_tasks=5)
    fit.attrs["weights_stored"] = 0
    fit["posterior"] = xr.DataTree(fit["posterior"].to_dataset().drop_vars("weights"))
    with pytest.raises(UnsupportedError, match="not stored"):
        plot_weights(fit)
    del fit["constant_data"]
    with pytest.raises(InvalidDataError, match="'constant_data' is missing"):
        plot_weights(fit)
