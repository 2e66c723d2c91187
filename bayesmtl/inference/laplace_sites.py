"""Sampling on approximate sites as if they were exact: one pass over the rows, then none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, evenly_spaced
from bayesmtl.inference.gibbs import sample_gibbs
from bayesmtl.inference.support import require_supported
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.lanes import pack_tasks, site_values, unpack_tasks
from bayesmtl.posterior.importance import reported_pareto_k, smoothed_weights

__all__ = ["Report", "sample_laplace_sites"]

# Draws at which the rows are looked at again, to judge the approximation.
_CHECKED = 400


class Report(NamedTuple):
    """How good the sites are.

    Parameters
    ----------
    pareto_k : float or None
        Of the importance ratios, exact likelihood over that of the sites.
    correction_sd : float
        Of the log of the ratio of one task over the draws, the largest over tasks: below about 0.5
        the sites alone are enough.
    worst_task : str
    """

    pareto_k: float | None
    correction_sd: float
    worst_task: str

    def summary(self) -> dict[str, Any]:
        """For the record of the run."""
        return self._asdict()

    def attrs(self) -> dict[str, Any]:
        """Root attributes of the result."""
        out = {"approximate": 1, "correction_sd": self.correction_sd}
        return out if self.pareto_k is None else out | {"pareto_k": self.pareto_k}


def sample_laplace_sites(
    problem: Problem, likelihood: Any, **settings: Any
) -> tuple[Draws, bool, Report]:
    """Gibbs sampling on Laplace sites of every task, not corrected.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
    **settings
        Of `bayesmtl.inference.gibbs.sample_gibbs`.

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units; ``lp`` is that of the approximation.
    interrupted : bool
    report : Report

    Raises
    ------
    UnsupportedError
        For a Gaussian likelihood, whose sites are exact; where the likelihood has parameters of its
        own.
    """
    require_supported(problem, likelihood, "laplace_sites")
    # Sites of unit precision, nothing to learn of a noise.
    known = Gaussian(se="sites")
    draws, interrupted = sample_gibbs(problem, known, keep_weights=True, **settings)
    return draws, interrupted, _report(problem, draws)


def _report(problem: Problem, draws: Draws) -> Report:
    assert draws.weights is not None
    assert problem.row_kernels is not None
    n_tasks, sites = problem.prior.n_tasks, problem.sites
    picked = draws.weights[evenly_spaced(draws, _CHECKED)]
    ratios = np.empty((len(picked), n_tasks))
    value, site = np.zeros_like(sites.precision), np.zeros_like(sites.precision)
    for i, one in enumerate(picked):
        weights = pack_tasks(one)
        problem.row_kernels.evaluate(problem.row_data, weights, np.zeros(0), value)
        site_values(sites.gram, sites.moment, weights, site)
        ratios[i] = unpack_tasks(value - site, n_tasks)
    _, pareto_k = smoothed_weights(ratios.sum(axis=1))
    spread = ratios.std(axis=0)
    worst = int(spread.argmax())
    return Report(
        reported_pareto_k(pareto_k),
        float(spread[worst]),
        str(problem.rows.tasks[worst]),
    )
