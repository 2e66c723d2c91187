"""Log-densities of the prior families, callable from numba.

A prior is one row of a float64 table: ``[code, p0, p1, p2, p3, log_constant]``. Code 0 is a fixed
number (p0). The constant is computed once in Python, so the kernels never call a gamma function.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import kernel

__all__ = [
    "CODES",
    "FIXED",
    "REGULARISED",
    "ROW",
    "log_density",
    "log_regularised",
    "log_signal_prior",
]

ROW = 6
FIXED = 0
CODES = {
    "Normal": 1,
    "StudentT": 2,
    "Cauchy": 3,
    "Laplace": 4,
    "Uniform": 5,
    "TruncatedNormal": 6,
    "HalfNormal": 7,
    "HalfStudentT": 8,
    "HalfCauchy": 9,
    "Exponential": 10,
    "Gamma": 11,
    "InverseGamma": 12,
    "LogNormal": 13,
    "Weibull": 14,
    "Beta": 15,
}
# The regularised half-Cauchy of `log_regularised`: of scales within a model, not of users' priors.
REGULARISED = 16


@kernel
def log_regularised(x: float, scale: float, slab: float) -> float:
    """Log-density of a regularised half-Cauchy, up to a constant that depends on nothing.

    ``x = slab u / sqrt(slab^2 + u^2)`` with u half-Cauchy of the given scale (Piironen and Vehtari
    2017, Electron. J. Stat. 11, eq. 2.8): as u where it is small, and below the slab.
    """
    if not 0.0 < x < slab:
        return -np.inf
    rest = (slab - x) * (slab + x)
    u = x * slab / math.sqrt(rest)
    value = 3.0 * math.log(slab) - 1.5 * math.log(rest)
    return value - math.log(scale) - math.log1p((u / scale) ** 2)


@kernel
def log_density(row: np.ndarray, x: float) -> float:  # noqa: PLR0911
    """Log-density of a prior row at ``x``; ``-inf`` outside the support, 0 for a fixed number."""
    code = int(row[0])
    a, b, c, d, const = row[1], row[2], row[3], row[4], row[5]
    if code == 0:
        return 0.0
    if code == 1:
        u = (x - a) / b
        return const - 0.5 * u * u
    if code == 2:
        u = (x - b) / c
        return const - 0.5 * (a + 1.0) * math.log1p(u * u / a)
    if code == 3:
        u = (x - a) / b
        return const - math.log1p(u * u)
    if code == 4:
        return const - abs(x - a) / b
    if code == 5:
        return const if a <= x <= b else -np.inf
    if code == 6:
        if x < c or x > d:
            return -np.inf
        u = (x - a) / b
        return const - 0.5 * u * u
    if x < 0.0:
        return -np.inf
    if code == 7:
        u = x / a
        return const - 0.5 * u * u
    if code == 8:
        u = x / b
        return const - 0.5 * (a + 1.0) * math.log1p(u * u / a)
    if code == 9:
        u = x / a
        return const - math.log1p(u * u)
    if code == 10:
        return const - a * x
    if x == 0.0:
        return -np.inf
    if code == 16:
        return const + log_regularised(x, a, b)
    if code == 11:
        return const + (a - 1.0) * math.log(x) - b * x
    if code == 12:
        return const - (a + 1.0) * math.log(x) - b / x
    if code == 13:
        lx = math.log(x)
        u = (lx - a) / b
        return const - lx - 0.5 * u * u
    if code == 14:
        return const + (a - 1.0) * math.log(x) - (x / b) ** a
    if x >= 1.0:
        return -np.inf
    return const + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x)


@kernel
def log_signal_prior(signal, noise_variance, r2_prior):
    """Log-density of the signal V when ``V / (V + noise_variance)`` follows ``r2_prior``."""
    total = signal + noise_variance
    if not (signal > 0.0 and math.isfinite(total)):
        return -np.inf
    return log_density(r2_prior, signal / total) + math.log(noise_variance) - 2.0 * math.log(total)
