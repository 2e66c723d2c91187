"""Weights of tasks under Student t noise, which is normal noise of random precision."""

import math

import numpy as np

from bayesmtl.numerics.jit import row_kernel
from bayesmtl.numerics.matrices import draw_gaussian
from bayesmtl.numerics.row_loops import most_rows, predict_task, rows_of_task

__all__ = ["draw_given_precisions"]


@row_kernel
def draw_given_precisions(rows, parameters, population, rng):
    """Draw the precision of each row given the weights, then the weights given all precisions.

    Few rows with outliers allow several lines; precisions that vanish let the weights go from one
    to another, where gradients seldom lead (Geweke 1993, J. Appl. Econom. 8). With a row's
    log-likelihood multiplied by a weight, its precision is gamma distributed all the same.

    Parameters
    ----------
    rows : RowData
    parameters : (2,)
        Logs of the scale of the noise and the degrees of freedom.
    population : tuple
        Center (block, p, lane), scale (p,) and precision (p, p) of the weights' prior, weights
        (block, p, lane), drawn in place.
    rng : numpy.random.Generator
    """
    center, scale, prior_precision, weights = population
    p, n_lanes, most = scale.shape[0], weights.shape[2], most_rows(rows)
    square_inverse, dof = math.exp(-2.0 * parameters[0]), math.exp(parameters[1])
    w, eta, middle = np.empty(p), np.empty(most), np.empty(most)
    linear, precision = np.empty(p), np.empty((p, p))
    for g in range(rows.start.shape[0] - 1):
        t, first, last = rows.task[g], rows.start[g], rows.start[g + 1]
        k, v = t // n_lanes, t % n_lanes
        for i in range(p):
            w[i] = weights[k, i, v]
        n = predict_task(rows, g, w, eta)
        for i in range(p):
            w[i] = center[k, i, v]
        predict_task(rows, g, w, middle)
        response, _, weight = rows_of_task(rows, g)
        for r in range(n):
            residual = response[r] - eta[r]
            shape = 0.5 * weight[r] * (dof + 1.0)
            gamma = rng.standard_gamma(shape) if shape > 0.0 else 0.0
            # From here on precision, and precision times residual about the center.
            eta[r] = 2.0 * square_inverse * gamma / (dof + residual * residual * square_inverse)
            middle[r] = eta[r] * (response[r] - middle[r])
        for i in range(p):
            column = rows.features[i][first:last]
            linear[i] = 0.0
            for r in range(n):
                linear[i] += scale[i] * column[r] * middle[r]
            for j in range(i + 1):
                other, total = rows.features[j][first:last], 0.0
                for r in range(n):
                    total += eta[r] * column[r] * other[r]
                precision[i, j] = prior_precision[i, j] + scale[i] * scale[j] * total
                precision[j, i] = precision[i, j]
        deviation = draw_gaussian(precision, linear, rng)
        for i in range(p):
            weights[k, i, v] = center[k, i, v] + scale[i] * deviation[i]
