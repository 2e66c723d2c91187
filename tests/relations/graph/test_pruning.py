"""Pruning on known trees against dense algebra."""

import numpy as np
import pytest

from bayesmtl import InvalidModelError
from bayesmtl.relations.graph.components import (
    TaskTree,
    branch_variances,
    component_covariances,
    components,
    tree_covariance,
)
from bayesmtl.relations.graph.newick import parse_newick
from bayesmtl.relations.graph.pruning import draw_nodes, leaf_values, prune
from bayesmtl.sites import GaussianSites, collapse, square_root
from tests.relations.graph.trees import UNEVEN, dense_posterior, random_tree, tree_from

P = 3


def _sites(rng: np.random.Generator, n: int) -> GaussianSites:
    """Sites of rank one to three; the first task has no rows."""
    gram, moment = np.zeros((n, P, P)), np.zeros((n, P))
    for t in range(1, n):
        rows = rng.normal(size=(1 + t % 4, P))
        gram[t] = rows.T @ rows
        moment[t] = rows.T @ rng.normal(size=len(rows))
    return GaussianSites(gram, moment, rng.normal(size=n))


def _sigma(rng: np.random.Generator, rank: int = P) -> np.ndarray:
    factor = rng.normal(size=(P, rank))
    return factor @ factor.T


@pytest.mark.parametrize("seed", range(1, 7))
def test_evidence_and_posterior_are_those_of_dense_algebra(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = components(random_tree(rng, 5 + 3 * seed))
    n, n_nodes = int(tree.task.max()) + 1, len(tree.parents)
    variance = rng.exponential(size=n_nodes) * (rng.random(n_nodes) > 0.25)
    variance[0] = 0.0
    sites, sigma, root_value = _sites(rng, n), _sigma(rng, P - seed % 2), rng.normal(size=P)
    root = square_root(sigma)
    node_gram, node_score, constant = prune(tree, variance, *sites, root)
    covariance = np.kron(tree_covariance(tree, variance), sigma)
    evidence, mean, posterior = dense_posterior(covariance, root_value, sites.gram, sites.moment)
    found = constant + node_score[0] @ root_value - 0.5 * root_value @ node_gram[0] @ root_value
    assert found == pytest.approx(evidence + sites.constant.sum(), abs=1e-9)

    # Draws are affine in the normal numbers: as many draws as numbers give the map, exactly.
    n_normal = int((variance > 0.0).sum()) * P
    normal = np.stack([np.random.default_rng(s).standard_normal(n_normal) for s in range(n_normal)])
    zero = np.zeros(P)
    bare = prune(tree, variance, sites.gram, 0.0 * sites.moment, sites.constant, root)
    noise, shift = [], []
    for s in range(n_normal):
        rng_a, rng_b = np.random.default_rng(s), np.random.default_rng(s)
        values = draw_nodes(tree, variance, node_gram, node_score, root, root_value, rng_a)
        plain = draw_nodes(tree, variance, bare[0], bare[1], root, zero, rng_b)
        noise.append(leaf_values(tree, plain).ravel())
        shift.append(leaf_values(tree, values).ravel() - noise[-1])
    np.testing.assert_allclose(np.array(shift), np.tile(mean, (n_normal, 1)), atol=1e-8)
    affine = np.linalg.solve(normal, np.array(noise))
    np.testing.assert_allclose(affine.T @ affine, posterior, atol=1e-7)


def test_a_star_is_exchangeable() -> None:
    rng = np.random.default_rng(11)
    tree = tree_from("(a,b,c,d);", "cabd")
    np.testing.assert_array_equal(tree.units, [[0.0]] + 4 * [[1.0]])
    sites, sigma = _sites(rng, 4), _sigma(rng)
    shared = collapse(sites, sigma)
    variance = branch_variances(tree, np.array([1.0]))
    gram, score, constant = prune(tree, variance, *sites, square_root(sigma))
    np.testing.assert_allclose(gram[0], shared.gram.sum(0), atol=1e-10)
    np.testing.assert_allclose(score[0], shared.moment.sum(0), atol=1e-10)
    assert constant == pytest.approx(shared.constant.sum(), abs=1e-10)


def test_two_levels_are_clusters_with_known_labels() -> None:
    rng = np.random.default_rng(12)
    tree = tree_from("((a,c),(b,d,e));", "abcde")
    sites, sigma, shares = _sites(rng, 5), _sigma(rng), np.array([0.3, 0.7])
    inside = collapse(sites, 0.7 * sigma)
    groups = [[0, 2], [1, 3, 4]]
    summed = GaussianSites(*(np.stack([part[g].sum(0) for g in groups]) for part in inside))
    between = collapse(summed, 0.3 * sigma)
    variance = branch_variances(tree, shares)
    gram, score, constant = prune(tree, variance, *sites, np.linalg.cholesky(sigma))
    np.testing.assert_allclose(gram[0], between.gram.sum(0), atol=1e-10)
    np.testing.assert_allclose(score[0], between.moment.sum(0), atol=1e-10)
    assert constant == pytest.approx(between.constant.sum(), abs=1e-10)


def test_branches_of_length_zero_give_equal_weights() -> None:
    rng = np.random.default_rng(13)
    tree = tree_from("((a,c),(b,d,e));", "abcde")
    variance = branch_variances(tree, np.array([1.0, 0.0]))
    sites, root = _sites(rng, 5), square_root(_sigma(rng))
    gram, score, _ = prune(tree, variance, *sites, root)
    values = leaf_values(tree, draw_nodes(tree, variance, gram, score, root, np.zeros(P), rng))
    np.testing.assert_array_equal(values[0], values[2])
    np.testing.assert_array_equal(values[1], values[3])
    assert np.abs(values[0] - values[1]).min() > 0.0


def test_levels_of_an_uneven_tree() -> None:
    """Component k joins tasks that are in one group k levels below the root."""
    tasks = "gfedcba"
    parts = component_covariances(tree_from(UNEVEN, tasks))
    assert len(parts) == 4
    groups = ["abcd/e/fg", "ab/c/d/e/f/g", "a/b/c/d/e/f/g", "a/b/c/d/e/f/g"]
    for found, text in zip(parts, groups, strict=True):
        member = {task: i for i, group in enumerate(text.split("/")) for task in group}
        expected = [[float(member[s] == member[t]) for s in tasks] for t in tasks]
        np.testing.assert_array_equal(found, expected)


def test_lengths_give_the_tree_and_the_identity() -> None:
    tree = tree_from("((a:1,b:2):3,c:6);", "cab")
    parts = component_covariances(tree)
    shared = np.array([[6.0, 0.0, 0.0], [0.0, 4.0, 3.0], [0.0, 3.0, 5.0]])
    np.testing.assert_allclose(parts[0], shared / 5.0, rtol=1e-14)
    np.testing.assert_array_equal(parts[1], np.eye(3))
    shares = np.array([0.6, 0.4])
    np.testing.assert_allclose(
        tree_covariance(tree, branch_variances(tree, shares)),
        np.tensordot(shares, parts, axes=1),
        rtol=1e-14,
    )


def test_the_covariance_is_that_of_the_shared_branches() -> None:
    rng = np.random.default_rng(14)
    arranged = random_tree(rng, 25)
    variance = rng.exponential(size=25)
    path: dict[int, set[int]] = {0: set()}
    for v in range(1, 25):
        path[v] = path[int(arranged.parents[v])] | {v}
    n = int(arranged.task.max()) + 1
    leaf = {int(t): v for v, t in enumerate(arranged.task) if t >= 0}
    expected = [
        [variance[list(path[leaf[s]] & path[leaf[t]])].sum() for t in range(n)] for s in range(n)
    ]
    tree = TaskTree(arranged.parents, arranged.task, np.zeros((25, 1)))
    np.testing.assert_allclose(tree_covariance(tree, variance), expected, atol=1e-12)


def test_tasks_at_the_root_are_refused() -> None:
    arranged = parse_newick("(a:0,b:0,c:1);", "tree").arranged(["a", "b"], "tree")
    with pytest.raises(InvalidModelError, match="tasks of the data lie at the root of the tree"):
        components(arranged)
