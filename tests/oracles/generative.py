"""The hierarchical regression written down once more, on the user's scale and without the package.

A `World` is n independent draws from the prior: means, standard deviations and correlations of the
population, noise, weights of the tasks and responses.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Layout", "World", "huang_wand", "joint", "lkj", "respond", "simulate", "statistics"]


class Layout(NamedTuple):
    """What the rows look like, user scale; column 0 of ``columns`` may be an intercept of ones.

    Parameters
    ----------
    columns : (row, p)
        Centred where the model centres them.
    task : (row,)
    task_columns : (task, q)
        A one and the centred task features.
    precision_weight : (row,)
        What multiplies the noise precision of each row.
    """

    columns: np.ndarray
    task: np.ndarray
    task_columns: np.ndarray
    precision_weight: np.ndarray


class World(NamedTuple):
    """Draws; ``median`` is the noise sd that the joint prior refers to."""

    means: np.ndarray  # (n, p, q)
    sds: np.ndarray  # (n, p)
    correlation: np.ndarray  # (n, p, p)
    shared: np.ndarray  # (n,)
    median: np.ndarray  # (n,)
    spread: np.ndarray  # (n,)
    noise: np.ndarray  # (n, task)
    weights: np.ndarray  # (n, task, p)
    response: np.ndarray  # (n, row)
    selection: np.ndarray  # (n, p q + 3) local sds of means and hyperparameters; (n, 0) without


def lkj(n: int, d: int, eta: float, rng: np.random.Generator) -> np.ndarray:
    """Correlation matrices by the onion method (Lewandowski, Kurowicka and Joe 2009)."""
    out = np.tile(np.eye(d), (n, 1, 1))
    if d == 1:
        return out
    beta = eta + (d - 2) / 2
    out[:, 0, 1] = out[:, 1, 0] = 2.0 * rng.beta(beta, beta, n) - 1.0
    for k in range(2, d):
        beta -= 0.5
        radius = np.sqrt(rng.beta(k / 2, beta, n))
        direction = rng.normal(size=(n, k))
        direction *= (radius / np.linalg.norm(direction, axis=1))[:, None]
        column = np.einsum("nij,nj->ni", np.linalg.cholesky(out[:, :k, :k]), direction)
        out[:, :k, k] = out[:, k, :k] = column
    return out


def huang_wand(
    n: int, scales: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sds and correlations with nu = 2: half-t(2) sds, by their inverse-Wishart mixture.

    ``D ~ IW(nu + d - 1, 2 nu diag(1 / a))``, ``a_j ~ InverseGamma(1 / 2, 1 / scale_j^2)``. The
    inverse of a Wishart(dof) matrix is built from dof normal vectors, which takes an integer dof.
    """
    d = len(scales)
    inverse_a = rng.gamma(0.5, scales**2, (n, d))
    vectors = rng.normal(size=(n, d + 1, d)) / np.sqrt(4.0 * inverse_a)[:, None, :]
    covariance = np.linalg.inv(np.einsum("nki,nkj->nij", vectors, vectors))
    sds = np.sqrt(np.einsum("nii->ni", covariance))
    return sds, covariance / (sds[:, :, None] * sds[:, None, :])


def joint(
    r2: np.ndarray,
    shared: np.ndarray,
    noise: np.ndarray,
    feature_sd: np.ndarray,
    q: int,
    task_feature_sd: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, d, q) and sds (n, d) of the joint R-squared / shared-fraction prior."""
    n, d = len(r2), len(feature_sd)
    signal = noise**2 * r2 / (1.0 - r2)
    shape = (n, d, q)
    means = rng.normal(size=shape) * np.sqrt(shared * signal / (d * q))[:, None, None]
    means /= feature_sd[:, None]
    means[:, :, 1:] /= task_feature_sd
    parts = rng.dirichlet(np.ones(d), n)
    sds = np.sqrt(((1.0 - shared) * signal)[:, None] * parts) / feature_sd
    return means, sds


def respond(
    layout: Layout, weights: np.ndarray, noise: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Responses (n, row) given weights (n, task, p) and noise sds (n, task)."""
    predictor = np.einsum("ri,nri->nr", layout.columns, weights[:, layout.task])
    sd = noise[:, layout.task] / np.sqrt(layout.precision_weight)
    return predictor + sd * rng.normal(size=predictor.shape)


def simulate(
    layout: Layout,
    structure: Callable[[int, np.random.Generator], dict[str, np.ndarray]],
    n: int,
    rng: np.random.Generator,
) -> World:
    """Draw worlds; ``structure`` gives means, sds and noise, optionally the other fields."""
    parts = structure(n, rng)
    means, sds = parts["means"], parts["sds"]
    p = sds.shape[1]
    correlation = parts.get("correlation", np.tile(np.eye(p), (n, 1, 1)))
    root = np.linalg.cholesky(correlation)
    deviation = rng.normal(size=(n, len(layout.task_columns), p))
    centers = np.einsum("nia,ta->nti", means, layout.task_columns)
    weights = centers + sds[:, None, :] * np.einsum("nij,ntj->nti", root, deviation)
    ones = np.ones(n)
    return World(
        means,
        sds,
        correlation,
        parts.get("shared", ones),
        parts.get("median", ones),
        parts.get("spread", ones),
        parts["noise"],
        weights,
        respond(layout, weights, parts["noise"], rng),
        parts.get("selection", np.empty((n, 0))),
    )


def statistics(world: World) -> dict[str, np.ndarray]:
    """Test functions of a joint draw; logs and arsinh, so that heavy tails have moments."""
    out: dict[str, np.ndarray] = {}

    def add(name: str, values: np.ndarray) -> None:
        if np.ptp(values) > 0:
            out[name] = values
            out[f"{name}^2"] = values**2

    p, q = world.means.shape[1:]
    for i in range(p):
        for a in range(q):
            add(f"mean[{i},{a}]", np.arcsinh(world.means[:, i, a]))
        add(f"log sd[{i}]", np.log(np.maximum(world.sds[:, i], 1e-12)))
        for j in range(i):
            add(f"correlation[{i},{j}]", world.correlation[:, i, j])
        for t in (0, world.noise.shape[1] - 1):
            add(f"weight[{t},{i}]", np.arcsinh(world.weights[:, t, i]))
    add("shared", world.shared)
    add("log median", np.log(world.median))
    add("log spread", np.log(world.spread))
    add("log noise[last]", np.log(world.noise[:, -1]))
    add("response[0]", np.arcsinh(world.response[:, 0]))
    add("response[last]", np.arcsinh(world.response[:, -1]))
    add("log square", np.log((world.response**2).mean(axis=1) + 0.01))
    out |= {f"log selection[{k}]": np.log(x) for k, x in enumerate(world.selection.T)}
    gap = world.weights[:, 0] - world.weights[:, -1]
    out["gap"] = np.log(np.sum(gap**2, axis=1) + 1e-12)
    out["weight x mean"] = np.arcsinh(world.weights[:, 0, -1] * world.means[:, -1, 0])
    out["sd x noise"] = np.log(np.maximum(world.sds[:, -1], 1e-12)) * np.log(world.noise[:, 0])
    if p > 1:
        out["weight x weight"] = np.arcsinh(world.weights[:, 0, 0] * world.weights[:, 0, 1])
    return {name: values for name, values in out.items() if np.ptp(values) > 0}
