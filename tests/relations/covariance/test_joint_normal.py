"""The normal factor of deviations and means against dense algebra, joint and by task."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesmtl.numerics.joint_weights import conjugate_gradients
from bayesmtl.relations.covariance.joint_draws import draw_given, draw_joint, log_density_given
from bayesmtl.relations.covariance.joint_normal import (
    Terms,
    fit_by_task,
    fit_joint,
    inverse_from_root,
)
from tests.oracles.dense import random_spd

N_TASKS, D, FIRST, M = 3, 2, 1, 2
V = FIRST + D


def case(seed: int = 0) -> tuple[Terms, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = V + M
    gram = np.array([random_spd(n, rng, rank=n - 1 if t else None) for t in range(N_TASKS)])
    linear = np.einsum("tij,tj->ti", gram, rng.normal(size=(N_TASKS, n)))
    return Terms(gram, linear, -3.0, V, FIRST), random_spd(N_TASKS, rng), random_spd(D, rng)


def dense(terms: Terms, tasks: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prior precision of (x_1, ..., x_T, u), and the design of each task's coordinates."""
    n = N_TASKS * V + M
    prior = np.eye(n)
    for s in range(N_TASKS):
        for t in range(N_TASKS):
            rows = slice(s * V + FIRST, (s + 1) * V)
            columns = slice(t * V + FIRST, (t + 1) * V)
            prior[rows, columns] = tasks[s, t] * features
    design = np.zeros((N_TASKS, V + M, n))
    for t in range(N_TASKS):
        design[t, :V, t * V : (t + 1) * V] = np.eye(V)
        design[t, V:, N_TASKS * V :] = np.eye(M)
    return prior, design


def posterior(terms: Terms, prior: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    precision = prior + np.einsum("tia,tij,tjb->ab", design, terms.gram, design)
    linear = np.einsum("tia,ti->a", design, terms.linear)
    return np.linalg.solve(precision, linear), precision


def test_the_joint_factor_is_the_dense_posterior() -> None:
    terms, tasks, features = case()
    prior, design = dense(terms, tasks, features)
    mean, precision = posterior(terms, prior, design)
    covariance = np.linalg.inv(precision)
    normal = fit_joint(terms, tasks, features)
    assert normal.mean == pytest.approx(design @ mean)
    assert normal.covariance == pytest.approx(design @ covariance @ design.mT)
    x = mean[: N_TASKS * V].reshape(N_TASKS, V)[:, FIRST:]
    own = covariance[: N_TASKS * V, : N_TASKS * V].reshape(N_TASKS, V, N_TASKS, V)
    second = own[:, FIRST:, :, FIRST:] + np.einsum("si,tj->sitj", x, x)
    assert normal.of_tasks == pytest.approx(np.einsum("sitj,ij->st", second, features))
    assert normal.of_features == pytest.approx(np.einsum("sitj,st->ij", second, tasks))
    quadratic = 0.5 * mean @ precision @ mean
    assert normal.log_evidence == pytest.approx(quadratic - 0.5 * np.linalg.slogdet(precision)[1])


def test_the_product_over_tasks_has_exact_means_and_its_own_bound() -> None:
    """The bound from its definition: expected log density plus entropy."""
    terms, tasks, features = case(1)
    prior, design = dense(terms, tasks, features)
    mean, precision = posterior(terms, prior, design)
    normal = fit_by_task(terms, tasks, features)
    assert normal.mean == pytest.approx(design @ mean, abs=1e-7)
    covariance = np.zeros_like(precision)
    ends = [*range(0, N_TASKS * V + 1, V), len(precision)]
    for low, high in pairwise(ends):
        block = slice(low, high)
        covariance[block, block] = np.linalg.inv(precision[block, block])
    x = mean[: N_TASKS * V].reshape(N_TASKS, V)[:, FIRST:]
    own = covariance[: N_TASKS * V, : N_TASKS * V].reshape(N_TASKS, V, N_TASKS, V)
    second = own[:, FIRST:, :, FIRST:] + np.einsum("si,tj->sitj", x, x)
    assert normal.of_tasks == pytest.approx(np.einsum("sitj,ij->st", second, features), abs=1e-6)
    assert normal.of_features == pytest.approx(np.einsum("sitj,st->ij", second, tasks), abs=1e-6)
    assert normal.covariance == pytest.approx(design @ covariance @ design.mT)
    expected = 0.5 * mean @ precision @ mean - 0.5 * np.trace(precision @ covariance)
    entropy = 0.5 * np.linalg.slogdet(covariance)[1] + 0.5 * len(precision)
    assert normal.log_evidence == pytest.approx(expected + entropy, abs=1e-6)
    assert normal.log_evidence < fit_joint(terms, tasks, features).log_evidence


@pytest.mark.parametrize("joint", [True, False])
def test_draws_from_the_factor_have_its_moments(joint: bool) -> None:
    terms, tasks, features = case(2)
    normal = (fit_joint if joint else fit_by_task)(terms, tasks, features)
    drawn = draw_joint(terms, normal, 40_000, np.random.default_rng(0))
    sd = np.sqrt(np.diagonal(normal.covariance, axis1=1, axis2=2))
    assert np.abs((drawn.mean(axis=0) - normal.mean) / sd).max() < 0.025
    for t in range(N_TASKS):
        assert np.cov(drawn[:, t].T) == pytest.approx(
            normal.covariance[t], abs=0.03 * sd.max() ** 2
        )
    between = np.cov(drawn[:, 0, 1], drawn[:, 1, 1])[0, 1]
    prior, design = dense(terms, tasks, features)
    exact = np.linalg.inv(posterior(terms, prior, design)[1])[1, V + 1]
    assert between == pytest.approx(exact if joint else 0.0, abs=0.03 * sd.max() ** 2)


def test_evidence_and_density_given_the_precisions() -> None:
    """Log evidence, log density and a dense posterior density agree at a draw."""
    terms, tasks, features = case(3)
    drawn, log_evidence = draw_given(terms, tasks, features, np.random.default_rng(0))
    prior, design = dense(terms, tasks, features)
    mean, precision = posterior(terms, prior, design)
    flat = np.concatenate([drawn[:, :V].reshape(-1), drawn[0, V:]])
    log_posterior = multivariate_normal(mean, np.linalg.inv(precision)).logpdf(flat)
    log_joint = log_density_given(terms, tasks, features, drawn)
    constant = 0.5 * flat.size * np.log(2.0 * np.pi)
    assert log_joint == pytest.approx(log_posterior + constant + log_evidence + terms.constant)


def test_inverse_from_root() -> None:
    matrix = random_spd(5, np.random.default_rng(0))
    assert inverse_from_root(np.linalg.cholesky(matrix)) == pytest.approx(np.linalg.inv(matrix))


def test_conjugate_gradients_that_do_not_converge_say_so() -> None:
    with pytest.raises(FloatingPointError, match="does not converge"):
        conjugate_gradients(lambda x: np.full(2, np.nan) * x, lambda x: x, np.ones(2))
