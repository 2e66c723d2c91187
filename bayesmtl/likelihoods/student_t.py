"""Student t likelihood: measurements with outliers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import gammaln

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.noise import shared_prior_term
from bayesmtl.likelihoods.pilot import SD_OF_MAD, inside, pilot_noise
from bayesmtl.likelihoods.protocol import Predicted, Reference
from bayesmtl.likelihoods.rows import ParameterBlock, RowData, RowKernels
from bayesmtl.likelihoods.scale_mixture import draw_given_precisions
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.densities import FIXED, log_density
from bayesmtl.numerics.elementary import log
from bayesmtl.numerics.jit import inlined_kernel, inner_kernel, kernel, row_kernel
from bayesmtl.numerics.row_loops import predict_rows, row_loops
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.priors import Prior, as_prior, sample_value, table_row
from bayesmtl.relations.settings import describe, require_support

__all__ = ["StudentT"]

_DOF = Prior("Gamma", alpha=2, beta=0.1)
_START_DOF = 4.0


@dataclass(frozen=True)
class StudentT:
    """``y_i = predictor_i + noise_sd t_i``, t_i from Student's t of ``dof`` degrees of freedom.

    Parameters
    ----------
    noise_sd : Prior or float, optional
        Scale of the noise, positive and shared by all tasks, in units of the response; for many
        degrees of freedom its standard deviation. Default ``HalfNormal(s_y)``, s_y being 1.4826
        times the median absolute deviation of the response from its median (the standard deviation
        of normal responses, whatever the outliers), which also is the unit of the other default
        priors.
    dof : Prior or float
        Degrees of freedom, positive and shared by all tasks; the fewer, the heavier the tails.
        Default ``Gamma(2, 0.1)`` (Juarez and Steel 2010, J. Bus. Econ. Stat. 28).

    Raises
    ------
    InvalidModelError
        When either may be negative.
    """

    noise_sd: Any = None
    dof: Any = _DOF

    def __post_init__(self) -> None:
        for name in ("noise_sd", "dof"):
            value = getattr(self, name)
            if name == "noise_sd" and value is None:
                continue
            value = as_prior(value, name)
            require_support(value, name, 0.0)
            if value == 0.0:
                raise InvalidModelError(f"{name} must be positive, got 0")
            object.__setattr__(self, name, value)

    def resolve(self, unit: float) -> Self:
        """With the default prior of the noise, for a response of scale ``unit``."""
        if self.noise_sd is not None:
            return self
        return replace(self, noise_sd=Prior("HalfNormal", sigma=unit))

    @property
    def columns(self) -> Mapping[str, str | None]:
        """None."""
        return {}

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _KERNELS

    @property
    def parameters(self) -> tuple[ParameterBlock, ...]:
        """Scale of the noise and degrees of freedom."""
        known_noise, known_dof = (
            not isinstance(value, Prior) and value is not None
            for value in (self.noise_sd, self.dof)
        )
        return (
            ParameterBlock("noise_sd", log=True, fixed=known_noise, noise=True),
            ParameterBlock("dof", log=True, fixed=known_dof),
        )

    @property
    def prior(self) -> np.ndarray:
        """Rows of `bayesmtl.numerics.densities`, of both themselves."""
        return np.stack([table_row(self.noise_sd), table_row(self.dof)])

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Known values, the scale of the response and four degrees of freedom."""
        scale = _scale(response) or float(response.std()) or 1.0
        return np.log([inside(self.noise_sd, scale), inside(self.dof, _START_DOF)])

    def pilot(self, rows: RowData, start: np.ndarray, unit: float) -> np.ndarray:
        """Starting parameters with the scale of the residuals, all in units of ``unit``."""
        out = start.copy()
        if isinstance(self.noise_sd, Prior):
            pilot_noise(rows, _KERNELS, out, self.noise_sd, unit)
        return out

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """From the prior."""
        return np.log([sample_value(self.noise_sd, rng), sample_value(self.dof, rng)])

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Any finite response will do."""

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """Median, and square of the scale."""
        return Reference(float(np.median(response)), _scale(response) ** 2)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros_like(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """(row, sample) log density of the responses (row, 1)."""
        log_sd, dof = rows.parameters[0], np.exp(rows.parameters[1])
        z = (response - rows.predictor) / np.exp(log_sd)
        constant = gammaln(0.5 * (dof + 1.0)) - gammaln(0.5 * dof) - 0.5 * np.log(np.pi * dof)
        return np.asarray(constant - log_sd - 0.5 * (dof + 1.0) * np.log1p(z**2 / dof))

    def expected(self, rows: Predicted) -> np.ndarray:
        """The predictor, the median of the response; its mean where dof > 1."""
        return rows.predictor

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """With noise."""
        sd, dof = np.exp(rows.parameters)
        return np.asarray(rows.predictor + sd * rng.standard_t(dof, rows.predictor.shape))

    def add_parameters(self) -> Any:
        """PyMC variables of the scale of the noise and the degrees of freedom."""
        from bayesmtl.relations.exchangeable.graph import scalar_variable

        return scalar_variable("noise_sd", self.noise_sd), scalar_variable("dof", self.dof)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        sd, dof = parameters
        return pm.StudentT, {"nu": dof, "mu": predictor, "sigma": sd}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre of the default priors; the noise is a parameter."""
        return "median(y)", ""

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        return f"y_i ~ StudentT(dof, {predictor}, noise)"

    def parameter_lines(self) -> list[str]:
        """Their priors."""
        noise = "=" if isinstance(self.noise_sd, float) else "~"
        dof = "~" if isinstance(self.dof, Prior) else "="
        return [
            f"noise {noise} {describe(self.noise_sd, 'HalfNormal(s_y)')}",
            f"dof {dof} {describe(self.dof, '')}",
        ]


def _scale(response: np.ndarray) -> float:
    """From the median absolute deviation from the median."""
    return SD_OF_MAD * float(np.median(np.abs(response - np.median(response))))


@inlined_kernel
def _terms(y, eta, size, parameters):
    precision, dof = math.exp(-2.0 * parameters[0]), math.exp(parameters[1])
    residual = y - eta
    one_plus = 1.0 + residual * residual * precision / dof
    pull = precision * (dof + 1.0) / dof
    information = precision * (dof + 1.0) / (dof + 3.0)
    return -0.5 * (dof + 1.0) * log(one_plus), pull * residual / one_plus, information


@inner_kernel
def _log_constant(log_sd, log_dof):
    """What of the log density of a row has no predictor."""
    dof = math.exp(log_dof)
    value = math.lgamma(0.5 * (dof + 1.0)) - math.lgamma(0.5 * dof)
    return value - 0.5 * (math.log(math.pi) + log_dof) - log_sd


@row_kernel
def _log_tails(square, weight, log_sd, log_dof):
    """``-(dof + 1) / 2`` times the sum of ``log(1 + r^2 / (dof sd^2))``."""
    factor, total = math.exp(-2.0 * log_sd - log_dof), 0.0
    for i in range(square.shape[0]):
        total += weight[i] * log(1.0 + square[i] * factor)
    return -0.5 * (math.exp(log_dof) + 1.0) * total


@inner_kernel
def _log_sd(x, args):
    """Log density of the log of the noise sd given residuals and degrees of freedom."""
    square, weight, total, log_dof, prior_args = args
    value = _log_tails(square, weight, x, log_dof) - total * x
    return value + shared_prior_term(x, prior_args)


@inner_kernel
def _ridge(log_dof):
    """Log of ``dof / (dof + 1)``.

    By Fisher's information (Lange, Little and Taylor 1989, J. Am. Stat. Assoc. 84), the scale over
    this and the degrees of freedom are orthogonal.
    """
    return -math.log1p(math.exp(-log_dof))


@inner_kernel
def _log_dof(x, args):
    """Log density of the log of the degrees of freedom given residuals and noise sd.

    ``slope`` 1 moves along the ridge, where the noise sd stays in proportion to ``dof / (dof + 1)``
    (a shear: its Jacobian is 1); 0 keeps the noise sd.
    """
    square, weight, total, base, slope, prior_args, row = args
    log_sd = base + slope * _ridge(x)
    value = _log_tails(square, weight, log_sd, x) + total * _log_constant(log_sd, x)
    return value + shared_prior_term(log_sd, prior_args) + log_density(row, math.exp(x)) + x


_slice_sd, _slice_dof = slice_sampler(_log_sd), slice_sampler(_log_dof)
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
    """Hamiltonian moves, and draws given the precisions of the rows."""
    _move(rows, parameters, sites, population, value, kicks, accepted, rng)
    draw_given_precisions(rows, parameters, population, rng)
    _evaluate(rows, population[3], parameters, value)


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
    """Slice sampling of the logs of the noise sd and the degrees of freedom, these on the ridge.

    ``prior`` also has what `bayesmtl.likelihoods.noise.shared_prior_term` needs.
    """
    table, unit, signal, r2_row = prior
    square = np.empty(rows.response.shape[0])
    predict_rows(rows, weights, square)
    total = 0.0
    for i in range(square.shape[0]):
        square[i] = (rows.response[i] - square[i]) ** 2
        total += rows.weight[i]
    prior_args, slope = (unit, table[0], signal, r2_row), 0.0
    if table[0, 0] != FIXED:
        arguments = (square, rows.weight, total, parameters[1], prior_args)
        parameters[0] = _slice_sd(arguments, parameters[0], 0.3, rng)
        slope = 1.0
    if table[1, 0] != FIXED:
        base = parameters[0] - slope * _ridge(parameters[1])
        known = (square, rows.weight, total, base, slope, prior_args, table[1])
        parameters[1] = _slice_dof(known, parameters[1], 1.0, rng)
        parameters[0] = base + slope * _ridge(parameters[1])


@kernel
def log_parameters(rows, parameters, prior):
    """Log prior densities of noise sd and degrees of freedom, and the constants of the rows."""
    table, unit, _, _ = prior
    total = 0.0
    for i in range(rows.weight.shape[0]):
        total += rows.weight[i]
    value = total * _log_constant(parameters[0], parameters[1])
    value += log_density(table[0], unit * math.exp(parameters[0]))
    return value + log_density(table[1], math.exp(parameters[1]))


def information(parameters: np.ndarray) -> np.ndarray:
    """Fisher information of a row about its predictor."""
    log_sd, dof = parameters[..., 0], np.exp(parameters[..., 1])
    return np.asarray(np.exp(-2.0 * log_sd) * (dof + 1.0) / (dof + 3.0))


_KERNELS = RowKernels(
    evaluate,
    moments,
    move,
    score,
    update,
    log_parameters,
    information=information,
    move_centers=move_centers,
    jumps=True,
)
