"""The slice sampler leaves its target invariant."""

import math

import numba
import numpy as np
import pytest
from scipy import stats

from bayesmtl.numerics.slicing import slice_sampler
from tests.oracles.monte_carlo import ess


@numba.njit
def _gamma(x, args):  # type: ignore[no-untyped-def]
    return (args[0] - 1.0) * math.log(x) - x if x > 0.0 else -math.inf


@numba.njit
def _two_normals(x, args):  # type: ignore[no-untyped-def]
    return math.log(0.7 * math.exp(-0.5 * x * x) + 0.3 * math.exp(-0.5 * (x - args[0]) ** 2))


@pytest.mark.parametrize("width", [0.1, 1.0, 30.0])
@pytest.mark.parametrize(
    ("target", "argument", "cdf"),
    [
        (_gamma, 2.5, stats.gamma(2.5).cdf),
        (_two_normals, 3.0, lambda x: 0.7 * stats.norm.cdf(x) + 0.3 * stats.norm.cdf(x - 3.0)),
    ],
    ids=["gamma", "mixture"],
)
def test_draws_follow_the_target(target, argument, cdf, width) -> None:  # type: ignore[no-untyped-def]
    step, rng = slice_sampler(target), np.random.default_rng(1)
    x, draws = 1.0, np.empty(20_000)
    for i in range(draws.size):
        x = draws[i] = step((argument,), x, width, rng)
    uniform = cdf(draws)
    for moment, expected in ((1, 1 / 2), (2, 1 / 3), (3, 1 / 4)):
        values = uniform**moment
        error = values.std() / np.sqrt(ess(values))
        assert abs(values.mean() - expected) < 4 * error
        assert error < 0.02


def test_a_point_without_density_is_kept() -> None:
    step = slice_sampler(_gamma)
    assert step((2.0,), -1.0, 1.0, np.random.default_rng(0)) == -1.0


def test_one_step_leaves_exact_draws_exact() -> None:
    step, rng = slice_sampler(_gamma), np.random.default_rng(3)
    draws = np.array([step((0.7,), x, 0.5, rng) for x in rng.gamma(0.7, size=20_000)])
    assert stats.kstest(draws, stats.gamma(0.7).cdf).pvalue > 1e-4
