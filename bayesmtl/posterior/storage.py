"""Save a fit to a folder and load it again: zarr inside, a manifest of hashes, a safe swap.

Nothing is pickled. A fit is written beside its place, forced to disk and then renamed, so that its
path holds the old fit or the new one, never half of one. The manifest lets `load` refuse a folder
in which one byte differs.
"""

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import xarray as xr

from bayesmtl.errors import SavedFitError
from bayesmtl.posterior.access import require_fit
from bayesmtl.posterior.encoding import decode_tree, encode_tree, zarr_encoding
from bayesmtl.posterior.manifest import check_manifest, is_fit, write_manifest

__all__ = ["load", "save"]


def save(idata: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write a fit to the folder `path`, replacing a fit that is there.

    Parameters
    ----------
    idata : xarray.DataTree
        What `Model.fit` returned, with any groups added since.
    path : path
        A folder whose name ends in ``.zarr``; folders above it are made.

    Raises
    ------
    InvalidTypeError
        If `idata` is not an xarray.DataTree.
    SavedFitError
        If the path has another ending, is taken by something that is not a saved fit, or the fit
        holds labels or attributes that cannot be stored.
    """
    require_fit(idata)
    target = Path(path).absolute()
    if target.suffix != ".zarr":
        raise SavedFitError(f"'{path}': fits are saved as zarr folders, use '{target.stem}.zarr'")
    _check_replaceable(target)
    encoded = encode_tree(idata)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    old, new = staging / "old", staging / "new"
    try:
        _write(encoded, new)
        write_manifest(new, int(idata.attrs.get("schema_version", 1)))
        _force_to_disk(new)
        _swap(new, target, old)
    finally:
        if target.exists() or not old.exists():  # else `old` is the only copy left
            shutil.rmtree(staging, ignore_errors=True)


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit into memory, exactly as it was saved.

    Parameters
    ----------
    path : path
        A folder written by `save`.

    Raises
    ------
    SavedFitError
        If there is no fit, a file is missing, added or changed, or a newer version of the package
        has written it.
    """
    folder = Path(path).absolute()
    if not folder.exists():
        left = sorted(folder.parent.glob(f".{folder.name}-*/*/manifest.json"))
        hint = f"; an interrupted save left '{left[0].parent}'" if left else ""
        raise SavedFitError(f"there is no saved fit at '{path}'{hint}")
    check_manifest(folder)
    tree = xr.open_datatree(
        folder,
        engine="zarr",
        consolidated=True,
        chunks=None,
        mask_and_scale=False,
        decode_times=False,
    )
    try:
        return decode_tree(tree.load())
    finally:
        tree.close()


def _check_replaceable(target: Path) -> None:
    """Refuse to overwrite what is not a saved fit."""
    if target.exists() and not is_fit(target):
        raise SavedFitError(
            f"'{target}' exists and is not a saved fit: it is not overwritten, use another name"
        )


def _write(tree: xr.DataTree, folder: Path) -> None:
    """Write a tree of plain types as zarr version 3."""
    with warnings.catch_warnings():
        # read by zarr and xarray themselves; without it every reader walks through all folders
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        tree.to_zarr(
            folder, mode="w-", zarr_format=3, consolidated=True, encoding=zarr_encoding(tree)
        )


def _force_to_disk(folder: Path) -> None:
    """Flush all files and folders, so that the rename cannot come to disk before them."""
    for place in [folder, *folder.rglob("*")]:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`, keeping what is there until the new one is in place."""
    if not target.exists():
        new.replace(target)
        return
    target.replace(old)
    try:
        new.replace(target)
    except BaseException:
        old.replace(target)
        raise
