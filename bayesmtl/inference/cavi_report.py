"""What coordinate ascent says of itself."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.inference.drift import Drift
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL
from bayesmtl.relations.exchangeable.hyperparameters import Layout

__all__ = ["Report", "estimated_names"]


class Report(NamedTuple):
    """What the approximation has to say of itself.

    Parameters
    ----------
    elbo : float
        Lower bound of ``log p(y)`` at the point estimates, user units of y.
    trace : (step,)
        Bound plus log prior density of the point estimates, up to a constant.
    pareto_k : float or None
        Of the importance ratios of posterior over approximation, hyperparameters at their point
        estimates; None where it cannot be told.
    point_estimates : list of str
        Posterior variables whose draws are all one point estimate; of correlated tasks also
        "scale", the keyword of the relation, and "own_sd" beside factors.
    drift : Drift or None
        Of the partitions under Gibbs sweeps, where there are any.
    correlation_drift : float or None
        Change of correlations of tasks under Gibbs sweeps, where it is known.
    factorised : bool
        Whether the weights are so many that their factor is a product over tasks.
    """

    elbo: float
    trace: np.ndarray
    pareto_k: float | None
    point_estimates: list[str]
    drift: Drift | None = None
    correlation_drift: float | None = None
    factorised: bool = False

    def summary(self) -> dict[str, Any]:
        """What the diagnostics judge by."""
        out: dict[str, Any] = {
            "pareto_k": self.pareto_k,
            "point_estimates": self.point_estimates,
        }
        if self.drift is not None:
            out["drift"] = self.drift._asdict()
        if self.correlation_drift is not None:
            out["correlation_drift"] = self.correlation_drift
        return out | {"factorised": True} if self.factorised else out

    def attrs(self) -> dict[str, Any]:
        """Root attributes of the result."""
        out = {
            "approximate": 1,
            "elbo": self.elbo,
            "elbo_trace": self.trace.tolist(),
            "point_estimates": json.dumps(self.point_estimates),
        }
        if self.factorised:
            out["factorised"] = 1
        if self.correlation_drift is not None:
            out["correlation_drift"] = self.correlation_drift
        if self.drift is not None:
            out["n_clusters_after_sweeps"] = self.drift.n_clusters_after
            out["co_clustering_drift"] = self.drift.co_clustering
        return out if self.pareto_k is None else out | {"pareto_k": self.pareto_k}


def estimated_names(layout: Layout, of_means: str, of_scales: str) -> list[str]:
    """Posterior variables of which only a point estimate is known.

    Parameters
    ----------
    layout : Layout
    of_means, of_scales : str
        Names of the means and of the scales of the features.
    """
    block, q = layout.problem.prior.block, layout.point.base.shape[1]
    coefficient, column = np.divmod(layout.means, q)
    hierarchical = layout.noise_kind == HIERARCHICAL
    shared, between, median, spread = layout.flags
    names = {
        "intercept_sd": (layout.scales < block).any(),
        "intercept_mean": ((coefficient < block) & (column == 0)).any(),
        "intercept_task_effects": ((coefficient < block) & (column > 0)).any(),
        of_scales: (layout.scales >= block).any(),
        of_means: ((coefficient >= block) & (column == 0)).any(),
        "task_effects": ((coefficient >= block) & (column > 0)).any(),
        "shared_fraction": shared,
        "between": between,
        "noise_sd": layout.noise_kind != FIXED_NOISE,
        "noise_median": hierarchical and median,
        "noise_spread": hierarchical and spread,
    }
    return [name for name, estimated in names.items() if estimated]
