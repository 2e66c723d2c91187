"""The target of each structural update differs by the log joint density and a Jacobian.

One coordinate is moved at a time (the ratio test of Grosse and Duvenaud 2014).
"""

from typing import Any

import numpy as np
import pytest

from bayesmtl.inference.gibbs import ChainState
from bayesmtl.numerics.lanes import rescaling_moments, scale_moments, unpack_tasks
from bayesmtl.relations.exchangeable.updates import (
    _rescaling_target,
    expansion_target,
    scale_target,
    shared_target,
)
from tests.oracles.states import (
    LIKELIHOODS,
    MOVES,
    N_TASKS,
    RELATIONS,
    Setting,
    copy,
    make,
    noise_variance,
    random_state,
    recorded,
    refresh,
    signal_variance,
)


@pytest.fixture(
    params=[(kind, "hierarchical") for kind in RELATIONS]
    + [("joint", "shared"), ("joint", "fixed"), ("diagonal", "shared"), ("separate", "fixed")],
    ids="-".join,
)
def setting(request: pytest.FixtureRequest) -> Setting:
    return make(*request.param)


def scale_arguments(setting: Setting, chain: ChainState, j: int, centred: bool) -> tuple[Any, ...]:
    """What the sweep passes to the target of log scale j."""
    prior, population = setting.problem.prior, chain.population
    member = prior.joint
    scales, q = population.scale, population.means.shape[1]
    joint = (
        prior.joint[j],
        float((scales[member] ** 2).sum() - scales[j] ** 2),
        signal_variance(setting, chain),
        float(member.sum() * q),
        float(member.sum()),
        float((population.means[member] ** 2).sum()),
        prior.shared_prior,
    )
    others = np.arange(3) != j
    if centred:
        deviation = unpack_tasks(population.deviation, N_TASKS) * scales
        raw = deviation.T @ deviation * population.precision
        terms = (float(N_TASKS), raw[j, j], (raw[j] / scales)[others].sum(), 0.0, 0.0)
    else:
        precision, linear = scale_moments(
            chain.sites.gram,
            chain.sites.moment,
            chain.sites.precision,
            population.center,
            population.deviation,
        )
        slope = linear[j] - (precision[j] * scales)[others].sum()
        terms = (0.0, 0.0, 0.0, precision[j, j], slope)
    return (*terms, prior.scale_unit[j], prior.scale_prior[j], joint)


@pytest.mark.parametrize("centred", [True, False])
def test_scales_given_weights_and_given_deviations(setting: Setting, centred: bool) -> None:
    """Scales of the joint prior move at a given signal, so the shared fraction moves along."""
    chain = random_state(setting, np.random.default_rng(7))
    start, signal = recorded(setting, chain), signal_variance(setting, chain)
    total = float((chain.population.scale[1:] ** 2).sum())
    for j in [0] if setting.kind == "huang_wand" else range(3):
        arguments = scale_arguments(setting, chain, j, centred)
        x = np.log(chain.population.scale[j])
        for move in MOVES:
            other = copy(chain)
            other.population.scale[j] *= np.exp(move)
            if centred:
                other.population.deviation[:, j] *= np.exp(-move)
            target = scale_target(x + move, arguments) - scale_target(x, arguments)
            # Densities of log scale; of deviations in place of weights where these are held.
            jacobian = move if centred else (1 + N_TASKS) * move
            if setting.problem.prior.joint[j]:
                moved = float((other.population.scale[1:] ** 2).sum())
                if moved >= signal:
                    assert target == -np.inf
                    continue
                other.population.shared[0] = 1.0 - moved / signal
                # Density of the signal in place of the shared fraction.
                jacobian += np.log(moved / total)
            change = recorded(setting, refresh(setting, other)) - start + jacobian
            assert target == pytest.approx(change, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("noise", LIKELIHOODS)
def test_shared_fraction(noise: str) -> None:
    setting = make("joint", noise)
    chain = random_state(setting, np.random.default_rng(8))
    population, prior = chain.population, setting.problem.prior
    arguments = (
        float((population.scale[1:] ** 2).sum()),
        4.0,
        float((population.means[1:] ** 2).sum()),
        noise_variance(setting, chain),
        prior.r2_prior,
        prior.shared_prior,
    )
    start, shared = recorded(setting, chain), population.shared[0]
    x = np.log(shared / (1 - shared))
    for move in MOVES:
        other = copy(chain)
        moved = 1 / (1 + np.exp(-x - move))
        other.population.shared[0] = moved
        change = recorded(setting, other) - start
        change += np.log(moved * (1 - moved)) - np.log(shared * (1 - shared))
        target = shared_target(x + move, arguments) - shared_target(x, arguments)
        assert target == pytest.approx(change, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("noise", LIKELIHOODS)
def test_common_rescaling_of_the_joint_prior(noise: str) -> None:
    setting = make("joint", noise)
    chain = random_state(setting, np.random.default_rng(9))
    population, prior = chain.population, setting.problem.prior
    # Both features follow the joint prior, the intercept does not.
    part = population.weights.copy()
    part[:, 0] = 0.0
    a, b = rescaling_moments(
        chain.sites.gram, chain.sites.moment, chain.sites.precision, population.weights, part
    )
    signal = float((population.scale[1:] ** 2).sum() / (1 - population.shared[0]))
    arguments = (a, b, signal, noise_variance(setting, chain), prior.r2_prior)
    start = recorded(setting, chain)
    for move in MOVES:
        other = copy(chain)
        other.population.scale[1:] *= np.exp(move)
        other.population.means[1:] *= np.exp(move)
        change = recorded(setting, refresh(setting, other)) - start
        # A group of scalings acts on two scales, four means and the weights of two features.
        change += (2 + 4 + 2 * N_TASKS) * move
        target = _rescaling_target(move, arguments) - _rescaling_target(0.0, arguments)
        assert target == pytest.approx(change, rel=1e-9, abs=1e-8)


def test_expansion_of_a_huang_wand_covariance() -> None:
    setting = make("huang_wand", "hierarchical")
    chain = random_state(setting, np.random.default_rng(10))
    population = chain.population
    precision, linear = scale_moments(
        chain.sites.gram,
        chain.sites.moment,
        chain.sites.precision,
        population.center,
        population.deviation,
    )
    start = recorded(setting, chain)
    for j in (1, 2):
        slope = linear[j] - precision[j] @ population.scale + precision[j, j]
        arguments = (2.0, population.precision[j, j], 1.0, precision[j, j], slope)
        for move in MOVES:
            other = copy(chain)
            factor = np.ones(3)
            factor[j] = np.exp(move)
            other.population.covariance[:] *= np.outer(factor, factor)
            other.population.precision[:] /= np.outer(factor, factor)
            other.population.deviation[:, j] *= np.exp(move)
            change = recorded(setting, refresh(setting, other)) - start
            # Three elements of the covariance scale by g^2, g and 1; the weights by g.
            change += (3 + N_TASKS) * move
            target = expansion_target(move, arguments) - expansion_target(0.0, arguments)
            assert target == pytest.approx(change, rel=1e-9, abs=1e-8)
