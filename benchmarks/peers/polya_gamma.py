"""Polya-Gamma Gibbs sampling of a logistic regression (Polson, Scott and Windle 2013, JASA 108)."""

from __future__ import annotations

import time
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from benchmarks.data import Example

__all__ = ["PolyaGammaRun", "polya_gamma_missing", "run_polya_gamma"]


class PolyaGammaRun(NamedTuple):
    """Draws (chain, draw, coefficient), intercept first, and the seconds of all sweeps."""

    coefficients: np.ndarray
    seconds: float


def polya_gamma_missing() -> str | None:
    """Why the peer cannot run, or None."""
    return "there is no package polyagamma" if find_spec("polyagamma") is None else None


def run_polya_gamma(
    example: Example, *, prior_sd: float, tune: int, draws: int, chains: int, seed: int
) -> PolyaGammaRun:
    """Chains one after the other from dispersed starts; coefficients Normal(0, prior_sd^2)."""
    random_polyagamma = import_module("polyagamma").random_polyagamma
    x = np.insert(example.frame[list(example.features)].to_numpy(), 0, 1.0, axis=1)
    moment = x.T @ (example.frame["y"].to_numpy() - 0.5)
    prior = np.eye(x.shape[1]) / prior_sd**2
    kept = np.empty((chains, draws, x.shape[1]))
    started = time.perf_counter()
    for chain, rng in enumerate(np.random.default_rng(seed).spawn(chains)):
        beta = rng.normal(size=x.shape[1])
        for sweep in range(-tune, draws):
            omega = random_polyagamma(1.0, x @ beta, random_state=rng, disable_checks=True)
            factor = np.linalg.cholesky((x.T * omega) @ x + prior)
            half = np.linalg.solve(factor, moment) + rng.normal(size=beta.size)
            beta = np.linalg.solve(factor.T, half)
            if sweep >= 0:
                kept[chain, sweep] = beta
    return PolyaGammaRun(kept, time.perf_counter() - started)
