"""Wishart factors: the bound from its definition, optimal updates, slopes and densities."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import gamma, invwishart, wishart

from bayesmtl.relations.covariance.precision_factors import (
    HuangWand,
    PrecisionFactor,
    draw_covariance,
    given_covariance,
    log_huang_wand,
    log_wishart_factor,
    rescaled,
    scale_slope,
    start_factor,
    updated,
)

PRIOR = HuangWand(2.0, np.array([1.0, 0.7, 2.0]))
SCATTER = np.array([[9.0, 4.0, -3.0], [4.0, 6.0, 0.5], [-3.0, 0.5, 5.0]])
COUNT = 7.0


def one() -> PrecisionFactor:
    return updated(start_factor(PRIOR, np.eye(3) + 0.3, 4.0), SCATTER, COUNT)


def objective(factor: PrecisionFactor) -> float:
    """Bound plus expected log density of so many normal vectors of this scatter."""
    return factor.bound + 0.5 * (COUNT * factor.log_det - float((factor.expected * SCATTER).sum()))


def test_bound_from_its_definition() -> None:
    """Expected log prior minus log factor of the precision and the scales a, by draws."""
    factor, rng, n_draws = one(), np.random.default_rng(0), 3000
    shape = 0.5 * (PRIOR.dof + 3)
    precision = wishart(factor.dof, np.linalg.inv(factor.scale)).rvs(n_draws, random_state=rng)
    inverse_a = gamma(shape, scale=1.0 / factor.rate).rvs((n_draws, 3), random_state=rng)
    value = gamma.logpdf(inverse_a, 0.5, scale=PRIOR.scales**2).sum(axis=1)
    value -= gamma.logpdf(inverse_a, shape, scale=1.0 / factor.rate).sum(axis=1)
    for i, (k, a) in enumerate(zip(precision, inverse_a, strict=True)):
        value[i] += wishart.logpdf(k, PRIOR.dof + 2.0, np.diag(0.25 / a))
        value[i] -= wishart.logpdf(k, factor.dof, np.linalg.inv(factor.scale))
    error = value.std() / np.sqrt(n_draws)
    assert abs(value.mean() - factor.bound) < 4.0 * error < 0.2
    assert precision.mean(axis=0) == pytest.approx(factor.expected, abs=0.05)
    log_det = np.linalg.slogdet(precision)[1]
    assert abs(log_det.mean() - factor.log_det) < 4.0 * log_det.std() / np.sqrt(n_draws)


def test_updates_raise_the_objective_to_its_optimum() -> None:
    factor = start_factor(PRIOR, 0.2 * np.eye(3), 1.0)
    values = [objective(factor)]
    for _ in range(30):
        factor = updated(factor, SCATTER, COUNT)
        values.append(objective(factor))
    assert np.diff(values).min() > -1e-10
    for size in (-0.01, 0.01):
        assert objective(rescaled(factor, size)) < values[-1]
    for i in range(3):
        changed = factor.scale.copy()
        changed[i, i] *= 1.05
        assert objective(rescaled(factor._replace(scale=changed), 0.0)) < values[-1]


def test_slope_of_the_size() -> None:
    factor = one()
    rise = rescaled(factor, 1e-5).bound - rescaled(factor, -1e-5).bound
    assert scale_slope(factor) == pytest.approx(rise / 2e-5, rel=1e-6)


def test_a_given_covariance_stays() -> None:
    factor = given_covariance(SCATTER)
    assert factor.covariance == pytest.approx(SCATTER)
    assert factor.log_det == pytest.approx(-np.linalg.slogdet(SCATTER)[1])
    assert not factor.learned
    for same in (updated(factor, np.eye(3), 2.0), rescaled(factor, 1.0)):
        assert same is factor


def test_densities_are_those_of_the_covariance() -> None:
    factor, rng = one(), np.random.default_rng(1)
    pairs: list[Any] = [draw_covariance(factor, rng) for _ in range(2)]
    of_factor = [invwishart.logpdf(c, factor.dof, factor.scale) for c, _ in pairs]
    ours = [log_wishart_factor(factor, k) for _, k in pairs]
    assert ours[1] - ours[0] == pytest.approx(of_factor[1] - of_factor[0])
    # The prior, by a sum over its scales.
    shares = (np.arange(4000) + 0.5) / 4000
    of_prior = []
    for covariance, _ in pairs:
        grid = [gamma.ppf(shares, 0.5, scale=s**2) for s in PRIOR.scales]
        draws = np.column_stack([rng.permutation(g) for g in grid for _ in range(1)])
        draws = np.concatenate(
            [np.column_stack([rng.permutation(g) for g in grid]) for _ in range(9)]
        )
        log_det = np.linalg.slogdet(covariance)[1]
        inverse = np.linalg.inv(covariance)
        own = 4.0 * draws
        log_density = 2.0 * np.log(own).sum(axis=1) - 0.5 * (own * np.diag(inverse)).sum(axis=1)
        of_prior.append(np.log(np.exp(log_density).mean()) - 4.0 * log_det)
    ours = [log_huang_wand(PRIOR, k) for _, k in pairs]
    assert ours[1] - ours[0] == pytest.approx(of_prior[1] - of_prior[0], abs=0.05)
