"""Sparse deviations as PyMC variables."""

from __future__ import annotations

from typing import Any

from bayesmtl.assembly import Problem
from bayesmtl.relations.exchangeable.selection import SLAB_RATE, SLAB_SHAPE, SPREAD_SCALE

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
    import pytensor.tensor as pt

    assert problem.sparse is not None
    dims = ("task", "feature")
    scale = pm.HalfCauchy("sparse_scale", float(problem.sparse.global_scale[SPREAD_SCALE]))
    variance = pm.InverseGamma("sparse_slab_variance", SLAB_SHAPE, SLAB_RATE)
    pm.Deterministic("sparse_slab", pt.sqrt(variance))
    wide = scale * pm.HalfCauchy("sparse_unit_local", 1.0, dims=dims)
    local = wide * pt.sqrt(variance / (variance + wide**2))
    pm.Deterministic("sparse_local", local, dims=dims)
    unit = problem.prior.scale_unit[problem.prior.block :]
    part = unit * local * pm.Normal("sparse_offset", dims=dims)
    pm.Deterministic("sparse_part", part, dims=dims)
    return pm.Deterministic(name, common + part, dims=dims)
