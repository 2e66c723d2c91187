"""Coordinate ascent for factors: bound from its definition, slopes, no step down, optima."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.relations.covariance.cavi_factors import ascend, reorder, sweep
from bayesmtl.relations.covariance.cumulative_shrinkage import permuted
from bayesmtl.relations.covariance.factor_bound import (
    FactorFit,
    evaluate_factors,
    state_data,
    value_and_slope,
)
from bayesmtl.relations.covariance.factor_normal import Loadings, draw_factors
from bayesmtl.relations.covariance.factor_starts import low_rank_optima
from bayesmtl.relations.covariance.precision_factors import draw_covariance
from bayesmtl.relations.exchangeable.hyperparameters import Layout
from bayesmtl.sites import evaluate
from tests.oracles.cases import regression
from tests.oracles.layouts import correlated_layout, difference_slope

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
DATA = regression(5, 9, 3).assign(
    z=lambda d: d["task"].str[-1].astype(float) ** 2, w=np.linspace(0.5, 2.0, 45)
)


def model(relation: Any, **settings: Any) -> bm.Model:
    return bm.Model("y ~ x0 + x1 + x2", "task", relation, **settings)


SHARED = bm.Gaussian(noise="shared")
MODELS = {
    "joint prior": model(bm.MatrixNormal("low_rank"), task_features="~ z"),
    "subspace": model(bm.LowRank(), likelihood=SHARED, weights="w"),
    "own priors": model(
        bm.MatrixNormal(
            "low_rank",
            mean=bm.Prior("StudentT", nu=4),
            scale={"x0": 0.0, "x1": bm.Prior("HalfNormal"), "x2": 1.0},
        ),
        likelihood=bm.Gaussian(noise_sd=1.0, noise_spread=0.3),
        intercept="none",
    ),
    "full": model(bm.MatrixNormal("low_rank", "full", n_factors=2), likelihood=SHARED),
    "given": model(
        bm.MatrixNormal("low_rank", np.eye(4) + 0.5), likelihood=SHARED, intercept="relation"
    ),
}


def optima(name: str, seed: int = 0) -> tuple[Layout, list[FactorFit]]:
    problem, layout, x = correlated_layout(MODELS[name], DATA, seed)
    assert problem.task_covariance is not None
    return layout, low_rank_optima(layout, x, problem.task_covariance, np.random.default_rng(seed))


def somewhere(name: str) -> tuple[Layout, FactorFit]:
    """A state that is no optimum: loadings of some size on all factors."""
    layout, found = optima(name)
    rng = np.random.default_rng(1)
    state = found[0].state
    n_tasks, number = state.loadings.mean.shape
    spread = np.tile(0.05 * np.eye(number), (n_tasks, 1, 1))
    loadings = Loadings(0.5 * rng.normal(size=(n_tasks, number)), spread)
    fit = evaluate_factors(layout, state._replace(loadings=loadings))
    return layout, sweep(layout, fit)


@pytest.mark.parametrize("name", MODELS)
def test_slope_of_the_objective(name: str) -> None:
    layout, fit = somewhere(name)
    state = fit.state
    sizes = np.zeros(1 + int(state.features.learned))
    y = np.concatenate([state.x, state.own, sizes])
    y = y + 0.05 * np.random.default_rng(2).normal(size=y.size)
    _, slope = value_and_slope(layout, y, state)
    numeric = difference_slope(lambda y: value_and_slope(layout, y, state)[0], y)
    assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_no_step_lowers_the_objective(name: str) -> None:
    layout, fit = somewhere(name)
    fit = ascend(layout, fit._replace(trace=(fit.value,)), 30)
    assert len(fit.trace) > 5
    assert np.diff(fit.trace).min() > -1e-8
    assert evaluate_factors(layout, fit.state).value == pytest.approx(fit.value)


@pytest.mark.parametrize("name", ["joint prior", "subspace", "full"])
def test_bound_from_its_definition(name: str) -> None:
    """Expected log joint density of everything, weights included, minus that of the factors."""
    layout, fit = somewhere(name)
    state, (data, _) = fit.state, state_data(layout, fit.state)
    n_tasks, d = len(state.loadings.mean), len(state.features.expected)
    rng, n_draws = np.random.default_rng(0), 3000
    factors, means, log_q = draw_factors(fit.normal, n_draws, rng)
    left = np.eye(data.roots.shape[1]) - data.roots.mT @ data.collapsed.gram @ data.roots
    own_root, a_root = np.linalg.cholesky(left), np.linalg.cholesky(state.loadings.covariance)
    half = np.linalg.cholesky(state.features.covariance)
    value = -log_q + np.log(np.diagonal(own_root, axis1=1, axis2=2)).sum()
    for s in range(n_draws):
        a = state.loadings.mean + (a_root @ rng.normal(size=(n_tasks, len(factors[s]), 1)))[..., 0]
        at = np.concatenate([a @ factors[s], np.tile(means[s], (n_tasks, 1))], axis=1)
        center = data.center + (data.loading @ at[..., None])[..., 0]
        score = data.collapsed.moment - (data.collapsed.gram @ center[..., None])[..., 0]
        noise = rng.normal(size=(*score.shape, 1))
        white = (data.roots.mT @ score[..., None] + own_root @ noise)[..., 0]
        weights = center + (data.roots @ white[..., None])[..., 0]
        precision = state.features.expected
        if state.features.learned:
            precision = draw_covariance(state.features, rng)[1]
        rows = np.concatenate([white[:, -d:] @ half.T, factors[s]])
        # White deviations have unit precision where the expected precision is the prior's.
        log_det = (
            len(rows) * np.linalg.slogdet(precision)[1]
            + 2.0 * n_tasks * np.log(half.diagonal()).sum()
        )
        value[s] += evaluate(data.sites, weights).sum() + 0.5 * (noise**2).sum() + 0.5 * log_det
        value[s] -= 0.5 * ((rows * (rows @ precision)).sum() + (white[:, :-d] ** 2).sum())
        value[s] -= 0.5 * means[s] @ means[s]
    expected = value.mean() + state.loadings.entropy + state.shrinkage.bound + state.features.bound
    error = value.std() / np.sqrt(n_draws)
    assert abs(fit.elbo - expected) < 4.0 * error < 0.6


def test_optima_have_different_numbers_of_factors_the_best_first() -> None:
    _, found = optima("joint prior")
    numbers = [fit.n_active for fit in found]
    assert len(set(numbers)) == len(numbers)
    assert (np.diff([fit.value for fit in found]) <= 0.0).all()


def test_active_factors_are_sorted_to_the_front() -> None:
    rng = np.random.default_rng(3)
    direction = np.outer([2.0, -2.0, 1.5, -1.5, 1.0], rng.normal(size=3))
    data = DATA.assign(
        y=(DATA[["x0", "x1", "x2"]] * direction[DATA["task"].str[-1].astype(int)]).sum(axis=1)
        + 0.1 * rng.normal(size=len(DATA))
    )
    one = model(bm.MatrixNormal("low_rank"), likelihood=SHARED)
    problem, layout, x = correlated_layout(one, data)
    assert problem.task_covariance is not None
    best = low_rank_optima(layout, x, problem.task_covariance, rng)[0]
    assert best.n_active == 1
    assert best.state.shrinkage.active.argmax() == 0
    order, loadings = np.array([2, 1, 0]), best.state.loadings
    turned = best.state._replace(
        loadings=Loadings(loadings.mean[:, order], loadings.covariance[:, order[:, None], order]),
        shrinkage=permuted(best.state.shrinkage, order, 5),
    )
    last = evaluate_factors(layout, turned)
    assert last.value < best.value - 0.1
    assert reorder(layout, last).value == pytest.approx(best.value, abs=0.05)
    again = reorder(layout, last)
    assert again.state.shrinkage.active.argmax() == 0
    assert reorder(layout, again) is again
