"""Coordinate ascent for a dense covariance: bound from its definition, slopes, no step down."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.relations.covariance import cavi_dense
from bayesmtl.relations.covariance.cavi_dense import (
    DenseFit,
    fit_dense,
    is_factorised,
    start_factors,
    value_and_slope,
)
from bayesmtl.relations.covariance.dense_data import dense_data
from bayesmtl.relations.covariance.joint_draws import draw_joint, log_density_given
from bayesmtl.relations.covariance.precision_factors import draw_covariance
from bayesmtl.relations.exchangeable.hyperparameters import Layout, unpack
from tests.oracles.cases import regression
from tests.oracles.layouts import correlated_layout, difference_slope

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
DATA = regression(4, 9, 2).assign(
    z=lambda d: d["task"].str[-1].astype(float) ** 2,
    w=np.linspace(0.5, 2.0, 36),
    se=np.linspace(0.5, 1.0, 36),
)


def model(relation: Any, **settings: Any) -> bm.Model:
    return bm.Model("y ~ x0 + x1", "task", relation, **settings)


MODELS = {
    "joint prior": model(bm.MatrixNormal("full"), task_features="~ z"),
    "both full": model(
        bm.MatrixNormal("full", "full"), likelihood=bm.Gaussian(noise="shared"), weights="w"
    ),
    "own priors": model(
        bm.MatrixNormal(
            "full", mean=bm.Prior("StudentT", nu=4), scale={"x0": 0.0, "x1": bm.Prior("HalfNormal")}
        ),
        likelihood=bm.Gaussian(noise_sd=1.0, noise_spread=0.3),
    ),
    "standard errors": model(
        bm.MatrixNormal("full", [[1.0, 0.3, 0.0], [0.3, 2.0, 0.1], [0.0, 0.1, 1.0]]),
        likelihood=bm.Gaussian(se="se"),
        intercept="relation",
    ),
    "given": model(bm.MatrixNormal(np.eye(4) + 0.5)),
}


def start(name: str) -> tuple[Layout, DenseFit]:
    problem, layout, x = correlated_layout(MODELS[name], DATA)
    assert problem.task_covariance is not None
    factors = start_factors(layout, problem.task_covariance)
    fit = cavi_dense._evaluate(layout, x, *factors)[0]
    return layout, cavi_dense._update_covariances(layout, fit)


@pytest.mark.parametrize("limit", [3000, 0], ids=["joint", "by task"])
@pytest.mark.parametrize("name", MODELS)
def test_slope_of_the_objective(name: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cavi_dense, "_MOST_JOINT", limit)
    layout, fit = start(name)
    assert is_factorised(layout) == (limit == 0)
    n_sizes = int(fit.tasks.learned) + int(fit.features.learned)
    y = np.concatenate([fit.x, 0.1 * np.random.default_rng(1).normal(size=n_sizes)])
    _, slope = value_and_slope(layout, y, fit)
    numeric = difference_slope(lambda y: value_and_slope(layout, y, fit)[0], y)
    assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("limit", [3000, 0], ids=["joint", "by task"])
@pytest.mark.parametrize("name", MODELS)
def test_no_step_lowers_the_objective(
    name: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cavi_dense, "_MOST_JOINT", limit)
    problem, layout, x = correlated_layout(MODELS[name], DATA)
    assert problem.task_covariance is not None
    fit = fit_dense(layout, x, problem.task_covariance)
    assert len(fit.trace) > 2
    assert np.diff(fit.trace).min() > -1e-8
    assert fit.value == fit.trace[-1]
    n_sizes = int(fit.tasks.learned) + int(fit.features.learned)
    inner = (fit.x > layout.bounds[:, 0] + 1e-6) & (fit.x < layout.bounds[:, 1] - 1e-6)
    _, slope = value_and_slope(layout, np.concatenate([fit.x, np.zeros(n_sizes)]), fit)
    # At rest: nothing is left to gain.
    assert np.abs(slope[: inner.size][inner]).max(initial=0.0) < 0.2
    assert np.abs(slope[inner.size :]).max(initial=0.0) < 0.2


@pytest.mark.parametrize("name", ["joint prior", "both full"])
def test_bound_from_its_definition(name: str) -> None:
    """Expected log joint density minus that of the factors, by draws from them."""
    layout, fit = start(name)
    terms = dense_data(layout, unpack(layout, fit.x)).terms
    rng, n_draws = np.random.default_rng(0), 4000
    coordinates = draw_joint(terms, fit.normal, n_draws, rng)
    value = np.empty(n_draws)
    for s in range(n_draws):
        precisions = [
            draw_covariance(factor, rng)[1] if factor.learned else factor.expected
            for factor in (fit.tasks, fit.features)
        ]
        value[s] = log_density_given(terms, precisions[0], precisions[1], coordinates[s])
    assert fit.normal.root is not None
    entropy = 0.5 * len(fit.normal.root) - np.log(fit.normal.root.diagonal()).sum()
    expected = value.mean() + entropy + fit.tasks.bound + fit.features.bound
    error = value.std() / np.sqrt(n_draws)
    assert abs(fit.elbo - expected) < 4.0 * error < 0.4


def test_a_feature_whose_weights_do_not_vary_says_nothing_of_the_tasks() -> None:
    _, fit = start("own priors")
    assert fit.features.expected.shape == (1, 1)
    # Of nu + n - 1 = 5 degrees of freedom, and one feature.
    assert fit.tasks.dof == 6.0
