"""Inclusion weights."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.plots import plot_inclusion

MakeFit = Callable[..., xr.DataTree]


def selecting(fit: xr.DataTree, n_features: int) -> xr.DataTree:
    """The fit with inclusion weights that grow from feature to feature."""
    means = np.linspace(0.05, 0.95, n_features)
    statistics = ["mean", "sd", "lower", "upper", "p_positive"]
    table = np.zeros((n_features, 3, 5))
    table[:, :, 0] = means[:, None] * np.array([1.0, 0.8, 0.5])
    table[:, :, 2], table[:, :, 3] = 0.8 * table[:, :, 0], 1.0
    added = xr.DataArray(
        table,
        dims=("feature", "part", "statistic"),
        coords={
            "feature": [f"f{j}" for j in range(n_features)],
            "part": ["any", "mean", "deviations"],
            "statistic": statistics,
        },
    )
    relations = fit["task_relations"].to_dataset().drop_dims("feature", errors="ignore")
    fit["task_relations"] = xr.DataTree(relations.assign(feature_inclusion=added))
    return fit


def test_the_features_that_matter_most_stand_on_top(make_fit: MakeFit) -> None:
    figure = plot_inclusion(selecting(make_fit(range(4)), 6))
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    heights = figure.axes[0].get_yticks()
    assert [name for _, name in sorted(zip(heights, names, strict=True))][-1] == "f5"
    dots = figure.axes[0].lines[0].get_xydata()
    assert np.asarray(dots)[0].tolist() == [0.95, 5.0]


def test_many_features_are_cut_and_it_says_so(make_fit: MakeFit) -> None:
    figure = plot_inclusion(selecting(make_fit(range(4)), 60))
    assert len(figure.axes[0].get_yticks()) == 40
    assert "40 of 60 features" in figure.get_supxlabel()


def test_weights_are_told_to_be_no_probabilities(make_fit: MakeFit) -> None:
    figure = plot_inclusion(selecting(make_fit(range(4)), 6))
    note = figure.get_supxlabel().replace("\n", " ")
    assert "a weight is no probability" in note
    assert "features without effect can stand far above 0.5" in note
    figure.draw_without_rendering()
    label = figure.axes[1].xaxis.label.get_window_extent()
    assert figure.texts[-1].get_window_extent().y1 <= label.y0


def test_a_fit_without_selection_is_refused(make_fit: MakeFit) -> None:
    with pytest.raises(InvalidDataError, match="selects no features"):
        plot_inclusion(make_fit(range(4)))
