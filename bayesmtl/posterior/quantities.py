"""The quantities of a posterior variable one by one: which must mix, how well, their labels.

Exempt from mixing is only what is constant by construction: the diagonals of correlations, and what
the attribute `constant` of a variable names (1: all of it; a JSON list: these labels of its last
dimension); what stands twice in matrices with the attribute ``symmetric``, and their diagonals with
``empty_diagonal``; correlations that are exactly zero in all draws, of what nothing links;
borrowing that is exactly one, of tasks that are always in a cluster of equal weights; and whole
numbers that are the same in all draws, because a discrete posterior can lie on one value. Of what
is 0 or 1 and says so by ``binary`` only the undecided count, as with pairs of tasks: an edge in one
of a thousand draws tells nothing of the chains. Everything must be finite.

Labels of clusters cannot mix. What can is whether two tasks are together, pair by pair.
"""

import json
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.frames.labels import label_text, label_texts

__all__ = ["Quantities", "check_pairs", "check_variable"]

SAMPLE_DIMS = ("chain", "draw")
MAX_PAIRS = 2000
MAX_TASKS = 1000  # among which pairs are looked for: memory and time grow with the square
UNDECIDED = 0.05  # least probability of being together, and of being apart


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
        names = [label_text(labels[i]) for labels, i in zip(self.coordinates, where, strict=True)]
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
    constant = _constant(variable, dims).ravel()
    if str(variable.name).endswith("_correlation"):
        constant |= (flat == 0.0).all(axis=(0, 1))
    if variable.name == "borrowing":
        constant |= (flat == 1.0).all(axis=(0, 1))
    if np.issubdtype(flat.dtype, np.integer):
        constant |= (flat == flat[0, 0]).all(axis=(0, 1))
    if variable.attrs.get("binary", 0):
        share = flat.mean(axis=(0, 1))
        constant |= np.minimum(share, 1.0 - share) < UNDECIDED
    index = np.flatnonzero(~constant | ~finite)
    results = mixing(flat if index.size == flat.shape[2] else flat[:, :, index])
    coordinates = tuple(variable[dim].to_numpy() for dim in dims)
    return Quantities(str(variable.name), coordinates, index, finite[index], *results)


def check_pairs(assignment: xr.DataArray) -> Quantities:
    """Compute the mixing of whether two tasks are in one cluster, for the undecided pairs.

    Undecided are pairs that are together in 5% to 95% of the draws; of more than 2,000 the least
    decided are taken. Of more than 1,000 tasks evenly spaced ones are looked at.

    Parameters
    ----------
    assignment : xarray.DataArray (chain, draw, task)
        Clusters; their numbers mean nothing from draw to draw.

    Returns
    -------
    Quantities
        Named `coclustering[Hennepin, Anoka]`.
    """
    from bayesmtl.numerics.partitions import coclustering
    from bayesmtl.posterior.mixing import mixing

    step = -(-assignment.sizes["task"] // MAX_TASKS)
    some = assignment.transpose(*SAMPLE_DIMS, "task").isel(task=slice(None, None, step))
    draws, labels = some.to_numpy(), some["task"].to_numpy()
    first, second = np.triu_indices(len(labels), 1)
    together = coclustering(draws.reshape(-1, len(labels)))[first, second]
    undecided = np.flatnonzero((together >= UNDECIDED) & (together <= 1.0 - UNDECIDED))
    order = np.argsort(np.abs(together[undecided] - 0.5), kind="stable")
    chosen = undecided[order[:MAX_PAIRS]]
    first, second = first[chosen], second[chosen]
    results = mixing(draws[:, :, first] == draws[:, :, second])
    place = first * len(labels) + second
    finite = np.full(len(chosen), True)
    return Quantities("coclustering", (labels, labels), place, finite, *results)


def _constant(variable: xr.DataArray, dims: list[Hashable]) -> np.ndarray:
    """Mark the quantities (*dims) that are constant by construction."""
    constant = np.zeros([variable.sizes[dim] for dim in dims], dtype=np.bool_)
    if str(variable.name).endswith("_correlation"):
        where = np.arange(constant.shape[-1])
        constant[..., where, where] = True
    if variable.attrs.get("symmetric", 0):
        beyond = 0 if variable.attrs.get("empty_diagonal", 0) else 1
        constant |= np.triu(np.ones(constant.shape[-2:], dtype=np.bool_), k=beyond)
    declared = variable.attrs.get("constant", 0)
    if isinstance(declared, str):
        labels = variable[dims[-1]].to_numpy()
        named = np.isin(label_texts(labels), json.loads(declared))
        constant |= named
        if str(variable.name).endswith("_correlation"):
            constant |= named[:, None]
    elif declared:
        constant[...] = True
    return constant
