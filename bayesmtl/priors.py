"""Priors as frozen, validated, JSON-serialisable values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from scipy import special, stats

from bayesmtl.errors import InvalidModelError
from bayesmtl.keys import did_you_mean
from bayesmtl.numerics.densities import CODES, FIXED, ROW

__all__ = [
    "Prior",
    "PriorLike",
    "as_prior",
    "prior_from_dict",
    "prior_of_row",
    "prior_to_dict",
    "sample_value",
    "table_row",
]

_REAL, _POSITIVE, _UNIT = "the real line", "the positive numbers", "(0, 1)"


@dataclass(frozen=True)
class _Family:
    """Parameter names in the order of the table, their defaults, and the support."""

    names: tuple[str, ...]
    defaults: Mapping[str, float]
    positive: tuple[str, ...]
    support: str


_FAMILIES = {
    "Normal": _Family(("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}, ("sigma",), _REAL),
    "StudentT": _Family(("nu", "mu", "sigma"), {"mu": 0.0, "sigma": 1.0}, ("nu", "sigma"), _REAL),
    "Cauchy": _Family(("alpha", "beta"), {"alpha": 0.0, "beta": 1.0}, ("beta",), _REAL),
    "Laplace": _Family(("mu", "b"), {"mu": 0.0, "b": 1.0}, ("b",), _REAL),
    "Uniform": _Family(("lower", "upper"), {}, (), _REAL),
    "TruncatedNormal": _Family(
        ("mu", "sigma", "lower", "upper"),
        {"mu": 0.0, "sigma": 1.0, "lower": -math.inf, "upper": math.inf},
        ("sigma",),
        _REAL,
    ),
    "HalfNormal": _Family(("sigma",), {"sigma": 1.0}, ("sigma",), _POSITIVE),
    "HalfStudentT": _Family(("nu", "sigma"), {"sigma": 1.0}, ("nu", "sigma"), _POSITIVE),
    "HalfCauchy": _Family(("beta",), {"beta": 1.0}, ("beta",), _POSITIVE),
    "Exponential": _Family(("lam",), {"lam": 1.0}, ("lam",), _POSITIVE),
    "Gamma": _Family(("alpha", "beta"), {}, ("alpha", "beta"), _POSITIVE),
    "InverseGamma": _Family(("alpha", "beta"), {}, ("alpha", "beta"), _POSITIVE),
    "LogNormal": _Family(("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}, ("sigma",), _POSITIVE),
    "Weibull": _Family(("alpha", "beta"), {}, ("alpha", "beta"), _POSITIVE),
    "Beta": _Family(("alpha", "beta"), {}, ("alpha", "beta"), _UNIT),
    "LKJ": _Family(("eta",), {"eta": 1.0}, ("eta",), "correlation matrices"),
}


@dataclass(frozen=True, init=False, repr=False)
class Prior:
    """A prior distribution ``family(**params)``, on the user's scale.

    Parameters
    ----------
    family : str
        Normal, StudentT, Cauchy, Laplace, Uniform, TruncatedNormal, HalfNormal, HalfStudentT,
        HalfCauchy, Exponential, Gamma, InverseGamma, LogNormal, Weibull, Beta, or LKJ for
        correlation matrices; parameter names as in PyMC.
    **params : float
        The parameters of the family.

    Raises
    ------
    InvalidModelError
        For an unknown family or parameter, a missing or a non-finite one, or one out of range.

    Examples
    --------
    >>> Prior("HalfCauchy", beta=5)
    Prior("HalfCauchy", beta=5)
    """

    family: str
    params: tuple[tuple[str, float], ...]

    def __init__(self, family: str, /, **params: float) -> None:
        if family not in _FAMILIES:
            known = ", ".join(sorted(_FAMILIES))
            raise InvalidModelError(
                f"unknown prior family {family!r}; known families: {known}"
                f"{did_you_mean(family, _FAMILIES)}"
            )
        spec = _FAMILIES[family]
        unknown = sorted(set(params) - set(spec.names))
        if unknown:
            raise InvalidModelError(
                f"{family} has no parameter {unknown[0]!r}; its parameters are "
                f"{', '.join(spec.names)}{did_you_mean(unknown[0], spec.names)}"
            )
        values = {**spec.defaults, **params}
        missing = [name for name in spec.names if name not in values]
        if missing:
            raise InvalidModelError(f"{family} needs the parameter {missing[0]!r}")
        for name in spec.names:
            _check_parameter(family, name, values[name], name in spec.positive)
        if "lower" in values and not values["lower"] < values["upper"]:
            raise InvalidModelError(
                f"{family} needs lower < upper, got {values['lower']} and {values['upper']}"
            )
        object.__setattr__(self, "family", family)
        object.__setattr__(
            self, "params", tuple((name, float(values[name])) for name in spec.names)
        )

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value:g}" for name, value in self.params)
        return f'Prior("{self.family}", {inner})'

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{value:.4g}' for _, value in self.params)})"

    @property
    def lower(self) -> float:
        """Lower end of the support."""
        if "lower" in dict(self.params):
            return dict(self.params)["lower"]
        return -math.inf if _FAMILIES[self.family].support == _REAL else 0.0

    @property
    def upper(self) -> float:
        """Upper end of the support."""
        if "upper" in dict(self.params):
            return dict(self.params)["upper"]
        return 1.0 if _FAMILIES[self.family].support == _UNIT else math.inf

    def sample(self, size: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Independent draws of shape ``size``."""
        return np.asarray(_frozen(self).rvs(size=size, random_state=rng), dtype=np.float64)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles at the given probabilities."""
        return np.asarray(_frozen(self).ppf(probability), dtype=np.float64)


PriorLike = Prior | float


def sample_value(value: PriorLike, rng: np.random.Generator) -> float:
    """One draw from a prior, or the fixed number itself."""
    return float(value.sample(1, rng)[0]) if isinstance(value, Prior) else value


def _check_parameter(family: str, name: str, value: Any, positive: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(float(value)):
        raise InvalidModelError(f"{family}: {name} must be a number, got {value!r}")
    value = float(value)
    if math.isinf(value) and name not in ("lower", "upper"):
        raise InvalidModelError(f"{family}: {name} must be finite, got {value!r}")
    if positive and not value > 0:
        raise InvalidModelError(f"{family}: {name} must be positive, got {value!r}")
    if family == "Uniform" and math.isinf(value):
        raise InvalidModelError(f"{family}: {name} must be finite, got {value!r}")


@lru_cache(maxsize=256)  # scipy takes a millisecond to freeze a distribution
def _frozen(prior: Prior) -> Any:  # noqa: C901, PLR0911, PLR0912
    """The scipy.stats distribution of a prior."""
    p = dict(prior.params)
    match prior.family:
        case "Normal":
            return stats.norm(p["mu"], p["sigma"])
        case "StudentT":
            return stats.t(p["nu"], p["mu"], p["sigma"])
        case "Cauchy":
            return stats.cauchy(p["alpha"], p["beta"])
        case "Laplace":
            return stats.laplace(p["mu"], p["b"])
        case "Uniform":
            return stats.uniform(p["lower"], p["upper"] - p["lower"])
        case "TruncatedNormal":
            ends = ((p[end] - p["mu"]) / p["sigma"] for end in ("lower", "upper"))
            return stats.truncnorm(*ends, p["mu"], p["sigma"])
        case "HalfNormal":
            return stats.halfnorm(scale=p["sigma"])
        case "HalfStudentT":
            # |t| of nu degrees of freedom: scipy has no half-t, a folded t is the same thing.
            return _HalfStudentT(p["nu"], p["sigma"])
        case "HalfCauchy":
            return stats.halfcauchy(scale=p["beta"])
        case "Exponential":
            return stats.expon(scale=1.0 / p["lam"])
        case "Gamma":
            return stats.gamma(p["alpha"], scale=1.0 / p["beta"])
        case "InverseGamma":
            return stats.invgamma(p["alpha"], scale=p["beta"])
        case "LogNormal":
            return stats.lognorm(p["sigma"], scale=math.exp(p["mu"]))
        case "Weibull":
            return stats.weibull_min(p["alpha"], scale=p["beta"])
        case "Beta":
            return stats.beta(p["alpha"], p["beta"])
    raise InvalidModelError(f"{prior.family} is a prior of correlation matrices, not of a number")


@dataclass(frozen=True)
class _HalfStudentT:
    nu: float
    sigma: float

    def rvs(self, size: Any, random_state: np.random.Generator) -> np.ndarray:
        return np.abs(stats.t(self.nu, 0.0, self.sigma).rvs(size=size, random_state=random_state))

    def logpdf(self, x: Any) -> Any:
        inside = stats.t(self.nu, 0.0, self.sigma).logpdf(x) + math.log(2.0)
        return np.where(np.asarray(x) >= 0, inside, -np.inf)


def _log_constant(prior: Prior) -> float:  # noqa: C901, PLR0911
    """Normalising constant of the family, as `log_density` splits it off."""
    p = dict(prior.params)
    log_2pi = math.log(2.0 * math.pi)
    match prior.family:
        case "Normal":
            return -0.5 * log_2pi - math.log(p["sigma"])
        case "LogNormal":
            return -0.5 * log_2pi - math.log(p["sigma"])
        case "TruncatedNormal":
            low, high = ((p[end] - p["mu"]) / p["sigma"] for end in ("lower", "upper"))
            mass = stats.norm.logsf(low) if low > 0 else stats.norm.logcdf(high)
            other = stats.norm.logsf(high) if low > 0 else stats.norm.logcdf(low)
            inside = mass + math.log1p(-math.exp(other - mass))
            return float(-0.5 * log_2pi - math.log(p["sigma"]) - inside)
        case "Beta":
            return float(-special.betaln(p["alpha"], p["beta"]))
        case "Gamma" | "InverseGamma":
            return float(p["alpha"] * math.log(p["beta"]) - math.lgamma(p["alpha"]))
        case "Weibull":
            return math.log(p["alpha"]) - p["alpha"] * math.log(p["beta"])
        case "Uniform":
            return -math.log(p["upper"] - p["lower"])
        case "Exponential":
            return math.log(p["lam"])
    # The others attain their mode where the variable part is zero.
    mode = p.get("mu", p.get("alpha", 0.0))
    return float(_frozen(prior).logpdf(mode))


def table_row(value: PriorLike) -> np.ndarray:
    """The row ``[code, p0, p1, p2, p3, log_constant]`` of a prior or fixed number."""
    row = np.zeros(ROW)
    if not isinstance(value, Prior):
        row[0], row[1] = FIXED, float(value)
        return row
    if value.family not in CODES:
        raise InvalidModelError(f"{value} is a prior of correlation matrices, not of a number")
    row[0] = CODES[value.family]
    for i, (_, number) in enumerate(value.params):
        row[1 + i] = number
    row[5] = _log_constant(value)
    return row


def prior_of_row(row: np.ndarray) -> PriorLike:
    """Inverse of `table_row`."""
    if row[0] == FIXED:
        return float(row[1])
    family = next(name for name, code in CODES.items() if code == row[0])
    names = _FAMILIES[family].names
    return Prior(family, **dict(zip(names, row[1:].tolist(), strict=False)))


def as_prior(value: Any, name: str) -> PriorLike:
    """A prior or a fixed number from what a user may pass.

    Parameters
    ----------
    value : Prior, float or PreliZ distribution
    name : str
        The hyperparameter, for messages.

    Raises
    ------
    InvalidModelError
        When ``value`` is none of these, or not finite.
    """
    if isinstance(value, Prior):
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise InvalidModelError(f"{name} must be finite, got {value!r}")
        return float(value)
    if type(value).__module__.split(".")[0] == "preliz":
        return _from_preliz(value, name)
    raise InvalidModelError(
        f"{name} must be a number or a prior such as Prior('Normal', mu=0, sigma=1), got {value!r}"
    )


def _from_preliz(value: Any, name: str) -> Prior:
    family = type(value).__name__
    if family not in _FAMILIES:
        known = ", ".join(sorted(_FAMILIES))
        raise InvalidModelError(
            f"{name}: the PreliZ distribution {family} is not among the families: {known}"
        )
    params = {key: getattr(value, key, None) for key in _FAMILIES[family].names}
    unset = [key for key, number in params.items() if number is None]
    if unset:
        raise InvalidModelError(
            f"{name}: the PreliZ distribution {family} has no value for {unset[0]!r}; set all "
            "of its parameters"
        )
    return Prior(family, **{key: float(params[key]) for key in params})  # type: ignore[arg-type]


def prior_to_dict(value: PriorLike) -> Any:
    """JSON form: a number, or ``{"family": ..., parameter: ...}`` (infinite ends left out)."""
    if not isinstance(value, Prior):
        return float(value)
    finite = {name: number for name, number in value.params if math.isfinite(number)}
    return {"family": value.family, **finite}


def prior_from_dict(value: Any) -> PriorLike:
    """Inverse of `prior_to_dict`."""
    if isinstance(value, Mapping):
        if not isinstance(value.get("family"), str):
            raise InvalidModelError(
                f"a prior needs its family, as in {{family: 'Normal', mu: 0, sigma: 1}}, got "
                f"{dict(value)!r}"
            )
        params = {key: number for key, number in value.items() if key != "family"}
        return Prior(value["family"], **params)
    return as_prior(value, "a hyperparameter")
