"""Ordinal likelihood: ordered levels, cumulative logit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logit

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.protocol import Predicted, Reference
from bayesmtl.likelihoods.rows import NO_PARAMETERS, ParameterBlock, RowKernels
from bayesmtl.numerics.center_loops import center_loops
from bayesmtl.numerics.elementary import exp, log_one_plus
from bayesmtl.numerics.jit import inlined_kernel, inner_kernel, kernel, row_kernel
from bayesmtl.numerics.row_loops import predict_rows, row_loops
from bayesmtl.numerics.slicing import slice_sampler

__all__ = ["Ordinal"]


@dataclass(frozen=True)
class Ordinal:
    """``P(y_i <= level k) = 1 / (1 + exp(-(threshold_k - predictor_i)))``.

    The thresholds are shared by all tasks and take the place of the intercepts' mean, which is 0.
    Their prior is that of a flat Dirichlet distribution of the level probabilities at predictor 0
    (Betancourt 2019, Ordinal Regression, section 2.2): with the Jacobian of the map from K - 1
    thresholds to K probabilities, ``(K - 1)! prod_k F(c_k) (1 - F(c_k))`` for increasing c, F the
    logistic distribution function. They are thus the order statistics of K - 1 independent
    standard logistic variables.

    In a mapping of likelihoods the tasks with equal levels share thresholds. Their intercepts then
    come from the same population as those of the other tasks, whose mean is free unless all tasks
    hold levels. The likelihood does not see what is added to all thresholds and to the predictors
    of their tasks: the priors of both, which are proper, divide a common level between them. Read
    the differences of thresholds and intercepts.

    Parameters
    ----------
    levels : sequence of str or of numbers
        All levels, from low to high, as the response column holds them; data may lack some.

    Raises
    ------
    InvalidModelError
        When these are not at least two different labels of one type.
    """

    levels: Any

    def __post_init__(self) -> None:
        levels = self.levels
        if isinstance(levels, np.ndarray):
            levels = levels.tolist()
        if isinstance(levels, str) or not isinstance(levels, Sequence) or len(levels) < 2:
            raise InvalidModelError(
                f"levels must be a list of two or more levels from low to high, got {levels!r}"
            )
        text = all(isinstance(level, str) for level in levels)
        numbers = all(
            isinstance(level, Real) and not isinstance(level, bool) and math.isfinite(level)
            for level in levels
        )
        if not (text or numbers):
            raise InvalidModelError(f"levels must be all text or all numbers, got {levels!r}")
        if len(set(levels)) < len(levels):
            raise InvalidModelError(f"levels must differ from each other, got {levels!r}")
        clean = levels if text else [_plain(level) for level in levels]
        object.__setattr__(self, "levels", tuple(clean))

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
        """The thresholds, named after the levels on their two sides."""
        pairs = zip(self.levels[:-1], self.levels[1:], strict=True)
        labels = tuple(f"{below}|{above}" for below, above in pairs)
        return (ParameterBlock("thresholds", labels, "threshold"),)

    @property
    def prior(self) -> np.ndarray:
        """Nothing to choose."""
        return NO_PARAMETERS.prior

    def start(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """From the pooled frequencies of the levels."""
        counts = np.bincount(response.astype(np.int64), weight, minlength=len(self.levels)) + 1.0
        return np.asarray(logit(np.cumsum(counts)[:-1] / counts.sum()))

    def draw_parameters(self, rng: np.random.Generator) -> np.ndarray:
        """Sorted standard logistic variables."""
        return np.sort(rng.logistic(size=len(self.levels) - 1))

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Nothing: unknown levels are refused where the response is read."""

    def reference(self, response: np.ndarray, size: np.ndarray, weight: np.ndarray) -> Reference:
        """Levels of equal probability: with two of them, even odds."""
        return Reference(0.0, self._noise_variance)

    @property
    def _noise_variance(self) -> float:
        """One over the Fisher information of levels of equal probability."""
        return 3.0 / (1.0 - 1.0 / len(self.levels) ** 2)

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros_like(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """Log probability of each response, the code of its level."""
        ends = np.full((1, rows.parameters.shape[1]), np.inf)
        bounds = np.concatenate([-ends, rows.parameters, ends])
        level = response[:, 0].astype(np.int64)
        low, high = bounds[level], bounds[level + 1]
        inside = log_expit(high - rows.predictor) + log_expit(rows.predictor - low)
        return np.asarray(inside + np.log(-np.expm1(low - high)))

    def expected(self, rows: Predicted) -> np.ndarray:
        """(row, sample, level) probabilities."""
        below = expit(rows.parameters.T - rows.predictor[..., None])
        ends = np.zeros((*rows.predictor.shape, 1))
        return np.diff(np.concatenate([ends, below, 1.0 + ends], axis=-1))

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """Codes of levels."""
        latent = rows.predictor + rng.logistic(size=rows.predictor.shape)
        return (latent[..., None] > rows.parameters.T).sum(axis=-1).astype(np.float64)

    def add_parameters(self) -> Any:
        """PyMC variables of the thresholds and of the level probabilities that they come from."""
        import pymc as pm
        import pytensor.tensor as pt

        share = pm.Dirichlet("level_probability", a=np.ones(len(self.levels)))
        below, above = pt.cumsum(share)[:-1], pt.cumsum(share[::-1])[::-1][1:]
        # With several sets of thresholds each has a dimension of its own, under another name.
        dims = "threshold" if "threshold" in pm.modelcontext(None).coords else None
        return pm.Deterministic("thresholds", pt.log(below) - pt.log(above), dims=dims)

    def variable(self, predictor: Any, size: Any, parameters: Any) -> tuple[Any, dict[str, Any]]:
        """Class of PyMC and its parameters."""
        import pymc as pm
        import pytensor.tensor as pt

        distance = parameters - predictor[:, None]
        below, above = -pt.softplus(-distance), -pt.softplus(distance)
        between = pt.log(-pt.expm1(parameters[:-1] - parameters[1:]))
        middle = below[:, 1:] + above[:, :-1] + between
        parts = [below[:, :1], middle, above[:, -1:]]
        return pm.Categorical, {"logit_p": pt.concatenate(parts, axis=1)}

    @property
    def reference_story(self) -> tuple[str, str]:
        """Centre and noise variance of the default priors."""
        return "0", f"{self._noise_variance:.4g}"

    def story(self, predictor: str) -> str:
        """One line of the generative story."""
        known = predictor if predictor.isidentifier() else f"({predictor})"
        return f"P(y_i <= level k) = logit^-1(threshold_k - {known})"

    def parameter_lines(self) -> list[str]:
        """Levels and the prior of the thresholds."""
        return [
            f"levels {' < '.join(map(str, self.levels))}",
            "thresholds: level probabilities at predictor 0 ~ Dirichlet(1, ..., 1)",
        ]


def _plain(level: Any) -> float | int:
    """Whole numbers as int, so that they print as such."""
    return int(level) if float(level).is_integer() else float(level)


@inlined_kernel
def _terms(y, eta, size, parameters):
    """What depends on eta; the information is the observed one, of mean Fisher's."""
    k, last = int(y), parameters.shape[0]
    low = eta - parameters[k - 1] if k > 0 else np.inf
    high = parameters[k] - eta if k < last else np.inf
    e, f = exp(-abs(low)), exp(-abs(high))
    density = min(low, 0.0) + min(high, 0.0) - log_one_plus(e) - log_one_plus(f)
    # 1 - F of each argument.
    rest = (e if low >= 0.0 else 1.0) / (1.0 + e)
    other = (f if high >= 0.0 else 1.0) / (1.0 + f)
    return density, rest - other, rest * (1.0 - rest) + other * (1.0 - other)


@inner_kernel
def _log_width(low, high):
    """What of the log probability of a level depends on its thresholds alone."""
    return math.log(-math.expm1(low - high)) if high > low else -np.inf


@inner_kernel
def _log_prior(c):
    e = exp(-abs(c))
    return -abs(c) - 2.0 * log_one_plus(e)


@row_kernel
def _log_threshold(c, args):
    """Log density of a threshold given its neighbours and the predictors of the levels beside."""
    low, high, below, weight_below, above, weight_above = args
    if not low < c < high:
        return -np.inf
    total = _log_prior(c)
    total += weight_below.sum() * _log_width(low, c) + weight_above.sum() * _log_width(c, high)
    for i in range(below.shape[0]):
        x = c - below[i]
        total += weight_below[i] * (min(x, 0.0) - log_one_plus(exp(-abs(x))))
    for i in range(above.shape[0]):
        x = above[i] - c
        total += weight_above[i] * (min(x, 0.0) - log_one_plus(exp(-abs(x))))
    return total


@inner_kernel
def _log_shift(x, args):
    """Log density of a shift of all thresholds and intercepts."""
    linear, square, thresholds = args
    total = linear * x - 0.5 * square * x * x
    for c in thresholds:
        total += _log_prior(c + x)
    return total


_slice_threshold = slice_sampler(_log_threshold)
_slice_shift = slice_sampler(_log_shift)
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
    """Slice sampling of each threshold in turn."""
    n, last = rows.response.shape[0], parameters.shape[0]
    eta = np.empty(n)
    predict_rows(rows, weights, eta)
    # Rows in the order of their levels.
    begin = np.zeros(last + 3, dtype=np.int64)
    for i in range(n):
        begin[int(rows.response[i]) + 2] += 1
    for k in range(last + 2):
        begin[k + 1] += begin[k]
    ordered, weight = np.empty(n), np.empty(n)
    for i in range(n):
        k = int(rows.response[i]) + 1
        ordered[begin[k]], weight[begin[k]] = eta[i], rows.weight[i]
        begin[k] += 1
    for k in range(last):
        low = parameters[k - 1] if k > 0 else -np.inf
        high = parameters[k + 1] if k + 1 < last else np.inf
        below = slice(begin[k], begin[k + 1])
        above = slice(begin[k + 1], begin[k + 2])
        arguments = (low, high, ordered[below], weight[below], ordered[above], weight[above])
        parameters[k] = _slice_threshold(arguments, parameters[k], 1.0, rng)


@kernel
def shift(parameters, linear, square, rng):
    """Draw a shift of all thresholds and intercepts, which leaves the likelihood as it is.

    ``linear x - square x^2 / 2`` is what a shift x of the intercepts adds to their log density.
    """
    return _slice_shift((linear, square, parameters), 0.0, 1.0, rng)


@kernel
def log_parameters(rows, parameters, prior):
    """Log prior density of the thresholds, and of the likelihood the widths of the levels."""
    last = parameters.shape[0]
    total = math.lgamma(last + 1.0)
    for k in range(last):
        total += _log_prior(parameters[k])
    counts = np.zeros(last + 1)
    for i in range(rows.response.shape[0]):
        counts[int(rows.response[i])] += rows.weight[i]
    for k in range(1, last):
        total += counts[k] * _log_width(parameters[k - 1], parameters[k])
    return total


_KERNELS = RowKernels(
    evaluate, moments, move, score, update, log_parameters, shift, move_centers=move_centers
)
