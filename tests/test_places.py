"""Places of results: what cannot be written is refused, and nothing is left behind."""

from pathlib import Path

import pytest
import typer

from bayesmtl.places import check_folder, place_of_file, place_of_fit


def test_places_that_can_be_written_stay_as_they_are(tmp_path: Path) -> None:
    taken = tmp_path / "old.csv"
    taken.write_text("old")
    assert place_of_file(None) is None
    assert place_of_file(taken) == taken
    assert place_of_file(tmp_path / "new" / "pred.csv") == tmp_path / "new" / "pred.csv"
    assert place_of_fit(tmp_path / "new" / "fit.zarr") == tmp_path / "new" / "fit.zarr"
    check_folder(tmp_path / "new" / "plots")
    assert list(tmp_path.iterdir()) == [taken]
    assert taken.read_text() == "old"


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(
        typer.BadParameter, match=r"cannot write into .*taken/plots.*Not a directory"
    ):
        check_folder(taken / "plots")
    with pytest.raises(typer.BadParameter, match=r"cannot write into .*taken'"):
        place_of_file(taken / "pred.csv")
    with pytest.raises(typer.BadParameter, match="is a folder; name a file"):
        place_of_file(tmp_path)
    with pytest.raises(typer.BadParameter, match=r"cannot write into .*taken'"):
        place_of_fit(taken / "fit.zarr")
    with pytest.raises(typer.BadParameter, match=r"named \*\.zarr, not 'fit\.nc'"):
        place_of_fit(Path("fit.nc"))
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(typer.BadParameter, match="exists and is not a saved fit"):
        place_of_fit(tmp_path / "mine.zarr")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(typer.BadParameter, match="write-protected; use another name"):
        place_of_file(taken)
