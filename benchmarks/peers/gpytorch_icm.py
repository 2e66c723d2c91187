"""Intrinsic coregionalization by maximum likelihood, with the kernels of GPyTorch."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

__all__ = ["IcmMoments", "fit_icm"]

_JITTER = 1e-8
_SMOOTHNESS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}


class IcmMoments(NamedTuple):
    """Mean and sd of the response of new rows, and the log likelihood that was reached."""

    mean: np.ndarray
    sd: np.ndarray
    log_likelihood: float


def fit_icm(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    new: tuple[np.ndarray, np.ndarray],
    *,
    kernel: str,
    starts: int,
    iterations: int,
    seed: int,
) -> IcmMoments:
    """Point estimates by L-BFGS in float64, the best of so many starts, and what they predict.

    ``B = W W' + diag(v)`` is that of `IndexKernel` with a full W of either sign; each task has a
    constant mean and a noise of its own. Inputs and the response of each task are standardised.

    Parameters
    ----------
    rows : (n, input), (n,), (n,)
        Inputs, codes of tasks and response.
    new : (m, input), (m,)
    kernel : {"matern12", "matern32", "matern52"}
    starts, iterations, seed : int
    """
    import torch

    x, task, y = rows
    center, scale = x.mean(axis=0), x.std(axis=0)
    n_tasks = int(task.max()) + 1
    level = np.array([y[task == t].mean() for t in range(n_tasks)])
    unit = np.array([y[task == t].std() for t in range(n_tasks)])
    known = torch.tensor((x - center) / scale), torch.tensor(task)
    wanted = torch.tensor((new[0] - center) / scale), torch.tensor(new[1])
    response = torch.tensor((y - level[task]) / unit[task])
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # As all else in the comparison; on a busy processor faster, too.
    try:
        found = max(
            (_Icm(kernel, known, response, seed + i).fit(iterations) for i in range(starts)),
            key=lambda one: one.value,
        )
    finally:
        torch.set_num_threads(before)
    mean, variance = found.predict(*wanted)
    of_task = new[1]
    value = found.value - float(np.log(unit)[task].sum())
    return IcmMoments(
        level[of_task] + unit[of_task] * mean, unit[of_task] * np.sqrt(variance), value
    )


class _Icm:
    """One start."""

    def __init__(self, kernel: str, known: tuple[Any, Any], response: Any, seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own deprecations
            import gpytorch
        import torch

        generator = torch.Generator().manual_seed(seed)
        n_tasks, self.value = int(known[1].max()) + 1, -math.inf
        self.known, self.response = known, response
        self.kernel = gpytorch.kernels.MaternKernel(
            nu=_SMOOTHNESS[kernel], ard_num_dims=known[0].shape[1]
        ).double()
        self.tasks = gpytorch.kernels.IndexKernel(num_tasks=n_tasks, rank=n_tasks).double()
        start = torch.eye(n_tasks) + 0.3 * torch.randn(n_tasks, n_tasks, generator=generator)
        self.tasks.initialize(
            covar_factor=start.double(), var=torch.full((n_tasks,), 0.1, dtype=torch.float64)
        )
        self.level, log_noise = (torch.zeros(n_tasks, dtype=torch.float64) for _ in range(2))
        self.level.requires_grad_()
        self.log_noise = (log_noise - 1.0).requires_grad_()

    def _covariance(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> Any:
        covariance = self.tasks.covar_factor @ self.tasks.covar_factor.mT + self.tasks.var.diag()
        between = covariance[left[1][:, None], right[1][None, :]]
        return between * self.kernel(left[0], right[0]).to_dense()

    def _factored(self) -> tuple[Any, Any]:
        """Cholesky factor of the covariance of the rows, and it against their residuals."""
        import torch

        task = self.known[1]
        noise = (2.0 * self.log_noise).exp()[task] + _JITTER
        lower = torch.linalg.cholesky(self._covariance(self.known, self.known) + noise.diag())
        residual = (self.response - self.level[task])[:, None]
        return lower, torch.linalg.solve_triangular(lower, residual, upper=False)[:, 0]

    def _log_likelihood(self) -> Any:
        lower, half = self._factored()
        constant = 0.5 * len(half) * math.log(2.0 * math.pi)
        return -0.5 * half @ half - lower.diagonal().log().sum() - constant

    def fit(self, iterations: int) -> _Icm:
        """Maximise."""
        import torch

        trained = [*self.kernel.parameters(), *self.tasks.parameters(), self.level, self.log_noise]
        search: Any = torch.optim.LBFGS(
            trained, max_iter=iterations, line_search_fn="strong_wolfe", tolerance_change=1e-7
        )

        def loss() -> Any:
            search.zero_grad()
            value = -self._log_likelihood()
            value.backward()
            return value

        search.step(loss)
        with torch.no_grad():
            self.value = float(self._log_likelihood())
        return self

    def predict(self, x: Any, task: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances of the response, internal units."""
        import torch

        with torch.no_grad():
            lower, half = self._factored()
            gain = torch.linalg.solve_triangular(
                lower, self._covariance(self.known, (x, task)), upper=False
            )
            prior = self._covariance((x, task), (x, task)).diagonal()
            variance = prior - (gain**2).sum(dim=0) + (2.0 * self.log_noise).exp()[task]
            return (gain.mT @ half + self.level[task]).numpy(), variance.numpy()
