"""What a likelihood that is not Gaussian says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from bayesmtl.errors import InvalidDataError
from bayesmtl.likelihoods.rows import NO_PARAMETERS, ParameterBlock, RowKernels

__all__ = ["Predicted", "Reference", "RowLikelihood", "WithoutParameters", "refuse_rows"]


class Reference(NamedTuple):
    """Where default priors are centred, and the noise that the joint prior refers to.

    Parameters
    ----------
    center : float
        Predictor of an average row.
    noise_variance : float
        One over the Fisher information of an average row about its predictor.
    """

    center: float
    noise_variance: float


class Predicted(NamedTuple):
    """What a likelihood needs to speak of rows under posterior draws.

    Parameters
    ----------
    predictor : (row, sample)
    size : (row, 1)
        Trials or exposure, 1 without.
    noise_sd : (row, sample) or (row, 1)
        NaN where there is none, or it is not asked for.
    parameters : (parameter, sample)
        Of the likelihood, as its kernels see them.
    """

    predictor: np.ndarray
    size: np.ndarray
    noise_sd: np.ndarray
    parameters: np.ndarray = np.zeros((0, 1))


class RowLikelihood(Protocol):
    """A likelihood that is not Gaussian."""

    @property
    def columns(self) -> Mapping[str, str | None]:
        """Column of each role: "trials" or "exposure"."""

    @property
    def kernels(self) -> RowKernels:
        """Compiled loops over rows."""

    @property
    def parameters(self) -> tuple[ParameterBlock, ...]:
        """What all tasks share beside their relation."""

    @property
    def prior(self) -> np.ndarray:
        """Prior of the parameters, for the kernels."""

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Known parameters, or an estimate from all rows."""

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """From the prior."""

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Refuse responses outside the support, where there are any, and meaningless sizes.

        Raises
        ------
        InvalidDataError
            Naming the first rows.
        """

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """From all rows."""

    def offset(self, size: np.ndarray) -> np.ndarray:
        """What the size adds to the predictor."""

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """(row, sample) log density of the responses (row, 1)."""

    def expected(self, rows: Predicted) -> np.ndarray:
        """(row, sample) expected response; (row, sample, level) probabilities of ordered levels."""

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """(row, sample) draws of the response."""

    def add_parameters(self) -> Any:
        """PyMC variables of the parameters, named as in the posterior."""

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""

    def story(self, predictor: str) -> str:
        """One line of the generative story."""

    @property
    def reference_story(self) -> tuple[str, str]:
        """What `reference` gives, in words."""

    def parameter_lines(self) -> list[str]:
        """Lines of the generative story about the parameters."""


class WithoutParameters:
    """What a likelihood says that has no parameters beside the predictor."""

    parameters: tuple[ParameterBlock, ...] = ()

    @property
    def prior(self) -> np.ndarray:
        """No rows."""
        return NO_PARAMETERS.prior

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """None."""
        return NO_PARAMETERS.start

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """None."""
        return NO_PARAMETERS.start

    def add_parameters(self) -> Any:
        """None."""
        return None

    def parameter_lines(self) -> list[str]:
        """None."""
        return []


def refuse_rows(bad: np.ndarray, values: np.ndarray, position: np.ndarray, rule: str) -> None:
    """Refuse data where some rows break a rule.

    Raises
    ------
    InvalidDataError
        Naming the number of such rows, and the first of them.
    """
    if bad.any():
        first = ", ".join(
            f"row {row} has {value:g}"
            for row, value in zip(position[bad][:5], values[bad][:5], strict=True)
        )
        count = int(bad.sum())
        raise InvalidDataError(
            f"{rule}; {count} {'row breaks' if count == 1 else 'rows break'} this rule: {first}"
            f"{', ...' if count > 5 else ''}"
        )
