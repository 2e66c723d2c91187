"""Chains over graphs, with data and without."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.graphical.density import log_joint
from bayesmtl.graphical.gibbs import graph_sweep
from bayesmtl.graphical.state import (
    SPIKE_SLAB,
    GraphPrior,
    GraphProblem,
    GraphState,
    initial_state,
    no_data,
)
from bayesmtl.inference.sampling import finish_chains

__all__ = ["GraphDraws", "sample_graphs", "simulate_prior"]

# Draws of the prior: more where a graph has few pairs, which all have the same prior.
_PRIOR_CHAINS = 2
_MOST_PRIOR_DRAWS, _FEWEST_PRIOR_DRAWS = 2000, 50
_PRIOR_BUDGET = 1e8  # floating point operations


class GraphDraws(NamedTuple):
    """Draws of one chain (draw, ...) or of all (chain, draw, ...), internal units.

    Parameters
    ----------
    mean : (..., center, variable)
    precision : (..., block, variable, variable)
    edge : (..., block, variable, variable) bool or None
        Under spike and slab.
    theta : (..., block, block) or None
        Under spike and slab, where it is learned.
    global_scale : (..., block) or None
        tau, under the horseshoe.
    lp : (...,)
    """

    mean: np.ndarray
    precision: np.ndarray
    edge: np.ndarray | None
    theta: np.ndarray | None
    global_scale: np.ndarray | None
    lp: np.ndarray


class _GraphChain:
    """One chain."""

    def __init__(self, problem: GraphProblem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.rng = rng
        self.state: GraphState = initial_state(problem, rng)

    def advance(self, iteration: int) -> None:
        """One sweep."""
        graph_sweep(self.problem, self.state, self.rng)

    def storage(self, draws: int) -> GraphDraws:
        """Empty arrays."""
        state, prior = self.state, self.problem.prior
        sparse = prior.kind == SPIKE_SLAB
        shape = (draws, *state.precision.shape)
        return GraphDraws(
            mean=np.empty((draws, *state.mean.shape)),
            precision=np.empty(shape),
            edge=np.empty(shape, dtype=np.bool_) if sparse else None,
            theta=np.empty((draws, *state.theta.shape)) if prior.relates else None,
            global_scale=None if sparse else np.empty((draws, len(state.scale))),
            lp=np.empty(draws),
        )

    def record(self, storage: GraphDraws, draw: int) -> GraphDraws:
        """Write the current state."""
        state = self.state
        storage.mean[draw] = state.mean
        storage.precision[draw] = state.precision
        if storage.edge is not None:
            storage.edge[draw] = state.edge
        if storage.theta is not None:
            storage.theta[draw] = state.theta
        if storage.global_scale is not None:
            storage.global_scale[draw] = np.sqrt(state.scale[:, 0])
        storage.lp[draw] = log_joint(self.problem, state)
        return storage


def sample_graphs(
    problem: GraphProblem,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[GraphDraws, bool]:
    """Run the chains.

    Returns
    -------
    draws : GraphDraws
        (chain, draw, ...), internal units.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """
    finished = finish_chains(
        lambda rng: _GraphChain(problem, rng),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    parts = zip(*finished.storages, strict=True)
    joined = [
        None if part[0] is None else np.stack([one[: finished.n_draws] for one in part])
        for part in parts
    ]
    return GraphDraws(*joined), finished.interrupted  # type: ignore[arg-type]


def simulate_prior(prior: GraphPrior, random_seed: int | None, cores: int) -> GraphDraws:
    """Draws of graphs from the prior: the same sampler without data, (chain, draw, ...).

    The region in which a precision matrix is positive definite makes edges rarer than the
    prior of single elements says, and by how much has no closed form.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted.
    """
    work = prior.n_blocks * prior.n_variables**4 / 3.0 * _PRIOR_CHAINS
    draws = int(np.clip(_PRIOR_BUDGET / work, _FEWEST_PRIOR_DRAWS, _MOST_PRIOR_DRAWS))
    found, interrupted = sample_graphs(
        no_data(prior),
        draws=draws,
        tune=max(draws // 2, _FEWEST_PRIOR_DRAWS),
        chains=_PRIOR_CHAINS,
        cores=cores,
        random_seed=random_seed,
        progressbar=False,
    )
    if interrupted:
        raise KeyboardInterrupt("interrupted before the prior was simulated")
    return found
