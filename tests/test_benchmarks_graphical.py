"""The benchmark of graphs at a tiny size."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import graphical

TINY = graphical.GraphicalSettings(
    n_variables=4,
    n_tasks=2,
    n_rows=8,
    n_new=5,
    repeats=2,
    soil_rows=(10,),
    draws=20,
    tune=10,
    peers=False,
    sweeps=((2, 3),),
)


def test_average_precision() -> None:
    truth = np.array([True, False, True, False])
    assert graphical.average_precision(np.array([4.0, 3.0, 2.0, 1.0]), truth) == pytest.approx(
        0.5 + 0.5 * 2 / 3
    )
    assert graphical.average_precision(np.zeros(4), truth) == 0.5
    assert graphical.average_precision(truth.astype(float), truth) == 1.0


def test_simulated_graphs() -> None:
    data = graphical.graphs(10, 3, 40, 20_000, 1)
    assert data.edge[:, *np.tril_indices(10, -1)].sum(axis=1).tolist() == [10, 10, 10]
    assert np.logical_and.reduce(data.edge)[np.tril_indices(10, -1)].sum() == 5
    for g in range(3):
        rows = data.new[data.new["task"] == g].drop(columns="task")
        k = np.linalg.inv(np.cov(rows.T))
        partial = -k / np.sqrt(np.outer(np.diag(k), np.diag(k)))
        np.fill_diagonal(partial, 0.0)
        assert np.abs(partial[~data.edge[g]]).max() < 0.04
        assert np.abs(partial[data.edge[g]]).min() > 0.05


@pytest.mark.mcmc
def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    graphical.run(
        graphical.GraphicalSettings(**{**TINY.__dict__, "parts": ("edges", "graph-sweeps")})
    )
    text = capsys.readouterr().out
    for name in (*graphical.METHODS, "average precision", "log density", "2 x 3"):
        assert name in text


@pytest.mark.mcmc
def test_soil(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(graphical, "SHARED_DATA", shared_data)
    monkeypatch.setattr(graphical, "METHODS", {graphical.JOINT: {}})
    soil = graphical.read_jura()
    assert soil is not None
    assert soil.groupby("task").size().tolist() == [76, 124, 64, 89]
    graphical._soil(soil, 10, TINY, peers=False)
    assert "7 metals, 4 rock types, 10" in capsys.readouterr().out


def test_without_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(graphical, "SHARED_DATA", tmp_path)
    graphical.run(graphical.GraphicalSettings(parts=("jura",), peers=False))
    assert "jura: skipped" in capsys.readouterr().out
