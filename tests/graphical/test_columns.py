"""Shared scales with the elements integrated out, against quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import halfcauchy, norm

from bayesmtl.graphical.columns import _draw_shared, _log_collapsed, rescale
from bayesmtl.numerics.jit import kernel

UNIT, WEIGHT, PULL = np.array([0.3, 1.1]), np.array([20.0, 5.0]), np.array([8.0, -3.0])


@kernel
def collapsed(variance, unit, weight, linear):  # type: ignore[no-untyped-def]
    return _log_collapsed(variance, unit, weight, linear)


@kernel
def chain(draws, unit, weight, linear, rng):  # type: ignore[no-untyped-def]
    variance = 1.0
    for i in range(draws.shape[0]):
        variance = _draw_shared(variance, unit, weight, linear, rng)
        draws[i] = variance


def test_elements_are_integrated_out() -> None:
    def direct(variance: float) -> float:
        total = 0.0
        for s, w, c in zip(UNIT, WEIGHT, PULL, strict=True):
            sd = np.sqrt(variance * s)
            value = quad(
                lambda x, w=w, c=c, sd=sd: np.exp(c * x - w * x**2 / 2) * norm(0, sd).pdf(x),
                -6,
                6,
                points=[0.0, c / w],
            )[0]
            total += np.log(value)
        return total

    for variance in (0.01, 0.5, 7.0):
        assert collapsed(variance, UNIT, WEIGHT, PULL) == pytest.approx(direct(variance), rel=1e-6)


@pytest.mark.mcmc
def test_shared_scale_has_its_conditional() -> None:
    draws = np.empty(60_000)
    chain(draws, UNIT, WEIGHT, PULL, np.random.default_rng(1))

    def density(sd: float) -> float:
        return float(np.exp(collapsed(sd**2, UNIT, WEIGHT, PULL)) * halfcauchy().pdf(sd))

    total = quad(density, 0, 1)[0] + quad(density, 1, np.inf)[0]
    for limit in (0.3, 1.0, 3.0):
        assert (np.sqrt(draws) < limit).mean() == pytest.approx(
            quad(density, 0, limit)[0] / total, abs=0.015
        )


@pytest.mark.mcmc
def test_rescaling_keeps_the_elements_and_the_prior() -> None:
    """From exact half-Cauchy draws the moves stay half-Cauchy; the products do not change."""
    rng, inside = np.random.default_rng(2), 0.0
    members = np.arange(2)
    n = 4000
    for _ in range(n):
        local = rng.standard_cauchy((3, 3)) ** 2
        local = np.tril(local, -1) + np.tril(local, -1).T + np.eye(3)
        scale = 0.25 * rng.standard_cauchy(2) ** 2
        before = np.outer(scale, local[np.tril_indices(3, -1)])
        for _ in range(5):
            rescale(scale, local, 0.5, members, rng)
        np.testing.assert_allclose(np.outer(scale, local[np.tril_indices(3, -1)]), before)
        inside += (scale[0] < 0.25) / n
    assert inside == pytest.approx(0.5, abs=0.035)
