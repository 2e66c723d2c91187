"""Heat map of the task relations."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.plots import plot_task_relations
from bayesmtl.plots.task_relations import Map, certain_part

MakeFit = Callable[..., xr.DataTree]
Labels = Callable[[int], list[str]]


def panels(figure: Figure) -> list[str]:
    """Return the titles of the heat maps, without the colour bars."""
    return [ax.get_title().strip() for ax in figure.axes if ax.images]


def cells(figure: Figure) -> np.ma.MaskedArray:
    """Return the values that the first heat map draws."""
    return np.ma.masked_invalid(np.ma.asarray(figure.axes[0].images[0].get_array()))


def note(figure: Figure) -> str:
    return figure.texts[-1].get_text().replace("\n", " ")


def test_both_kinds_in_the_same_order(make_fit: MakeFit) -> None:
    rng = np.random.default_rng(0)
    block = rng.permutation(np.repeat([0.0, 4.0], 4))
    fit = make_fit(list("ABCDEFGH"), ["dose"], centers=np.outer(block, [0, 3]), equal_rows=True)
    figure = plot_task_relations(fit)
    assert len(panels(figure)) == 2
    ax = figure.axes[0]
    order = [tick.get_text() for tick in ax.get_yticklabels()]
    assert order == [tick.get_text() for tick in figure.axes[1].get_xticklabels()]
    of_label = dict(zip("ABCDEFGH", block, strict=True))
    assert np.count_nonzero(np.diff([of_label[label] for label in order])) == 1
    mean = fit["task_relations"]["difference"].sel(statistic="mean", task=order, task_bis=order)
    low = fit["task_relations"]["difference"].sel(statistic="lower", task=order, task_bis=order)
    drawn = cells(figure).filled(np.nan)
    below, above = np.tril_indices(8, -1), np.triu_indices(8, 1)
    np.testing.assert_allclose(drawn[below], mean.to_numpy()[below])
    np.testing.assert_allclose(drawn[above], low.to_numpy()[above])


def test_certain_part_is_zero_where_the_interval_holds_zero() -> None:
    lower, upper = np.array([-0.2, 0.1, -0.9, np.nan]), np.array([0.3, 0.5, -0.4, np.nan])
    part = certain_part(Map("correlation", (lower + upper) / 2, lower, upper))
    np.testing.assert_array_equal(part, [0.0, 0.1, -0.4, np.nan])


def test_numbers_in_the_cells_of_few_tasks_only(make_fit: MakeFit) -> None:
    few = plot_task_relations(make_fit(range(5)), kind="difference")
    many = plot_task_relations(make_fit(range(15)), kind="difference")
    assert len(few.axes[0].texts) == 1 + 5 * 4  # the subtitle and the cells
    assert len(many.axes[0].texts) == 1


@pytest.mark.parametrize("n_tasks", [2, 30, 85])
def test_labels_never_overlap(make_fit: MakeFit, long_labels: Labels, n_tasks: int) -> None:
    figure = plot_task_relations(make_fit(long_labels(n_tasks)))
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert all(not a.overlaps(b) for a, b in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0
    assert ("one label in" in note(figure)) == (len(boxes) < n_tasks)


def test_larger_figures_write_more_labels(make_fit: MakeFit) -> None:
    fit = make_fit(range(85))
    small = plot_task_relations(fit, kind="difference", figsize=(5, 5)).axes[0].get_yticklabels()
    large = plot_task_relations(fit, kind="difference", figsize=(13, 13)).axes[0].get_yticklabels()
    assert len(small) < len(large) == 85


def test_absent_correlation_says_why(make_fit: MakeFit) -> None:
    fit = make_fit(range(4), correlation=False)
    figure = plot_task_relations(fit)
    assert len(panels(figure)) == 1
    assert "No correlation is shown: the tasks have one feature" in note(figure)
    with pytest.raises(UnsupportedError, match=r"the tasks have one feature.*kind='difference'"):
        plot_task_relations(fit, kind="correlation")
    del fit["task_relations"].attrs["correlation_absent"]
    with pytest.raises(UnsupportedError, match="the fit does not hold it"):
        plot_task_relations(fit, kind="correlation")


def test_correlation_alone_counts_the_settled_pairs(make_fit: MakeFit) -> None:
    fit = make_fit(range(6), ["a", "b"])
    figure = plot_task_relations(fit, kind="correlation")
    pairs = fit["task_relations"]["correlation"].to_numpy()[np.triu_indices(6, 1)]
    settled = int(np.sum((pairs[:, 2] > 0) | (pairs[:, 3] < 0)))
    assert f"excludes 0 in {settled} of 15 pairs" in figure.axes[0].texts[0].get_text()


def test_one_task_is_said_in_words(make_fit: MakeFit) -> None:
    figure = plot_task_relations(make_fit(["all"]))
    assert "one task only (all)" in figure.axes[0].texts[0].get_text().replace("\n", " ")


def test_undefined_differences_are_drawn_as_missing(make_fit: MakeFit) -> None:
    fit = make_fit(range(4), correlation=False)
    relations = fit["task_relations"].to_dataset() * np.nan
    figure = plot_task_relations(xr.DataTree.from_dict({"task_relations": relations}))
    assert np.ma.getmaskarray(cells(figure)).all()


def test_wrong_kind_and_empty_group(make_fit: MakeFit) -> None:
    with pytest.raises(InvalidDataError, match=r"kind='graph' is unknown: use 'difference'"):
        plot_task_relations(make_fit(range(3)), kind="graph")
    empty = xr.DataTree.from_dict({"task_relations": xr.Dataset()})
    with pytest.raises(InvalidDataError, match="neither 'difference' nor 'nearest_difference'"):
        plot_task_relations(empty)
    with pytest.raises(InvalidDataError, match="'task_relations' is missing"):
        plot_task_relations(xr.DataTree.from_dict({"posterior": xr.Dataset()}))


def test_settings_of_the_user_stay(make_fit: MakeFit) -> None:
    mine = plt.figure()
    before = dict(plt.rcParams)
    plot_task_relations(make_fit(range(4)))
    assert dict(plt.rcParams) == before
    assert plt.fignum_exists(mine.number)


def with_task_correlation(fit: xr.DataTree) -> xr.DataTree:
    """The fit with structural correlations, those of predictors with the sign changed."""
    relations = fit["task_relations"].to_dataset()
    relations["task_correlation"] = -relations["correlation"]
    names = relations["statistic"].to_numpy()
    prior = [{"lower": -0.9, "upper": 0.9}.get(name, 0.0) for name in names]
    relations["prior_task_correlation"] = (("statistic",), prior)
    fit["task_relations"] = xr.DataTree(relations)
    return fit


def test_correlations_of_the_weights_stand_beside_those_of_the_predictors(
    make_fit: MakeFit,
) -> None:
    fit = with_task_correlation(make_fit(list("ABCD"), ["dose", "age"]))
    figure = plot_task_relations(fit)
    assert panels(figure) == [
        "Correlation between the tasks' feature effects",
        "Correlation of the weights around their mean",
    ]
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert any("prior 90%: -0.90 to 0.90" in text for text in texts)
    alone = plot_task_relations(fit, kind="task_correlation")
    assert panels(alone) == ["Correlation of the weights around their mean"]


def test_the_subtitle_stays_above_its_panel(make_fit: MakeFit) -> None:
    names = [f"The hospital of the northern region {i}, department of surgery" for i in range(15)]
    fit = with_task_correlation(make_fit(names, ["dose", "age"]))
    for figure in (plot_task_relations(fit), plot_task_relations(fit, kind="difference")):
        figure.draw_without_rendering()
        for ax in figure.axes:
            frame = ax.get_window_extent()
            for box in (text.get_window_extent() for text in ax.texts):
                assert frame.x0 <= box.x0
                assert box.x1 <= frame.x1
                assert frame.y1 <= box.y0
                assert box.y1 <= ax.title.get_window_extent().y1


def test_no_covariance_of_the_tasks_is_an_error(make_fit: MakeFit) -> None:
    with pytest.raises(UnsupportedError, match="no covariance of the tasks"):
        plot_task_relations(make_fit(list("ABCD")), kind="task_correlation")


def in_the_way(figure: Figure) -> tuple[float, float]:
    """Return the room in pixels above the titles, and between the task labels and the note."""
    figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.images]
    ticks = [tick.get_window_extent().y0 for ax in panels for tick in ax.get_xticklabels()]
    top = max(ax.title.get_window_extent().y1 for ax in panels)
    return figure.bbox.y1 - top, min(ticks) - figure.texts[-1].get_window_extent().y1


@pytest.mark.parametrize("dpi", [100, 150])
@pytest.mark.parametrize("figsize", [None, (6.6, 6.8)])
def test_one_panel_has_room_for_its_title_and_its_labels(
    make_fit: MakeFit, figsize: tuple[float, float] | None, dpi: int
) -> None:
    names = [
        "très long nom de parcelle numéro 12 (bis)",
        *(f"Finca La Loma {i}" for i in range(11)),
    ]
    figure = plot_task_relations(make_fit(names, correlation=False), figsize=figsize)
    figure.set_dpi(dpi)
    above, between = in_the_way(figure)
    assert above > 0
    assert between > 0
    panel = figure.axes[0].get_window_extent()
    assert panel.width == pytest.approx(panel.height)


@pytest.mark.parametrize(("name", "word"), [("rho", "graph"), ("level_share", "tree")])
def test_correlations_by_construction_are_no_evidence(
    make_fit: MakeFit, name: str, word: str
) -> None:
    fit = with_task_correlation(make_fit(list("ABCD"), ["dose", "age"]))
    relations = fit["task_relations"].to_dataset()
    fit["task_relations"] = xr.DataTree(relations.assign({name: 0.5}))
    learned, given = (ax for ax in plot_task_relations(fit).axes if ax.images)
    assert "excludes 0" in learned.texts[0].get_text()
    assert f"positive or 0 by the {word}, whatever the data" in given.texts[0].get_text()
    assert "excludes" not in given.texts[0].get_text()
    assert "the data cannot tell" not in note(plot_task_relations(fit, kind="task_correlation"))


def test_correlations_that_were_given_are_no_evidence(make_fit: MakeFit) -> None:
    fit = with_task_correlation(make_fit(list("ABCD"), ["dose", "age"]))
    fit["task_relations"].attrs["task_covariance"] = "given"
    given = [ax for ax in plot_task_relations(fit).axes if ax.images][1]
    assert "given with the model, whatever the data" in given.texts[0].get_text()
