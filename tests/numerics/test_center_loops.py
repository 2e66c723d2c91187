"""Moves of cluster means leave the density with the labels summed out, and draw the labels."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from bayesmtl.numerics.lanes import pack_tasks
from tests.oracles.monte_carlo import mcse
from tests.oracles.row_likelihoods import KINDS, NONE, Kind, Small, small

CENTER, SCALE = 0.2, 1.4
LOG_SHARE = np.log([0.7, 0.3])
N_TASKS = 5


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def one_feature(kind: Kind) -> Small:
    return small(kind, n_rows=20, p=1)


def log_likelihoods(kind: Kind, data: Small, b: np.ndarray) -> np.ndarray:
    """(task, point) at each standardised mean (point,)."""
    predictor = CENTER + SCALE * b + data.offset[:, None]
    each = data.weight[:, None] * kind.log_density(data.response[:, None], predictor)
    return np.stack([each[data.task == t].sum(axis=0) for t in range(N_TASKS)])


def run(
    kind: Kind, data: Small, b: np.ndarray, n: int, path: tuple[int, float], information: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of cluster means (draw, cluster), labels (draw, task) and acceptance rates."""
    rng = np.random.default_rng(3)
    center = pack_tasks(np.full((N_TASKS, 1), CENTER))
    a = np.full((N_TASKS, 1), information)
    labels = np.zeros(N_TASKS, dtype=np.int64)
    means, drawn, rates = np.empty((n, 2)), np.empty((n, N_TASKS), dtype=np.int64), np.empty(n)
    move = kind.likelihood.kernels.move_centers
    for i in range(n):
        population, clusters = (center, np.array([SCALE])), (a, LOG_SHARE)
        rates[i] = move(data.rows, NONE, population, clusters, path, b, labels, rng)
        means[i], drawn[i] = b[:, 0], labels
    return means, drawn, rates


@pytest.mark.parametrize("information", [0.5, 2.0])
def test_draws_have_the_density_of_quadrature(kind: Kind, information: float) -> None:
    data = one_feature(kind)
    grid = np.linspace(-6.0, 6.0, 241)
    at = log_likelihoods(kind, data, grid)
    values = np.stack(np.broadcast_arrays(at[:, :, None], at[:, None, :]), axis=-1) + LOG_SHARE
    prior = -0.5 * (grid[:, None] ** 2 + grid**2)
    mass = softmax(logsumexp(values, axis=-1).sum(axis=0) + prior)
    second = softmax(values, axis=-1)[..., 1]
    means, labels, _ = run(kind, data, np.zeros((2, 1)), 10_000, (6, 0.4), information)
    found = [means[:, 0], means[:, 1], means[:, 0] * means[:, 1], means[:, 0] ** 2, *labels.T]
    x, y = np.meshgrid(grid, grid, indexing="ij")
    exact = [(mass * z).sum() for z in (x, y, x * y, x**2)]
    exact += list(np.einsum("ij,tij->t", mass, second))
    for draws, value in zip(found, exact, strict=True):
        assert abs(draws.mean() - value) < 4.5 * mcse(draws.astype(float)) + 1e-12


def test_short_paths_keep_the_energy(kind: Kind) -> None:
    # A wrong gradient would still leave the density, with few moves accepted.
    data = one_feature(kind)
    _, _, rates = run(kind, data, np.full((2, 1), 0.5), 50, (4, 1e-4), 1.0)
    np.testing.assert_allclose(rates, 1.0, atol=1e-6)


def test_a_density_that_is_not_a_number_is_refused(kind: Kind) -> None:
    data = one_feature(kind)
    start = np.array([[0.4], [-0.3]])
    means, _, rates = run(kind, data, start, 20, (8, 1e200), 1.0)
    np.testing.assert_array_equal(means, np.tile([0.4, -0.3], (20, 1)))
    np.testing.assert_array_equal(rates, 0.0)
