"""Factors of kinds, slab variances and sticks: the bound from its definition and below evidence."""

import numpy as np
import pytest
from scipy.stats import invgamma

from bayesmtl.relations.covariance.cumulative_shrinkage import (
    Shrinkage,
    draw_kinds,
    moved,
    permuted,
    start_shrinkage,
    update_shrinkage,
)
from bayesmtl.relations.covariance.state import SLAB_RATE, SLAB_SHAPE, SPIKE, STICK

N_TASKS = 6
SQUARES = np.array([7.0, 0.9, 0.05])


def one() -> Shrinkage:
    return update_shrinkage(start_shrinkage(SQUARES, N_TASKS), SQUARES, N_TASKS)


def log_loadings(variance: np.ndarray) -> np.ndarray:
    each = N_TASKS * np.log(2.0 * np.pi * variance) + SQUARES / variance
    return np.asarray(-0.5 * each.sum(axis=1))


def test_bound_from_its_definition() -> None:
    now = one()
    kinds = draw_kinds(now, N_TASKS, 40_000, np.random.default_rng(0))
    value = log_loadings(kinds.variance) + kinds.log_prior - kinds.log_factor
    assert abs(value.mean() - now.bound) < 4.0 * value.std() / 200.0
    assert kinds.active.mean(axis=0) == pytest.approx(now.active, abs=0.01)
    assert (1.0 / kinds.variance).mean(axis=0) == pytest.approx(now.precision, rel=0.02)


def test_bound_is_below_the_evidence_and_importance_ratios_give_it() -> None:
    rng, n_draws = np.random.default_rng(1), 200_000
    v = rng.beta(1.0, STICK, size=(n_draws, 3))
    left = np.cumprod(1.0 - v, axis=1)
    slab = invgamma(SLAB_SHAPE, scale=SLAB_RATE).rvs((n_draws, 3), random_state=rng)

    def density(variance: np.ndarray) -> np.ndarray:
        each = N_TASKS * np.log(2.0 * np.pi * variance) + SQUARES / variance
        return np.asarray(np.exp(-0.5 * each))

    mixed = left * density(slab) + (1.0 - left) * density(np.full((1, 3), SPIKE))
    evidence = np.log(mixed.prod(axis=1).mean())
    now = one()
    kinds = draw_kinds(now, N_TASKS, 40_000, rng)
    ratio = log_loadings(kinds.variance) + kinds.log_prior - kinds.log_factor
    assert evidence - 1.5 < now.bound < evidence
    assert np.log(np.exp(ratio).mean()) == pytest.approx(evidence, abs=0.05)


def test_no_round_lowers_the_bound() -> None:
    for squares in (SQUARES, np.array([0.1, 5.0, 30.0, 0.02])):
        now = start_shrinkage(squares, N_TASKS)
        values = [now.bound]
        for _ in range(6):
            now = update_shrinkage(now, squares, N_TASKS)
            values.append(now.bound)
        assert np.diff(values).min() > -1e-10
        assert now.parts.sum(axis=1) == pytest.approx(1.0)


def test_large_loadings_are_active_and_small_ones_are_not() -> None:
    active = one().active
    assert active[0] > 0.99
    assert active[2] < 0.01


def test_moved_loadings_keep_the_factors() -> None:
    """Expected log density is linear in the squares: by draws of the same factors."""
    now, more = one(), SQUARES * 1.3
    kinds = draw_kinds(now, N_TASKS, 40_000, np.random.default_rng(2))
    change = -0.5 * ((more - SQUARES) / kinds.variance).sum(axis=1)
    other = moved(now, more)
    assert other.bound - now.bound == pytest.approx(change.mean(), rel=0.02)
    assert update_shrinkage(other, more, N_TASKS).bound >= other.bound


def test_active_factors_come_first() -> None:
    """The first sticks are the longest."""
    turned = update_shrinkage(start_shrinkage(SQUARES[::-1], N_TASKS), SQUARES[::-1], N_TASKS)
    sorted_again = permuted(turned, np.array([2, 1, 0]), N_TASKS)
    assert sorted_again.bound > turned.bound
    assert sorted_again.squares.tolist() == SQUARES.tolist()
