"""Settings of the relation that adds sparse deviations to another one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from bayesmtl.errors import InvalidModelError
from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.covariance.prior import LowRank, MatrixNormal
from bayesmtl.relations.exchangeable.prior import Exchangeable, Pooled

__all__ = ["Decomposition"]

_COMMON = (Pooled, Exchangeable, LowRank, MatrixNormal, DirichletProcess, PitmanYor, FiniteMixture)


@dataclass(frozen=True)
class Decomposition:
    """Weights are a sum of parts: ``w_t = common_t + e_t``, e_t zero but for a few features.

    The common part follows another relation: a mean and a shared subspace, a mean and clusters, or
    a mean alone. The sparse part holds what only this task has of some feature: a regularised
    horseshoe over all elements (Jalali et al. 2010 add an l1 part to a shared one). Parts are not
    told apart where both could explain the weights; their sum is, and the share of each part in the
    signal is reported.

    Parameters
    ----------
    common : Pooled, Exchangeable, LowRank, MatrixNormal, DirichletProcess, PitmanYor, FiniteMixture
        With a diagonal covariance of the features; `MatrixNormal` with factors.
    sparse : float
        Prior median of the share of weights that deviate, between 0 and 1.

    Raises
    ------
    InvalidModelError
        For another relation, or a share that is none.

    References
    ----------
    Jalali, Ravikumar, Sanghavi and Ruan 2010, NeurIPS 23; Piironen and Vehtari 2017, Electron. J.
    Stat. 11.
    """

    common: Any = field(default_factory=LowRank)
    sparse: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.common, _COMMON):
            names = ", ".join(f"bm.{kind.__name__}()" for kind in _COMMON)
            raise InvalidModelError(
                f"Decomposition common must be one of {names}, got {self.common!r}"
            )
        if getattr(self.common, "feature_covariance", "diagonal") != "diagonal":
            raise InvalidModelError(
                "Decomposition common needs feature_covariance='diagonal': sparse deviations have "
                "no correlations"
            )
        if isinstance(self.common, MatrixNormal) and self.common.task_covariance != "low_rank":
            raise InvalidModelError(
                "Decomposition common=bm.MatrixNormal(...) needs task_covariance='low_rank', got "
                f"{self.common.task_covariance!r}"
            )
        numeric = isinstance(self.sparse, Real) and not isinstance(self.sparse, bool)
        if not (numeric and math.isfinite(self.sparse) and 0.0 < self.sparse < 1.0):
            raise InvalidModelError(
                "Decomposition sparse must be the share of weights that are expected to deviate, "
                f"between 0 and 1, got {self.sparse!r}"
            )
        object.__setattr__(self, "sparse", float(self.sparse))
