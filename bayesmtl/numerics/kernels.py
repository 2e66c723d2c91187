"""Stationary kernels of variance one, their spectral densities, and a basis that gives them.

``k(x, x') = kernel(r)`` with ``r^2 = sum_j ((x_j - x'_j) / l_j)^2``, l the length-scales.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    "KERNELS",
    "SMOOTHNESS",
    "hilbert_basis",
    "hilbert_frequencies",
    "hilbert_sums",
    "kernel_and_slope",
    "kernel_matrix",
    "kernel_values",
    "log_spectral_density",
    "scaled_distances",
    "spectral_constant",
    "spectral_density",
    "spectral_frequencies",
    "spectral_slopes",
]

# Smoothness nu of Matern kernels; that of the squared exponential is infinite.
SMOOTHNESS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5, "rbf": math.inf}
KERNELS = tuple(SMOOTHNESS)
# Rows whose products are held at once.
_BLOCK = 1 << 14
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


def spectral_frequencies(name: str, slopes: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """Frequencies (m, p) that have these `spectral_slopes`, their inverse."""
    if name == "rbf":
        return np.sqrt(1.0 - slopes) / lengthscale
    nu, p = SMOOTHNESS[name], len(lengthscale)
    shares = (1.0 - slopes) / (2.0 * nu + p)
    square = 2.0 * nu * shares / (1.0 - shares.sum(axis=1, keepdims=True))
    return np.sqrt(square) / lengthscale


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


def hilbert_sums(
    inputs: np.ndarray, response: np.ndarray, numbers: np.ndarray, half_widths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the rows of products of `hilbert_basis`.

    By ``2 sin(a) sin(b) = cos(a - b) - cos(a + b)`` they follow from sums of products of cosines,
    of which there are about ``2^p m`` and not ``m^2 / 2``. Viset, Kullberg, Wesel and Solin 2024,
    Exploiting Hankel-Toeplitz structures for fast computation of kernel precision matrices.

    Parameters
    ----------
    inputs : (n, p)
    response : (n,)
    numbers : (m, p)
        Whole numbers of half waves of each function.
    half_widths : (p,)

    Returns
    -------
    gram : (m, m)
        Of two functions.
    moment, total : (m,)
        Of a function and the response, and of a function.
    """
    most = numbers.max(axis=0).tolist()
    cosines = np.zeros([2 * k + 1 for k in most])
    sines = np.zeros([2, *(k + 1 for k in most)])
    for start in range(0, len(inputs), _BLOCK):
        part = slice(start, start + _BLOCK)
        angles = np.pi * (inputs[part] + half_widths).T / (2.0 * half_widths[:, None])
        own = [(np.cos(angle), np.sin(angle)) for angle in angles]
        ones, zeros = np.ones(angles.shape[1]), np.zeros(angles.shape[1])
        pairs = list(zip(own, most, strict=True))
        cosines += _sum_of_products([_waves(ones, c, c, 2 * k) for (c, _), k in pairs])
        waves = [_waves(zeros, s, c, k) for (c, s), k in pairs]
        sines[1] += _sum_of_products(waves)
        sines[0] += _sum_of_products([response[part] * waves[0], *waves[1:]])
    gram = np.zeros((len(numbers), len(numbers)))
    for signs in itertools.product((1, -1), repeat=len(most)):
        columns = zip(signs, numbers.T, strict=True)
        gram += math.prod(signs) * cosines[tuple(np.abs(k[:, None] - s * k) for s, k in columns)]
    size = half_widths.prod()
    moment, total = (one[tuple(numbers.T)] / math.sqrt(size) for one in sines)
    return gram / (2.0 ** len(most) * size), moment, total


def _waves(none: np.ndarray, one: np.ndarray, cosine: np.ndarray, most: int) -> np.ndarray:
    """Sines or cosines (most + 1, n) of multiples of angles, from those of zero and one times."""
    out = np.empty((most + 1, len(none)))
    out[0], out[1] = none, one
    for k in range(2, most + 1):
        np.multiply(2.0 * cosine, out[k - 1], out=out[k])
        out[k] -= out[k - 2]
    return out


def _sum_of_products(factors: list[np.ndarray]) -> np.ndarray:
    """Sum (k_1, ..., k_p) over columns of the products of a row of each factor (k_j, n)."""
    product = factors[0]
    for factor in factors[1:-1]:
        product = (product[:, None] * factor).reshape(-1, factor.shape[1])
    total = product @ factors[-1].T if len(factors) > 1 else product.sum(axis=1)
    return np.asarray(total).reshape([len(factor) for factor in factors])
