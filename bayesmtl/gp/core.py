"""Functions in a basis as weights of the linear core: sites, priors and rows of its samplers."""

from __future__ import annotations

import numpy as np

from bayesmtl.assembly import Problem, assemble
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.hyperparameters import GIVEN, HUANG_WAND, LOW_RANK
from bayesmtl.gp.weight_space import Basis, BasisSites, basis_sites
from bayesmtl.likelihoods import Likelihood, StudentT
from bayesmtl.likelihoods.gaussian import Gaussian, Sites
from bayesmtl.numerics.lanes import pack_symmetric, pack_tasks
from bayesmtl.relations.covariance.prior import MatrixNormal
from bayesmtl.relations.exchangeable.prior import Independent

__all__ = ["core_problem"]

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
    # The settings of a noise speak of the user's unit.
    unit = float(problem.units.response_scale[0]) if isinstance(likelihood, StudentT) else 1.0
    sd = unit * np.exp(0.5 * basis.log_variance(np.full(rows.inputs.shape[1], 0.5)))
    names = tuple(f"phi{i + 1}" for i in range(basis.size))
    gaussian = isinstance(likelihood, Gaussian)
    chosen = np.arange(len(rows.task))
    if gaussian:
        # Its sites come from sums over all rows, whose columns are never held at once.
        chosen = np.unique(rows.task, return_index=True)[1]
    order = problem.order[chosen]
    table = problem.table._replace(
        features=basis.columns(rows.inputs[chosen]),
        response=unit * rows.response[chosen],
        task=rows.task[chosen],
        position=problem.table.position[order],
        extra={name: values[order] for name, values in problem.table.extra.items()},
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
        own = None if gaussian or problem.intercept is None else unit * problem.intercept
        intercept = Independent(mean=own, scale=unit * float(level))
    columns = _NO_COLUMNS | dict(likelihood.columns)
    assembled = assemble(
        table,
        names,
        np.zeros((rows.n_tasks, 0)),
        relation=relation,
        intercept=intercept,
        likelihood=Gaussian(noise_sd=1.0) if gaussian else likelihood,
        columns=columns,
        standardize=False,
        prepared=True,
        own_unit=unit,
    )
    if not gaussian:
        return assembled
    return assembled._replace(sites=_sites(assembled.sites, basis_sites(rows, basis), level > 0.0))


def _sites(empty: Sites, sums: BasisSites, with_level: bool) -> Sites:
    """Sites of the linear core, the intercept first, from the sums of each task."""
    n_tasks, m = sums.moment.shape
    first = int(with_level)
    gram = np.empty((n_tasks, m + first, m + first))
    gram[:, first:, first:] = sums.gram
    moment = sums.moment
    if with_level:
        gram[:, 0, 0] = sums.rows
        gram[:, 0, 1:] = gram[:, 1:, 0] = sums.total
        moment = np.column_stack([sums.response, moment])
    return Sites(
        gram=pack_symmetric(gram),
        moment=pack_tasks(moment),
        precision=empty.precision,
        total=pack_tasks(sums.square),
        rows=pack_tasks(sums.rows),
    )
