"""The recorded log joint density of clusters against scipy."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special, stats

from bayesmtl import DirichletProcess, FiniteMixture, PitmanYor, Prior
from bayesmtl.inference.gibbs import ChainState
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.relations.clusters.density import log_joint
from tests.oracles.cluster_density import log_weights
from tests.oracles.clusters import fixed, log_prior
from tests.oracles.states import (
    HALF,
    N_TASKS,
    NORMAL,
    Setting,
    make,
    noise_variance,
    random_state,
    refresh,
)
from tests.oracles.states_density import centers, oracle, user_point

JOINT = {"r2": Prior("Beta", alpha=2, beta=3), "shared": Prior("Beta", alpha=1.5, beta=2)}
OWN = {"mean": NORMAL, "scale": HALF}


class Kind(NamedTuple):
    setting: tuple[str, str]
    relation: Any
    concentration: Any
    between: Any
    discount: Any = None


GAMMA, BETA = stats.gamma(2, scale=0.5), stats.beta(2, 1)
KINDS = {
    "dp": Kind(("joint", "hierarchical"), DirichletProcess(**JOINT), GAMMA, BETA),
    "py": Kind(
        ("diagonal", "shared"),
        PitmanYor(
            concentration=Prior("LogNormal", mu=0.2, sigma=0.5),
            between=Prior("Uniform", lower=0.0, upper=1.0),
            **OWN,
        ),
        stats.lognorm(0.5, scale=np.exp(0.2)),
        stats.uniform(),
        stats.beta(1, 4),
    ),
    "mixture": Kind(("joint", "fixed"), FiniteMixture(**JOINT), GAMMA, BETA),
    "fixed share": Kind(("diagonal", "fixed"), DirichletProcess(between=0.6, **OWN), GAMMA, None),
    "identical": Kind(
        ("diagonal", "hierarchical"), PitmanYor(between=1, **OWN), GAMMA, None, stats.beta(1, 4)
    ),
    "none between": Kind(("diagonal", "fixed"), DirichletProcess(between=0, **OWN), GAMMA, None),
}


def random_partition(setting: Setting, kind: Kind, rng: np.random.Generator) -> ChainState:
    """A state anywhere in the support."""
    chain = random_state(setting, rng)
    partition, population = chain.partition, chain.population
    assert partition is not None
    _, labels = np.unique(rng.integers(0, rng.integers(1, 9), N_TASKS), return_inverse=True)
    n = labels.max() + 1
    partition.labels[:] = labels
    partition.n_clusters[:] = n
    partition.sizes[:] = np.bincount(labels, minlength=N_TASKS)
    partition.concentration[:] = rng.gamma(2.0)
    if kind.discount is not None:
        partition.discount[:] = rng.uniform()
    if isinstance(kind.relation, FiniteMixture):
        partition.n_components[:] = n + rng.integers(0, 4)
        partition.discount[:] = -partition.concentration / partition.n_components
    if kind.between is not None:
        partition.between[:] = rng.uniform()
    partition.center[:] = rng.normal(size=partition.center.shape)
    if partition.between[0] == 1.0:
        lanes = np.zeros((N_TASKS, 3))
        lanes[:, 0] = rng.normal(size=N_TASKS)
        lanes[:, 1:] = partition.center[labels]
        population.deviation[:] = pack_tasks(lanes)
    return refresh(setting, chain)


def expected(setting: Setting, kind: Kind, chain: ChainState) -> float:
    """That of one population, with the density of the weights exchanged for that in clusters."""
    partition, point = chain.partition, user_point(setting, chain)
    assert partition is not None
    labels, between = partition.labels, float(partition.between[0])
    alpha, delta = partition.concentration[0], partition.discount[0]
    m = int(partition.n_components[0])
    value = oracle(setting, chain)
    center = centers(setting, point)
    for i in (1, 2):
        weights, sd = point.weights[:, i], point.sds[i]
        value -= stats.norm(center[:, i], sd).logpdf(weights).sum()
        inner = weights - center[:, i]
        value += log_weights(inner, np.zeros(N_TASKS), sd, labels, between)
        if between == 1.0:
            # The recorded density is that of cluster means in internal units.
            value += partition.n_clusters[0] * np.log(setting.problem.prior.scale_unit[i])
    value += kind.concentration.logpdf(alpha)
    value += log_prior(labels, fixed(alpha, delta, m))[0]
    if kind.between is not None:
        value += kind.between.logpdf(between)
    if kind.discount is not None:
        value += kind.discount.logpdf(delta)
    if m:
        value += special.betaln(5, m + 2)
    return float(value)


@pytest.mark.parametrize("name", KINDS)
def test_differences_equal_those_of_scipy(name: str) -> None:
    kind = KINDS[name]
    setting = make(*kind.setting, kind.relation)
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(12):
        chain = random_partition(setting, kind, rng)
        recorded = log_joint(
            setting.problem.prior,
            chain.population,
            chain.partition,
            setting.problem.partition,
            chain.noise,
            chain.square,
            noise_variance(setting, chain),
        )
        gaps.append(recorded - expected(setting, kind, chain))
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9, atol=1e-8)
