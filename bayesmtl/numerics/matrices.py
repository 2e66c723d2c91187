"""Small dense matrices in numba: Cholesky solves, inverse-Wishart and correlation-matrix draws."""

import math

import numpy as np

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.slicing import slice_sampler

__all__ = [
    "cholesky",
    "draw_correlation",
    "draw_gaussian",
    "draw_inverse_wishart",
    "inverse_spd",
    "invert_lower",
    "log_det_spd",
    "solve_lower",
    "solve_upper",
]


@kernel
def cholesky(matrix):
    """Lower Cholesky factor L, ``L L' = matrix``; NaN where the matrix is not positive definite."""
    n = matrix.shape[0]
    lower = np.zeros((n, n))
    for j in range(n):
        for i in range(j, n):
            total = matrix[i, j]
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            if i == j:
                lower[j, j] = math.sqrt(total) if total > 0.0 else np.nan
            else:
                lower[i, j] = total / lower[j, j]
    return lower


@kernel
def solve_lower(lower, x):
    """``L^-1 x`` in place."""
    for i in range(lower.shape[0]):
        for m in range(i):
            x[i] -= lower[i, m] * x[m]
        x[i] /= lower[i, i]


@kernel
def solve_upper(lower, x):
    """``L'^-1 x`` in place."""
    for i in range(lower.shape[0] - 1, -1, -1):
        x[i] /= lower[i, i]
        for m in range(i):
            x[m] -= lower[i, m] * x[i]


@kernel
def invert_lower(lower):
    """``L^-1`` of a lower triangular matrix."""
    n = lower.shape[0]
    out = np.zeros((n, n))
    for i in range(n):
        for m in range(i):
            for k in range(m + 1):
                out[i, k] -= lower[i, m] * out[m, k]
        out[i, i] = 1.0
        for k in range(i + 1):
            out[i, k] /= lower[i, i]
    return out


@kernel
def inverse_spd(matrix):
    """Inverse of a symmetric positive definite matrix."""
    inverse = invert_lower(cholesky(matrix))
    return np.dot(inverse.T, inverse)


@kernel
def log_det_spd(matrix):
    """``log |matrix|`` of a symmetric positive definite matrix."""
    return 2.0 * np.log(np.diag(cholesky(matrix))).sum()


@kernel
def draw_gaussian(precision, linear, rng):
    """``x ~ N(precision^-1 linear, precision^-1)``."""
    lower = cholesky(precision)
    x = linear.copy()
    solve_lower(lower, x)
    for i in range(x.shape[0]):
        x[i] += rng.standard_normal()
    solve_upper(lower, x)
    return x


@kernel
def draw_inverse_wishart(dof, scale, rng):
    """``D ~ IW(dof, scale)``, density ``|D|^-((dof + n + 1) / 2) exp(-tr(scale D^-1) / 2)``.

    With ``scale = C C'`` and the Bartlett factor A of a Wishart(dof, I) matrix, ``D = C (A A')^-1
    C'``. Returns D and its inverse.
    """
    n = scale.shape[0]
    c = cholesky(scale)
    bartlett = np.zeros((n, n))
    for i in range(n):
        bartlett[i, i] = math.sqrt(rng.chisquare(dof - i))
        for j in range(i):
            bartlett[i, j] = rng.standard_normal()
    # Column j of root' is A^-1 C'[:, j], so D = root root'.
    root = np.empty((n, n))
    x = np.empty(n)
    for j in range(n):
        x[:] = c[j]
        solve_lower(bartlett, x)
        root[j] = x
    inverse_root = np.dot(bartlett.T, invert_lower(c))
    return np.dot(root, root.T), np.dot(inverse_root.T, inverse_root)


@kernel
def _correlation_target(delta, args):
    """Log conditional of one correlation moved by ``delta``; see `draw_correlation`."""
    p_jj, p_kk, p_jk, q_jj, q_kk, q_jk, log_det_power = args
    cross = 1.0 + delta * p_jk
    det = cross * cross - delta * delta * p_jj * p_kk
    if det <= 0.0 or cross <= 0.0:
        return -np.inf
    trace = (delta * delta * (p_kk * q_jj + p_jj * q_kk) - 2.0 * delta * cross * q_jk) / det
    return log_det_power * math.log(det) - 0.5 * trace


_slice_correlation = slice_sampler(_correlation_target)


@kernel
def draw_correlation(correlation, scatter, n, eta, rng):
    """Update a correlation matrix in place, one element at a time.

    Target: ``|R|^(eta - 1) |R|^(-n / 2) exp(-tr(R^-1 scatter) / 2)``: an LKJ(eta) prior and ``n``
    standardised deviations. With ``P = R^-1``, moving r_jk by delta multiplies ``|R|`` by ``(1 +
    delta P_jk)^2 - delta^2 P_jj P_kk``, and the trace changes by a ratio of quadratics in delta
    (Barnard, McCulloch and Meng 2000, Stat. Sinica 10, draw each element on a grid; here by a
    slice).
    """
    d = correlation.shape[0]
    precision = inverse_spd(correlation)
    power = eta - 1.0 - 0.5 * n
    u = np.empty(d)
    w = np.empty(d)
    for j in range(1, d):
        for k in range(j):
            u[:] = np.dot(scatter, precision[j])
            w[:] = np.dot(scatter, precision[k])
            p_jj, p_kk, p_jk = precision[j, j], precision[k, k], precision[j, k]
            q_jj = np.dot(precision[j], u)
            q_kk = np.dot(precision[k], w)
            q_jk = np.dot(precision[j], w)
            args = (p_jj, p_kk, p_jk, q_jj, q_kk, q_jk, power)
            delta = _slice_correlation(args, 0.0, 0.5, rng)
            correlation[j, k] += delta
            correlation[k, j] = correlation[j, k]
            cross = 1.0 + delta * p_jk
            det = cross * cross - delta * delta * p_jj * p_kk
            u[:] = precision[j]
            w[:] = precision[k]
            for a in range(d):
                for b in range(d):
                    precision[a, b] += (
                        delta * delta * (p_kk * u[a] * u[b] + p_jj * w[a] * w[b])
                        - delta * cross * (u[a] * w[b] + w[a] * u[b])
                    ) / det
