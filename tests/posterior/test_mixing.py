"""The fast R-hat and ESS against those of arviz_stats, one quantity at a time."""

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from bayesmtl.posterior.mixing import MAX_LAG, mixing


def oracle(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axes = {"chain_axis": 0, "draw_axis": 1}
    return (
        array_stats.rhat(draws, **axes),
        array_stats.ess(draws, method="bulk", **axes),
        array_stats.ess(draws, method="tail", prob=(0.05, 0.95), **axes),
    )


def autoregressive(rho: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=shape)
    out = noise.copy()
    for i in range(1, shape[1]):
        out[:, i] = rho * out[:, i - 1] + noise[:, i]
    return out


@pytest.mark.parametrize("n_draws", [4, 5, 7, 50, 1000, 1001])
@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.9])
def test_agrees_with_arviz(n_draws: int, rho: float) -> None:
    rng = np.random.default_rng(n_draws)
    draws = autoregressive(rho, (4, n_draws, 20), rng)
    draws[..., 1] = np.round(draws[..., 1])  # ties
    draws[..., 2] = draws[..., 2] > 0.5
    draws[0, :, 3] += 1.0
    draws[..., 4] *= np.arange(1, 5)[:, None]
    with np.errstate(invalid="ignore"):
        expected = oracle(draws)
    for ours, theirs in zip(mixing(draws), expected, strict=True):
        moving = np.ptp(draws, axis=(0, 1)) > 0
        np.testing.assert_allclose(ours[moving], theirs[moving], rtol=1e-9)
        assert np.isnan(ours[~moving]).all()


def test_agrees_with_arviz_where_many_lags_are_needed() -> None:
    draws = np.cumsum(np.random.default_rng(0).normal(size=(2, 4 * MAX_LAG, 3)), axis=1)
    for ours, theirs in zip(mixing(draws), oracle(draws), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_binary_draws_whose_distances_from_the_median_are_equal() -> None:
    draws = np.random.default_rng(0).permuted(np.tile([0.0, 1.0], (4, 200)), axis=1)[..., None]
    r_hat, bulk, _ = mixing(draws)
    with np.errstate(invalid="ignore"):
        expected = oracle(draws)
    np.testing.assert_allclose([r_hat, bulk], expected[:2], rtol=1e-9)


def test_one_chain_has_sizes_but_no_r_hat() -> None:
    draws = np.random.default_rng(0).normal(size=(1, 400, 2))
    result = mixing(draws)
    assert np.isnan(result.r_hat).all()
    np.testing.assert_allclose(result.ess_bulk, oracle(draws)[1], rtol=1e-9)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_quantities_with_broken_draws_are_nan_and_leave_others_alone(broken: float) -> None:
    draws = np.random.default_rng(0).normal(size=(2, 101, 3))
    clean = mixing(draws)
    draws[1, 50, 1] = broken  # the middle draw belongs to no half
    for ours, before in zip(mixing(draws), clean, strict=True):
        assert np.isnan(ours[1])
        np.testing.assert_array_equal(ours[[0, 2]], before[[0, 2]])


def test_equal_draws_and_too_few_draws_are_nan() -> None:
    assert all(np.isnan(value).all() for value in mixing(np.ones((4, 100, 2))))
    assert all(np.isnan(value).all() for value in mixing(np.zeros((4, 3, 2))))
    assert mixing(np.zeros((4, 100, 0))).r_hat.shape == (0,)


def test_chains_that_stand_still_at_different_values_have_an_enormous_r_hat() -> None:
    draws = np.repeat([[0.0], [1.0]], 100, axis=1)[..., None]
    assert mixing(draws).r_hat[0] > 1e6
