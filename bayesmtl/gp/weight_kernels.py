"""Loops of `bayesmtl.gp.weight_space`.

``root`` (task, task) is the Cholesky factor L of B, ``sd`` (basis,) the square roots of S. Weights
are whitened, ``w_u = sd sum_t L_ut v_t``, and stacked task by task.
"""

import math

import numpy as np

from bayesmtl.numerics.jit import kernel

__all__ = ["assemble_weights", "weight_moments"]

_LOG_2_PI = math.log(2.0 * math.pi)


@kernel
def assemble_weights(gram, moment, total, count, response, square, level_sd, root, sd, noise):
    """Precision (n m, n m), its upper half, and linear term (n, m) of the whitened weights.

    With the intercepts integrated out; and the constant that the log evidence has beside.
    """
    n, m = moment.shape
    matrix, linear, constant = np.zeros((n * m, n * m)), np.zeros((n, m)), 0.0
    own = np.empty((m, m))
    for u in range(n):
        precision = 1.0 / noise[u] ** 2
        shrink = 0.0
        if level_sd[u] > 0.0:
            level = count[u] * precision + 1.0 / level_sd[u] ** 2
            shrink = precision**2 / level
            constant -= 0.5 * math.log(level) + math.log(level_sd[u])
        constant -= 0.5 * (precision * square[u] - shrink * response[u] ** 2)
        constant -= count[u] * (math.log(noise[u]) + 0.5 * _LOG_2_PI)
        for i in range(m):
            for j in range(m):
                value = precision * gram[u, i, j] - shrink * total[u, i] * total[u, j]
                own[i, j] = sd[i] * sd[j] * value
        for t in range(u + 1):
            for i in range(m):
                value = precision * moment[u, i] - shrink * total[u, i] * response[u]
                linear[t, i] += root[u, t] * sd[i] * value
            for s in range(t, u + 1):
                both = root[u, t] * root[u, s]
                for i in range(m):
                    for j in range(m):
                        matrix[t * m + i, s * m + j] += both * own[i, j]
    for i in range(n * m):
        matrix[i, i] += 1.0
    return matrix, linear, constant


@kernel
def weight_moments(
    gram, moment, total, count, response, square, level_sd, root, sd, noise, inverse, mean
):
    """Posterior moments that the gradient of the log evidence needs.

    ``inverse`` holds the covariance of the whitened weights in its upper half, ``mean`` (n, m)
    their mean. Returns ``sum_i E v_ti v_si`` (n, n), ``sum_t E v_ti^2`` (m,) and the derivatives by
    the logs of the noise sds (n,).
    """
    n, m = mean.shape
    between, of_basis, by_noise = np.zeros((n, n)), np.zeros(m), np.zeros(n)
    for t in range(n):
        for s in range(t, n):
            for i in range(m):
                both = inverse[t * m + i, s * m + i] + mean[t, i] * mean[s, i]
                between[t, s] += both
                if t == s:
                    of_basis[i] += both
            between[s, t] = between[t, s]
    covariance, center = np.empty((m, m)), np.empty(m)
    for u in range(n):
        covariance[:] = 0.0
        center[:] = 0.0
        for t in range(u + 1):
            for i in range(m):
                center[i] += root[u, t] * mean[t, i]
            for s in range(t, u + 1):
                both = root[u, t] * root[u, s] * (1.0 if s == t else 2.0)
                for i in range(m):
                    # Of the sum over both orders of t and s the symmetric part matters alone.
                    for j in range(i if s == t else 0, m):
                        twice = 2.0 if s == t and j > i else 1.0
                        covariance[i, j] += twice * both * inverse[t * m + i, s * m + j]
        residual, line, spread, wave = square[u], response[u], 0.0, 0.0
        for i in range(m):
            center[i] *= sd[i]
        for i in range(m):
            residual -= 2.0 * center[i] * moment[u, i]
            line -= center[i] * total[u, i]
            for j in range(m):
                both = covariance[i, j] * sd[i] * sd[j]
                residual += gram[u, i, j] * (both + center[i] * center[j])
                wave += total[u, i] * total[u, j] * both
        if level_sd[u] > 0.0:
            level = count[u] / noise[u] ** 2 + 1.0 / level_sd[u] ** 2
            square_line = line**2 + wave
            ratio = 1.0 / (noise[u] ** 2 * level)
            residual -= 2.0 * ratio * square_line
            spread = count[u] * (ratio**2 * square_line + 1.0 / level)
        by_noise[u] = (residual + spread) / noise[u] ** 2 - count[u]
    return between, of_basis, by_noise
