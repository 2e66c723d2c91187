"""`make demo` prints a summary and writes the fit and its plots."""

from pathlib import Path

import pytest

import bayesmtl as bm
from bayesmtl import demo


@pytest.mark.mcmc
def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    demo.main()
    text = capsys.readouterr().out
    for part in (
        "Diagnostics: OK",
        "85 tasks (county)",
        "Sharing:",
        "fit.zarr, task_relations.png",
        "Clusters: ",
    ):
        assert part in text
    assert bm.load("out/fit.zarr")["posterior"].sizes["task"] == 85
    assert "clusters" in bm.load("out/clusters.zarr").children
    for name in ("weights.png", "report.html", "clusters.png"):
        assert (tmp_path / "out" / name).is_file()
