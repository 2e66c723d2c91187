"""Shares of the components of a tree: quadrature and the joint distribution."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayesmtl.relations.graph.components import (
    TaskTree,
    branch_variances,
    components,
    tree_covariance,
)
from bayesmtl.relations.graph.pruning import draw_nodes, leaf_values, prune
from bayesmtl.relations.graph.shares import (
    log_contrasts,
    update_shares_centred,
    update_shares_collapsed,
)
from tests.relations.graph.trees import UNEVEN, dense_posterior, random_tree, tree_from

SIGMA = np.array([[1.0, -0.5], [-0.5, 0.8]])
PRECISION = np.linalg.inv(SIGMA)
ROOT = np.linalg.cholesky(SIGMA)
CLUSTERS = tree_from("((a,c),(b,d,e));", "abcde")
PAGEL = tree_from("(((a:1,b:2):1,c:1.5):0.5,d:3,e:0);", "ecabd")
NESTED = tree_from(UNEVEN, "abcdefg")


def _said(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gram and score; the last task has no rows, the others one to three."""
    gram, score = np.zeros((n, 2, 2)), np.zeros((n, 2))
    for t in range(n - 1):
        rows = rng.normal(size=(1 + t % 3, 2))
        gram[t], score[t] = rows.T @ rows, rows.T @ (1.5 * rng.normal(size=len(rows)))
    return gram, score


@pytest.mark.parametrize("seed", range(4))
def test_contrasts_give_the_multivariate_normal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = components(random_tree(rng, 6 + 5 * seed))
    n, n_nodes = int(tree.task.max()) + 1, len(tree.parents)
    deviation, mean, spread = rng.normal(size=(n, 2)), np.empty((n_nodes, 2)), np.empty(n_nodes)

    def dense(variance: np.ndarray) -> float:
        covariance = np.kron(tree_covariance(tree, variance), SIGMA)
        return float(stats.multivariate_normal.logpdf(deviation.ravel(), cov=covariance))

    found, expected = [], []
    for _ in range(3):
        # Inner branches may have length zero.
        variance = rng.exponential(size=n_nodes) * ((rng.random(n_nodes) > 0.3) | (tree.task >= 0))
        variance[0] = 0.0
        found.append(log_contrasts(tree, variance, deviation, PRECISION, 2, mean, spread))
        expected.append(dense(variance))
    np.testing.assert_allclose(np.diff(found), np.diff(expected), atol=1e-9)


def _assert_follows(draws: np.ndarray, log_density: Callable[[np.ndarray], float]) -> None:
    """Draws of the first of two shares against quadrature over its logit."""
    x = np.linspace(-18.0, 18.0, 1201)
    first = 1.0 / (1.0 + np.exp(-x))
    density = np.array([log_density(np.array([s, 1.0 - s])) for s in first])
    density += np.log(first) + np.log1p(-first)
    weight = np.exp(density - density.max())
    cumulative = np.r_[0.0, np.cumsum(0.5 * (weight[1:] + weight[:-1]))]
    uniform = np.interp(np.log(draws) - np.log1p(-draws), x, cumulative / cumulative[-1])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


PRIOR = np.array([0.8, 1.7])


def _log_prior(shares: np.ndarray) -> float:
    return float(stats.beta.logpdf(shares[0], *PRIOR))


@pytest.mark.parametrize("tree", [CLUSTERS, PAGEL])
def test_the_centred_update_follows_the_conditional(tree: TaskTree) -> None:
    rng = np.random.default_rng(21)
    shares, draws = np.array([0.8, 0.2]), np.empty(2500)
    covariance = tree_covariance(tree, branch_variances(tree, shares))
    deviation = np.linalg.cholesky(covariance) @ rng.normal(size=(5, 2)) @ ROOT.T
    for i in range(len(draws)):
        for _ in range(2):
            update_shares_centred(tree, deviation, PRECISION, PRIOR, shares, rng)
        draws[i] = shares[0]
    assert shares.sum() == pytest.approx(1.0, abs=1e-14)

    def target(s: np.ndarray) -> float:
        covariance = np.kron(tree_covariance(tree, branch_variances(tree, s)), SIGMA)
        value = -0.5 * np.linalg.slogdet(covariance)[1]
        value -= 0.5 * deviation.ravel() @ np.linalg.solve(covariance, deviation.ravel())
        return _log_prior(s) + float(value)

    _assert_follows(draws, target)


@pytest.mark.parametrize("tree", [CLUSTERS, PAGEL])
def test_the_collapsed_update_follows_the_conditional(tree: TaskTree) -> None:
    rng = np.random.default_rng(22)
    gram, score = _said(rng, 5)
    root_value, shares, draws = np.array([1.4, -0.9]), np.array([0.5, 0.5]), np.empty(2500)
    for i in range(len(draws)):
        for _ in range(2):
            update_shares_collapsed(tree, gram, score, ROOT, root_value, PRIOR, shares, rng)
        draws[i] = shares[0]

    def target(s: np.ndarray) -> float:
        covariance = np.kron(tree_covariance(tree, branch_variances(tree, s)), SIGMA)
        return _log_prior(s) + dense_posterior(covariance, root_value, gram, score)[0]

    _assert_follows(draws, target)


def test_without_rows_the_shares_follow_their_prior() -> None:
    """All four shares: a Dirichlet's are Beta each, and so are their sums."""
    rng = np.random.default_rng(23)
    prior, shares = np.array([0.7, 1.0, 2.0, 1.3]), np.full(4, 0.25)
    draws = np.empty((2500, 4))
    for i in range(len(draws)):
        for _ in range(4):
            update_shares_collapsed(
                NESTED, np.zeros((7, 2, 2)), np.zeros((7, 2)), ROOT, np.zeros(2), prior, shares, rng
            )
        draws[i] = shares
    for k in range(4):
        beta = stats.beta(prior[k], prior.sum() - prior[k])
        assert stats.kstest(draws[:, k], beta.cdf).pvalue > 1e-3
    assert stats.kstest(draws[:, :2].sum(1), stats.beta(1.7, 3.3).cdf).pvalue > 1e-3


def test_features_that_say_nothing_do_not_count_and_one_component_has_share_one() -> None:
    rng = np.random.default_rng(24)
    deviation, one, both = rng.normal(size=(5, 2)), np.array([0.5, 0.5]), np.array([0.5, 0.5])
    single = np.ascontiguousarray(deviation[:, :1])
    for seed in range(10):
        update_shares_centred(
            CLUSTERS, single, np.array([[2.0]]), PRIOR, one, np.random.default_rng(seed)
        )
        update_shares_centred(
            CLUSTERS, deviation, np.diag([2.0, 0.0]), PRIOR, both, np.random.default_rng(seed)
        )
    np.testing.assert_allclose(one, both, rtol=1e-12)
    star, alone = tree_from("(a,b,c,d,e);", "abcde"), np.array([1.0])
    update_shares_centred(star, deviation, PRECISION, np.array([1.0]), alone, rng)
    gram, score = _said(rng, 5)
    update_shares_collapsed(star, gram, score, ROOT, np.zeros(2), np.array([1.0]), alone, rng)
    assert alone[0] == 1.0


Sweep = Callable[..., None]


def _joint_scores(tree: TaskTree, prior: np.ndarray, sweep: Sweep, seed: int) -> np.ndarray:
    """Changes of statistics from exact joint draws over two sweeps, in standard errors."""
    rng = np.random.default_rng(seed)
    n = int(tree.task.max()) + 1
    gram, _ = _said(rng, n)
    noise_root = np.stack([np.linalg.cholesky(g + 1e-12 * np.eye(2)) for g in gram])
    nothing, root_value = (np.zeros((n, 2, 2)), np.zeros((n, 2)), np.zeros(n)), np.zeros(2)
    changes = []
    for _ in range(4000):
        shares = rng.dirichlet(prior)
        variance = branch_variances(tree, shares)
        bare = prune(tree, variance, *nothing, ROOT)
        x = leaf_values(tree, draw_nodes(tree, variance, bare[0], bare[1], ROOT, root_value, rng))
        score = np.einsum("tij,tj->ti", gram, x)
        score += np.einsum("tij,tj->ti", noise_root, rng.normal(size=(n, 2)))
        before = _statistics(shares, x)
        for _ in range(2):
            sweep(tree, gram, score, x, prior, shares, rng)
            variance = branch_variances(tree, shares)
            told = prune(tree, variance, gram, score, nothing[2], ROOT)
            nodes = draw_nodes(tree, variance, told[0], told[1], ROOT, root_value, rng)
            x = leaf_values(tree, nodes)
        changes.append(_statistics(shares, x) - before)
    array = np.array(changes)
    return np.asarray(array.mean(0) / (array.std(0) / math.sqrt(len(array))))


def _statistics(shares: np.ndarray, x: np.ndarray) -> np.ndarray:
    pairs = [x[0] * x[1], x[0] * x[2], x[-1] * x[1]]
    squares = np.log([(x[0] - x[1]) ** 2, (x[2] - x[-1]) ** 2, x[1] ** 2])
    return np.r_[
        shares,
        shares**2,
        shares * shares[::-1],
        np.ravel(pairs),
        np.ravel(squares),
        shares[0] * squares[0],
        shares[-1] * squares[0],
        shares[0] * pairs[1],
    ]


def _centred(
    tree: TaskTree, gram: Any, score: Any, x: Any, prior: Any, shares: Any, rng: Any
) -> None:
    update_shares_centred(tree, x, PRECISION, prior, shares, rng)


def _collapsed(
    tree: TaskTree, gram: Any, score: Any, x: Any, prior: Any, shares: Any, rng: Any
) -> None:
    update_shares_collapsed(tree, gram, score, ROOT, np.zeros(2), prior, shares, rng)


def _both(*args: Any) -> None:
    _centred(*args)
    _collapsed(*args)


CASES = {"nested": (NESTED, [0.8, 1.0, 1.5, 1.2]), "lengths": (PAGEL, [1.0, 1.5])}


@pytest.mark.mcmc
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sweep", [_centred, _both])
def test_the_updates_leave_the_joint_distribution_invariant(name: str, sweep: Sweep) -> None:
    tree, prior = CASES[name]
    assert np.abs(_joint_scores(tree, np.array(prior), sweep, 25)).max() < 4.0


@pytest.mark.mcmc
@pytest.mark.parametrize("update", [_centred, _collapsed])
def test_a_wrong_prior_is_seen(update: Sweep) -> None:
    def sweep(tree: Any, gram: Any, score: Any, x: Any, prior: Any, shares: Any, rng: Any) -> None:
        update(tree, gram, score, x, prior + np.array([1.0, 0.0]), shares, rng)

    assert np.abs(_joint_scores(PAGEL, np.array([1.0, 1.5]), sweep, 25)).max() > 6.0
