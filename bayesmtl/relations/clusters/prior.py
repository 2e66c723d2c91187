"""Settings of the relations that let tasks fall into clusters."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.partition_priors import concentration_rate, log_prior_components
from bayesmtl.priors import Prior, PriorLike
from bayesmtl.relations.exchangeable.prior import Block, Exchangeable, Features
from bayesmtl.relations.settings import clean, require_support

__all__ = ["DirichletProcess", "FiniteMixture", "PartitionSettings", "PitmanYor"]

_CONCENTRATION = Prior("Gamma", alpha=2, beta=2)
_BETWEEN = Prior("Beta", alpha=2, beta=1)
_DISCOUNT = Prior("Beta", alpha=1, beta=4)
_SHAPE = 2.0
# Beyond that many components the default prior has probability 4e-10.
_MOST_COMPONENTS = 1000


class PartitionSettings(NamedTuple):
    """Resolved prior of the partition and of how much of the variance lies between clusters.

    Parameters
    ----------
    concentration, discount, between : Prior or float
    log_components : (M,) or None
        Log prior of the number of components 1, 2, ...; None for a process, which has infinitely
        many.
    """

    concentration: PriorLike
    discount: PriorLike
    between: PriorLike
    log_components: np.ndarray | None


def _scalar(value: Any, name: str, default: PriorLike, lower: float, upper: float) -> PriorLike:
    """Validate a hyperparameter that is one prior or one number."""
    cleaned = clean(default if value is None else value, name)
    if not isinstance(cleaned, Prior | float):
        raise InvalidModelError(f"{name} must be one prior or one number, got {value!r}")
    require_support(cleaned, name, lower, upper)
    return cleaned


def _check_population(part: Any) -> None:
    """Clean the settings that all cluster relations have in common, in place."""
    name = type(part).__name__
    for key in ("mean", "scale", "task_effects", "r2", "shared"):
        object.__setattr__(part, key, clean(getattr(part, key), f"{name} {key}"))
    require_support(part.scale, f"{name} scale", 0.0)
    for key in ("r2", "shared"):
        value = getattr(part, key)
        if value is not None and not (isinstance(value, Prior) and value.family == "Beta"):
            raise InvalidModelError(f"{name} {key} must be a Beta prior, got {value}")
        if value is not None and (part.mean is not None or part.scale is not None):
            raise InvalidModelError(
                f"{name} {key}= belongs to the joint default prior: leave mean= and scale= out, or "
                "leave it out"
            )
    between = _scalar(part.between, f"{name} between", _BETWEEN, 0.0, 1.0)
    object.__setattr__(part, "between", between)


def _check_concentration(part: Any) -> None:
    name = f"{type(part).__name__} concentration"
    value = _scalar(part.concentration, name, _CONCENTRATION, 0.0, np.inf)
    if value == 0.0:
        raise InvalidModelError(f"{name} must be above 0, got 0")
    object.__setattr__(part, "concentration", value)


def _population(part: Any, features: Features) -> Block:
    """Priors of the mean and total scale, those of one normal population."""
    plain = Exchangeable(
        mean=part.mean,
        scale=part.scale,
        task_effects=part.task_effects,
        r2=part.r2,
        shared=part.shared,
    )
    return plain.resolve(features)


@dataclass(frozen=True)
class DirichletProcess:
    """Tasks fall into clusters: the weights of a task scatter around the mean of its cluster.

    ``w_t ~ Normal(beta_c(t) + effects z_t, (1 - between) scale^2)``, ``beta_k ~ Normal(mean,
    between scale^2)``, the clusters from a Dirichlet process: a task joins a cluster of n others
    with probability proportional to n, a new one with probability proportional to
    ``concentration``.

    Parameters
    ----------
    concentration : Prior or float, positive
        Default Gamma(2, 2), of mean 1.
    expected_clusters : float, optional
        In place of ``concentration``: its prior is Gamma(2, b), with b such that the prior mean of
        the number of clusters is this.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the cluster means.
    scale : Prior, float, array or {feature: Prior or float}
        Total sd of the weights of a task around ``mean``.
    between : Prior or float in [0, 1]
        Share of the variance ``scale^2`` that lies between clusters, default Beta(2, 1); 1 gives
        the tasks of a cluster identical weights (Xue et al. 2007), 0 is `Exchangeable`.
    task_effects : Prior, float, array or {feature: Prior or float}
        Effects of the (centred) task features, the same in all clusters.
    r2, shared : Prior
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Xue, Liao, Carin and Krishnapuram 2007, J. Mach. Learn. Res. 8.
    """

    concentration: Any = None
    expected_clusters: Any = None
    mean: Any = None
    scale: Any = None
    between: Any = None
    task_effects: Any = None
    r2: Any = None
    shared: Any = None

    def __post_init__(self) -> None:
        if self.expected_clusters is not None:
            if self.concentration is not None:
                raise InvalidModelError(
                    "DirichletProcess: set concentration= or expected_clusters=, not both"
                )
            number = clean(self.expected_clusters, "DirichletProcess expected_clusters")
            if not isinstance(number, float) or not number > 1.0:
                raise InvalidModelError(
                    "DirichletProcess expected_clusters must be a number above 1, got "
                    f"{self.expected_clusters!r}"
                )
            object.__setattr__(self, "expected_clusters", number)
        else:
            _check_concentration(self)
        _check_population(self)

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        return _population(self, features)

    def partition(self, n_tasks: int) -> PartitionSettings:
        """Prior of the partition of ``n_tasks`` tasks.

        Raises
        ------
        InvalidModelError
            When ``expected_clusters`` is not below the number of tasks.
        """
        concentration = self.concentration
        if self.expected_clusters is not None:
            rate = concentration_rate(self.expected_clusters, n_tasks, _SHAPE)
            concentration = Prior("Gamma", alpha=_SHAPE, beta=rate)
        return PartitionSettings(concentration, 0.0, self.between, None)


@dataclass(frozen=True)
class PitmanYor:
    """Tasks fall into clusters whose sizes follow a power law: many small ones beside few large.

    As `DirichletProcess`, but a task joins a cluster of n others with probability proportional to
    ``n - discount``, and a new one beside K clusters to ``concentration + K discount``.

    Parameters
    ----------
    concentration : Prior or float, positive
        Default Gamma(2, 2).
    discount : Prior or float in [0, 1)
        Default Beta(1, 4); 0 is `DirichletProcess`.
    mean, scale, between, task_effects, r2, shared
        As in `DirichletProcess`.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Pitman and Yor 1997, Ann. Probab. 25; Ishwaran and James 2001, J. Am. Stat. Assoc. 96.
    """

    concentration: Any = None
    discount: Any = None
    mean: Any = None
    scale: Any = None
    between: Any = None
    task_effects: Any = None
    r2: Any = None
    shared: Any = None

    def __post_init__(self) -> None:
        _check_concentration(self)
        discount = _scalar(self.discount, "PitmanYor discount", _DISCOUNT, 0.0, 1.0)
        if discount == 1.0:
            raise InvalidModelError("PitmanYor discount must be below 1, got 1")
        object.__setattr__(self, "discount", discount)
        _check_population(self)

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        return _population(self, features)

    def partition(self, n_tasks: int) -> PartitionSettings:
        """Prior of the partition of the tasks."""
        return PartitionSettings(self.concentration, self.discount, self.between, None)


@dataclass(frozen=True)
class FiniteMixture:
    """Tasks come from a mixture with an unknown, finite number of components.

    As `DirichletProcess`, but with M components of weights Dirichlet(concentration / M, ...); of
    these some may hold no task. Unlike under a process, the number of clusters stays bounded as
    tasks are added.

    Parameters
    ----------
    components : int, optional
        M; by default unknown, ``M - 1`` from the beta-negative-binomial(1, 4, 3) of mean 1.
    concentration : Prior or float, positive
        Default Gamma(2, 2).
    mean, scale, between, task_effects, r2, shared
        As in `DirichletProcess`.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Fruehwirth-Schnatter, Malsiner-Walli and Gruen 2021, Bayesian Analysis 16 (dynamic mixture).
    """

    components: Any = None
    concentration: Any = None
    mean: Any = None
    scale: Any = None
    between: Any = None
    task_effects: Any = None
    r2: Any = None
    shared: Any = None

    def __post_init__(self) -> None:
        number = self.components
        if number is not None:
            numeric = isinstance(number, Integral | float) and not isinstance(number, bool)
            if not (numeric and number >= 1 and number % 1 == 0):
                raise InvalidModelError(
                    f"FiniteMixture components must be a positive integer or None, got {number!r}"
                )
            object.__setattr__(self, "components", int(number))
        _check_concentration(self)
        _check_population(self)

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        return _population(self, features)

    def partition(self, n_tasks: int) -> PartitionSettings:
        """Prior of the partition of the tasks."""
        if self.components is None:
            log_components = log_prior_components(max(_MOST_COMPONENTS, n_tasks))
        else:
            log_components = np.full(self.components, -np.inf)
            log_components[-1] = 0.0
        return PartitionSettings(self.concentration, 0.0, self.between, log_components)
