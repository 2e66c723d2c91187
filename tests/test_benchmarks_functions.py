"""The benchmark of multi-task Gaussian processes on few rows."""

import math
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from benchmarks import functions
from benchmarks.functions import FunctionsSettings, compare_speed, coverage, many_rows
from benchmarks.jura import COLUMNS, Soil, SoilSettings, compare_soil, leave_one_out
from benchmarks.peers.botorch_saas import botorch_missing


def _soil(points: int) -> Soil:
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(points, 2))
    shared = np.sin(4.0 * x[:, 0]) + x[:, 1]
    frames = [
        pd.DataFrame({"task": metal, "y": np.exp(shared + 0.3 * rng.normal(size=points))})
        for metal in ("Cd", "Ni", "Zn")
    ]
    whole = pd.concat([frame.assign(Xloc=x[:, 0], Yloc=x[:, 1]) for frame in frames])
    held_out = (whole["task"] == "Cd") & (whole.index < points // 3)
    return Soil(whole[~held_out].reset_index(drop=True), whole[held_out].reset_index(drop=True))


@pytest.mark.mcmc
def test_every_model_of_the_soil_has_a_row_and_known_rows_choose_one() -> None:
    settings = SoilSettings(
        kernels=("matern52",), coregionalizations=("icm",), draws=20, iterations=20
    )
    rows = compare_soil(_soil(18), settings)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert len(rows) == 6
    assert sum(row[-1] != "" for row in rows) == 1
    assert all(0.0 < float(str(row[3])) < math.inf for row in rows)


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_rows_left_out_have_the_density_of_a_fit_without_them() -> None:
    soil = _soil(9).known
    settings: dict[str, Any] = {
        "task_covariance": np.eye(3) + 0.5,
        "lengthscale": 0.5,
        "intercept": 0.0,
    }
    free = bm.MultiTaskGP("y ~ Xloc + Yloc", "task", noise="shared", **settings)
    tree = free.fit(soil, inference="map", draws=1, chains=1, random_seed=1, progressbar=False)
    noise = float(tree["posterior"]["noise_sd"].to_numpy().ravel()[0])
    fixed = bm.MultiTaskGP("y ~ Xloc + Yloc", "task", noise_sd=noise, **settings)
    found = leave_one_out(tree, "matern52", "Cd")
    mine = np.flatnonzero(soil["task"] == "Cd")
    assert len(found) == len(mine)
    whole = fixed.log_evidence(soil)
    without = [whole - fixed.log_evidence(soil.drop(index=row)) for row in mine]
    np.testing.assert_allclose(found, without, rtol=1e-6)


@pytest.mark.mcmc
def test_every_method_has_draws_of_correlations() -> None:
    settings = FunctionsSettings(
        points=6,
        draws=20,
        tune=20,
        chains=2,
        nuts_draws=25,
        nuts_tune=40,
        peers=False,
    )
    for one in compare_speed(settings):
        assert one.correlation.shape[2:] == (4, 4)
        assert one.seconds > 0.0
        assert one.mixing.n_quantities == 6


@pytest.mark.mcmc
def test_many_rows_and_calibration_have_their_figures() -> None:
    settings = FunctionsSettings(
        n_rows=300,
        n_tasks=2,
        row_basis=4,
        row_draws=20,
        row_tune=20,
        sets=2,
        set_points=8,
        set_draws=30,
        set_tune=20,
    )
    (row,) = many_rows(settings)
    assert row[4] == "within 120 s"
    assert math.isfinite(float(str(row[6])))
    assert [line[0] for line in coverage(settings)] == ["-0.8", "+0.0", "+0.8", "all"]


def test_absent_peers_and_data_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no" in str(botorch_missing("/nowhere/python"))
    if botorch_missing(sys.executable) is not None:
        assert "has no BoTorch" in str(botorch_missing(sys.executable))
    monkeypatch.setattr(functions, "read_soil", lambda: None)
    functions.run(FunctionsSettings(parts=("jura",)))
    assert "jura: skipped" in capsys.readouterr().out
