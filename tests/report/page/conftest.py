"""Small fits, real and made by hand, that pages are made of."""

import itertools
import json
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm

SHORT = {"draws": 30, "tune": 30, "chains": 2, "cores": 1, "random_seed": 1, "progressbar": False}
STATISTICS = ["mean", "sd", "lower", "upper", "p_positive"]


def quiet_fit(model: object, data: pd.DataFrame) -> xr.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        return model.fit(data, **SHORT)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    frame = bm.simulate("clusters", n_tasks=8, n_rows=12, n_features=2, random_seed=3).data
    return frame.assign(task=["<script>alert(1)</script> & " + name for name in frame["task"]])


@pytest.fixture(scope="session")
def clustered(rows: pd.DataFrame) -> xr.DataTree:
    return quiet_fit(bm.Model("y ~ x1 + x2", task="task", relation=bm.DirichletProcess()), rows)


@pytest.fixture(scope="session")
def neighbours(rows: pd.DataFrame) -> xr.DataTree:
    labels = sorted(rows["task"].unique())
    relation = bm.KnownGraph(list(itertools.pairwise(labels)))
    return quiet_fit(bm.Model("y ~ x1 + x2", task="task", relation=relation), rows)


@pytest.fixture(scope="session")
def functions() -> xr.DataTree:
    rng = np.random.default_rng(0)
    x = np.tile(np.linspace(0.0, 6.0, 12), 3)
    y = np.sin(x) * np.repeat([1.0, 1.0, -1.0], 12) + rng.normal(0.0, 0.2, 36)
    data = pd.DataFrame({"x": x, "curve": np.repeat(["a", "b", "c"], 12), "y": y})
    return quiet_fit(bm.MultiTaskGP("y ~ x", task="curve"), data)


@pytest.fixture(scope="session")
def networks() -> xr.DataTree:
    rng = np.random.default_rng(0)
    first = rng.normal(size=60)
    data = pd.DataFrame(
        {
            "a": first,
            "b": first + 0.3 * rng.normal(size=60),
            "c": rng.normal(size=60),
            "group": np.repeat(["one", "two"], 30),
        }
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bayesmtl.graphical.sampling._MOST_PRIOR_DRAWS", 100)
        return quiet_fit(bm.MultiTaskGraphicalModel(task="group"), data)


@pytest.fixture(scope="session")
def many_tasks() -> Callable[[int], xr.DataTree]:
    return build_many


def build_many(n_tasks: int) -> xr.DataTree:
    """A fit of so many tasks on a line, without rows."""
    rng = np.random.default_rng(2)
    labels = [f"task {t}" for t in range(n_tasks)]
    place = np.sort(rng.normal(size=n_tasks))
    weights = place[:, None] + rng.normal(0.0, 0.1, (2, 20, n_tasks, 2))
    coords = {"chain": [0, 1], "draw": range(20), "task": labels, "feature": ["u", "v"]}
    sample = ("chain", "draw")
    posterior = xr.Dataset(
        {
            "weights": ((*sample, "task", "feature"), weights),
            "sharing": (sample, rng.uniform(0.5, 0.7, (2, 20))),
        },
        coords,
    )
    data = xr.Dataset({"n_rows": ("task", rng.integers(1, 50, n_tasks))}, {"task": labels})
    attrs = {
        "model": json.dumps({"relation": {"type": "Exchangeable"}}),
        "verdict": "OK: made by hand",
        "diagnostics": json.dumps({"problems": [], "table": []}),
    }
    groups = {"/": xr.Dataset(attrs=attrs), "/posterior": posterior, "/constant_data": data}
    return xr.DataTree.from_dict(groups | {"/task_relations": _pairs(place, labels)})


def _pairs(place: np.ndarray, labels: list[str]) -> xr.Dataset:
    away = np.abs(place[:, None] - place[None])
    alike = np.exp(-away)
    nothing = np.full_like(away, np.nan)
    difference = np.stack([away, 0.1 * away, 0.8 * away, 1.2 * away, nothing], axis=-1)
    correlation = np.stack([alike, 0.1 * alike, alike - 0.2, alike, alike], axis=-1)
    pair = ("task", "task_bis", "statistic")
    return xr.Dataset(
        {"difference": (pair, difference), "correlation": (pair, correlation)},
        {"task": labels, "task_bis": labels, "statistic": STATISTICS},
    )
