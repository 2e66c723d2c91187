"""Importance weights whose target is known, and the counts of systematic resampling."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from bayesmtl.posterior.importance import smoothed_weights, systematic


def test_weights_carry_draws_to_their_target() -> None:
    draws = np.random.default_rng(0).normal(size=20_000)
    weights, pareto_k = smoothed_weights(norm.logpdf(draws, 0.5) - norm.logpdf(draws) + 17)
    assert weights.sum() == pytest.approx(1)
    assert weights @ draws == pytest.approx(0.5, abs=0.05)
    assert pareto_k < 0.5


def test_a_wider_target_has_the_pareto_k_of_theory() -> None:
    # ratios of N(0, s^2) over N(0, 1) have the tail index 1 - 1 / s^2
    draws = np.random.default_rng(1).normal(size=20_000)
    _, pareto_k = smoothed_weights(norm.logpdf(draws, 0, 3) - norm.logpdf(draws))
    assert pareto_k == pytest.approx(1 - 1 / 9, abs=0.15)


def test_equal_ratios_give_equal_weights() -> None:
    weights, pareto_k = smoothed_weights(np.full(10, -3.0))
    np.testing.assert_array_equal(weights, 0.1)
    assert pareto_k == -np.inf


def test_few_draws_keep_plain_weights_and_are_not_trusted() -> None:
    weights, pareto_k = smoothed_weights(np.log(np.arange(1.0, 11.0)) - 1000)
    np.testing.assert_allclose(weights, np.arange(1, 11) / 55)
    assert pareto_k == np.inf


def test_each_draw_is_kept_its_share_of_times_up_or_down() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(100, 0.3))
    counts = np.zeros(100)
    for _ in range(200):
        index = systematic(weights, rng)
        assert index.shape == (100,)
        found = np.bincount(index, minlength=100)
        assert (np.abs(found - 100 * weights) < 1).all()
        counts += found
    np.testing.assert_allclose(counts / 200, 100 * weights, atol=0.2)


def test_equal_weights_keep_every_draw_once() -> None:
    index = systematic(np.full(1000, 1e-3), np.random.default_rng(3))
    np.testing.assert_array_equal(index, np.arange(1000))


def test_weights_that_sum_to_less_by_rounding_stay_inside() -> None:
    weights = np.full(7, (1 - 1e-9) / 7)

    class Last(np.random.Generator):
        def random(self, *_: Any) -> Any:  # type: ignore[override]
            return 1 - 1e-16

    assert systematic(weights, Last(np.random.PCG64(0))).max() == 6
