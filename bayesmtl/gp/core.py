"""Functions in a basis as weights of the linear core: sites, priors and rows of its samplers."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem, assemble
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.hyperparameters import GIVEN, HUANG_WAND, LOW_RANK
from bayesmtl.gp.weight_space import Basis
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.relations.covariance.prior import MatrixNormal
from bayesmtl.relations.exchangeable.prior import Independent

__all__ = ["core_problem"]

# Functions are found by the millions of rows: columns are made a block at a time.
_NO_COLUMNS = dict.fromkeys(("se", "trials", "exposure", "weights", "offset"))


def core_problem(problem: FunctionProblem, basis: Basis, likelihood: Likelihood) -> Problem:
    """The linear model ``f_t(x) = phi(x)'w_t``, matrix-normal weights, at some length-scales.

    Parameters
    ----------
    problem : FunctionProblem
    basis : Basis
    likelihood : Likelihood
        A Gaussian one gets noise sds of one, which are updated beside.
    """
    rows, prior = problem.rows, problem.prior
    sd = np.exp(0.5 * basis.log_variance(np.full(rows.inputs.shape[1], 0.5)))
    names = tuple(f"phi{i + 1}" for i in range(basis.size))
    table = problem.table._replace(
        features=basis.columns(rows.inputs),
        response=rows.response,
        task=rows.task,
        position=problem.table.position[problem.order],
        extra={name: values[problem.order] for name, values in problem.table.extra.items()},
    )
    kinds = {GIVEN: prior.given[0], HUANG_WAND: "full", LOW_RANK: "low_rank"}
    relation = MatrixNormal(
        task_covariance=kinds[prior.kind],
        mean=0.0,
        scale=tuple(sd.tolist()),
        n_factors=prior.rank if prior.kind == LOW_RANK else None,
    )
    level = rows.level_sd[0]
    intercept = None
    if level > 0.0:
        # Of a Gaussian response its prior mean has been taken off.
        own = problem.intercept if not isinstance(likelihood, Gaussian) else None
        intercept = Independent(mean=own, scale=float(level))
    of_noise = Gaussian(noise_sd=1.0) if isinstance(likelihood, Gaussian) else likelihood
    columns = _NO_COLUMNS | dict(likelihood.columns)
    return assemble(
        table,
        names,
        np.zeros((rows.n_tasks, 0)),
        relation=relation,
        intercept=intercept,
        likelihood=of_noise,
        columns=columns,
        standardize=False,
        prepared=True,
    )
