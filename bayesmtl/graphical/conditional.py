"""What a row says of its missing entries, and how probable it is, under each draw."""

import math

import numpy as np

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.matrices import cholesky, invert_lower, solve_lower, solve_upper

__all__ = ["conditional_draws", "row_log_density"]


@kernel
def _missing_root(precision, where):
    """Cholesky factor of the precision of the entries ``where``, given the others."""
    size = where.shape[0]
    own = np.empty((size, size))
    for a in range(size):
        for b in range(size):
            own[a, b] = precision[where[a], where[b]]
    return cholesky(own)


@kernel
def _pull(values, mean, precision, missing, where):
    """``-K_mo (y_o - mu_o)``."""
    out = np.zeros(where.shape[0])
    for a in range(where.shape[0]):
        for j in range(values.shape[0]):
            if not missing[j]:
                out[a] -= precision[where[a], j] * (values[j] - mean[j])
    return out


@kernel
def conditional_draws(values, missing, task, mean, precision, entry, out_mean, out_sd):
    """Mean and sd (entry, draw) of each missing entry given the entries that are there.

    ``y_m ~ Normal(mu_m - K_mm^-1 K_mo (y_o - mu_o), K_mm^-1)``.

    Parameters
    ----------
    values, missing : (row, n)
    task : (row,) int
    mean : (draw, task, n)
    precision : (draw, task, n, n)
    entry : (row,) int
        Place of the first missing entry of each row.
    out_mean, out_sd : (entry, draw)
        Written in place.
    """
    for s in range(mean.shape[0]):
        previous = -1
        where = np.empty(0, dtype=np.int64)
        root = np.empty((0, 0))
        inverse = root
        for i in range(values.shape[0]):
            if not missing[i].any():
                continue
            k, mu = precision[s, task[i]], mean[s, task[i]]
            # Rows of one pattern and task stand together.
            same = previous >= 0 and task[previous] == task[i]
            same = same and np.array_equal(missing[previous], missing[i])
            if not same:
                where = np.flatnonzero(missing[i])
                root = _missing_root(k, where)
                inverse = invert_lower(root)
            previous = i
            center = _pull(values[i], mu, k, missing[i], where)
            solve_lower(root, center)
            solve_upper(root, center)
            for a in range(where.shape[0]):
                variance = 0.0
                for b in range(a, where.shape[0]):
                    variance += inverse[b, a] ** 2
                out_mean[entry[i] + a, s] = mu[where[a]] + center[a]
                out_sd[entry[i] + a, s] = math.sqrt(variance)


@kernel
def row_log_density(values, missing, task, mean, precision, out):
    """Log density (draw, row) of the entries that are there, in place.

    ``log p(y_o) = log p(y) - log p(y_m | y_o)`` at ``y_m = E(y_m | y_o)``.
    """
    n = values.shape[1]
    log_two_pi = math.log(2.0 * math.pi)
    log_det = np.empty(mean.shape[1])
    for s in range(mean.shape[0]):
        for g in range(mean.shape[1]):
            log_det[g] = 2.0 * np.log(np.diag(cholesky(precision[s, g]))).sum()
        previous = -1
        where = np.empty(0, dtype=np.int64)
        root = np.empty((0, 0))
        for i in range(values.shape[0]):
            g = task[i]
            k, mu = precision[s, g], mean[s, g]
            same = previous >= 0 and task[previous] == g
            if not (same and np.array_equal(missing[previous], missing[i])):
                where = np.flatnonzero(missing[i])
                root = _missing_root(k, where)
            previous = i
            size = where.shape[0]
            quadratic = 0.0
            for a in range(n):
                if not missing[i, a]:
                    deviation = values[i, a] - mu[a]
                    for b in range(n):
                        if not missing[i, b]:
                            quadratic += deviation * k[a, b] * (values[i, b] - mu[b])
            center = _pull(values[i], mu, k, missing[i], where)
            solve_lower(root, center)
            total = log_det[g] - (n - size) * log_two_pi - quadratic
            for a in range(size):
                total += center[a] ** 2 - 2.0 * math.log(root[a, a])
            out[s, i] = 0.5 * total
