"""Sparse deviations of the tasks: prior and state, internal units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.relations.exchangeable.horseshoe import SLAB, SPREAD_SCALE, draw_slab, regularise

__all__ = ["SparsePrior", "SparseState", "initial_sparse", "simulate_sparse"]


class SparsePrior(NamedTuple):
    """Prior of the deviations ``e_tj ~ Normal(0, local_tj^2)``.

    ``local_tj`` is half-Cauchy with the global scale, regularised by the slab.

    Parameters
    ----------
    global_scale : (2,)
        Scale of the half-Cauchy prior of the global scale, in the second place.
    """

    global_scale: np.ndarray


class SparseState(NamedTuple):
    """Current values, updated in place.

    Parameters
    ----------
    part : (task, p)
        Deviations; 0 for a separate intercept.
    local : (task, p)
        Their sds; 0 likewise.
    hyper : (3,)
        Global scale and slab in the places of `SelectionState`.
    """

    part: np.ndarray
    local: np.ndarray
    hyper: np.ndarray


def simulate_sparse(
    prior: SparsePrior, n_tasks: int, first: int, p: int, rng: np.random.Generator
) -> SparseState:
    """Draw from the prior, coefficients from ``first`` on."""
    hyper = np.ones(3)
    hyper[SPREAD_SCALE] = prior.global_scale[SPREAD_SCALE] * abs(rng.standard_cauchy())
    hyper[SLAB] = draw_slab(rng)
    local = np.zeros((n_tasks, p))
    wide = hyper[SPREAD_SCALE] * np.abs(rng.standard_cauchy((n_tasks, p - first)))
    local[:, first:] = regularise(wide, hyper[SLAB])
    return SparseState(local * rng.normal(size=local.shape), local, hyper)


def initial_sparse(n_tasks: int, first: int, p: int, rng: np.random.Generator) -> SparseState:
    """A dispersed start without deviations."""
    hyper = np.array([1.0, np.exp(rng.uniform(-4.0, -1.0)), np.exp(rng.uniform(0.5, 1.5))])
    local = np.zeros((n_tasks, p))
    local[:, first:] = np.exp(rng.uniform(-4.0, -1.0, (n_tasks, p - first)))
    return SparseState(np.zeros((n_tasks, p)), local, hyper)
