"""A fit made by hand, small enough to check every number of its report."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr

TASKS = ("a", "b", "c", "d")
SAMPLE = ("chain", "draw")


@pytest.fixture
def make_fit() -> Callable[..., xr.DataTree]:
    return build_fit


def build_fit(*, tasks: Sequence[object] = TASKS, spread: float = 0.1) -> xr.DataTree:
    """Four tasks, features u and v: task d has the odd weight of v, task c the least certain."""
    rng = np.random.default_rng(1)
    labels = list(tasks)
    mean = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 5.0]])
    sd = spread * np.array([1.0, 1.0, 4.0, 1.0])[:, None]
    weights = mean + sd * rng.standard_normal((2, 50, 4, 2))
    posterior = xr.Dataset(
        {
            "weights": ((*SAMPLE, "task", "feature"), weights),
            "intercept": ((*SAMPLE, "task"), np.full((2, 50, 4), 7.0)),
            "noise_sd": (SAMPLE, rng.uniform(0.9, 1.1, (2, 50))),
            "population_mean": ((*SAMPLE, "feature"), weights.mean(2)),
            "population_sd": ((*SAMPLE, "feature"), weights.std(2)),
            "intercept_mean": (SAMPLE, np.full((2, 50), 8.0)),
            "intercept_sd": (SAMPLE, np.full((2, 50), 0.5)),
            "sharing": (SAMPLE, rng.uniform(0.65, 0.75, (2, 50))),
            "borrowing": ((*SAMPLE, "task"), np.tile([0.1, 0.2, 0.9, 0.3], (2, 50, 1))),
        },
        coords={"chain": [0, 1], "draw": range(50), "task": labels, "feature": ["u", "v"]},
    )
    data = xr.Dataset(
        {
            "n_rows": ("task", [10, 10, 1, 1_200]),
            "feature_center": ("feature", [1.0, 0.0]),
            "second_moment": (("feature", "feature_bis"), np.diag([1.0, 4.0])),
        },
        coords={"task": labels, "feature": ["u", "v"], "feature_bis": ["u", "v"]},
    )
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=_attributes()),
            "/posterior": posterior,
            "/constant_data": data,
            "/task_relations": _relations(labels),
        }
    )


def _relations(labels: list[object]) -> xr.Dataset:
    difference = np.ones((4, 4))
    difference[3, :] = difference[:, 3] = 6.0
    np.fill_diagonal(difference, 0.0)
    values = np.stack([difference, difference / 2], axis=-1)
    coords = {"task": labels, "task_bis": labels, "statistic": ["mean", "lower"]}
    return xr.Dataset({"difference": (("task", "task_bis", "statistic"), values)}, coords=coords)


def _attributes() -> dict[str, object]:
    return {
        "model": json.dumps({"task": "group", "relation": {"type": "Exchangeable"}}),
        "design": json.dumps({"rows": {"formula": "y ~ u + v"}, "task_features": None}),
        "inference": json.dumps({"method": "gibbs", "draws": 50, "tune": 50, "chains": 2}),
        "verdict": "OK: all quantities mix",
        "incomplete": 0,
        "sampling_seconds": 1.25,
    }
