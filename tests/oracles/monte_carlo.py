"""Monte Carlo errors of correlated draws."""

import numpy as np

__all__ = ["ess", "mcse"]


def ess(draws: np.ndarray) -> float:
    """Effective sample size of one chain: Geyer's initial positive monotone sequence."""
    n = draws.size
    centred = draws - draws.mean()
    if not np.any(centred):
        return float(n)
    spectrum = np.fft.rfft(centred, 2 * n)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / n
    correlation = covariance / covariance[0]
    pairs = correlation[0 : n - n % 2 : 2] + correlation[1::2]
    negative = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: negative[0]] if negative.size else pairs)
    return float(n / max(2.0 * pairs.sum() - 1.0, 1e-3))


def mcse(draws: np.ndarray) -> float:
    """Monte Carlo standard error of the mean; draws (draw,) or (chain, draw)."""
    chains = np.atleast_2d(draws)
    variances = [chain.var() / ess(chain) for chain in chains]
    return float(np.sqrt(np.sum(variances)) / len(chains))
