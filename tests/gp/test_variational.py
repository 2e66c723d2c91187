"""Sparse variational Gaussian processes: against dense algebra and against GPyTorch."""

import warnings
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.gp.expected import expected_log_likelihood
from bayesmtl.gp.inducing import choose_inducing
from bayesmtl.gp.variational import (
    SparseFit,
    SparseSettings,
    SparseStart,
    draw_latent,
    fit_sparse,
    sparse_predict,
)
from bayesmtl.numerics.kernels import KERNELS, kernel_matrix

FIXED = SparseSettings(epochs=0, device="cpu")


class Data(NamedTuple):
    inputs: np.ndarray
    task: np.ndarray
    response: np.ndarray


def simulate(n: int, loadings: np.ndarray, seed: int = 1, noise: float = 0.2) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3.0, 3.0, (n, 2))
    task = rng.integers(0, len(loadings), n)
    kernel = kernel_matrix("matern52", x, x, np.array([1.0, 2.0])) + 1e-9 * np.eye(n)
    g = np.linalg.cholesky(kernel) @ rng.normal(size=(n, loadings.shape[1]))
    f = (g * loadings[task]).sum(axis=1) + 0.5 * task
    return Data(x, task, f + noise * rng.normal(size=n))


def at(data: Data, loadings: np.ndarray, inducing: np.ndarray) -> SparseStart:
    n_tasks = len(loadings)
    return SparseStart(
        inducing=inducing,
        lengthscale=np.array([[1.0, 2.0]]),
        loadings=loadings,
        noise_sd=np.linspace(0.2, 0.4, n_tasks),
        intercept=0.5 * np.arange(n_tasks),
    )


def fixed(data: Data, start: SparseStart, **options: Any) -> SparseFit:
    return fit_sparse(
        *data,
        len(start.loadings),
        rng=np.random.default_rng(1),
        rank=start.loadings.shape[1],
        start=start,
        settings=options.pop("settings", FIXED),
        progressbar=False,
        **options,
    )


def dense(data: Data, start: SparseStart) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior mean and variance of f, and the log marginal likelihood."""
    shared = start.loadings @ start.loadings.T
    prior = shared[np.ix_(data.task, data.task)] * kernel_matrix(
        "matern52", data.inputs, data.inputs, start.lengthscale[0]
    )
    total = prior + np.diag(start.noise_sd[data.task] ** 2)
    mean = start.intercept[data.task]
    gain = np.linalg.solve(total, prior)
    variance = np.diag(prior) - (prior * gain).sum(axis=0)
    evidence = multivariate_normal(mean, total).logpdf(data.response)
    return mean + gain.T @ (data.response - mean), variance, float(evidence)


ONE = np.array([[1.0], [-0.8], [0.5]])


def test_inducing_points_at_the_data_give_the_exact_posterior() -> None:
    data = simulate(50, ONE)
    start = at(data, ONE, data.inputs)
    fit = fixed(data, start)
    mean, variance, evidence = dense(data, start)
    assert fit.elbo == pytest.approx(evidence, abs=5e-3)
    found_mean, found_variance = sparse_predict(fit, data.inputs, data.task)
    np.testing.assert_allclose(found_mean, mean, atol=1e-4)
    np.testing.assert_allclose(found_variance, variance, atol=1e-4)


def test_few_inducing_points_bound_the_evidence_from_below() -> None:
    data = simulate(50, ONE)
    evidence = dense(data, at(data, ONE, data.inputs))[2]
    bounds = [fixed(data, at(data, ONE, data.inputs[:m])).elbo for m in (10, 25, 40)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < evidence - 0.1


def test_orthogonal_loadings_on_shared_inputs_are_exact_in_rank_two() -> None:
    # With equal noise and all tasks at all inputs the latent functions stay independent.
    loadings = np.array([[1.0, 0.5], [-0.5, 1.0]])
    x = np.random.default_rng(2).uniform(-3.0, 3.0, (20, 2))
    data = Data(np.repeat(x, 2, axis=0), np.tile([0, 1], 20), simulate(40, loadings).response)
    start = at(data, loadings, x)._replace(noise_sd=np.array([0.3, 0.3]))
    mean, variance, evidence = dense(data, start)
    fit = fixed(data, start)
    assert fit.elbo == pytest.approx(evidence, abs=5e-3)
    found_mean, found_variance = sparse_predict(fit, *data[:2])
    np.testing.assert_allclose(found_mean, mean, atol=1e-3)
    np.testing.assert_allclose(found_variance, variance, atol=1e-4)


def test_latent_functions_of_one_kernel_are_turned_apart() -> None:
    # As given, the two are nearly the same function, and q(v) would have to couple them.
    loadings = np.array([[1.0, 0.9], [0.9, 1.0], [0.5, 0.6]])
    data = simulate(60, loadings)
    start = at(data, loadings, data.inputs)
    fit = fixed(data, start)
    np.testing.assert_allclose(fit.loadings @ fit.loadings.T, loadings @ loadings.T, rtol=1e-10)
    mean, variance, evidence = dense(data, start)
    assert evidence - 2.0 < fit.elbo < evidence
    found_mean, found_variance = sparse_predict(fit, *data[:2])
    np.testing.assert_allclose(found_mean, mean, atol=0.01)
    assert np.sqrt(found_variance / variance).mean() == pytest.approx(1.0, abs=0.1)


def test_independent_latent_functions_bound_the_evidence_of_coupled_ones() -> None:
    loadings = np.array([[1.0, 0.5], [0.8, 0.7]])
    data = simulate(40, loadings)
    start = at(data, loadings, data.inputs)
    assert fixed(data, start).elbo < dense(data, start)[2] - 0.1


@pytest.mark.parametrize("size", [7, 50])
def test_batches_give_the_bound_of_all_rows(size: int) -> None:
    data = simulate(50, ONE)
    start = at(data, ONE, data.inputs[:20])
    settings = SparseSettings(epochs=0, batch_size=size, device="cpu")
    assert fixed(data, start, settings=settings).elbo == pytest.approx(
        fixed(data, start).elbo, rel=1e-10
    )


def gpytorch_moments(fit: SparseFit, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The same approximation as a model of GPyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations
        import gpytorch
        from gpytorch import kernels
        from gpytorch import variational as parts

        n_latents, size = fit.mean.shape
        batch = torch.Size([n_latents])

        class Latent(gpytorch.models.ApproximateGP):  # type: ignore[misc]
            def __init__(self) -> None:
                q = parts.CholeskyVariationalDistribution(size, batch_shape=batch)
                points = torch.tensor(fit.inducing).expand(n_latents, -1, -1)
                base = parts.VariationalStrategy(self, points, q)
                super().__init__(parts.LMCVariationalStrategy(base, len(fit.loadings), n_latents))
                self.mean_module = gpytorch.means.ZeroMean(batch_shape=batch)
                self.covar_module = kernels.MaternKernel(nu=2.5, ard_num_dims=2, batch_shape=batch)

            def forward(self, x: Any) -> Any:
                return gpytorch.distributions.MultivariateNormal(
                    self.mean_module(x), self.covar_module(x)
                )

        model = Latent().double()
        model.covar_module.lengthscale = torch.tensor(fit.lengthscale[:, None])
        strategy = model.variational_strategy
        strategy.base_variational_strategy.variational_params_initialized.fill_(1)
        with torch.no_grad():
            q = strategy.base_variational_strategy._variational_distribution
            q.variational_mean.copy_(torch.tensor(fit.mean))
            q.chol_variational_covar.copy_(torch.tensor(fit.root))
            strategy.lmc_coefficients.copy_(torch.tensor(fit.loadings.T))
            model.eval()
            found = model(torch.tensor(data.inputs), task_indices=torch.tensor(data.task))
            mean, variance = found.mean.numpy(), found.variance.numpy()
    return mean + fit.intercept[data.task], variance


@pytest.mark.parametrize("coregionalization", ["icm", "lmc"])
def test_predictions_are_those_of_gpytorch(coregionalization: str) -> None:
    loadings = np.array([[1.0, 0.5], [0.8, -0.7], [0.2, 0.4]])
    data = simulate(60, loadings)
    settings = SparseSettings(n_inducing=15, epochs=40, device="cpu")
    fit = fit_sparse(
        *data,
        3,
        rng=np.random.default_rng(1),
        rank=2,
        coregionalization=coregionalization,
        settings=settings,
        progressbar=False,
    )
    same = np.array_equal(fit.lengthscale[0], fit.lengthscale[1])
    assert same == (coregionalization == "icm")
    mean, variance = sparse_predict(fit, data.inputs, data.task)
    peer_mean, peer_variance = gpytorch_moments(fit, data)
    np.testing.assert_allclose(mean, peer_mean, atol=1e-6)
    np.testing.assert_allclose(variance, peer_variance, atol=1e-5)


def test_joint_draws_have_the_moments_of_the_prediction() -> None:
    data = simulate(30, ONE)
    start = at(data, ONE, data.inputs[:8])
    fit = fixed(data, start)
    mean, variance = sparse_predict(fit, data.inputs, data.task)
    # Another task at the same inputs: one latent function, so correlation minus one.
    other = np.where(data.task == 1, 0, 1)
    both = np.concatenate([data.inputs, data.inputs])
    draws = draw_latent(
        fit, both, np.concatenate([data.task, other]), 4000, np.random.default_rng(3)
    )
    np.testing.assert_allclose(draws[:, :30].mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(draws[:, :30].var(axis=0), variance, rtol=0.15, atol=1e-3)
    sign = np.sign(ONE[data.task, 0] * ONE[other, 0])
    for i in range(30):
        assert np.corrcoef(draws[:, i], draws[:, 30 + i])[0, 1] == pytest.approx(sign[i])


def test_blocks_of_draws_cover_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesmtl.gp.sparse_predict._BLOCK", 7)
    monkeypatch.setattr("bayesmtl.gp.sparse_predict._CHUNK", 7)
    data = simulate(30, ONE)
    fit = fixed(data, at(data, ONE, data.inputs[:8]))
    mean, variance = sparse_predict(fit, data.inputs, data.task)
    draws = draw_latent(fit, data.inputs, data.task, 2000, np.random.default_rng(3))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.2, atol=1e-3)


def test_a_negative_correlation_is_recovered() -> None:
    data = simulate(300, np.array([[1.0], [-0.9]]), noise=0.1)
    settings = SparseSettings(n_inducing=80, batch_size=100, device="cpu")
    fit = fit_sparse(*data, 2, rng=np.random.default_rng(1), settings=settings, progressbar=False)
    covariance = fit.loadings @ fit.loadings.T
    assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) < -0.9
    np.testing.assert_allclose(fit.noise_sd, 0.1, rtol=0.4)
    mean, _ = sparse_predict(fit, data.inputs, data.task)
    assert np.mean((mean - data.response) ** 2) < 0.15**2
    assert not fit.interrupted


@pytest.mark.parametrize(
    ("likelihood", "kernel"),
    [*product(["poisson"], KERNELS), *product(["gaussian", "bernoulli", "student_t"], ["rbf"])],
)
def test_every_likelihood_and_kernel_runs(likelihood: str, kernel: str) -> None:
    data = simulate(80, ONE)
    rng = np.random.default_rng(4)
    response = {
        "gaussian": data.response,
        "bernoulli": 1.0 * (data.response > 0.5),
        "poisson": 1.0 * rng.poisson(np.exp(2.0 * data.response)),
        "student_t": data.response + 0.1 * rng.standard_t(2, 80),
    }[likelihood]
    settings = SparseSettings(n_inducing=10, epochs=40, batch_size=50, device="cpu")
    fit = fit_sparse(
        *data[:2],
        response,
        3,
        rng=rng,
        rank=1,
        kernel=kernel,
        likelihood=likelihood,
        offset=np.full(80, 0.1),
        settings=settings,
        progressbar=False,
    )
    assert np.isfinite(fit.elbo)
    assert fit.elbo > fit.elbo_trace[0]
    assert all(np.isfinite(part).all() for part in sparse_predict(fit, *data[:2]))
    assert np.isfinite(fit.noise_sd).all() == (likelihood in ("gaussian", "student_t"))
    assert np.isfinite(fit.degrees_of_freedom) == (likelihood == "student_t")


def test_expected_log_likelihoods_agree_with_simulation() -> None:
    rng = np.random.default_rng(5)
    mean, variance = torch.tensor([0.3, -1.0]), torch.tensor([0.5, 0.2])
    noise, df = torch.tensor([0.7, 0.4]), torch.tensor(3.0)
    f = mean.numpy() + np.sqrt(variance.numpy()) * rng.normal(size=(200_000, 2))
    from scipy import stats

    scale = noise.numpy()
    cases: dict[str, tuple[list[float], Any]] = {
        "gaussian": ([0.5, -0.2], lambda y: stats.norm(f, scale).logpdf(y)),
        "poisson": ([2.0, 0.0], lambda y: stats.poisson(np.exp(f)).logpmf(y)),
        "bernoulli": ([1.0, 0.0], lambda y: stats.bernoulli(1 / (1 + np.exp(-f))).logpmf(y)),
        "student_t": ([0.5, -0.2], lambda y: stats.t(3.0, f, scale).logpdf(y)),
    }
    for name, (response, density) in cases.items():
        found = expected_log_likelihood(name, torch.tensor(response), mean, variance, noise, df)
        np.testing.assert_allclose(
            found.numpy(), density(np.array(response)).mean(axis=0), atol=0.02
        )


def test_the_same_generator_gives_the_same_fit() -> None:
    data = simulate(40, ONE)
    settings = SparseSettings(n_inducing=10, epochs=5, batch_size=15, device="cpu")
    first, second = (
        fit_sparse(*data, 3, rng=np.random.default_rng(7), settings=settings, progressbar=False)
        for _ in range(2)
    )
    assert first.elbo == second.elbo
    assert np.array_equal(first.mean, second.mean)


def test_ctrl_c_keeps_what_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmtl.gp import sparse_train

    done = []

    def stop(*_: Any) -> float:
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt
        return float(len(done))

    monkeypatch.setattr(sparse_train.Trainer, "step", stop)
    data = simulate(30, ONE)
    fit = fit_sparse(*data, 3, rng=np.random.default_rng(7), progressbar=False)
    assert fit.interrupted
    assert len(fit.elbo_trace) == 2
    assert np.isfinite(fit.elbo)


def test_inducing_points_are_distinct_inputs_or_centres() -> None:
    rng = np.random.default_rng(8)
    x = rng.integers(0, 3, (100, 2)).astype(float)
    assert len(choose_inducing(x, 20, rng)) == 9
    spots = np.repeat(rng.normal(size=(5, 2)) * 10, 20, axis=0) + 0.01 * rng.normal(size=(100, 2))
    centers = choose_inducing(spots, 30, rng)
    assert centers.shape == (30, 2)
    assert np.abs(centers[:, None] - spots[None]).max(axis=2).min(axis=1).max() < 0.1


def test_large_data_are_sampled_for_the_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesmtl.gp.inducing._SAMPLE", 50)
    rng = np.random.default_rng(9)
    assert choose_inducing(rng.normal(size=(200, 3)), 10, rng).shape == (10, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": "cubic"}, "kernel must be one of 'matern12'"),
        ({"coregionalization": "free"}, "coregionalization must be one of 'icm', 'lmc'"),
        ({"likelihood": "beta"}, "likelihood must be one of 'gaussian'"),
        ({"rank": 0}, "rank must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_choices_are_refused(change: dict[str, Any], message: str) -> None:
    data = simulate(10, ONE)
    with pytest.raises(InvalidModelError, match=message):
        fit_sparse(*data, 3, rng=np.random.default_rng(1), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_inducing": 0}, "n_inducing must be an integer of at least 1, got 0"),
        ({"epochs": 2.5}, "epochs must be an integer of at least 0, got 2.5"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0.0"),
        ({"natural_rate": 1.5}, "natural_rate must be at most 1, got 1.5"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        SparseSettings(**change)


@pytest.mark.usefixtures("no_torch")
def test_without_torch_the_message_says_what_to_install() -> None:
    data = simulate(10, ONE)
    with pytest.raises(UnsupportedError, match=r"needs PyTorch.*pip install 'bayesmtl\[gp\]'"):
        fit_sparse(*data, 3, rng=np.random.default_rng(1))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data, settings = simulate(10, ONE), SparseSettings(device="cuda")
    with pytest.raises(UnsupportedError, match="device='cuda' needs a GPU"):
        fit_sparse(*data, 3, rng=np.random.default_rng(1), settings=settings)
