"""Log marginal likelihoods: against the dense normal density, each other, and differences."""

import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from bayesmtl.gp.dense import DenseMarginal, row_covariance
from bayesmtl.gp.hyperparameters import LOW_RANK, Hyper, HyperPrior
from bayesmtl.gp.kronecker import KroneckerMarginal
from bayesmtl.gp.problem import FunctionRows, Marginal, complete_design
from bayesmtl.gp.weight_space import (
    HilbertBasis,
    NystroemBasis,
    WeightMarginal,
    basis_sites,
)
from bayesmtl.numerics.kernels import KERNELS
from tests.gp.cases import function_rows, hyper_prior


def values(prior: HyperPrior, seed: int = 1) -> tuple[np.ndarray, Hyper]:
    vector = prior.start(np.random.default_rng(seed))
    return vector, prior.values(vector)


def log_density(rows: FunctionRows, covariance: np.ndarray) -> float:
    return float(stats.multivariate_normal(cov=covariance).logpdf(rows.response))


def check_gradient(prior: HyperPrior, target: Marginal, seed: int = 1) -> None:
    vector, hyper = values(prior, seed)
    _, gradient = target(hyper)
    pulled = prior.pull_back(vector, hyper, gradient)
    steps = 1e-6 * np.eye(prior.size)
    numeric = [
        (target(prior.values(vector + step))[0] - target(prior.values(vector - step))[0]) / 2e-6
        for step in steps
    ]
    np.testing.assert_allclose(pulled, numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_dense_is_the_normal_density(kernel: str) -> None:
    rows, prior = function_rows(3, 7, 2), hyper_prior(3, 2, kind=LOW_RANK, rank=1, components=2)
    _, hyper = values(prior)
    pair = (rows.inputs, rows.task)
    covariance = row_covariance(kernel, hyper, pair, pair, rows.level_sd)
    covariance += np.diag(hyper.noise[rows.task] ** 2)
    target = DenseMarginal(rows, kernel)
    assert target(hyper)[0] == pytest.approx(log_density(rows, covariance), rel=1e-12)
    check_gradient(prior, target)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("levels", [True, False])
def test_complete_designs_agree_with_the_dense_density(kernel: str, levels: bool) -> None:
    rows, prior = function_rows(3, 8, 2, same=True), hyper_prior(3, 2)
    if not levels:
        rows = rows._replace(level_sd=np.zeros(3))
    _, hyper = values(prior)
    target = KroneckerMarginal(rows, kernel)
    value, gradient = target(hyper)
    dense, of_dense = DenseMarginal(rows, kernel)(hyper)
    assert value == pytest.approx(dense, rel=1e-12)
    for one, other in zip(gradient, of_dense, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)
    check_gradient(prior, target)


def test_complete_designs_are_recognised_in_any_order() -> None:
    rows = function_rows(3, 6, 2, same=True)
    shuffled = np.concatenate([6 * t + np.random.default_rng(t).permutation(6) for t in range(3)])
    mixed = rows._replace(inputs=rows.inputs[shuffled], response=rows.response[shuffled])
    (first, one), (second, other) = complete_design(rows), complete_design(mixed)  # type: ignore[misc]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one, other)
    moved = rows.inputs.copy()
    moved[0] += 1e-9
    assert complete_design(rows._replace(inputs=moved)) is None
    fewer = rows._replace(inputs=rows.inputs[1:], task=rows.task[1:], response=rows.response[1:])
    assert complete_design(fewer) is None
    twice = rows.inputs.copy()
    twice[[1, 7, 13]] = twice[[0, 6, 12]]
    assert complete_design(rows._replace(inputs=twice)) is None


@pytest.mark.parametrize("kernel", KERNELS)
def test_weight_space_is_the_density_of_its_basis(kernel: str) -> None:
    rows, prior = function_rows(3, 9, 2), hyper_prior(3, 2)
    _, hyper = values(prior)
    basis = HilbertBasis(kernel, (5, 4), (1.5, 1.8))
    columns = basis.columns(rows.inputs) * np.exp(0.5 * basis.log_variance(hyper.lengthscale[0]))
    same = rows.task[:, None] == rows.task
    covariance = hyper.covariance[0][rows.task[:, None], rows.task] * (columns @ columns.T)
    covariance += same * rows.level_sd[rows.task] ** 2 + np.diag(hyper.noise[rows.task] ** 2)
    target = WeightMarginal(basis_sites(rows, basis), basis)
    assert target(hyper)[0] == pytest.approx(log_density(rows, covariance), rel=1e-11)
    check_gradient(prior, target)


@pytest.mark.parametrize(
    ("kernel", "slack"), [("matern32", 0.6), ("matern52", 0.06), ("rbf", 1e-5)]
)
def test_weight_space_comes_near_the_exact_density(kernel: str, slack: float) -> None:
    rows, prior = function_rows(3, 25), hyper_prior(3)
    _, hyper = values(prior)
    basis = HilbertBasis(kernel, (60,), (4.0,))
    found, gradient = WeightMarginal(basis_sites(rows, basis), basis)(hyper)
    exact, of_exact = DenseMarginal(rows, kernel)(hyper)
    assert found == pytest.approx(exact, abs=slack)
    np.testing.assert_allclose(gradient.noise, of_exact.noise, atol=20.0 * slack)


def test_independent_tasks_are_single_processes() -> None:
    """B = I is one process a task, as scikit-learn has it, at fixed hyperparameters."""
    rows = function_rows(3, 15, 2)._replace(level_sd=np.zeros(3))
    lengthscale, noise = np.array([0.4, 0.9]), np.array([0.2, 0.5, 0.8])
    hyper = Hyper(np.eye(3)[None], np.eye(3)[None], lengthscale[None], noise)
    expected = 0.0
    for t in range(3):
        mine = rows.task == t
        kernel = Matern(lengthscale, nu=2.5) + WhiteKernel(noise[t] ** 2)
        process = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0)
        process.fit(rows.inputs[mine], rows.response[mine])
        expected += process.log_marginal_likelihood_value_
    assert DenseMarginal(rows, "matern52")(hyper)[0] == pytest.approx(expected, rel=1e-10)


def test_tasks_without_rows_change_nothing() -> None:
    rows, prior = function_rows(3, 6), hyper_prior(3)
    some = rows._replace(inputs=rows.inputs[6:], task=rows.task[6:], response=rows.response[6:])
    _, hyper = values(prior)
    value, gradient = DenseMarginal(some, "rbf")(hyper)
    pair = (some.inputs, some.task)
    covariance = row_covariance("rbf", hyper, pair, pair, some.level_sd)
    covariance += np.diag(hyper.noise[some.task] ** 2)
    assert value == pytest.approx(log_density(some, covariance), rel=1e-12)
    assert (gradient.covariance[0, 0] == 0.0).all()
    basis = HilbertBasis("rbf", (10,), (2.0,))
    check_gradient(prior, WeightMarginal(basis_sites(some, basis), basis))


def test_basis_of_rows_is_exact_at_the_rows_it_is_made_of() -> None:
    rows, prior = function_rows(2, 10, 4), hyper_prior(2, 4)
    _, hyper = values(prior)
    basis = NystroemBasis("matern32", np.unique(rows.inputs, axis=0), hyper.lengthscale[0])
    found, _ = WeightMarginal(basis_sites(rows, basis), basis)(hyper)
    assert found == pytest.approx(DenseMarginal(rows, "matern32")(hyper)[0], abs=1e-5)
