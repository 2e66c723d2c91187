"""Priors: densities against scipy, supports, messages, JSON and PreliZ."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from bayesmtl import InvalidModelError, Prior
from bayesmtl.numerics.densities import CODES, log_density, log_signal_prior
from bayesmtl.priors import (
    as_prior,
    prior_from_dict,
    prior_of_row,
    prior_to_dict,
    table_row,
)


class HalfT:
    """Absolute value of a t variate, which scipy lacks."""

    def __init__(self, nu: float, sigma: float) -> None:
        self.base = stats.t(nu, scale=sigma)

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, self.base.logpdf(x) + np.log(2.0), -np.inf)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return 2.0 * self.base.cdf(x) - 1.0


# The parameters are those of PyMC; each distribution is written out here once more.
FAMILIES: list[tuple[Prior, Any, tuple[float, float]]] = [
    (Prior("Normal", mu=1, sigma=2), stats.norm(1, 2), (-math.inf, math.inf)),
    (Prior("StudentT", nu=4, mu=-1, sigma=2), stats.t(4, -1, 2), (-math.inf, math.inf)),
    (Prior("Cauchy", alpha=1, beta=0.5), stats.cauchy(1, 0.5), (-math.inf, math.inf)),
    (Prior("Laplace", mu=1, b=0.5), stats.laplace(1, 0.5), (-math.inf, math.inf)),
    (Prior("Uniform", lower=-1, upper=3), stats.uniform(-1, 4), (-1, 3)),
    (
        Prior("TruncatedNormal", mu=1, sigma=2, lower=0, upper=4),
        stats.truncnorm(-0.5, 1.5, 1, 2),
        (0, 4),
    ),
    (
        Prior("TruncatedNormal", mu=-2, sigma=0.5, lower=0),
        stats.truncnorm(4, np.inf, -2, 0.5),
        (0, math.inf),
    ),
    (
        Prior("TruncatedNormal", mu=2, sigma=0.5, upper=0),
        stats.truncnorm(-np.inf, -4, 2, 0.5),
        (-math.inf, 0),
    ),
    (Prior("HalfNormal", sigma=2), stats.halfnorm(scale=2), (0, math.inf)),
    (Prior("HalfStudentT", nu=3, sigma=2), HalfT(3, 2), (0, math.inf)),
    (Prior("HalfCauchy", beta=5), stats.halfcauchy(scale=5), (0, math.inf)),
    (Prior("Exponential", lam=3), stats.expon(scale=1 / 3), (0, math.inf)),
    (Prior("Gamma", alpha=2, beta=3), stats.gamma(2, scale=1 / 3), (0, math.inf)),
    (Prior("Gamma", alpha=0.5, beta=3), stats.gamma(0.5, scale=1 / 3), (0, math.inf)),
    (Prior("InverseGamma", alpha=2, beta=3), stats.invgamma(2, scale=3), (0, math.inf)),
    (Prior("LogNormal", mu=1, sigma=0.5), stats.lognorm(0.5, scale=math.e), (0, math.inf)),
    (Prior("Weibull", alpha=2, beta=3), stats.weibull_min(2, scale=3), (0, math.inf)),
    (Prior("Beta", alpha=2, beta=3), stats.beta(2, 3), (0, 1)),
    (Prior("Beta", alpha=1, beta=1), stats.uniform(0, 1), (0, 1)),
]
BY_FAMILY = pytest.mark.parametrize(
    ("prior", "law", "support"), FAMILIES, ids=[str(case[0]) for case in FAMILIES]
)


def test_every_family_of_numbers_is_here() -> None:
    assert {prior.family for prior, _, _ in FAMILIES} == set(CODES)


@BY_FAMILY
def test_log_densities(prior: Prior, law: Any, support: tuple[float, float]) -> None:
    row = table_row(prior)
    low, high = max(support[0], -8.0), min(support[1], 8.0)
    points = np.linspace(low, high, 43)[1:-1]
    found = [log_density(row, x) for x in points]
    np.testing.assert_allclose(found, law.logpdf(points), rtol=1e-10, atol=1e-10)


@BY_FAMILY
def test_supports(prior: Prior, law: Any, support: tuple[float, float]) -> None:
    assert (prior.lower, prior.upper) == support
    row = table_row(prior)
    for end, step in zip(support, (-0.01, 0.01), strict=True):
        if math.isfinite(end):
            assert log_density(row, end + step) == -math.inf
            assert math.isfinite(log_density(row, end - step))


@BY_FAMILY
def test_samples_follow_the_density(prior: Prior, law: Any, support: tuple[float, float]) -> None:
    draws = prior.sample((4, 500), np.random.default_rng(1))
    assert draws.shape == (4, 500)
    assert stats.kstest(draws.ravel(), law.cdf).pvalue > 1e-4


@BY_FAMILY
def test_json_and_back(prior: Prior, law: Any, support: tuple[float, float]) -> None:
    spec = json.loads(json.dumps(prior_to_dict(prior), allow_nan=False))
    assert prior_from_dict(spec) == prior


@BY_FAMILY
def test_repr_can_be_read_back(prior: Prior, law: Any, support: tuple[float, float]) -> None:
    assert eval(repr(prior), {"Prior": Prior, "inf": math.inf}) == prior


def test_numbers_go_to_json_and_back() -> None:
    assert prior_from_dict(prior_to_dict(2)) == 2.0
    assert prior_to_dict(0.5) == 0.5


@pytest.mark.parametrize("x", [0.0, 1e-3])
def test_densities_at_the_end_of_half_lines(x: float) -> None:
    assert log_density(table_row(Prior("HalfNormal")), x) == pytest.approx(stats.halfnorm.logpdf(x))
    assert log_density(table_row(Prior("Gamma", alpha=2, beta=1)), 0.0) == -math.inf


@pytest.mark.parametrize("prior", [*(case[0] for case in FAMILIES), 3.0])
def test_rows_and_back(prior: Any) -> None:
    assert prior_of_row(table_row(prior)) == prior


def test_fixed_numbers_have_no_density() -> None:
    assert log_density(table_row(3.0), 17.0) == 0.0
    assert table_row(3.0)[1] == 3.0


def test_lkj_rows_are_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"LKJ.*prior of correlation matrices"):
        table_row(Prior("LKJ", eta=2))
    with pytest.raises(InvalidModelError, match="LKJ is a prior of correlation matrices"):
        Prior("LKJ").sample(1, np.random.default_rng(0))


def test_the_signal_prior_is_a_density_of_the_signal_variance() -> None:
    row, noise = table_row(Prior("Beta", alpha=2, beta=1.5)), 1.7
    total, _ = integrate.quad(lambda v: math.exp(log_signal_prior(v, noise, row)), 0, np.inf)
    assert total == pytest.approx(1.0, rel=1e-6)
    # P(R2 < 0.3) = P(V < 0.3 noise / 0.7).
    part, _ = integrate.quad(
        lambda v: math.exp(log_signal_prior(v, noise, row)), 0, 0.3 * noise / 0.7
    )
    assert part == pytest.approx(stats.beta(2, 1.5).cdf(0.3), rel=1e-6)
    assert log_signal_prior(0.0, noise, row) == -math.inf
    assert log_signal_prior(math.inf, noise, row) == -math.inf


@pytest.mark.parametrize(
    ("family", "params", "message"),
    [
        ("Gauss", {}, "unknown prior family 'Gauss'; known families: Beta, Cauchy"),
        ("Normal", {"sd": 1}, "Normal has no parameter 'sd'; its parameters are mu, sigma"),
        ("Gamma", {"alpha": 1}, "Gamma needs the parameter 'beta'"),
        ("StudentT", {}, "StudentT needs the parameter 'nu'"),
        ("Normal", {"sigma": 0}, "Normal: sigma must be positive, got 0"),
        ("LKJ", {"eta": -1}, "LKJ: eta must be positive, got -1"),
        ("Normal", {"mu": math.nan}, "Normal: mu must be a number, got nan"),
        ("Normal", {"mu": "0"}, "Normal: mu must be a number, got '0'"),
        ("Normal", {"mu": True}, "Normal: mu must be a number, got True"),
        ("Normal", {"sigma": math.inf}, "Normal: sigma must be finite, got inf"),
        ("Uniform", {"lower": 0, "upper": math.inf}, "Uniform: upper must be finite, got inf"),
        ("Uniform", {"lower": 2, "upper": 1}, "Uniform needs lower < upper, got 2 and 1"),
        (
            "TruncatedNormal",
            {"lower": 1, "upper": 1},
            "TruncatedNormal needs lower < upper, got 1 and 1",
        ),
    ],
)
def test_wrong_parameters(family: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Prior(family, **params)


def test_priors_are_values() -> None:
    assert Prior("Normal", mu=0, sigma=1) == Prior("Normal")
    assert hash(Prior("Normal")) == hash(Prior("Normal"))
    assert Prior("Normal", mu=1) != Prior("Normal")
    with pytest.raises(AttributeError, match="family"):
        Prior("Normal").family = "Cauchy"  # type: ignore[misc]
    assert str(Prior("Gamma", alpha=2, beta=0.5)) == "Gamma(2, 0.5)"


@pytest.mark.parametrize("value", [1, 2.5, np.float64(0.5), np.int64(3)])
def test_numbers_are_fixed_hyperparameters(value: Any) -> None:
    assert as_prior(value, "scale") == float(value)
    assert type(as_prior(value, "scale")) is float


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.inf, "scale must be finite, got inf"),
        (math.nan, "scale must be finite, got nan"),
        ("big", "scale must be a number or a prior such as .*, got 'big'"),
        (True, "scale must be a number or a prior such as .*, got True"),
    ],
)
def test_what_is_no_hyperparameter(value: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        as_prior(value, "scale")


@pytest.fixture(scope="module")
def preliz() -> Any:
    return pytest.importorskip("preliz")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Normal", {"mu": 1.0, "sigma": 2.0}),
        ("HalfCauchy", {"beta": 5.0}),
        ("Gamma", {"alpha": 2.0, "beta": 0.5}),
        ("StudentT", {"nu": 3.0, "mu": 0.0, "sigma": 1.5}),
        ("Beta", {"alpha": 2.0, "beta": 3.0}),
        ("TruncatedNormal", {"mu": 0.0, "sigma": 1.0, "lower": 0.0, "upper": 2.0}),
        ("Laplace", {"mu": 0.0, "b": 2.0}),
        ("InverseGamma", {"alpha": 2.0, "beta": 3.0}),
    ],
)
def test_preliz_distributions(preliz: Any, name: str, params: dict[str, float]) -> None:
    given = getattr(preliz, name)(**params)
    found = as_prior(given, "scale")
    assert found == Prior(name, **params)
    x = 0.7
    assert log_density(table_row(found), x) == pytest.approx(float(given.logpdf(x)), rel=1e-6)


def test_preliz_with_unset_parameters(preliz: Any) -> None:
    with pytest.raises(InvalidModelError, match=r"scale: .* Normal has no value for 'mu'"):
        as_prior(preliz.Normal(), "scale")


def test_preliz_with_unknown_family(preliz: Any) -> None:
    with pytest.raises(InvalidModelError, match=r"scale: .* Poisson is not among the families"):
        as_prior(preliz.Poisson(3.0), "scale")
