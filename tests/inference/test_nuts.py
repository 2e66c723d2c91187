"""The PyMC graph: its two likelihoods agree, and its draws with those of the Gibbs sampler."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.datasets import simulate

DATA = simulate(n_tasks=6, n_rows=5, n_features=2, random_seed=4)


def frame() -> Any:
    data = DATA.data.copy()
    codes = data["task"].astype("category").cat.codes.to_numpy()
    rng = np.random.default_rng(0)
    data["z"] = rng.normal(size=6)[codes]
    data["se"] = rng.uniform(0.5, 1.5, len(data))
    data["w"] = rng.uniform(0.5, 2.0, len(data))
    data["off"] = rng.normal(size=len(data))
    return data


LKJ = bm.Exchangeable(
    feature_covariance="full",
    scale={"x1": bm.Prior("HalfNormal", sigma=1), "x2": bm.Prior("Gamma", alpha=2, beta=2)},
    mean={"x1": bm.Prior("Normal", mu=0, sigma=2), "x2": 0.3},
    correlation=bm.Prior("LKJ", eta=2),
)
MODELS = {
    "joint": bm.Model("y ~ x1 + x2", task="task", task_features="~ z", offset="off"),
    "huang-wand": bm.Model(
        "y ~ x1 + x2",
        task="task",
        relation=bm.Exchangeable(feature_covariance="full"),
        intercept="relation",
        likelihood=bm.Gaussian(noise="shared"),
    ),
    "separate": bm.Model("y ~ x1 + x2", task="task", relation=LKJ, likelihood=bm.Gaussian(se="se")),
    "fixed noise": bm.Model(
        "y ~ 0 + x1",
        task="task",
        relation=bm.Pooled(mean=bm.Prior("StudentT", nu=4)),
        likelihood=bm.Gaussian(noise_sd=1.5),
        weights="w",
    ),
}


def test_interrupted_before_any_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = xr.Dataset({"logp": (("chain", "draw"), np.full((2, 3), np.nan))})
    trace = xr.DataTree.from_dict({"posterior": xr.Dataset(), "sample_stats": stats})
    monkeypatch.setattr("nutpie.compile_pymc_model", lambda _: None)
    monkeypatch.setattr("nutpie.sample", lambda *_, **__: trace)
    with pytest.raises(KeyboardInterrupt, match=r"before any draw .*: fit again; once the tuning"):
        MODELS["fixed noise"].fit(frame(), inference="nuts", draws=3, chains=2, progressbar=False)


@pytest.mark.parametrize("name", MODELS)
def test_rows_and_sites_are_the_same_density(name: str) -> None:
    """Up to a constant that does not depend on the parameters."""
    graphs = [MODELS[name].to_pymc(frame(), likelihood=kind) for kind in ("rows", "sites")]
    densities = [graph.compile_logp() for graph in graphs]
    start = graphs[0].initial_point()
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(4):
        point = {
            key: value + 0.3 * rng.normal(size=np.shape(value)) for key, value in start.items()
        }
        gaps.append(float(densities[0](point) - densities[1](point)))
    assert np.ptp(gaps) < 1e-8 * max(1.0, abs(gaps[0]))


def test_the_graph_speaks_the_users_names() -> None:
    graph = MODELS["joint"].to_pymc(frame())
    assert graph.named_vars_to_dims["weights"] == ("task", "feature")
    assert graph.named_vars_to_dims["task_effects"] == ("feature", "task_feature")
    assert list(graph.coords["feature"]) == ["x1", "x2"]
    assert [variable.name for variable in graph.observed_RVs] == ["y"]


def test_unknown_likelihood_of_the_graph() -> None:
    with pytest.raises(bm.InvalidModelError, match="'rows' or 'sites', got 'cells'"):
        MODELS["joint"].to_pymc(frame(), likelihood="cells")


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:CHECK:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", ["joint", "huang-wand"])
def test_nuts_equals_gibbs(name: str) -> None:
    import arviz as az

    settings: dict[str, Any] = {"chains": 2, "progressbar": False, "random_seed": 3}
    gibbs = MODELS[name].fit(frame(), draws=4000, **settings)
    nuts = MODELS[name].fit(frame(), inference="nuts", draws=1500, tune=1000, **settings)
    assert {"diverging", "tree_depth", "lp"} <= set(nuts["sample_stats"].data_vars)
    assert set(nuts["posterior"].data_vars) == set(gibbs["posterior"].data_vars)
    names = [
        v
        for v in ("population_mean", "intercept", "weights", "noise_sd", "sharing")
        if v in gibbs["posterior"]
    ]
    for variable in names:
        one, other = gibbs["posterior"][variable], nuts["posterior"][variable]
        errors = [az.mcse(tree, var_names=[variable])[variable] for tree in (gibbs, nuts)]
        gap = np.abs(one.mean(("chain", "draw")) - other.mean(("chain", "draw")))
        allowed = 4.5 * np.sqrt(errors[0] ** 2 + errors[1] ** 2)
        assert float((gap / allowed).max()) < 1.0, variable
