"""A tree in the types that zarr stores exactly, and back.

Strings of fixed width and dates have no stable form in zarr version 3; they travel as strings of
any length and as integers, and the attribute `original_dtype` of the variable says what they were.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.errors import SavedFitError

__all__ = ["decode_tree", "encode_tree", "zarr_encoding"]

MARK = "original_dtype"
ORDER = "original_order"  # of the variables of a group
GROUPS = "original_groups"  # in their order, on the root
CHUNK_BYTES = 256 * 2**20
SPLIT_BYTES = 8 * 2**20  # larger variables get one chunk per chain: compressed in parallel


def encode_tree(tree: xr.DataTree) -> xr.DataTree:
    """Replace strings, dates and attributes by what zarr can hold.

    Raises
    ------
    SavedFitError
        If a variable has another type, or an attribute is not JSON.
    """
    groups = {}
    for node in tree.copy(deep=False).subtree:  # the copy is a root, also if `tree` is a branch
        dataset = node.to_dataset(inherit=False)
        names = [str(name) for name in dataset.variables]
        attrs = _json_attrs(dataset.attrs, node.path)
        groups[node.path] = _map(dataset, names, _encode, attrs | {ORDER: names})
    groups["/"].attrs[GROUPS] = list(groups)
    return xr.DataTree.from_dict(groups)


def decode_tree(tree: xr.DataTree) -> xr.DataTree:
    """Restore what `encode_tree` replaced."""
    nodes = {node.path: node for node in tree.subtree}
    groups = {}
    for path in tree.attrs[GROUPS]:
        dataset = nodes[path].to_dataset(inherit=False)
        attrs = dict(dataset.attrs)
        attrs.pop(GROUPS, None)
        groups[path] = _map(dataset, attrs.pop(ORDER), _decode, attrs)
    return xr.DataTree.from_dict(groups)


def zarr_encoding(tree: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    """Choose chunks and compression: few large files, fast compression."""
    from zarr.codecs import BloscCodec

    codec = BloscCodec(cname="lz4", clevel=1, shuffle="shuffle")
    encoding: dict[str, dict[str, dict[str, Any]]] = {}
    for node in tree.subtree:
        group = encoding.setdefault(node.path, {})
        for name, variable in node.to_dataset(inherit=False).variables.items():
            options: dict[str, Any] = {"chunks": _chunks(variable)}
            if variable.dtype.kind != "O":
                options["compressors"] = (codec,)
            if variable.dtype.kind == "f":
                options["_FillValue"] = None  # NaN is a value, not a mask
            group[str(name)] = options
    return encoding


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Keep a variable in one chunk if it is small, else split it along its first dimensions."""
    chunks, size = [max(1, n) for n in variable.shape], variable.nbytes
    if variable.ndim > 1 and size > SPLIT_BYTES:
        size //= chunks[0]
        chunks[0] = 1
        chunks[1] = max(1, chunks[1] // (1 + size // CHUNK_BYTES))
    return tuple(chunks)


def _map(
    dataset: xr.Dataset,
    names: list[str],
    change: Callable[[xr.Variable, str], xr.Variable],
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Apply a change to every variable, in the order of `names`, and set the attributes."""
    changed = {name: change(dataset.variables[name], name) for name in names}
    return xr.Dataset(
        {name: changed[name] for name in names if name not in dataset.coords},
        coords={name: changed[name] for name in names if name in dataset.coords},
        attrs=attrs,
    )


def _encode(variable: xr.Variable, name: str) -> xr.Variable:
    """Encode one variable."""
    values, attrs = variable.to_numpy(), _json_attrs(variable.attrs, name)
    kind = values.dtype.kind
    if kind in "OTU":
        if not all(isinstance(value, str) for value in values.ravel().tolist()):
            raise SavedFitError(
                f"variable '{name}' holds objects that are not text: they cannot be saved"
            )
        attrs[MARK] = "object" if kind == "O" else values.dtype.str
        values = values.astype(object)
    elif kind in "Mm":
        attrs[MARK] = values.dtype.str
        values = values.view(np.int64)
    elif kind not in "biuf":
        raise SavedFitError(f"variable '{name}' has type {values.dtype}, which cannot be saved")
    return xr.Variable(variable.dims, values, attrs)


def _decode(variable: xr.Variable, _: str) -> xr.Variable:
    """Decode one variable."""
    attrs = dict(variable.attrs)
    values = variable.to_numpy()
    original = attrs.pop(MARK, None)
    if original is not None:
        dtype = np.dtype(original)
        values = values.view(dtype) if dtype.kind in "Mm" else values.astype(dtype)
    return xr.Variable(variable.dims, values, attrs)


def _json_attrs(attrs: dict[Any, Any], owner: str) -> dict[str, Any]:
    """Turn attributes into JSON types."""
    return {str(key): _json(value, f"{key}' of '{owner}") for key, value in attrs.items()}


def _json(value: Any, what: str) -> Any:
    """Turn NumPy scalars, arrays and tuples into JSON types, and refuse other objects."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_json(item, what) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item, what) for key, item in value.items()}
    raise SavedFitError(
        f"attribute '{what}' is a {type(value).__name__}: only numbers, text, lists and "
        "dictionaries can be saved"
    )
