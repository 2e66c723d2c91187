"""Poisson likelihood: counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted, Reference, WithoutParameters, refuse_rows
from bayesmtl.likelihoods.rows import RowKernels
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.elementary import exp
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.row_loops import row_loops

__all__ = ["Poisson"]


@dataclass(frozen=True)
class Poisson(WithoutParameters):
    """``y_i ~ Poisson(exposure_i exp(predictor_i))``.

    Parameters
    ----------
    exposure : str, optional
        Column with the exposure of each row, positive; 1 without it.

    Raises
    ------
    InvalidModelError
        When it is not the name of a column.
    """

    exposure: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.exposure, str | None):
            raise InvalidModelError(f"exposure must be the name of a column, got {self.exposure!r}")

    @property
    def columns(self) -> Mapping[str, str | None]:
        """The exposure."""
        return {"exposure": self.exposure}

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _KERNELS

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Refuse responses that are no counts, and exposures that are not positive."""
        if response is not None:
            rule = "the response of bm.Poisson() must be a whole number of at least 0 in every row"
            bad = (response < 0.0) | (response != np.floor(response))
            refuse_rows(bad, response, position, rule)
        rule = f"the exposure in column {self.exposure!r} must be positive in every row"
        refuse_rows(size <= 0.0, size, position, rule)

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """The pooled rate; half a count guards against none."""
        total, exposure = float(weight @ response) + 0.5, float(weight @ size)
        return Reference(math.log(total / exposure), float(weight.sum()) / total)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Log exposure."""
        return np.log(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """Log probability of each response."""
        eta = rows.predictor
        return np.asarray(response * eta - np.exp(eta) - gammaln(response + 1.0))

    def expected(self, rows: Predicted) -> np.ndarray:
        """The rate of the row, exposure included."""
        return np.exp(rows.predictor)

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """Counts."""
        # Beyond, the generator of NumPy refuses.
        rate = np.minimum(np.exp(rows.predictor), 1e18)
        return rng.poisson(rate).astype(np.float64)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        return pm.Poisson, {"mu": pm.math.exp(predictor)}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre and noise variance of the default priors."""
        rate = "mean(y)" if self.exposure is None else f"sum(y) / sum({self.exposure})"
        return f"log({rate})", "1 / mean(y)"

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        exposure = "" if self.exposure is None else f"{self.exposure} "
        return f"y_i ~ Poisson({exposure}exp({predictor}))"


@inner_kernel
def _terms(y, eta, size, parameters):
    rate = exp(eta)
    return y * eta - rate, y - rate, rate


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


_KERNELS = RowKernels(evaluate, moments, move, score, move_centers=move_centers)
