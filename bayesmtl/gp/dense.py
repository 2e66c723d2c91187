"""Log marginal likelihood of functions observed anywhere, from the covariance of all rows."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.spatial.distance import pdist

from bayesmtl.errors import InvalidDataError
from bayesmtl.gp.hyperparameters import Gradient, Hyper
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.numerics.kernels import kernel_and_slope, scaled_distances

__all__ = ["DenseMarginal", "factor", "factor_rows", "row_covariance", "singular_rows"]


def row_covariance(
    kernel: str,
    hyper: Hyper,
    left: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
    level_sd: np.ndarray,
) -> np.ndarray:
    """Covariance (n, m) of functions with their intercepts at inputs and tasks of rows.

    Parameters
    ----------
    kernel : str
    hyper : Hyper
    left, right : (n, input), (n,) and (m, input), (m,)
    level_sd : (task,)
    """
    out = (left[1][:, None] == right[1]) * level_sd[left[1], None] ** 2
    for covariance, lengthscale in zip(hyper.covariance, hyper.lengthscale, strict=True):
        distance = scaled_distances(left[0], right[0], lengthscale)
        out += covariance[left[1][:, None], right[1]] * kernel_and_slope(kernel, distance)[0]
    return np.asarray(out)


def factor(matrix: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor; the matrix is overwritten.

    Raises
    ------
    numpy.linalg.LinAlgError
        When it is not positive definite in floating point.
    """
    lower, info = dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        raise np.linalg.LinAlgError("covariance of the rows is not positive definite")
    return np.asarray(lower)


def factor_rows(
    matrix: np.ndarray, inputs: np.ndarray, task: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """`factor` of the covariance of rows.

    Raises
    ------
    InvalidDataError
        When it is not positive definite in floating point.
    """
    try:
        return factor(matrix)
    except np.linalg.LinAlgError:
        raise singular_rows(inputs, task, labels) from None


def singular_rows(inputs: np.ndarray, task: np.ndarray, labels: np.ndarray) -> InvalidDataError:
    """The error for rows whose covariance has no Cholesky factor; names the task to look at."""
    nearest = {}
    for t in np.unique(task):
        mine = inputs[task == t]
        if len(mine) > 1:
            nearest[float(pdist(mine).min())] = t
    where = f"two rows of task {labels[nearest[min(nearest)]]!r} have" if nearest else "rows have"
    return InvalidDataError(
        f"the covariance of the rows is singular in double precision: {where} equal or nearly "
        "equal inputs, and the noise is tiny beside the functions: use a larger noise_sd="
    )


class DenseMarginal:
    """``log N(y; 0, sum_q B_q k_q + intercepts + noise)``, any rows: cubic in their number.

    Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, eqs. 5.8 and 5.9.

    Parameters
    ----------
    rows : FunctionRows
    kernel : str
    """

    def __init__(self, rows: FunctionRows, kernel: str) -> None:
        self.rows = rows
        self.kernel = kernel
        self._first = np.searchsorted(rows.task, np.arange(rows.n_tasks))
        counts = np.bincount(rows.task, minlength=rows.n_tasks)
        self._there = np.flatnonzero(counts)

    def __call__(self, hyper: Hyper) -> tuple[float, Gradient]:
        """Value and gradient."""
        rows, task = self.rows, self.rows.task
        n, n_tasks = len(task), rows.n_tasks
        level = rows.level_sd[task] ** 2
        total = (task[:, None] == task) * level[:, None]
        parts = []
        for covariance, lengthscale in zip(hyper.covariance, hyper.lengthscale, strict=True):
            distance = scaled_distances(rows.inputs, rows.inputs, lengthscale)
            value, slope = kernel_and_slope(self.kernel, distance)
            between = covariance[task[:, None], task]
            total += between * value
            parts.append((value, between * slope, lengthscale))
        variance = hyper.noise[task] ** 2
        total[np.diag_indices(n)] += variance
        lower = factor(total)
        solved = cho_solve((lower, True), rows.response)
        log_density = -0.5 * rows.response @ solved - np.log(np.diag(lower)).sum()
        log_density -= 0.5 * n * math.log(2.0 * math.pi)
        inverse, _ = dpotri(lower, lower=1, overwrite_c=1)
        inner = np.tril(inverse) + np.tril(inverse, -1).T
        inner = 0.5 * (np.outer(solved, solved) - inner)
        by_covariance = np.zeros((len(parts), n_tasks, n_tasks))
        by_lengthscale = np.empty((len(parts), rows.inputs.shape[1]))
        first, there = self._first[self._there], self._there
        for q, (value, slope, lengthscale) in enumerate(parts):
            sums = np.add.reduceat(np.add.reduceat(inner * value, first, axis=0), first, axis=1)
            by_covariance[q][np.ix_(there, there)] = sums
            weight = inner * slope
            across = weight.sum(axis=1)
            for j, scale in enumerate(lengthscale):
                # Of squared differences, sum_ij w_ij (x_i - x_j)^2 with w symmetric.
                x = rows.inputs[:, j] / scale
                by_lengthscale[q, j] = 2.0 * (across @ x**2 - x @ (weight @ x))
        by_noise = np.bincount(task, np.diag(inner) * variance, minlength=n_tasks) * 2.0
        return float(log_density), Gradient(by_covariance, by_lengthscale, by_noise)
