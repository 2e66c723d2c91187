"""Cases of priors set by the user and of the limits, with their prior simulators."""

import numpy as np

from bayesmtl import Exchangeable, Gaussian, Independent, Model, Pooled, Prior
from tests.oracles.geweke import make_frame
from tests.oracles.geweke_case import Case, constant, hierarchical, wide

__all__ = ["independent", "many_tasks", "pooled", "user_priors"]


def user_priors() -> Case:
    """Priors by feature, intercept a feature, fixed noise by task."""
    frame = make_frame(n_tasks=3, n_rows=3, n_features=2, intercept="relation")
    noises = {"0": 0.5, "1": 1.5, "2": 1.0}
    model = Model(
        "y ~ x0 + x1",
        task="task",
        intercept="relation",
        relation=Exchangeable(
            mean={
                "Intercept": Prior("StudentT", nu=5, mu=1.0, sigma=0.8),
                "x0": Prior("Laplace", mu=-0.3, b=0.5),
                "x1": Prior("Uniform", lower=-1.0, upper=2.0),
            },
            scale={
                "Intercept": Prior("Gamma", alpha=3.0, beta=4.0),
                "x0": Prior("Uniform", lower=0.1, upper=1.5),
            },
        ),
        likelihood=Gaussian(noise_sd=noises),
    )
    default = frame.response_sd / frame.feature_sd[1]

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        means = [
            1.0 + 0.8 * rng.standard_t(5, n),
            rng.laplace(-0.3, 0.5, n),
            rng.uniform(-1.0, 2.0, n),
        ]
        sds = [
            rng.gamma(3.0, 0.25, n),
            rng.uniform(0.1, 1.5, n),
            default * np.abs(rng.normal(size=n)),
        ]
        return {
            "means": np.column_stack(means)[:, :, None],
            "sds": np.column_stack(sds),
            "noise": constant(n, *noises.values()),
        }

    return Case(frame, model, structure)


def many_tasks() -> Case:
    """Nine tasks, more than a block of lanes; a fixed scale, a scale of zero, a fixed mean."""
    frame = make_frame(n_tasks=9, n_rows=1, n_features=2, intercept="separate")
    model = Model(
        "y ~ x0 + x1",
        task="task",
        intercept=Exchangeable(mean=0.7, scale=Prior("HalfNormal", sigma=1.2)),
        relation=Exchangeable(mean=Prior("Normal", mu=0.4, sigma=0.6), scale=[0.0, 0.8]),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("HalfNormal", sigma=1.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        noise = 1.5 * np.abs(rng.normal(size=n))
        means = np.column_stack([np.full(n, 0.7), rng.normal(0.4, 0.6, (n, 2))])
        sds = np.column_stack([1.2 * np.abs(rng.normal(size=n)), constant(n, 0.0, 0.8)])
        return {"means": means[:, :, None], "sds": sds, "median": noise, "noise": wide(noise, 9)}

    return Case(frame, model, structure)


def pooled() -> Case:
    """Pooled weights and intercept, learned spread of the noise around a fixed median."""
    frame = make_frame(n_tasks=3, n_rows=3, n_features=1)
    model = Model(
        "y ~ x0",
        task="task",
        relation=Pooled(mean=Prior("TruncatedNormal", mu=0.2, sigma=1.0, lower=0.0)),
        intercept=Pooled(),
        likelihood=Gaussian(noise_sd=1.1, noise_spread=Prior("Gamma", alpha=2, beta=5)),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        slope = rng.normal(0.2, 1.0, 3 * n)
        slope = slope[slope > 0][:n]
        first = rng.normal(frame.response_mean, 2.5 * frame.response_sd, n)
        noise = hierarchical(n, 3, np.full(n, 1.1), rng.gamma(2.0, 0.2, n), rng)
        return {
            "means": np.column_stack([first, slope])[:, :, None],
            "sds": np.zeros((n, 2)),
            **noise,
        }

    return Case(frame, model, structure)


def independent() -> Case:
    """Independent weights beside an exchangeable intercept with task features."""
    frame = make_frame(n_tasks=4, n_rows=2, n_features=1, n_task_features=2)
    model = Model(
        "y ~ x0",
        task="task",
        relation=Independent(mean=0.3, scale=0.8),
        intercept=Exchangeable(
            mean=Prior("Normal", mu=1.0, sigma=1.0), scale=Prior("Weibull", alpha=2.0, beta=1.0)
        ),
        task_features="~ z0 + z1",
        likelihood=Gaussian(noise_sd=Prior("InverseGamma", alpha=4, beta=4), noise_spread=0.4),
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        effects = 2.5 * frame.unit[0, 1:] * rng.normal(size=(n, 2))
        means = np.zeros((n, 2, 3))
        means[:, 0] = np.column_stack([rng.normal(1.0, 1.0, n), effects])
        means[:, 1, 0] = 0.3
        noise = hierarchical(n, 4, 1.0 / rng.gamma(4.0, 0.25, n), np.full(n, 0.4), rng)
        return {
            "means": means,
            "sds": np.column_stack([rng.weibull(2.0, n), np.full(n, 0.8)]),
            **noise,
        }

    return Case(frame, model, structure)
