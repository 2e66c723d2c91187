"""Principal functions at rows: what they keep, what they say of the prior, and what is put back."""

import numpy as np
import pytest

from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.projected import ProjectedBasis, project, with_untold
from bayesmtl.gp.weight_space import HilbertBasis
from bayesmtl.numerics.kernels import KERNELS

LENGTHSCALE = np.array([0.5, 0.8])


def _projected(kernel: str = "matern52", *, most: int = 200, n_rows: int = 300) -> ProjectedBasis:
    """At the rows of three tasks."""
    inputs = np.random.default_rng(0).uniform(-1.0, 1.0, (n_rows, 2))
    fine = HilbertBasis(kernel, (16, 14), (1.8, 2.2))
    gram = fine.sums(inputs, np.zeros(n_rows))[0] / 3.0
    return project(fine, gram, LENGTHSCALE, 0.01, most)[0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_variances_are_those_of_the_fine_basis_to_first_order(kernel: str) -> None:
    basis = _projected(kernel)
    fine = basis.fine.log_variance(LENGTHSCALE)
    squares = basis.mixing.T**2 * np.exp(basis.log_variance(LENGTHSCALE))[:, None]
    shares = squares / np.exp(fine)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(
        basis.log_variance_slopes(LENGTHSCALE),
        shares @ basis.fine.log_variance_slopes(LENGTHSCALE),
        atol=1e-9,
    )


def test_what_is_left_out_does_not_matter_at_the_rows() -> None:
    basis, inputs = _projected(), np.random.default_rng(1).uniform(-1.0, 1.0, (50, 2))
    found, fine = (
        (own.columns(inputs) * np.exp(own.log_variance(LENGTHSCALE))) @ own.columns(inputs).T
        for own in (basis, basis.fine)
    )
    assert basis.size < basis.fine.size
    assert np.abs(found - fine).max() < 0.01 * np.diag(fine).max()


def test_functions_are_independent_at_the_rows_and_the_first_are_told_best() -> None:
    basis, few = _projected(), _projected(most=20)
    inputs = np.random.default_rng(0).uniform(-1.0, 1.0, (300, 2))
    gram = basis.sums(inputs, np.ones(300))[0] * np.exp(
        0.5 * np.add.outer(*[basis.log_variance(LENGTHSCALE)] * 2)
    )
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-8)
    assert (np.diff(np.diag(gram)) < 1e-9).all()
    np.testing.assert_allclose(few.mixing, basis.mixing[:, :20])


def test_weights_that_rows_tell_nothing_of_get_their_prior() -> None:
    basis, draws = _projected(most=20), 4000
    rng = np.random.default_rng(2)
    covariance = np.array([[1.0, -0.6], [-0.6, 2.0]])
    own = np.linalg.cholesky(covariance) @ rng.normal(size=(draws, 2, basis.size))
    own *= np.exp(0.5 * basis.log_variance(LENGTHSCALE))
    sampled = FunctionDraws(
        covariance=np.broadcast_to(covariance, (draws, 1, 2, 2)),
        lengthscale=np.broadcast_to(LENGTHSCALE, (draws, 1, 2)),
        noise=None,
        weights=own,
        level=None,
        parameters=None,
        lp=np.zeros(draws),
    )
    weights = with_untold(sampled, basis, rng).weights
    assert weights is not None
    inputs = rng.uniform(-1.0, 1.0, (6, 2))
    values = weights @ basis.fine.columns(inputs).T
    # What was drawn stays, whatever is added.
    at_rows = weights @ _coordinates(basis).T
    np.testing.assert_allclose(at_rows, own, atol=1e-8)
    prior = basis.fine.columns(inputs) * np.exp(0.5 * basis.fine.log_variance(LENGTHSCALE))
    expected = np.kron(covariance, prior @ prior.T)
    found = np.cov(values.reshape(draws, -1).T)
    np.testing.assert_allclose(found, expected, atol=6.0 * 2.0 * np.sqrt(2.0 / draws))


def _coordinates(basis: ProjectedBasis) -> np.ndarray:
    """Weights of the projected basis from those of the fine one, by weighted least squares."""
    precision = np.exp(-basis.fine.log_variance(LENGTHSCALE))
    inner = basis.mixing.T * precision
    return np.asarray(np.linalg.solve(inner @ basis.mixing, inner))
