"""The whitened graph has the density of the plain one, whatever the sites and the population."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl import Exchangeable, Prior
from bayesmtl.datasets import simulate
from bayesmtl.inference.nuts import build_graph
from bayesmtl.likelihoods.mixed import common_likelihood
from tests.oracles.agreement import assert_same_posterior

N_TASKS = 4


def frame() -> pd.DataFrame:
    data = simulate(n_tasks=N_TASKS, n_rows=5, n_features=2, random_seed=4).data
    rng = np.random.default_rng(0)
    data["b"] = (data["y"] > 0).astype(int)
    data["c"] = rng.poisson(np.exp(np.clip(data["y"] / 3.0, -3.0, 2.0)))
    data["z"] = rng.normal(size=N_TASKS)[data["task"].astype("category").cat.codes]
    data["m"] = np.where(data["task"] == data["task"].iloc[0], data["y"], data["c"])
    return data


DATA = frame()
LABELS = list(dict.fromkeys(DATA["task"]))
MIXED = {label: bm.Poisson() for label in LABELS} | {LABELS[0]: bm.Gaussian()}
LKJ = Exchangeable(
    feature_covariance="full",
    mean=Prior("Normal", mu=0, sigma=2),
    scale=Prior("HalfNormal", sigma=1),
    correlation=Prior("LKJ", eta=2),
)
MODELS = {
    "joint": bm.Model("b ~ x1 + x2", "task", likelihood=bm.Bernoulli(), task_features="~ z"),
    "huang-wand": bm.Model(
        "c ~ x1 + x2", "task", Exchangeable(feature_covariance="full"), likelihood=bm.Poisson()
    ),
    "LKJ": bm.Model("b ~ x1 + x2", "task", LKJ, likelihood=bm.Bernoulli(), intercept="relation"),
    "parameters": bm.Model("y ~ x1 + x2", "task", bm.Independent(), likelihood=bm.StudentT()),
    "different": bm.Model("m ~ x1", "task", likelihood=MIXED),
    "different, shared": bm.Model("m ~ x1", "task", LKJ, likelihood=MIXED, intercept="relation"),
    "no features": bm.Model("c ~ 1", "task", likelihood=bm.Poisson()),
    "no intercept": bm.Model("c ~ 0 + x1", "task", likelihood=bm.Poisson()),
    "pooled": bm.Model("c ~ x1 + x2", "task", bm.Pooled(), likelihood=bm.Poisson()),
}
# Run a few times: not worth compiling.
_MODE = "FAST_COMPILE"
OFFSETS = ("intercept_offset", "weights_offset")


class Graph:
    """A graph of a model: its log density, and coefficients of all tasks as one vector."""

    def __init__(self, name: str, kind: str) -> None:
        model = MODELS[name]
        likelihood = common_likelihood(model.likelihood)
        self.graph = build_graph(model.prepare(DATA), likelihood, kind)
        self.start = self.graph.initial_point()
        self.logp = self.graph.compile_logp(mode=_MODE)
        names = [v for v in ("intercept_at_center", "weights") if v in self.graph.named_vars]
        wanted = [
            variable
            for variable in names
            # Pooled weights depend on no deviation.
            if not (name == "pooled" and variable == "weights")
        ]
        self.compiled = self.graph.compile_fn(
            self.graph.replace_rvs_by_values([self.graph[v] for v in wanted]),
            inputs=self.graph.value_vars,
            on_unused_input="ignore",
            mode=_MODE,
        )

    def coefficients(self, point: dict[str, Any]) -> np.ndarray:
        return np.concatenate([np.ravel(value) for value in self.compiled(point)])

    def linear(self, point: dict[str, Any], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients as an affine function of the variables ``names``: value at 0 and slopes."""
        zero = point | {name: np.zeros_like(point[name]) for name in names}
        base, slopes = self.coefficients(zero), []
        for name in names:
            for i in range(zero[name].size):
                unit = np.zeros(zero[name].size)
                unit[i] = 1.0
                moved = zero | {name: unit.reshape(zero[name].shape)}
                slopes.append(self.coefficients(moved) - base)
        return base, np.array(slopes).T


def points(start: dict[str, Any]) -> list[dict[str, Any]]:
    """Points of the whitened graph: near its start, with tiny and with huge sds."""
    rng = np.random.default_rng(1)
    out = []
    for size in (0.0, 0.0, -9.0, 7.0):
        moves = {"r2_logodds__": 2.0 * size} | {
            name: size for name in start if name.endswith("_sd_log__")
        }
        out.append(
            {
                name: value + moves.get(name, 0.0) + 0.5 * rng.normal(size=np.shape(value))
                for name, value in start.items()
            }
        )
    return out


@pytest.mark.parametrize("name", MODELS)
def test_the_density_of_the_coefficients_is_that_of_the_plain_graph(name: str) -> None:
    plain, whitened = Graph(name, "rows"), Graph(name, "whitened")
    offsets = [variable for variable in OFFSETS if variable in plain.start]
    gaps = []
    for point in points(whitened.start):
        own = {key: value for key, value in point.items() if key in plain.start}
        other = own | {key: plain.start[key] for key in offsets}
        deviations = dict(other)
        if name == "pooled":
            # Nothing tells deviations that have no effect from their whitened ones.
            deviations["weights_offset"] = point["whitened"][:, 1:]
            offsets = ["intercept_offset"]
        base, slopes = plain.linear(deviations, offsets)
        _, moved = whitened.linear(point, ["whitened"])
        wanted = np.linalg.solve(slopes, whitened.coefficients(point) - base)
        first = 0
        for key in offsets:
            size = plain.start[key].size
            deviations[key] = wanted[first : first + size].reshape(plain.start[key].shape)
            first += size
        if name == "pooled":
            moved = moved[:, :: point["whitened"].shape[1]]
        volumes = [np.linalg.slogdet(matrix)[1] for matrix in (slopes, moved)]
        densities = [float(plain.logp(deviations)), float(whitened.logp(point))]
        assert np.isfinite(densities).all()
        gaps.append((densities[0] - volumes[0]) - (densities[1] - volumes[1]))
        assert gaps[-1] == pytest.approx(0.0, abs=1e-7 * max(1.0, abs(densities[0])))
    assert len(gaps) == 4


FULL = Exchangeable(feature_covariance="full")
EXACT = {
    "diagonal": bm.Model("b ~ x", "task", likelihood=bm.Bernoulli()),
    "full": bm.Model("b ~ x", "task", FULL, likelihood=bm.Bernoulli(), intercept="relation"),
    "different": bm.Model("b ~ x", "task", likelihood={"a": bm.Bernoulli(), "b": bm.Poisson()}),
}


@pytest.mark.parametrize("name", EXACT)
def test_coefficients_are_standard_normal_where_sites_are_exact(name: str) -> None:
    """With many rows the likelihood is its site: q is standard normal given the population."""
    rng, model = np.random.default_rng(2), EXACT[name]
    data = pd.DataFrame({"task": np.repeat(["a", "b"], 4000), "x": rng.normal(size=8000)})
    chance = 1.0 / (1.0 + np.exp(-0.5 - data["x"]))
    data["b"] = (rng.uniform(size=8000) < chance).astype(int)
    graph = build_graph(model.prepare(data), common_likelihood(model.likelihood), "whitened")
    slope = graph.compile_dlogp([graph["whitened"]], mode=_MODE)
    start = graph.initial_point()
    for _ in range(2):
        point = {
            key: value + 0.7 * rng.normal(size=np.shape(value)) for key, value in start.items()
        }
        np.testing.assert_allclose(slope(point), -np.ravel(point["whitened"]), atol=0.15)


@pytest.mark.calibration
@pytest.mark.parametrize("response", ["b", "c"])
def test_its_draws_are_those_of_gibbs(response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bayesmtl.inference.nuts.build_graph",
        lambda prepared, likelihood, _: build_graph(prepared, likelihood, "whitened"),
    )
    likelihood = {"b": bm.Bernoulli(), "c": bm.Poisson()}[response]
    relation = Exchangeable(
        mean=Prior("Normal", mu=0, sigma=1), scale=Prior("HalfNormal", sigma=0.7)
    )
    model = bm.Model(f"{response} ~ x1", "task", relation, likelihood=likelihood)
    assert_same_posterior(model, DATA, "population_mean", "population_sd", "intercept", "weights")


def test_clusters_are_not_whitened() -> None:
    relation = bm.DirichletProcess(concentration=1.0)
    model = bm.Model("b ~ x1", "task", relation, likelihood=bm.Bernoulli())
    graph = build_graph(model.prepare(DATA), bm.Bernoulli(), "whitened")
    assert "whitened" not in graph.named_vars
