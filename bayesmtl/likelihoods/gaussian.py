"""Gaussian likelihood: settings, exact sites from rows, and the state of its noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.labels import label_texts
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL, SHARED
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.priors import Prior, PriorLike, table_row
from bayesmtl.relations.settings import clean, require_support

__all__ = ["Gaussian", "NoiseState", "Sites", "gaussian_sites", "noise_state"]


@dataclass(frozen=True)
class Gaussian:
    """``y_i ~ Normal(predictor_i, noise^2)``.

    Parameters
    ----------
    noise : {"hierarchical", "shared"}
        One noise sd per task with ``log sd_t ~ Normal(log median, spread)``, or one for all tasks.
    noise_sd : Prior, float, array or {task: float}
        Shared noise: prior of the sd, default HalfNormal(s_y). Hierarchical: prior of the median
        over tasks, default LogNormal(log s_y, 1). A number is the noise sd of every task, an array
        or a mapping that of each.
    noise_spread : Prior or float
        Hierarchical noise: sd of the log noise sds, default HalfNormal(0.5). Beside it a number for
        ``noise_sd`` is the median over tasks.
    se : str
        Column with the known standard error of each row; then nothing is learned of the noise.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.
    """

    noise: str = "hierarchical"
    noise_sd: Any = None
    noise_spread: Any = None
    se: str | None = None

    def __post_init__(self) -> None:
        if self.noise not in ("hierarchical", "shared"):
            raise InvalidModelError(f"noise must be 'hierarchical' or 'shared', got {self.noise!r}")
        if not isinstance(self.se, str | None):
            raise InvalidModelError(f"se must be the name of a column, got {self.se!r}")
        for name in ("noise_sd", "noise_spread"):
            object.__setattr__(self, name, clean(getattr(self, name), name))
            require_support(getattr(self, name), name, 0.0)
        if isinstance(self.noise_spread, Mapping | tuple):
            raise InvalidModelError("noise_spread must be one prior or number")
        for value, name in ((self.noise_sd, "noise_sd"), (self.noise_spread, "noise_spread")):
            self._check_numbers(value, name)
        self._check_combination()

    def _check_combination(self) -> None:
        if self.se is not None and (self.noise_sd is not None or self.noise_spread is not None):
            raise InvalidModelError("se= fixes the noise: leave noise_sd and noise_spread out")
        if self.noise == "shared" and self.noise_spread is not None:
            raise InvalidModelError("noise_spread belongs to noise='hierarchical'")
        if isinstance(self.noise_sd, Mapping | tuple) and self.noise_spread is not None:
            raise InvalidModelError(
                "noise_sd fixes the noise of every task: leave noise_spread out, or give noise_sd "
                "one prior or number, for the median over tasks"
            )

    @staticmethod
    def _check_numbers(value: Any, name: str) -> None:
        entries = list(value.values()) if isinstance(value, Mapping) else value
        for entry in entries if isinstance(entries, list | tuple) else [entries]:
            if isinstance(entries, list) and isinstance(entry, Prior):
                raise InvalidModelError(
                    f"{name}: a mapping {{task: sd}} holds numbers, got {entry}"
                )
            if isinstance(entry, float) and not entry > 0.0:
                raise InvalidModelError(f"{name} must be positive, got {entry:g}")

    @property
    def columns(self) -> Mapping[str, str | None]:
        """Known standard errors."""
        return {"se": self.se}

    def check(self, response: np.ndarray | None, size: np.ndarray, position: np.ndarray) -> None:
        """Any finite response will do."""

    def offset(self, size: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros_like(size)

    def log_density(self, response: np.ndarray, rows: Predicted) -> np.ndarray:
        """(row, sample) log density of the responses (row, 1)."""
        z = (response - rows.predictor) / rows.noise_sd
        return -0.5 * z**2 - np.log(rows.noise_sd) - 0.5 * np.log(2 * np.pi)

    def expected(self, rows: Predicted) -> np.ndarray:
        """The predictor."""
        return rows.predictor

    def sample(self, rows: Predicted, rng: np.random.Generator) -> np.ndarray:
        """With noise."""
        noise = rows.noise_sd * rng.standard_normal(rows.predictor.shape)
        return np.asarray(rows.predictor + noise)

    @property
    def fixed(self) -> bool:
        """Whether nothing is learned of the noise."""
        numbers = self.noise_sd is not None and not isinstance(self.noise_sd, Prior)
        return self.se is not None or (numbers and self.noise_spread is None)

    def priors(self, response_sd: float) -> tuple[PriorLike, PriorLike]:
        """Priors (or numbers) of the shared or median noise sd and of the spread."""
        if self.noise == "shared":
            default: PriorLike = Prior("HalfNormal", sigma=response_sd)
        else:
            default = Prior("LogNormal", mu=math.log(response_sd), sigma=1.0)
        sd = self.noise_sd if isinstance(self.noise_sd, Prior | float) else default
        spread = Prior("HalfNormal", sigma=0.5) if self.noise_spread is None else self.noise_spread
        return sd, spread

    def fixed_sds(self, tasks: np.ndarray) -> np.ndarray:
        """Noise sd of each task where it is fixed.

        Raises
        ------
        InvalidModelError
            When the numbers do not match the tasks.
        """
        if isinstance(self.noise_sd, Mapping):
            texts = label_texts(tasks)
            missing = [text for text in texts if text not in self.noise_sd]
            if missing:
                raise InvalidModelError(f"noise_sd has no entry for task {missing[0]!r}")
            unknown = set(self.noise_sd) - set(texts)
            if unknown:
                raise InvalidModelError(f"noise_sd: {min(unknown)!r} is no task of the data")
            return np.array([float(self.noise_sd[text]) for text in texts])
        values = np.atleast_1d(np.asarray(self.noise_sd, dtype=np.float64))
        if values.size not in (1, len(tasks)):
            raise InvalidModelError(f"noise_sd has {values.size} numbers for {len(tasks)} tasks")
        return np.broadcast_to(values, (len(tasks),)).copy()


class Sites(NamedTuple):
    """Lanes of the sites: ``G_t = precision_t gram_t`` and ``h_t = precision_t moment_t``.

    Parameters
    ----------
    gram : (block, p (p + 1) / 2, lane)
    moment : (block, p, lane)
    precision : (block, lane)
    total : (block, lane)
        Sum of squares of the response.
    rows : (block, lane)
        Number (sum of weights) of rows.
    """

    gram: np.ndarray
    moment: np.ndarray
    precision: np.ndarray
    total: np.ndarray
    rows: np.ndarray


class NoiseState(NamedTuple):
    """Noise of the tasks in internal units, updated in place; see `update_noise`.

    Parameters
    ----------
    kind : int
        FIXED_NOISE, SHARED or HIERARCHICAL.
    unit : float
        User value of one internal unit.
    sd_prior, spread_prior : (6,)
    log_median, spread : (1,)
    log_sd, precision, rows : (block, lane)
    n_tasks : int
    """

    kind: int
    unit: float
    sd_prior: np.ndarray
    spread_prior: np.ndarray
    log_median: np.ndarray
    spread: np.ndarray
    log_sd: np.ndarray
    precision: np.ndarray
    rows: np.ndarray
    n_tasks: int


@kernel
def _accumulate(features, response, weight, task, sites):
    n_lanes = sites.rows.shape[1]
    p = features.shape[1]
    for r in range(features.shape[0]):
        k, v = task[r] // n_lanes, task[r] % n_lanes
        w, y = weight[r], response[r]
        for i in range(p):
            wx = w * features[r, i]
            if wx != 0.0:
                sites.moment[k, i, v] += wx * y
                row = i * (i + 1) // 2
                for j in range(i + 1):
                    sites.gram[k, row + j, v] += wx * features[r, j]
        sites.total[k, v] += w * y * y
        sites.rows[k, v] += w


def gaussian_sites(
    features: np.ndarray, response: np.ndarray, task: np.ndarray, weight: np.ndarray, n_tasks: int
) -> Sites:
    """Sufficient statistics of each task, noise precision 1.

    Parameters
    ----------
    features : (row, p)
        Intercept column included.
    response, weight : (row,)
    task : (row,)
        Codes below ``n_tasks``.
    """
    p = features.shape[1]
    lanes = pack_tasks(np.zeros((n_tasks, 1)))[:, 0]
    n_blocks, n_lanes = lanes.shape
    sites = Sites(
        np.zeros((n_blocks, p * (p + 1) // 2, n_lanes)),
        np.zeros((n_blocks, p, n_lanes)),
        np.ones_like(lanes),
        np.zeros_like(lanes),
        np.zeros_like(lanes),
    )
    _accumulate(np.ascontiguousarray(features), response, weight, task, sites)
    return sites


def noise_state(
    likelihood: Gaussian,
    sites: Sites,
    tasks: np.ndarray,
    response_sd: float,
    unit: float,
    rng: np.random.Generator,
) -> NoiseState:
    """A dispersed start of the noise (or its fixed value) and the lanes of its precision.

    Parameters
    ----------
    likelihood : Gaussian
    sites : Sites
        ``sites.precision`` is only read for its shape.
    tasks : (task,)
        Labels, for fixed values by task.
    response_sd : float
        Scale of the defaults, user units.
    unit : float
        User value of one internal unit.
    """
    sd_prior, spread_prior = likelihood.priors(response_sd)
    log_sd = np.zeros_like(sites.precision)
    spread = np.array([_start(spread_prior, rng.uniform(0.1, 0.5))])
    if likelihood.se is not None:
        kind, log_median = FIXED_NOISE, 0.0
    elif likelihood.fixed:
        kind = FIXED_NOISE
        log_sds = np.log(likelihood.fixed_sds(tasks) / unit)
        log_sd = pack_tasks(log_sds)
        log_median = float(log_sds.mean())
    else:
        kind = SHARED if likelihood.noise == "shared" else HIERARCHICAL
        start = _start(sd_prior, rng.uniform(0.3, 1.2) * response_sd)
        log_median = math.log(start / unit)
        log_sd[:] = log_median
    return NoiseState(
        kind,
        unit,
        table_row(sd_prior),
        table_row(spread_prior),
        np.array([log_median]),
        spread,
        log_sd,
        np.exp(-2.0 * log_sd),
        sites.rows,
        len(tasks),
    )


def _start(prior: PriorLike, value: float) -> float:
    """A fixed number itself; else ``value``, or a point inside the support if it is outside."""
    if not isinstance(prior, Prior):
        return prior
    low, high = max(prior.lower, 0.0), prior.upper
    if low < value < high:
        return value
    return 0.5 * (low + high) if math.isfinite(high) else 2.0 * max(low, value)
