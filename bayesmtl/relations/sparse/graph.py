"""Sparse deviations as PyMC variables."""

from __future__ import annotations

from typing import Any

from bayesmtl.assembly import Problem
from bayesmtl.relations.exchangeable.graph import add_regularised, add_slab
from bayesmtl.relations.exchangeable.horseshoe import SPREAD_SCALE

__all__ = ["add_deviations"]


def add_deviations(problem: Problem, common: Any, name: str) -> Any:
    """Weights (task, feature) as the sum of ``common`` and sparse deviations, user units.

    Parameters
    ----------
    problem : Problem
    common : (task, feature)
    name : str
        Of the sum.
    """
    import pymc as pm

    assert problem.sparse is not None
    dims = ("task", "feature")
    scale = pm.HalfCauchy("sparse_scale", float(problem.sparse.global_scale[SPREAD_SCALE]))
    local = add_regularised("sparse_unit_local", scale, add_slab("sparse"), dims=dims)
    pm.Deterministic("sparse_local", local, dims=dims)
    unit = problem.prior.scale_unit[problem.prior.block :]
    part = unit * local * pm.Normal("sparse_offset", dims=dims)
    pm.Deterministic("sparse_part", part, dims=dims)
    return pm.Deterministic(name, common + part, dims=dims)
