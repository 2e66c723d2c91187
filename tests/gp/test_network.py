"""Shared networks: learned features, cross-fitting, and results that need no PyTorch."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.gp.crossfit import crossfit, split_rows
from bayesmtl.gp.trunk_train import TrunkRows
from bayesmtl.trunk import forward

SHORT: dict[str, Any] = {"draws": 150, "tune": 150, "chains": 2, "cores": 1, "random_seed": 1}


def simulate(n: int, seed: int, n_tasks: int = 4) -> pd.DataFrame:
    """Tasks that weigh two nonlinear features of two inputs in their own way."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n * n_tasks, 2))
    task = np.repeat(np.arange(n_tasks), n)
    weights = np.linspace(0.5, 2.0, n_tasks)[task]
    f = weights * np.sin(2.0 * x[:, 0]) + (2.0 - weights) * np.tanh(2.0 * x[:, 1] - x[:, 0])
    y = f + 0.3 * rng.normal(size=len(f))
    return pd.DataFrame({"site": [f"s{t}" for t in task], "a": x[:, 0], "b": x[:, 1], "y": y})


def quiet_fit(model: Any, data: pd.DataFrame, **options: Any) -> xr.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)  # short chains are said to be short
        return model.fit(data, progressbar=False, **{**SHORT, **options})


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return simulate(60, 1)


@pytest.fixture(scope="module")
def network(rows: pd.DataFrame) -> Iterator[xr.DataTree]:
    model = bm.SharedNetwork("y ~ a + b", "site", hidden=(16,), n_features=6, folds=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bayesmtl.gp.trunk_train._EPOCHS", 200)
        yield quiet_fit(model, rows)


def log_density(fit: xr.DataTree, data: pd.DataFrame) -> float:
    found = bm.compute_log_likelihood(fit, data)["log_likelihood"]["y"].to_numpy()
    found = found.reshape(-1, len(data))
    return float(np.log(np.exp(found).mean(axis=0)).mean())


@pytest.mark.mcmc
def test_held_out_rows_are_predicted_better_than_by_a_linear_model(
    rows: pd.DataFrame, network: xr.DataTree
) -> None:
    linear = quiet_fit(bm.Model("y ~ a + b", "site"), rows)
    test = simulate(100, 2)
    assert log_density(network, test) > log_density(linear, test) + 0.3
    found = bm.predict(network, test, kind="response", random_seed=1, as_frame=True)
    inside = (found["lower"] <= test["y"]) & (test["y"] <= found["upper"])
    assert 0.83 < float(inside.mean()) < 0.96


def test_the_result_needs_neither_torch_nor_the_model(
    network: xr.DataTree, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    test = simulate(10, 3)
    before = bm.predict(network, test, random_seed=1)["predictions"]["mean"]
    bm.save(network, tmp_path / "fit.zarr")
    request.getfixturevalue("no_torch")
    loaded = bm.load(tmp_path / "fit.zarr")
    after = bm.predict(loaded, test, random_seed=1)["predictions"]["mean"]
    np.testing.assert_array_equal(before.to_numpy(), after.to_numpy())
    names = loaded["posterior"]["feature"].to_numpy().tolist()
    assert names == [f"learned{k}" for k in range(1, 7)]
    assert "difference" in bm.task_relations(loaded)
    bm.plot_task_relations(loaded)
    bm.plot_weights(loaded)
    given = test[test["site"] == "s0"].assign(site="new")
    found = bm.predict(loaded, given, given=given, as_frame=True, random_seed=1)
    assert np.isfinite(found["mean"]).all()


def test_features_come_from_networks_without_the_row(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmtl.gp.trunk_train._EPOCHS", 60)
    codes = np.unique(rows["site"], return_inverse=True)[1]
    x, y = rows[["a", "b"]].to_numpy(), rows["y"].to_numpy()
    options = {"loss": "squared", "hidden": (8,), "n_features": 4}

    def learn(response: np.ndarray, folds: int) -> tuple[dict[str, Any], np.ndarray]:
        data = TrunkRows(x, codes, response, np.ones(len(y)))
        rng = np.random.default_rng(1)
        return crossfit(data, ("a", "b"), 4, folds=folds, rng=rng, **options)

    trunk, plain = learn(y, 1)
    np.testing.assert_array_equal(plain, forward(trunk, x))
    np.testing.assert_allclose(plain.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(plain.std(axis=0), 1.0, rtol=1e-10)
    same, crossed = learn(y, 3)
    assert same == trunk
    assert crossed.shape == plain.shape
    assert np.abs(crossed - plain).max() > 0.1
    # Put into the basis of the network of all rows: the columns mean the same.
    for k in range(4):
        assert np.corrcoef(crossed[:, k], plain[:, k])[0, 1] > 0.5


def test_folds_are_balanced_within_tasks() -> None:
    task = np.repeat(np.arange(3), [10, 7, 1])
    fold = split_rows(task, 3, np.random.default_rng(1))
    for code, size in enumerate((10, 7, 1)):
        counts = np.bincount(fold[task == code], minlength=3)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1


@pytest.mark.mcmc
@pytest.mark.parametrize(
    "likelihood",
    [
        bm.StudentT(),
        bm.Bernoulli(),
        bm.Binomial(trials="n"),
        bm.Poisson(exposure="n"),
        bm.NegativeBinomial(exposure="n"),
        bm.Ordinal(levels=[0, 1, 2]),
    ],
    ids=lambda part: type(part).__name__,
)
def test_other_likelihoods(
    rows: pd.DataFrame, likelihood: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmtl.gp.trunk_train._EPOCHS", 20)
    rng = np.random.default_rng(1)
    chance = 1.0 / (1.0 + np.exp(-rows["y"]))
    y = {
        bm.StudentT: rows["y"],
        bm.Bernoulli: 1 * (rows["y"] > 0),
        bm.Binomial: rng.binomial(4, chance),
        bm.Ordinal: np.digitize(rows["y"], [-1.0, 1.0]),
    }.get(type(likelihood), rng.poisson(4.0 * chance))
    model = bm.SharedNetwork(
        "y ~ a + b", "site", hidden=(), n_features=3, likelihood=likelihood, folds=2
    )
    fit = quiet_fit(model, rows.assign(y=y, n=4), draws=20, tune=20)
    assert np.isfinite(fit["posterior"]["weights"]).all()


def test_the_same_seed_gives_the_same_fit(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmtl.gp.trunk_train._EPOCHS", 5)
    model = bm.SharedNetwork("y ~ a + b", "site", hidden=(4,), n_features=2, folds=2)
    one, two = (quiet_fit(model, rows, draws=5, tune=5)["posterior"]["weights"] for _ in range(2))
    np.testing.assert_array_equal(one.to_numpy(), two.to_numpy())


def test_settings_survive_the_way_through_a_dict() -> None:
    model = bm.SharedNetwork(
        "y ~ a", "site", hidden=(5, 4), relation=bm.Pooled(), likelihood=bm.Bernoulli(), folds=3
    )
    assert bm.SharedNetwork.from_dict(model.to_dict()) == model
    assert "inputs -> 5 -> 4 -> 8, tanh" in str(model)
    assert "cross-fitted in 3 folds" in str(model)
    assert "not cross-fitted" in str(bm.SharedNetwork("y ~ a", "site", folds=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (0,)}, r"hidden must be a tuple of positive integers, got \(0,\)"),
        ({"hidden": 8}, "hidden must be a tuple of positive integers, got 8"),
        ({"n_features": 0}, "n_features must be a positive integer, got 0"),
        ({"folds": True}, "folds must be a positive integer, got True"),
        ({"relation": "clusters"}, "relation must be one of"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.SharedNetwork("y ~ a", "site", **change)


def test_tasks_of_different_kinds_are_refused() -> None:
    with pytest.raises(bm.UnsupportedError, match="SharedNetwork has one likelihood"):
        bm.SharedNetwork("y ~ a", "site", likelihood={"s0": bm.Gaussian()})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "Model"}, "settings of 'Model', not of SharedNetwork"),
        ({"offset": "a"}, "SharedNetwork has no setting 'offset'"),
    ],
)
def test_settings_of_another_model_are_refused(spec: dict[str, Any], message: str) -> None:
    settings = bm.SharedNetwork("y ~ a", "site").to_dict() | spec
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.SharedNetwork.from_dict(settings)


def test_data_that_no_network_learns_from_are_refused(rows: pd.DataFrame) -> None:
    model = bm.SharedNetwork("y ~ a + b", "site")
    with (
        pytest.warns(bm.BayesMTLWarning, match="constant"),
        pytest.raises(bm.InvalidDataError, match=r"1 input of the network with one value.*b"),
    ):
        model.fit(rows.assign(b=1.0))
    with (
        pytest.warns(bm.BayesMTLWarning, match="one task"),
        pytest.raises(bm.InvalidDataError, match=r"one task \(s0\).*use bm.Model"),
    ):
        model.fit(rows[rows["site"] == "s0"])
    few = rows.groupby("site").head(5)
    with pytest.raises(bm.InvalidDataError, match="hold 20 rows, and a network needs at least 40"):
        model.fit(few)
    with pytest.raises(bm.InvalidModelError, match="no features for the network to read"):
        bm.SharedNetwork("y ~ 1", "site").fit(rows)


@pytest.mark.usefixtures("no_torch")
def test_without_torch_the_message_says_what_to_install(rows: pd.DataFrame) -> None:
    with pytest.raises(bm.UnsupportedError, match=r"SharedNetwork needs PyTorch.*bayesmtl\[gp\]"):
        bm.SharedNetwork("y ~ a + b", "site").fit(rows)
