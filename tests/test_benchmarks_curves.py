"""The benchmark of growth curves on few rows, and its data."""

from pathlib import Path

import pytest

from benchmarks.curves import COLUMNS, CurveSettings, compare, read_rats, read_sleep, run


@pytest.mark.mcmc
def test_a_table_has_a_row_for_each_method() -> None:
    curves = read_rats()
    few = curves._replace(frame=curves.frame[curves.frame["task"] <= 8].reset_index(drop=True))
    rows = compare(few, CurveSettings(n_splits=1, draws=30, tune=20))
    assert [row[:2] for row in rows] == [
        (features, relation)
        for features in ("line", "hsgp")
        for relation in ("Exchangeable()", "DirichletProcess()")
    ]
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert all(float(str(row[4])) < 30.0 for row in rows)


def test_data_have_their_published_sizes(shared_data: Path) -> None:
    found = read_sleep(shared_data)
    assert found is not None
    for curves, rows, tasks in ((found, 180, 18), (read_rats(), 150, 30)):
        assert len(curves.frame) == rows
        assert curves.frame["task"].nunique() == tasks


def test_no_data_without_their_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_sleep(tmp_path) is None
    monkeypatch.setattr("benchmarks.curves.read_sleep", lambda: None)
    monkeypatch.setattr("benchmarks.curves.compare", lambda *_: [])
    run(CurveSettings(n_splits=1))
    assert "skipped sleepstudy: the data are not in" in capsys.readouterr().out
