"""Draws in the space of the rows are those of the dense posterior."""

import numpy as np
import pytest

from bayesmtl.gp.dense_sweep import FunctionState
from bayesmtl.gp.few_rows import FewRows, draw_by_rows, few_rows

N_TASKS, N_ROWS, SIZE = 2, 3, 6


@pytest.fixture
def sums() -> tuple[np.ndarray, np.ndarray]:
    """Of a task of three rows and one of a single row."""
    rng = np.random.default_rng(3)
    design, y = rng.normal(size=(N_TASKS, N_ROWS, SIZE)), rng.normal(size=(N_TASKS, N_ROWS))
    design[1, 1:] = 0.0
    return design.swapaxes(1, 2) @ design, np.einsum("trp,tr->tp", design, y)


def test_rows_say_what_their_sums_say(sums: tuple[np.ndarray, np.ndarray]) -> None:
    gram, moment = sums
    rows = few_rows(gram, moment)
    assert rows.design.shape == (N_TASKS, N_ROWS, SIZE)
    np.testing.assert_allclose(rows.design.swapaxes(1, 2) @ rows.design, gram, atol=1e-12)
    found = np.einsum("trp,tr->tp", rows.design, rows.response)
    np.testing.assert_allclose(found, moment, atol=1e-12)
    assert not rows.design[1, :2].any()


@pytest.mark.parametrize("first", [0, 1])
def test_weights_have_the_moments_of_the_dense_posterior(
    sums: tuple[np.ndarray, np.ndarray], first: int
) -> None:
    rows = few_rows(*sums)
    rng = np.random.default_rng(5)
    scale, noise = rng.gamma(4.0, 0.3, SIZE), np.array([0.5, 0.8])
    covariance = np.array([[1.5, -0.8], [-0.8, 0.9]])
    state = FunctionState(
        covariance, np.linalg.inv(covariance), np.zeros((N_TASKS, SIZE)), scale, np.log(noise)
    )
    prior = np.kron(covariance, np.eye(SIZE))
    for t in range(N_TASKS):
        for u in range(N_TASKS):
            prior[t * SIZE : t * SIZE + first, u * SIZE : u * SIZE + first] = np.eye(first) * (
                t == u
            )
    precision, score = np.linalg.inv(prior), np.zeros(N_TASKS * SIZE)
    for t in range(N_TASKS):
        own = slice(t * SIZE, (t + 1) * SIZE)
        precision[own, own] += sums[0][t] * np.outer(scale, scale) / noise[t] ** 2
        score[own] = scale * sums[1][t] / noise[t] ** 2
    expected = np.linalg.inv(precision)
    drawn = np.empty((40_000, N_TASKS * SIZE))
    for i in range(len(drawn)):
        draw_by_rows(FewRows(*rows), state, first, rng)
        drawn[i] = state.deviation.ravel()
    sd = np.sqrt(np.diag(expected))
    error = (drawn.mean(axis=0) - expected @ score) / sd * np.sqrt(len(drawn))
    assert np.abs(error).max() < 4.5
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(sd, sd), expected / np.outer(sd, sd), atol=0.03
    )
