"""Cases of the cluster relations, with their prior simulators."""

import numpy as np

from bayesmtl import DirichletProcess, FiniteMixture, Gaussian, Model, PitmanYor, Prior
from tests.oracles.generative import joint
from tests.oracles.geweke import make_frame
from tests.oracles.geweke_case import constant, hierarchical, wide
from tests.oracles.geweke_partition import Case, components, process

__all__ = [
    "dirichlet_default",
    "dirichlet_identical",
    "dirichlet_identical_joint",
    "dirichlet_user",
    "finite_mixture",
    "pitman_yor",
    "two_components",
]

Parts = dict[str, np.ndarray]


def dirichlet_default() -> Case:
    """All defaults, shared noise."""
    frame = make_frame(n_tasks=5, n_rows=3, n_features=2)
    model = Model(
        "y ~ x0 + x1",
        task="task",
        relation=DirichletProcess(),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.2, sigma=0.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        noise, shared, s_y = rng.lognormal(0.2, 0.5, n), rng.uniform(size=n), frame.response_sd
        means, sds = joint(rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng)
        first = frame.response_mean + 2.5 * s_y * rng.normal(size=(n, 1, 1))
        return {
            "means": np.concatenate([first, means], axis=1),
            "sds": np.column_stack([s_y * np.abs(rng.normal(size=n)), sds]),
            "shared": shared,
            "median": noise,
            "noise": wide(noise, 5),
            "between": rng.beta(2, 1, n),
            **process(5, rng.gamma(2.0, 0.5, n), np.zeros(n), rng),
        }

    return Case(frame, model, structure)


def dirichlet_user() -> Case:
    """The user's priors, the intercept a feature, a fixed share, hierarchical noise."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=1, intercept="relation")
    model = Model(
        "y ~ x0",
        task="task",
        intercept="relation",
        relation=DirichletProcess(
            concentration=Prior("LogNormal", mu=0.3, sigma=0.7),
            mean={"Intercept": Prior("Normal", mu=1.0, sigma=0.8), "x0": Prior("Laplace")},
            scale=Prior("HalfNormal", sigma=1.2),
            between=0.7,
        ),
        likelihood=Gaussian(noise_sd=Prior("LogNormal", mu=0.0, sigma=0.4)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        means = np.column_stack([rng.normal(1.0, 0.8, n), rng.laplace(0.0, 1.0, n)])
        median, spread = rng.lognormal(0.0, 0.4, n), 0.5 * np.abs(rng.normal(size=n))
        return {
            "means": means[:, :, None],
            "sds": 1.2 * np.abs(rng.normal(size=(n, 2))),
            "between": np.full(n, 0.7),
            **hierarchical(n, 4, median, spread, rng),
            **process(4, rng.lognormal(0.3, 0.7, n), np.zeros(n), rng),
        }

    return Case(frame, model, structure)


def dirichlet_identical() -> Case:
    """Identical weights within clusters but for a task feature; nine tasks, a fixed mean."""
    frame = make_frame(n_tasks=9, n_rows=2, n_features=2, n_task_features=1, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1",
        task="task",
        task_features="~ z0",
        relation=DirichletProcess(
            mean={"x0": Prior("Normal", mu=0.4, sigma=0.9), "x1": -0.2},
            scale=Prior("Gamma", alpha=3, beta=3),
            task_effects=Prior("Normal", mu=0.3, sigma=0.6),
            between=1.0,
        ),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("HalfNormal", sigma=1.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        noise = 1.5 * np.abs(rng.normal(size=n))
        means = np.column_stack([rng.normal(0.4, 0.9, n), np.full(n, -0.2)])
        effects = rng.normal(0.3, 0.6, (n, 2))
        return {
            "means": np.stack([means, effects], axis=2),
            "sds": rng.gamma(3.0, 1.0 / 3.0, (n, 2)),
            "median": noise,
            "noise": wide(noise, 9),
            "between": np.ones(n),
            **process(9, rng.gamma(2.0, 0.5, n), np.zeros(n), rng),
        }

    return Case(frame, model, structure)


def dirichlet_identical_joint() -> Case:
    """Identical weights within clusters under the joint prior, a separate intercept."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=2)
    model = Model(
        "y ~ x0 + x1",
        task="task",
        relation=DirichletProcess(concentration=1.3, between=1.0),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.0, sigma=0.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        noise, shared, s_y = rng.lognormal(0.0, 0.5, n), rng.uniform(size=n), frame.response_sd
        means, sds = joint(rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng)
        first = frame.response_mean + 2.5 * s_y * rng.normal(size=(n, 1, 1))
        return {
            "means": np.concatenate([first, means], axis=1),
            "sds": np.column_stack([s_y * np.abs(rng.normal(size=n)), sds]),
            "shared": shared,
            "median": noise,
            "noise": wide(noise, 4),
            "between": np.ones(n),
            **process(4, np.full(n, 1.3), np.zeros(n), rng),
        }

    return Case(frame, model, structure)


def pitman_yor() -> Case:
    """Random discount, task features, a bounded share, a scale of zero, fixed noise by task."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=2, n_task_features=1)
    noises = {"0": 0.5, "1": 1.5, "2": 1.0, "3": 0.8, "4": 1.2}
    model = Model(
        "y ~ x0 + x1",
        task="task",
        task_features="~ z0",
        relation=PitmanYor(
            mean=Prior("Normal", mu=0.2, sigma=0.7),
            scale={"x0": 0.0, "x1": Prior("HalfNormal", sigma=0.9)},
            task_effects=Prior("Normal", mu=0.0, sigma=0.5),
            between=Prior("Uniform", lower=0.1, upper=0.9),
        ),
        likelihood=Gaussian(noise_sd=noises),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        means = np.zeros((n, 3, 2))
        unit = frame.unit[0]
        means[:, 0] = frame.response_mean * np.array([1.0, 0.0]) + 2.5 * unit * rng.normal(
            size=(n, 2)
        )
        means[:, 1:, 0] = rng.normal(0.2, 0.7, (n, 2))
        means[:, 1:, 1] = rng.normal(0.0, 0.5, (n, 2))
        first = unit[0] * np.abs(rng.normal(size=n))
        return {
            "means": means,
            "sds": np.column_stack([first, np.zeros(n), 0.9 * np.abs(rng.normal(size=n))]),
            "noise": constant(n, *noises.values()),
            "between": rng.uniform(0.1, 0.9, n),
            **process(5, rng.gamma(2.0, 0.5, n), rng.beta(1, 4, n), rng),
        }

    return Case(frame, model, structure)


def finite_mixture() -> Case:
    """Unknown number of components, joint prior with task features, hierarchical noise."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=1, n_task_features=1, intercept="none")
    model = Model(
        "y ~ 0 + x0",
        task="task",
        task_features="~ z0",
        relation=FiniteMixture(r2=Prior("Beta", alpha=2, beta=2)),
        likelihood=Gaussian(noise_sd=Prior("LogNormal", mu=0.0, sigma=0.4)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        median, shared = rng.lognormal(0.0, 0.4, n), rng.uniform(size=n)
        means, sds = joint(
            rng.beta(2, 2, n), shared, median, frame.feature_sd, 2, frame.task_feature_sd, rng
        )
        number = 1 + rng.negative_binomial(1, rng.beta(4, 3, n))
        return {
            "means": means,
            "sds": sds,
            "shared": shared,
            "between": rng.beta(2, 1, n),
            **hierarchical(n, 5, median, 0.5 * np.abs(rng.normal(size=n)), rng),
            **components(5, rng.gamma(2.0, 0.5, n), number, rng),
        }

    return Case(frame, model, structure)


def two_components() -> Case:
    """Fewer components than tasks, half of the variance between them on average."""
    frame = make_frame(n_tasks=5, n_rows=2, n_features=2, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1",
        task="task",
        relation=FiniteMixture(
            components=2,
            concentration=Prior("Exponential"),
            mean=Prior("Normal", mu=0.2, sigma=0.7),
            scale=[0.6, 1.1],
            between=Prior("Beta", alpha=1, beta=1),
        ),
        likelihood=Gaussian(noise="shared", noise_sd=Prior("LogNormal", mu=0.0, sigma=0.5)),
    )

    def structure(n: int, rng: np.random.Generator) -> Parts:
        noise = rng.lognormal(0.0, 0.5, n)
        return {
            "means": rng.normal(0.2, 0.7, (n, 2, 1)),
            "sds": constant(n, 0.6, 1.1),
            "median": noise,
            "noise": wide(noise, 5),
            "between": rng.uniform(size=n),
            **components(5, rng.exponential(size=n), np.full(n, 2), rng),
        }

    return Case(frame, model, structure)
