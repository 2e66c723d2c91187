"""Intrinsic coregionalization written by hand in PyMC, hyperparameters sampled by nutpie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmtl.gp.problem import FunctionRows

__all__ = ["KEPT", "coregion_model"]

KEPT = ("correlation",)
_MEDIAN_LENGTH = 0.6


def coregion_model(rows: FunctionRows) -> Any:
    """`pm.gp.cov.Coregion` times `Matern52`, functions and intercepts integrated out.

    Its priors are the defaults of `bayesmtl.MultiTaskGP`, in the same units: half-t(2) sds of the
    tasks and uniform correlations (Huang and Wand 2013, the scales integrated out, by a Cholesky
    factor of B), a log-normal length-scale, half-normal noise.

    Parameters
    ----------
    rows : FunctionRows
        One input.
    """
    import pymc as pm
    import pytensor.tensor

    pt: Any = pytensor.tensor

    n = rows.n_tasks
    lower, columns = np.tril_indices(n)
    both = np.column_stack([rows.inputs[:, 0], rows.task])
    same = (rows.task[:, None] == rows.task) * rows.level_sd[rows.task] ** 2
    with pm.Model() as model:
        free = pm.Flat("free", shape=len(lower), initval=np.where(lower == columns, -0.2, 0.0))
        values = pt.switch(lower == columns, pt.exp(free), free)
        root = pt.set_subtensor(pt.zeros((n, n))[lower, columns], values)
        diagonal = free[np.flatnonzero(lower == columns)]
        inverse = pt.linalg.solve_triangular(root, pt.eye(n), lower=True)
        rate = 2.0 * (inverse**2).sum(axis=0) + 1.0
        density = (n - np.arange(n) + 1.0 - (2.0 + 2.0 * n)) * diagonal
        pm.Potential("huang_wand", density.sum() - 0.5 * (2.0 + n) * pt.log(rate).sum())
        covariance = root @ root.T
        sd = pt.sqrt(pt.diag(covariance))
        pm.Deterministic("correlation", covariance / (sd[:, None] * sd))
        lengthscale = pm.LogNormal("lengthscale", math.log(_MEDIAN_LENGTH), 1.0)
        noise = pm.HalfNormal("noise", 1.0, shape=n)
        kernel = pm.gp.cov.Matern52(2, ls=lengthscale, active_dims=[0])
        kernel *= pm.gp.cov.Coregion(2, B=covariance, active_dims=[1])
        total = kernel(both) + same + pt.diag(noise[rows.task] ** 2)
        pm.MvNormal("y", np.zeros(len(both)), cov=total, observed=rows.response)
    return model
