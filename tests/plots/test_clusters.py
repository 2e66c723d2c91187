"""The plot of the clusters."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesmtl.errors import InvalidDataError, InvalidTypeError, UnsupportedError
from bayesmtl.plots import plot_clusters
from tests.cluster_trees import with_clusters

MakeFit = Callable[..., xr.DataTree]
Labels = Callable[[int], list[str]]
ClusteredFit = Callable[..., xr.DataTree]


@pytest.fixture
def make_clustered(make_fit: MakeFit) -> ClusteredFit:
    def make(
        labels: Sequence[object], features: Sequence[str] = ("floor",), n_blocks: int = 3
    ) -> xr.DataTree:
        rng = np.random.default_rng(7)
        center = np.arange(len(labels)) % n_blocks
        shift = rng.normal(size=(n_blocks, 1 + len(features))) * 3
        fit = make_fit(labels, features, centers=shift[center], equal_rows=True)
        return with_clusters(fit, center, rng.uniform(0.02, 0.2, len(labels)))

    return make


def weights_axes(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_xlabel()]


def note(figure: Figure) -> str:
    return figure.texts[-1].get_text().replace("\n", " ")


def words(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_three_panels(make_clustered: ClusteredFit) -> None:
    fit = make_clustered(list("abcdefgh"))
    figure = plot_clusters(fit)
    assert sorted(words(figure.axes[0])) == list("abcdefgh")
    relations = fit["task_relations"].to_dataset()
    bars = [patch.get_height() for patch in figure.axes[1].patches]  # type: ignore[attr-defined]
    probability = relations["n_clusters_probability"]
    np.testing.assert_allclose(
        bars, probability.sel(distribution="posterior").to_numpy()[: len(bars)]
    )
    prior = probability.sel(distribution="prior").to_numpy()[: len(bars)]
    np.testing.assert_allclose(np.asarray(figure.axes[1].lines[0].get_ydata()), prior)
    texts = figure.axes[1].get_legend_handles_labels()[1]
    assert "posterior: 3 (90% 3 to 4)" in texts
    (ax,) = weights_axes(figure)
    block = np.flatnonzero(relations["partition"] == 0)
    draws = fit["posterior"]["weights"].to_numpy()[:, :, block, 0]
    assert ax.lines[0].get_xdata()[0] == pytest.approx(draws.mean())  # type: ignore[index]
    assert [word[:5] for word in words(ax)] == ["A (3)", "B (3)", "C (2)"]


def test_features_that_differ_most_come_first(make_clustered: ClusteredFit) -> None:
    fit = make_clustered(range(9), ["a", "b", "c", "d", "e"])
    posterior = fit["posterior"].to_dataset()
    stretched = posterior["weights"] * xr.DataArray([1, 1, 1, 50, 9], dims="feature")
    fit["posterior"] = xr.DataTree(posterior.assign(weights=stretched))
    figure = plot_clusters(fit, max_features=2)
    assert [ax.get_xlabel() for ax in weights_axes(figure)] == ["d", "e"]
    assert "2 of 5 features: those that differ most" in note(figure)
    constant = fit["constant_data"].to_dataset()
    scale = ("feature", [1, 1, 1, 0.001, 1.0])
    fit["constant_data"] = xr.DataTree(constant.assign(feature_scale=scale))
    assert weights_axes(plot_clusters(fit, max_features=1))[0].get_xlabel() == "e"


def test_chosen_features_in_their_order(make_clustered: ClusteredFit) -> None:
    figure = plot_clusters(make_clustered(range(9), ["a", "b", "c"]), features=["c", "a"])
    assert [ax.get_xlabel() for ax in weights_axes(figure)] == ["c", "a"]
    assert "features=" not in note(figure)


def test_many_clusters_are_counted(make_clustered: ClusteredFit) -> None:
    figure = plot_clusters(make_clustered(range(40), n_blocks=20))
    assert "of the 12 largest of" in note(figure)
    assert len(words(weights_axes(figure)[0])) == 12


@pytest.mark.parametrize("n_tasks", [2, 29, 139])
def test_labels_never_overlap(
    make_clustered: ClusteredFit, long_labels: Labels, n_tasks: int
) -> None:
    features = [f"a feature with a long name, number {i}" for i in range(6)]
    figure = plot_clusters(make_clustered(long_labels(n_tasks), features, n_blocks=2))
    figure.draw_without_rendering()
    rows = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    names = [ax.xaxis.label.get_window_extent() for ax in weights_axes(figure)]
    for boxes in (rows, names):
        assert all(not a.overlaps(b) for a, b in pairwise(boxes))
    assert min(box.x0 for box in rows) >= 0
    assert ("one label in" in note(figure)) == (len(rows) < n_tasks)


def test_clusters_instead_of_pairs_for_very_many_tasks(make_clustered: ClusteredFit) -> None:
    fit = make_clustered(list("abcdef"))
    pairs = ["coclustering", "coclustering_mcse"]
    fit["task_relations"] = xr.DataTree(fit["task_relations"].to_dataset().drop_vars(pairs))
    figure = plot_clusters(fit)
    assert [word[:5] for word in words(figure.axes[0])] == ["A (2)", "B (2)", "C (2)"]
    assert "mean probability over the pairs" in note(figure)


def test_weights_that_are_not_stored(make_clustered: ClusteredFit) -> None:
    fit = make_clustered(list("abcdef"))
    fit["posterior"] = xr.DataTree(fit["posterior"].to_dataset().drop_vars("weights"))
    figure = plot_clusters(fit)
    assert "The weights are not stored" in note(figure)
    assert len(weights_axes(figure)) == 1


def test_one_task(make_clustered: ClusteredFit) -> None:
    figure = plot_clusters(make_clustered(["$a_1"], n_blocks=1))
    assert words(figure.axes[0]) == [r"\$a_1"]
    assert "1 task in 1 cluster." in note(figure)


def test_a_relation_without_clusters(make_fit: MakeFit) -> None:
    fit = make_fit(list("abc"))
    with pytest.raises(UnsupportedError, match=r"of this fit does not sort .*plot_task_relations"):
        plot_clusters(fit)
    fit.attrs["model"] = json.dumps({"relation": {"type": "Exchangeable"}})
    with pytest.raises(UnsupportedError, match=r"of this fit, Exchangeable, .*DirichletProcess"):
        plot_clusters(fit)


def test_bad_arguments(make_clustered: ClusteredFit) -> None:
    fit = make_clustered(list("abcd"))
    with pytest.raises(InvalidDataError, match=r"max_features=0 must be at least 1"):
        plot_clusters(fit, max_features=0)
    with pytest.raises(InvalidDataError, match=r"Unknown features \['soil'\]"):
        plot_clusters(fit, features="soil")
    with pytest.raises(InvalidTypeError, match="a fit is needed"):
        plot_clusters(None)  # type: ignore[arg-type]
