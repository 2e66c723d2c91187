"""R-hat and effective sample sizes of many quantities at once, ten times faster than one by one.

The definitions are those of Vehtari et al. (2021), as in `arviz_stats`, whose results the tests
compare with. Two things make it fast: one sort serves ranks, folded ranks and quantiles, and
autocovariances are summed lag by lag only until Geyer's sequence stops, which for draws of a good
sampler is a few lags. Quantities that mix so badly that `MAX_LAG` lags do not suffice go to
`arviz_stats` (FFT).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from bayesmtl.numerics.jit import kernel, lane_kernel

__all__ = ["Mixing", "mixing"]

MAX_LAG = 200  # beyond this many lags an FFT is cheaper than summing lag by lag
BLOCK = 16  # quantities per block: 16 x 4,000 draws = 0.5 MB stay in the cache of a core
MIN_DRAWS = 4  # per chain, as in arviz_stats
TAILS = (0.05, 0.95)


class Mixing(NamedTuple):
    """Convergence of each quantity; NaN where it cannot be computed."""

    r_hat: np.ndarray  # (quantity,)
    ess_bulk: np.ndarray  # (quantity,)
    ess_tail: np.ndarray  # (quantity,)


def mixing(draws: np.ndarray) -> Mixing:
    """Rank-normalised split R-hat = max(bulk, folded), bulk ESS, tail ESS = min(5%, 95%).

    Parameters
    ----------
    draws : array (chain, draw, quantity)
        Any real numbers; quantities with a NaN or an infinity give NaN.

    Returns
    -------
    Mixing
        All are NaN where all draws are equal (`arviz_stats` calls those well mixed), R-hat is NaN
        with one chain.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), doi:10.1214/20-BA1221, eqs. 7-14.
    """
    n_chains, n_draws, n_quantities = draws.shape
    out = np.full((3, n_quantities), np.nan)
    if n_draws < MIN_DRAWS or n_quantities == 0:
        return Mixing(*out)
    half = n_draws // 2
    n_split = 2 * n_chains * half
    scores = ndtri((np.arange(1, 2 * n_split + 1) / 2 + 0.125) / (n_split + 0.25))

    def run(start: int) -> None:
        stop = min(start + BLOCK, n_quantities)
        block = np.ascontiguousarray(np.moveaxis(draws[:, :, start:stop], -1, 0), dtype=np.float64)
        out[:, start:stop] = _block(block, scores, n_chains)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, range(0, n_quantities, BLOCK)))
    return Mixing(*out)


def _block(block: np.ndarray, scores: np.ndarray, n_chains: int) -> np.ndarray:
    """Compute the (3, quantity) results of a contiguous block (quantity, chain, draw)."""
    n_quantities, _, n_draws = block.shape
    half = n_draws // 2
    split = np.concatenate([block[:, :, :half], block[:, :, -half:]], axis=1)
    split = split.reshape(n_quantities, 2 * n_chains, half)
    flat = split.reshape(n_quantities, -1)
    finite = np.isfinite(flat).all(axis=1) & np.isfinite(block).all(axis=(1, 2))
    order = np.argsort(flat, axis=1)
    limits = _quantiles(block, flat, order)
    out = np.full((3, n_quantities), np.nan)
    _diagnose_block(split, order, limits, scores, finite, out)
    for q in np.flatnonzero((out[1:] < 0).any(axis=0)):
        out[1:, q] = _ess_by_fft(block[q])
    if n_chains == 1:
        out[0] = np.nan
    return out


def _quantiles(block: np.ndarray, flat: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Compute the 5% and 95% quantiles (quantity, 2) of all draws, from the sort if possible."""
    n_quantities = len(block)
    if flat.shape[1] != block[0].size:  # an odd number of draws: the middle one is not in `flat`
        return np.quantile(block.reshape(n_quantities, -1), TAILS, axis=1).T
    where = np.asarray(TAILS) * (flat.shape[1] - 1)
    low = where.astype(np.int64)
    rows = np.arange(n_quantities)[:, None]
    below, above = flat[rows, order[:, low]], flat[rows, order[:, low + 1]]
    weight = where - low
    # the two forms of numpy.quantile's linear rule, so that draws equal to a quantile stay equal
    step = above - below
    return np.where(weight >= 0.5, above - step * (1 - weight), below + step * weight)


def _ess_by_fft(draws: np.ndarray) -> tuple[float, float]:
    """Compute bulk and tail ESS of one quantity (chain, draw) with `arviz_stats`."""
    from arviz_stats.base.array import array_stats

    bulk = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")
    tail = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="tail", prob=TAILS)
    return float(bulk), float(tail)


@kernel
def _diagnose_block(split, order, limits, scores, finite, out):
    """Fill `out` (3, quantity); an ESS is negative where Geyer's sequence did not stop."""
    n_quantities, n_sequences, half = split.shape
    flat = np.empty(n_sequences * half)
    z = flat.reshape(n_sequences, half)  # the same memory
    fold = np.empty(n_sequences * half, dtype=np.int64)
    distance = np.empty(n_sequences * half)
    for q in range(n_quantities):
        if not finite[q]:
            continue
        values = split[q].reshape(-1)
        if values[order[q, 0]] == values[order[q, -1]]:
            continue
        _scores_of_ranks(values, order[q], scores, flat)
        bulk = _r_hat(z)
        out[1, q] = _ess(z)
        _fold(values, order[q], distance, fold)
        _scores_of_ranks(distance, fold, scores, flat)
        folded = _r_hat(z)
        out[0, q] = bulk if np.isnan(folded) else max(bulk, folded)
        tail = np.inf
        for k in range(2):
            for i in range(values.size):
                flat[i] = 1.0 if values[i] <= limits[q, k] else 0.0
            tail = min(tail, _ess(z))
        out[2, q] = tail


@kernel
def _scores_of_ranks(values, order, scores, out):
    """Write the normal scores of the average ranks: `scores[2 r - 2]` belongs to rank r."""
    n = values.size
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and values[order[stop]] == values[order[start]]:
            stop += 1
        score = scores[start + stop - 1]  # average rank (start + 1 + stop) / 2
        for i in range(start, stop):
            out[order[i]] = score
        start = stop


@kernel
def _fold(values, order, distance, fold):
    """Write |x - median| and its order: a merge of the two sides, nearest to the median first."""
    n = values.size
    middle = n // 2  # n is even: split chains come in pairs
    median = 0.5 * (values[order[middle - 1]] + values[order[middle]])
    for i in range(n):
        distance[i] = abs(values[i] - median)
    left, right = middle - 1, middle
    for i in range(n):
        take_left = right == n
        if left >= 0 and right < n:
            take_left = distance[order[left]] <= distance[order[right]]
        if take_left:
            fold[i] = order[left]
            left -= 1
        else:
            fold[i] = order[right]
            right += 1


@kernel
def _r_hat(z):
    """Compute sqrt((B / W + n - 1) / n) of sequences (sequence, draw); NaN when W is 0."""
    n = z.shape[1]
    means = np.empty(z.shape[0])
    within = 0.0
    for c in range(z.shape[0]):
        means[c] = z[c].mean()
        within += np.sum((z[c] - means[c]) ** 2) / (n - 1)
    within /= z.shape[0]
    between = n * np.sum((means - means.mean()) ** 2) / (z.shape[0] - 1)
    if within == 0.0:
        return np.inf if between > 0.0 else np.nan
    return np.sqrt((between / within + n - 1) / n)


@kernel
def _ess(z):
    """Compute the ESS of sequences (sequence, draw), which are centred in place; -1: undecided."""
    n_sequences, n = z.shape
    total = n_sequences * n
    if z.max() - z.min() < 1e-15:
        return float(total)
    means = np.empty(n_sequences)
    for c in range(n_sequences):
        means[c] = z[c].mean()
        z[c] -= means[c]
    within = _autocovariance(z, 0) * n / (n - 1.0)
    var_plus = within * (n - 1.0) / n + np.sum((means - means.mean()) ** 2) / (n_sequences - 1)
    rho = np.zeros(MAX_LAG + 4)
    even = rho[0] = 1.0
    odd = rho[1] = 1.0 - (within - _autocovariance(z, 1)) / var_plus
    t = 1
    while t < n - 3 and even + odd > 0.0:
        if t > MAX_LAG:
            return -1.0
        even = 1.0 - (within - _autocovariance(z, t + 1)) / var_plus
        odd = 1.0 - (within - _autocovariance(z, t + 2)) / var_plus
        if even + odd >= 0.0:
            rho[t + 1], rho[t + 2] = even, odd
        t += 2
    last = t - 2
    if even > 0.0:
        rho[last + 1] = even
    _make_monotone(rho, last)
    tau = -1.0 + 2.0 * np.sum(rho[: last + 1]) + rho[last + 1]
    return total / max(tau, 1.0 / np.log10(total))


@kernel
def _make_monotone(rho, last):
    """Lower pairs of autocorrelations to the pair before, where they rise (Geyer 1992)."""
    for t in range(1, last - 1, 2):
        if rho[t + 1] + rho[t + 2] > rho[t - 1] + rho[t]:
            rho[t + 1] = rho[t + 2] = (rho[t - 1] + rho[t]) / 2.0


@lane_kernel
def _autocovariance(z, lag):
    """Sum z[i] z[i + lag] / n, averaged over sequences; sums may be reordered (SIMD)."""
    n_sequences, n = z.shape
    total = 0.0
    for c in range(n_sequences):
        for i in range(n - lag):
            total += z[c, i] * z[c, i + lag]
    return total / (n * n_sequences)
