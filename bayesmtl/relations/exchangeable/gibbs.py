"""Gibbs sweep of the normal population: weights in one pass, then centred and non-centred updates.

Centred updates (structure given weights) mix where the tasks' data are strong, non-centred ones
(given standardised deviations) where they are weak; every sweep does both (Yu and Meng 2011, JCGS
20).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.jit import kernel
from bayesmtl.relations.exchangeable.collapsed import collapsed_pass
from bayesmtl.relations.exchangeable.moves import (
    centred_means,
    centred_scales,
    draw_correlations,
    draw_huang_wand,
    draw_weights,
    noncentred_means,
    noncentred_scales,
    update_joint,
)
from bayesmtl.relations.exchangeable.population import signal_variance
from bayesmtl.relations.exchangeable.rows import row_pass
from bayesmtl.relations.exchangeable.state import (
    HUANG_WAND,
    SEPARATE,
    PopulationPrior,
    PopulationState,
)

__all__ = ["Moves", "collapsing", "moves_pairs", "signal_variance", "sweep"]

# Operations of a collapsed pass.
_CHEAP, _AFFORDABLE = 1_000_000, 20_000_000


class Moves(NamedTuple):
    """Updates that a sweep may leave out.

    Parameters
    ----------
    collapsed : bool
        Means, scales and, in small models, correlations with the weights integrated out.
    rows : bool
        A Huang-Wand covariance given the whitened deviations.
    """

    collapsed: bool
    rows: bool


def collapsing(prior: PopulationPrior) -> str:
    """Whether sweeps should integrate the weights out too: "always", "if needed" or "never".

    A collapsed pass costs about ``n_tasks p^3`` operations. Where that is little it always runs;
    where it is much more than the rest of a sweep, only if the chain turns out to need it.
    """
    work = prior.n_tasks * prior.scale_unit.size**3
    if work <= _CHEAP:
        return "always"
    return "if needed" if work <= _AFFORDABLE else "never"


def moves_pairs(prior: PopulationPrior) -> bool:
    """Whether a collapsed pass moves correlations too, quartic in p."""
    p = prior.scale_unit.size
    return prior.n_tasks * p**2 * (p - prior.block) ** 2 // 2 <= _CHEAP


def sweep(
    sites: Sites,
    prior: PopulationPrior,
    state: PopulationState,
    noise_variance: float,
    moves: Moves,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep over weights and population, in place.

    Parameters
    ----------
    sites : Sites
        Lanes of G, h and the noise precision that multiplies both.
    prior : PopulationPrior
    state : PopulationState
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    moves : Moves
        The costlier updates to make.
    rng : numpy.random.Generator
    """
    pairs = moves_pairs(prior)
    _sweep(sites, prior, state, noise_variance, moves.collapsed, pairs, moves.rows, rng)


@kernel
def _sweep(sites, prior, state, noise_variance, collapsed, pairs, rows, rng):
    """All updates in one call: each would take the interpreter lock, and chains share it."""
    if collapsed:
        collapsed_pass(sites, prior, state, noise_variance, pairs, rng)
    draw_weights(sites, prior, state, rng)
    centred_means(prior, state, rng)
    if prior.covariance == HUANG_WAND:
        draw_huang_wand(prior, state, rng)
    centred_scales(prior, state, rng)
    if prior.covariance == SEPARATE:
        draw_correlations(prior, state, rng)
    noncentred_means(sites, prior, state, rng)
    noncentred_scales(sites, prior, state, rng)
    if rows and prior.covariance == HUANG_WAND:
        row_pass(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
