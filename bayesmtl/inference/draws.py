"""Posterior draws in internal units, as every method hands them over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Draws", "join_chains"]


class Draws(NamedTuple):
    """Draws of one chain (draw, ...) or of all (chain, draw, ...); absent parts are None.

    Parameters
    ----------
    means : (..., p, q)
    scale : (..., p)
        Population sd of each coefficient.
    correlation : (..., p, p) or None
        Where features are correlated.
    shared : (...,) or None
        Shared fraction of the joint prior.
    noise_median, noise_spread : (...,) or None
    log_noise : (..., task) or (...,) or None
        Log noise sd of each task, or of all; None where it is known.
    weights : (..., task, p) or None
        Coefficients of the tasks; None where they are too many to keep.
    lp : (...,)
        Log joint density up to a constant.
    """

    means: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray | None
    shared: np.ndarray | None
    noise_median: np.ndarray | None
    noise_spread: np.ndarray | None
    log_noise: np.ndarray | None
    weights: np.ndarray | None
    lp: np.ndarray


def join_chains(chains: list[Draws], n_draws: int) -> Draws:
    """Stack chains after cutting each to its first ``n_draws`` draws."""
    return Draws(
        *(
            None if parts[0] is None else np.stack([part[:n_draws] for part in parts])
            for parts in zip(*chains, strict=True)
        )
    )
