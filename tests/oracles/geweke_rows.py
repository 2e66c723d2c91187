"""Successive-conditional simulation of the sampler around fixed sites, and its cases.

The sites stay those of one data set while the responses change: exactness holds for any sites.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit, ndtr

from bayesmtl import Bernoulli, Exchangeable, Independent, Model, Poisson, Pooled, Prior, StudentT
from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.whitened import whiten
from tests.oracles.generative import World, huang_wand, joint, lkj, simulate
from tests.oracles.geweke import (
    Chains,
    Frame,
    empty_like,
    make_frame,
    record_population,
    record_selection,
    set_population,
    set_selection,
)
from tests.oracles.geweke_case import Structure, constant

__all__ = ["CASES", "RowsCase", "exact_draws", "make_rows", "respond", "successive_rows"]

Likelihood = Bernoulli | Poisson | StudentT


class RowsCase(NamedTuple):
    """``frame`` has responses of the likelihood, and the scales the model sees.

    Of Student t noise, ``median`` of a world is the scale and ``spread`` the degrees of freedom.
    """

    frame: Frame
    model: Model
    exposure: np.ndarray
    structure: Structure


def respond(case: RowsCase, world: World, rng: np.random.Generator) -> np.ndarray:
    """Responses (n, row) given weights and noise."""
    layout = case.frame.layout
    eta = np.einsum("ri,nri->nr", layout.columns, world.weights[:, layout.task])
    likelihood = case.model.likelihood
    if isinstance(likelihood, StudentT):
        return eta + world.median[:, None] * rng.standard_t(world.spread[:, None], eta.shape)
    if isinstance(likelihood, Poisson):
        rate = np.exp(np.minimum(eta, 27.0))
        return rng.poisson(case.exposure * rate).astype(float)
    assert isinstance(likelihood, Bernoulli)
    inverse = expit if likelihood.link == "logit" else ndtr
    return (rng.random(eta.shape) < inverse(eta)).astype(float)


def exact_draws(case: RowsCase, n: int, rng: np.random.Generator) -> World:
    """Independent draws of parameters and responses."""

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"noise": np.ones((n, len(case.frame.layout.task_columns)))} | case.structure(n, rng)

    world = simulate(case.frame.layout, structure, n, rng)
    return world._replace(response=respond(case, world, rng))


def _begin(case: RowsCase, problem: Problem, state: CorrectedState, world: World, i: int) -> None:
    """Put an exact draw into the state; q follows from the weights."""
    population = state.population
    set_population(case.frame, problem, population, world, i)
    set_selection(problem, state.selection, world, i)
    internal = (world.weights[i] - case.frame.location) / case.frame.unit[:, 0]
    population.weights[:] = pack_tasks(internal)
    if state.parameters.size:
        state.parameters[:] = np.log([world.median[i] / case.frame.response_sd, world.spread[i]])
    standardise(problem.prior, population)
    whiten(state.sites, problem.prior, population, state.whitened)


def successive_rows(case: RowsCase, start: World, cycles: int, rng: np.random.Generator) -> Chains:
    """Chains of ``cycles`` sweeps from each exact draw, with new responses after every sweep."""
    problem = case.model.prepare(case.frame.data).problem
    assert problem.row_data is not None
    assert problem.row_kernels is not None
    n_tasks, n_chains = problem.prior.n_tasks, len(start.shared)
    out = empty_like(n_chains * cycles, start)
    out.noise[:], out.median[:], out.spread[:] = 1.0, 1.0, 1.0
    scaled = isinstance(case.model.likelihood, StudentT)
    center, unit = (case.frame.response_mean, case.frame.response_sd) if scaled else (0.0, 1.0)
    state = start_corrected(problem, rng)
    rates = np.zeros(2)
    for c in range(n_chains):
        _begin(case, problem, state, start, c)
        response = start.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            # Rows of the frame are sorted by task already.
            rows = problem.row_data._replace(response=(response - center) / unit)
            current = problem._replace(row_data=rows)
            weights = state.population.weights
            problem.row_kernels.evaluate(rows, weights, state.parameters, state.value)
            moved = corrected_sweep(current, state, rng)
            rates += moved, state.accepted.mean()
            record_population(case.frame, state.population, n_tasks, out, i)
            record_selection(state.selection, out, i)
            if scaled:
                out.median[i], out.spread[i] = np.exp(state.parameters) * [unit, 1.0]
                out.noise[i] = out.median[i]
            response = respond(case, World(*(part[i : i + 1] for part in out)), rng)[0]
            out.response[i] = response
    # Neither always nor never accepted: the corrections are at work.
    rates /= n_chains * cycles
    assert np.all(rates > 0.01), rates
    assert rates.min() < 0.97, rates
    return Chains(start, out, cycles)


def make_rows(
    likelihood: Likelihood,
    *,
    n_tasks: int,
    n_rows: int,
    n_features: int,
    n_task_features: int = 0,
    intercept: str = "separate",
) -> tuple[Frame, np.ndarray]:
    """A frame with valid responses, and the exposures of its rows."""
    frame = make_frame(
        n_tasks=n_tasks,
        n_rows=n_rows,
        n_features=n_features,
        n_task_features=n_task_features,
        intercept=intercept,
    )
    rng = np.random.default_rng(7)
    n, center, exposure = len(frame.data), 0.0, np.ones(len(frame.data))
    unit = 1.0
    if isinstance(likelihood, StudentT):
        y = frame.data["y"].to_numpy()
        unit = float(stats.median_abs_deviation(y, scale="normal"))
        center = 0.0 if intercept == "none" else float(np.median(y))
    elif isinstance(likelihood, Poisson):
        y = rng.poisson(1.5, n)
        if likelihood.exposure is not None:
            exposure = rng.uniform(0.5, 3.0, n)
        center = 0.0 if intercept == "none" else float(np.log((y.sum() + 0.5) / exposure.sum()))
    else:
        y = rng.integers(0, 2, n)
    data = frame.data.assign(y=y, exposure=exposure)
    location = np.where(frame.location == 0.0, 0.0, center)
    return frame._replace(
        data=data,
        response_mean=center,
        response_sd=unit,
        location=location,
        unit=unit * frame.unit / frame.response_sd,
        known_noise=True,
    ), exposure


def joint_default(likelihood: Likelihood) -> RowsCase:
    """Joint prior and default intercept; counts with an R-squared prior of few large signals."""
    frame, exposure = make_rows(likelihood, n_tasks=4, n_rows=3, n_features=2)
    counts = isinstance(likelihood, Poisson)
    r2 = (2.0, 8.0) if counts else (1.0, 1.0)
    relation = Exchangeable(r2=Prior("Beta", alpha=r2[0], beta=r2[1])) if counts else Exchangeable()
    first = Prior("Normal", mu=0.2, sigma=0.7)
    intercept = Exchangeable(mean=first, scale=Prior("HalfNormal", sigma=0.5)) if counts else None
    model = Model("y ~ x0 + x1", "task", relation, likelihood, intercept=intercept)
    noise = 2.0 if not counts else float(np.sqrt(len(exposure) / (frame.data["y"].sum() + 0.5)))
    if isinstance(likelihood, Bernoulli) and likelihood.link == "probit":
        noise = float(np.sqrt(np.pi / 2))

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shared = rng.uniform(size=n)
        share = rng.beta(*r2, n)
        scale = np.full(n, noise)
        means, sds = joint(share, shared, scale, frame.feature_sd, 1, np.ones(0), rng)
        mean = 0.2 + 0.7 * rng.normal(size=n) if counts else 2.5 * rng.normal(size=n)
        sd = (0.5 if counts else 1.0) * np.abs(rng.normal(size=n))
        return {
            "means": np.concatenate([mean[:, None, None], means], axis=1),
            "sds": np.column_stack([sd, sds]),
            "shared": shared,
        }

    return RowsCase(frame, model, exposure, structure)


NOISE = StudentT(
    noise_sd=Prior("LogNormal", mu=0.2, sigma=0.4), dof=Prior("LogNormal", mu=1.2, sigma=0.5)
)


def noise_parameters(
    likelihood: Likelihood, n: int, n_tasks: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Scale and degrees of freedom of `NOISE`; nothing of another likelihood."""
    if not isinstance(likelihood, StudentT):
        return {}
    scale = rng.lognormal(0.2, 0.4, n)
    noise = np.tile(scale[:, None], (1, n_tasks))
    return {"median": scale, "noise": noise, "spread": rng.lognormal(1.2, 0.5, n)}


def joint_noise(likelihood: Likelihood) -> RowsCase:
    """Joint prior, which refers to the scale of the noise that is learned."""
    frame, exposure = make_rows(likelihood, n_tasks=4, n_rows=3, n_features=2)
    first = Prior("Normal", mu=0.2, sigma=0.7)
    intercept = Exchangeable(mean=first, scale=Prior("HalfNormal", sigma=0.5))
    relation = Exchangeable(r2=Prior("Beta", alpha=2, beta=3))
    model = Model("y ~ x0 + x1", "task", relation, likelihood, intercept=intercept)

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shared, share = rng.uniform(size=n), rng.beta(2.0, 3.0, n)
        noise = noise_parameters(likelihood, n, 4, rng)
        scale, features = noise["median"], frame.feature_sd
        means, sds = joint(share, shared, scale, features, 1, np.ones(0), rng)
        mean, sd = 0.2 + 0.7 * rng.normal(size=n), 0.5 * np.abs(rng.normal(size=n))
        return noise | {
            "means": np.concatenate([mean[:, None, None], means], axis=1),
            "sds": np.column_stack([sd, sds]),
            "shared": shared,
        }

    return RowsCase(frame, model, exposure, structure)


def own_priors(likelihood: Likelihood) -> RowsCase:
    """Normal and half-normal priors, task features, intercept a feature."""
    frame, exposure = make_rows(
        likelihood, n_tasks=9, n_rows=2, n_features=1, n_task_features=1, intercept="relation"
    )
    model = Model(
        "y ~ x0",
        "task",
        Exchangeable(
            mean={
                "Intercept": Prior("Normal", mu=0.2, sigma=0.7),
                "x0": Prior("Normal", mu=0.1, sigma=0.3),
            },
            scale={
                "Intercept": Prior("HalfNormal", sigma=0.8),
                "x0": Prior("HalfNormal", sigma=0.3),
            },
            task_effects=Prior("Normal", mu=0.3, sigma=0.5),
        ),
        likelihood,
        intercept="relation",
        task_features="~ z0",
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        means = rng.normal([0.2, 0.1], [0.7, 0.3], (n, 2))
        effects = rng.normal(0.3, 0.5, (n, 2))
        sds = np.abs(rng.normal(0.0, [0.8, 0.3], (n, 2)))
        noise = noise_parameters(likelihood, n, 9, rng)
        return noise | {"means": np.stack([means, effects], axis=2), "sds": sds}

    return RowsCase(frame, model, exposure, structure)


def heavy_tails(likelihood: Likelihood) -> RowsCase:
    """Means whose priors are not normal, updated one by one beside a normal one."""
    frame, exposure = make_rows(likelihood, n_tasks=3, n_rows=3, n_features=2, intercept="relation")
    model = Model(
        "y ~ x0 + x1",
        "task",
        Exchangeable(
            mean={
                "Intercept": Prior("StudentT", nu=9, mu=0.2, sigma=0.5),
                "x0": Prior("Normal", mu=0.1, sigma=0.3),
                "x1": Prior("Laplace", mu=-0.1, b=0.15),
            },
            scale=Prior("Gamma", alpha=2, beta=6),
        ),
        likelihood,
        intercept="relation",
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        means = [
            0.2 + 0.5 * rng.standard_t(9, n),
            rng.normal(0.1, 0.3, n),
            rng.laplace(-0.1, 0.15, n),
        ]
        return {
            "means": np.column_stack(means)[:, :, None],
            "sds": rng.gamma(2.0, 1 / 6, (n, 3)),
        }

    return RowsCase(frame, model, exposure, structure)


def huang_wand_covariance(likelihood: Likelihood) -> RowsCase:
    frame, exposure = make_rows(likelihood, n_tasks=5, n_rows=2, n_features=2)
    relation = Exchangeable(mean=Prior("Normal", mu=0.0, sigma=0.4), feature_covariance="full")
    intercept = Exchangeable(mean=0.4, scale=Prior("HalfNormal", sigma=0.5))
    model = Model("y ~ x0 + x1", "task", relation, likelihood, intercept=intercept)

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        sds, correlation = huang_wand(n, frame.unit[1:, 0], rng)
        full = np.tile(np.eye(3), (n, 1, 1))
        full[:, 1:, 1:] = correlation
        means = np.column_stack([np.full(n, 0.4), rng.normal(0.0, 0.4, (n, 2))])
        return {
            "means": means[:, :, None],
            "sds": np.column_stack([0.5 * np.abs(rng.normal(size=n)), sds]),
            "correlation": full,
        }

    return RowsCase(frame, model, exposure, structure)


def separate_covariance(likelihood: Likelihood) -> RowsCase:
    """LKJ correlations; a scale of zero, which has none."""
    frame, exposure = make_rows(likelihood, n_tasks=5, n_rows=3, n_features=3, intercept="none")
    model = Model(
        "y ~ 0 + x0 + x1 + x2",
        "task",
        Exchangeable(
            mean=Prior("Normal", mu=0.0, sigma=0.2),
            scale={"x0": Prior("HalfNormal", sigma=0.3), "x1": 0.0, "x2": 0.25},
            feature_covariance="full",
            correlation=Prior("LKJ", eta=1.5),
        ),
        likelihood,
    )

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        correlation = np.tile(np.eye(3), (n, 1, 1))
        correlation[:, ::2, ::2] = lkj(n, 2, 1.5, rng)
        return {
            "means": rng.normal(0.0, 0.2, (n, 3, 1)),
            "sds": np.column_stack([0.3 * np.abs(rng.normal(size=n)), constant(n, 0.0, 0.25)]),
            "correlation": correlation,
        }

    return RowsCase(frame, model, exposure, structure)


def pooled(likelihood: Likelihood) -> RowsCase:
    """No deviations at all: the proposals alone move the means."""
    frame, exposure = make_rows(likelihood, n_tasks=3, n_rows=4, n_features=1)
    slope = Prior("TruncatedNormal", mu=0.1, sigma=0.4, lower=0.0)
    intercept = Pooled(mean=Prior("Normal", mu=0.3, sigma=0.8))
    model = Model("y ~ x0", "task", Pooled(mean=slope), likelihood, intercept=intercept)

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        drawn = rng.normal(0.1, 0.4, 4 * n)
        means = np.column_stack([rng.normal(0.3, 0.8, n), drawn[drawn > 0.0][:n]])
        return {"means": means[:, :, None], "sds": np.zeros((n, 2))}

    return RowsCase(frame, model, exposure, structure)


def independent(likelihood: Likelihood) -> RowsCase:
    """Nothing shared by the weights, beside an exchangeable intercept with task features."""
    frame, exposure = make_rows(likelihood, n_tasks=4, n_rows=3, n_features=1, n_task_features=1)
    intercept = Exchangeable(
        mean=Prior("Normal", mu=0.2, sigma=0.6),
        scale=Prior("Weibull", alpha=2.0, beta=0.6),
        task_effects=Prior("Normal", mu=0.0, sigma=0.5),
    )
    relation = Independent(mean=0.1, scale=0.3)
    model = Model("y ~ x0", "task", relation, likelihood, intercept=intercept, task_features="~ z0")

    def structure(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        means = np.zeros((n, 2, 2))
        means[:, 0] = rng.normal([0.2, 0.0], [0.6, 0.5], (n, 2))
        means[:, 1, 0] = 0.1
        return {
            "means": means,
            "sds": np.column_stack([0.6 * rng.weibull(2.0, n), constant(n, 0.3)]),
        }

    return RowsCase(frame, model, exposure, structure)


LOGIT, PROBIT = Bernoulli(), Bernoulli(link="probit")
COUNTS, RATES = Poisson(), Poisson(exposure="exposure")
CASES: dict[str, tuple[Callable[[Likelihood], RowsCase], Likelihood]] = {
    "joint logit": (joint_default, LOGIT),
    "joint probit": (joint_default, PROBIT),
    "joint counts": (joint_default, COUNTS),
    "own priors logit": (own_priors, LOGIT),
    "own priors rates": (own_priors, RATES),
    "own priors noise": (own_priors, NOISE),
    "joint noise": (joint_noise, NOISE),
    "heavy tails probit": (heavy_tails, PROBIT),
    "heavy tails rates": (heavy_tails, RATES),
    "huang wand logit": (huang_wand_covariance, LOGIT),
    "separate logit": (separate_covariance, LOGIT),
    "separate counts": (separate_covariance, COUNTS),
    "pooled logit": (pooled, LOGIT),
    "pooled rates": (pooled, RATES),
    "independent probit": (independent, PROBIT),
    "independent counts": (independent, COUNTS),
}
