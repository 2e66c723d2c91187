"""The per-task algebra written with full matrices, one task after the other."""

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = [
    "Tasks",
    "borrowing",
    "conditional_deviations",
    "log_normal",
    "make_tasks",
    "mean_moments",
    "random_spd",
    "scale_moments",
]


class Tasks(NamedTuple):
    """Sites ``G_t = precision_t gram_t``, ``h_t = precision_t moment_t``, and weights."""

    gram: np.ndarray  # (task, p, p)
    moment: np.ndarray  # (task, p)
    precision: np.ndarray  # (task,)
    columns: np.ndarray  # (task, q)
    means: np.ndarray  # (p, q)
    scale: np.ndarray  # (p,)
    deviation: np.ndarray  # (task, p)

    @property
    def center(self) -> np.ndarray:
        return self.columns @ self.means.T

    @property
    def weights(self) -> np.ndarray:
        return self.center + self.scale * self.deviation


def random_spd(p: int, rng: np.random.Generator, rank: int | None = None) -> np.ndarray:
    """A symmetric positive (semi)definite matrix."""
    root = rng.normal(size=(p, 2 * p if rank is None else rank))
    return root @ root.T


def make_tasks(n_tasks: int, p: int, q: int, rng: np.random.Generator) -> Tasks:
    """Random tasks; every other one has less data than weights."""
    grams = [random_spd(p, rng, rank=None if t % 2 else max(1, p - 1)) for t in range(n_tasks)]
    return Tasks(
        np.array(grams),
        np.array([gram @ rng.normal(size=p) for gram in grams]),
        rng.uniform(0.3, 3.0, n_tasks),
        np.column_stack([np.ones(n_tasks), rng.normal(size=(n_tasks, q - 1))]),
        rng.normal(size=(p, q)),
        rng.uniform(0.2, 1.5, p),
        rng.normal(size=(n_tasks, p)),
    )


def conditional_deviations(
    tasks: Tasks, prior_precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (task, p) and covariance (task, p, p) of ``z_t`` in ``w_t = center_t + scale z_t``."""
    means, covariances = [], []
    loading = np.diag(tasks.scale)
    for t in range(len(tasks.moment)):
        gram = tasks.precision[t] * tasks.gram[t]
        linear = tasks.precision[t] * tasks.moment[t] - gram @ tasks.center[t]
        covariance = np.linalg.inv(prior_precision + loading @ gram @ loading)
        means.append(covariance @ loading @ linear)
        covariances.append(covariance)
    return np.array(means), np.array(covariances)


def mean_moments(tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """Precision and linear term of the row-major means: ``w_t = (I (x) z_t') means + step_t``."""
    p, q = tasks.means.shape
    precision, linear = np.zeros((p * q, p * q)), np.zeros(p * q)
    for t in range(len(tasks.moment)):
        loading = np.kron(np.eye(p), tasks.columns[t][None])
        gram = tasks.precision[t] * tasks.gram[t]
        step = tasks.scale * tasks.deviation[t]
        precision += loading.T @ gram @ loading
        linear += loading.T @ (tasks.precision[t] * tasks.moment[t] - gram @ step)
    return precision, linear


def scale_moments(tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """Precision and linear term of the scales: ``w_t = center_t + diag(z_t) scale``."""
    p = len(tasks.scale)
    precision, linear = np.zeros((p, p)), np.zeros(p)
    for t in range(len(tasks.moment)):
        loading = np.diag(tasks.deviation[t])
        gram = tasks.precision[t] * tasks.gram[t]
        precision += loading @ gram @ loading
        linear += loading @ (tasks.precision[t] * tasks.moment[t] - gram @ tasks.center[t])
    return precision, linear


def borrowing(gram: np.ndarray, covariance: np.ndarray, first: int) -> float:
    """``tr[(G + D^-1)^-1 D^-1] / d`` of the coefficients from ``first`` on."""
    inverse = np.linalg.inv(covariance)
    share = np.linalg.inv(gram + inverse)[first:, first:] @ inverse[first:, first:]
    return float(np.trace(share) / (len(gram) - first))


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Log-density of a multivariate normal."""
    return float(stats.multivariate_normal(mean, covariance).logpdf(x))
