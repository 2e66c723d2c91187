"""Cases of full feature covariances, with their prior simulators."""

import numpy as np

from bayesmtl import Exchangeable, Gaussian, Model, Prior
from tests.oracles.generative import huang_wand, lkj
from tests.oracles.geweke import make_frame
from tests.oracles.geweke_case import Case, constant, hierarchical, wide

__all__ = [
    "huang_wand_covariance",
    "huang_wand_relation",
    "separate_covariance",
    "separate_covariance_fixed_scales",
]


def huang_wand_covariance() -> Case:
    """Default full covariance, separate intercept, shared noise."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=2)
    model = Model(
        "y ~ x0 + x1",
        task="task",
        relation=Exchangeable(feature_covariance="full"),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.2, sigma=0.4)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        noise, unit = rng.lognormal(0.2, 0.4, n), frame.unit[:, 0]
        sds, correlation = huang_wand(n, unit[1:], rng)
        full = np.tile(np.eye(3), (n, 1, 1))
        full[:, 1:, 1:] = correlation
        return {
            "means": (frame.location + 2.5 * unit * rng.normal(size=(n, 3)))[:, :, None],
            "sds": np.column_stack([unit[0] * np.abs(rng.normal(size=n)), sds]),
            "correlation": full,
            "median": noise,
            "noise": wide(noise, 5),
        }

    return Case(frame, model, structure)


def huang_wand_relation() -> Case:
    """Huang-Wand with the intercept a feature, a mean of one's own, task features, fixed noise."""
    frame = make_frame(n_tasks=4, n_rows=2, n_features=1, n_task_features=1, intercept="relation")
    model = Model(
        "y ~ x0",
        task="task",
        intercept="relation",
        task_features="~ z0",
        relation=Exchangeable(
            mean=Prior("Normal", mu=0.5, sigma=1.0),
            task_effects={"x0": Prior("Laplace", mu=0.0, b=1.0)},
            feature_covariance="full",
        ),
        likelihood=Gaussian(noise_sd=1.2),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        sds, correlation = huang_wand(n, frame.unit[:, 0], rng)
        effects = np.column_stack(
            [2.5 * frame.unit[0, 1] * rng.normal(size=n), rng.laplace(0.0, 1.0, n)]
        )
        return {
            "means": np.stack([rng.normal(0.5, 1.0, (n, 2)), effects], axis=2),
            "sds": sds,
            "correlation": correlation,
            "noise": constant(n, 1.2, 1.2, 1.2, 1.2),
        }

    return Case(frame, model, structure)


def separate_covariance() -> Case:
    """Scales and LKJ correlations, hierarchical noise with the user's priors."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=3, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1 + x2",
        task="task",
        relation=Exchangeable(
            scale=Prior("HalfNormal", sigma=0.9),
            feature_covariance="full",
            correlation=Prior("LKJ", eta=2.0),
        ),
        likelihood=Gaussian(
            noise_sd=Prior("HalfNormal", sigma=1.5), noise_spread=Prior("Exponential", lam=3.0)
        ),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        unit = frame.unit[:, 0]
        noise = hierarchical(
            n, 5, 1.5 * np.abs(rng.normal(size=n)), rng.exponential(1 / 3.0, n), rng
        )
        return {
            "means": (2.5 * unit * rng.normal(size=(n, 3)))[:, :, None],
            "sds": 0.9 * np.abs(rng.normal(size=(n, 3))),
            "correlation": lkj(n, 3, 2.0, rng),
            **noise,
        }

    return Case(frame, model, structure)


def separate_covariance_fixed_scales() -> Case:
    """A feature that does not vary over tasks has no correlations; the others have LKJ ones."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=3, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1 + x2",
        task="task",
        relation=Exchangeable(
            mean=Prior("Normal", mu=0.0, sigma=1.0),
            scale={"x0": 0.7, "x1": 0.0, "x2": Prior("HalfNormal", sigma=1.0)},
            feature_covariance="full",
        ),
        likelihood=Gaussian(noise_sd=0.8),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        sds = np.column_stack([constant(n, 0.7, 0.0), np.abs(rng.normal(size=n))])
        correlation = np.tile(np.eye(3), (n, 1, 1))
        correlation[:, ::2, ::2] = lkj(n, 2, 1.0, rng)
        return {
            "means": rng.normal(size=(n, 3, 1)),
            "sds": sds,
            "correlation": correlation,
            "noise": np.full((n, 5), 0.8),
        }

    return Case(frame, model, structure)
