"""Cases of the joint R-squared / shared-fraction prior, with their prior simulators."""

import numpy as np

from bayesmtl import Exchangeable, Gaussian, Model, Prior
from tests.oracles.generative import joint
from tests.oracles.geweke import make_frame
from tests.oracles.geweke_case import Case, hierarchical, wide

__all__ = ["joint_default", "joint_known_noise", "joint_task_features", "joint_user_effects"]


def joint_default() -> Case:
    """Joint prior, shared noise, default intercept."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=2)
    model = Model(
        "y ~ x0 + x1",
        task="task",
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.2, sigma=0.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        noise, shared = rng.lognormal(0.2, 0.5, n), rng.uniform(size=n)
        means, sds = joint(rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng)
        s_y = frame.response_sd
        first = frame.response_mean + 2.5 * s_y * rng.normal(size=(n, 1, 1))
        return {
            "means": np.concatenate([first, means], axis=1),
            "sds": np.column_stack([s_y * np.abs(rng.normal(size=n)), sds]),
            "shared": shared,
            "median": noise,
            "noise": wide(noise, 4),
        }

    return Case(frame, model, structure)


def joint_task_features() -> Case:
    """Joint prior with task features, hierarchical noise, user's Beta priors, no intercept."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=2, n_task_features=1, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1",
        task="task",
        task_features="~ z0",
        relation=Exchangeable(
            r2=Prior("Beta", alpha=2, beta=3), shared=Prior("Beta", alpha=3, beta=2)
        ),
        likelihood=Gaussian(noise_sd=Prior("LogNormal", mu=0.0, sigma=0.4)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        median, shared = rng.lognormal(0.0, 0.4, n), rng.beta(3, 2, n)
        means, sds = joint(
            rng.beta(2, 3, n), shared, median, frame.feature_sd, 2, frame.task_feature_sd, rng
        )
        noise = hierarchical(n, 5, median, 0.5 * np.abs(rng.normal(size=n)), rng)
        return {"means": means, "sds": sds, "shared": shared, **noise}

    return Case(frame, model, structure)


def joint_user_effects() -> Case:
    """Joint prior of means and scales, effects of the task feature with a prior of their own."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=1, n_task_features=1, intercept="none")
    model = Model(
        "y ~ 0 + x0",
        task="task",
        task_features="~ z0",
        relation=Exchangeable(task_effects=Prior("Normal", mu=0.5, sigma=0.7)),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.0, sigma=0.3)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        noise, shared = rng.lognormal(0.0, 0.3, n), rng.uniform(size=n)
        means, sds = joint(rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng)
        effects = rng.normal(0.5, 0.7, (n, 1, 1))
        return {
            "means": np.concatenate([means, effects], axis=2),
            "sds": sds,
            "shared": shared,
            "median": noise,
            "noise": wide(noise, 4),
        }

    return Case(frame, model, structure)


def joint_known_noise() -> Case:
    """Joint prior with known standard errors and row weights: R-squared refers to their square."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=2, intercept="none", known_noise=True)
    model = Model("y ~ 0 + x0 + x1", task="task", likelihood=Gaussian(se="se"), weights="w")
    reference = float(np.sqrt((frame.data["se"] ** 2).mean()))

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shared, noise = rng.uniform(size=n), np.full(n, reference)
        means, sds = joint(rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng)
        return {
            "means": means[:, :, :1],
            "sds": sds,
            "shared": shared,
            "noise": np.ones((n, 4)),
        }

    return Case(frame, model, structure)
