"""The Poisson likelihood equals SciPy, and refuses what is no count."""

import numpy as np
import pytest
from scipy import stats

from bayesmtl import InvalidDataError, InvalidModelError, Poisson
from bayesmtl.likelihoods.protocol import Predicted

ETA = np.array([[-30.0, -3.0, 0.0], [0.3, 4.0, 12.0]])


def predicted(eta: np.ndarray) -> Predicted:
    return Predicted(eta, np.ones((len(eta), 1)), np.full((len(eta), 1), np.nan))


def test_exposure_is_the_name_of_a_column() -> None:
    with pytest.raises(InvalidModelError, match=r"name of a column, got 2\.0"):
        Poisson(exposure=2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("y", [0.0, 1.0, 7.0, 160_000.0])
def test_log_density(y: float) -> None:
    found = Poisson().log_density(np.full((2, 1), y), predicted(ETA))
    np.testing.assert_allclose(found, stats.poisson.logpmf(y, np.exp(ETA)), rtol=1e-9)


def test_density_underflows_without_nan() -> None:
    found = Poisson().log_density(np.array([[4.0]]), predicted(np.array([[-700.0, 700.0]])))
    assert np.all(found < -2000.0)


def test_expected_response_is_the_rate() -> None:
    np.testing.assert_allclose(Poisson().expected(predicted(ETA)), np.exp(ETA))


def test_samples_have_mean_and_variance_of_the_rate() -> None:
    n, rate = 40_000, np.array([0.2, 3.0, 250.0])
    eta = np.repeat(np.log(rate)[:, None], n, axis=1)
    drawn = Poisson().sample(predicted(eta), np.random.default_rng(2))
    assert drawn.dtype == np.float64
    assert np.all(abs(drawn.mean(axis=1) - rate) < 4 * np.sqrt(rate / n))
    fourth = rate * (1 + 3 * rate) - rate**2
    assert np.all(abs(drawn.var(axis=1) - rate) < 4 * np.sqrt(fourth / n))


def test_huge_rates_are_capped() -> None:
    eta = np.array([[44.0, 700.0]])
    drawn = Poisson().sample(predicted(eta), np.random.default_rng(3))
    np.testing.assert_allclose(drawn, 1e18, rtol=1e-6)


@pytest.mark.parametrize("value", [-1.0, 2.5])
def test_responses_that_are_no_counts_name_their_rows(value: float) -> None:
    match = f"whole number of at least 0 in every row; 1 row breaks this rule: row 5 has {value:g}"
    with pytest.raises(InvalidDataError, match=match):
        Poisson().check(np.array([3.0, value]), np.ones(2), np.array([4, 5]))


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_exposures_that_are_not_positive_name_their_rows(value: float) -> None:
    match = rf"exposure in column 'days' must be positive in every row; .* row 4 has {value:g}"
    with pytest.raises(InvalidDataError, match=match):
        Poisson("days").check(None, np.array([value, 1.0]), np.array([4, 5]))


def test_reference_is_the_pooled_rate() -> None:
    y, exposure, weight = np.array([4.0, 9.0, 2.0]), np.array([2.0, 1.0, 5.0]), np.array([1, 2, 0])
    reference = Poisson("e").reference(y, exposure, weight)
    assert reference.center == pytest.approx(np.log(22.5 / 4.0))
    # One over the mean count of a row.
    assert reference.noise_variance == pytest.approx(3 / 22.5)
    none = Poisson().reference(np.zeros(3), np.ones(3), np.ones(3))
    assert np.isfinite(none).all()


def test_exposure_enters_by_its_logarithm() -> None:
    np.testing.assert_allclose(Poisson("e").offset(np.array([1.0, np.e])), [0.0, 1.0])


def test_pymc_has_the_same_density() -> None:
    pm = pytest.importorskip("pymc")
    eta, y = np.array([-6.0, 0.0, 0.4, 3.0]), np.array([0, 1, 4, 25])
    kind, parameters = Poisson().variable(eta, np.ones(4), None)
    found = pm.logp(kind.dist(**parameters), y).eval()
    np.testing.assert_allclose(found, stats.poisson.logpmf(y, np.exp(eta)), rtol=1e-8)


def test_story() -> None:
    assert Poisson().story("a_t") == "y_i ~ Poisson(exp(a_t))"
    assert Poisson("days").story("a_t") == "y_i ~ Poisson(days exp(a_t))"
