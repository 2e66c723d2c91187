"""Joint-distribution tests of the whole Gibbs kernel against an independent prior simulator."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from bayesmtl import Exchangeable, Gaussian, Independent, Model, Pooled, Prior
from tests.oracles.generative import huang_wand, joint, lkj, simulate
from tests.oracles.geweke import Frame, joint_scores, make_frame, successive_conditional

CHAINS, CYCLES = 500, 40
Structure = Callable[[int, np.random.Generator], dict[str, np.ndarray]]


class Case(NamedTuple):
    frame: Frame
    model: Model
    structure: Structure


def wide(values: np.ndarray, n_tasks: int) -> np.ndarray:
    """The same noise for all tasks."""
    return np.repeat(values[:, None], n_tasks, axis=1)


def constant(n: int, *values: float) -> np.ndarray:
    return np.tile(np.array(values), (n, 1))


def hierarchical(
    n: int, n_tasks: int, median: np.ndarray, spread: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    log_noise = np.log(median)[:, None] + spread[:, None] * rng.normal(size=(n, n_tasks))
    return {"median": median, "spread": spread, "noise": np.exp(log_noise)}


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
        means, sds = joint(
            rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng
        )
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
        means, sds = joint(
            rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng
        )
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
    """Joint prior with known standard errors and row weights: R-squared refers to the mean square."""
    frame = make_frame(n_tasks=4, n_rows=3, n_features=2, intercept="none", known_noise=True)
    model = Model("y ~ 0 + x0 + x1", task="task", likelihood=Gaussian(se="se"), weights="w")
    reference = float(np.sqrt((frame.data["se"] ** 2).mean()))

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shared, noise = rng.uniform(size=n), np.full(n, reference)
        means, sds = joint(
            rng.uniform(size=n), shared, noise, frame.feature_sd, 1, np.ones(0), rng
        )
        return {
            "means": means[:, :, :1],
            "sds": sds,
            "shared": shared,
            "noise": np.ones((n, 4)),
        }

    return Case(frame, model, structure)


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
    frame = make_frame(
        n_tasks=4, n_rows=2, n_features=1, n_task_features=1, intercept="relation"
    )
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
    """LKJ correlations between features of which one does not vary over tasks."""
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
        return {
            "means": rng.normal(size=(n, 3, 1)),
            "sds": sds,
            "correlation": lkj(n, 3, 1.0, rng),
            "noise": np.full((n, 5), 0.8),
        }

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


CASES = [
    joint_default,
    joint_task_features,
    joint_user_effects,
    joint_known_noise,
    user_priors,
    many_tasks,
    huang_wand_covariance,
    huang_wand_relation,
    separate_covariance,
    separate_covariance_fixed_scales,
    pooled,
    independent,
]


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_kernel_leaves_the_joint_distribution_invariant(make: Callable[[], Case]) -> None:
    case = make()
    layout, structure = case.frame.layout, case.structure
    exact = simulate(layout, structure, 100_000, np.random.default_rng([1, 20]))
    start = simulate(layout, structure, CHAINS, np.random.default_rng([2, 20]))
    rng = np.random.default_rng([3, 20])
    chains = successive_conditional(case.frame, case.model, start, CYCLES, rng)
    scores = joint_scores(chains, exact)
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 20
