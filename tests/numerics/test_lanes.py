"""The lane kernels equal plain matrix algebra, for every number of tasks."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.numerics import lanes
from tests.oracles import dense

SHAPES = [(1, 1, 1), (1, 3, 2), (3, 2, 1), (8, 2, 2), (9, 4, 1), (27, 3, 3)]
TIGHT: Any = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=SHAPES, ids=str)
def tasks(request: pytest.FixtureRequest) -> dense.Tasks:
    n_tasks, p, q = request.param
    return dense.make_tasks(n_tasks, p, q, np.random.default_rng(request.param))


def packed(tasks: dense.Tasks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        lanes.pack_symmetric(tasks.gram),
        lanes.pack_tasks(tasks.moment),
        lanes.pack_tasks(tasks.precision[:, None])[:, 0],
    )


@pytest.mark.parametrize(("n_tasks", "n_lanes"), [(3, 8), (10, 16), (24, 24), (26, 16), (139, 24)])
def test_packing_fills_blocks_lane_by_lane(n_tasks: int, n_lanes: int) -> None:
    values = np.arange(n_tasks * 3, dtype=float).reshape(n_tasks, 3)
    blocks = lanes.pack_tasks(values)
    assert blocks.shape == (-(-n_tasks // n_lanes), 3, n_lanes)
    for t in range(n_tasks):
        np.testing.assert_array_equal(blocks[t // n_lanes, :, t % n_lanes], values[t])
    used = (n_tasks - 1) % n_lanes + 1
    assert not blocks[-1, :, used:].any()
    np.testing.assert_array_equal(lanes.unpack_tasks(blocks, n_tasks), values)


def test_packed_symmetric_matrices_hold_their_lower_triangle() -> None:
    tasks = dense.make_tasks(25, 3, 1, np.random.default_rng(0))
    blocks = lanes.pack_symmetric(tasks.gram)
    assert blocks.shape == (2, 6, 16)
    for i in range(3):
        for j in range(i + 1):
            assert blocks[1, i * (i + 1) // 2 + j, 8] == tasks.gram[24, i, j]


def test_no_tasks_still_have_a_block() -> None:
    assert lanes.pack_tasks(np.zeros((0, 2))).shape == (1, 2, 8)


def test_task_means(tasks: dense.Tasks) -> None:
    out = np.empty_like(packed(tasks)[1])
    lanes.task_means(tasks.means, lanes.pack_tasks(tasks.columns), out)
    np.testing.assert_allclose(lanes.unpack_tasks(out, len(tasks.moment)), tasks.center, **TIGHT)


def drawn(tasks: dense.Tasks, prior_precision: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gram, moment, precision = packed(tasks)
    center = lanes.pack_tasks(tasks.center)
    out = np.empty_like(moment)
    lanes.draw_deviations(gram, moment, precision, center, tasks.scale, prior_precision, rng, out)
    return lanes.unpack_tasks(out, len(tasks.moment))


@pytest.mark.parametrize("correlated", [False, True])
def test_deviations_given_the_normals_they_are_made_of(
    tasks: dense.Tasks, correlated: bool
) -> None:
    p = len(tasks.scale)
    prior = dense.random_spd(p, np.random.default_rng(1)) if correlated else np.eye(p)
    mean, covariance = dense.conditional_deviations(tasks, prior)
    # The kernel draws in the order of (block, coefficient, lane): the same stream, read at once.
    normals = np.random.default_rng(9).standard_normal(packed(tasks)[1].shape)
    noise = lanes.unpack_tasks(normals, len(mean))
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    expected = mean + np.linalg.solve(np.swapaxes(root, 1, 2), noise[..., None])[..., 0]
    found = drawn(tasks, prior, np.random.default_rng(9))
    np.testing.assert_allclose(found, expected, **TIGHT)


def test_moments_of_the_deviations() -> None:
    tasks = dense.make_tasks(9, 3, 2, np.random.default_rng(4))
    prior = dense.random_spd(3, np.random.default_rng(5)) / 4
    expected, covariance = dense.conditional_deviations(tasks, prior)
    rng = np.random.default_rng(6)
    n = 20_000
    draws = np.array([drawn(tasks, prior, rng) for _ in range(n)])
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root[None], (draws - expected)[..., None])[..., 0]
    assert np.abs(white.mean(axis=0)).max() < 4.5 / np.sqrt(n)
    second = np.einsum("nti,ntj->tij", white, white) / n
    assert np.abs(second - np.eye(3)).max() < 4.5 * np.sqrt(2.0 / n)


def test_a_scale_of_zero_draws_from_the_prior() -> None:
    tasks = dense.make_tasks(3, 2, 1, np.random.default_rng(4))
    tasks = tasks._replace(scale=np.array([0.0, 1.0]))
    rng = np.random.default_rng(6)
    draws = np.array([drawn(tasks, np.eye(2), rng)[:, 0] for _ in range(5000)])
    assert np.abs(draws.mean(axis=0)).max() < 4 / np.sqrt(5000)
    assert np.abs(draws.std(axis=0) - 1.0).max() < 4 / np.sqrt(2 * 5000)


@pytest.mark.parametrize("correlated", [False, True])
def test_whitened_deviations_are_standard_normals_placed(
    tasks: dense.Tasks, correlated: bool
) -> None:
    """Against dense algebra in one direction, as its inverse in the other."""
    n_tasks, p = tasks.moment.shape
    prior = dense.random_spd(p, np.random.default_rng(1)) if correlated else np.eye(p)
    gram, moment, precision = packed(tasks)
    fixed = (gram, moment, precision, lanes.pack_tasks(tasks.center), tasks.scale, prior)
    normals = np.random.default_rng(9).normal(size=(n_tasks, p))
    placed = lanes.pack_tasks(normals)
    lanes.place_deviations(*fixed, placed)
    mean, covariance = dense.conditional_deviations(tasks, prior)
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    expected = mean + np.linalg.solve(np.swapaxes(root, 1, 2), normals[..., None])[..., 0]
    np.testing.assert_allclose(lanes.unpack_tasks(placed, n_tasks), expected, **TIGHT)
    back = np.empty_like(placed)
    lanes.whiten_deviations(*fixed, placed, back)
    np.testing.assert_allclose(lanes.unpack_tasks(back, n_tasks), normals, **TIGHT)


def test_site_values(tasks: dense.Tasks) -> None:
    gram, moment, precision = packed(tasks)
    out = np.full_like(precision, np.nan)
    lanes.site_values(gram, moment, lanes.pack_tasks(tasks.weights), out)
    expected = [
        tasks.moment[t] @ w - 0.5 * w @ tasks.gram[t] @ w for t, w in enumerate(tasks.weights)
    ]
    result = lanes.unpack_tasks(out[:, None], len(expected))[:, 0]
    np.testing.assert_allclose(result, expected, **TIGHT)
    np.testing.assert_array_equal(out.ravel()[len(expected) :], 0.0)


def test_residual_sums(tasks: dense.Tasks) -> None:
    gram, moment, precision = packed(tasks)
    # A total that leaves a positive rest at the least-squares weights.
    best = np.array(
        [h @ np.linalg.pinv(g) @ h for g, h in zip(tasks.gram, tasks.moment, strict=True)]
    )
    total = best + 1.0
    out = np.empty_like(precision)
    weights = lanes.pack_tasks(tasks.weights)
    lanes.residual_sums(gram, moment, lanes.pack_tasks(total[:, None])[:, 0], weights, out)
    expected = [
        total[t] - 2 * w @ tasks.moment[t] + w @ tasks.gram[t] @ w
        for t, w in enumerate(tasks.weights)
    ]
    result = lanes.unpack_tasks(out[:, None], len(total))[:, 0]
    np.testing.assert_allclose(result, expected, **TIGHT)
    np.testing.assert_array_equal(out.ravel()[len(total) :], 0.0)


def test_a_perfect_fit_leaves_its_rounding_error() -> None:
    gram, moment = np.ones((1, 1, 8)), np.ones((1, 1, 8))
    out = np.empty((1, 8))
    lanes.residual_sums(gram, moment, np.full((1, 8), 1.0 - 1e-12), np.ones((1, 1, 8)), out)
    # Neither negative nor zero, which would let the noise shrink without bound.
    np.testing.assert_allclose(out, 1e-13, rtol=1e-9)


def test_mean_moments(tasks: dense.Tasks) -> None:
    gram, moment, precision = packed(tasks)
    found = lanes.mean_moments(
        gram,
        moment,
        precision,
        lanes.pack_tasks(tasks.deviation),
        tasks.scale,
        lanes.pack_tasks(tasks.columns),
    )
    for got, expected in zip(found, dense.mean_moments(tasks), strict=True):
        np.testing.assert_allclose(got, expected, **TIGHT)


def test_scale_moments(tasks: dense.Tasks) -> None:
    gram, moment, precision = packed(tasks)
    found = lanes.scale_moments(
        gram,
        moment,
        precision,
        lanes.pack_tasks(tasks.center),
        lanes.pack_tasks(tasks.deviation),
    )
    for got, expected in zip(found, dense.scale_moments(tasks), strict=True):
        np.testing.assert_allclose(got, expected, **TIGHT)


def test_rescaling_moments(tasks: dense.Tasks) -> None:
    gram, moment, precision = packed(tasks)
    part = np.random.default_rng(4).normal(size=tasks.weights.shape)
    a, b = lanes.rescaling_moments(
        gram, moment, precision, lanes.pack_tasks(tasks.weights), lanes.pack_tasks(part)
    )

    def log_likelihood(factor: float) -> float:
        w = tasks.weights + (factor - 1.0) * part
        linear = np.einsum("t,ti,ti->", tasks.precision, tasks.moment, w)
        return float(linear - 0.5 * np.einsum("t,ti,tij,tj->", tasks.precision, w, tasks.gram, w))

    for factor in (0.3, 2.0):
        change = log_likelihood(factor) - log_likelihood(1.0)
        found = -0.5 * a * (factor**2 - 1.0) + b * (factor - 1.0)
        assert found == pytest.approx(change, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("correlated", [False, True])
def test_prior_shares(tasks: dense.Tasks, first: int, correlated: bool) -> None:
    p, n_tasks = len(tasks.scale), len(tasks.moment)
    first = min(first, p - 1)
    prior = np.eye(p)
    if correlated:
        prior[first:, first:] = dense.random_spd(p - first, np.random.default_rng(2))
    gram, _, precision = packed(tasks)
    out = np.empty_like(precision)
    scale = lanes.pack_tasks(np.tile(tasks.scale, (len(tasks.moment), 1)))
    lanes.prior_shares(gram, precision, scale, prior, first, out)
    covariance = np.linalg.inv(prior) * np.outer(tasks.scale, tasks.scale)
    expected = [
        dense.borrowing(tasks.precision[t] * tasks.gram[t], covariance, first)
        for t in range(n_tasks)
    ]
    np.testing.assert_allclose(lanes.unpack_tasks(out[:, None], n_tasks)[:, 0], expected, **TIGHT)


def test_prior_shares_of_weights_that_do_not_vary_are_one() -> None:
    tasks = dense.make_tasks(3, 2, 1, np.random.default_rng(0))
    gram, moment, precision = packed(tasks)
    out = np.empty_like(precision)
    lanes.prior_shares(gram, precision, np.zeros_like(moment), np.eye(2), 0, out)
    np.testing.assert_allclose(out, 1.0, rtol=1e-12)
