"""Coordinate ascent for correlated tasks: the best approximation, then draws from it.

Covariances, or factors with their kinds and variances, come from the approximation; weights and
population means, or loadings and weights, from their exact conditionals given these and the point
estimates. Where the weights of all tasks are too many to solve for in each draw, they come from
their factor too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.errors import warn
from bayesmtl.inference.cavi_dense_draws import draw_dense
from bayesmtl.inference.cavi_factor_draws import best_optimum, draw_low_rank
from bayesmtl.inference.cavi_report import Report, estimated_names
from bayesmtl.inference.correlation_drift import correlation_drift
from bayesmtl.inference.draws import Draws, join_chains
from bayesmtl.inference.gibbs import start_chain
from bayesmtl.inference.support import require_supported
from bayesmtl.likelihoods import Likelihood
from bayesmtl.posterior.importance import reported_pareto_k, smoothed_weights
from bayesmtl.relations.covariance.cavi_dense import DenseFit, fit_dense, is_factorised
from bayesmtl.relations.covariance.factor_bound import FactorFit
from bayesmtl.relations.covariance.factor_starts import low_rank_optima
from bayesmtl.relations.exchangeable.hyperparameters import Layout
from bayesmtl.relations.exchangeable.layouts import layout_of

__all__ = ["CorrelatedFit", "fit_correlated", "sample_correlated"]

# Log scale, in units of a weight of one sd of the response, that the ascent starts from.
_START = -1.0
# Fewer ratios say nothing of their tail.
_FEWEST_RATIOS = 100


class CorrelatedFit(NamedTuple):
    """The best approximation of a dense covariance, or of factors."""

    layout: Layout
    fit: DenseFit | FactorFit


def fit_correlated(
    problem: Problem, likelihood: Likelihood, rng: np.random.Generator
) -> CorrelatedFit:
    """Ascend to the best approximation.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
    rng : numpy.random.Generator
        Of the starts with factors.

    Raises
    ------
    UnsupportedError
        For a likelihood that is not Gaussian, or priors that have no update.
    """
    require_supported(problem, likelihood, "cavi")
    assert problem.task_covariance is not None
    chain = start_chain(problem, likelihood, rng)
    layout, x = layout_of(problem, chain.population, 1.0, chain.noise)
    x[: layout.scales.size] = np.clip(_START, *layout.bounds[: layout.scales.size].T)
    if problem.task_covariance.kind == "low_rank":
        optima = low_rank_optima(layout, x, problem.task_covariance, rng)
        return CorrelatedFit(layout, best_optimum(layout, optima, rng))
    return CorrelatedFit(layout, fit_dense(layout, x, problem.task_covariance))


def sample_correlated(
    problem: Problem,
    likelihood: Likelihood,
    *,
    draws: int,
    chains: int,
    random_seed: int | None,
) -> tuple[Draws, Report]:
    """Independent draws from the best approximation.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
    draws, chains : int
    random_seed : int or None

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units; ``lp`` is a log joint density of data and structure,
        with weights integrated out unless they are drawn from their factor.
    report : Report

    Raises
    ------
    UnsupportedError
        For a likelihood that is not Gaussian, or priors that have no update.

    Warns
    -----
    BayesMTLWarning
        When the weights are so many that their factor is a product over tasks.
    """
    *seeds, own, sweeps = np.random.SeedSequence(random_seed).spawn(chains + 2)
    layout, fit = fit_correlated(problem, likelihood, np.random.default_rng(own))
    factorised = isinstance(fit, DenseFit) and is_factorised(layout)
    if factorised:
        _warn_of_independence(layout)
    parts = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if isinstance(fit, DenseFit):
            parts.append(draw_dense(layout, fit, draws, draws * chains, rng))
        else:
            parts.append(draw_low_rank(layout, fit, draws, rng))
    ratios = np.concatenate([ratio for _, ratio in parts])
    pareto_k = None
    if ratios.size >= min(_FEWEST_RATIOS, draws * chains):
        pareto_k = reported_pareto_k(smoothed_weights(ratios)[1])
    joined = join_chains([part for part, _ in parts], draws)
    rng = np.random.default_rng(sweeps)
    report = Report(
        elbo=fit.elbo,
        trace=np.array(fit.trace),
        pareto_k=pareto_k,
        point_estimates=_names(layout),
        correlation_drift=correlation_drift(problem, likelihood, joined, rng),
        factorised=factorised,
    )
    return joined, report


def _warn_of_independence(layout: Layout) -> None:
    n_weights = layout.problem.prior.n_tasks * layout.point.scale.size
    warn(
        f"{n_weights:,} coefficients are too many for one normal distribution: inference='cavi' "
        "takes the weights of different tasks as independent, which draws their correlations "
        "towards zero; task_covariance='low_rank' does not need this"
    )


def _names(layout: Layout) -> list[str]:
    """What are point estimates: posterior variables, else keywords of the relation."""
    prior = layout.problem.task_covariance
    assert prior is not None
    of_scales = "population_sd" if prior.kind == "given" else "scale"
    names = estimated_names(layout, "population_mean", of_scales)
    return [*names, "own_sd"] if prior.kind == "low_rank" else names
