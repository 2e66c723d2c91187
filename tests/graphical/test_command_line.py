"""Saved fits of graphs on the command line: they predict and report."""

import io
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import bayesmtl as bm
from bayesmtl.cli import app


def test_predict_and_report(tmp_path: Path, horseshoe: xr.DataTree, rows: pd.DataFrame) -> None:
    bm.save(horseshoe, tmp_path / "fit.zarr")
    new = rows.iloc[[0, 41]].assign(x1=float("nan"))
    new.to_csv(tmp_path / "new.csv", index=False)
    result = CliRunner().invoke(
        app, ["predict", str(tmp_path / "fit.zarr"), str(tmp_path / "new.csv")]
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(result.stdout))
    assert table["row"].tolist() == [0, 1]
    assert table["task"].tolist() == ["a", "b"]
    expected = bm.predict(horseshoe, new, as_frame=True)
    assert table["mean"].tolist() == pytest.approx(expected["mean"].tolist())
    result = CliRunner().invoke(app, ["report", str(tmp_path / "fit.zarr")])
    assert result.exit_code == 0, result.output
    assert "pairs of variables are linked" in " ".join(result.stdout.split())
    assert (tmp_path / "fit_plots" / "graph.png").is_file()
