"""Where a chain of functions keeps its draws."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.length_state import LengthState

__all__ = ["record_functions", "storage_for"]


def storage_for(
    problem: Problem, lengths: LengthState, draws: int, *, noise: bool, parameters: int = 0
) -> FunctionDraws:
    """Empty arrays for the draws of one chain."""
    n = problem.prior.n_tasks
    return FunctionDraws(
        covariance=np.empty((draws, 1, n, n)),
        lengthscale=np.empty((draws, 1, len(lengths.logs))),
        noise=np.empty((draws, n)) if noise else None,
        weights=np.empty((draws, n, len(lengths.log_variance))),
        level=np.empty((draws, n)) if problem.separate_intercept else None,
        parameters=np.empty((draws, parameters)) if parameters else None,
        lp=np.empty(draws),
    )


def record_functions(
    problem: Problem,
    covariance: np.ndarray,
    lengths: LengthState,
    weights: np.ndarray,
    storage: FunctionDraws,
    draw: int,
) -> None:
    """Write covariance, length-scales and ``weights`` (task, p), an intercept first."""
    storage.covariance[draw, 0] = covariance
    storage.lengthscale[draw, 0] = np.exp(lengths.logs)
    assert storage.weights is not None
    storage.weights[draw] = weights[:, problem.prior.block :]
    if storage.level is not None:
        storage.level[draw] = weights[:, 0]
