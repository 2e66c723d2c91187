"""Cases of feature selection, with their prior simulator."""

import numpy as np

from bayesmtl import Bernoulli, Exchangeable, Gaussian, Model, Prior
from tests.oracles.geweke import make_frame
from tests.oracles.geweke_case import Case, hierarchical, wide
from tests.oracles.geweke_rows import RowsCase, make_rows

__all__ = ["selected_bernoulli", "selected_features", "selected_task_features"]


def _horseshoe(
    n: int, number: tuple[int, int], global_scale: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local sds of means (n, d, q), sds of deviations (n, d) and hyperparameters (n, 3)."""
    d, q = number
    tau = global_scale * np.abs(rng.standard_cauchy((n, 2)))
    slab = np.sqrt(1.0 / rng.gamma(2.0, 1.0 / 8.0, n))
    wide_means = tau[:, :1, None] * np.abs(rng.standard_cauchy((n, d, q)))
    wide_sds = tau[:, 1:] * np.abs(rng.standard_cauchy((n, d)))
    local = 1.0 / np.sqrt(1.0 / wide_means**2 + 1.0 / slab[:, None, None] ** 2)
    sds = 1.0 / np.sqrt(1.0 / wide_sds**2 + 1.0 / slab[:, None] ** 2)
    return local, sds, np.column_stack([tau, slab])


def _global_scale(n_rows: int, n_tasks: int, odds: float, noise: float) -> np.ndarray:
    return noise * odds / np.sqrt([n_rows, n_rows / n_tasks])


def _with_first(local: np.ndarray, hyper: np.ndarray, first: int) -> np.ndarray:
    """State (n, p q + 3) with local sds of one for coefficients that stand before the features."""
    n, _, q = local.shape
    return np.column_stack([np.ones((n, first * q)), local.reshape(n, -1), hyper])


def selected_features() -> Case:
    """Three features of four tasks, a separate intercept, shared noise."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=3)
    first_prior = Prior("Normal", mu=1.0, sigma=1.0)
    model = Model(
        "y ~ x0 + x1 + x2",
        task="task",
        relation=Exchangeable(feature_selection=True),
        intercept=Exchangeable(mean=first_prior, scale=Prior("HalfNormal", sigma=1.0)),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.2, sigma=0.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        local, sds, hyper = _horseshoe(n, (3, 1), _global_scale(12, 4, 1.0, 1.0), rng)
        unit = frame.response_sd / frame.feature_sd
        means = local * rng.normal(size=local.shape) * unit[:, None]
        first = 1.0 + rng.normal(size=(n, 1, 1))
        noise = rng.lognormal(0.2, 0.5, n)
        return {
            "means": np.concatenate([first, means], axis=1),
            "sds": np.column_stack([np.abs(rng.normal(size=n)), sds * unit]),
            "median": noise,
            "noise": wide(noise, 4),
            "selection": _with_first(local, hyper, 1),
        }

    return Case(frame, model, structure)


def selected_task_features() -> Case:
    """Effects of a task feature under selection too, one of three features expected to matter."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=3, n_task_features=1, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1 + x2",
        task="task",
        task_features="~ z0",
        relation=Exchangeable(feature_selection=1),
        likelihood=Gaussian(noise_sd=Prior("LogNormal", mu=0.0, sigma=0.4)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        local, sds, hyper = _horseshoe(n, (3, 2), _global_scale(10, 5, 0.5, 1.0), rng)
        unit = frame.response_sd / frame.feature_sd
        means = local * rng.normal(size=local.shape) * unit[:, None]
        means[:, :, 1] /= frame.task_feature_sd
        median, spread = rng.lognormal(0.0, 0.4, n), 0.5 * np.abs(rng.normal(size=n))
        noise = hierarchical(n, 5, median, spread, rng)
        return {
            "means": means,
            "sds": sds * unit,
            "selection": _with_first(local, hyper, 0),
            **noise,
        }

    return Case(frame, model, structure)


def selected_bernoulli(likelihood: Bernoulli) -> RowsCase:
    """Two features of four tasks, yes or no."""
    frame, exposure = make_rows(likelihood, n_tasks=4, n_rows=3, n_features=2)
    model = Model("y ~ x0 + x1", "task", Exchangeable(feature_selection=True), likelihood)

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        local, sds, hyper = _horseshoe(n, (2, 1), _global_scale(12, 4, 1.0, 2.0), rng)
        means = local * rng.normal(size=local.shape) / frame.feature_sd[:, None]
        first = 2.5 * rng.normal(size=(n, 1, 1))
        return {
            "means": np.concatenate([first, means], axis=1),
            "sds": np.column_stack([np.abs(rng.normal(size=n)), sds / frame.feature_sd]),
            "selection": _with_first(local, hyper, 1),
        }

    return RowsCase(frame, model, exposure, structure)
