"""Collapsed, conditioned and evaluated sites against dense multivariate normals."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.sites import (
    GaussianSites,
    add_sites,
    collapse,
    evaluate,
    square_root,
)
from tests.oracles.dense import log_normal, random_spd

TIGHT: Any = {"rtol": 1e-9, "atol": 1e-9}
COVARIANCES: dict[str, Any] = {
    "regular": lambda rng: random_spd(3, rng),
    "singular": lambda rng: random_spd(3, rng, rank=1),
    "zero": lambda rng: np.zeros((3, 3)),
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def make_rows(rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tasks with more rows than features, fewer rows (singular G), and none."""
    return [(rng.normal(size=(n, 3)), rng.normal(size=n)) for n in (6, 1, 0, 2)]


def make_sites(rows: list[tuple[np.ndarray, np.ndarray]], sd: float = 0.8) -> GaussianSites:
    return GaussianSites(
        np.array([x.T @ x for x, _ in rows]) / sd**2,
        np.array([x.T @ y for x, y in rows]) / sd**2,
        np.array(
            [-0.5 * y @ y / sd**2 - 0.5 * len(y) * np.log(2 * np.pi * sd**2) for _, y in rows]
        ),
    )


def log_marginal(
    rows: tuple[np.ndarray, np.ndarray], mean: np.ndarray, covariance: np.ndarray
) -> float:
    """``log N(y; X mean, X D X' + sd^2 I)``."""
    x, y = rows
    if len(y) == 0:
        return 0.0
    return log_normal(y, x @ mean, x @ covariance @ x.T + 0.8**2 * np.eye(len(y)))


@pytest.mark.parametrize("kind", COVARIANCES)
def test_collapsed_sites_are_marginal_likelihoods(kind: str, rng: np.random.Generator) -> None:
    rows, covariance = make_rows(rng), COVARIANCES[kind](rng)
    collapsed = collapse(make_sites(rows), covariance)
    for mean in rng.normal(size=(3, 3)):
        expected = [log_marginal(one, mean, covariance) for one in rows]
        np.testing.assert_allclose(evaluate(collapsed, mean), expected, **TIGHT)


def test_each_task_may_have_its_own_covariance(rng: np.random.Generator) -> None:
    rows = make_rows(rng)
    covariances = np.array([random_spd(3, rng) for _ in rows])
    collapsed = collapse(make_sites(rows), covariances)
    means = rng.normal(size=(4, 3))
    expected = [log_marginal(*each) for each in zip(rows, means, covariances, strict=True)]
    np.testing.assert_allclose(evaluate(collapsed, means), expected, **TIGHT)


def test_collapsing_twice_is_collapsing_by_the_sum(rng: np.random.Generator) -> None:
    sites = make_sites(make_rows(rng))
    first, second = random_spd(3, rng), random_spd(3, rng, rank=2)
    stepwise = collapse(collapse(sites, first), second)
    for one, other in zip(stepwise, collapse(sites, first + second), strict=True):
        np.testing.assert_allclose(one, other, **TIGHT)


def test_added_sites_are_the_site_of_all_rows(rng: np.random.Generator) -> None:
    rows = make_rows(rng)
    whole = [(np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows]))]
    for one, other in zip(add_sites(make_sites(rows)), make_sites(whole), strict=True):
        np.testing.assert_allclose(one, other, **TIGHT)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_square_roots(kind: str, rng: np.random.Generator) -> None:
    covariance = COVARIANCES[kind](rng)
    root = square_root(covariance)
    np.testing.assert_allclose(root @ root.T, covariance, **TIGHT)


def test_one_feature_and_one_task() -> None:
    sites = GaussianSites(np.array([[[2.0]]]), np.array([[1.0]]), np.array([0.3]))
    collapsed = collapse(sites, np.array([[0.5]]))
    assert collapsed.gram[0, 0, 0] == pytest.approx(1.0)
    assert collapsed.moment[0, 0] == pytest.approx(0.5)
    assert collapsed.constant[0] == pytest.approx(0.3 + 0.125 - 0.5 * np.log(2.0))
