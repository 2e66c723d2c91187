"""Baselines of linear tasks, tuned by cross-validation inside the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]
from sklearn.model_selection import KFold  # type: ignore[import-untyped]

__all__ = [
    "BASELINES",
    "Predictor",
    "Rows",
    "cross_validated",
    "explained_variance",
    "squared_error",
    "standardised_rows",
]

N_FOLDS = 5
_MULTIPLIERS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
_COUNTS = (0.0, 1.0, 3.0, 10.0, 20.0, 40.0, 80.0)


class Rows(NamedTuple):
    """Features (row, feature), response (row,) and task codes (row,)."""

    features: np.ndarray
    response: np.ndarray
    task: np.ndarray

    def take(self, index: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.features[index], self.response[index], self.task[index])


Predictor = Callable[..., np.ndarray]


def explained_variance(response: np.ndarray, predicted: np.ndarray) -> float:
    """``1 - SSE / SST`` about the mean of these responses, in percent."""
    total = np.sum((response - response.mean()) ** 2)
    return float(100.0 * (1.0 - np.sum((response - predicted) ** 2) / total))


def squared_error(response: np.ndarray, predicted: np.ndarray) -> float:
    """Summed over rows."""
    return float(np.sum((response - predicted) ** 2))


def cross_validated(
    predict: Predictor,
    candidates: Iterable[tuple[float, ...]],
    train: Rows,
    test: Rows,
    seed: int,
    *,
    loss: Callable[[np.ndarray, np.ndarray], float] = squared_error,
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Predictions of the test rows with the candidate that predicts held-out training rows best."""
    folds = list(KFold(N_FOLDS, shuffle=True, random_state=seed).split(train.features))
    errors = {
        candidate: sum(
            loss(train.response[out], predict(train.take(rest), train.take(out), *candidate))
            for rest, out in folds
        )
        for candidate in candidates
    }
    best = min(errors, key=lambda candidate: errors[candidate])
    return predict(train, test, *best), best


def standardised_rows(train: Rows, test: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Features of both, of mean 0 and sd 1 over the training rows."""
    center, scale = train.features.mean(axis=0), train.features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return (train.features - center) / scale, (test.features - center) / scale


def _task_means(train: Rows, test: Rows, prior_rows: float) -> np.ndarray:
    """Means of the tasks, shrunk to the grand mean as if it counted ``prior_rows`` rows."""
    n_tasks = int(max(train.task.max(), test.task.max())) + 1
    center = train.response.mean()
    counts = np.bincount(train.task, minlength=n_tasks)
    sums = np.bincount(train.task, train.response - center, minlength=n_tasks)
    return np.asarray((center + sums / np.maximum(counts + prior_rows, 1.0))[test.task])


def _pooled_ridge(train: Rows, test: Rows, alpha: float) -> np.ndarray:
    x, new = standardised_rows(train, test)
    return np.asarray(Ridge(alpha).fit(x, train.response).predict(new))


def _ridge_per_task(train: Rows, test: Rows, alpha: float) -> np.ndarray:
    """One ridge regression a task, intercept not penalised, the same penalty for all tasks."""
    x, new = standardised_rows(train, test)
    out = np.full(test.response.shape, train.response.mean())
    for task in np.unique(test.task):
        own, asked = train.task == task, test.task == task
        if own.any():
            out[asked] = Ridge(alpha).fit(x[own], train.response[own]).predict(new[asked])
    return out


def _shared_and_own(
    train: Rows, test: Rows, shared: float, own: float, own_columns: slice
) -> np.ndarray:
    """Ridge on ``w_0 + v_t``, with ``v_t`` on some columns only (an intercept is the first)."""
    x, new = standardised_rows(train, test)
    x, new = np.insert(x, 0, 1.0, axis=1), np.insert(new, 0, 1.0, axis=1)
    n_tasks = int(max(train.task.max(), test.task.max())) + 1
    p = x.shape[1]
    center = train.response.mean()
    gram, moment = np.zeros((n_tasks, p, p)), np.zeros((n_tasks, p))
    for task in range(n_tasks):
        rows = train.task == task
        gram[task] = x[rows].T @ x[rows]
        moment[task] = x[rows].T @ (train.response[rows] - center)
    inner = gram[:, own_columns, own_columns]
    inverse = np.linalg.inv(inner + own * np.eye(inner.shape[1]))
    gain = gram[:, :, own_columns] @ inverse
    left = (gram - gain @ gram[:, own_columns, :]).sum(axis=0)
    right = (moment - np.einsum("tij,tj->ti", gain, moment[:, own_columns])).sum(axis=0)
    penalty = np.full(p, shared)
    penalty[0] = 1e-6
    common = np.linalg.solve(left + np.diag(penalty), right)
    rest = moment[:, own_columns] - gram[:, own_columns, :] @ common
    weights = np.tile(common, (n_tasks, 1))
    weights[:, own_columns] += np.einsum("tij,tj->ti", inverse, rest)
    return np.asarray(center + np.sum(new * weights[test.task], axis=1))


def _mixed_intercepts(train: Rows, test: Rows, shared: float, own: float) -> np.ndarray:
    """A linear mixed model with random intercepts, its two variance ratios cross-validated."""
    return _shared_and_own(train, test, shared, own, slice(0, 1))


def _mean_regularised(train: Rows, test: Rows, shared: float, own: float) -> np.ndarray:
    """Ridge on shared and own weights (Evgeniou and Pontil 2004, KDD)."""
    return _shared_and_own(train, test, shared, own, slice(None))


_SHARED = (0.1, 1.0, 10.0, 100.0)
_OWN = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
_PAIRS = tuple((shared, own) for shared in _SHARED for own in _OWN)
_SINGLE = tuple((value,) for value in _MULTIPLIERS)

BASELINES: dict[str, tuple[Predictor, tuple[tuple[float, ...], ...]]] = {
    "task means, shrunk": (_task_means, tuple((value,) for value in _COUNTS)),
    "ridge per task": (_ridge_per_task, _SINGLE),
    "pooled ridge": (_pooled_ridge, _SINGLE),
    "ridge with random intercepts": (_mixed_intercepts, _PAIRS),
    "mean-regularised multi-task ridge": (_mean_regularised, _PAIRS),
}
