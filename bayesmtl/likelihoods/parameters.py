"""Parameters of a likelihood that all tasks share, as posterior variables and back."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.likelihoods.rows import ParameterBlock

__all__ = [
    "noise_position",
    "parameter_coords",
    "parameter_variables",
    "read_parameters",
    "rescale",
]


def parameter_coords(blocks: Sequence[ParameterBlock]) -> dict[str, Any]:
    """Labels of each dimension."""
    return {block.dim: _labels(block.labels) for block in blocks if block.dim is not None}


def _labels(labels: Sequence[Any]) -> np.ndarray:
    """With the type that labels of tasks have."""
    if isinstance(labels[0], str):
        return np.array(labels, dtype=object)
    return np.array(labels, "datetime64[D]" if isinstance(labels[0], datetime.date) else None)


def noise_position(blocks: Sequence[ParameterBlock]) -> int | None:
    """Which parameter is the log of the noise sd that the joint prior refers to."""
    for block, positions in _places(blocks):
        if block.noise:
            return positions[0]
    return None


def _places(
    blocks: Sequence[ParameterBlock],
) -> Iterator[tuple[ParameterBlock, Sequence[int]]]:
    """Each block with the positions of its labels among the parameters."""
    first = 0
    for block in blocks:
        last = first + max(1, len(block.labels))
        yield block, block.positions or range(first, last)
        first = last


def rescale(blocks: Sequence[ParameterBlock], parameters: np.ndarray, unit: float) -> np.ndarray:
    """Parameters (..., parameter) of a response divided by ``unit``."""
    position, out = noise_position(blocks), np.array(parameters, dtype=np.float64)
    if position is not None:
        out[..., position] -= np.log(unit)
    return out


def parameter_variables(blocks: Sequence[ParameterBlock], parameters: np.ndarray) -> dict[str, Any]:
    """Variables on the user's scale of draws (chain, draw, parameter)."""
    out: dict[str, Any] = {}
    for block, positions in _places(blocks):
        values = parameters[..., list(positions)]
        values = np.exp(values) if block.log else values
        attrs: dict[str, Any] = {"constant": 1} if block.fixed else {}
        if isinstance(block.fixed, tuple) and block.fixed:
            attrs = {"constant": json.dumps([str(label) for label in block.fixed])}
        if block.dim is None:
            out[block.name] = (("chain", "draw"), values[..., 0], attrs)
        else:
            out[block.name] = (("chain", "draw", block.dim), values, attrs)
    return out


def read_parameters(blocks: Sequence[ParameterBlock], posterior: xr.Dataset) -> np.ndarray:
    """Inverse of `parameter_variables`: (chain, draw, parameter)."""
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    places = list(_places(blocks))
    count = 1 + max((max(positions) for _, positions in places), default=-1)
    out = np.empty((*sizes, count))
    for block, positions in places:
        dims = () if block.dim is None else (block.dim,)
        values = posterior[block.name].transpose("chain", "draw", *dims).to_numpy()
        values = np.log(values) if block.log else values
        out[..., list(positions)] = values.reshape(*sizes, -1)
    return out
