"""The loops over rows equal SciPy, and the Hamiltonian moves leave the weights' posterior."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.rows import sort_rows
from bayesmtl.numerics.lanes import pack_symmetric, pack_tasks, unpack_symmetric, unpack_tasks
from tests.oracles.monte_carlo import mcse
from tests.oracles.row_likelihoods import KINDS, NONE, Kind, Small, small
from tests.oracles.row_terms import row_terms


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def values(kind: Kind, data: Small, weights: np.ndarray) -> np.ndarray:
    lanes = pack_tasks(weights)
    out = np.zeros((lanes.shape[0], lanes.shape[2]))
    kind.likelihood.kernels.evaluate(data.rows, lanes, NONE, out)
    return unpack_tasks(out, len(weights))


def moments(kind: Kind, data: Small, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n_tasks, p = weights.shape
    lanes = pack_tasks(weights)
    gram, score = pack_symmetric(np.zeros((n_tasks, p, p))), np.zeros_like(lanes)
    kind.likelihood.kernels.moments(data.rows, lanes, NONE, gram, score)
    return unpack_symmetric(gram, n_tasks), unpack_tasks(score, n_tasks)


def by_scipy(kind: Kind, data: Small, weights: np.ndarray) -> np.ndarray:
    density = data.weight * kind.log_density(data.response, data.predictor(weights))
    return np.bincount(data.task, density, minlength=len(weights))


@pytest.mark.parametrize("n_tasks", [5, 30])
def test_log_likelihoods_differ_from_scipy_by_a_constant(kind: Kind, n_tasks: int) -> None:
    data = small(kind, n_tasks=n_tasks, n_rows=4 * n_tasks)
    none = np.zeros_like(data.weights)
    found = values(kind, data, data.weights) - values(kind, data, none)
    expected = by_scipy(kind, data, data.weights) - by_scipy(kind, data, none)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)
    assert found[2] == 0.0


def test_scores_are_the_gradient(kind: Kind) -> None:
    data = small(kind)
    _, score = moments(kind, data, data.weights)
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-5
        both = [by_scipy(kind, data, data.weights + sign * step) for sign in (1.0, -1.0)]
        np.testing.assert_allclose(score[:, i], (both[0] - both[1]) / 2e-5, rtol=1e-6, atol=1e-8)


def one_row(kind: Kind, response: float, predictor: float) -> tuple[float, float, float]:
    """Log density, slope and information of a row by the kernels."""
    y, eta, size = (np.array([value]) for value in (response, predictor, 1.0))
    density, slope, information = row_terms(kind.likelihood.kernels, y, eta, size, NONE)
    return float(density[0]), float(slope[0]), float(information[0])


@pytest.mark.parametrize("predictor", [-4.9, -1.3, 0.0, 0.4, 2.1, 4.0])
def test_information_is_the_expected_square_of_the_slope(kind: Kind, predictor: float) -> None:
    probability = np.exp(kind.log_density(kind.support, np.float64(predictor)))
    terms = np.array([one_row(kind, y, predictor) for y in kind.support])
    assert probability @ terms[:, 1] == pytest.approx(0.0, abs=1e-10)
    assert probability @ terms[:, 1] ** 2 == pytest.approx(terms[0, 2], rel=1e-9)


def test_information_is_weighted_and_crossed_with_the_features(kind: Kind) -> None:
    data = small(kind)
    gram, _ = moments(kind, data, data.weights)
    eta = data.predictor(data.weights)
    each = data.weight * [one_row(kind, 0.0, value)[2] for value in eta]
    expected = np.zeros_like(gram)
    np.add.at(expected, data.task, np.einsum("r,ri,rj->rij", each, data.features, data.features))
    np.testing.assert_allclose(gram, expected, rtol=1e-9, atol=1e-12)


def test_moments_add_to_what_is_there(kind: Kind) -> None:
    data = small(kind)
    lanes = pack_tasks(data.weights)
    gram, score = pack_symmetric(np.zeros((5, 3, 3))), np.zeros_like(lanes)
    for _ in range(2):
        kind.likelihood.kernels.moments(data.rows, lanes, NONE, gram, score)
    once = moments(kind, data, data.weights)
    np.testing.assert_allclose(unpack_symmetric(gram, 5), 2.0 * once[0], rtol=1e-12)
    np.testing.assert_allclose(unpack_tasks(score, 5), 2.0 * once[1], rtol=1e-12)


@pytest.mark.parametrize("predictor", [-700.0, -40.0, -6.0, -5.0, 5.0, 6.0, 40.0, 700.0])
def test_extreme_predictors(kind: Kind, predictor: float) -> None:
    for y in (0.0, 1.0):
        density, slope, information = one_row(kind, y, predictor)
        expected = kind.log_density(np.float64(y), np.float64(predictor))
        assert density == pytest.approx(float(expected), rel=1e-9, abs=1e-14)
        assert np.isfinite(slope)
        assert information >= 0.0
        ends = (predictor - 1e-4 * abs(predictor), predictor + 1e-4 * abs(predictor))
        low, high = (float(kind.log_density(np.float64(y), np.float64(eta))) for eta in ends)
        numeric = (high - low) / (ends[1] - ends[0])
        assert slope == pytest.approx(numeric, rel=5e-3, abs=1e-10)


def test_overflow_is_very_unlikely_rather_than_nan() -> None:
    density, slope, information = one_row(KINDS["poisson"], 3.0, 800.0)
    assert max(density, slope, -information) < -1e300


def test_rows_may_come_in_any_order(kind: Kind) -> None:
    data = small(kind)
    order = np.random.default_rng(5).permutation(len(data.task))
    rows = sort_rows(
        data.features[order],
        data.response[order],
        data.task[order],
        5,
        offset=data.offset[order],
        size=np.ones(len(order)),
        weight=data.weight[order],
    )
    other = data._replace(rows=rows)
    np.testing.assert_allclose(
        values(kind, data, data.weights), values(kind, other, data.weights), rtol=1e-12
    )


def test_a_weight_of_two_is_a_row_twice(kind: Kind) -> None:
    data = small(kind)
    twice = np.r_[np.arange(len(data.task)), 3]
    weight = np.ones(len(data.task))
    common = {"size": np.ones(len(twice))}
    repeated = sort_rows(
        data.features[twice],
        data.response[twice],
        data.task[twice],
        5,
        offset=data.offset[twice],
        weight=np.ones(len(twice)),
        **common,
    )
    weight[3] = 2.0
    weighted = sort_rows(
        data.features,
        data.response,
        data.task,
        5,
        offset=data.offset,
        weight=weight,
        size=np.ones(len(weight)),
    )
    first, second = (data._replace(rows=rows) for rows in (repeated, weighted))
    np.testing.assert_allclose(
        values(kind, first, data.weights), values(kind, second, data.weights), rtol=1e-12
    )
    for one, other in zip(
        moments(kind, first, data.weights), moments(kind, second, data.weights), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)


class Moves:
    """Two weights of each task with a normal prior, and sites that may be poor."""

    def __init__(self, kind: Kind, *, poor: bool) -> None:
        self.kind, self.data = kind, small(kind, p=2)
        rng = np.random.default_rng(4)
        self.center = rng.normal(0.0, 0.4, (5, 2))
        self.scale = np.array([0.8, 1.3])
        self.correlation = np.array([[1.0, 0.6], [0.6, 1.0]])
        gram, score = moments(kind, self.data, self.center)
        if poor:
            gram, score = 0.4 * gram, score + 0.5
        moment = score + np.einsum("tij,tj->ti", gram, self.center)
        lanes = pack_tasks(self.center)
        ones = np.ones((lanes.shape[0], lanes.shape[2]))
        self.sites = Sites(pack_symmetric(gram), pack_tasks(moment), ones, ones, ones)
        precision = np.linalg.inv(self.correlation)
        self.population = (lanes, self.scale, precision, lanes.copy())
        self.value = np.zeros_like(ones)
        kind.likelihood.kernels.evaluate(self.data.rows, lanes, NONE, self.value)

    def run(self, n: int, kicks: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        counts, accepted = np.full(5, kicks), np.zeros(5, dtype=np.bool_)
        draws, rate = np.empty((n, 5, 2)), np.zeros(5)
        move = self.kind.likelihood.kernels.move
        for i in range(n):
            move(
                self.data.rows,
                NONE,
                self.sites,
                self.population,
                self.value,
                counts,
                accepted,
                rng,
            )
            draws[i] = unpack_tasks(self.population[3], 5)
            rate += accepted
        return draws, rate / n

    def exact(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the weights of task t by sums over a grid."""
        axes = [
            np.linspace(m - 7 * s, m + 7 * s, 161)
            for m, s in zip(self.center[t], self.scale, strict=True)
        ]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        mine = self.data.task == t
        eta = grid @ self.data.features[mine].T + self.data.offset[mine]
        log = self.kind.log_density(self.data.response[mine], eta) @ self.data.weight[mine]
        z = (grid - self.center[t]) / self.scale
        log -= 0.5 * np.einsum("gi,ij,gj->g", z, np.linalg.inv(self.correlation), z)
        probability = np.exp(log - log.max())
        probability /= probability.sum()
        mean = probability @ grid
        return mean, np.einsum("g,gi,gj->ij", probability, grid - mean, grid - mean)


@pytest.mark.parametrize(("poor", "kicks"), [(False, 4), (True, 1), (True, 3)])
def test_moves_leave_the_posterior_of_the_weights(kind: Kind, poor: bool, kicks: int) -> None:
    case = Moves(kind, poor=poor)
    draws, rate = case.run(6_000, kicks, np.random.default_rng(2))
    assert np.all(rate > 0.05)
    if poor:
        assert np.any(rate < 0.995)
    for t in range(5):
        mean, covariance = case.exact(t)
        mine = draws[200:, t]
        centred = mine - mean
        for i in range(2):
            assert abs(centred[:, i].mean()) < 4.2 * mcse(mine[:, i])
            for j in range(i + 1):
                product = centred[:, i] * centred[:, j]
                assert abs(product.mean() - covariance[i, j]) < 4.2 * mcse(product)


def test_with_many_gradients_nearly_all_moves_are_accepted(kind: Kind) -> None:
    """However poor the sites: the kicks have the right sign, size and weights."""
    case = Moves(kind, poor=True)
    _, few = case.run(300, 1, np.random.default_rng(2))
    _, many = case.run(300, 60, np.random.default_rng(2))
    assert few.min() < 0.95
    assert many.min() > 0.98


def test_moves_keep_the_log_likelihoods(kind: Kind) -> None:
    case = Moves(kind, poor=True)
    case.run(50, 1, np.random.default_rng(3))
    expected = values(kind, case.data, unpack_tasks(case.population[3], 5))
    np.testing.assert_allclose(unpack_tasks(case.value, 5), expected, rtol=1e-12)


def test_a_refused_move_leaves_the_task_where_it_was(kind: Kind) -> None:
    case = Moves(kind, poor=True)
    case.sites.moment[:] += 1e3
    before = case.population[3].copy(), case.value.copy()
    _, rate = case.run(1, 1, np.random.default_rng(3))
    refused = pack_tasks(rate == 0.0)
    assert refused.any()
    for old, new in zip(before, (case.population[3], case.value), strict=True):
        kept = np.broadcast_to((refused > 0)[:, None] if old.ndim == 3 else refused > 0, old.shape)
        np.testing.assert_array_equal(old[kept], new[kept])


def test_moves_with_exact_sites_are_always_accepted(kind: Kind) -> None:
    """Tasks without rows have sites of zero: their weights are drawn from the prior."""
    case = Moves(kind, poor=False)
    draws, rate = case.run(3_000, 2, np.random.default_rng(6))
    assert rate[2] == 1.0
    mine = draws[:, 2]
    prior = np.outer(case.scale, case.scale) * case.correlation
    np.testing.assert_allclose(np.cov(mine.T), prior, rtol=0.1)
    lag = np.corrcoef(mine[1:, 0], mine[:-1, 0])[0, 1]
    assert abs(lag) < 0.08  # a quarter turn: independent draws


def test_a_scale_of_zero_keeps_the_weight_at_its_center(kind: Kind) -> None:
    case: Any = Moves(kind, poor=True)
    case.scale[0] = 0.0
    case.population[2][:] = np.eye(2)
    draws, _ = case.run(20, 2, np.random.default_rng(7))
    np.testing.assert_array_equal(draws[..., 0], np.tile(case.center[:, 0], (20, 1)))
    assert np.ptp(draws[:, 0, 1]) > 0.0
