"""Posterior draws of functions in internal units, as every method hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["FunctionDraws", "join_functions"]


class FunctionDraws(NamedTuple):
    """Draws of one chain (draw, ...) or of all (chain, draw, ...); absent parts are None.

    Parameters
    ----------
    covariance : (..., component, task, task)
    lengthscale : (..., component, input)
    noise : (..., task) or None
        Standard deviations, under a Gaussian likelihood.
    weights : (..., task, basis) or None
        In a basis.
    level : (..., task) or None
        Intercepts less their prior means.
    parameters : (..., parameter) or None
        Of another likelihood, as its kernels see them.
    lp : (...,)
        Log density up to a constant.
    """

    covariance: np.ndarray
    lengthscale: np.ndarray
    noise: np.ndarray | None
    weights: np.ndarray | None
    level: np.ndarray | None
    parameters: np.ndarray | None
    lp: np.ndarray


def join_functions(chains: Sequence[FunctionDraws], n_draws: int) -> FunctionDraws:
    """Draws of several chains, as many of each."""
    parts = zip(*chains, strict=True)
    joined = [None if one[0] is None else np.stack([x[:n_draws] for x in one]) for one in parts]
    return FunctionDraws(*joined)  # type: ignore[arg-type]
