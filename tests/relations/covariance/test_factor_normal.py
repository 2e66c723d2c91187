"""Normal factors of factors, means and loadings against dense algebra and draws."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesmtl.relations.covariance.factor_normal import (
    FactorNormal,
    Loadings,
    common_moments,
    draw_factors,
    draw_loadings,
    fit_factors,
    fit_loadings,
    loading_terms,
)
from bayesmtl.relations.covariance.joint_normal import Terms
from tests.oracles.dense import random_spd

N_TASKS, H, D, M = 4, 2, 3, 1


def case(seed: int = 0) -> tuple[Terms, Loadings, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = D + M
    gram = np.array([random_spd(n, rng, rank=n - 1 if t % 2 else None) for t in range(N_TASKS)])
    linear = np.einsum("tij,tj->ti", gram, rng.normal(size=(N_TASKS, n)))
    covariance = np.array([0.1 * random_spd(H, rng) for _ in range(N_TASKS)])
    loadings = Loadings(rng.normal(size=(N_TASKS, H)), covariance)
    return Terms(gram, linear, 0.0, D, 0), loadings, random_spd(D, rng)


def draws_of(
    loadings: Loadings, normal: FactorNormal, n_draws: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    factors, means, _ = draw_factors(normal, n_draws, rng)
    root = np.linalg.cholesky(loadings.covariance)
    noise = rng.normal(size=(n_draws, N_TASKS, H))
    return loadings.mean + np.einsum("thk,stk->sth", root, noise), factors, means


def test_certain_loadings_make_a_regression() -> None:
    terms, loadings, precision = case()
    certain = loadings._replace(covariance=np.zeros_like(loadings.covariance))
    normal = fit_factors(terms, certain, precision)
    size = H * D + M
    whole, linear = np.zeros((size, size)), np.zeros(size)
    whole[: H * D, : H * D] = np.kron(np.eye(H), precision)
    whole[-M:, -M:] = np.eye(M)
    for t in range(N_TASKS):
        design = np.zeros((D + M, size))
        design[:D, : H * D] = np.kron(loadings.mean[t], np.eye(D))
        design[D:, H * D :] = np.eye(M)
        whole += design.T @ terms.gram[t] @ design
        linear += design.T @ terms.linear[t]
    mean = np.linalg.solve(whole, linear)
    assert normal.mean == pytest.approx(mean)
    assert normal.covariance == pytest.approx(np.linalg.inv(whole))
    log_evidence = 0.5 * mean @ linear - 0.5 * np.linalg.slogdet(whole)[1]
    assert normal.log_evidence == pytest.approx(log_evidence)


def test_moments_of_common_parts_are_those_of_draws() -> None:
    terms, loadings, precision = case(1)
    normal = fit_factors(terms, loadings, precision)
    a, factors, means = draws_of(loadings, normal, 60_000)
    common = np.einsum("sth,shi->sti", a, factors)
    wide = np.concatenate([common, np.repeat(means[:, None], N_TASKS, axis=1)], axis=2)
    first, second = common_moments(loadings, normal)
    products = np.einsum("sti,stj->stij", wide, wide)
    size = np.sqrt(np.einsum("tii->t", second).max())
    assert wide.mean(axis=0) == pytest.approx(first, abs=0.03 * size)
    assert products.mean(axis=0) == pytest.approx(second, abs=0.03 * size**2)
    squares = (a**2).sum(axis=1).mean(axis=0)
    assert loadings.squares == pytest.approx(squares, rel=0.02)
    entropy = sum(multivariate_normal(cov=c).entropy() for c in loadings.covariance)
    assert loadings.entropy == pytest.approx(entropy)


def test_terms_of_the_loadings_are_expectations() -> None:
    """Of their precision and linear term given factors and means, by draws."""
    terms, loadings, precision = case(2)
    normal = fit_factors(terms, loadings, precision)
    _, factors, means = draws_of(loadings, normal, 60_000)
    gram, linear = loading_terms(terms, normal)
    by_draw = np.einsum("shi,tij,skj->thk", factors, terms.gram[:, :D, :D], factors, optimize=True)
    assert gram == pytest.approx(by_draw / len(factors), rel=0.05, abs=0.05)
    rest = terms.linear[:, :D] - np.einsum("tic,sc->sti", terms.gram[:, :D, D:], means)
    by_draw = np.einsum("sti,shi->th", rest, factors) / len(factors)
    assert linear == pytest.approx(by_draw, rel=0.05, abs=0.05)
    shrunk = np.array([2.0, 80.0])
    best = fit_loadings(terms, normal, shrunk)
    for t in range(N_TASKS):
        inner = gram[t] + np.diag(shrunk)
        assert best.covariance[t] == pytest.approx(np.linalg.inv(inner))
        assert best.mean[t] == pytest.approx(np.linalg.solve(inner, linear[t]))


def test_exact_loadings_and_their_evidence() -> None:
    terms, _, _ = case(4)
    rng = np.random.default_rng(5)
    factors, variance = rng.normal(size=(H, D)), np.array([0.7, 0.0125])
    gram, linear = factors @ terms.gram[:, :D, :D] @ factors.T, terms.linear[:, :D] @ factors.T
    drawn = np.array([draw_loadings(gram, linear, variance, rng)[0] for _ in range(20_000)])
    log_evidence = draw_loadings(gram, linear, variance, rng)[1]
    exact = 0.0
    for t in range(N_TASKS):
        inner = gram[t] + np.diag(1.0 / variance)
        mean, covariance = np.linalg.solve(inner, linear[t]), np.linalg.inv(inner)
        sd = np.sqrt(covariance.diagonal())
        assert np.abs((drawn[:, t].mean(axis=0) - mean) / sd).max() < 0.04
        assert drawn[:, t].std(axis=0) == pytest.approx(sd, rel=0.04)
        exact += 0.5 * mean @ linear[t] - 0.5 * np.linalg.slogdet(inner)[1]
        exact -= 0.5 * np.log(variance).sum()
    assert log_evidence == pytest.approx(exact)


def test_stretched_loadings() -> None:
    _, loadings, _ = case()
    more = loadings.stretched(np.array([2.0, 0.5]))
    assert more.squares == pytest.approx(loadings.squares * [4.0, 0.25])
    assert more.entropy == pytest.approx(loadings.entropy)
