"""Sites with the task deviations integrated out, kept up to date while the covariance changes.

For ``w_t ~ N(m_t, D)`` a site (G, h) becomes ``S = (I + G D)^-1 G`` and ``(I + G D)^-1 h``. When D
changes by ``U K U'`` of rank two, S, the score ``r = h - S m`` and the evidence follow in closed
form.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import lane_kernel
from bayesmtl.numerics.lanes import factor_lanes, multiply_lanes

__all__ = ["apply_rank_two", "collapse_lanes", "collapsed_mean_moments", "collapsed_scores"]


@lane_kernel
def collapse_lanes(gram, moment, precision, scale, prior_precision):
    """Collapsed lanes (S, h) for ``D = scale prior_precision^-1 scale``; scales may be zero.

    With ``A = prior_precision + scale G scale = L L'``: ``S = G - V'V`` and ``h - V'v`` for ``V =
    L^-1 scale G``, ``v = L^-1 scale h``. The third result (block, lane) is the log evidence at mean
    zero, ``v'v / 2 - log|A| / 2``, up to half the log determinant of ``prior_precision``.
    """
    n_lanes = gram.shape[2]
    n_blocks, p = moment.shape[0], scale.shape[0]
    out_gram, out_moment = np.empty_like(gram), np.empty_like(moment)
    evidence = np.zeros((n_blocks, n_lanes))
    a = np.empty((p * (p + 1) // 2, n_lanes))
    half = np.empty((p, p + 1, n_lanes))
    for k in range(n_blocks):
        for i in range(p):
            row = i * (i + 1) // 2
            for j in range(i + 1):
                both, base = scale[i] * scale[j], prior_precision[i, j]
                for v in range(n_lanes):
                    value = gram[k, row + j, v] * precision[k, v]
                    a[row + j, v] = value * both + base
                    half[i, j, v] = value * scale[i]
                    half[j, i, v] = value * scale[j]
            for v in range(n_lanes):
                half[i, p, v] = moment[k, i, v] * precision[k, v] * scale[i]
        factor_lanes(a, p)
        for i in range(p):
            row = i * (i + 1) // 2
            for m in range(i):
                for c in range(p + 1):
                    for v in range(n_lanes):
                        half[i, c, v] -= a[row + m, v] * half[m, c, v]
            for c in range(p + 1):
                for v in range(n_lanes):
                    half[i, c, v] *= a[row + i, v]
            # The factor's diagonal holds its reciprocals.
            for v in range(n_lanes):
                evidence[k, v] += 0.5 * half[i, p, v] ** 2 + math.log(a[row + i, v])
        for i in range(p):
            row = i * (i + 1) // 2
            for j in range(i + 1):
                for v in range(n_lanes):
                    out_gram[k, row + j, v] = gram[k, row + j, v] * precision[k, v]
                for m in range(p):
                    for v in range(n_lanes):
                        out_gram[k, row + j, v] -= half[m, i, v] * half[m, j, v]
            for v in range(n_lanes):
                out_moment[k, i, v] = moment[k, i, v] * precision[k, v]
            for m in range(p):
                for v in range(n_lanes):
                    out_moment[k, i, v] -= half[m, i, v] * half[m, p, v]
    return out_gram, out_moment, evidence


@lane_kernel
def collapsed_mean_moments(gram, moment, task_features):
    """Precision (p q, p q) and linear term (p q,) of the means under the collapsed sites."""
    n_lanes = gram.shape[2]
    n_blocks, p, _ = moment.shape
    q = task_features.shape[1]
    joint = np.zeros((p * q, p * q))
    linear = np.zeros(p * q)
    lanes = np.empty(n_lanes)
    for a in range(q):
        for i in range(p):
            lanes[:] = 0.0
            for k in range(n_blocks):
                for v in range(n_lanes):
                    lanes[v] += task_features[k, a, v] * moment[k, i, v]
            linear[i * q + a] = lanes.sum()
        for b in range(a + 1):
            for i in range(p):
                for j in range(i + 1):
                    e = i * (i + 1) // 2 + j
                    lanes[:] = 0.0
                    for k in range(n_blocks):
                        for v in range(n_lanes):
                            lanes[v] += (
                                task_features[k, a, v] * task_features[k, b, v] * gram[k, e, v]
                            )
                    value = lanes.sum()
                    joint[i * q + a, j * q + b] = joint[j * q + a, i * q + b] = value
                    joint[i * q + b, j * q + a] = joint[j * q + b, i * q + a] = value
    return joint, linear


@lane_kernel
def collapsed_scores(gram, moment, center):
    """``r_t = h_t - S_t m_t``, the score of the collapsed site at the mean; replaces ``moment``."""
    n_lanes = gram.shape[2]
    x = np.empty((moment.shape[1], n_lanes))
    for k in range(moment.shape[0]):
        multiply_lanes(gram, k, center[k], x)
        for i in range(moment.shape[1]):
            for v in range(n_lanes):
                moment[k, i, v] -= x[i, v]


@lane_kernel
def apply_rank_two(gram, score, first, second, weights):
    """``S - S U K U'S`` and ``r - S U K U'r`` in place.

    Parameters
    ----------
    gram, score : lanes
    first, second : (block, p, lane)
        The two columns of ``S U``.
    weights : (5, block, lane)
        ``K_11, K_12, K_22`` and the two elements of ``U'r``.
    """
    n_lanes = score.shape[2]
    p = score.shape[1]
    for k in range(score.shape[0]):
        for i in range(p):
            row = i * (i + 1) // 2
            for v in range(n_lanes):
                left = weights[0, k, v] * first[k, i, v] + weights[1, k, v] * second[k, i, v]
                right = weights[1, k, v] * first[k, i, v] + weights[2, k, v] * second[k, i, v]
                score[k, i, v] -= left * weights[3, k, v] + right * weights[4, k, v]
                for j in range(i + 1):
                    gram[k, row + j, v] -= left * first[k, j, v] + right * second[k, j, v]
