"""Saved fits come back exactly, survive an interruption, and are refused when damaged."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidTypeError, SavedFitError
from bayesmtl.posterior.predict import predict
from bayesmtl.posterior.storage import load, save
from tests.posterior.trees import LABELS, assert_same, make_tree


@pytest.mark.parametrize("kind", list(LABELS))
def test_a_fit_comes_back_exactly(tmp_path: Path, kind: str) -> None:
    tree = make_tree(LABELS[kind])
    save(tree, tmp_path / "fit.zarr")
    loaded = load(tmp_path / "fit.zarr")
    assert_same(loaded, tree)
    assert loaded.attrs == tree.attrs
    assert type(loaded.attrs["yes"]) is bool
    assert [path.name for path in tmp_path.iterdir()] == ["fit.zarr"]


def test_many_tasks_and_several_chunks(tmp_path: Path) -> None:
    labels = np.array([f"task {i} ÿ" for i in range(500)], dtype=object)
    tree = make_tree(labels)
    values = np.random.default_rng(0).normal(size=(2, 1100, 500))
    tree["big"] = xr.DataTree(xr.Dataset({"big": (("chain", "draw", "task"), values)}))
    save(tree, tmp_path / "fit.zarr")
    assert len(list((tmp_path / "fit.zarr/big/big/c").rglob("*"))) > 2
    assert_same(load(tmp_path / "fit.zarr"), tree)


def test_numpy_attributes_and_tuples_become_plain(tmp_path: Path) -> None:
    tree = xr.DataTree(xr.Dataset(attrs={"a": np.float64(0.5), "b": np.arange(2), "c": (1, 2)}))
    save(tree, tmp_path / "fit.zarr")
    assert load(tmp_path / "fit.zarr").attrs == {"a": 0.5, "b": [0, 1], "c": [1, 2]}


def test_a_branch_of_a_tree_can_be_saved(tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict({"/one": make_tree(LABELS["int"])})
    branch = tree["one"]
    assert isinstance(branch, xr.DataTree)
    save(branch, tmp_path / "fit.zarr")
    assert_same(load(tmp_path / "fit.zarr"), make_tree(LABELS["int"]))


def test_xarray_alone_can_read_the_draws(tmp_path: Path) -> None:
    tree = make_tree(LABELS["int"])
    save(tree, tmp_path / "fit.zarr")
    with xr.open_datatree(tmp_path / "fit.zarr", engine="zarr") as plain:
        np.testing.assert_array_equal(plain["posterior/weights"], tree["posterior/weights"])


def test_a_loaded_fit_predicts_without_the_model(tmp_path: Path, build: Any) -> None:
    idata, frame = build(task_features=True, correlated=True)
    save(idata, tmp_path / "fit.zarr")
    loaded = load(tmp_path / "fit.zarr")
    frame = frame.assign(school=frame["school"].replace("d", "new"))
    options: dict[str, Any] = {"new_task": "population", "kind": "response", "random_seed": 1}
    for tree in (idata, loaded):
        predict(tree, frame, **options)
    xr.testing.assert_identical(
        loaded["predictions"].to_dataset(), idata["predictions"].to_dataset()
    )
    save(loaded, tmp_path / "fit.zarr")
    assert_same(load(tmp_path / "fit.zarr"), loaded)


def test_folders_above_are_made_and_a_fit_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out" / "deep" / "fit.zarr"
    save(make_tree(LABELS["int"]), path)
    save(make_tree(LABELS["bool"]), str(path))
    assert_same(load(path), make_tree(LABELS["bool"]))
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("nth", [1, 2])
def test_an_interrupted_swap_keeps_the_old_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], nth: int
) -> None:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(xr.DataTree, "to_zarr", fail)
    with pytest.raises(OSError, match="disk full"):
        save(make_tree(LABELS["int"]), tmp_path / "fit.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_fit_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(SavedFitError, match="is not a saved fit: it is not overwritten"):
        save(make_tree(LABELS["int"]), tmp_path / "mine.zarr")
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "years of work"


def test_other_endings_and_other_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedFitError, match=r"use 'fit\.zarr'"):
        save(make_tree(LABELS["int"]), tmp_path / "fit.nc")
    with pytest.raises(InvalidTypeError, match="this is a Dataset"):
        save(xr.Dataset(), tmp_path / "fit.zarr")  # type: ignore[arg-type]


def test_values_without_a_safe_form_are_refused(tmp_path: Path) -> None:
    def attempt(**variables: object) -> None:
        save(xr.DataTree(xr.Dataset(variables)), tmp_path / "fit.zarr")

    with pytest.raises(SavedFitError, match="'mixed' holds objects that are not text"):
        attempt(mixed=("a", np.array(["x", 1], dtype=object)))
    with pytest.raises(SavedFitError, match="'waves' has type complex128"):
        attempt(waves=("a", np.zeros(2, complex)))
    with pytest.raises(SavedFitError, match="attribute 'model' of '/' is a object"):
        save(xr.DataTree(xr.Dataset(attrs={"model": object()})), tmp_path / "fit.zarr")
    assert list(tmp_path.iterdir()) == []
