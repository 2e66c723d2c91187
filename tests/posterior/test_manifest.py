"""Damaged, foreign and newer folders are refused, and the file at fault is named."""

import json
from pathlib import Path

import pytest

from bayesmtl.errors import SavedFitError
from bayesmtl.posterior.storage import load, save
from tests.posterior.trees import LABELS, assert_same, make_tree


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "fit.zarr"
    save(make_tree(LABELS["object"]), path)
    return path


@pytest.mark.parametrize(
    "part", ["posterior/weights/c", "posterior/weights/zarr.json", "zarr.json"]
)
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_a_flipped_byte_is_refused_and_its_file_named(saved: Path, part: str, where: float) -> None:
    place = saved / part
    if place.is_dir():
        place = next(file for file in place.rglob("*") if file.is_file())
    content = bytearray(place.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    place.write_bytes(content)
    with pytest.raises(SavedFitError, match=f"'{place.relative_to(saved)}' was changed"):
        load(saved)


def test_a_missing_file_and_an_extra_file_are_refused(saved: Path) -> None:
    (saved / "posterior" / "notes.txt").write_text("mine")
    with pytest.raises(SavedFitError, match=r"notes\.txt' does not belong to it"):
        load(saved)
    (saved / "posterior" / "notes.txt").unlink()
    (saved / "posterior" / "scalar" / "zarr.json").unlink()
    with pytest.raises(SavedFitError, match=r"scalar/zarr\.json' is missing"):
        load(saved)


def test_several_damaged_files_are_counted(saved: Path) -> None:
    for name in ("scalar", "zeros"):
        (saved / "posterior" / name / "zarr.json").write_text("{}")
    with pytest.raises(SavedFitError, match="and 1 more files"):
        load(saved)


def test_a_changed_manifest_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["files"]["zarr.json"]["size"] += 1
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedFitError, match=r"manifest\.json was changed"):
        load(saved)


@pytest.mark.parametrize("version", [2, "1"])
def test_an_unknown_schema_version_is_refused(saved: Path, version: object) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["schema_version"] = version
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedFitError, match=f"schema version {version}.*update the package"):
        load(saved)


def test_what_is_not_there_or_not_a_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedFitError, match="there is no saved fit at"):
        load(tmp_path / "none.zarr")
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(SavedFitError, match=r"no readable manifest\.json"):
        load(tmp_path / "other.zarr")
    (tmp_path / "other.zarr" / "manifest.json").write_text("{")
    with pytest.raises(SavedFitError, match=r"no readable manifest\.json"):
        load(tmp_path / "other.zarr")


def test_a_damaged_fit_may_be_replaced(saved: Path) -> None:
    (saved / "zarr.json").unlink()
    save(make_tree(LABELS["int"]), saved)
    assert_same(load(saved), make_tree(LABELS["int"]))
