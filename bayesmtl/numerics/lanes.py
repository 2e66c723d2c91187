"""Per-task linear algebra with up to 24 tasks side by side, in SIMD lanes.

Arrays over tasks are stored as (block, ..., lane): with ``n`` lanes, task ``t`` is lane ``t % n``
of block ``t // n``. Symmetric matrices keep the lower triangle, element (i, j) at ``i * (i + 1) / 2
+ j``. The last block is padded with tasks that have no data.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import lane_kernel

__all__ = [
    "LANES",
    "ROUNDING",
    "VECTOR",
    "draw_deviations",
    "factor_lanes",
    "mean_moments",
    "multiply_lanes",
    "pack_symmetric",
    "pack_tasks",
    "place_deviations",
    "prior_shares",
    "rescaling_moments",
    "residual_sums",
    "scale_moments",
    "site_values",
    "task_means",
    "unpack_symmetric",
    "unpack_tasks",
    "whiten_deviations",
]

# Fewer lanes leave the vector units idle; more, or a power of two, thrash the first-level cache. As
# the number is not known to the compiler, it keeps loops over lanes and vectorises them.
LANES = 24
VECTOR = 8
# Relative error of a difference of sums of squares: a residual below it cannot be told from zero.
ROUNDING = 1e-13


def pack_tasks(values: np.ndarray) -> np.ndarray:
    """(task, ...) -> (block, ..., lane), padded with zeros.

    As many lanes as the fewest blocks need, in multiples of 8.
    """
    n_tasks = values.shape[0]
    n_blocks = max(1, math.ceil(n_tasks / LANES))
    n_lanes = VECTOR * max(1, math.ceil(n_tasks / (n_blocks * VECTOR)))
    padded = np.zeros((n_blocks * n_lanes, *values.shape[1:]))
    padded[:n_tasks] = values
    split = padded.reshape(n_blocks, n_lanes, *values.shape[1:])
    return np.ascontiguousarray(np.moveaxis(split, 1, -1))


def unpack_tasks(values: np.ndarray, n_tasks: int) -> np.ndarray:
    """(block, ..., lane) -> (task, ...), without the padding."""
    split = np.moveaxis(values, -1, 1)
    return np.ascontiguousarray(split.reshape(-1, *split.shape[2:])[:n_tasks])


def pack_symmetric(matrices: np.ndarray) -> np.ndarray:
    """(task, p, p) symmetric -> (block, p (p + 1) / 2, lane)."""
    row, column = np.tril_indices(matrices.shape[1])
    return pack_tasks(matrices[:, row, column])


def unpack_symmetric(values: np.ndarray, n_tasks: int) -> np.ndarray:
    """(block, p (p + 1) / 2, lane) -> (task, p, p)."""
    packed = unpack_tasks(values, n_tasks)
    p = int(math.sqrt(2 * packed.shape[1]))
    row, column = np.tril_indices(p)
    out = np.empty((n_tasks, p, p))
    out[:, row, column] = packed
    out[:, column, row] = packed
    return out


@lane_kernel
def task_means(means, task_features, out):
    """``out[t] = means @ task_features[t]``; means (p, q), task_features (block, q, lane)."""
    n_lanes = out.shape[2]
    p, q = means.shape
    for k in range(out.shape[0]):
        for i in range(p):
            for v in range(n_lanes):
                out[k, i, v] = means[i, 0] * task_features[k, 0, v]
            for a in range(1, q):
                for v in range(n_lanes):
                    out[k, i, v] += means[i, a] * task_features[k, a, v]


@lane_kernel
def multiply_lanes(gram, k, x, out):
    """``out = G x`` for the packed symmetric matrices of block ``k``."""
    n_lanes = x.shape[1]
    p = x.shape[0]
    for i in range(p):
        for v in range(n_lanes):
            out[i, v] = 0.0
    for i in range(p):
        row = i * (i + 1) // 2
        for j in range(i):
            for v in range(n_lanes):
                out[i, v] += gram[k, row + j, v] * x[j, v]
                out[j, v] += gram[k, row + j, v] * x[i, v]
        for v in range(n_lanes):
            out[i, v] += gram[k, row + i, v] * x[i, v]


@lane_kernel
def factor_lanes(a, p):
    """Packed lower Cholesky factor in place; the diagonal holds its reciprocals."""
    n_lanes = a.shape[1]
    for j in range(p):
        jj = j * (j + 1) // 2
        for i in range(j, p):
            ii = i * (i + 1) // 2
            for m in range(j):
                for v in range(n_lanes):
                    a[ii + j, v] -= a[ii + m, v] * a[jj + m, v]
        for v in range(n_lanes):
            a[jj + j, v] = 1.0 / math.sqrt(a[jj + j, v])
        for i in range(j + 1, p):
            ii = i * (i + 1) // 2
            for v in range(n_lanes):
                a[ii + j, v] *= a[jj + j, v]


@lane_kernel
def _conditional_precision(gram, k, precision, scale, prior_precision, out):
    """``prior_precision + scale G scale`` of block k, packed."""
    n_lanes = gram.shape[2]
    for i in range(scale.shape[0]):
        row = i * (i + 1) // 2
        for j in range(i + 1):
            both = scale[i] * scale[j]
            base = prior_precision[i, j]
            for v in range(n_lanes):
                out[row + j, v] = gram[k, row + j, v] * precision[k, v] * both + base


@lane_kernel
def draw_deviations(gram, moment, precision, center, scale, prior_precision, rng, out):
    """Draw every task's standardised deviation from its full conditional.

    With ``w_t = center_t + scale * z_t`` and ``z_t ~ N(0, prior_precision^-1)``, the conditional of
    ``z_t`` has precision ``A = prior_precision + scale G_t scale`` and mean ``A^-1 scale (h_t - G_t
    center_t)``. A scale of zero is allowed: that deviation is drawn from its prior.
    """
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            for v in range(out.shape[2]):
                out[k, i, v] = rng.standard_normal()
    place_deviations(gram, moment, precision, center, scale, prior_precision, out)


@lane_kernel
def place_deviations(gram, moment, precision, center, scale, prior_precision, out):
    """Standard normal q to deviations ``mean + L^-T q`` of `draw_deviations`, ``A = L L'``."""
    n_lanes = gram.shape[2]
    p = scale.shape[0]
    a = np.empty((p * (p + 1) // 2, n_lanes))
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        _score_and_factor(gram, moment, k, precision, center, scale, prior_precision, x, a)
        for i in range(p):
            for v in range(n_lanes):
                x[i, v] += out[k, i, v]
        for i in range(p - 1, -1, -1):
            row = i * (i + 1) // 2
            for v in range(n_lanes):
                x[i, v] *= a[row + i, v]
            for j in range(i):
                for v in range(n_lanes):
                    x[j, v] -= a[row + j, v] * x[i, v]
        for i in range(p):
            for v in range(n_lanes):
                out[k, i, v] = x[i, v]


@lane_kernel
def whiten_deviations(gram, moment, precision, center, scale, prior_precision, deviation, out):
    """Inverse of `place_deviations`: ``q = L' deviation - L^-1 b``."""
    n_lanes = gram.shape[2]
    p = scale.shape[0]
    a = np.empty((p * (p + 1) // 2, n_lanes))
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        _score_and_factor(gram, moment, k, precision, center, scale, prior_precision, x, a)
        for i in range(p):
            row = i * (i + 1) // 2
            for v in range(n_lanes):
                out[k, i, v] = deviation[k, i, v] / a[row + i, v] - x[i, v]
            for j in range(i):
                for v in range(n_lanes):
                    out[k, j, v] += a[row + j, v] * deviation[k, i, v]


@lane_kernel
def _score_and_factor(gram, moment, k, precision, center, scale, prior_precision, x, a):
    """``x = L^-1 b`` with ``b = scale (h - G center)``, and the packed factor L of block k in a."""
    n_lanes = gram.shape[2]
    p = scale.shape[0]
    multiply_lanes(gram, k, center[k], x)
    _conditional_precision(gram, k, precision, scale, prior_precision, a)
    for i in range(p):
        for v in range(n_lanes):
            x[i, v] = (moment[k, i, v] - x[i, v]) * precision[k, v] * scale[i]
    factor_lanes(a, p)
    for i in range(p):
        row = i * (i + 1) // 2
        for j in range(i):
            for v in range(n_lanes):
                x[i, v] -= a[row + j, v] * x[j, v]
        for v in range(n_lanes):
            x[i, v] *= a[row + i, v]


@lane_kernel
def site_values(gram, moment, weights, out):
    """``h'w - w'G w / 2`` of each task."""
    n_lanes = gram.shape[2]
    p = weights.shape[1]
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        multiply_lanes(gram, k, weights[k], x)
        for v in range(n_lanes):
            out[k, v] = 0.0
        for i in range(p):
            for v in range(n_lanes):
                out[k, v] += weights[k, i, v] * (moment[k, i, v] - 0.5 * x[i, v])


@lane_kernel
def residual_sums(gram, moment, total, weights, out):
    """Residual sum of squares of each task, ``total - 2 w'h + w'G w``, or its rounding error."""
    n_lanes = gram.shape[2]
    p = weights.shape[1]
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        multiply_lanes(gram, k, weights[k], x)
        for v in range(n_lanes):
            out[k, v] = total[k, v]
        for i in range(p):
            for v in range(n_lanes):
                out[k, v] += weights[k, i, v] * (x[i, v] - 2.0 * moment[k, i, v])
        for v in range(n_lanes):
            out[k, v] = max(out[k, v], ROUNDING * total[k, v])


@lane_kernel
def _spread(packed, p):
    """Sum over lanes of a packed symmetric matrix, as a full (p, p) matrix."""
    out = np.empty((p, p))
    for i in range(p):
        for j in range(i + 1):
            out[i, j] = out[j, i] = packed[i * (i + 1) // 2 + j].sum()
    return out


@lane_kernel
def mean_moments(gram, moment, precision, deviation, scale, task_features):
    """Precision (p q, p q) and linear term (p q,) of the means at fixed deviations."""
    n_lanes = gram.shape[2]
    n_blocks, p, _ = deviation.shape
    q = task_features.shape[1]
    half = p * (p + 1) // 2
    packed = np.zeros((q * (q + 1) // 2, half, n_lanes))
    linear_lanes = np.zeros((p, q, n_lanes))
    x = np.empty((p, n_lanes))
    step = np.empty((p, n_lanes))
    factor = np.empty(n_lanes)
    for k in range(n_blocks):
        for i in range(p):
            for v in range(n_lanes):
                step[i, v] = scale[i] * deviation[k, i, v]
        multiply_lanes(gram, k, step, x)
        for a in range(q):
            for v in range(n_lanes):
                factor[v] = task_features[k, a, v] * precision[k, v]
            for i in range(p):
                for v in range(n_lanes):
                    linear_lanes[i, a, v] += factor[v] * (moment[k, i, v] - x[i, v])
            for b in range(a + 1):
                ab = a * (a + 1) // 2 + b
                for v in range(n_lanes):
                    factor[v] = task_features[k, a, v] * task_features[k, b, v] * precision[k, v]
                for e in range(half):
                    for v in range(n_lanes):
                        packed[ab, e, v] += gram[k, e, v] * factor[v]
    joint = np.empty((p * q, p * q))
    linear = np.empty(p * q)
    for a in range(q):
        for i in range(p):
            linear[i * q + a] = linear_lanes[i, a].sum()
        for b in range(a + 1):
            pair = _spread(packed[a * (a + 1) // 2 + b], p)
            for i in range(p):
                for j in range(p):
                    joint[i * q + a, j * q + b] = pair[i, j]
                    joint[i * q + b, j * q + a] = pair[i, j]
    return joint, linear


@lane_kernel
def scale_moments(gram, moment, precision, center, deviation):
    """Precision (p, p) and linear term (p,) of the scales at fixed means and deviations."""
    n_lanes = gram.shape[2]
    n_blocks, p, _ = deviation.shape
    packed = np.zeros((p * (p + 1) // 2, n_lanes))
    linear_lanes = np.zeros((p, n_lanes))
    x = np.empty((p, n_lanes))
    weighted = np.empty((p, n_lanes))
    for k in range(n_blocks):
        multiply_lanes(gram, k, center[k], x)
        for i in range(p):
            for v in range(n_lanes):
                weighted[i, v] = deviation[k, i, v] * precision[k, v]
                linear_lanes[i, v] += weighted[i, v] * (moment[k, i, v] - x[i, v])
        for i in range(p):
            row = i * (i + 1) // 2
            for j in range(i + 1):
                for v in range(n_lanes):
                    packed[row + j, v] += gram[k, row + j, v] * weighted[i, v] * deviation[k, j, v]
    linear = np.empty(p)
    for i in range(p):
        linear[i] = linear_lanes[i].sum()
    return _spread(packed, p), linear


@lane_kernel
def rescaling_moments(gram, moment, precision, weights, part):
    """``(A, b)`` of ``-A c^2 / 2 + b c``, the log-likelihood of c times a part of the weights."""
    n_lanes = gram.shape[2]
    n_blocks, p, _ = weights.shape
    rest = np.zeros((p, n_lanes))
    x = np.empty((p, n_lanes))
    quadratic = np.zeros(n_lanes)
    linear = np.zeros(n_lanes)
    for k in range(n_blocks):
        multiply_lanes(gram, k, part[k], x)
        for i in range(p):
            for v in range(n_lanes):
                quadratic[v] += part[k, i, v] * x[i, v] * precision[k, v]
                rest[i, v] = weights[k, i, v] - part[k, i, v]
        multiply_lanes(gram, k, rest, x)
        for i in range(p):
            for v in range(n_lanes):
                linear[v] += part[k, i, v] * (moment[k, i, v] - x[i, v]) * precision[k, v]
    return quadratic.sum(), linear.sum()


@lane_kernel
def prior_shares(gram, precision, scale, prior_precision, block, out):
    """``tr[(G_t + D^-1)^-1 D^-1] / d`` of coefficients ``block`` and on, the others integrated out.

    In standardised coefficients D^-1 is ``prior_precision`` and G_t ``scale_t G_t scale_t``;
    ``scale`` is (block, p, lane), ``out`` (block, lane).
    """
    n_lanes, p = gram.shape[2], scale.shape[1]
    a = np.empty((p * (p + 1) // 2, n_lanes))
    x = np.empty((p, n_lanes))
    for k in range(gram.shape[0]):
        for i in range(p):
            row = i * (i + 1) // 2
            for j in range(i + 1):
                for v in range(n_lanes):
                    both = precision[k, v] * scale[k, i, v] * scale[k, j, v]
                    a[row + j, v] = gram[k, row + j, v] * both + prior_precision[i, j]
        factor_lanes(a, p)
        out[k] = 0.0
        # Column m of the inverse factor, rows m to p - 1; its products give the trace.
        for m in range(p - 1, -1, -1):
            for i in range(m, p):
                row = i * (i + 1) // 2
                for v in range(n_lanes):
                    x[i, v] = 1.0 if i == m else 0.0
                for j in range(m, i):
                    for v in range(n_lanes):
                        x[i, v] -= a[row + j, v] * x[j, v]
                for v in range(n_lanes):
                    x[i, v] *= a[row + i, v]
            if m >= block:
                _add_trace(a, prior_precision, x, m, block, out, k)
        for v in range(n_lanes):
            out[k, v] /= p - block


@lane_kernel
def _add_trace(a, prior_precision, column, m, block, out, k):
    """Add ``sum_j prior_precision[m, j] (A^-1)_jm`` by solving with the factor's transpose."""
    n_lanes = column.shape[1]
    p = column.shape[0]
    for i in range(p - 1, block - 1, -1):
        if i < m:
            for v in range(n_lanes):
                column[i, v] = 0.0
        for j in range(i + 1, p):
            for v in range(n_lanes):
                column[i, v] -= a[j * (j + 1) // 2 + i, v] * column[j, v]
        for v in range(n_lanes):
            column[i, v] *= a[i * (i + 1) // 2 + i, v]
        for v in range(n_lanes):
            out[k, v] += prior_precision[m, i] * column[i, v]
