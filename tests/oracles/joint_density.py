"""Log joint density of data and parameters on the user's scale, written with scipy."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, stats

__all__ = ["Point", "huang_wand_log_density", "joint_prior_log_density", "log_joint"]


class Point(NamedTuple):
    """One value of everything, user scale."""

    means: np.ndarray  # (p, q)
    sds: np.ndarray  # (p,)
    correlation: np.ndarray  # (p, p)
    shared: float
    median: float
    spread: float
    noise: np.ndarray  # (task,)
    weights: np.ndarray  # (task, p)


def huang_wand_log_density(covariance: np.ndarray, scales: np.ndarray) -> float:
    """``log p(D)`` with nu = 2: the auxiliary variables a_j integrated numerically.

    Given a, ``D ~ IW(nu + d - 1, 2 nu diag(1 / a))``; the density of D is a product over j of one
    function of a_j, up to a constant.
    """
    d, inverse = len(covariance), np.linalg.inv(covariance)
    dof = 2 + d - 1
    value = -0.5 * (dof + d + 1) * np.linalg.slogdet(covariance)[1]
    for j in range(d):

        def integrand(log_a: float, j: int = j) -> float:
            a = np.exp(log_a)
            log_prior = stats.invgamma(0.5, scale=1 / scales[j] ** 2).logpdf(a) + log_a
            return float(np.exp(log_prior - 0.5 * dof * log_a - 2.0 * inverse[j, j] / a))

        value += np.log(integrate.quad(integrand, -40, 40, limit=500, epsabs=0, epsrel=1e-11)[0])
    return float(value)


def joint_prior_log_density(
    means: np.ndarray,
    sds: np.ndarray,
    shared: float,
    noise: float,
    laws: tuple[Any, Any],
) -> float:
    """Joint R-squared prior of standardised means (any number) and sds (d,), density in the sds.

    With V the signal variance, ``t = sum of sds^2 = (1 - shared) V`` and the shares ``sds^2 / t``
    flat on the simplex, the change of variables (V, shares) -> sds has the Jacobian
    ``t^-(d - 1) / (1 - shared) prod_j 2 sd_j``.
    """
    r2_law, shared_law = laws
    total = float((sds**2).sum())
    signal = total / (1.0 - shared)
    r2 = signal / (signal + noise**2)
    value = r2_law.logpdf(r2) + np.log(noise**2 / (signal + noise**2) ** 2)
    value += -np.log(1.0 - shared) - (len(sds) - 1) * np.log(total) + np.log(2.0 * sds).sum()
    value += shared_law.logpdf(shared)
    law = stats.norm(0.0, np.sqrt(shared * signal / means.size))
    return float(value + law.logpdf(means).sum())


def log_joint(
    point: Point,
    *,
    columns: np.ndarray,
    response: np.ndarray,
    task: np.ndarray,
    task_columns: np.ndarray,
    row_weight: np.ndarray,
    structure: Callable[[Point], float],
    noise: Mapping[str, Any],
) -> float:
    """Likelihood x weights x structure x noise.

    ``structure`` gives the log prior density of means, sds and correlations; ``noise`` has the laws
    "median" (or the one sd) and "spread", absent where they are fixed.
    """
    predictor = np.einsum("ri,ri->r", columns, point.weights[task])
    value = row_weight @ stats.norm(predictor, point.noise[task]).logpdf(response)
    varying = point.sds > 0
    covariance = np.outer(point.sds, point.sds) * point.correlation
    for t, z in enumerate(task_columns):
        center = point.means @ z
        if varying.any():
            law = stats.multivariate_normal(
                center[varying], covariance[np.ix_(varying, varying)], allow_singular=False
            )
            value += law.logpdf(point.weights[t, varying])
    value += structure(point)
    if "median" in noise:
        value += noise["median"].logpdf(point.median)
    if "spread" in noise:
        value += noise["spread"].logpdf(point.spread)
    if noise.get("hierarchical", False):
        value += stats.norm(np.log(point.median), point.spread).logpdf(np.log(point.noise)).sum()
    return float(value)
