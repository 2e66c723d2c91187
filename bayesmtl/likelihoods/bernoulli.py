"""Bernoulli likelihood: yes or no."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_ndtr, ndtr

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted, Reference, WithoutParameters, refuse_rows
from bayesmtl.likelihoods.rows import RowKernels
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.elementary import exp, log_one_plus
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.row_loops import row_loops

__all__ = ["Bernoulli"]


@dataclass(frozen=True)
class Bernoulli(WithoutParameters):
    """``P(y_i = 1) = 1 / (1 + exp(-predictor_i))``, or ``Phi(predictor_i)``.

    Parameters
    ----------
    link : {"logit", "probit"}

    Raises
    ------
    InvalidModelError
        For another link.
    """

    link: str = "logit"

    def __post_init__(self) -> None:
        if self.link not in ("logit", "probit"):
            raise InvalidModelError(f"link must be 'logit' or 'probit', got {self.link!r}")

    @property
    def columns(self) -> Mapping[str, str | None]:
        """None."""
        return {}

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _LOGIT if self.link == "logit" else _PROBIT

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Refuse responses other than 0 and 1."""
        if response is None:
            return
        rule = "the response of bm.Bernoulli() must be 0 or 1 in every row"
        refuse_rows((response != 0.0) & (response != 1.0), response, position, rule)

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """Even odds."""
        return Reference(0.0, 4.0 if self.link == "logit" else 0.5 * math.pi)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros_like(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """Log probability of each response."""
        signed = np.where(response > 0.5, rows.predictor, -rows.predictor)
        return np.asarray(log_expit(signed) if self.link == "logit" else log_ndtr(signed))

    def expected(self, rows: Predicted) -> np.ndarray:
        """P(y = 1)."""
        return np.asarray((expit if self.link == "logit" else ndtr)(rows.predictor))

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """Zeros and ones."""
        drawn = rng.random(rows.predictor.shape) < self.expected(rows)
        return np.asarray(drawn, dtype=np.float64)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        if self.link == "logit":
            return pm.Bernoulli, {"logit_p": predictor}
        return pm.Bernoulli, {"p": pm.math.invprobit(predictor)}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre and noise variance of the default priors."""
        return "0", "4" if self.link == "logit" else "pi / 2"

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        inverse = "logit^-1" if self.link == "logit" else "Phi"
        return f"y_i ~ Bernoulli({inverse}({predictor}))"


@inner_kernel
def _logit_terms(y, eta, size, parameters):
    e = exp(-abs(eta))
    top = 1.0 if eta >= 0.0 else e
    density = y * eta - max(eta, 0.0) - log_one_plus(e)
    return density, y - top / (1.0 + e), e / ((1.0 + e) * (1.0 + e))


@inner_kernel
def _probit_terms(y, eta, size, parameters):
    signed = eta if y > 0.5 else -eta
    density, ratio = _normal_tail(signed)
    # Fisher information phi^2 / (Phi (1 - Phi)).
    _, other = _normal_tail(-signed)
    return density, ratio if y > 0.5 else -ratio, ratio * other


@inner_kernel
def _normal_tail(x):
    """``log Phi(x)`` and ``phi(x) / Phi(x)``."""
    if x > -5.0:
        value = 0.5 * math.erfc(-x / math.sqrt(2.0))
        ratio = math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi) / value
        return math.log(value), ratio
    # Continued fraction of Mills' ratio (Abramowitz and Stegun 1964, 26.2.14).
    mills = -x
    for k in range(30, 0, -1):
        mills = -x + k / mills
    return -0.5 * x * x - 0.5 * math.log(2.0 * math.pi) - math.log(mills), mills


_evaluate_logit, _moments_logit, _move_logit, _score_logit = row_loops(_logit_terms)
_move_centers_logit = center_loops(_logit_terms)
_evaluate_probit, _moments_probit, _move_probit, _score_probit = row_loops(_probit_terms)
_move_centers_probit = center_loops(_probit_terms)


@kernel
def evaluate_logit(rows, weights, parameters, out):
    """See `bayesmtl.likelihoods.rows.RowKernels`, as the others below."""
    _evaluate_logit(rows, weights, parameters, out)


@kernel
def moments_logit(rows, weights, parameters, gram, score):
    """Information and gradient."""
    _moments_logit(rows, weights, parameters, gram, score)


@kernel
def move_logit(rows, parameters, sites, population, value, kicks, accepted, rng):
    """Hamiltonian moves."""
    _move_logit(rows, parameters, sites, population, value, kicks, accepted, rng)


@kernel
def score_logit(rows, weights, parameters, out):
    """Gradient."""
    _score_logit(rows, weights, parameters, out)


@kernel
def move_centers_logit(rows, parameters, population, clusters, path, b, labels, rng):
    """Moves of cluster means."""
    return _move_centers_logit(rows, parameters, population, clusters, path, b, labels, rng)


@kernel
def evaluate_probit(rows, weights, parameters, out):
    """Log-likelihood."""
    _evaluate_probit(rows, weights, parameters, out)


@kernel
def moments_probit(rows, weights, parameters, gram, score):
    """Information and gradient."""
    _moments_probit(rows, weights, parameters, gram, score)


@kernel
def move_probit(rows, parameters, sites, population, value, kicks, accepted, rng):
    """Hamiltonian moves."""
    _move_probit(rows, parameters, sites, population, value, kicks, accepted, rng)


@kernel
def score_probit(rows, weights, parameters, out):
    """Gradient."""
    _score_probit(rows, weights, parameters, out)


@kernel
def move_centers_probit(rows, parameters, population, clusters, path, b, labels, rng):
    """Moves of cluster means."""
    return _move_centers_probit(rows, parameters, population, clusters, path, b, labels, rng)


_LOGIT = RowKernels(
    evaluate_logit, moments_logit, move_logit, score_logit, move_centers=move_centers_logit
)
_PROBIT = RowKernels(
    evaluate_probit, moments_probit, move_probit, score_probit, move_centers=move_centers_probit
)
