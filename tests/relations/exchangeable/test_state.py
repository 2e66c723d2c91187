"""Chains start apart from each other, where the prior has density."""

import math

import numpy as np
import pytest

from bayesmtl import Exchangeable, Model, Pooled, Prior
from bayesmtl.numerics.densities import log_density
from bayesmtl.relations.exchangeable.state import initial_state
from tests.oracles.cases import regression

DATA = regression(9, 3, 2)
POSITIVE = [
    Prior("HalfNormal", sigma=2),
    Prior("HalfStudentT", nu=3),
    Prior("HalfCauchy"),
    Prior("Exponential"),
    Prior("Gamma", alpha=3, beta=2),
    Prior("InverseGamma", alpha=3, beta=2),
    Prior("LogNormal"),
    Prior("Weibull", alpha=2, beta=1),
    Prior("Beta", alpha=2, beta=2),
    Prior("Uniform", lower=5.0, upper=6.0),
    Prior("TruncatedNormal", mu=0, sigma=1, lower=40.0),
    Prior("TruncatedNormal", mu=0, sigma=1, lower=0.2, upper=0.3),
]
REAL = [
    Prior("Normal", mu=1e3),
    Prior("StudentT", nu=3, mu=-50),
    Prior("Uniform", lower=-1e4, upper=-9e3),
    Prior("TruncatedNormal", mu=0, sigma=1, upper=-5.0),
]


@pytest.mark.parametrize("prior", POSITIVE + REAL, ids=str)
def test_means_start_where_their_prior_has_density(prior: Prior) -> None:
    problem = Model("y ~ x0 + x1", "task", Pooled(mean=prior)).prepare(DATA).problem
    for seed in range(20):
        state = initial_state(problem.prior, np.random.default_rng(seed))
        for i in (1, 2):
            user = problem.prior.mean_unit[i, 0] * state.means[i, 0]
            assert math.isfinite(log_density(problem.prior.mean_prior[i, 0], user))


@pytest.mark.parametrize("prior", POSITIVE, ids=str)
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_scales_start_where_their_prior_has_density(prior: Prior, covariance: str) -> None:
    relation = Exchangeable(scale=prior, feature_covariance=covariance)
    problem = Model("y ~ x0 + x1", "task", relation).prepare(DATA).problem
    for seed in range(20):
        state = initial_state(problem.prior, np.random.default_rng(seed))
        assert np.all(state.scale > 0)
        for i in (1, 2):
            user = problem.prior.scale_unit[i] * state.scale[i]
            assert math.isfinite(log_density(problem.prior.scale_prior[i], user))


def test_fixed_numbers_start_and_stay() -> None:
    relation = Exchangeable(mean=[0.5, -2.0], scale=[0.0, 3.0])
    problem = Model("y ~ x0 + x1", "task", relation).prepare(DATA).problem
    state = initial_state(problem.prior, np.random.default_rng(0))
    prior = problem.prior
    np.testing.assert_allclose(prior.mean_unit[1:, 0] * state.means[1:, 0], [0.5, -2.0])
    np.testing.assert_allclose(prior.scale_unit[1:] * state.scale[1:], [0.0, 3.0])


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_starts_are_dispersed(covariance: str) -> None:
    model = Model("y ~ x0 + x1", "task", Exchangeable(feature_covariance=covariance))
    prior = model.prepare(DATA).problem.prior
    states = [initial_state(prior, np.random.default_rng(seed)) for seed in range(200)]
    sds = [state.scale * np.sqrt(np.diag(state.covariance)) for state in states]
    assert np.all(np.ptp(np.log(sds), axis=0) > 2.0)
    assert np.all(np.ptp([state.means for state in states], axis=0) > 1.0)
    for state in states:
        np.testing.assert_allclose(state.covariance @ state.precision, np.eye(3), atol=1e-12)
