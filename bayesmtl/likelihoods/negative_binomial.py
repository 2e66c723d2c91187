"""Negative binomial likelihood: counts with more variation than Poisson ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, log_expit

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted, Reference, refuse_rows
from bayesmtl.likelihoods.rows import ParameterBlock, RowKernels
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.elementary import exp, log_one_plus
from bayesmtl.numerics.jit import inlined_kernel, inner_kernel, kernel, row_kernel
from bayesmtl.numerics.row_loops import predict_rows, row_loops
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.priors import Prior, as_prior, sample_value, table_row
from bayesmtl.relations.settings import describe, require_support

__all__ = ["NegativeBinomial"]

_DEFAULT = Prior("LogNormal", mu=0, sigma=1.5)


@dataclass(frozen=True)
class NegativeBinomial:
    """Counts of mean ``mu_i = exposure_i exp(predictor_i)`` and variance ``mu_i + mu_i^2 / r``.

    Parameters
    ----------
    exposure : str, optional
        Column with the exposure of each row, positive; 1 without it.
    dispersion : Prior or float
        r, positive and shared by all tasks; the larger it is, the closer to Poisson counts. Default
        ``LogNormal(0, 1.5)``.

    Raises
    ------
    InvalidModelError
        When the exposure is not the name of a column, or the dispersion may be negative.
    """

    exposure: str | None = None
    dispersion: Any = _DEFAULT

    def __post_init__(self) -> None:
        if not isinstance(self.exposure, str | None):
            raise InvalidModelError(f"exposure must be the name of a column, got {self.exposure!r}")
        value = as_prior(self.dispersion, "dispersion")
        require_support(value, "dispersion", 0.0)
        if value == 0.0:
            raise InvalidModelError("dispersion must be positive, got 0")
        object.__setattr__(self, "dispersion", value)

    @property
    def columns(self) -> Mapping[str, str | None]:
        """The exposure."""
        return {"exposure": self.exposure}

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _KERNELS

    @property
    def parameters(self) -> tuple[ParameterBlock, ...]:
        """The dispersion."""
        fixed = not isinstance(self.dispersion, Prior)
        return (ParameterBlock("dispersion", log=True, fixed=fixed),)

    @property
    def prior(self) -> np.ndarray:
        """A row of `bayesmtl.numerics.densities`, of the dispersion itself."""
        return table_row(self.dispersion)[None]

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The known dispersion, or its moment estimate around the pooled rate."""
        if not isinstance(self.dispersion, Prior):
            return np.log([self.dispersion])
        mean = size * (weight @ response + 0.5) / (weight @ size)
        excess = weight @ ((response - mean) ** 2 - mean) / (weight @ mean**2)
        estimate = 1.0 / np.clip(excess, 0.02, 10.0)
        if not self.dispersion.lower < estimate < self.dispersion.upper:
            estimate = self.dispersion.quantile(np.array(0.5))
        return np.log([float(estimate)])

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """From the prior."""
        return np.log([sample_value(self.dispersion, rng)])

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Refuse responses that are no counts, and exposures that are not positive."""
        if response is not None:
            rule = (
                "the response of bm.NegativeBinomial() must be a whole number of at least 0 in "
                "every row"
            )
            bad = (response < 0.0) | (response != np.floor(response))
            refuse_rows(bad, response, position, rule)
        rule = f"the exposure in column {self.exposure!r} must be positive in every row"
        refuse_rows(size <= 0.0, size, position, rule)

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """The pooled rate, at the starting dispersion; half a count guards against none."""
        total, exposure = float(weight @ response) + 0.5, float(weight @ size)
        r = math.exp(self.start(response, size, weight)[0])
        return Reference(math.log(total / exposure), float(weight.sum()) / total + 1.0 / r)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Log exposure."""
        return np.log(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """Log probability of each response."""
        log_r = rows.parameters[0]
        r, psi = np.exp(log_r), rows.predictor - log_r
        constant = gammaln(response + r) - gammaln(r) - gammaln(response + 1.0)
        return np.asarray(constant + response * log_expit(psi) + r * log_expit(-psi))

    def expected(self, rows: Predicted) -> np.ndarray:
        """The mean of the row, exposure included."""
        return np.exp(rows.predictor)

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """Counts: Poisson with gamma distributed rates."""
        r = np.exp(rows.parameters[0])
        rate = np.exp(rows.predictor) * rng.standard_gamma(r, rows.predictor.shape) / r
        # Beyond, the generator of NumPy refuses.
        return rng.poisson(np.minimum(rate, 1e18)).astype(np.float64)

    def add_parameters(self) -> Any:
        """PyMC variable of the dispersion."""
        from bayesmtl.relations.exchangeable.graph import scalar_variable

        return scalar_variable("dispersion", self.dispersion)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        return pm.NegativeBinomial, {"mu": pm.math.exp(predictor), "alpha": parameters}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre and noise variance of the default priors."""
        rate = "mean(y)" if self.exposure is None else f"sum(y) / sum({self.exposure})"
        known = not isinstance(self.dispersion, Prior)
        r = f"{self.dispersion:g}" if known else "(moment estimate of dispersion)"
        return f"log({rate})", f"1 / mean(y) + 1 / {r}"

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        exposure = "" if self.exposure is None else f"{self.exposure} "
        return f"y_i ~ NegativeBinomial(mu_i = {exposure}exp({predictor}), dispersion)"

    def parameter_lines(self) -> list[str]:
        """Its variance and prior."""
        sign = "~" if isinstance(self.dispersion, Prior) else "="
        return [
            "Var(y_i) = mu_i + mu_i^2 / dispersion",
            f"dispersion {sign} {describe(self.dispersion, '')}",
        ]


@inlined_kernel
def _terms(y, eta, size, parameters):
    # Number of successes before r failures, of log odds psi.
    r, psi = math.exp(parameters[0]), eta - parameters[0]
    e = exp(-abs(psi))
    top = 1.0 if psi >= 0.0 else e
    probability = top / (1.0 + e)
    density = y * psi - (y + r) * (max(psi, 0.0) + log_one_plus(e))
    return density, y - (y + r) * probability, r * probability


@inner_kernel
def _log_gammas(values, weight, r):
    """``sum w (log Gamma(y + r) - log Gamma(r))``."""
    total, base = 0.0, math.lgamma(r)
    for i in range(values.shape[0]):
        if weight[i] > 0.0 and values[i] > 0.0:
            total += weight[i] * (math.lgamma(values[i] + r) - base)
    return total


@inner_kernel
def _distinct(rows):
    """Counts 0, 1, ... with the weight of each, or the rows where there are fewer of them."""
    highest = rows.response.max()
    if highest >= rows.response.shape[0]:
        return rows.response, rows.weight
    values = np.arange(highest + 1.0)
    weight = np.zeros(values.shape[0])
    for i in range(rows.response.shape[0]):
        weight[int(rows.response[i])] += rows.weight[i]
    return values, weight


@row_kernel
def _log_dispersion(x, args):
    """Log density of the log of the dispersion given the predictors."""
    rows, eta, values, weight, prior = args
    parameters = np.array([x])
    total = _log_gammas(values, weight, math.exp(x))
    for i in range(eta.shape[0]):
        density, _, _ = _terms(rows.response[i], eta[i], rows.size[i], parameters)
        total += rows.weight[i] * density
    return total + log_density(prior, math.exp(x)) + x


_slice_dispersion = slice_sampler(_log_dispersion)
_evaluate, _moments, _move, _score = row_loops(_terms)
_move_centers = center_loops(_terms)


@kernel
def evaluate(rows, weights, parameters, out):
    """See `bayesmtl.likelihoods.rows.RowKernels`, as the others below."""
    _evaluate(rows, weights, parameters, out)


@kernel
def moments(rows, weights, parameters, gram, score):
    """Information and gradient."""
    _moments(rows, weights, parameters, gram, score)


@kernel
def move(rows, parameters, sites, population, value, kicks, accepted, rng):
    """Hamiltonian moves."""
    _move(rows, parameters, sites, population, value, kicks, accepted, rng)


@kernel
def score(rows, weights, parameters, out):
    """Gradient."""
    _score(rows, weights, parameters, out)


@kernel
def move_centers(rows, parameters, population, clusters, path, b, labels, rng):
    """Moves of cluster means."""
    return _move_centers(rows, parameters, population, clusters, path, b, labels, rng)


@kernel
def update(rows, weights, parameters, prior, rng):
    """Slice sampling of the log of the dispersion."""
    if prior[0, 0] == 0.0:
        return
    eta = np.empty(rows.response.shape[0])
    predict_rows(rows, weights, eta)
    values, weight = _distinct(rows)
    arguments = (rows, eta, values, weight, prior[0])
    parameters[0] = _slice_dispersion(arguments, parameters[0], 1.0, rng)


@kernel
def log_parameters(rows, parameters, prior):
    """Log prior density of the dispersion, and its gamma functions."""
    r = math.exp(parameters[0])
    values, weight = _distinct(rows)
    return log_density(prior[0], r) + _log_gammas(values, weight, r)


_KERNELS = RowKernels(
    evaluate, moments, move, score, update, log_parameters, move_centers=move_centers
)
