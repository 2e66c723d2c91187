"""Likelihoods that are not Gaussian by SciPy, and small data sets for their kernels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit, log_ndtr, ndtr

from bayesmtl import Bernoulli, Poisson
from bayesmtl.likelihoods.rows import RowData, sort_rows

__all__ = ["KINDS", "NONE", "Kind", "Small", "small"]

# Parameters of a likelihood without any.
NONE = np.zeros(0)


class Kind(NamedTuple):
    """``log_density(y, eta)``, ``mean(eta)``, and responses that hold nearly all probability."""

    likelihood: Any
    log_density: Callable[..., np.ndarray]
    mean: Callable[[np.ndarray], np.ndarray]
    support: np.ndarray


def _bernoulli(log_probability: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda y, eta: np.where(y > 0.5, log_probability(eta), log_probability(-eta))


KINDS = {
    "logit": Kind(Bernoulli(), _bernoulli(log_expit), expit, np.arange(2.0)),
    "probit": Kind(Bernoulli(link="probit"), _bernoulli(log_ndtr), ndtr, np.arange(2.0)),
    "poisson": Kind(
        Poisson(exposure="exposure"),
        lambda y, eta: stats.poisson.logpmf(y, np.exp(eta)),
        np.exp,
        np.arange(200.0),
    ),
}


class Small(NamedTuple):
    """Rows of five tasks in mixed order, one of them empty."""

    rows: RowData
    features: np.ndarray  # (row, p)
    response: np.ndarray
    task: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    weights: np.ndarray  # (task, p)

    def predictor(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("ri,ri->r", self.features, weights[self.task]) + self.offset)


def small(kind: Kind, *, n_tasks: int = 5, n_rows: int = 24, p: int = 3, seed: int = 0) -> Small:
    rng = np.random.default_rng(seed)
    task = rng.permutation(np.arange(n_rows) % (n_tasks - 1))
    task[task == 2] = n_tasks - 1  # task 2 has no rows
    features = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, p - 1))])
    size = rng.uniform(0.5, 2.0, n_rows)
    offset = rng.normal(0.0, 0.5, n_rows) + kind.likelihood.offset(size)
    weight = rng.uniform(0.0, 2.0, n_rows)
    weights = rng.normal(0.0, 0.7, (n_tasks, p))
    cumulative = np.exp(kind.log_density(kind.support[:, None], offset)).cumsum(axis=0)
    response = (rng.random(n_rows) > cumulative).sum(axis=0).astype(float)
    rows = sort_rows(features, response, task, n_tasks, offset=offset, size=size, weight=weight)
    return Small(rows, features, response, task, offset, weight, weights)
