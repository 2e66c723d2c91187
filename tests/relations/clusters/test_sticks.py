"""Sticks with concentration, discount and number of components as one factor."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import integrate
from scipy.special import betaln, gammaln, softmax
from scipy.stats import beta, gamma

from bayesmtl.numerics.partition_priors import log_eppf
from bayesmtl.priors import Prior
from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.clusters.state import partition_prior
from bayesmtl.relations.clusters.sticks import (
    StickPrior,
    Sticks,
    draw_settings,
    fit_sticks,
    points_given,
    stick_prior,
)

COUNTS = np.array([5.5, 2.0, 0.5])


def prior_of(relation: Any, n_tasks: int = 8) -> StickPrior:
    return stick_prior(partition_prior(relation.partition(n_tasks)), n_tasks)


def fitted(relation: Any, counts: Any = COUNTS) -> Sticks:
    return fit_sticks(np.asarray(counts, float), prior_of(relation, round(sum(counts))))


def by_sticks(alpha: float, delta: float, counts: np.ndarray = COUNTS) -> float:
    """Each stick integrated by itself."""
    value = 0.0
    for k, count in enumerate(counts):
        one, two = 1.0 - delta, alpha + (k + 1) * delta
        # The stick of the last component is 1.
        if two > 1e-12:
            value += betaln(one + count, two + counts[k + 1 :].sum()) - betaln(one, two)
    return float(value)


def test_bound_is_that_of_the_sticks_one_by_one() -> None:
    process = fitted(PitmanYor(concentration=0.8, discount=0.3))
    assert process.bound == pytest.approx(by_sticks(0.8, 0.3))
    four = fitted(FiniteMixture(concentration=0.8, components=4))
    assert four.bound == pytest.approx(by_sticks(0.8, -0.2))
    assert four.probabilities == pytest.approx([1.0])


def test_expectation_over_the_prior_is_its_integral() -> None:
    def of_both(delta: float, alpha: float) -> float:
        density = gamma.pdf(alpha, 2, scale=0.5) * beta.pdf(delta, 1, 4)
        return float(density * np.exp(by_sticks(alpha, delta)))

    expected, _ = integrate.dblquad(of_both, 0, 40, 0, 1 - 1e-9)
    assert fitted(PitmanYor()).bound == pytest.approx(np.log(expected), abs=1e-5)
    alone, _ = integrate.quad(lambda alpha: of_both(0.0, alpha) / 4.0, 0, 40)
    assert fitted(DirichletProcess()).bound == pytest.approx(np.log(alone), abs=1e-5)


@pytest.mark.parametrize(
    "relation",
    [DirichletProcess(), PitmanYor(), FiniteMixture(), FiniteMixture(components=3)],
    ids=["dirichlet", "pitman_yor", "components", "three components"],
)
def test_expected_log_weights_are_the_slope_of_the_bound(relation: Any) -> None:
    """Along a task that moves from one cluster to another."""
    weights = fitted(relation).log_weights
    for k, j in ((0, 1), (1, 2), (2, 0)):
        step = 1e-5 * (np.eye(3)[k] - np.eye(3)[j])
        rise = fitted(relation, COUNTS + step).bound - fitted(relation, COUNTS - step).bound
        assert rise / 2e-5 == pytest.approx(weights[k] - weights[j], rel=1e-5)


def test_names_of_components_add_up_to_the_partition() -> None:
    relation = FiniteMixture(concentration=0.8, components=3)
    arrangements = {*permutations((3, 2, 0))}
    total = np.logaddexp.reduce([fitted(relation, one).bound for one in arrangements])
    assert len(arrangements) == 6
    assert total == pytest.approx(log_eppf(np.array([3, 2]), 0.8, -0.8 / 3))


def test_unknown_number_of_components_is_averaged_over() -> None:
    relation = FiniteMixture(concentration=0.8)
    sticks, prior = fitted(relation), prior_of(relation)
    assert prior.n_components.tolist() == list(range(1, 61))
    assert sticks.probabilities[:2].tolist() == [0.0, 0.0]
    number = np.arange(3, 61)
    log_prior = partition_prior(relation.partition(8)).log_components[2:60]
    each = log_prior + [by_sticks(0.8, -0.8 / m) for m in number]
    assert sticks.bound == pytest.approx(np.logaddexp.reduce(each))


def test_an_empty_last_cluster_of_a_full_mixture_changes_nothing() -> None:
    relation = FiniteMixture(concentration=0.8, components=2)
    assert prior_of(relation).most == 2
    padded = fitted(relation, [8.0, 0.0])
    assert padded.bound == pytest.approx(fitted(relation, [8.0]).bound)
    assert np.isfinite(padded.log_weights).all()


@pytest.mark.parametrize(
    "relation",
    [
        DirichletProcess(),
        PitmanYor(concentration=Prior("LogNormal", mu=0, sigma=1)),
        FiniteMixture(),
    ],
    ids=["dirichlet", "pitman_yor", "components"],
)
def test_settings_given_the_clusters_have_their_posterior(relation: Any) -> None:
    labels = np.array([0, 0, 1, 0, 0, 1, 2, 0])
    sizes = np.bincount(labels)
    rows, prior = partition_prior(relation.partition(8)), prior_of(relation)
    drawn = draw_settings(labels, 3000, prior, rows, np.random.default_rng(0))
    points = np.array([prior.concentration, prior.discount, prior.n_components])
    alpha = prior.concentration
    constant = gammaln(1.0 + alpha) - gammaln(9.0 + alpha)
    each = [log_eppf(sizes, a, d) if m not in (1, 2) else -np.inf for a, d, m in points.T]
    share = softmax(prior.log_weight - constant + each)
    assert points_given(sizes, prior) == pytest.approx(share)
    for values, point in zip(drawn.T, points, strict=True):
        mean = share @ point
        sd = np.sqrt(share @ (point - mean) ** 2)
        assert values.mean() == pytest.approx(mean, abs=0.08 * sd + 1e-12)
        assert values.std() == pytest.approx(sd, rel=0.15, abs=1e-12)
    assert len(np.unique(drawn[:, 0])) > 2900
