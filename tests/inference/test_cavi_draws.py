"""Importance ratios of draws of correlated tasks, and draws of point estimates."""

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import invwishart, multivariate_normal

import bayesmtl as bm
from bayesmtl.inference.cavi_covariance import fit_correlated
from bayesmtl.inference.cavi_dense_draws import draw_dense
from bayesmtl.inference.cavi_factor_draws import (
    _draw_weights,
    _features_of,
    best_optimum,
    draw_low_rank,
)
from bayesmtl.relations.covariance.cavi_dense import DenseFit
from bayesmtl.relations.covariance.factor_bound import FactorFit
from bayesmtl.relations.covariance.precision_factors import log_huang_wand
from bayesmtl.relations.exchangeable.hyperparameters import mean_loadings, noisy_sites, unpack
from tests.oracles.cases import regression

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
KNOWN = bm.Gaussian(noise_sd=0.7)
INTERCEPT = bm.Exchangeable(mean=2.0, scale=1.0)
NORMAL = bm.Prior("Normal", mu=0, sigma=2)


def found(relation: Any, data: Any) -> Any:
    one = bm.Model("y ~ x0 + x1", "task", relation, likelihood=KNOWN, intercept=INTERCEPT)
    return fit_correlated(one.prepare(data).problem, KNOWN, np.random.default_rng(0))


def test_ratios_of_dense_covariances() -> None:
    """Prior, likelihood of the rows and factor of each drawn covariance, by dense normals."""
    data = regression(3, 6, 2)
    layout, fit = found(bm.MatrixNormal("full", mean=NORMAL, scale=1.0), data)
    assert isinstance(fit, DenseFit)
    draws, ratios = draw_dense(layout, fit, 30, 30, np.random.default_rng(1))
    assert draws.tasks is not None
    assert draws.tasks.covariance is not None
    code = data["task"].str[-1].astype(int).to_numpy()
    x = data[["x0", "x1"]].to_numpy() - data[["x0", "x1"]].to_numpy().mean(axis=0)
    rest = 4.0 * x @ x.T + (code[:, None] == code) + 0.49 * np.eye(len(x))
    expected, log_joint = np.empty(30), np.empty(30)
    half_t = fit.tasks.prior
    assert half_t is not None
    for s, omega in enumerate(draws.tasks.covariance):
        rows = multivariate_normal(
            2.0 * np.ones(len(x)), omega[np.ix_(code, code)] * (x @ x.T) + rest
        )
        prior = log_huang_wand(half_t, np.linalg.inv(omega))
        log_joint[s] = rows.logpdf(data["y"]) + prior
        expected[s] = log_joint[s] - invwishart.logpdf(omega, fit.tasks.dof, fit.tasks.scale)
    assert ratios - ratios[0] == pytest.approx(expected - expected[0], abs=1e-7)
    assert draws.lp == pytest.approx(log_joint, abs=1e-7)


def test_ratios_of_factors_bound_the_evidence() -> None:
    """Loadings integrated out, their mean is above the bound and below the log of their mean."""
    data = regression(5, 6, 2)
    for relation in (
        bm.MatrixNormal("low_rank", mean=NORMAL, scale=1.0),
        bm.MatrixNormal("low_rank", np.eye(2) + 0.5, mean=NORMAL),
    ):
        layout, fit = found(relation, data)
        assert isinstance(fit, FactorFit)
        draws, ratios = draw_low_rank(layout, fit, 4000, np.random.default_rng(1))
        error = ratios.std() / np.sqrt(ratios.size)
        whole = logsumexp(ratios) - np.log(ratios.size)
        assert fit.elbo < ratios.mean() + 3.0 * error
        assert ratios.mean() < fit.elbo + 2.0
        assert ratios.mean() < whole < fit.elbo + 3.0
        assert draws.tasks is not None
        assert draws.tasks.rank is not None
        assert draws.tasks.variance is not None
        active = (draws.tasks.variance != 0.0125).sum(axis=1)
        assert (draws.tasks.rank == active).all()


def test_the_best_optimum_has_the_largest_weighted_bound() -> None:
    """Of one fit and the same at point estimates of a lower prior density."""
    data = regression(5, 20, 2, spread=2.0)
    layout, fit = found(bm.MatrixNormal("low_rank", mean=0.0, scale=1.0), data)
    worse = fit._replace(value=fit.value - 50.0)
    for fits in ([worse, fit], [fit, worse]):
        best = best_optimum(layout, fits, np.random.default_rng(0))
        assert best is fit


def test_weights_given_factors_are_those_of_a_regression() -> None:
    """Mean and covariance of each task's weights given loadings, factors and means."""
    layout, fit = found(bm.MatrixNormal("low_rank", mean=NORMAL, scale=1.0), regression(4, 3, 2))
    assert isinstance(fit, FactorFit)
    state, rng = fit.state, np.random.default_rng(2)
    point = unpack(layout, state.x)
    features = _features_of(layout, point, state, rng)
    loadings = rng.normal(size=state.loadings.mean.shape)
    factors, means = rng.normal(size=fit.normal.factors.shape), rng.normal(size=2)
    drawn = np.array(
        [
            _draw_weights(features.data, features.noise_root, loadings, (factors, means), rng)
            for _ in range(8000)
        ]
    )
    center, loading, _ = mean_loadings(layout, point)
    center = center + loading @ means
    center[:, 1:] += point.scale[1:] * (loadings @ factors)
    sites = noisy_sites(layout, point)
    for t in range(4):
        prior = point.scale**2 * np.r_[1.0, np.exp(2.0 * state.own[t]) * np.ones(2)]
        precision = np.diag(1.0 / prior) + sites.gram[t]
        mean = np.linalg.solve(precision, sites.moment[t] + center[t] / prior)
        covariance = np.linalg.inv(precision)
        sd = np.sqrt(covariance.diagonal())
        assert np.abs((drawn[:, t].mean(axis=0) - mean) / sd).max() < 0.06
        assert np.abs((np.cov(drawn[:, t].T) - covariance) / np.outer(sd, sd)).max() < 0.08
