"""Settings of the relations that draw task weights from one normal population."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.priors import Prior, PriorLike
from bayesmtl.relations.settings import (
    clean,
    per_feature,
    require_numbers,
    require_support,
)

__all__ = ["Block", "Exchangeable", "Features", "Independent", "Pooled"]

_INTERCEPT = "Intercept"


class Features(NamedTuple):
    """What a relation needs to know of the features to set its defaults.

    Parameters
    ----------
    names : tuple of str
    location : tuple of float
        Where defaults are centred: the pooled mean of the response for an intercept, else 0.
    unit : tuple of float
        Pooled sd of the response over pooled sd of the feature.
    effect_unit : tuple of float
        One over the sd of each task feature.
    """

    names: tuple[str, ...]
    location: tuple[float, ...]
    unit: tuple[float, ...]
    effect_unit: tuple[float, ...]


class Block(NamedTuple):
    """Resolved priors of some coefficients, on the user's scale; None where the joint prior rules.

    Parameters
    ----------
    mean : list of list
        [feature][constant, task feature, ...].
    scale : list
        [feature]
    covariance : str
        "diagonal", "huang_wand" or "separate".
    correlation_shape : float
        eta of the LKJ prior of "separate".
    r2, shared : Prior
    correlation : (feature, feature) or None
        Of the features, where it is fixed.
    relevant : float or None
        Under feature selection the expected share of the features that matter; the priors of their
        means and scales are then None.
    """

    mean: list[list[PriorLike | None]]
    scale: list[PriorLike | None]
    covariance: str = "diagonal"
    correlation_shape: float = 1.0
    r2: Prior = Prior("Beta", alpha=1, beta=1)
    shared: Prior = Prior("Beta", alpha=1, beta=1)
    correlation: np.ndarray | None = None
    relevant: float | None = None


def _no_effects(means: list[PriorLike], features: Features) -> list[list[PriorLike | None]]:
    return [[mean, *([0.0] * len(features.effect_unit))] for mean in means]


@dataclass(frozen=True)
class Independent:
    """Tasks share nothing: ``w_t ~ Normal(mean, scale^2)``, both fixed.

    Parameters
    ----------
    mean : float, array or {feature: float}
        Prior mean, default 0 (the pooled mean of the response for an intercept).
    scale : float, array or {feature: float}
        Prior sd, positive; default ``2.5 s_y / s_x``.

    Raises
    ------
    InvalidModelError
        For a prior in place of a number: a learned mean or scale is what `Exchangeable` does.
    """

    mean: Any = None
    scale: Any = None

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            object.__setattr__(self, name, clean(getattr(self, name), f"Independent {name}"))
            require_numbers(
                getattr(self, name),
                f"Independent {name}",
                "a mean or scale learned from all tasks is bm.Exchangeable(...)",
            )
        require_support(self.scale, "Independent scale", 0.0)

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        mean = per_feature(self.mean, features.names, features.location, "Independent mean")
        default = [2.5 * unit for unit in features.unit]
        scale = per_feature(self.scale, features.names, default, "Independent scale")
        return Block(_no_effects(mean, features), list(scale))


@dataclass(frozen=True)
class Pooled:
    """All tasks have the same weights: ``w_t = mean``.

    Parameters
    ----------
    mean : Prior, float, array or {feature: Prior or float}
        Default ``Normal(0, 2.5 s_y / s_x)``.
    """

    mean: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", clean(self.mean, "Pooled mean"))

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        mean = per_feature(self.mean, features.names, _default_means(features), "Pooled mean")
        return Block(_no_effects(mean, features), [0.0] * len(features.names))


@dataclass(frozen=True)
class Exchangeable:
    """Tasks are draws from one population: ``w_t ~ Normal(mean + effects z_t, D)``.

    Parameters
    ----------
    mean : Prior, float, array or {feature: Prior or float}
        Population mean of the weights.
    scale : Prior, float, array or {feature: Prior or float}
        Population sd of each weight around its mean, not negative; 0 is `Pooled`.
    feature_covariance : {"diagonal", "full"}
        D diagonal, or full: by default with the prior of Huang and Wand (2013, nu = 2: half-t(2)
        sds of scale ``s_y / s_x``, uniform correlations); with a ``scale`` of your own, separate
        sds and an LKJ correlation matrix.
    correlation : Prior
        ``Prior("LKJ", eta=...)`` of the correlation matrix beside your own ``scale``; default eta
        1.
    task_effects : Prior, float, array or {feature: Prior or float}
        Effects of the (centred) task features on the mean; default Normal(0, 2.5 s_y / (s_x s_z)).
    r2, shared : Prior
        Beta priors of the joint default, used with a diagonal covariance when neither mean nor
        scale is set: the share R-squared of the variance that the features explain, of which the
        fraction ``shared`` comes from the common mean and the rest from the tasks' deviations,
        spread over features by a flat Dirichlet. Both default to Beta(1, 1). Setting mean or scale
        alone switches the other to Normal(0, 2.5 s_y / s_x) or HalfNormal(s_y / s_x).
    feature_selection : bool or float
        Whether to select features, the same for all tasks: in place of the joint default prior a
        regularised horseshoe over the sds of each feature's mean and of its deviations (Piironen
        and Vehtari 2017), whose prior median of the share of features that matter is a half. A
        number is that median of their number.

    Raises
    ------
    InvalidModelError
        For a prior whose support does not fit, or settings that exclude each other.

    References
    ----------
    Huang and Wand 2013, Bayesian Analysis 8; Fuglstad et al. 2020, Bayesian Analysis 15 (variance
    partition); Lewandowski, Kurowicka and Joe 2009, J. Multivariate Anal. 100 (LKJ); Piironen and
    Vehtari 2017, Electron. J. Stat. 11 (regularised horseshoe).
    """

    mean: Any = None
    scale: Any = None
    feature_covariance: str = "diagonal"
    correlation: Any = None
    task_effects: Any = None
    r2: Any = None
    shared: Any = None
    feature_selection: Any = False

    def __post_init__(self) -> None:
        for name in ("mean", "scale", "correlation", "task_effects", "r2", "shared"):
            object.__setattr__(self, name, clean(getattr(self, name), f"Exchangeable {name}"))
        require_support(self.scale, "Exchangeable scale", 0.0)
        if self.feature_covariance not in ("diagonal", "full"):
            raise InvalidModelError(
                f"feature_covariance must be 'diagonal' or 'full', got {self.feature_covariance!r}"
            )
        self._check_correlation()
        for name in ("r2", "shared"):
            self._check_joint(name)
        self._check_selection()

    def _check_selection(self) -> None:
        chosen = self.feature_selection
        if isinstance(chosen, bool):
            object.__setattr__(self, "feature_selection", bool(chosen))
        elif isinstance(chosen, Real) and math.isfinite(chosen) and float(chosen) > 0.0:
            object.__setattr__(self, "feature_selection", float(chosen))
        else:
            raise InvalidModelError(
                "feature_selection must be True, False or the number of features that are expected "
                f"to matter, got {chosen!r}"
            )
        if chosen and not (self._joint and self.r2 is None and self.shared is None):
            raise InvalidModelError(
                "feature_selection= has a prior of means and scales of its own: leave mean=, "
                "scale=, r2= and shared= out and feature_covariance='diagonal'"
            )

    def _relevant(self, features: Features) -> float | None:
        """Expected share of the features that matter; None without selection."""
        number = sum(name != _INTERCEPT for name in features.names)
        if not self.feature_selection or not number:
            return None
        if self.feature_selection is True:
            return 0.5
        if not self.feature_selection < number:
            raise InvalidModelError(
                f"feature_selection={self.feature_selection:g} features are expected to matter, "
                f"and the model has {number}: give a smaller number, or True"
            )
        return float(self.feature_selection / number)

    def _check_correlation(self) -> None:
        if self.correlation is None:
            return
        if not (isinstance(self.correlation, Prior) and self.correlation.family == "LKJ"):
            raise InvalidModelError(
                f"correlation must be Prior('LKJ', eta=...), got {self.correlation}"
            )
        if self.feature_covariance != "full" or self.scale is None:
            raise InvalidModelError(
                "correlation= goes with feature_covariance='full' and a scale= of your own; "
                "without a scale the Huang-Wand prior covers sds and correlations together"
            )

    def _check_joint(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not (isinstance(value, Prior) and value.family == "Beta"):
            raise InvalidModelError(f"{name} must be a Beta prior, got {value}")
        if not self._joint:
            raise InvalidModelError(
                f"{name}= belongs to the joint default prior: leave mean= and scale= out and "
                "feature_covariance='diagonal', or leave it out"
            )

    @property
    def _joint(self) -> bool:
        return self.mean is None and self.scale is None and self.feature_covariance == "diagonal"

    def resolve(self, features: Features) -> Block:
        """Fill in the defaults."""
        names = features.names
        joint = [self._joint and name != _INTERCEPT for name in names]
        means = per_feature(self.mean, names, _default_means(features), "Exchangeable mean")
        half_normals = [Prior("HalfNormal", sigma=unit) for unit in features.unit]
        scales = per_feature(self.scale, names, half_normals, "Exchangeable scale")
        block = Block(
            [
                [None if together else mean, *self._effects(i, features, together)]
                for i, (mean, together) in enumerate(zip(means, joint, strict=True))
            ],
            [None if together else scale for scale, together in zip(scales, joint, strict=True)],
        )
        if self.feature_covariance == "full":
            kind = "huang_wand" if self.scale is None else "separate"
            shape = 1.0 if self.correlation is None else dict(self.correlation.params)["eta"]
            return block._replace(covariance=kind, correlation_shape=shape)
        return block._replace(
            r2=self.r2 or block.r2,
            shared=self.shared or block.shared,
            relevant=self._relevant(features),
        )

    def _effects(self, i: int, features: Features, together: bool) -> list[PriorLike | None]:
        if self.task_effects is None and together:
            return [None] * len(features.effect_unit)
        out: list[PriorLike | None] = []
        for effect_unit in features.effect_unit:
            default = [
                Prior("Normal", mu=0.0, sigma=2.5 * unit * effect_unit) for unit in features.unit
            ]
            values = per_feature(
                self.task_effects, features.names, default, "Exchangeable task_effects"
            )
            out.append(values[i])
        return out


def _default_means(features: Features) -> list[PriorLike]:
    return [
        Prior("Normal", mu=location, sigma=2.5 * unit)
        for location, unit in zip(features.location, features.unit, strict=True)
    ]
