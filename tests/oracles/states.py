"""Random states of the sampler under small models, and their log joint density."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmtl import Exchangeable, Gaussian, Model, Prior
from bayesmtl.assembly import Problem
from bayesmtl.inference.gibbs import ChainState, start_chain
from bayesmtl.numerics.lanes import pack_tasks, residual_sums, task_means
from bayesmtl.relations.exchangeable.density import log_joint
from bayesmtl.relations.exchangeable.state import HUANG_WAND
from bayesmtl.relations.kinds import Relation
from tests.oracles.generative import lkj

__all__ = [
    "LIKELIHOODS",
    "MOVES",
    "N_TASKS",
    "RELATIONS",
    "Setting",
    "copy",
    "make",
    "noise_variance",
    "random_state",
    "recorded",
    "refresh",
    "signal_variance",
]

N_TASKS = 9
# By how much a coordinate is moved, on its log or logit scale.
MOVES = (-0.7, 0.2, 1.1)
NORMAL, HALF = Prior("Normal", mu=0.3, sigma=1.5), Prior("Gamma", alpha=2, beta=1.5)
LIKELIHOODS = {
    "hierarchical": Gaussian(
        noise_sd=Prior("LogNormal", mu=0.1, sigma=0.7),
        noise_spread=Prior("HalfNormal", sigma=0.6),
    ),
    "shared": Gaussian(noise="shared", noise_sd=Prior("HalfStudentT", nu=3, sigma=2)),
    "fixed": Gaussian(noise_sd=0.8),
}
RELATIONS = {
    "joint": Exchangeable(
        r2=Prior("Beta", alpha=2, beta=3), shared=Prior("Beta", alpha=1.5, beta=2)
    ),
    "diagonal": Exchangeable(mean=NORMAL, scale=HALF),
    "huang_wand": Exchangeable(mean=NORMAL, task_effects=NORMAL, feature_covariance="full"),
    "separate": Exchangeable(
        mean=NORMAL,
        scale=HALF,
        feature_covariance="full",
        correlation=Prior("LKJ", eta=2.5),
    ),
}


class Setting(NamedTuple):
    problem: Problem
    model: Model
    data: pd.DataFrame
    kind: str
    noise: str


def make(kind: str, noise: str, relation: Relation | None = None) -> Setting:
    """``relation`` in place of the one of the kind, with the same priors of means and scales."""
    rng = np.random.default_rng(3)
    task = np.repeat(np.arange(N_TASKS), 3)
    data = pd.DataFrame(
        {
            "y": 2.0 + 1.5 * rng.normal(size=len(task)),
            "x0": 1.0 + 2.0 * rng.normal(size=len(task)),
            "x1": rng.normal(size=len(task)),
            "z": rng.normal(size=N_TASKS)[task],
            "w": rng.uniform(0.5, 2.0, len(task)),
            "task": task,
        }
    )
    model = Model(
        "y ~ x0 + x1",
        "task",
        relation or RELATIONS[kind],
        LIKELIHOODS[noise],
        intercept=Exchangeable(mean=NORMAL, scale=HALF, task_effects=NORMAL),
        task_features="~ z",
        weights="w",
    )
    return Setting(model.prepare(data).problem, model, data, kind, noise)


def random_state(setting: Setting, rng: np.random.Generator) -> ChainState:
    """A state anywhere in the support."""
    problem = setting.problem
    chain = start_chain(problem, setting.model.likelihood, rng)
    population, noise = chain.population, chain.noise
    population.means[:] = rng.normal(size=population.means.shape)
    population.scale[:] = rng.uniform(0.3, 1.5, 3)
    if setting.kind in ("huang_wand", "separate"):
        population.covariance[1:, 1:] = lkj(1, 2, 1.0, rng)[0]
    if problem.prior.covariance == HUANG_WAND:
        population.scale[1:] = 1.0
        population.covariance[1:, 1:] *= np.outer([0.7, 1.2], [0.7, 1.2])
    population.precision[:] = np.linalg.inv(population.covariance)
    population.shared[:] = rng.uniform(0.2, 0.8)
    population.deviation[:] = pack_tasks(rng.normal(size=(N_TASKS, 3)))
    if noise.kind == 2:
        noise.spread[:] = rng.uniform(0.2, 0.9)
        noise.log_sd[:] = pack_tasks(rng.normal(-0.3, 0.4, N_TASKS))
    if noise.kind == 1:
        noise.log_sd[:] = noise.log_median[0] = rng.normal(-0.3, 0.4)
    noise.precision[:] = np.exp(-2.0 * noise.log_sd)
    return refresh(setting, chain)


def refresh(setting: Setting, chain: ChainState) -> ChainState:
    """Weights and residual sums of squares of the current means, scales and deviations."""
    population = chain.population
    task_means(population.means, setting.problem.prior.task_features, population.center)
    population.weights[:] = population.center + population.scale[:, None] * population.deviation
    residual_sums(
        chain.sites.gram, chain.sites.moment, chain.sites.total, population.weights, chain.square
    )
    return chain


def _own(part: Any) -> Any:
    return type(part)(*(np.copy(x) if isinstance(x, np.ndarray) else x for x in part))


def copy(chain: ChainState) -> ChainState:
    """A state of its own, whose site precisions are still those of its noise."""
    population, noise = _own(chain.population), _own(chain.noise)
    sites = chain.sites._replace(precision=noise.precision)
    return ChainState(sites, population, noise, chain.square.copy(), chain.partition)


def recorded(setting: Setting, chain: ChainState) -> float:
    return float(
        log_joint(
            setting.problem.prior,
            chain.population,
            chain.noise,
            chain.square,
            noise_variance(setting, chain),
        )
    )


def noise_variance(setting: Setting, chain: ChainState) -> float:
    if chain.noise.kind == 0:
        return setting.problem.reference_noise
    return float(np.exp(2.0 * chain.noise.log_median[0]))


def signal_variance(setting: Setting, chain: ChainState) -> float:
    """V of the joint prior; 0 where it is not in use."""
    if setting.kind != "joint":
        return 0.0
    return float((chain.population.scale[1:] ** 2).sum() / (1 - chain.population.shared[0]))
