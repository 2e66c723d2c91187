"""Binomial likelihood: successes among trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, expit, log_expit

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted, Reference, WithoutParameters, refuse_rows
from bayesmtl.likelihoods.rows import RowKernels
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.elementary import exp, log_one_plus
from bayesmtl.numerics.jit import inlined_kernel, kernel
from bayesmtl.numerics.row_loops import row_loops

__all__ = ["Binomial"]


@dataclass(frozen=True)
class Binomial(WithoutParameters):
    """``y_i ~ Binomial(trials_i, 1 / (1 + exp(-predictor_i)))``.

    Parameters
    ----------
    trials : str
        Column with the number of trials of each row, positive whole numbers.

    Raises
    ------
    InvalidModelError
        When it is not the name of a column.
    """

    trials: str

    def __post_init__(self) -> None:
        if not isinstance(self.trials, str):
            raise InvalidModelError(f"trials must be the name of a column, got {self.trials!r}")

    @property
    def columns(self) -> Mapping[str, str | None]:
        """The trials."""
        return {"trials": self.trials}

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""
        return _KERNELS

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Refuse trials that are no positive counts, and successes that are not among them."""
        rule = f"the trials in column {self.trials!r} must be positive whole numbers"
        refuse_rows((size <= 0.0) | (size != np.floor(size)), size, position, rule)
        if response is not None:
            rule = (
                "the response of bm.Binomial() must be a whole number from 0 to the trials in "
                f"column {self.trials!r} in every row"
            )
            bad = (response < 0.0) | (response > size) | (response != np.floor(response))
            refuse_rows(bad, response, position, rule)

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """Even odds, and one trial: rows may be added up or not."""
        return Reference(0.0, 4.0)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros_like(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """Log probability of each response."""
        failures = rows.size - response
        log_choose = -np.log1p(rows.size) - betaln(response + 1.0, failures + 1.0)
        successes = response * log_expit(rows.predictor)
        return np.asarray(log_choose + successes + failures * log_expit(-rows.predictor))

    def expected(self, rows: Predicted) -> np.ndarray:
        """Expected number of successes."""
        return np.asarray(rows.size * expit(rows.predictor))

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """Numbers of successes."""
        probability = expit(rows.predictor)
        return rng.binomial(rows.size.astype(np.int64), probability).astype(np.float64)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm

        return pm.Binomial, {"n": size, "logit_p": predictor}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre and noise variance of the default priors."""
        return "0", "4"

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        return f"y_i ~ Binomial({self.trials}, logit^-1({predictor}))"


@inlined_kernel
def _terms(y, eta, size, parameters):
    e = exp(-abs(eta))
    top = 1.0 if eta >= 0.0 else e
    density = y * eta - size * (max(eta, 0.0) + log_one_plus(e))
    probability = top / (1.0 + e)
    return density, y - size * probability, size * e / ((1.0 + e) * (1.0 + e))


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
