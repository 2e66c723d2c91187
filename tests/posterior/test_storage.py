"""Saved fits come back exactly, survive an interruption, and are refused when damaged."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidTypeError, SavedFitError
from bayesmtl.posterior.predict import predict
from bayesmtl.posterior.storage import load, save

LABELS = {
    "object": np.array(["São Paulo", "日本", "", "a/b"], dtype=object),
    "fixed width": np.array(["x", "ÿ", "é", "zzz"]),
    "int": np.array([-3, 0, 7, 2**60]),
    "bool": np.array([True, False, True, False]),
    "date": np.array(["2020-02-29", "1815-06-18", "2022-01-01", "2023-01-01"], "datetime64[s]"),
}


def make_tree(labels: np.ndarray) -> xr.DataTree:
    rng = np.random.default_rng(0)
    sizes = (2, 3, labels.size)
    posterior = xr.Dataset(
        {
            "weights": (("chain", "draw", "task"), rng.normal(size=sizes), {"constant": 1}),
            "labels": (("chain", "draw", "task"), rng.integers(0, 9, sizes).astype(np.int32)),
            "flag": ("task", rng.normal(size=labels.size) > 0),
            "single": ("task", rng.normal(size=labels.size).astype(np.float32)),
            "broken": ("draw", [np.nan, np.inf, -np.inf]),
            "zeros": ("draw", np.zeros(3)),
            "scalar": 2.5,
            "nothing": ("nil", np.zeros(0)),
            "nearest": ("task", labels),
        },
        coords={"task": labels, "draw": [0, 1, 2], "weekday": ("draw", ["mo", "tu", "we"])},
        attrs={"note": "é\n"},
    )
    attrs = {
        "none": None, "yes": True, "count": 3, "share": 0.5, "text": "日本", "nested": {"a": [1, {}]},
    }  # fmt: skip
    relations = xr.Dataset(attrs={"correlation_absent": "one feature"})
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs), "/posterior": posterior, "/a_relations": relations}
    )


def assert_same(found: xr.DataTree, expected: xr.DataTree) -> None:
    assert [node.path for node in found.subtree] == [node.path for node in expected.subtree]
    for node in expected.subtree:
        mine, theirs = found[node.path].to_dataset(), node.to_dataset()
        xr.testing.assert_identical(mine, theirs)
        assert list(mine.variables) == list(theirs.variables)
        types = {name: variable.dtype for name, variable in theirs.variables.items()}
        assert {name: variable.dtype for name, variable in mine.variables.items()} == types


@pytest.mark.parametrize("kind", list(LABELS))
def test_a_fit_comes_back_exactly(tmp_path, kind):
    tree = make_tree(LABELS[kind])
    save(tree, tmp_path / "fit.zarr")
    loaded = load(tmp_path / "fit.zarr")
    assert_same(loaded, tree)
    assert loaded.attrs == tree.attrs
    assert type(loaded.attrs["yes"]) is bool
    assert [path.name for path in tmp_path.iterdir()] == ["fit.zarr"]


def test_many_tasks_and_several_chunks(tmp_path):
    labels = np.array([f"task {i} ÿ" for i in range(500)], dtype=object)
    tree = make_tree(labels)
    values = np.random.default_rng(0).normal(size=(2, 1100, 500))
    tree["big"] = xr.DataTree(xr.Dataset({"big": (("chain", "draw", "task"), values)}))
    save(tree, tmp_path / "fit.zarr")
    assert len(list((tmp_path / "fit.zarr/big/big/c").rglob("*"))) > 2
    assert_same(load(tmp_path / "fit.zarr"), tree)


def test_numpy_attributes_and_tuples_become_plain(tmp_path):
    tree = xr.DataTree(xr.Dataset(attrs={"a": np.float64(0.5), "b": np.arange(2), "c": (1, 2)}))
    save(tree, tmp_path / "fit.zarr")
    assert load(tmp_path / "fit.zarr").attrs == {"a": 0.5, "b": [0, 1], "c": [1, 2]}


def test_a_branch_of_a_tree_can_be_saved(tmp_path):
    tree = xr.DataTree.from_dict({"/one": make_tree(LABELS["int"])})
    save(tree["one"], tmp_path / "fit.zarr")
    assert_same(load(tmp_path / "fit.zarr"), make_tree(LABELS["int"]))


def test_xarray_alone_can_read_the_draws(tmp_path):
    tree = make_tree(LABELS["int"])
    save(tree, tmp_path / "fit.zarr")
    with xr.open_datatree(tmp_path / "fit.zarr", engine="zarr") as plain:
        np.testing.assert_array_equal(plain["posterior/weights"], tree["posterior/weights"])


def test_a_loaded_fit_predicts_without_the_model(tmp_path, build):
    idata, frame = build(task_features=True, correlated=True)
    save(idata, tmp_path / "fit.zarr")
    loaded = load(tmp_path / "fit.zarr")
    frame = frame.assign(school=frame["school"].replace("d", "new"))
    options = {"new_task": "population", "kind": "response", "random_seed": 1}
    for tree in (idata, loaded):
        predict(tree, frame, **options)
    xr.testing.assert_identical(
        loaded["predictions"].to_dataset(), idata["predictions"].to_dataset()
    )
    save(loaded, tmp_path / "fit.zarr")
    assert_same(load(tmp_path / "fit.zarr"), loaded)


def test_folders_above_are_made_and_a_fit_is_replaced(tmp_path):
    path = tmp_path / "out" / "deep" / "fit.zarr"
    save(make_tree(LABELS["int"]), path)
    save(make_tree(LABELS["bool"]), str(path))
    assert_same(load(path), make_tree(LABELS["bool"]))
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("nth", [1, 2])
def test_an_interrupted_swap_keeps_the_old_fit(tmp_path, monkeypatch, error, nth):
    path = tmp_path / "fit.zarr"
    save(make_tree(LABELS["int"]), path)
    rename, calls = os.replace, []

    def interrupted(source: Path, target: Path) -> None:
        if path in (source, target):  # zarr renames files of its own
            calls.append(source)
            if len(calls) == nth:
                raise error("interrupted")
        rename(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(error, match="interrupted"):
        save(make_tree(LABELS["bool"]), path)
    monkeypatch.undo()
    assert_same(load(path), make_tree(LABELS["int"]))
    assert [place.name for place in tmp_path.iterdir()] == ["fit.zarr"]


def test_a_process_killed_between_the_renames_leaves_copies_that_the_error_names(
    tmp_path, monkeypatch
):
    path = tmp_path / "fit.zarr"
    save(make_tree(LABELS["int"]), path)
    rename = os.replace

    def dead(source: Path, target: Path) -> None:
        if target == path:  # the old fit is moved away, and nothing takes its place
            raise OSError("killed")
        rename(source, target)

    monkeypatch.setattr(os, "replace", dead)
    with pytest.raises(OSError, match="killed"):
        save(make_tree(LABELS["bool"]), path)
    with pytest.raises(SavedFitError, match="an interrupted save left") as raised:
        load(path)
    left = str(raised.value).split("left '")[1].rstrip("'")
    assert_same(load(left), make_tree(LABELS["bool"]))
    assert_same(load(Path(left).parent / "old"), make_tree(LABELS["int"]))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(xr.DataTree, "to_zarr", fail)
    with pytest.raises(OSError, match="disk full"):
        save(make_tree(LABELS["int"]), tmp_path / "fit.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "fit.zarr"
    save(make_tree(LABELS["object"]), path)
    return path


@pytest.mark.parametrize("part", ["posterior/weights/c", "posterior/weights/zarr.json", "zarr.json"])
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_a_flipped_byte_is_refused_and_its_file_named(saved, part, where):
    place = saved / part
    if place.is_dir():
        place = next(file for file in place.rglob("*") if file.is_file())
    content = bytearray(place.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    place.write_bytes(content)
    with pytest.raises(SavedFitError, match=f"'{place.relative_to(saved)}' was changed"):
        load(saved)


def test_a_missing_file_and_an_extra_file_are_refused(saved):
    (saved / "posterior" / "notes.txt").write_text("mine")
    with pytest.raises(SavedFitError, match=r"notes\.txt' does not belong to it"):
        load(saved)
    (saved / "posterior" / "notes.txt").unlink()
    (saved / "posterior" / "scalar" / "zarr.json").unlink()
    with pytest.raises(SavedFitError, match=r"scalar/zarr\.json' is missing"):
        load(saved)


def test_several_damaged_files_are_counted(saved):
    for name in ("scalar", "zeros"):
        (saved / "posterior" / name / "zarr.json").write_text("{}")
    with pytest.raises(SavedFitError, match="and 1 more files"):
        load(saved)


def test_a_changed_manifest_is_refused(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["files"]["zarr.json"]["size"] += 1
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedFitError, match=r"manifest\.json was changed"):
        load(saved)


@pytest.mark.parametrize("version", [2, "1"])
def test_an_unknown_schema_version_is_refused(saved, version):
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["schema_version"] = version
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedFitError, match=f"schema version {version}.*update the package"):
        load(saved)


def test_what_is_not_there_or_not_a_fit_is_refused(tmp_path):
    with pytest.raises(SavedFitError, match="there is no saved fit at"):
        load(tmp_path / "none.zarr")
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(SavedFitError, match=r"no readable manifest\.json"):
        load(tmp_path / "other.zarr")
    (tmp_path / "other.zarr" / "manifest.json").write_text("{")
    with pytest.raises(SavedFitError, match=r"no readable manifest\.json"):
        load(tmp_path / "other.zarr")


def test_what_is_not_a_fit_is_never_overwritten(tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(SavedFitError, match="is not a saved fit: it is not overwritten"):
        save(make_tree(LABELS["int"]), tmp_path / "mine.zarr")
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "years of work"


def test_a_damaged_fit_may_be_replaced(saved):
    (saved / "zarr.json").unlink()
    save(make_tree(LABELS["int"]), saved)
    assert_same(load(saved), make_tree(LABELS["int"]))


def test_other_endings_and_other_objects_are_refused(tmp_path):
    with pytest.raises(SavedFitError, match=r"use 'fit\.zarr'"):
        save(make_tree(LABELS["int"]), tmp_path / "fit.nc")
    with pytest.raises(InvalidTypeError, match="not Dataset"):
        save(xr.Dataset(), tmp_path / "fit.zarr")  # type: ignore[arg-type]


def test_values_without_a_safe_form_are_refused(tmp_path):
    def attempt(**variables: object) -> None:
        save(xr.DataTree(xr.Dataset(variables)), tmp_path / "fit.zarr")

    with pytest.raises(SavedFitError, match="'mixed' holds objects that are not text"):
        attempt(mixed=("a", np.array(["x", 1], dtype=object)))
    with pytest.raises(SavedFitError, match="'waves' has type complex128"):
        attempt(waves=("a", np.zeros(2, complex)))
    with pytest.raises(SavedFitError, match="attribute 'model' of '/' is a object"):
        save(xr.DataTree(xr.Dataset(attrs={"model": object()})), tmp_path / "fit.zarr")
    assert list(tmp_path.iterdir()) == []
