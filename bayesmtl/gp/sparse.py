"""Settings and results of sparse multi-task Gaussian processes: values without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.kernels import KERNELS

__all__ = [
    "COREGIONALIZATIONS",
    "JITTER",
    "LIKELIHOODS",
    "SparseFit",
    "SparseSettings",
    "SparseStart",
    "check_choices",
]

LIKELIHOODS = ("gaussian", "bernoulli", "poisson", "student_t")
COREGIONALIZATIONS = ("icm", "lmc")
JITTER = 1e-6  # added to the unit variances of the inducing values, in training and prediction


@dataclass(frozen=True)
class SparseSettings:
    """How a sparse Gaussian process is trained, and the priors of its point estimates.

    Parameters
    ----------
    n_inducing : int
        Inducing points; all distinct inputs where these are fewer.
    batch_size : int
        Distinct inputs of one step, which takes all rows of each.
    epochs : int
        At most so many passes over the rows.
    learning_rate : float
        First step size of Adam, for everything but q(u).
    natural_rate : float
        First step size of natural gradients, for q(u); above 0, at most 1.
    tolerance : float
        Training slows down, then stops, when the bound rises by less than this per row, in nats.
    learn_inducing : bool
        Whether the inducing points move.
    lengthscale_median : float, optional
        Of the log-normal prior of each length-scale, in half ranges of the input; by default that
        of `MultiTaskGP`, or sqrt(2 inputs), the typical distance of two rows of standardised
        inputs, where arrays are fitted.
    lengthscale_log_sd : float
        Its standard deviation on the log scale.
    loading_sd : float
        Of the Normal(0, sd) prior of each loading, in units of the response or its link.
    noise_scale : float
        Of the half-normal prior of each noise standard deviation, in units of the response.
    device : str, optional
        "cpu" or "cuda"; CUDA by default where there is one.

    Raises
    ------
    InvalidModelError
        For a size or scale that is not positive.
    """

    n_inducing: int = 256
    batch_size: int = 1024
    epochs: int = 1000
    learning_rate: float = 0.03
    natural_rate: float = 0.1
    tolerance: float = 1e-3
    learn_inducing: bool = True
    lengthscale_median: float | None = None
    lengthscale_log_sd: float = 1.0
    loading_sd: float = 1.0
    noise_scale: float = 1.0
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("n_inducing", "batch_size", "epochs"):
            value, least = getattr(self, name), 0 if name == "epochs" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidModelError(
                    f"{name} must be an integer of at least {least}, got {value!r}"
                )
        for name in (
            "learning_rate",
            "natural_rate",
            "tolerance",
            "lengthscale_median",
            "lengthscale_log_sd",
            "loading_sd",
            "noise_scale",
        ):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InvalidModelError(f"{name} must be a positive number, got {value!r}")
        if self.natural_rate > 1:
            raise InvalidModelError(f"natural_rate must be at most 1, got {self.natural_rate!r}")


class SparseStart(NamedTuple):
    """Point estimates to start from; with ``epochs=0`` they stay, and only q(u) is fitted.

    Parameters
    ----------
    inducing : (inducing, input)
    lengthscale : (kernel, input), one kernel for "icm", one for each latent function for "lmc"
    loadings : (task, latent)
    noise_sd : (task,)
        Scale of the Student t; not used by "bernoulli" and "poisson".
    intercept : (task,)
    degrees_of_freedom : float
        Of the Student t.
    """

    inducing: np.ndarray
    lengthscale: np.ndarray
    loadings: np.ndarray
    noise_sd: np.ndarray
    intercept: np.ndarray
    degrees_of_freedom: float = 4.0


class SparseFit(NamedTuple):
    """A trained sparse Gaussian process, as arrays.

    ``f_t(x) = intercept_t + sum_q loadings_tq g_q(x)`` with ``g_q`` of unit variance, whose values
    at the inducing points are ``u_q = L v_q`` (whitened), ``L L' = K + JITTER I`` and
    ``q(v_q) = Normal(mean_q, root_q root_q')``, independent over q. The covariance of the tasks is
    ``loadings loadings'`` (of "lmc": one term for each q).

    Parameters
    ----------
    kernel, likelihood : str
    inducing : (inducing, input)
    lengthscale : (latent, input)
        Equal rows under "icm".
    loadings : (task, latent)
        Signed; of "lmc" up to the sign of a column, of "icm" in axes that the rows couple least.
    noise_sd : (task,)
        NaN where the likelihood has none.
    intercept : (task,)
    degrees_of_freedom : float
        NaN unless "student_t".
    mean : (latent, inducing)
    root : (latent, inducing, inducing)
        Lower triangular.
    elbo : float
        Bound of the log marginal likelihood of all rows, given the point estimates.
    elbo_trace : (epoch,)
        Mean over the steps of each epoch, before priors.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    kernel: str
    likelihood: str
    inducing: np.ndarray
    lengthscale: np.ndarray
    loadings: np.ndarray
    noise_sd: np.ndarray
    intercept: np.ndarray
    degrees_of_freedom: float
    mean: np.ndarray
    root: np.ndarray
    elbo: float
    elbo_trace: np.ndarray
    interrupted: bool


def check_choices(kernel: str, coregionalization: str, likelihood: str, rank: int) -> None:
    """Check the words and the rank.

    Raises
    ------
    InvalidModelError
        For a word that is not one of the choices, or a rank below one.
    """
    for name, value, choices in (
        ("kernel", kernel, KERNELS),
        ("coregionalization", coregionalization, COREGIONALIZATIONS),
        ("likelihood", likelihood, LIKELIHOODS),
    ):
        if value not in choices:
            raise InvalidModelError(
                f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
            )
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or rank < 1:
        raise InvalidModelError(f"rank must be an integer of at least 1, got {rank!r}")
