"""The normal population of task weights in internal units: its prior and its state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.numerics.densities import CODES, FIXED, REGULARISED

__all__ = [
    "DIAGONAL",
    "HUANG_WAND",
    "JOINT",
    "NORMAL",
    "OTHER",
    "SEPARATE",
    "SET",
    "PopulationPrior",
    "PopulationState",
    "initial_state",
    "learns",
    "support",
]

# Kinds of covariance between features.
DIAGONAL, HUANG_WAND, SEPARATE = 0, 1, 2
# Kinds of a population mean: fixed number, Normal prior, another prior, or the joint R-squared
# prior.
SET, NORMAL, OTHER, JOINT = 0, 1, 2, 3


class PopulationPrior(NamedTuple):
    """``w_t ~ N(means @ z_t, diag(scale) covariance diag(scale))``, p coefficients a task.

    A value on the user's scale is ``location + unit * internal``; priors are evaluated on the
    user's scale. Coefficients from ``block`` on are the relation's features, before it stands a
    separate intercept.

    Parameters
    ----------
    mean_prior : (p, q, 6)
        Rows of `bayesmtl.numerics.densities`; ``q`` counts a constant and the task features.
    mean_location, mean_unit : (p, q)
    mean_kind : (p q,)
        SET, NORMAL, OTHER or JOINT.
    scale_prior : (p, 6)
    scale_unit : (p,)
    joint : (p,) bool
        Features whose mean and scale follow the joint R-squared / shared-fraction prior.
    r2_prior, shared_prior : (6,)
        Priors of R-squared and of the shared fraction.
    covariance : int
        DIAGONAL, HUANG_WAND or SEPARATE.
    block : int
    half_t_scale : (p,)
        A of the Huang-Wand prior, internal units.
    correlation_shape : float
        eta of the LKJ prior.
    task_features : (block, q, lane)
    task_cross : (q, q)
        ``sum_t z_t z_t'``.
    n_tasks : int
    """

    mean_prior: np.ndarray
    mean_location: np.ndarray
    mean_unit: np.ndarray
    mean_kind: np.ndarray
    scale_prior: np.ndarray
    scale_unit: np.ndarray
    joint: np.ndarray
    r2_prior: np.ndarray
    shared_prior: np.ndarray
    covariance: int
    block: int
    half_t_scale: np.ndarray
    correlation_shape: float
    task_features: np.ndarray
    task_cross: np.ndarray
    n_tasks: int


class PopulationState(NamedTuple):
    """Current values, updated in place.

    Parameters
    ----------
    means : (p, q)
    scale : (p,)
        1 for the features of a Huang-Wand covariance, which is then held in ``covariance``.
    covariance, precision : (p, p)
        Correlation of the standardised deviations (Huang-Wand: their covariance), and its inverse.
    shared : (1,)
        Shared fraction of the joint prior.
    center, deviation, weights : (block, p, lane)
        ``weights = center + scale * deviation``.
    """

    means: np.ndarray
    scale: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray
    shared: np.ndarray
    center: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray


def initial_state(prior: PopulationPrior, rng: np.random.Generator) -> PopulationState:
    """A dispersed start: scales over two orders of magnitude, weights left to the first sweep."""
    p, q = prior.mean_location.shape
    fixed_mean = (prior.mean_prior[..., 1] - prior.mean_location) / prior.mean_unit
    means = np.where(
        prior.mean_kind.reshape(p, q) == SET,
        fixed_mean,
        _inside(prior, rng.normal(0.0, 0.5, (p, q))),
    )
    learned = (prior.scale_prior[:, 0] != 0) | prior.joint
    scale = np.where(
        learned,
        _positive_inside(prior, np.exp(rng.uniform(-3.0, 0.5, p))),
        prior.scale_prior[:, 1] / prior.scale_unit,
    )
    covariance = np.eye(p)
    if prior.covariance == HUANG_WAND:
        features = np.arange(prior.block, p)
        covariance[features, features] = np.exp(rng.uniform(-4.0, 1.0, features.size))
        scale[features] = 1.0
    lanes = (prior.task_features.shape[0], p, prior.task_features.shape[2])
    return PopulationState(
        means=means,
        scale=scale,
        covariance=covariance,
        precision=np.linalg.inv(covariance),
        shared=np.array([rng.uniform(0.2, 0.8)]),
        center=np.zeros(lanes),
        deviation=np.zeros(lanes),
        weights=np.zeros(lanes),
    )


def learns(prior: PopulationPrior) -> bool:
    """Whether any mean or scale is learned."""
    scales = prior.joint | (prior.scale_prior[:, 0] != FIXED)
    return bool((prior.mean_kind != SET).any() or scales.any())


def support(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the support of each prior row (..., 6)."""
    code = rows[..., 0]
    low = np.where(code >= CODES["HalfNormal"], 0.0, -np.inf)
    high = np.where(code == CODES["Beta"], 1.0, np.inf)
    uniform, truncated = code == CODES["Uniform"], code == CODES["TruncatedNormal"]
    low = np.where(uniform, rows[..., 1], np.where(truncated, rows[..., 3], low))
    high = np.where(uniform, rows[..., 2], np.where(truncated, rows[..., 4], high))
    high = np.where(code == REGULARISED, rows[..., 2], high)
    return low, high


def _between(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Values outside an interval are moved to a point well inside it."""
    width = np.where(np.isfinite(high - low), high - low, 1.0)
    inner = np.where(np.isfinite(low), low + 0.5 * width, high - 0.5 * width)
    return np.where((values > low) & (values < high), values, inner)


def _inside(prior: PopulationPrior, means: np.ndarray) -> np.ndarray:
    low, high = support(prior.mean_prior)
    user = prior.mean_location + prior.mean_unit * means
    return np.asarray((_between(user, low, high) - prior.mean_location) / prior.mean_unit)


def _positive_inside(prior: PopulationPrior, scale: np.ndarray) -> np.ndarray:
    low, high = support(prior.scale_prior)
    user = prior.scale_unit * scale
    return np.asarray(_between(user, np.maximum(low, 0.0), high) / prior.scale_unit)
