"""The prior of the hyperparameters: closed forms of its density, differences for gradients."""

import numpy as np
import pytest
from scipy import stats

from bayesmtl.gp.hyperparameters import GIVEN, HUANG_WAND, LOW_RANK, Gradient
from tests.gp.cases import LENGTH, NOISE, draw_covariance, hyper_prior

CASES = {
    "full": hyper_prior(3, 2),
    "low rank": hyper_prior(3, 2, kind=LOW_RANK, rank=2),
    "two kernels": hyper_prior(2, 1, kind=HUANG_WAND, components=2),
    "given": hyper_prior(2, 1, kind=GIVEN),
    "shared noise": hyper_prior(2, 1)._replace(shared_noise=True, noise_unit=np.ones(2)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_of_the_prior(name: str) -> None:
    prior = CASES[name]
    vector = prior.start(np.random.default_rng(1))
    _, gradient = prior.log_prior(vector, prior.values(vector))

    def value(step: np.ndarray) -> float:
        return prior.log_prior(vector + step, prior.values(vector + step))[0]

    steps = 1e-6 * np.eye(prior.size)
    numeric = [(value(step) - value(-step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("log_scale", [-1800.0, 1800.0])
def test_scales_beyond_floating_point_are_outside_of_the_support(log_scale: float) -> None:
    prior = CASES["full"]
    vector = prior.start(np.random.default_rng(1))
    vector[-1] = log_scale
    value, gradient = prior.log_prior(vector, prior.values(vector))
    assert value == -np.inf
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_pulled_back_by_the_chain_rule(name: str) -> None:
    prior, rng = CASES[name], np.random.default_rng(2)
    vector = prior.start(rng)
    by_covariance = rng.normal(size=prior.given.shape)
    by_covariance += np.swapaxes(by_covariance, 1, 2)
    by_length = rng.normal(size=prior.lengthscale_rows.shape[:2])
    by_noise = rng.normal(size=prior.n_tasks)

    def value(at: np.ndarray) -> float:
        hyper = prior.values(at)
        parts = (
            by_covariance * hyper.covariance,
            by_length * np.log(hyper.lengthscale),
            by_noise * np.log(hyper.noise),
        )
        return float(sum(part.sum() for part in parts))

    pulled = prior.pull_back(
        vector, prior.values(vector), Gradient(by_covariance, by_length, by_noise)
    )
    steps = 1e-6 * np.eye(prior.size)
    numeric = [(value(vector + step) - value(vector - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(pulled, numeric, rtol=1e-6, atol=1e-6)


def test_one_task_has_a_half_t_sd() -> None:
    """Huang and Wand 2013, property 2: the sd of B is half-t(2)."""
    prior = hyper_prior(1)
    logs = np.array([-1.0, 0.0, 1.5])
    found = [
        prior.log_prior(np.array([x, 0.0, 0.0]), prior.values(np.array([x, 0.0, 0.0])))[0]
        for x in logs
    ]
    expected = stats.t(2.0).logpdf(np.exp(logs)) + logs
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-12)


def test_density_of_two_tasks_weighs_correlations_alike() -> None:
    """Huang and Wand 2013, property 3: uniform correlations, here by quadrature over both sds."""
    prior = hyper_prior(2)
    grid = np.linspace(-10.0, 11.0, 43)

    def mass(correlation: float) -> float:
        total = 0.0
        for a in grid:
            for b in grid:
                sd = np.exp(np.array([a, b]))
                covariance = np.outer(sd, sd) * [[1.0, correlation], [correlation, 1.0]]
                root = np.linalg.cholesky(covariance)
                vector = np.array(
                    [np.log(root[0, 0]), root[1, 0], np.log(root[1, 1]), 0.0, 0.0, 0.0]
                )
                value, _ = prior.log_prior(vector, prior.values(vector))
                # From (log L11, L21, log L22) to (log sd, log sd, correlation).
                total += np.exp(value) * sd[1] / (1.0 - correlation**2)
        return total

    assert mass(0.0) == pytest.approx(mass(0.7), rel=1e-3)


def test_draws_have_uniform_correlations() -> None:
    rng = np.random.default_rng(0)
    draws = np.array([draw_covariance(2, rng) for _ in range(4000)])
    correlation = draws[:, 0, 1] / np.sqrt(draws[:, 0, 0] * draws[:, 1, 1])
    assert stats.kstest(correlation, stats.uniform(-1.0, 2.0).cdf).pvalue > 0.01
    assert (
        stats.kstest(np.sqrt(draws[:, 1, 1]), lambda x: 2.0 * stats.t(2.0).cdf(x) - 1.0).pvalue
        > 0.01
    )


def test_scales_have_the_priors_of_the_user_in_the_units_of_the_user() -> None:
    prior = hyper_prior(2, 1)
    base = prior.start(np.random.default_rng(3))
    other = base.copy()
    other[prior.n_covariance] = 0.3
    other[prior.n_covariance + 2] = -0.4
    change = (
        prior.log_prior(other, prior.values(other))[0]
        - prior.log_prior(base, prior.values(base))[0]
    )
    first = stats.norm(dict(LENGTH.params)["mu"], dict(LENGTH.params)["sigma"])
    second = stats.norm(dict(NOISE.params)["mu"], dict(NOISE.params)["sigma"])
    unit = np.log(prior.noise_unit[1])
    expected = first.logpdf(0.3) - first.logpdf(base[prior.n_covariance])
    expected += second.logpdf(-0.4 + unit) - second.logpdf(base[prior.n_covariance + 2] + unit)
    assert change == pytest.approx(expected)


def test_fixed_values_are_not_in_the_vector() -> None:
    prior = hyper_prior(2, 2)
    prior.lengthscale_rows[0, 1] = [0.0, 3.0, 0.0, 0.0, 0.0, 0.0]
    prior.noise_rows[0] = [0.0, 0.6, 0.0, 0.0, 0.0, 0.0]
    assert prior.size == 3 + 1 + 1
    hyper = prior.values(prior.start(np.random.default_rng(0)))
    assert hyper.lengthscale[0, 1] == pytest.approx(3.0 / 1.5)
    assert hyper.noise[0] == pytest.approx(0.6)
