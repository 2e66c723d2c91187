"""The batched conditional of one task against dense algebra, draw by draw."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesmtl.posterior import conditional
from bayesmtl.posterior.conditional import (
    TaskPrior,
    conditional_draws,
    log_evidence,
    prior_draws,
    reduce_rows,
)


class Case(NamedTuple):
    prior: TaskPrior
    covariance: np.ndarray  # (sample, parameter, parameter)
    sigma: np.ndarray  # (sample,)
    design: np.ndarray  # (row, parameter)
    response: np.ndarray  # (row,)
    precision: np.ndarray  # (row,)


class Normals(np.random.Generator):
    """A generator whose normals are given."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(np.random.PCG64(0))
        self.values = values

    def standard_normal(self, shape: Any) -> Any:  # type: ignore[override]
        return np.broadcast_to(self.values, shape).copy()


def make_case(n_rows: int, correlated: bool, singular: bool) -> Case:
    rng = np.random.default_rng(n_rows)
    n_samples, n_parameters = 7, 3
    sd = rng.uniform(0.2, 2, (n_samples, n_parameters))
    if singular:
        sd[:, 1] = 0.0
    root = np.broadcast_to(np.eye(n_parameters), (n_samples, n_parameters, n_parameters))
    if correlated:
        basis = rng.normal(size=root.shape)
        covariance = basis @ basis.mT
        scale = np.sqrt(np.einsum("sii->si", covariance))
        root = np.linalg.cholesky(covariance / scale[:, :, None] / scale[:, None, :])
    factor = sd[:, :, None] * root
    return Case(
        prior=TaskPrior(
            rng.normal(size=(n_samples, n_parameters)), sd, root if correlated else None
        ),
        covariance=factor @ factor.mT,
        sigma=rng.uniform(0.5, 2, n_samples),
        design=rng.normal(size=(n_rows, n_parameters)),
        response=rng.normal(size=n_rows) + 2,
        precision=rng.uniform(0.3, 3, n_rows),
    )


CASES = [(n, c, s) for n in (1, 2, 3, 40) for c in (False, True) for s in (False, True)]


@pytest.mark.parametrize(("n_rows", "correlated", "singular"), CASES)
def test_evidence_mean_and_covariance_are_those_of_dense_algebra(
    monkeypatch: pytest.MonkeyPatch, n_rows: int, correlated: bool, singular: bool
) -> None:
    case = make_case(n_rows, correlated, singular)
    rows = reduce_rows(case.design, case.response, np.ones(n_rows), case.precision)
    monkeypatch.setattr(conditional, "BLOCK_BYTES", 8 * 9 * 2)  # two draws at a time
    samples = np.array([0, 0, 3, 6, 6])
    evidence = log_evidence(case.prior, rows, case.sigma)
    center, *columns = (
        conditional_draws(case.prior.take(samples), rows, case.sigma[samples], Normals(values))
        for values in [np.zeros(3), *np.eye(3)]
    )
    spread = np.stack([column - center for column in columns], axis=-1)
    for s in range(len(case.sigma)):
        mean, prior = case.prior.mean[s], case.covariance[s]
        marginal = case.design @ prior @ case.design.T
        marginal += case.sigma[s] ** 2 * np.diag(1 / case.precision)
        expected = multivariate_normal.logpdf(case.response, case.design @ mean, marginal)
        np.testing.assert_allclose(evidence[s], expected, rtol=1e-9)
        gain = np.linalg.solve(marginal, case.design @ prior).T
        for k in np.flatnonzero(samples == s):
            np.testing.assert_allclose(
                center[k], mean + gain @ (case.response - case.design @ mean), rtol=1e-9
            )
            np.testing.assert_allclose(
                spread[k] @ spread[k].T, prior - gain @ case.design @ prior, atol=1e-9
            )


def test_a_weighted_row_counts_as_that_many_rows() -> None:
    case = make_case(5, True, False)
    weight = np.array([1, 2, 3, 1, 4])
    rows = reduce_rows(case.design, case.response, weight.astype(float), case.precision)
    repeated = reduce_rows(
        np.repeat(case.design, weight, axis=0),
        np.repeat(case.response, weight),
        np.ones(weight.sum()),
        np.repeat(case.precision, weight),
    )
    np.testing.assert_allclose(
        log_evidence(case.prior, rows, case.sigma),
        log_evidence(case.prior, repeated, case.sigma),
        rtol=1e-9,
    )
    draws = [
        conditional_draws(case.prior, data, case.sigma, np.random.default_rng(0))
        for data in (rows, repeated)
    ]
    np.testing.assert_allclose(draws[0], draws[1], rtol=1e-9)


def test_rows_without_information_leave_the_prior() -> None:
    case = make_case(4, True, True)
    rows = reduce_rows(case.design, case.response, np.ones(4), np.full(4, 1e-16))
    draws = conditional_draws(case.prior, rows, case.sigma, np.random.default_rng(0))
    expected = prior_draws(case.prior, np.random.default_rng(0))
    np.testing.assert_allclose(draws, expected, rtol=1e-7)
    np.testing.assert_allclose(np.ptp(log_evidence(case.prior, rows, np.ones(7))), 0, atol=1e-9)


def test_prior_draws_are_root_times_normals() -> None:
    case = make_case(1, True, False)
    u = np.array([0.5, -1.0, 2.0])
    found = prior_draws(case.prior, Normals(u))
    expected = case.prior.mean + case.prior.sd * (case.prior.root @ u)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_many_rows_cost_memory_once() -> None:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(10_000, 3))
    rows = reduce_rows(design, rng.normal(size=10_000), np.ones(10_000), np.ones(10_000))
    assert rows.design.shape == (3, 3)
    assert rows.response.shape == (3,)
