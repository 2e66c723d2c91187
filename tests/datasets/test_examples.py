"""Simulated tables of the recipes: sizes, seeds and the structure that they are about."""

import numpy as np
import pandas as pd
import pytest

from bayesmtl.datasets import examples
from bayesmtl.errors import InvalidModelError

SIZES = {"n_tasks": 6, "n_rows": 80, "n_features": 4}
LINEAR = (
    "clustered_tasks",
    "clustered_classes",
    "correlated_tasks",
    "chained_tasks",
    "shared_subspace",
    "sparse_deviations",
)


def weights(data: pd.DataFrame) -> np.ndarray:
    """Least squares, (task, 1 + feature)."""
    rows = []
    for _, own in data.groupby("task"):
        x = own.filter(like="x").assign(one=1.0).to_numpy()
        rows.append(np.linalg.lstsq(x, own["y"].to_numpy(), rcond=None)[0])
    return np.array(rows)


@pytest.mark.parametrize("name", LINEAR)
def test_sizes_and_seeds(name: str) -> None:
    make = getattr(examples, name)
    data = make(**SIZES, random_seed=1)
    assert data.shape == (480, 6)
    assert (data.groupby("task").size() == 80).all()
    pd.testing.assert_frame_equal(data, make(**SIZES, random_seed=1))
    assert not data["y"].equals(make(**SIZES, random_seed=2)["y"])


def test_weights_of_two_classes() -> None:
    y = examples.clustered_classes(**SIZES, random_seed=1)["y"]
    assert set(y) == {0, 1}


def test_three_clusters() -> None:
    data = examples.clustered_tasks(n_tasks=9, n_rows=100, n_features=20, random_seed=1)
    found = weights(data)
    near = np.linalg.norm(found[:, None] - found[None], axis=2) < 3.5
    assert near.sum() == 27  # three clusters of three


def test_signs_of_correlated_tasks() -> None:
    data = examples.correlated_tasks(n_tasks=4, n_rows=400, n_features=200, random_seed=1)
    correlation = np.corrcoef(weights(data)[:, :-1])
    assert correlation[0, 2] == pytest.approx(0.8, abs=0.1)
    assert correlation[0, 1] == pytest.approx(-0.8, abs=0.1)


def test_neighbours_in_a_chain() -> None:
    data = examples.chained_tasks(n_tasks=3, n_rows=400, n_features=200, random_seed=1)
    precision = np.linalg.inv(np.corrcoef(weights(data)[:, :-1]))
    assert precision[0, 1] < -1.5
    assert abs(precision[0, 2]) < 0.3 * abs(precision[0, 1])


def test_two_directions() -> None:
    data = examples.shared_subspace(n_tasks=20, n_rows=80, n_features=8, random_seed=1)
    sizes = np.linalg.svd(weights(data)[:, :-1], compute_uv=False)
    assert sizes[1] > 4 * sizes[2]


def test_one_weight_of_each_task_alone() -> None:
    data = examples.sparse_deviations(n_tasks=6, n_rows=80, n_features=8, random_seed=1)
    large = np.abs(weights(data)[:, :-1]) > 0.4
    assert (large[:, :2]).all()
    assert (large[:, 2:].sum(axis=1) == 1).all()
    with pytest.raises(InvalidModelError, match="n_features must be an integer of at least 4, got"):
        examples.sparse_deviations(n_tasks=2, n_rows=5, n_features=3, random_seed=1)


def test_functions() -> None:
    data = examples.smooth_functions(n_tasks=2, n_rows=300, n_inputs=1, random_seed=1)
    first = data[data["task"] == "t1"].sort_values("x1")["y"]
    assert first.diff().std() < 0.5 * first.std()
    assert examples.smooth_functions(1, 5, 2, 1).columns.to_list() == ["task", "y", "x1", "x2"]


def test_links_of_networks() -> None:
    data = examples.networks(n_tasks=2, n_rows=2000, n_variables=4, random_seed=1)
    precision = np.linalg.inv(data[data["task"] == "t1"].filter(like="v").corr())
    assert abs(precision[0, 1]) < 0.1  # the link that the first task lacks
    assert precision[1, 2] < -0.5
    assert abs(precision[1, 3]) < 0.1


def test_kinds_of_outcomes() -> None:
    data = examples.mixed_outcomes(n_rows=30, n_features=2, random_seed=1).set_index("task")["y"]
    assert set(data["cured"]) == {0.0, 1.0}
    assert (data["visits"] % 1 == 0).all()
    assert (data["dose"] % 1 != 0).all()
