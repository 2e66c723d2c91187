"""Weights given the precisions of Student t rows leave their posterior, and change lines."""

import numpy as np
from scipy import stats

from bayesmtl.likelihoods.rows import RowData, sort_rows
from bayesmtl.likelihoods.scale_mixture import draw_given_precisions
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from tests.oracles.monte_carlo import mcse

SD, DOF = 0.4, 1.5
CENTER, SCALE = np.array([[0.3, -0.2]] * 3), np.array([0.9, 1.2])
PRIOR_PRECISION = np.linalg.inv([[1.0, 0.5], [0.5, 1.0]])


def small() -> tuple[RowData, np.ndarray]:
    """Rows of tasks 0 and 2, none of task 1, and the tasks."""
    rng = np.random.default_rng(3)
    task = np.repeat([0, 2], [5, 3])
    features = np.column_stack([np.ones(8), rng.normal(size=8)])
    y = rng.standard_t(1.5, 8)
    weight = np.r_[0.0, rng.uniform(0.5, 2.0, 7)]
    offset = rng.normal(size=8)
    rows = sort_rows(features, y, task, 3, offset=offset, size=np.ones(8), weight=weight)
    return rows, task


def draws(rows: RowData, scale: np.ndarray, n: int) -> np.ndarray:
    rng, center = np.random.default_rng(5), pack_tasks(CENTER)
    population = (center, scale, PRIOR_PRECISION, center.copy())
    out = np.empty((n, 3, 2))
    for i in range(n):
        draw_given_precisions(rows, np.log([SD, DOF]), population, rng)
        out[i] = unpack_tasks(population[3], 3)
    return out


def moments(w: np.ndarray) -> np.ndarray:
    """(moment, draw) of weights (draw, 2)."""
    return np.stack([w[:, 0], w[:, 1], w[:, 1] ** 2, w[:, 0] * w[:, 1]])


def test_weights_follow_their_posterior() -> None:
    """Moments by sums over a grid; weights of rows, offsets, a task without rows."""
    rows, task = small()
    found = draws(rows, SCALE, 20_000)
    axes = [np.linspace(m - 6 * s, m + 6 * s, 201) for m, s in zip(CENTER[0], SCALE, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    z = (grid - CENTER[0]) / SCALE
    prior = -0.5 * np.einsum("gi,ij,gj->g", z, PRIOR_PRECISION, z)
    for t in range(3):
        mine = task == t
        eta = grid @ rows.features[:, mine] + rows.offset[mine]
        log = prior + stats.t.logpdf(rows.response[mine], DOF, eta, SD) @ rows.weight[mine]
        probability = np.exp(log - log.max())
        probability /= probability.sum()
        for drawn, exact in zip(moments(found[:, t]), moments(grid) @ probability, strict=True):
            assert abs(drawn.mean() - exact) < 4.0 * mcse(drawn), t


def test_a_scale_of_zero_keeps_the_weight_at_its_center() -> None:
    found = draws(small()[0], np.array([0.0, 1.2]), 20)
    np.testing.assert_array_equal(found[..., 0], np.tile(CENTER[:, 0], (20, 1)))
    assert np.ptp(found[:, 0, 1]) > 0.0


def test_both_lines_are_visited() -> None:
    """Two rows at each of two levels, ten noise sds apart."""
    y, ones = np.array([0.0, 0.1, 4.0, 4.1]), np.ones(4)
    rows = sort_rows(ones[:, None], y, np.zeros(4, int), 1, offset=0 * ones, size=ones, weight=ones)
    rng, center = np.random.default_rng(2), pack_tasks(np.array([[2.05]]))
    population, high = (center, np.array([10.0]), np.eye(1), center.copy()), np.empty(4000)
    for i in range(4000):
        draw_given_precisions(rows, np.log([0.4, 1.0]), population, rng)
        high[i] = population[3][0, 0, 0] > 2.05
    # Hamiltonian moves change sides about 25 times.
    assert (np.diff(high) != 0.0).sum() > 35
    assert abs(high.mean() - 0.5) < 4.0 * mcse(high)
