"""Columns of basis expansions, of arrays alone: Gaussian processes, splines, bumps and waves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.interpolate import BSpline

from bayesmtl.numerics.kernels import hilbert_basis, hilbert_frequencies, log_spectral_density

__all__ = [
    "complement_of",
    "fourier_basis",
    "functions_needed",
    "gaussian_process_basis",
    "pivoted_centers",
    "quantile_knots",
    "radial_basis",
    "shortest_lengthscale",
    "spacing_width",
    "spline_basis",
]

# Functions that a box of factor c needs: this times c, over the length-scale in half ranges.
# Riutort-Mayol et al. 2023, Stat. Comput. 33:17, sec. 4.2; they have no matern12, which is rougher
# than matern32 and needs at least as many.
_FUNCTIONS = {"rbf": 1.75, "matern52": 2.65, "matern32": 3.42, "matern12": 3.42}
# What pivoted Cholesky leaves of the variance 1 of a row that other rows already determine.
_EXHAUSTED = 1e-10


def functions_needed(kernel: str, lengthscale: float, factor: float) -> int:
    """Fewest functions of a Hilbert-space basis that carry a length-scale.

    Parameters
    ----------
    kernel : str
        One of `bayesmtl.numerics.kernels.KERNELS`.
    lengthscale : float
        In half ranges of the input.
    factor : float
        Half width of the box, in half ranges of the input.

    Returns
    -------
    int
        By the rule of Riutort-Mayol et al. 2023, Stat. Comput. 33:17, sec. 4.2.
    """
    return math.ceil(_FUNCTIONS[kernel] * factor / lengthscale - 1e-9)


def shortest_lengthscale(kernel: str, count: int, factor: float) -> float:
    """Shortest length-scale, in half ranges, that so many functions carry; `functions_needed`."""
    return _FUNCTIONS[kernel] * factor / count


def gaussian_process_basis(
    inputs: np.ndarray,
    counts: Sequence[int],
    kernel: str,
    lengthscale: np.ndarray,
    factor: float,
) -> np.ndarray:
    """Columns that independent Normal(0, 1) weights make a Gaussian process of variance one.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (n, p)
        In half ranges around the middle of the range: training rows lie in [-1, 1].
    counts : sequence of int
        Functions of each input; the last input varies fastest among the columns.
    kernel : str
        One of `bayesmtl.numerics.kernels.KERNELS`.
    lengthscale : numpy.ndarray, shape (p,)
        In half ranges.
    factor : float
        Half width of the box.

    Returns
    -------
    numpy.ndarray, shape (n, product of counts)
        Eigenfunctions times the square root of the spectral density. Solin and Sarkka 2020, Stat.
        Comput. 30, eq. 56; Riutort-Mayol et al. 2023, Stat. Comput. 33:17, eqs. 8 and 13.
    """
    widths = np.full(inputs.shape[1], factor)
    frequencies = hilbert_frequencies(counts, widths)
    density = log_spectral_density(kernel, frequencies, np.asarray(lengthscale))
    return hilbert_basis(inputs, frequencies, widths) * np.exp(0.5 * density)


def quantile_knots(values: np.ndarray, count: int) -> np.ndarray:
    """Interior knots at evenly spaced quantiles, of the distinct values where ties repeat a knot.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        At least ``count + 2`` distinct ones.
    count : int

    Returns
    -------
    numpy.ndarray, shape (count,)
        Increasing, strictly inside of the range.
    """
    levels = np.linspace(0.0, 1.0, count + 2)
    for some in (values, np.unique(values)):
        knots = np.quantile(some, levels)
        if (np.diff(knots) > 0.0).all():
            break
    return np.asarray(knots[1:-1])


def spline_basis(values: np.ndarray, knots: np.ndarray, degree: int) -> np.ndarray:
    """B-splines on [0, 1], which sum to one; beyond it they keep their values at the edge.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
    knots : numpy.ndarray, shape (k,)
        Interior ones.
    degree : int

    Returns
    -------
    numpy.ndarray, shape (n, k + degree + 1)
        de Boor 1978, A Practical Guide to Splines, ch. IX.
    """
    edges = np.zeros(degree + 1), np.ones(degree + 1)
    inside = np.clip(values, 0.0, 1.0)
    full = np.concatenate([edges[0], knots, edges[1]])
    return np.asarray(BSpline.design_matrix(inside, full, degree).toarray())


def complement_of(direction: np.ndarray) -> np.ndarray:
    """Orthonormal basis (m, m - 1) of what is orthogonal to a direction (m,).

    Columns of a Householder reflection: no factorisation whose signs could differ elsewhere.
    """
    reflected = np.array(direction, dtype=np.float64)
    reflected[0] += math.copysign(float(np.linalg.norm(direction)), reflected[0])
    matrix = np.eye(len(reflected))
    matrix -= 2.0 * np.outer(reflected, reflected) / (reflected @ reflected)
    return matrix[:, 1:]


def spacing_width(count: int, n_inputs: int) -> float:
    """Distance of neighbours on a grid of so many points in a cube of standard deviation one."""
    return 2.0 * math.sqrt(3.0) * count ** (-1.0 / n_inputs)


def radial_basis(inputs: np.ndarray, centers: np.ndarray, width: float) -> np.ndarray:
    """Gaussian bumps ``exp(-distance^2 / (2 width^2))`` of height one.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (n, p)
    centers : numpy.ndarray, shape (k, p)
    width : float

    Returns
    -------
    numpy.ndarray, shape (n, k)
        Liao and Carin 2006, NIPS 18, Radial basis function network for multi-task learning.
    """
    square = np.zeros((len(inputs), len(centers)))
    for j in range(inputs.shape[1]):
        square += ((inputs[:, j, None] - centers[None, :, j]) / width) ** 2
    return np.exp(-0.5 * square)


def pivoted_centers(
    inputs: np.ndarray,
    count: int,
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray],
    enough: float = 0.0,
) -> np.ndarray:
    """Rows that determine a Gaussian process of variance one best, one after another.

    The first is nearest to the middle of the ranges; each further one has the largest variance
    given those before it, the first in the sorted order among equals. Neither the order of the
    rows nor how often a row occurs changes the answer.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (n, p)
    count : int
    kernel : function
        From inputs (n, p) and (1, p) to covariances (n, 1).
    enough : float
        Average variance left over the rows at which to stop.

    Returns
    -------
    numpy.ndarray, shape (k, p)
        Fewer than ``count`` where the rows are exhausted or enough. Pivoted Cholesky decomposition:
        Harbrecht, Peters and Schneider 2012, Appl. Numer. Math. 62.
    """
    rows = np.unique(inputs, axis=0)
    middle = 0.5 * (rows.min(axis=0) + rows.max(axis=0))
    pivot = int(np.argmin(((rows - middle) ** 2).sum(axis=1)))
    left = np.ones(len(rows))
    factor = np.zeros((count, len(rows)))
    chosen: list[int] = []
    for k in range(min(count, len(rows))):
        if left[pivot] < _EXHAUSTED or left.mean() < enough:
            break
        column = kernel(rows, rows[[pivot]])[:, 0]
        factor[k] = (column - factor[:k, pivot] @ factor[:k]) / math.sqrt(left[pivot])
        left -= factor[k] ** 2
        chosen.append(pivot)
        left[chosen] = 0.0
        # Rounding must not choose between rows that are equally good.
        pivot = int(np.argmax(left >= (1.0 - 1e-9) * left.max()))
    return rows[chosen]


def fourier_basis(values: np.ndarray, period: float, terms: int) -> np.ndarray:
    """Sines and cosines of ``1, ..., terms`` waves in a period: sin 1, cos 1, sin 2, and so on.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
    period : float
    terms : int

    Returns
    -------
    numpy.ndarray, shape (n, 2 terms)
    """
    # Sines of large arguments would lose the digits of the phase.
    phase = 2.0 * math.pi * (np.remainder(values, period) / period)
    waves = phase[:, None] * np.arange(1, terms + 1)
    return np.stack([np.sin(waves), np.cos(waves)], axis=2).reshape(len(values), 2 * terms)
