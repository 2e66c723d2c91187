"""Settings of the relations that let the weights of tasks be correlated."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.relations.exchangeable.prior import Block, Exchangeable, Features
from bayesmtl.relations.matrices import FixedMatrix, as_matrix
from bayesmtl.relations.settings import clean, require_support

if TYPE_CHECKING:
    from bayesmtl.relations.covariance.structure import TaskStructure

__all__ = ["CorrelatedTasks", "LowRank", "MatrixNormal", "TaskSettings"]

_TASK_KINDS = ("low_rank", "full", "lkj")
_FEATURE_KINDS = ("diagonal", "full", "identity")
# Up to so many tasks a full covariance is the default.
_FEW_TASKS = 12
_MOST_FACTORS = 10


class TaskSettings(NamedTuple):
    """Resolved prior of the covariance of the tasks.

    Parameters
    ----------
    kind : {"full", "lkj", "low_rank", "given", "structure"}
    given : (task, task) or None
    n_factors : int
        At most, where the rank is low.
    common : bool
        Whether the tasks' own parts beside factors have one variance.
    structure : TaskStructure or None
        Of the kind "structure".
    """

    kind: str
    given: np.ndarray | None = None
    n_factors: int = 0
    common: bool = False
    structure: TaskStructure | None = None


@dataclass(frozen=True)
class CorrelatedTasks:
    """Settings of the population that every relation with correlated tasks has."""

    mean: Any = field(default=None, kw_only=True)
    scale: Any = field(default=None, kw_only=True)
    correlation: Any = field(default=None, kw_only=True)
    task_effects: Any = field(default=None, kw_only=True)
    r2: Any = field(default=None, kw_only=True)
    shared: Any = field(default=None, kw_only=True)
    feature_selection: Any = field(default=False, kw_only=True)

    @property
    def feature_covariance(self) -> Any:
        """A field of each relation, where its order demands."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        name = type(self).__name__
        for setting in ("mean", "scale", "correlation", "task_effects", "r2", "shared"):
            value = clean(getattr(self, setting), f"{name} {setting}")
            object.__setattr__(self, setting, value)
        require_support(self.scale, f"{name} scale", 0.0)
        # Its checks of the other settings hold here too.
        self.population()

    def population(self) -> Exchangeable:
        """The prior of a task of variance one."""
        return Exchangeable(
            mean=self.mean,
            scale=self.scale,
            feature_covariance=self.feature_covariance,
            correlation=self.correlation,
            task_effects=self.task_effects,
            r2=self.r2,
            shared=self.shared,
            feature_selection=self.feature_selection,
        )

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        return self.population().resolve(features)

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        raise NotImplementedError

    @property
    def declared_tasks(self) -> tuple[Any, ...]:
        """Labels of tasks that the prior names and that need no rows."""
        return ()


@dataclass(frozen=True)
class MatrixNormal(CorrelatedTasks):
    """Tasks and features are both correlated: ``W ~ MatrixNormal(mean, Omega, Sigma)``.

    The weights of feature i of task s and feature j of task t have covariance ``Omega_st Sigma_ij``
    around their mean. Omega has a typical diagonal of one, so that ``scale`` speaks of the weights
    of a typical task. Correlations of tasks may be negative.

    Parameters
    ----------
    task_covariance : {"low_rank", "full", "lkj"} or (task, task) matrix, optional
        Omega. "full": the prior of Huang and Wand (2013, nu = 2) of scale 1, half-t(2) sds and
        uniform correlations. "low_rank": ``A A' + diag(psi)``, factors shared by the tasks and a
        part of each task's own, the number of factors learned (Legramanti et al. 2020), square
        roots of psi half-t(3) of scale 0.6. "lkj": half-t(2) sds and LKJ(2) correlations, for
        ``inference="nuts"``. Or fixed: an array in the order of the sorted task labels, or a frame
        labelled by tasks; tasks of the frame without rows in the data are estimated too. Default
        "full" up to 12 tasks, then "low_rank"; with ``n_factors`` "low_rank" for any number.
    feature_covariance : {"diagonal", "full", "identity"} or (feature, feature) matrix
        Sigma. "diagonal": sds ``scale``; "full": as in `Exchangeable`; "identity": sd ``s_y / s_x``
        of every weight of a typical task, Omega has their scale (Zhang and Yeung 2010). Or fixed,
        in user units, an array in the order of the features or a labelled frame.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the weights over tasks.
    scale : Prior, float, array or {feature: Prior or float}
        Sd of the weights of a typical task around the mean.
    correlation : Prior
        As in `Exchangeable`.
    task_effects : Prior, float, array or {feature: Prior or float}
        Effects of the (centred) task features on the mean.
    n_factors : int, optional
        Largest number of factors of "low_rank", default 10 or as many as there are features or
        tasks.
    r2, shared, feature_selection
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a matrix that is not symmetric and positive definite, a prior whose support does not
        fit, or settings that exclude each other.

    References
    ----------
    Zhang and Yeung 2010, UAI; Huang and Wand 2013, Bayesian Analysis 8; Legramanti, Durante and
    Dunson 2020, Biometrika 107.
    """

    task_covariance: Any = None
    feature_covariance: Any = "diagonal"
    n_factors: Any = None

    def __post_init__(self) -> None:
        _check_choice(self, "task_covariance", (None, *_TASK_KINDS))
        _check_choice(self, "feature_covariance", _FEATURE_KINDS)
        if self.n_factors is not None:
            _check_factors(self)
        super().__post_init__()

    def _check_fixed_scale(self) -> None:
        for name in ("scale", "correlation", "r2", "shared", "feature_selection"):
            if getattr(self, name) not in (None, False):
                raise InvalidModelError(
                    f"MatrixNormal {name}= goes with feature_covariance='diagonal' or 'full'; "
                    f"feature_covariance={self.feature_covariance!r} sets the scale of the weights"
                )

    def population(self) -> Exchangeable:
        """The prior of a task with ``Omega_tt = 1``, but for a fixed scale."""
        if self.feature_covariance in ("diagonal", "full"):
            return super().population()
        self._check_fixed_scale()
        return Exchangeable(mean=self.mean, scale=1.0, task_effects=self.task_effects)

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        block = super().resolve(features)
        if isinstance(self.feature_covariance, FixedMatrix):
            matrix = self.feature_covariance.arranged(
                features.names, "feature", "MatrixNormal feature_covariance"
            )
            sd = np.sqrt(np.diag(matrix))
            correlation = matrix / np.outer(sd, sd)
            return block._replace(scale=sd.tolist(), correlation=correlation)
        if self.feature_covariance == "identity":
            return block._replace(scale=list(features.unit))
        return block

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        kind, n_tasks = self.task_covariance, len(tasks)
        if isinstance(kind, FixedMatrix):
            given = kind.arranged(tasks.tolist(), "task", "MatrixNormal task_covariance")
            return TaskSettings("given", given)
        if kind is None:
            kind = "full" if n_tasks <= _FEW_TASKS else "low_rank"
        return TaskSettings(kind, None, _most_factors(self.n_factors, n_features, n_tasks))

    @property
    def declared_tasks(self) -> tuple[Any, ...]:
        """Labels of tasks that a fixed covariance names."""
        fixed = self.task_covariance
        return (fixed.labels or ()) if isinstance(fixed, FixedMatrix) else ()


@dataclass(frozen=True)
class LowRank(CorrelatedTasks):
    """Weights share a subspace: ``w_t = mean + sum_h a_th b_h + u_t``, few factors b_h.

    The deviation of a task from the common mean lies mostly in a subspace of few dimensions that
    all tasks share, and is learned with its dimension; what is left, u_t, has one variance for all
    tasks (Ando and Zhang 2005; `MatrixNormal` has one for each). The rank and the subspace are
    reported, loadings never: they are known up to a rotation.

    Parameters
    ----------
    n_factors : int, optional
        Largest rank, default 10 or as many as there are features or tasks.
    feature_covariance : {"diagonal", "full"}
        Covariance of factors and of u_t, up to their variances: sds ``scale``, or as in
        `Exchangeable`.
    mean : Prior, float, array or {feature: Prior or float}
        Mean of the weights over tasks.
    scale : Prior, float, array or {feature: Prior or float}
        Sd of the weights of a task of variance one around the mean; a typical task has about one
        from factors and one of its own.
    correlation, task_effects, r2, shared, feature_selection
        As in `Exchangeable`; mean, scale and task_effects have its defaults too.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Ando and Zhang 2005, J. Mach. Learn. Res. 6; Legramanti, Durante and Dunson 2020, Biometrika 107
    (cumulative shrinkage of the loadings).
    """

    n_factors: Any = None
    feature_covariance: Any = "diagonal"

    def __post_init__(self) -> None:
        if self.n_factors is not None:
            _check_factors(self)
        super().__post_init__()

    def task_settings(self, tasks: np.ndarray, n_features: int) -> TaskSettings:
        """Prior of the covariance of these tasks (task,)."""
        most = _most_factors(self.n_factors, n_features, len(tasks))
        return TaskSettings("low_rank", None, most, common=True)


def _most_factors(chosen: int | None, n_features: int, n_tasks: int) -> int:
    return min(chosen or _MOST_FACTORS, n_features, n_tasks)


def _check_choice(part: Any, name: str, choices: tuple[str | None, ...]) -> None:
    """One of the words, else a matrix."""
    value = getattr(part, name)
    if value is None and None in choices:
        return
    if isinstance(value, str):
        if value not in choices:
            words = ", ".join(repr(word) for word in choices if word is not None)
            raise InvalidModelError(
                f"MatrixNormal {name} must be one of {words}, or a matrix, got {value!r}"
            )
        return
    object.__setattr__(part, name, as_matrix(value, f"MatrixNormal {name}"))


def _check_factors(part: MatrixNormal | LowRank) -> None:
    number, name = part.n_factors, type(part).__name__
    numeric = isinstance(number, Integral | float) and not isinstance(number, bool)
    if not (numeric and number >= 1 and number % 1 == 0):
        raise InvalidModelError(
            f"{name} n_factors must be a positive integer or None, got {number!r}"
        )
    if isinstance(part, MatrixNormal):
        if part.task_covariance not in (None, "low_rank"):
            raise InvalidModelError("MatrixNormal n_factors= goes with task_covariance='low_rank'")
        object.__setattr__(part, "task_covariance", "low_rank")
    object.__setattr__(part, "n_factors", int(number))
