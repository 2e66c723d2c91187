"""Small fits that follow the schema, built by hand: their draws are known, no sampler is run."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmtl.design import learn_design

TASKS = ["a", "b", "c", "d"]
CENTER = {"x": 0.5, "z": -1.0}


class Fit(NamedTuple):
    """A fit and the frame it could have been fitted to."""

    idata: xr.DataTree
    frame: pd.DataFrame


def make_frame(rng: np.random.Generator) -> pd.DataFrame:
    """Make 24 rows of 4 tasks in mixed order."""
    task = rng.permutation(np.repeat(TASKS, [3, 5, 7, 9]))
    return pd.DataFrame(
        {
            "school": task,
            "x": rng.normal(0.5, 1, 24),
            "z": rng.normal(-1, 2, 24),
            "y": rng.normal(3, 2, 24),
            "off": rng.normal(0, 1, 24),
            "se": rng.uniform(0.5, 2, 24),
            "count": rng.integers(1, 4, 24).astype(float),
            "size": pd.Series(task).map(dict(zip(TASKS, [1.0, 2.0, 4.0, 5.0], strict=True))),
        }
    )


def correlations(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw correlation matrices (*shape, last of shape)."""
    basis = rng.normal(size=(*shape, 4))
    covariance = basis @ basis.mT
    sd = np.sqrt(np.einsum("...ii->...i", covariance))
    return covariance / sd[..., None] / sd[..., None, :]


def posterior_dataset(
    rng: np.random.Generator,
    features: list[str],
    *,
    noise: str,
    intercept: str,
    correlated: bool,
    task_features: bool,
    samples: tuple[int, int],
) -> xr.Dataset:
    """Draw a posterior with every variable that the options ask for."""

    def normal(*dims: str) -> Any:
        sizes = {"task": len(TASKS), "feature": len(features), "task_feature": 1}
        return (("chain", "draw", *dims), rng.normal(size=(*samples, *(sizes[d] for d in dims))))

    def positive(*dims: str) -> Any:
        names, values = normal(*dims)
        return (names, np.exp(0.2 * values))

    variables: dict[str, Any] = {}
    if features:
        variables |= {"weights": normal("task", "feature"), "population_mean": normal("feature")}
        variables["population_sd"] = positive("feature")
    if intercept == "exchangeable":
        variables |= {"intercept": normal("task"), "intercept_mean": normal()}
        variables["intercept_sd"] = positive()
    noises = {
        "known": {},
        "shared": {"noise_sd": positive()},
        "hierarchical": {
            "noise_sd": positive("task"),
            "noise_median": positive(),
            "noise_spread": positive(),
        },
    }
    variables |= noises[noise]
    if correlated:
        dims = ("chain", "draw", "feature", "feature_bis")
        variables["feature_correlation"] = (dims, correlations(rng, (*samples, len(features))))
    if task_features:
        variables["task_effects"] = normal("feature", "task_feature")
        variables["intercept_task_effects"] = normal("task_feature")
    coords = {"chain": range(samples[0]), "draw": range(samples[1]), "task": TASKS}
    labels = {"feature": features, "feature_bis": features} if features else {}
    return xr.Dataset(variables, coords=coords | labels)


def constant_dataset(
    frame: pd.DataFrame, features: list[str], settings: dict[str, Any]
) -> xr.Dataset:
    """Make the constants: rows sorted by task, as a fit may store them."""
    order = np.argsort(frame["school"].to_numpy(), kind="stable")
    rows = frame.iloc[order]
    variables: dict[str, Any] = {
        "task_index": ("obs", rows["school"].map(TASKS.index).to_numpy()),
        "row_position": ("obs", order),
    }
    if features:
        columns = [np.ones(24) if f == "Intercept" else rows[f].to_numpy() for f in features]
        centers = [CENTER.get(f, 0.0) if settings["centered"] else 0.0 for f in features]
        variables["features"] = (("obs", "feature"), np.column_stack(columns))
        variables["feature_center"] = ("feature", centers)
    for name, column in (
        ("standard_error", settings["se"]),
        ("offset", settings["offset"]),
        ("row_weight", settings["weights"]),
    ):
        if column is not None:
            variables[name] = ("obs", rows[column].to_numpy())
    if settings["task_features"]:
        variables["task_features"] = (("task", "task_feature"), [[1.0], [2.0], [4.0], [5.0]])
        variables["task_feature_center"] = ("task_feature", [3.0])
    coords: dict[str, Any] = {"obs": range(24), "task": TASKS}
    if features:
        coords["feature"] = features
    return xr.Dataset(variables, coords=coords)


def make_fit(
    formula: str = "y ~ x + z",
    *,
    noise: str = "hierarchical",
    intercept: str = "exchangeable",
    correlated: bool = False,
    task_features: bool = False,
    offset: str | None = None,
    weights: str | None = None,
    missing: str = "error",
    samples: tuple[int, int] = (2, 50),
) -> Fit:
    """Build a fit of 4 schools by hand."""
    rng = np.random.default_rng(20)
    frame = make_frame(rng)
    design = learn_design(formula, frame)
    features = list(design.features)
    if intercept == "relation":
        features = ["Intercept", *features]
    posterior = posterior_dataset(
        rng,
        features,
        noise=noise,
        intercept=intercept,
        correlated=correlated,
        task_features=task_features,
        samples=samples,
    )
    se = "se" if noise == "known" else None
    settings = {"se": se, "offset": offset, "weights": weights, "task_features": task_features}
    constant = constant_dataset(
        frame, features, {**settings, "centered": intercept == "exchangeable"}
    )
    ordered = frame.iloc[constant["row_position"].to_numpy()]
    observed = xr.Dataset({"y": ("obs", ordered["y"].to_numpy())}, coords={"obs": range(24)})
    task_design = learn_design("~ size", frame).to_dict() if task_features else None
    likelihood = {
        "type": "Gaussian",
        "noise": "shared" if noise == "shared" else "hierarchical",
        "se": se,
    }
    model = {
        "formula": formula,
        "task": "school",
        "likelihood": likelihood,
        "offset": offset,
        "weights": weights,
        "task_features": "~ size" if task_features else None,
        "missing": missing,
    }
    attrs = {
        "modeling_interface": "bayesmtl",
        "schema_version": 1,
        "model": json.dumps(model),
        "design": json.dumps({"rows": design.to_dict(), "task_features": task_design}),
        "inference": json.dumps({"method": "gibbs", "draws": samples[1], "chains": samples[0]}),
        "incomplete": 0,
        "weights_stored": 1,
    }
    groups = {"posterior": posterior, "constant_data": constant, "observed_data": observed}
    return Fit(xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **groups}), frame)


@pytest.fixture
def build() -> Callable[..., Fit]:
    """Give the function that builds a fit."""
    return make_fit
