"""Sharing and borrowing."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.text import Text

from bayesmtl.errors import InvalidDataError
from bayesmtl.plots import plot_sharing
from bayesmtl.plots.sharing import name_extremes, reflected_density
from tests.cluster_trees import with_clusters

MakeFit = Callable[..., xr.DataTree]
Labels = Callable[[int], list[str]]


def said(ax: Axes) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in ax.texts)


def without(fit: xr.DataTree, *names: str) -> xr.DataTree:
    fit["posterior"] = xr.DataTree(fit["posterior"].to_dataset().drop_vars(list(names)))
    return fit


def test_density_has_words_and_the_interval(make_fit: MakeFit) -> None:
    fit = make_fit(range(10))
    ax = plot_sharing(fit).axes[0]
    draws = fit["posterior"]["sharing"].to_numpy()
    low, high = np.quantile(draws, [0.05, 0.95])
    texts = ax.get_legend_handles_labels()[1]
    assert f"90% interval {low:.2f} to {high:.2f}" in texts
    assert f"posterior mean {draws.mean():.2f}" in texts
    ticks = [tick.get_text().replace("\n", " ") for tick in ax.get_xticklabels()]
    assert ticks[0] == "0 separate estimates"
    assert ticks[-1] == "1 one common model"


@pytest.mark.parametrize("shape", [(12, 5), (0.7, 30), (40, 0.8)])
def test_density_integrates_to_one_inside_the_unit_interval(shape: tuple[float, float]) -> None:
    grid, density = reflected_density(np.random.default_rng(3).beta(*shape, 2000))
    assert grid.min() >= 0
    assert grid.max() <= 1
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "estimates each task separately"), (1.0, "one common model"), (0.25, "0.25 in every")],
)
def test_constant_sharing_is_said_in_words(make_fit: MakeFit, value: float, words: str) -> None:
    fit = make_fit(range(4), sharing=value)
    if not value:
        fit["posterior"]["borrowing"] *= 0.0
    ax = plot_sharing(fit).axes[0]
    assert words in said(ax)
    assert not ax.lines


def test_a_fixed_mean_leaves_the_scales_to_share(make_fit: MakeFit) -> None:
    words = said(plot_sharing(make_fit(range(4), sharing=0.0)).axes[0])
    assert "What the tasks share are the scales of their weights." in words
    assert "separately" not in words


def test_full_sharing_is_named_by_the_relation(make_fit: MakeFit) -> None:
    correlated = make_fit(range(6))
    relations = correlated["task_relations"].to_dataset()
    relations["task_correlation"] = relations["correlation"]
    correlated["task_relations"] = xr.DataTree(relations)
    in_clusters = with_clusters(make_fit(range(6)), np.arange(6) % 2, np.full(6, 0.1))
    for fit, words in (
        (correlated, "1 told by the other tasks"),
        (in_clusters, "1 told by its cluster"),
    ):
        last = plot_sharing(fit).axes[0].get_xticklabels()[-1].get_text()
        assert last.replace("\n", " ") == words
    always = with_clusters(make_fit(range(6), sharing=1.0), np.arange(6) % 2, np.full(6, 0.1))
    assert "1: told by its cluster" in said(plot_sharing(always).axes[0])


def test_undefined_sharing_is_said_in_words(make_fit: MakeFit) -> None:
    assert "not defined" in said(plot_sharing(make_fit(range(4), sharing=np.nan)).axes[0])


def test_borrowing_stands_over_the_rows_of_the_task(make_fit: MakeFit) -> None:
    fit = make_fit(range(30), [])
    ax = plot_sharing(fit).axes[1]
    assert ax.get_xscale() == "log"
    drawn = np.asarray(ax.collections[1].get_offsets())
    np.testing.assert_allclose(drawn[:, 0], fit["constant_data"]["n_rows"])
    np.testing.assert_allclose(drawn[:, 1], fit["posterior"]["borrowing"].mean(["chain", "draw"]))
    assert drawn[:, 0].min() > ax.get_xlim()[0]


def test_tasks_without_rows_are_drawn(make_fit: MakeFit) -> None:
    fit = make_fit(range(30), [])
    fit["constant_data"].data_vars["n_rows"][3] = 0
    ax = plot_sharing(fit).axes[1]
    place = np.asarray(ax.collections[1].get_offsets())[3, 0]
    assert ax.get_xlim()[0] < place < np.sort(fit["constant_data"]["n_rows"])[1]
    assert ax.get_xticklabels()[0].get_text() == "none"
    assert ax.get_xticks()[0] == place


@pytest.mark.parametrize("n_tasks", [8, 85])
def test_legends_stand_outside_the_axes_below_the_title(make_fit: MakeFit, n_tasks: int) -> None:
    figure = plot_sharing(make_fit(range(n_tasks)))
    figure.draw_without_rendering()
    for ax in figure.axes:
        legend = ax.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert ax.get_window_extent().y1 <= box.y0
        assert box.y1 <= ax.title.get_window_extent().y0
        assert ax.title.get_window_extent().y1 <= figure.bbox.y1


def test_names_of_the_extremes_do_not_overlap(make_fit: MakeFit, long_labels: Labels) -> None:
    figure = plot_sharing(make_fit(long_labels(85), []))
    ax = figure.axes[1]
    figure.draw_without_rendering()
    assert len(ax.texts) >= 4
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    frame = ax.get_window_extent()
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize(("width", "lines"), [(7.0, 2), (11.0, 1)])
def test_titles_stay_in_the_figure(make_fit: MakeFit, width: float, lines: int) -> None:
    figure = plot_sharing(make_fit(range(8)), figsize=(width, 3.0))
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert min(box.x0 for box in boxes) >= 0.0
    assert max(box.x1 for box in boxes) <= figure.bbox.width
    assert max(box.y1 for box in boxes) <= figure.bbox.height
    assert figure.axes[1].get_title().count("\n") == lines - 1


def test_names_cover_no_dot_of_a_small_figure(make_fit: MakeFit) -> None:
    names = ["$ave_Acres^2", "Finca <La Loma>", "North/West 40", "très long nom de parcelle"]
    names += ["Żabno", "Col[on]: x", "Only one row", "Plot 8", "B_9", "Hilltop", "k", "Ødegård"]
    for seed in (20, 26):
        figure = plot_sharing(make_fit(names, seed=seed), figsize=(7, 3))
        for _ in range(3):
            figure.draw_without_rendering()
        ax = figure.axes[1]
        dots = ax.transData.transform(np.asarray(ax.collections[1].get_offsets()))
        for box in (Text.get_window_extent(text) for text in ax.texts):
            assert not any(box.contains(*dot) for dot in dots)


def test_tasks_at_one_point_are_named_together() -> None:
    x = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    mean = np.array([0.9, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    chosen, texts = name_extremes(x, mean, np.array(list("abcdefghi")))
    assert chosen == [0, 2, 3, 6, 7, 8]
    assert texts == ["a and 1 more", "c", "d", "g", "h", "i"]


def test_equal_rows_put_the_tasks_in_order(make_fit: MakeFit) -> None:
    few = plot_sharing(make_fit(list("abcd"), equal_rows=True)).axes[1]
    assert "each has 6 rows" in few.get_xlabel()
    assert len(few.get_xticklabels()) == 4
    many = plot_sharing(make_fit(range(40), equal_rows=True)).axes[1]
    assert many.get_xscale() == "linear"


@pytest.mark.parametrize(("n_tasks", "angle"), [(3, 0.0), (25, 45.0)])
def test_names_of_few_tasks_stand_upright(make_fit: MakeFit, n_tasks: int, angle: float) -> None:
    names = [f"task {i}" for i in range(n_tasks)]
    ticks = plot_sharing(make_fit(names, equal_rows=True)).axes[1].get_xticklabels()
    assert [tick.get_rotation() for tick in ticks] == [angle] * n_tasks


def test_names_of_equal_rows_have_room(make_fit: MakeFit) -> None:
    fit = make_fit(range(1, 31), equal_rows=True)
    for width, least in ((11, 30), (8, 10)):
        figure = plot_sharing(fit, figsize=(width, 4.4))
        figure.draw_without_rendering()
        ticks = figure.axes[1].get_xticklabels()
        assert len(ticks) >= least
        places = [tick.get_position()[0] for tick in ticks]
        pixels = figure.axes[1].transData.transform([[x, 0.0] for x in places])[:, 0]
        level = [tick.get_rotation() == 0 for tick in ticks]
        boxes = [tick.get_window_extent() for tick in ticks]
        needed = max(box.width for box in boxes) if all(level) else 7 * figure.dpi / 72 * 2**0.5
        assert np.diff(pixels).min() > needed


def test_long_names_leave_room_for_the_axes(make_fit: MakeFit) -> None:
    names = [f"The hospital of the northern region {i}, department of surgery" for i in range(15)]
    figure = plot_sharing(make_fit(names, equal_rows=True))
    figure.draw_without_rendering()
    ax = figure.axes[1]
    assert ax.get_window_extent().height > figure.bbox.height / 2
    assert ax.yaxis.label.get_window_extent().y0 >= 0


def test_what_exists_is_drawn(make_fit: MakeFit) -> None:
    assert len(plot_sharing(without(make_fit(range(4)), "sharing")).axes) == 1
    assert len(plot_sharing(without(make_fit(range(4)), "borrowing")).axes) == 1
    with pytest.raises(InvalidDataError, match="neither 'sharing' nor 'borrowing'"):
        plot_sharing(without(make_fit(range(4)), "sharing", "borrowing"))


def test_missing_group_is_named() -> None:
    with pytest.raises(InvalidDataError, match="'posterior' is missing"):
        plot_sharing(xr.DataTree())
