"""Pareto-smoothed importance weights and systematic resampling."""

import math

import numpy as np

__all__ = ["reported_pareto_k", "smoothed_weights", "systematic"]

MIN_TAIL = 5  # draws that a Pareto tail is fitted to
MIN_SAMPLES = 5 * MIN_TAIL  # the tail is a fifth of few draws


def smoothed_weights(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Smooth importance ratios; their Pareto k says whether they can be trusted.

    Parameters
    ----------
    log_ratios : array (sample,)
        Log of target over proposal, up to a constant.

    Returns
    -------
    weights : array (sample,)
        Positive, sum 1.
    pareto_k : float
        Above 0.7 the weights are not reliable; -inf for equal ratios, inf for too few draws.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling, JMLR 25.
    """
    n_samples = len(log_ratios)
    if np.ptp(log_ratios) < 1e-10:
        return np.full(n_samples, 1 / n_samples), -math.inf
    if n_samples < MIN_SAMPLES:
        weights = np.exp(log_ratios - log_ratios.max())
        return weights / weights.sum(), math.inf
    from arviz_stats.base.array import array_stats

    # psislw takes log-likelihoods, that is minus the log ratios
    log_weights, pareto_k = array_stats.psislw(-log_ratios)
    weights = np.exp(log_weights)
    return weights / weights.sum(), float(pareto_k)


def reported_pareto_k(pareto_k: float) -> float | None:
    """Pareto k of `smoothed_weights` as a report has it; None where it cannot be told."""
    # At or below 0 the ratios are bounded, down to minus infinity where they are all equal.
    return max(float(pareto_k), 0.0) if pareto_k < math.inf else None


def systematic(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample by one uniform shift of an even grid: sample s is kept n w_s times, up or down.

    Parameters
    ----------
    weights : array (sample,)
        Positive, sum 1.
    rng : numpy.random.Generator
        Source of the shift.

    Returns
    -------
    int array (sample,)
        Sorted indices.
    """
    n_samples = len(weights)
    grid = (np.arange(n_samples) + rng.random()) / n_samples
    # the clip guards against a sum below 1 by rounding
    return np.searchsorted(np.cumsum(weights), grid).clip(max=n_samples - 1)
