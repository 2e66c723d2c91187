"""Conjugate conditional of one task's parameters given its rows, batched over posterior draws.

theta = m + L u with u ~ N(0, I); rows y ~ N(X theta, sigma^2 / p_i). With the rows reduced to
R, q and a residual (QR of the scaled rows) and B = R L / sigma, e = (q - R m) / sigma:

    u | y ~ N(P^-1 B'e, P^-1),   P = I + B'B
    2 log p(y) = sum log p_i - n log(2 pi sigma^2) - residual / sigma^2
                 - e'e - log|P| + e'B P^-1 B'e

valid for singular L (a fixed weight) and for fewer rows than parameters. n counts rows with their
weights. This is the collapse operator in its symmetric form.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import qr

__all__ = [
    "TaskPrior",
    "TaskRows",
    "conditional_draws",
    "log_evidence",
    "prior_draws",
    "reduce_rows",
]

BLOCK_BYTES = 32 * 2**20


class TaskPrior(NamedTuple):
    """N(mean, diag(sd) root root' diag(sd)) of the parameters, per posterior draw."""

    mean: np.ndarray  # (sample, parameter)
    sd: np.ndarray  # (sample, parameter)
    root: np.ndarray | None  # (sample, parameter, parameter) of the correlation; None: identity

    def take(self, samples: np.ndarray) -> Self:
        """Give the prior of some draws, with repetitions."""
        root = None if self.root is None else self.root[samples]
        return self._replace(mean=self.mean[samples], sd=self.sd[samples], root=root)


class TaskRows(NamedTuple):
    """All that the rows of a task say about its parameters."""

    design: np.ndarray  # R (k, parameter)
    response: np.ndarray  # q (k,)
    residual: float
    n_rows: float  # sum of the weights of the rows
    log_precision: float  # weighted sum of the log precisions of the rows


def reduce_rows(
    design: np.ndarray, response: np.ndarray, weight: np.ndarray, precision: np.ndarray
) -> TaskRows:
    """Reduce rows by QR, so that the cost per draw does not depend on their number.

    Parameters
    ----------
    design : array (row, parameter)
        Predictors of the rows.
    response : array (row,)
        Response, without the offset.
    weight : array (row,)
        How often a row counts.
    precision : array (row,)
        Known precisions 1 / se^2; ones where sigma is a parameter.
    """
    scale = np.sqrt(weight * precision)
    rotation, triangle = qr(design * scale[:, None], mode="economic")
    scaled = response * scale
    projected = rotation.T @ scaled
    rest = scaled - rotation @ projected
    log_precision = float(weight @ np.log(precision))
    return TaskRows(triangle, projected, float(rest @ rest), float(weight.sum()), log_precision)


def log_evidence(prior: TaskPrior, rows: TaskRows, sigma: np.ndarray) -> np.ndarray:
    """Log marginal likelihood of the rows under each draw.

    Parameters
    ----------
    prior : TaskPrior
        Prior of the parameters per draw.
    rows : TaskRows
        What `reduce_rows` returned.
    sigma : array (sample,)
        Noise sd per draw; ones with known precisions.

    Returns
    -------
    array (sample,)
    """
    out = np.empty(len(sigma))
    for part in _parts(*prior.mean.shape):
        basis, error = _standardise(prior, rows, sigma, part)
        precision, linear = _normal_equations(basis, error)
        explained = np.linalg.solve(precision, linear[..., None])[..., 0]
        _, log_determinant = np.linalg.slogdet(precision)
        squares = np.sum(error**2, axis=1) + rows.residual / sigma[part] ** 2
        out[part] = np.sum(linear * explained, axis=1) - squares - log_determinant
    constant = rows.log_precision - rows.n_rows * np.log(2 * np.pi)
    return 0.5 * (out + constant) - rows.n_rows * np.log(sigma)


def prior_draws(prior: TaskPrior, rng: np.random.Generator) -> np.ndarray:
    """Draw theta (sample, parameter) from the prior, once per posterior draw."""
    return _parameters(prior, rng.standard_normal(prior.mean.shape))


def conditional_draws(
    prior: TaskPrior, rows: TaskRows, sigma: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw theta given the rows, once per posterior draw.

    Parameters
    ----------
    prior, rows, sigma
        As in `log_evidence`.
    rng : numpy.random.Generator
        Source of the normals (sample, parameter).

    Returns
    -------
    array (sample, parameter)
    """
    u = rng.standard_normal(prior.mean.shape)
    for part in _parts(*prior.mean.shape):
        precision, linear = _normal_equations(*_standardise(prior, rows, sigma, part))
        factor = np.linalg.cholesky(precision).mT
        center = np.linalg.solve(precision, linear[..., None])
        u[part] = (center + np.linalg.solve(factor, u[part, :, None]))[..., 0]
    return _parameters(prior, u)


def _parts(n_samples: int, n_parameters: int) -> Iterator[slice]:
    """Cut the samples into parts whose (sample, parameter, parameter) arrays stay small."""
    size = max(1, BLOCK_BYTES // (8 * max(1, n_parameters) ** 2))
    for start in range(0, n_samples, size):
        yield slice(start, start + size)


def _parameters(prior: TaskPrior, u: np.ndarray) -> np.ndarray:
    """Compute theta = m + L u."""
    if prior.root is not None:
        u = (prior.root @ u[..., None])[..., 0]
    return prior.mean + prior.sd * u


def _standardise(
    prior: TaskPrior, rows: TaskRows, sigma: np.ndarray, part: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Compute B (sample, k, parameter) and e (sample, k)."""
    scale = sigma[part, None]
    basis = rows.design * (prior.sd[part] / scale)[:, None, :]
    if prior.root is not None:
        basis = basis @ prior.root[part]
    return basis, (rows.response - prior.mean[part] @ rows.design.T) / scale


def _normal_equations(basis: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute P = I + B'B and B'e."""
    precision = basis.mT @ basis + np.eye(basis.shape[2])
    return precision, (basis.mT @ error[..., None])[..., 0]
