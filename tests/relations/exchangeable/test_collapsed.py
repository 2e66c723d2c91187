"""A pass over the population with the weights integrated out is reversible.

Between stationary draws x, x' of a reversible update, E[f(x) g(x')] = E[g(x) f(x')].
"""

import numpy as np
import pandas as pd
import pytest

from bayesmtl import Exchangeable, Gaussian, Model, Prior
from bayesmtl.assembly import Problem
from bayesmtl.relations.exchangeable.collapsed import reversible_pass
from bayesmtl.relations.exchangeable.state import PopulationState, initial_state
from tests.oracles.monte_carlo import mcse

TAILS = Prior("StudentT", nu=6, mu=0.4, sigma=0.7)
SCALE = Prior("Gamma", alpha=3, beta=4)
RELATIONS = {
    "joint": Exchangeable(r2=Prior("Beta", alpha=2, beta=3)),
    "diagonal": Exchangeable(mean=Prior("Normal", mu=0.3, sigma=0.8), scale=SCALE),
    "tails": Exchangeable(
        mean={"Intercept": TAILS, "x0": Prior("Normal", mu=0.0, sigma=1.0), "x1": TAILS},
        scale=SCALE,
    ),
    "huang_wand": Exchangeable(mean=Prior("Normal", mu=0.3, sigma=0.8), feature_covariance="full"),
    "separate": Exchangeable(
        mean=TAILS,
        scale=SCALE,
        feature_covariance="full",
        correlation=Prior("LKJ", eta=2.0),
    ),
}


def problem_of(relation: Exchangeable) -> Problem:
    """Features far from zero and from each other's complement: means and scales correlate."""
    rng = np.random.default_rng(3)
    task = np.repeat(np.arange(4), 4)
    x0 = 1.5 + rng.normal(size=len(task))
    x1 = 0.8 * x0 + 0.6 * rng.normal(size=len(task))
    y = 1.0 + 0.5 * x0 + rng.normal(size=4)[task] + 0.7 * rng.normal(size=len(task))
    data = pd.DataFrame({"y": y, "x0": x0, "x1": x1, "task": task})
    model = Model("y ~ x0 + x1", "task", relation, Gaussian(noise_sd=0.7), intercept="relation")
    return model.prepare(data).problem


def functions(state: PopulationState) -> np.ndarray:
    sd = state.scale * np.sqrt(np.diag(state.covariance))
    pairs = state.covariance[np.tril_indices(3, -1)]
    return np.concatenate([state.means[:, 0], np.log(sd), state.shared, np.arctan(pairs)])


@pytest.mark.mcmc
@pytest.mark.parametrize("name", RELATIONS)
def test_the_pass_is_reversible(name: str) -> None:
    problem = problem_of(RELATIONS[name])
    prior, sites = problem.prior, problem.sites
    rng = np.random.default_rng(8)
    state = initial_state(prior, rng)
    n, burn = 15_000, 500
    draws = np.empty((n, functions(state).size))
    for i in range(-burn, n):
        reversible_pass(sites, prior, state, problem.reference_noise, True, rng)
        if i >= 0:
            draws[i] = functions(state)
    draws = draws[:, np.ptp(draws, axis=0) > 0]
    draws = (draws - draws.mean(axis=0)) / draws.std(axis=0)
    before, after = draws[:-1], draws[1:]
    scores = {}
    for i in range(draws.shape[1]):
        for j in range(draws.shape[1]):
            for power in (1, 2):
                forward = before[:, i] * after[:, j] ** power
                difference = forward - before[:, j] ** power * after[:, i]
                if difference.any():
                    scores[i, j, power] = difference.mean() / mcse(difference)
    assert {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.5} == {}
