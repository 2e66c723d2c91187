"""Label-free summaries of partitions, against their definitions."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesmtl.numerics.partitions import (
    canonical,
    expected_binder,
    expected_vi,
)
from bayesmtl.posterior import clusters
from bayesmtl.posterior.clusters import block_coclustering, cluster_relations, n_clusters_interval
from bayesmtl.posterior.storage import load, save
from tests.cluster_trees import draw_partitions
from tests.oracles import partitions as oracle

CENTER = np.array([0, 0, 0, 1, 1, 2])
LABELS = np.array(list("abcdef"), dtype=object)
PRIOR = np.array([0.5, 0.3, 0.1, 0.05, 0.04, 0.01])


@pytest.fixture
def draws() -> np.ndarray:
    moved = np.array([0.1, 0.1, 0.5, 0.1, 0.1, 0.2])
    return draw_partitions(CENTER, moved, (2, 400))


def summaries(draws: np.ndarray) -> xr.Dataset:
    return cluster_relations(draws, LABELS, PRIOR)


def test_every_summary_by_its_definition(draws: np.ndarray) -> None:
    found, flat = summaries(draws), draws.reshape(-1, 6)
    together = flat[:, :, None] == flat[:, None]
    np.testing.assert_allclose(found["coclustering"], together.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found["partition"], CENTER)
    partition = found["partition"]
    assert partition.attrs["expected_vi"] == pytest.approx(expected_vi(CENTER, flat))
    binder = found["partition_binder"]
    assert binder.attrs["expected_binder"] == pytest.approx(expected_binder(binder.values, flat))
    certain = oracle.membership(flat, CENTER)
    np.testing.assert_allclose(found["membership"], certain, rtol=1e-12)
    assert found["membership"].to_numpy().argmin() == 2
    counts = np.array([len(set(draw)) for draw in flat])
    assert float(found["n_clusters"].sel(statistic="mean")) == pytest.approx(counts.mean())
    table = found["n_clusters_probability"]
    assert float(table.sel(n_clusters_value=3, distribution="posterior")) == np.mean(counts == 3)
    np.testing.assert_array_equal(table.sel(distribution="prior"), PRIOR)
    assert list(found["task_bis"].values) == list(LABELS)


def test_bounds_are_drawn_partitions_within_the_radius(draws: np.ndarray) -> None:
    bound = summaries(draws)["partition_bound"]
    flat, radius = draws.reshape(-1, 6), bound.attrs["radius"]
    distance = np.array([expected_vi(CENTER, draw[None]) for draw in flat])
    assert np.mean(distance <= radius + 1e-9) >= 0.95
    assert list(bound["bound"].values) == ["upper", "lower", "horizontal"]
    for edge in bound.values:
        assert (edge == flat).all(axis=1).any()
    farthest = expected_vi(bound.sel(bound="horizontal").values, CENTER[None])
    assert farthest == pytest.approx(radius)


def test_labels_of_the_draws_do_not_matter(draws: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    renamed = np.array([[rng.permutation(9)[draw] for draw in chain] for chain in draws])
    expected = summaries(draws)
    # The number of clusters is read from canonical labels.
    found = summaries(canonical(renamed.reshape(-1, 6)).reshape(draws.shape))
    xr.testing.assert_identical(found, expected)


def test_standard_errors_match_repetitions() -> None:
    moved = np.full(6, 0.3)
    long = draw_partitions(CENTER, moved, (200, 100))
    means = np.array([(chain[:, 0] == chain[:, 1]).mean() for chain in long])
    errors = [float(summaries(chain[None])["coclustering_mcse"][0, 1]) for chain in long[:40]]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(means.std(), rel=0.25)


def test_standard_errors_grow_where_chains_stay_apart() -> None:
    apart = np.zeros((2, 100, 2), dtype=np.int32)
    apart[1, :, 1] = 1
    found = cluster_relations(apart, LABELS[:2], PRIOR[:2])
    assert float(found["coclustering"][0, 1]) == 0.5
    assert float(found["coclustering_mcse"][0, 1]) > 0.1
    assert float(found["coclustering_mcse"][0, 0]) == 0.0


def test_one_draw_has_no_standard_error_and_one_task_is_sure() -> None:
    assert np.isnan(summaries(CENTER[None, None])["coclustering_mcse"]).all()
    alone = cluster_relations(np.zeros((2, 5, 1), dtype=np.int32), LABELS[:1], np.ones(1))
    assert float(alone["membership"][0]) == 1.0
    assert float(alone["coclustering"][0, 0]) == 1.0


def test_very_many_tasks_have_no_pairs(draws: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = summaries(draws)
    monkeypatch.setattr(clusters, "DENSE_LIMIT", 5)
    found = summaries(draws)
    assert not {"coclustering", "coclustering_mcse", "task_bis"} & set(found.variables)
    assert found.attrs["coclustering_absent"] == "more than 5 tasks"
    assert found["partition"].attrs["search"] == "best draw"
    for name in ("partition", "membership", "partition_bound"):
        np.testing.assert_array_equal(found[name], dense[name])
    expected = dense["partition"].attrs["expected_vi"]
    assert found["partition"].attrs["expected_vi"] == pytest.approx(expected)


def test_the_search_from_a_draw_puts_large_clusters_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "DENSE_LIMIT", 5)
    found = summaries(np.tile([0, 1, 1, 1, 2, 2], (1, 4, 1)).astype(np.int32))
    np.testing.assert_array_equal(found["partition"], [2, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("limit", [5, 40])
def test_the_search_finds_what_no_draw_shows(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(clusters, "DENSE_LIMIT", limit)
    center = np.repeat([0, 1, 2], [16, 12, 8])
    noisy = draw_partitions(center, np.full(36, 0.2), (1, 300))
    assert not (noisy == center).all(axis=-1).any()
    found = cluster_relations(noisy, np.arange(36), np.full(36, 1 / 36))
    np.testing.assert_array_equal(found["partition"], center)
    np.testing.assert_array_equal(found["partition_binder"], center)


def test_many_draws_are_thinned_for_the_search(
    draws: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_MOST_DRAWS", 200)
    assert summaries(draws)["partition"].attrs["draws"] == 200


def test_blocks_by_pairs(draws: np.ndarray) -> None:
    flat = draws.reshape(-1, 6)
    together = (flat[:, :, None] == flat[:, None]).mean(axis=0)
    found = block_coclustering(flat, CENTER)
    assert found[0, 0] == pytest.approx(together[[0, 0, 1], [1, 2, 2]].mean())
    assert found[0, 1] == pytest.approx(together[:3, 3:5].mean())
    assert np.isnan(found[2, 2])
    np.testing.assert_allclose(found, found.T)


def test_interval_of_the_number_of_clusters(draws: np.ndarray) -> None:
    found = summaries(draws)
    counts = draws.reshape(-1, 6).max(axis=1) + 1
    expected = np.quantile(counts, [0.5, 0.05, 0.95], method="inverted_cdf")
    assert n_clusters_interval(found, "posterior") == tuple(expected)
    assert n_clusters_interval(found, "prior") == (1, 1, 4)


def test_summaries_survive_saving(draws: np.ndarray, tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict({"/task_relations": summaries(draws)})
    save(tree, tmp_path / "fit.zarr")
    found = load(tmp_path / "fit.zarr")["task_relations"].to_dataset()
    xr.testing.assert_identical(found, summaries(draws))
