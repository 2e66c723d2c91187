"""The Bernoulli likelihood equals SciPy, and refuses what is neither 0 nor 1."""

import numpy as np
import pytest
from scipy import stats

from bayesmtl import Bernoulli, InvalidDataError, InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted
from tests.oracles.row_likelihoods import KINDS

LINKS = ["logit", "probit"]
ETA = np.array([[-40.0, -3.0, 0.0], [0.3, 6.0, 40.0]])


def predicted(eta: np.ndarray) -> Predicted:
    return Predicted(eta, np.ones((len(eta), 1)), np.full((len(eta), 1), np.nan))


def test_links_other_than_two_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="link must be 'logit' or 'probit', got 'cloglog'"):
        Bernoulli(link="cloglog")


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_log_density(link: str, y: float) -> None:
    found = Bernoulli(link=link).log_density(np.full((2, 1), y), predicted(ETA))
    np.testing.assert_allclose(found, KINDS[link].log_density(y, ETA), rtol=1e-13)
    assert np.all(found <= 0.0)
    far = Bernoulli(link=link).log_density(np.array([[y]]), predicted(np.array([[-700.0, 700.0]])))
    assert np.isfinite(far).all()


@pytest.mark.parametrize("link", LINKS)
def test_expected_response(link: str) -> None:
    cdf = (stats.logistic if link == "logit" else stats.norm).cdf
    np.testing.assert_allclose(Bernoulli(link=link).expected(predicted(ETA)), cdf(ETA), rtol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_samples_have_the_expected_mean(link: str) -> None:
    likelihood, n = Bernoulli(link=link), 40_000
    rows = predicted(np.repeat([[-1.5], [0.2], [2.0]], n, axis=1))
    drawn = likelihood.sample(rows, np.random.default_rng(1))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn.dtype == np.float64
    p = likelihood.expected(rows)[:, 0]
    assert np.all(abs(drawn.mean(axis=1) - p) < 4 * np.sqrt(p * (1 - p) / n))


@pytest.mark.parametrize("link", LINKS)
def test_certain_samples(link: str) -> None:
    drawn = Bernoulli(link=link).sample(
        predicted(np.array([[-700.0, 700.0]])), np.random.default_rng(1)
    )
    np.testing.assert_array_equal(drawn, [[0.0, 1.0]])


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0])
def test_responses_outside_the_support_name_their_rows(value: float) -> None:
    response, position = np.array([0.0, value, 1.0, value]), np.array([3, 7, 8, 11])
    match = rf"must be 0 or 1 in every row; 2 rows break this rule: row 7 has {value:g}, row 11 has"
    with pytest.raises(InvalidDataError, match=match):
        Bernoulli().check(response, np.ones(4), position)
    Bernoulli().check(response[::2], np.ones(2), position[::2])
    Bernoulli().check(None, np.ones(4), position)


@pytest.mark.parametrize("link", LINKS)
def test_reference_is_the_information_at_even_odds(link: str) -> None:
    reference = Bernoulli(link=link).reference(np.ones(3), np.ones(3), np.ones(3))
    density = (stats.logistic if link == "logit" else stats.norm).pdf(0.0)
    assert reference.center == 0.0
    assert reference.noise_variance == pytest.approx(0.25 / density**2)


@pytest.mark.parametrize("link", LINKS)
def test_pymc_has_the_same_density(link: str) -> None:
    pm = pytest.importorskip("pymc")
    eta, y = np.array([-6.0, -1.0, 0.0, 0.4, 3.0, 5.0]), np.array([0, 1, 1, 0, 0, 1])
    likelihood = Bernoulli(link=link)
    kind, parameters = likelihood.variable(eta, np.ones(6), None)
    found = pm.logp(kind.dist(**parameters), y).eval()
    expected = likelihood.log_density(y[:, None], predicted(eta[:, None]))[:, 0]
    # Inverse probit of PyMC rounds the root of two to single precision.
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_story() -> None:
    assert Bernoulli().story("a_t") == "y_i ~ Bernoulli(logit^-1(a_t))"
    assert Bernoulli(link="probit").story("a_t") == "y_i ~ Bernoulli(Phi(a_t))"
