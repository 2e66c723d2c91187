"""Gibbs sampling of functions in a basis: which chain, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.gp.core import core_problem
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.dense_chain import DenseChain
from bayesmtl.gp.draws import FunctionDraws, join_functions
from bayesmtl.gp.factor_chain import FactorChain
from bayesmtl.gp.hyperparameters import LOW_RANK
from bayesmtl.gp.projected import AnyBasis
from bayesmtl.gp.row_chain import RowChain
from bayesmtl.inference.sampling import finish_chains
from bayesmtl.likelihoods import Likelihood

__all__ = ["sample_functions"]


def sample_functions(
    functions: FunctionProblem,
    basis: AnyBasis,
    likelihood: Likelihood,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[FunctionDraws, Problem, bool]:
    """Sample the posterior.

    Returns
    -------
    draws : FunctionDraws
        (chain, draw, ...), internal units.
    problem : Problem
        The linear model of the weights.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """
    problem = core_problem(functions, basis, likelihood)
    kind: Callable[..., Any] = RowChain
    if problem.row_data is None:
        kind = FactorChain if functions.prior.kind == LOW_RANK else DenseChain

    def start(rng: np.random.Generator) -> Any:
        own = problem.prior._replace(scale_prior=problem.prior.scale_prior.copy())
        return kind(problem._replace(prior=own), functions, basis, tune, rng)

    # Compiles what the chains will call, before they start.
    scratch = start(np.random.default_rng(0))
    scratch.advance(0)
    finished = finish_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    return join_functions(finished.storages, finished.n_draws), problem, finished.interrupted
