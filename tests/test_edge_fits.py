"""Fits at the edges of what is identified: nothing learned, nothing noisy, weights not kept."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl.fitting
from bayesmtl import (
    DirichletProcess,
    Exchangeable,
    Gaussian,
    Model,
    MultiTaskGP,
    Pooled,
    Prior,
    UnsupportedError,
    diagnose,
    predict,
)


def frame(noise: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=48)
    y = 2.0 + 1.5 * x + noise * rng.normal(size=48)
    return pd.DataFrame({"t": np.repeat(list("abcdef"), 8), "x": x, "y": y})


def fit(model: Model, data: pd.DataFrame | None = None) -> Any:
    given = frame() if data is None else data
    return model.fit(given, draws=500, tune=300, random_seed=1, progressbar=False)


FIXED = Exchangeable(mean=0.0, scale=1.0)


@pytest.mark.parametrize(
    "model",
    [
        Model("y ~ x", "t", FIXED, Gaussian(noise_sd=0.5), intercept=FIXED),
        Model("y ~ x", "t", FIXED),
        Model("y ~ x", "t", Pooled(mean=1.0)),
        Model("y ~ x", "t", likelihood=Gaussian(noise_spread=0.3)),
        Model("y ~ x", "t", likelihood=Gaussian(noise_sd=0.5, noise_spread=Prior("HalfNormal"))),
    ],
    ids=["all fixed", "population fixed", "weights fixed", "spread fixed", "median fixed"],
)
def test_what_is_fixed_does_not_fail_the_diagnostics(model: Model) -> None:
    assert diagnose(fit(model)).passed


def test_a_task_whose_rows_weigh_nothing_borrows_everything() -> None:
    data = frame().assign(w=lambda d: np.where(d["t"] == "c", 0.0, 1.0))
    tree = fit(Model("y ~ x", "t", weights="w"), data)
    np.testing.assert_allclose(tree["posterior"]["borrowing"].sel(task="c"), 1.0, rtol=1e-12)
    assert diagnose(tree).passed


def test_chains_start_where_the_spread_has_density() -> None:
    spread = Prior("Uniform", lower=1, upper=2)
    tree = fit(Model("y ~ x", "t", likelihood=Gaussian(noise_spread=spread)))
    draws = tree["posterior"]["noise_spread"]
    assert 1.0 < float(draws.min()) < float(draws.max()) < 2.0


@pytest.mark.parametrize("noise", ["hierarchical", "shared"])
@pytest.mark.parametrize("scale", [0.0, 1e-8])
@pytest.mark.filterwarnings("ignore:CHECK:bayesmtl.BayesMTLWarning")
def test_an_exact_response_gives_finite_weights(noise: str, scale: float) -> None:
    tree = fit(Model("y ~ x", "t", likelihood=Gaussian(noise=noise)), frame(scale))
    assert np.isfinite(tree["sample_stats"]["lp"]).all()
    np.testing.assert_allclose(
        tree["posterior"]["weights"].median(("chain", "draw")), 1.5, atol=0.01
    )


def test_fixed_noise_of_all_tasks_is_that_of_a_new_one() -> None:
    tree = fit(Model("y ~ x", "t", likelihood=Gaussian(noise_sd=0.5)))
    new = pd.DataFrame({"t": ["z"], "x": [0.0]})
    settings: dict[str, Any] = {"new_task": "population", "as_frame": True, "random_seed": 1}
    mean = predict(tree, new, **settings)
    response = predict(tree, new, kind="response", **settings)
    assert response["sd"][0] ** 2 == pytest.approx(mean["sd"][0] ** 2 + 0.25, rel=0.15)


def test_noise_fixed_task_by_task_says_nothing_of_a_new_one() -> None:
    by_task = dict(zip("abcdef", [0.4, 0.5, 0.6, 0.4, 0.5, 0.6], strict=True))
    tree = fit(Model("y ~ x", "t", likelihood=Gaussian(noise_sd=by_task)))
    new = pd.DataFrame({"t": ["z"], "x": [0.0], "y": [2.0]})
    assert len(predict(tree, new, new_task="population", as_frame=True)) == 1
    for asked in ({"kind": "response", "new_task": "population"}, {"given": new}):
        with pytest.raises(UnsupportedError, match="nothing of the noise of a new one"):
            predict(tree, new, **asked)


@pytest.mark.parametrize(
    "relation",
    [Exchangeable(), Exchangeable(feature_covariance="full"), DirichletProcess(concentration=3.0)],
    ids=["diagonal", "full", "clusters"],
)
def test_weights_drawn_again_predict_as_those_that_were_kept(
    relation: Exchangeable | DirichletProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frame().assign(v=lambda d: np.random.default_rng(2).normal(size=len(d)))
    model = Model("y ~ x + v", "t", relation)
    kept = predict(fit(model, data), data, as_frame=True)
    monkeypatch.setattr(bayesmtl.fitting, "_WEIGHT_BYTES", 0)
    tree = fit(model, data)
    assert tree.attrs["weights_stored"] == 0
    again = predict(tree, data, as_frame=True)
    np.testing.assert_allclose(again["mean"], kept["mean"], atol=0.15 * kept["sd"].max())
    np.testing.assert_allclose(again["sd"], kept["sd"], rtol=0.15)


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_a_response_in_units_with_a_slash() -> None:
    """Names with "/" would be groups of a tree."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"task": np.repeat(["a", "b"], 6), "x": rng.normal(size=12)})
    data["Yield (t/ha)"] = data["x"] + rng.normal(size=12)
    short: dict[str, Any] = {"draws": 5, "tune": 5, "chains": 1, "progressbar": False}
    for model in (
        Model("`Yield (t/ha)` ~ x", task="task"),
        MultiTaskGP("`Yield (t/ha)` ~ x", task="task"),
    ):
        idata = model.fit(data, random_seed=1, **short)
        assert list(idata["observed_data"].data_vars) == ["Yield (t per ha)"]
        predict(idata, kind="response", random_seed=1)
        assert "Yield (t per ha)" in idata["posterior_predictive"]
        found = predict(idata, data.head(2), as_frame=True)
        assert np.isfinite(found["mean"]).all()
