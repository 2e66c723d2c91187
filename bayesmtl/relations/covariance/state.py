"""The covariance of tasks: its prior and its state, in units of a typical task."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmtl.relations.covariance.prior import TaskSettings

if TYPE_CHECKING:
    from bayesmtl.relations.covariance.structure import TaskStructure

__all__ = [
    "HALF_T_DOF",
    "HALF_T_SCALE",
    "LKJ_SHAPE",
    "SLAB_RATE",
    "SLAB_SHAPE",
    "SPECIFIC_DOF",
    "SPECIFIC_SCALE",
    "SPIKE",
    "STICK",
    "DenseTasks",
    "FactorTasks",
    "TaskCovariancePrior",
    "initial_tasks",
]

# Sds of the tasks under a full covariance: half-t.
HALF_T_DOF, HALF_T_SCALE = 2.0, 1.0
LKJ_SHAPE = 2.0
# Sds of the tasks' own parts beside factors: half-t.
SPECIFIC_DOF, SPECIFIC_SCALE = 3.0, 0.6
# Variances of the loadings of a factor: InverseGamma where it is active, one small number where it
# is not; sticks Beta(1, STICK), so that about STICK factors are active a priori. A typical task
# then has a variance of about one from factors and one of its own.
SLAB_SHAPE, SLAB_RATE, SPIKE, STICK = 2.0, 0.5, 0.0125, 2.0


class TaskCovariancePrior(NamedTuple):
    """Prior of the covariance Omega of the tasks.

    Parameters
    ----------
    kind : {"full", "lkj", "low_rank", "given", "structure"}
    given : (task, task)
        Omega where it is fixed, else the identity.
    n_factors : int
        0 but for "low_rank".
    common : bool
        Whether the tasks' own parts beside factors have one variance.
    structure : TaskStructure or None
        Of the kind "structure".
    """

    kind: str
    given: np.ndarray
    n_factors: int
    common: bool = False
    structure: TaskStructure | None = None

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.given)

    @classmethod
    def of(cls, settings: TaskSettings, n_tasks: int) -> TaskCovariancePrior:
        """From resolved settings."""
        given = np.eye(n_tasks) if settings.given is None else settings.given
        n_factors = settings.n_factors if settings.kind == "low_rank" else 0
        return cls(settings.kind, given, n_factors, settings.common, settings.structure)


class DenseTasks(NamedTuple):
    """A covariance matrix of the tasks, updated in place.

    Parameters
    ----------
    covariance, precision : (task, task)
    """

    covariance: np.ndarray
    precision: np.ndarray


class FactorTasks(NamedTuple):
    """Factors that the tasks share and a part of each task's own, updated in place.

    The standardised deviations of task t are ``loadings[t] @ factors + sqrt(specific[t]) u_t``,
    factors and u_t with the covariance of the features.

    Parameters
    ----------
    loadings : (task, factor)
    factors : (factor, d)
    specific : (task,)
        Equal where they have one prior in common.
    variance : (factor,)
        Of the loadings.
    active : (factor,) bool
        Whether the variance is from the slab.
    sticks : (factor,)
        Breaks of the unit interval: factor h is inactive with the probability of the first h parts.
    """

    loadings: np.ndarray
    factors: np.ndarray
    specific: np.ndarray
    variance: np.ndarray
    active: np.ndarray
    sticks: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Omega (task, task)."""
        return np.asarray(self.loadings @ self.loadings.T + np.diag(self.specific))


def initial_tasks(
    prior: TaskCovariancePrior, n_features: int, rng: np.random.Generator
) -> DenseTasks | FactorTasks:
    """A dispersed start."""
    n_tasks = len(prior.given)
    if prior.kind != "low_rank":
        covariance = prior.given.copy()
        if prior.kind != "given":
            # Correlations of a random sign pattern, about 0.5 in size.
            direction = rng.choice([-1.0, 1.0], size=n_tasks)
            covariance += np.outer(direction, direction)
            covariance *= np.exp(rng.uniform(-2.0, 1.0))
        return DenseTasks(covariance, np.linalg.inv(covariance))
    number = prior.n_factors
    active = rng.random(number) < 0.5
    variance = np.where(active, 0.5, SPIKE)
    return FactorTasks(
        loadings=np.sqrt(variance) * rng.normal(size=(n_tasks, number)),
        factors=rng.normal(size=(number, n_features)),
        specific=np.exp(rng.uniform(-2.0, 0.5, n_tasks if not prior.common else 1))
        * np.ones(n_tasks),
        variance=variance,
        active=active,
        sticks=rng.uniform(0.1, 0.9, number),
    )
