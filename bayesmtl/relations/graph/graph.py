"""Known graphs and trees of tasks as PyMC variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.errors import UnsupportedError
from bayesmtl.relations.covariance.structure import TaskStructure
from bayesmtl.relations.graph.known import CarStructure, TreeStructure

__all__ = ["add_structure_root"]


def add_structure_root(structure: TaskStructure) -> Any:
    """Root (task, task) of the covariance of the tasks, with its parameters as variables.

    Raises
    ------
    UnsupportedError
        For an unknown graph.
    """
    import pymc as pm
    import pytensor.tensor as pt

    if isinstance(structure, CarStructure):
        basis = structure.basis
        rho = pm.Beta("rho", *structure.prior)
        return pt.as_tensor(basis.vectors) / pt.sqrt(rho * basis.values + 1.0 - rho)
    if not isinstance(structure, TreeStructure):
        raise UnsupportedError(
            "the unknown graph of bm.SparseGraph() cannot be a PyMC graph: its edges are discrete, "
            "or its precision is confined to positive definite matrices: use inference='gibbs'"
        )
    share = pm.Dirichlet("level_share", structure.prior)
    covariance = (share[:, None, None] * np.asarray(structure.parts)).sum(axis=0)
    return pt.linalg.cholesky(covariance)
