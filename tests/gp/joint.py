"""Exact draws of functions in a basis, and what joint-distribution tests compare of them."""

import numpy as np

from bayesmtl.data import Rows
from bayesmtl.design import Design
from bayesmtl.gp.data import FunctionProblem, Units
from bayesmtl.gp.weight_space import HilbertBasis
from tests.gp.cases import LENGTH, NOISE, draw_covariance, function_rows, hyper_prior

__all__ = ["BASIS", "CYCLES", "N_ROWS", "N_TASKS", "World", "function_problem", "statistics"]

N_TASKS, N_ROWS, CYCLES = 2, 6, 4
BASIS = HilbertBasis("matern52", (4,), (1.6,))


def function_problem(
    level: float, noise_units: float, n_tasks: int = N_TASKS, n_rows: int = N_ROWS
) -> FunctionProblem:
    rows = function_rows(n_tasks, n_rows)._replace(level_sd=np.full(n_tasks, level))
    n = len(rows.task)
    tasks = np.array(list("abc")[:n_tasks], dtype=object)
    table = Rows(rows.inputs, rows.response, rows.task, tasks, np.arange(n), {}, 0)
    units = Units(np.zeros(1), np.ones(1), np.zeros(n_tasks), np.ones(n_tasks))
    design = Design("y ~ x", "y", ("x",), True, {"levels": {}, "state": {}})
    prior = hyper_prior(n_tasks, noise_units=noise_units)
    return FunctionProblem(
        table, rows, np.arange(n), units, prior, ("x",), design, "matern52", None
    )


class World:
    """Exact draws, one chain each."""

    def __init__(
        self,
        functions: FunctionProblem,
        n: int,
        rng: np.random.Generator,
        basis: HilbertBasis = BASIS,
    ) -> None:
        unit, n_tasks = functions.prior.noise_unit, functions.rows.n_tasks
        self.covariance = np.array([draw_covariance(n_tasks, rng) for _ in range(n)])
        self.logs = np.log(LENGTH.sample(n, rng))
        self.log_noise = np.log(NOISE.sample((n, n_tasks), rng) / unit)
        normal = rng.normal(size=(n, n_tasks, basis.size))
        variance = np.array([basis.log_variance(np.exp([x])) for x in self.logs])
        self.weights = (
            np.linalg.cholesky(self.covariance) @ normal * np.exp(0.5 * variance[:, None])
        )
        self.level = functions.rows.level_sd * rng.normal(size=(n, n_tasks))

    def statistics(self) -> dict[str, np.ndarray]:
        return statistics(self.covariance, self.logs, self.log_noise, self.weights, self.level)


def statistics(
    covariance: np.ndarray,
    logs: np.ndarray,
    log_noise: np.ndarray,
    weights: np.ndarray,
    level: np.ndarray,
) -> dict[str, np.ndarray]:
    """Bounded where tails are heavy."""
    sd = np.sqrt(np.einsum("ntt->nt", covariance))
    correlation = covariance[:, 0, 1] / (sd[:, 0] * sd[:, 1])
    return {
        "correlation": correlation,
        "correlation^2": correlation**2,
        "log sd": np.log(sd[:, 0]),
        "log sd b": np.log(sd[:, 1]),
        "log sd^2": np.log(sd[:, 0]) ** 2,
        "length": logs,
        "length^2": logs**2,
        "noise": log_noise[:, 0],
        "noise b^2": log_noise[:, 1] ** 2,
        "weight": np.arctan(weights[:, 0, 0]),
        "weight size": np.arctan(np.abs(weights[:, 1, 2])),
        "weights": np.arctan(weights[:, 0, 1] * weights[:, 1, 1]),
        "length x sd": logs * np.log(sd[:, 0]),
        "noise x weight": log_noise[:, 0] * np.arctan(np.abs(weights[:, 0, 0])),
        **({} if not level.any() else {"level": level[:, 0], "level^2": level[:, 1] ** 2}),
    }
