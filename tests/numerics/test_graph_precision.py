"""Gibbs updates of sparse precisions against rejection sampling and enumeration."""

from collections.abc import Callable

import numpy as np
import pytest

from bayesmtl.numerics.graph_precision import (
    update_columns,
    update_edges,
    update_horseshoe_scale,
    update_local_scales,
)
from tests.oracles.geweke_graph import draw_precisions

N, D = 3, 4
PAIRS = np.tril_indices(N, -1)
SPIKE, SLAB, ODDS = 0.15**2, 1.0, np.log(0.3 / 0.7)


def scores(exact: dict[str, np.ndarray], chain: dict[str, np.ndarray]) -> dict[str, float]:
    """z of means, those of the chain from batches."""
    out = {}
    for name, values in exact.items():
        batches = chain[name].reshape(200, -1).mean(axis=1)
        error = np.sqrt(values.var() / len(values) + batches.var(ddof=1) / len(batches))
        out[name] = float((values.mean() - batches.mean()) / error)
    return out


def described(precision: np.ndarray, **other: np.ndarray) -> dict[str, np.ndarray]:
    correlation = precision[:, 1, 0] / np.sqrt(precision[:, 0, 0] * precision[:, 1, 1])
    return {
        "diagonal": precision[:, 2, 2],
        "element": precision[:, 1, 0],
        "square": precision[:, 2, 0] ** 2,
        "correlation^2": correlation**2,
        "product": np.arcsinh(precision[:, 1, 0] * precision[:, 2, 0] * precision[:, 2, 1]),
        "log determinant": np.linalg.slogdet(precision)[1],
        **other,
    }


def joint_chain(
    update: Callable[[np.ndarray, float, np.ndarray, np.ndarray], dict[str, float]],
    n: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Precision given data, data given the precision, in turn."""
    precision, covariance = np.eye(N), np.eye(N)
    out, other = np.empty((n, N, N)), []
    for i in range(n):
        rows = np.linalg.cholesky(covariance) @ rng.normal(size=(N, D))
        other.append(update(rows @ rows.T, float(D), precision, covariance))
        out[i] = precision
    return described(out, **{name: np.array([o[name] for o in other]) for name in other[0]})


@pytest.mark.mcmc
def test_spike_and_slab_leaves_the_joint_distribution_invariant() -> None:
    rng = np.random.default_rng(1)
    edge = rng.random((200_000, 3)) < 0.3
    exact, kept = draw_precisions(np.where(edge, SLAB, SPIKE), N, rng)
    odds, state = np.full((N, N), ODDS), np.zeros((N, N), dtype=bool)

    def update(
        scatter: np.ndarray, dof: float, precision: np.ndarray, covariance: np.ndarray
    ) -> dict[str, float]:
        update_edges(scatter, dof, 1.0, SPIKE, SLAB, odds, state, precision, covariance, rng)
        return {"edges": state[PAIRS].sum(), "both": state[1, 0] * state[2, 0]}

    chain = joint_chain(update, 40_000, rng)
    edge = edge[kept]
    both = (edge[:, 0] * edge[:, 1]).astype(float)
    known = described(exact, edges=edge.sum(axis=1), both=both)
    found = scores(known, chain)
    assert max(map(abs, found.values())) < 4.0, found


@pytest.mark.mcmc
def test_the_horseshoe_leaves_the_joint_distribution_invariant() -> None:
    rng, n, unit = np.random.default_rng(2), 200_000, 0.5
    auxiliary = 1.0 / rng.gamma(0.5, 1.0, (n, 3))
    local = 1.0 / auxiliary / rng.gamma(0.5, 1.0, (n, 3))
    mixed = unit**-2 / rng.gamma(0.5, 1.0, n)
    scale = 1.0 / mixed / rng.gamma(0.5, 1.0, n)
    exact, kept = draw_precisions(local * scale[:, None], N, rng)
    locals_, own = np.ones((N, N)), np.ones((N, N))
    of_all = np.array([0.1, 1.0])

    def update(
        scatter: np.ndarray, dof: float, precision: np.ndarray, covariance: np.ndarray
    ) -> dict[str, float]:
        update_columns(scatter, dof, 1.0, locals_ * of_all[0], precision, covariance, rng)
        update_horseshoe_scale(precision, locals_, of_all, unit, rng)
        update_local_scales(precision**2 / (2.0 * of_all[0]), 1, locals_, own, rng)
        return {"log local": np.log(locals_[1, 0]), "log scale": np.log(of_all[0])}

    chain = joint_chain(update, 40_000, rng)
    known = described(
        exact, **{"log local": np.log(local[kept, 0]), "log scale": np.log(scale[kept])}
    )
    found = scores(known, chain)
    assert max(map(abs, found.values())) < 4.0, found


def test_covariance_stays_the_inverse_of_the_precision() -> None:
    rng = np.random.default_rng(3)
    n = 30
    precision, covariance = np.eye(n), np.eye(n)
    edge, odds = np.zeros((n, n), dtype=bool), np.full((n, n), -1.0)
    scatter = np.cov(rng.normal(size=(n, 12))) * 11
    for _ in range(20):
        update_edges(scatter, 12.0, 1.0, 1e-4, 1.0, odds, edge, precision, covariance, rng)
    np.testing.assert_allclose(precision @ covariance, np.eye(n), atol=1e-9)
    np.testing.assert_array_equal(edge, edge.T)
    np.testing.assert_array_equal(precision, precision.T)
    assert np.linalg.eigvalsh(precision)[0] > 0.0


def sampled(
    truth: np.ndarray, n_rows: int, sweeps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Edge probabilities and posterior mean of the precision of exact scatter."""
    n = len(truth)
    scatter = n_rows * np.linalg.inv(truth)
    precision, covariance = np.eye(n), np.eye(n)
    edge, odds = np.zeros((n, n), dtype=bool), np.full((n, n), -1.0)
    edges, mean = np.zeros((n, n)), np.zeros((n, n))
    for i in range(sweeps):
        update_edges(
            scatter, float(n_rows), 1.0, 0.0025, 1.0, odds, edge, precision, covariance, rng
        )
        if i >= 100:
            edges += edge / (sweeps - 100)
            mean += precision / (sweeps - 100)
    return edges, mean


def test_many_rows_recover_the_graph() -> None:
    truth = np.array(
        [[1.5, 0.6, 0.0, 0.0], [0.6, 2.0, -0.5, 0.0], [0.0, -0.5, 1.0, 0.4], [0.0, 0.0, 0.4, 1.2]]
    )
    edges, mean = sampled(truth, 5000, 1100, np.random.default_rng(4))
    linked = (truth != 0.0) & ~np.eye(4, dtype=bool)
    assert edges[linked].min() > 0.99
    assert edges[~linked].max() < 0.2
    np.testing.assert_allclose(mean, truth, atol=0.1)


def test_blocks_have_no_edges_between_them() -> None:
    block = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]])
    truth = np.kron(np.eye(2), block)
    edges, _ = sampled(truth, 500, 1100, np.random.default_rng(5))
    assert edges[:3, 3:].max() < 0.15
    assert edges[np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3)) > 0].min() > 0.95


def test_the_order_of_the_variables_does_not_matter() -> None:
    truth = np.array(
        [[1.5, 0.3, 0.0, 0.1], [0.3, 2.0, -0.2, 0.0], [0.0, -0.2, 1.0, 0.3], [0.1, 0.0, 0.3, 1.2]]
    )
    order = np.array([2, 0, 3, 1])
    first, _ = sampled(truth, 60, 6000, np.random.default_rng(6))
    second, _ = sampled(truth[np.ix_(order, order)], 60, 6000, np.random.default_rng(7))
    np.testing.assert_allclose(second, first[np.ix_(order, order)], atol=0.05)
