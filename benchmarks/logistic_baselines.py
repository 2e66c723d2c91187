"""Ridge-penalised logistic regressions, tuned by cross-validation inside the training rows."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from benchmarks.baselines import Predictor, Rows, standardised_rows

__all__ = ["LOGISTIC_BASELINES", "POOLED", "SINGLE", "log_loss", "mean_auc"]

SINGLE, POOLED = "ridge-logistic per task", "pooled ridge-logistic"


def log_loss(response: np.ndarray, probability: np.ndarray) -> float:
    """Negative log-likelihood of 0 and 1, summed over rows."""
    right = np.where(response > 0.5, probability, 1.0 - probability)
    return float(-np.log(np.maximum(right, 1e-300)).sum())


def mean_auc(response: np.ndarray, score: np.ndarray, task: np.ndarray) -> float:
    """Area under the ROC curve of each task, averaged over tasks."""
    return float(
        np.mean([roc_auc_score(response[task == t], score[task == t]) for t in np.unique(task)])
    )


def _probability(
    x: np.ndarray, response: np.ndarray, new: np.ndarray, c: float, *, solver: str
) -> np.ndarray:
    """Of 1 in new rows, from rows of both kinds."""
    with warnings.catch_warnings():
        # Rarely, at the weakest penalties.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = LogisticRegression(C=c, solver=solver, max_iter=1000).fit(x, response)
    return np.asarray(fit.predict_proba(new)[:, 1])


def _pooled(train: Rows, test: Rows, c: float) -> np.ndarray:
    x, new = standardised_rows(train, test)
    return _probability(x, train.response, new, c, solver="newton-cholesky")


def _per_task(train: Rows, test: Rows, c: float) -> np.ndarray:
    """The same penalty for all tasks; one whose rows are all alike predicts a constant."""
    x, new = standardised_rows(train, test)
    out = np.full(test.response.shape, train.response.mean())
    for task in np.unique(test.task):
        own, asked = train.task == task, test.task == task
        if np.unique(train.response[own]).size == 2:
            out[asked] = _probability(
                x[own], train.response[own], new[asked], c, solver="newton-cholesky"
            )
    return out


def _mean_regularised(train: Rows, test: Rows, shared: float, own: float) -> np.ndarray:
    """Shared and own weights, own intercepts among them (Evgeniou and Pontil 2004, KDD)."""
    x, new = standardised_rows(train, test)
    n_tasks = int(max(train.task.max(), test.task.max())) + 1
    wide = _shared_and_own(x, train.task, n_tasks, shared, own)
    asked = _shared_and_own(new, test.task, n_tasks, shared, own)
    return _probability(wide, train.response, asked, 1.0, solver="newton-cg")


def _shared_and_own(
    x: np.ndarray, task: np.ndarray, n_tasks: int, shared: float, own: float
) -> sparse.csr_matrix:
    """Columns whose ridge penalty 1/2 makes those of the weights ``1 / (2 C)``."""
    n_rows, p = x.shape
    ones = np.insert(x, 0, 1.0, axis=1)
    column = task[:, None] * (p + 1) + np.arange(p + 1)
    row = np.repeat(np.arange(n_rows), p + 1)
    size = (n_rows, n_tasks * (p + 1))
    block = sparse.csr_matrix((ones.ravel(), (row, column.ravel())), shape=size)
    return sparse.hstack([np.sqrt(shared) * sparse.csr_matrix(x), np.sqrt(own) * block]).tocsr()


_C = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
_CS = tuple((c,) for c in _C)
_PAIRS = tuple((shared, own) for shared in (0.003, 0.03, 0.3, 3.0) for own in (0.001, 0.01, 0.1, 1))

LOGISTIC_BASELINES: dict[str, tuple[Predictor, tuple[tuple[float, ...], ...]]] = {
    SINGLE: (_per_task, _CS),
    POOLED: (_pooled, _CS),
    "mean-regularised multi-task ridge-logistic": (_mean_regularised, _PAIRS),
}
