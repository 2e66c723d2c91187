"""Synthetic tasks follow the law that they are said to follow."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.datasets import Simulation, simulate
from bayesmtl.errors import InvalidModelError


def test_rows_follow_the_weights() -> None:
    sim = simulate(n_tasks=5, n_rows=[1, 2, 3, 4, 5], n_features=2, noise_sd=0.0, random_seed=1)
    data = sim.data
    assert list(data.columns) == ["task", "y", "x1", "x2"]
    assert data["task"].value_counts(sort=False).to_list() == [1, 2, 3, 4, 5]
    code = np.searchsorted(sim.tasks, data["task"].to_numpy(dtype=object))
    x = data[["x1", "x2"]].to_numpy()
    predictor = sim.intercept[code] + np.sum(x * sim.weights[code], axis=1)
    np.testing.assert_allclose(data["y"], predictor, rtol=1e-12)


def test_labels_sort_in_the_order_of_the_tasks() -> None:
    sim = simulate(n_tasks=12, n_rows=1, n_features=1, random_seed=1)
    assert list(sim.tasks) == sorted(sim.tasks)
    assert (sim.tasks[0], sim.tasks[11]) == ("t01", "t12")
    assert sim.formula == "y ~ x1"


def test_exchangeable_moments() -> None:
    sim = simulate(
        n_tasks=20_000,
        n_rows=1,
        n_features=2,
        mean=[1.0, -2.0],
        scale=[0.5, 3.0],
        correlation=0.7,
        intercept_mean=4.0,
        intercept_sd=2.0,
        random_seed=2,
    )
    np.testing.assert_allclose(sim.weights.mean(0), [1.0, -2.0], atol=0.08)
    np.testing.assert_allclose(sim.weights.std(0), [0.5, 3.0], rtol=0.03)
    assert np.corrcoef(sim.weights.T)[0, 1] == pytest.approx(0.7, abs=0.02)
    assert sim.correlation[0, 1] == 0.7
    assert sim.intercept.mean() == pytest.approx(4.0, abs=0.08)
    assert sim.intercept.std() == pytest.approx(2.0, rel=0.03)
    assert np.isnan(sim.between)


def test_noise_is_that_of_the_task() -> None:
    sim = simulate("pooled", n_tasks=2, n_rows=5_000, noise_sd=[0.5, 4.0], random_seed=3)
    code = np.searchsorted(sim.tasks, sim.data["task"].to_numpy(dtype=object))
    x = sim.data[["x1", "x2", "x3"]].to_numpy()
    residual = sim.data["y"] - sim.intercept[code] - x @ sim.weights[0]
    assert residual[code == 0].std() == pytest.approx(0.5, rel=0.05)
    assert residual[code == 1].std() == pytest.approx(4.0, rel=0.05)


def test_pooled_and_independent_are_the_limits() -> None:
    pooled = simulate("pooled", mean=[1.0, 2.0, 3.0], random_seed=4)
    np.testing.assert_array_equal(pooled.weights, np.tile([1.0, 2.0, 3.0], (40, 1)))
    np.testing.assert_array_equal(pooled.scale, 0.0)
    independent = simulate("independent", n_tasks=20_000, n_rows=1, scale=2.0, random_seed=5)
    np.testing.assert_array_equal(independent.mean, 0.0)
    np.testing.assert_allclose(independent.weights.mean(0), 0.0, atol=0.08)
    np.testing.assert_allclose(independent.weights.std(0), 2.0, rtol=0.03)


def test_clusters_split_the_variance() -> None:
    sim = simulate(
        "clusters",
        n_tasks=20_000,
        n_rows=1,
        n_features=1,
        n_clusters=2_000,
        between=0.75,
        scale=2.0,
        random_seed=6,
    )
    sizes = np.bincount(sim.partition)
    np.testing.assert_array_equal(sizes, 10)
    weights = sim.weights[np.argsort(sim.partition, kind="stable"), 0].reshape(2_000, 10)
    assert weights.var(1, ddof=1).mean() == pytest.approx(1.0, rel=0.05)
    assert sim.weights.var() == pytest.approx(4.0, rel=0.1)


def test_between_one_makes_weights_identical_inside_a_cluster() -> None:
    sim = simulate("clusters", n_tasks=10, n_clusters=3, between=1.0, random_seed=7)
    assert len(np.unique(sim.weights.round(12), axis=0)) == 3
    assert sorted(np.bincount(sim.partition)) == [3, 3, 4]


def test_same_seed_same_tasks() -> None:
    def draw(seed: int | np.random.Generator) -> Simulation:
        return simulate(n_tasks=3, random_seed=seed)

    assert draw(1).data.equals(draw(np.random.default_rng(1)).data)
    assert not draw(1).data.equals(draw(2).data)


def test_singular_correlation_is_allowed() -> None:
    sim = simulate(n_features=2, mean=0.0, correlation=[[1, -1], [-1, 1]], random_seed=8)
    np.testing.assert_allclose(sim.weights[:, 0], -sim.weights[:, 1], atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"relation": "tree"}, "relation 'tree' cannot be simulated; choose one of independent"),
        ({"n_tasks": 0}, "n_tasks must be a whole number of at least 1, got 0"),
        ({"n_features": 1.5}, "n_features must be a whole number"),
        ({"n_rows": 0}, "n_rows must be at least 1, got 0"),
        ({"n_rows": 2.5}, "n_rows must be whole numbers, got 2.5"),
        ({"n_rows": [3, 4]}, r"n_rows needs one number, or one per task \(40\); got shape \(2,\)"),
        ({"mean": "big"}, "mean must be a number, got 'big'"),
        ({"mean": [1.0]}, r"mean needs one number, or one per feature \(3\)"),
        ({"scale": -1.0}, "scale must be at least 0, got -1.0"),
        ({"noise_sd": float("nan")}, "noise_sd must be finite"),
        ({"intercept_sd": -2}, "intercept_sd must be at least 0"),
        ({"correlation": 1.5}, "correlation must be symmetric with ones"),
        ({"correlation": np.eye(2)}, r"correlation needs one number or shape \(3, 3\)"),
        ({"correlation": "high"}, "correlation must be a number, got 'high'"),
        ({"n_clusters": 2}, "n_clusters is not a setting of the exchangeable relation"),
        ({"relation": "independent", "mean": 1.0}, "mean is not a setting of the independent"),
        ({"relation": "clusters", "n_clusters": 41}, "n_clusters = 41 exceeds n_tasks = 40"),
        ({"relation": "clusters", "between": 1.5}, "between is a share of variance"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        simulate(**settings, random_seed=1)
