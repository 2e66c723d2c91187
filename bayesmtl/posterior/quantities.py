"""The quantities of a posterior variable one by one: which must mix, how well, their labels.

Exempt from mixing is only what is constant by construction: the diagonals of correlations, and what
the attribute `constant` of a variable names (1: all of it; a JSON list: these labels of its last
dimension). Everything must be finite.
"""

import json
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidDataError

__all__ = ["Quantities", "check_variable"]

SAMPLE_DIMS = ("chain", "draw")


class Quantities(NamedTuple):
    """Mixing of the quantities of one variable; `place` is theirs in the flat array."""

    name: str
    coordinates: tuple[np.ndarray, ...]  # labels along each dimension but chain and draw
    place: np.ndarray  # (quantity,)
    finite: np.ndarray  # (quantity,) no draw is NaN or infinite
    r_hat: np.ndarray  # (quantity,)
    ess_bulk: np.ndarray  # (quantity,)
    ess_tail: np.ndarray  # (quantity,)

    def label(self, quantity: int) -> str:
        """Name a quantity as `weights[Aitkin, floor]`."""
        if not self.coordinates:
            return self.name
        shape = tuple(len(labels) for labels in self.coordinates)
        where = np.unravel_index(int(self.place[quantity]), shape)
        names = [str(labels[i]) for labels, i in zip(self.coordinates, where, strict=True)]
        return f"{self.name}[{', '.join(names)}]"


def check_variable(variable: xr.DataArray) -> Quantities:
    """Compute the mixing of every quantity of a variable that is not constant by construction.

    Parameters
    ----------
    variable : xarray.DataArray (chain, draw, ...)
        A variable of the posterior, in any order of dimensions.

    Returns
    -------
    Quantities
        Without what is constant by construction, unless it has draws that are not finite.

    Raises
    ------
    InvalidDataError
        If the variable has no dimension 'chain' or 'draw'.
    """
    from bayesmtl.posterior.mixing import mixing

    if not set(SAMPLE_DIMS) <= set(variable.dims):
        raise InvalidDataError(
            f"posterior variable '{variable.name}' has the dimensions {variable.dims}: "
            "it needs 'chain' and 'draw'"
        )
    dims = [dim for dim in variable.dims if dim not in SAMPLE_DIMS]
    values = variable.transpose(*SAMPLE_DIMS, *dims).to_numpy()
    flat = values.reshape(*values.shape[:2], -1)
    finite = np.isfinite(flat).all(axis=(0, 1))
    index = np.flatnonzero(~_constant(variable, dims).ravel() | ~finite)
    results = mixing(flat if index.size == flat.shape[2] else flat[:, :, index])
    coordinates = tuple(variable[dim].to_numpy() for dim in dims)
    return Quantities(str(variable.name), coordinates, index, finite[index], *results)


def _constant(variable: xr.DataArray, dims: list[Hashable]) -> np.ndarray:
    """Mark the quantities (*dims) that are constant by construction."""
    constant = np.zeros([variable.sizes[dim] for dim in dims], dtype=np.bool_)
    if str(variable.name).endswith("_correlation"):
        np.fill_diagonal(constant, True)
    declared = variable.attrs.get("constant", 0)
    if isinstance(declared, str):
        labels = variable[dims[-1]].to_numpy()
        named = np.isin(labels.astype(str), json.loads(declared))
        constant |= named
        if str(variable.name).endswith("_correlation"):
            constant |= named[:, None]
    elif declared:
        constant[...] = True
    return constant
