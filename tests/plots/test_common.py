"""Order of the tasks, labels that fit, groups of the fit."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError, InvalidTypeError
from bayesmtl.plots import plot_sharing, plot_task_relations, plot_weights
from bayesmtl.plots.common import (
    drawn_labels,
    get_group,
    new_figure,
    order_by_similarity,
    quiet_glyphs,
    rows_that_fit,
    shorten,
    tell_thinning,
    thin,
    write_note,
)

MakeFit = Callable[..., xr.DataTree]


def test_order_puts_planted_blocks_together() -> None:
    rng = np.random.default_rng(1)
    block = rng.permutation(np.repeat([0, 1, 2], 10))
    place = block * 5.0 + rng.normal(size=30) * 0.3
    order = order_by_similarity(np.abs(place[:, None] - place[None, :]))
    assert sorted(order) == list(range(30))
    assert np.count_nonzero(np.diff(block[order])) == 2


def test_order_survives_missing_differences_and_tiny_inputs() -> None:
    assert order_by_similarity(np.zeros((1, 1))).tolist() == [0]
    gaps = np.array([[0.0, 1.0, np.nan], [1.0, 0.0, np.nan], [np.nan, np.nan, 0.0]])
    order = order_by_similarity(gaps).tolist()
    assert abs(order.index(0) - order.index(1)) == 1


def test_thinning_is_even_and_fits() -> None:
    assert thin(8, 50).tolist() == list(range(8))
    shown = thin(500, 45)
    assert len(shown) <= 45
    assert set(np.diff(shown)) == {12}
    assert thin(10, 0.2).tolist() == [0]


def test_thinning_is_told() -> None:
    assert tell_thinning("Sorted", thin(8, 50), 8) == "Sorted."
    assert "one label in 12 is written" in tell_thinning("Sorted", thin(500, 45), 500)


def test_rows_that_fit_grows_with_the_height() -> None:
    assert rows_that_fit(10.0, 7.0) == pytest.approx(2 * rows_that_fit(5.0, 7.0))
    assert rows_that_fit(10.0, 7.0) < 10.0 * 72 / 7.0


def test_long_labels_keep_both_ends() -> None:
    assert shorten("short", 10) == "short"
    short = shorten("St. Mary's County (north-west), district 12", 24)
    assert len(short) <= 24
    assert short.startswith("St. Mary's")
    assert short.endswith("district 12")


def test_labels_stay_distinct_when_shortened() -> None:
    labels = [f"{'a' * 20}{i}{'b' * 20}" for i in range(3)]
    short = drawn_labels(labels, 20)
    assert [text[:2] for text in short] == ["…0", "…1", "…2"]
    assert {len(text) for text in short} == {20}
    wards = [f"The hospital of the northern region {i:02d}, department of surgery" for i in (8, 12)]
    assert [text[:4] for text in drawn_labels(wards)] == ["…08,", "…12,"]
    assert max(map(len, drawn_labels(wards))) <= 28
    twisted = [f"{'a' * 20}{i}{'b' * 20}{j}{'c' * 20}" for i in "12" for j in "12"]
    assert len(set(drawn_labels(twisted))) == 4
    assert len(set(drawn_labels(["a" * 40, "a" * 41]))) == 2


def test_labels_of_every_type_become_text() -> None:
    dates = np.array(["2020-01-31"], dtype="datetime64[ns]")
    assert drawn_labels(dates) == ["2020-01-31"]
    assert drawn_labels(np.array([3, 17])) == ["3", "17"]
    assert drawn_labels(np.array(["$5\n- $10"], dtype=object)) == [r"\$5 - \$10"]


def test_missing_group_is_named() -> None:
    idata = xr.DataTree.from_dict({"posterior": xr.Dataset()})
    with pytest.raises(
        InvalidDataError, match=r"'constant_data' is missing.*posterior.*model\.fit"
    ):
        get_group(idata, "constant_data")


def test_other_objects_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match=r"this is a Dataset.*DataTree"):
        get_group(xr.Dataset(), "posterior")  # type: ignore[arg-type]


def test_characters_that_the_font_lacks_are_drawn_quietly(make_fit: MakeFit) -> None:
    fit = make_fit(["東京", "大阪", "京都"])
    for plot in (plot_sharing, plot_task_relations, plot_weights):
        figure = plot(fit)
        with quiet_glyphs():
            figure.draw_without_rendering()
    with quiet_glyphs(), pytest.raises(UserWarning, match="another"):
        warnings.warn("another", UserWarning, stacklevel=1)


def test_note_is_wrapped_inside_the_figure() -> None:
    figure, _ = new_figure(1, 1, (4.0, 3.0))
    write_note(figure, ["word " * 60])
    figure.draw_without_rendering()
    text = figure.texts[-1]
    assert text.get_text().count("\n") > 2
    assert text.get_window_extent().x1 <= figure.bbox.x1
