"""Coordinate ascent: the bound against exact evidence, moves, slopes of the point estimates."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from bayesmtl.priors import Prior
from bayesmtl.relations.clusters.allocation import allocate, birth, k_means, responsibilities_of
from bayesmtl.relations.clusters.cavi import (
    TaskTerms,
    approximate,
    cluster_terms,
    fit_means,
    log_kernel,
    log_likelihoods,
    mean_moments,
    merge,
    reorder,
    sweep,
)
from bayesmtl.relations.clusters.evidence import all_partitions, log_probabilities
from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.clusters.state import PartitionPrior, partition_prior
from bayesmtl.relations.clusters.sticks import StickPrior, stick_prior

ALPHA = 0.8
KNOWN: dict[str, Any] = {
    "dirichlet": DirichletProcess(concentration=ALPHA),
    "pitman_yor": PitmanYor(concentration=ALPHA, discount=0.3),
    "three components": FiniteMixture(concentration=ALPHA, components=3),
    "components": FiniteMixture(concentration=ALPHA),
}
LEARNED: dict[str, Any] = {
    "dirichlet": DirichletProcess(),
    "pitman_yor": PitmanYor(concentration=Prior("LogNormal", mu=0, sigma=1)),
    "components": FiniteMixture(),
}


def prior_of(relation: Any, n_tasks: int) -> StickPrior:
    return stick_prior(partition_prior(relation.partition(n_tasks)), n_tasks)


DIRICHLET = prior_of(KNOWN["dirichlet"], 12)


def terms(n_tasks: int, distance: float, m: int = 1, d: int = 2, seed: int = 0) -> TaskTerms:
    """Tasks of two clusters in turn."""
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(n_tasks, 12, m + d))
    mean = np.ones((n_tasks, m + d))
    mean[:, m:] = np.where(np.arange(n_tasks) % 2, distance, -distance)[:, None]
    response = (design @ mean[..., None])[..., 0] + rng.normal(size=(n_tasks, 12))
    linear = (design.mT @ response[..., None])[..., 0]
    return TaskTerms(design.mT @ design, linear, -0.5 * (response**2).sum(axis=1), m)


def log_evidences(given: TaskTerms, prior: PartitionPrior) -> tuple[np.ndarray, np.ndarray]:
    """Partitions and their log posterior weights by one dense solve each."""
    n_tasks, n = given.linear.shape
    m, d = given.n_shared, n - given.n_shared
    labels = all_partitions(n_tasks)
    out = log_probabilities(labels, prior) + given.constant.sum()
    for i, one in enumerate(labels):
        size = m + d * (one.max() + 1)
        gram, linear = np.zeros((size, size)), np.zeros(size)
        for t, k in enumerate(one):
            place = np.r_[:m, m + k * d : m + (k + 1) * d]
            gram[np.ix_(place, place)] += given.gram[t]
            linear[place] += given.linear[t]
        out[i] += log_kernel(gram, linear)
    return labels, out


def test_certain_clusters_have_their_exact_means() -> None:
    given = terms(6, 1.0, m=2)
    labels = np.array([0, 1, 0, 1, 1, 0])
    means = fit_means(given, responsibilities_of(labels))
    # Dense: u, then the means of both clusters.
    gram, linear = np.eye(6), np.zeros(6)
    for t, k in enumerate(labels):
        place = np.r_[:2, 2 + 2 * k : 4 + 2 * k]
        gram[np.ix_(place, place)] += given.gram[t]
        linear[place] += given.linear[t]
    mean, covariance = np.linalg.solve(gram, linear), np.linalg.inv(gram)
    first, second = mean_moments(given, means)
    for k in range(2):
        place = np.r_[:2, 2 + 2 * k : 4 + 2 * k]
        assert first[k] == pytest.approx(mean[place])
        dense = covariance[np.ix_(place, place)] + np.outer(mean[place], mean[place])
        assert second[k] == pytest.approx(dense)
    assert means.log_evidence == pytest.approx(log_kernel(gram - np.eye(6), linear))


def test_bound_from_its_definition() -> None:
    """Expected log joint density minus that of the approximation, factor by factor."""
    given, rng = terms(5, 0.5), np.random.default_rng(1)
    prior = prior_of(PitmanYor(concentration=ALPHA, discount=0.3), 5)
    q = approximate(given, rng.dirichlet(np.ones(3), size=5), prior)
    r = q.responsibilities
    counts = r.sum(axis=0)
    value = np.zeros(400_000)
    expected_weights = np.zeros(3)
    rest = 0.0
    for k in range(3):
        one, two = 0.7 + counts[k], ALPHA + 0.3 * (k + 1) + counts[k + 1 :].sum()
        v = rng.beta(one, two, value.size)
        value += beta.logpdf(v, 0.7, ALPHA + 0.3 * (k + 1)) - beta.logpdf(v, one, two)
        expected_weights[k] = np.log(v).mean() + rest
        rest += np.log1p(-v).mean()
    means = q.means
    u_root = np.linalg.cholesky(means.shared_covariance)
    divergence = (
        0.5 * (np.trace(means.shared_covariance) + (means.shared**2).sum() - 1.0)
        - np.log(u_root.diagonal()).sum()
    )
    _, second = mean_moments(given, means)
    for k in range(3):
        divergence += 0.5 * (np.trace(second[k, 1:, 1:]) - 2.0)
        divergence -= 0.5 * np.linalg.slogdet(means.covariance[k])[1]
    data = (r * (log_likelihoods(given, means) + q.log_weights - np.log(r))).sum()
    assert q.log_weights == pytest.approx(expected_weights, abs=0.01)
    assert q.elbo == pytest.approx(data - divergence + value.mean(), abs=0.02)


@pytest.mark.parametrize(
    "relation", [*KNOWN.values(), *LEARNED.values()], ids=[*KNOWN, *(f"{k}*" for k in LEARNED)]
)
@pytest.mark.parametrize(("distance", "m"), [(0.0, 0), (0.2, 1), (1.0, 2)])
def test_no_step_lowers_the_bound(relation: Any, distance: float, m: int) -> None:
    given, prior = terms(12, distance, m=m), prior_of(relation, 12)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        start = rng.dirichlet(np.ones(min(6, prior.most)), size=12)
        q = approximate(given, start, prior)
        for _ in range(4):
            steps = [q]
            for _ in range(5):
                steps.append(sweep(given, steps[-1], prior))
            steps.append(reorder(given, steps[-1], prior))
            steps.append(merge(given, steps[-1], prior))
            steps.append(birth(given, steps[-1], prior, rng))
            assert np.diff([step.elbo for step in steps]).min() > -1e-8
            assert steps[-1].responsibilities.sum(axis=1) == pytest.approx(1.0)
            q = steps[-1]


@pytest.mark.parametrize("relation", KNOWN)
@pytest.mark.parametrize("distance", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("m", [0, 1])
def test_bound_is_below_the_evidence(relation: str, distance: float, m: int) -> None:
    given, prior = terms(6, distance, m=m), prior_of(KNOWN[relation], 6)
    labels, weights = log_evidences(given, partition_prior(KNOWN[relation].partition(6)))
    evidence = np.logaddexp.reduce(weights)
    bounds, best = [], None
    for start in [*labels[::20], np.arange(6) % 2]:
        if start.max() >= prior.most:
            continue
        q = approximate(given, responsibilities_of(start), prior)
        for _ in range(50):
            q = sweep(given, q, prior)
        q = reorder(given, merge(given, q, prior), prior)
        bounds.append(q.elbo)
        best = q if q.elbo == max(bounds) else best
    assert max(bounds) < evidence
    if distance == 2.0:
        # Which cluster comes first remains: at most two orders, and clusters without tasks between.
        assert max(bounds) > evidence - 2.5
        assert best is not None
        posterior = np.exp(weights - evidence)
        together = np.einsum("p,pst->st", posterior, labels[:, :, None] == labels[:, None, :])
        r = best.responsibilities
        # Overconfident: 1.00 where the posterior has 0.77.
        approximate_together = r @ r.T + np.diag(1 - (r**2).sum(axis=1))
        assert approximate_together == pytest.approx(together, abs=0.25)


def test_merge_joins_what_belongs_together() -> None:
    given = terms(12, 3.0)
    q = approximate(given, responsibilities_of(np.arange(12) % 4), DIRICHLET)
    q = merge(given, q, DIRICHLET)
    assert q.responsibilities.shape[1] == 2
    assert (q.responsibilities.argmax(axis=1) == q.responsibilities.argmax(axis=1)[0]).sum() == 6


def test_merge_keeps_clusters_apart_and_one_cluster_as_it_is() -> None:
    given = terms(12, 3.0)
    for labels in (np.arange(12) % 2, np.zeros(12)):
        q = approximate(given, responsibilities_of(labels), DIRICHLET)
        assert merge(given, q, DIRICHLET) is q


def test_birth_splits_what_does_not_belong_together() -> None:
    given, rng = terms(12, 3.0), np.random.default_rng(0)
    q = approximate(given, np.ones((12, 1)), DIRICHLET)
    for _ in range(5):
        q = birth(given, q, DIRICHLET, rng)
    labels = q.responsibilities.argmax(axis=1)
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1
    assert labels[0] != labels[1]


def test_birth_keeps_to_the_most_clusters() -> None:
    given = terms(12, 3.0)
    q = approximate(given, np.ones((12, 1)), DIRICHLET)
    assert birth(given, q, DIRICHLET._replace(most=1), np.random.default_rng(0)) is q


def test_starts_find_clusters_far_apart() -> None:
    given, rng = cluster_terms(terms(12, 3.0), np.ones(1)), np.random.default_rng(3)
    order = rng.permutation(12)
    allocated = np.empty(12, dtype=int)
    allocated[order] = allocate(given, order, 1.0, 12, rng)
    for labels in (k_means(given, 2, np.random.default_rng(1)), allocated):
        assert len(set(labels[::2])) == len(set(labels[1::2])) == 1
        assert labels[0] != labels[1]


def test_responsibilities_are_by_decreasing_size() -> None:
    r = responsibilities_of(np.array([5, 2, 2, 7, 2, 7]))
    assert r.argmax(axis=1).tolist() == [2, 0, 0, 1, 0, 1]
    assert r.sum() == 6.0
