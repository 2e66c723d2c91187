"""A sparse linear model of coregionalization, trained as the manual of GPyTorch does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["BY_HAND", "STRATEGY", "epoch_of"]

STRATEGY = "LMCVariationalStrategy"
BY_HAND = "VariationalStrategy, variances combined by hand"


def epoch_of(
    inputs: np.ndarray,
    task: np.ndarray,
    response: np.ndarray,
    inducing: np.ndarray,
    *,
    n_latents: int,
    own_kernels: bool,
    batch_size: int,
    how: str,
) -> Callable[[], None]:
    """One epoch of Adam in float64: Gaussian, a noise for each task, inducing points that move.

    With `BY_HAND` only the variances of the latent functions are computed, where `STRATEGY` makes
    the covariance matrix of the rows of a batch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations
        import gpytorch
    import torch

    parts, n_tasks, size = gpytorch.variational, int(task.max()) + 1, len(inducing)
    latents = torch.Size([n_latents])
    of_kernels = latents if own_kernels else torch.Size([])

    class Latent(gpytorch.models.ApproximateGP):  # type: ignore[misc]
        def __init__(self) -> None:
            points = torch.tensor(inducing).expand(*of_kernels, *inducing.shape).clone()
            q = parts.CholeskyVariationalDistribution(size, batch_shape=latents)
            base = parts.VariationalStrategy(self, points, q)
            super().__init__(parts.LMCVariationalStrategy(base, n_tasks, n_latents))
            self.mean_module = gpytorch.means.ZeroMean(batch_shape=latents)
            self.covar_module = gpytorch.kernels.MaternKernel(
                nu=2.5, ard_num_dims=inputs.shape[1], batch_shape=of_kernels
            )

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    model = Latent().double().train()
    strategy = model.variational_strategy
    log_noise, intercept = (torch.zeros(n_tasks, dtype=torch.float64) for _ in range(2))
    trained = [*model.parameters(), log_noise.requires_grad_(), intercept.requires_grad_()]
    adam = torch.optim.Adam(trained, lr=0.01)
    x, t, y = (torch.tensor(value) for value in (inputs, task, response))

    def moments(rows: Any) -> tuple[Any, Any]:
        if how == STRATEGY:
            found = model(x[rows], task_indices=t[rows])
            return found.mean, found.variance
        found = strategy.base_variational_strategy(x[rows], diag=True)
        loadings = strategy.lmc_coefficients[:, t[rows]]
        return (loadings * found.mean).sum(0), (loadings**2 * found.variance).sum(0)

    def epoch() -> None:
        order = torch.randperm(len(y))
        for rows in (order[i : i + batch_size] for i in range(0, len(y), batch_size)):
            adam.zero_grad()
            mean, variance = moments(rows)
            square = (y[rows] - mean - intercept[t[rows]]) ** 2 + variance
            terms = -0.5 * square / (2.0 * log_noise[t[rows]]).exp() - log_noise[t[rows]]
            bound = len(y) / len(rows) * terms.sum() - strategy.kl_divergence().sum()
            (-bound).backward()
            adam.step()

    return epoch
