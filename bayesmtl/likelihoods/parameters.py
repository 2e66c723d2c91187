"""Parameters of a likelihood that all tasks share, as posterior variables and back."""

from __future__ import annotations

from collections.abc import Sequence
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
    return {
        block.dim: np.array(block.labels, dtype=object) for block in blocks if block.dim is not None
    }


def noise_position(blocks: Sequence[ParameterBlock]) -> int | None:
    """Which parameter is the log of the noise sd that the joint prior refers to."""
    first = 0
    for block in blocks:
        if block.noise:
            return first
        first += max(1, len(block.labels))
    return None


def rescale(blocks: Sequence[ParameterBlock], parameters: np.ndarray, unit: float) -> np.ndarray:
    """Parameters (..., parameter) of a response divided by ``unit``."""
    position, out = noise_position(blocks), np.array(parameters, dtype=np.float64)
    if position is not None:
        out[..., position] -= np.log(unit)
    return out


def parameter_variables(blocks: Sequence[ParameterBlock], parameters: np.ndarray) -> dict[str, Any]:
    """Variables on the user's scale of draws (chain, draw, parameter)."""
    out: dict[str, Any] = {}
    first = 0
    for block in blocks:
        last = first + max(1, len(block.labels))
        values = parameters[..., first:last]
        values = np.exp(values) if block.log else values
        attrs = {"constant": 1} if block.fixed else {}
        if block.dim is None:
            out[block.name] = (("chain", "draw"), values[..., 0], attrs)
        else:
            out[block.name] = (("chain", "draw", block.dim), values, attrs)
        first = last
    return out


def read_parameters(blocks: Sequence[ParameterBlock], posterior: xr.Dataset) -> np.ndarray:
    """Inverse of `parameter_variables`: (chain, draw, parameter)."""
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    parts = [np.empty((*sizes, 0))]
    for block in blocks:
        dims = () if block.dim is None else (block.dim,)
        values = posterior[block.name].transpose("chain", "draw", *dims).to_numpy()
        values = np.log(values) if block.log else values
        parts.append(values.reshape(*sizes, -1))
    return np.concatenate(parts, axis=-1)
