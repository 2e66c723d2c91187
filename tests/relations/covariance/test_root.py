"""The density of the covariance of tasks given the weights against dense algebra."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesmtl.relations.covariance.root import log_root

N_TASKS, D, Q = 4, 3, 2
# Two of the six means are fixed.
FREE = np.array([0, 1, 3, 4])


@pytest.fixture
def data() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(N_TASKS), rng.normal(size=N_TASKS)])
    root = rng.normal(size=(D, D))
    features = root @ root.T + np.eye(D)
    return rng.normal(size=(N_TASKS, D)), design, features, FREE, rng.uniform(0.5, 2.0, D * Q)


@pytest.fixture
def root() -> np.ndarray:
    rng = np.random.default_rng(1)
    lower = np.tril(rng.normal(size=(N_TASKS, N_TASKS)))
    lower[np.diag_indices(N_TASKS)] = 0.3 + np.abs(np.diag(lower))
    return lower


def dense_log_density(root: np.ndarray, data: tuple[Any, ...]) -> float:
    """Normal weights with their means integrated out, Huang-Wand prior, Jacobian of R."""
    weights, design, features, free, precision = data
    inner = root.T @ root
    omega = np.linalg.inv(inner)
    covariance = np.kron(np.linalg.inv(features), omega)
    for place in free:
        i, a = divmod(place, Q)
        column = np.zeros((D, N_TASKS))
        column[i] = design[:, a]
        covariance += np.outer(column, column) / precision[place]
    value = multivariate_normal(np.zeros(D * N_TASKS), covariance).logpdf(weights.T.ravel())
    log_det = np.linalg.slogdet(inner)[1]
    value += 0.5 * (2 + 2 * N_TASKS) * log_det
    value -= 0.5 * (2 + N_TASKS) * np.log(2.0 * np.diag(inner) + 1.0).sum()
    powers = np.arange(1, N_TASKS + 1) + 1.0
    return float(value - (N_TASKS + 1) * log_det + powers @ np.log(np.diag(root)))


def test_the_density_is_the_dense_one(data: tuple[Any, ...], root: np.ndarray) -> None:
    other = root.copy()
    other[2, 1] += 0.3
    other[1, 1] *= 1.4
    other[3, 3] *= 0.8
    ours = [log_root(one, data, np.empty_like(root)) for one in (root, other)]
    dense = [dense_log_density(one, data) for one in (root, other)]
    assert ours[1] - ours[0] == pytest.approx(dense[1] - dense[0], abs=1e-9)


def test_the_gradient_is_that_of_the_density(data: tuple[Any, ...], root: np.ndarray) -> None:
    gradient = np.empty_like(root)
    log_root(root, data, gradient)
    step, differences = 1e-6, np.zeros_like(root)
    for i, k in zip(*np.tril_indices(N_TASKS), strict=True):
        values = []
        for sign in (1.0, -1.0):
            moved = root.copy()
            moved[i, k] += sign * step
            # The log of the diagonal is the coordinate, its Jacobian is part of the density.
            values.append(log_root(moved, data, np.empty_like(root)))
        differences[i, k] = (values[0] - values[1]) / (2.0 * step)
    np.testing.assert_allclose(gradient, differences, atol=1e-6)
    assert not np.triu(gradient, 1).any()


def test_a_singular_covariance_has_no_density_to_gain(data: tuple[Any, ...]) -> None:
    """Rounding of huge squares must not look like a likelihood."""
    nearly = np.eye(N_TASKS)
    nearly[1, 0], nearly[1, 1] = -1e9, 1e9
    reference = log_root(np.eye(N_TASKS), data, np.empty((N_TASKS, N_TASKS)))
    assert log_root(nearly, data, np.empty((N_TASKS, N_TASKS))) < reference - 1e6
