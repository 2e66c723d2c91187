"""Stationary kernels of variance one, their spectral densities, and a basis that gives them.

``k(x, x') = kernel(r)`` with ``r^2 = sum_j ((x_j - x'_j) / l_j)^2``, l the length-scales.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    "KERNELS",
    "SMOOTHNESS",
    "hilbert_basis",
    "hilbert_frequencies",
    "kernel_and_slope",
    "kernel_matrix",
    "kernel_values",
    "log_spectral_density",
    "scaled_distances",
    "spectral_constant",
    "spectral_density",
    "spectral_slopes",
]

# Smoothness nu of Matern kernels; that of the squared exponential is infinite.
SMOOTHNESS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5, "rbf": math.inf}
KERNELS = tuple(SMOOTHNESS)
_LOG_2_PI = math.log(2.0 * math.pi)


def scaled_distances(left: np.ndarray, right: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """Distances r (n, m) of the rows of two arrays of inputs (n, p), (m, p), scales l (p,).

    Differences are squared one by one: a product of the inputs would round those of near points.
    """
    square = np.zeros((len(left), len(right)))
    for j, scale in enumerate(lengthscale):
        square += ((left[:, j, None] - right[None, :, j]) / scale) ** 2
    return np.sqrt(square, out=square)


def kernel_values(name: str, distance: np.ndarray) -> np.ndarray:
    """Kernel at distances r, any shape: Matern of smoothness 1/2, 3/2, 5/2, or exp(-r^2 / 2).

    Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, eqs. 4.9 and 4.17.
    """
    if name == "rbf":
        return np.exp(-0.5 * distance**2)
    nu = SMOOTHNESS[name]
    a = math.sqrt(2.0 * nu) * distance
    if nu == 0.5:
        return np.exp(-a)
    return (1.0 + a) * np.exp(-a) if nu == 1.5 else (1.0 + a + a**2 / 3.0) * np.exp(-a)


def kernel_matrix(
    name: str, left: np.ndarray, right: np.ndarray, lengthscale: np.ndarray
) -> np.ndarray:
    """Kernel (n, m) of inputs (n, p), (m, p) for length-scales (p,)."""
    return kernel_values(name, scaled_distances(left, right, lengthscale))


def kernel_and_slope(name: str, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel at distances r, and ``-k'(r) / r``, zero at r = 0 where that has no limit.

    By the second, ``d k / d log l_j = (-k'(r) / r) ((x_j - x'_j) / l_j)^2``.
    """
    if name == "rbf":
        value = np.exp(-0.5 * distance**2)
        return value, value
    nu = SMOOTHNESS[name]
    a = math.sqrt(2.0 * nu) * distance
    decay = np.exp(-a)
    if nu == 0.5:
        safe = np.where(distance > 0.0, distance, np.inf)
        return decay, decay / safe
    if nu == 1.5:
        return (1.0 + a) * decay, 3.0 * decay
    return (1.0 + a + a**2 / 3.0) * decay, (5.0 / 3.0) * (1.0 + a) * decay


def log_spectral_density(name: str, frequencies: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """Log of the spectral density (m,) at angular frequencies (m, p) for length-scales (p,).

    Its integral over frequencies is ``(2 pi)^p``. Rasmussen and Williams 2006, eqs. 4.11 and 4.15.
    """
    p = frequencies.shape[1]
    square = ((frequencies * lengthscale) ** 2).sum(axis=1)
    volume = np.log(lengthscale).sum() + spectral_constant(name, p)
    if name == "rbf":
        return volume - 0.5 * square
    nu = SMOOTHNESS[name]
    return volume - (nu + 0.5 * p) * np.log(2.0 * nu + square)


def spectral_constant(name: str, n_inputs: int) -> float:
    """The part of `log_spectral_density` that depends on kernel and number of inputs alone."""
    p = n_inputs
    if name == "rbf":
        return 0.5 * p * _LOG_2_PI
    nu = SMOOTHNESS[name]
    return (
        p * math.log(2.0)
        + 0.5 * p * math.log(math.pi)
        + math.lgamma(nu + 0.5 * p)
        - math.lgamma(nu)
        + nu * math.log(2.0 * nu)
    )


def spectral_density(name: str, frequencies: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """Spectral density (m,), see `log_spectral_density`."""
    return np.exp(log_spectral_density(name, frequencies, lengthscale))


def spectral_slopes(name: str, frequencies: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """Derivatives (m, p) of `log_spectral_density` by the logs of the length-scales."""
    square = (frequencies * lengthscale) ** 2
    if name == "rbf":
        return 1.0 - square
    nu, p = SMOOTHNESS[name], frequencies.shape[1]
    return 1.0 - (2.0 * nu + p) * square / (2.0 * nu + square.sum(axis=1, keepdims=True))


def hilbert_frequencies(counts: Sequence[int], half_widths: np.ndarray) -> np.ndarray:
    """Angular frequencies (m, p) of the eigenfunctions of a box, ``pi k / (2 half width)``.

    Parameters
    ----------
    counts : sequence of int
        Number of functions of each input; m is their product, the first input varies slowest.
    half_widths : (p,)
        Of the box, whose centre is zero.
    """
    grids = np.meshgrid(*[np.arange(1, count + 1) for count in counts], indexing="ij")
    numbers = np.stack([grid.ravel() for grid in grids], axis=1)
    return math.pi * numbers / (2.0 * np.asarray(half_widths))


def hilbert_basis(
    inputs: np.ndarray, frequencies: np.ndarray, half_widths: np.ndarray
) -> np.ndarray:
    """Eigenfunctions (n, m) of the Laplacian on a box, zero on its boundary, at inputs (n, p).

    With independent weights whose variances are the spectral density at ``frequencies``, their
    sum is nearly the Gaussian process inside the box. Solin and Sarkka 2020, Stat. Comput. 30,
    eq. 56.
    """
    half = np.asarray(half_widths)
    out = np.ones((len(inputs), len(frequencies)))
    for j, width in enumerate(half):
        values, which = np.unique(frequencies[:, j], return_inverse=True)
        waves = np.sin((inputs[:, j, None] + width) * values) / math.sqrt(width)
        out *= waves[:, which]
    return out
