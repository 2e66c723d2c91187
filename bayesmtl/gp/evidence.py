"""Exact log marginal likelihood of functions whose hyperparameters are fixed."""

from __future__ import annotations

import numpy as np

from bayesmtl.errors import UnsupportedError
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.dense import DenseMarginal, singular_rows
from bayesmtl.gp.hyperparameters import GIVEN
from bayesmtl.gp.kronecker import KroneckerMarginal
from bayesmtl.gp.problem import Marginal, complete_design
from bayesmtl.numerics.densities import FIXED

__all__ = ["exact_marginal", "log_evidence"]


def exact_marginal(problem: FunctionProblem) -> Marginal:
    """The cheapest exact marginal likelihood."""
    if problem.prior.n_components == 1 and complete_design(problem.rows) is not None:
        return KroneckerMarginal(problem.rows, problem.kernel)
    return DenseMarginal(problem.rows, problem.kernel)


def log_evidence(problem: FunctionProblem) -> float:
    """``log p(y)`` in the user's units, functions and intercepts integrated out.

    Raises
    ------
    InvalidDataError
        When the covariance of the rows is singular.
    UnsupportedError
        Naming what is not fixed.
    """
    prior = problem.prior
    noise = prior.noise_rows[:1] if prior.shared_noise else prior.noise_rows
    learned = {
        "task_covariance": prior.kind != GIVEN,
        "lengthscale": (prior.lengthscale_rows[..., 0] != FIXED).any(),
        "noise_sd": (noise[:, 0] != FIXED).any(),
    }
    for name, free in learned.items():
        if free:
            raise UnsupportedError(
                f"log_evidence is exact for fixed hyperparameters only, and {name} is learned; fix "
                f"it with {name}="
            )
    try:
        value, _ = exact_marginal(problem)(prior.values(np.zeros(0)))
    except np.linalg.LinAlgError:
        raise singular_rows(problem.rows.inputs, problem.rows.task, problem.table.tasks) from None
    return value - problem.log_unit
