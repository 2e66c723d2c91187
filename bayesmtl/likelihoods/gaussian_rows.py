"""Gaussian likelihood of rows among tasks with other likelihoods, where sites are not exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmtl.likelihoods.noise import shared_prior_term
from bayesmtl.likelihoods.pilot import inside, pilot_noise
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.likelihoods.rows import ParameterBlock, RowData, RowKernels
from bayesmtl.numerics.densities import ROW, log_density
from bayesmtl.numerics.jit import inlined_kernel, inner_kernel, kernel
from bayesmtl.numerics.row_loops import predict_rows, row_loops
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.priors import Prior, sample_value, table_row

__all__ = ["GaussianRows"]


@dataclass(frozen=True)
class GaussianRows:
    """``y_i ~ Normal(predictor_i, (noise_sd size_i)^2)``.

    Parameters
    ----------
    noise_sd : Prior or None
        Of the sd that all rows share, their sizes being 1; None where it is 1 and the sizes are
        known sds.
    """

    noise_sd: Prior | None

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _KERNELS if self.noise_sd is not None else _KNOWN

    @property
    def parameters(self) -> tuple[ParameterBlock, ...]:
        """The noise sd where it is learned."""
        return () if self.noise_sd is None else (ParameterBlock("noise_sd", log=True),)

    @property
    def prior(self) -> np.ndarray:
        """A row of `bayesmtl.numerics.densities`, of the sd itself."""
        return np.zeros((0, ROW)) if self.noise_sd is None else table_row(self.noise_sd)[None]

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The sd of the response."""
        if self.noise_sd is None:
            return np.zeros(0)
        return np.log([inside(self.noise_sd, float(response.std()) or 1.0)])

    def pilot(self, rows: RowData, start: np.ndarray, unit: float) -> np.ndarray:
        """Starting parameters with the scale of the residuals, all in units of ``unit``."""
        out = start.copy()
        if self.noise_sd is not None:
            pilot_noise(rows, _KERNELS, out, self.noise_sd, unit)
        return out

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """From the prior."""
        return np.zeros(0) if self.noise_sd is None else np.log([sample_value(self.noise_sd, rng)])

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """With noise."""
        sd = rows.size if self.noise_sd is None else rows.size * np.exp(rows.parameters[0])
        return np.asarray(rows.predictor + sd * rng.standard_normal(rows.predictor.shape))

    def add_parameters(self) -> Any:
        """PyMC variable of the noise sd."""
        from bayesmtl.relations.exchangeable.graph import random_variable

        return None if self.noise_sd is None else random_variable("noise_sd", self.noise_sd)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        return pm.Normal, {"mu": predictor, "sigma": size if parameters is None else parameters}


@inlined_kernel
def _terms(y, eta, size, parameters):
    log_sd = parameters[0] if parameters.shape[0] > 0 else 0.0
    precision = math.exp(-2.0 * log_sd) / (size * size)
    residual = y - eta
    return -0.5 * precision * residual * residual, precision * residual, precision


@inner_kernel
def _log_sd(x, args):
    """Log density of the log of the noise sd given the residuals."""
    count, square, prior_args = args
    return -count * x - 0.5 * square * math.exp(-2.0 * x) + shared_prior_term(x, prior_args)


_slice_sd = slice_sampler(_log_sd)
_evaluate, _moments, _move, _score = row_loops(_terms)


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
def update(rows, weights, parameters, prior, rng):
    """Slice sampling of the log of the noise sd.

    ``prior`` also has what `bayesmtl.likelihoods.noise.shared_prior_term` needs.
    """
    table, unit, signal, r2_row = prior
    eta = np.empty(rows.response.shape[0])
    predict_rows(rows, weights, eta)
    count, square = 0.0, 0.0
    for i in range(eta.shape[0]):
        count += rows.weight[i]
        square += rows.weight[i] * (rows.response[i] - eta[i]) ** 2
    prior_args = (unit, table[0], signal, r2_row)
    parameters[0] = _slice_sd((count, square, prior_args), parameters[0], 0.3, rng)


@kernel
def log_parameters(rows, parameters, prior):
    """Log prior density of the noise sd, and the constants of the rows."""
    table, unit, _, _ = prior
    value = log_density(table[0], unit * math.exp(parameters[0]))
    return value - parameters[0] * rows.weight.sum()


def information(parameters: np.ndarray) -> np.ndarray:
    """Fisher information of a row about its predictor."""
    return np.asarray(np.exp(-2.0 * parameters[..., 0]))


_KERNELS = RowKernels(
    evaluate, moments, move, score, update, log_parameters, information=information
)
_KNOWN = RowKernels(evaluate, moments, move, score)
