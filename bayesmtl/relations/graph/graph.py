"""Known graphs and trees of tasks as PyMC variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.relations.graph.known import CarStructure, TreeStructure

__all__ = ["add_structure_root"]


def add_structure_root(structure: CarStructure | TreeStructure) -> Any:
    """Root (task, task) of the covariance of the tasks, with its parameters as variables."""
    import pymc as pm
    import pytensor.tensor as pt

    if isinstance(structure, CarStructure):
        basis = structure.basis
        rho = pm.Beta("rho", *structure.prior)
        return pt.as_tensor(basis.vectors) / pt.sqrt(rho * basis.values + 1.0 - rho)
    share = pm.Dirichlet("level_share", structure.prior)
    covariance = (share[:, None, None] * np.asarray(structure.parts)).sum(axis=0)
    return pt.linalg.cholesky(covariance)
