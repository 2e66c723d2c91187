"""The log joint density of correlated tasks against SciPy."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayesmtl import Gaussian, LowRank, MatrixNormal, Model
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.relations.covariance.density import log_population
from bayesmtl.relations.covariance.simulate import simulate_deviations, simulate_tasks
from bayesmtl.relations.covariance.state import SPIKE, DenseTasks, FactorTasks
from bayesmtl.relations.exchangeable.state import initial_state
from tests.oracles.cases import regression

N_TASKS, D = 3, 2


def log_tasks(tasks: Any, *, common: bool) -> float:
    """Log prior density, up to a constant."""
    if isinstance(tasks, DenseTasks):
        inverse, sign = np.linalg.inv(tasks.covariance), np.linalg.slogdet(tasks.covariance)
        rate = 2.0 * np.diag(inverse) + 1.0
        power = 2.0 + 2.0 * N_TASKS
        return float(-0.5 * power * sign[1] - 0.5 * (2.0 + N_TASKS) * np.log(rate).sum())
    sd = np.sqrt(tasks.specific[:1] if common else tasks.specific)
    spike = 1.0 - np.cumprod(1.0 - tasks.sticks)
    slab = stats.invgamma.logpdf(tasks.variance[tasks.active], 2.0, scale=0.5)
    return float(
        stats.t.logpdf(sd, 3.0, scale=0.6).sum()
        + stats.norm.logpdf(tasks.loadings, 0.0, np.sqrt(tasks.variance)).sum()
        + np.log(np.where(tasks.active, 1.0 - spike, spike)).sum()
        + slab.sum()
        + stats.beta.logpdf(tasks.sticks, 1.0, 2.0).sum()
        + stats.norm.logpdf(tasks.factors).sum()
    )


def log_deviations(tasks: Any, deviation: np.ndarray) -> float:
    if isinstance(tasks, DenseTasks):
        rows = stats.multivariate_normal(np.zeros(N_TASKS), tasks.covariance)
        return float(rows.logpdf(deviation.T).sum())
    assert isinstance(tasks, FactorTasks)
    sd = np.sqrt(tasks.specific)[:, None]
    return float(stats.norm.logpdf(deviation, tasks.loadings @ tasks.factors, sd).sum())


@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("kind", ["full", "low_rank", "common"])
def test_differences_of_states_are_those_of_the_densities(kind: str) -> None:
    settings: dict[str, Any] = {"mean": 0.0, "scale": 0.7}
    relation = LowRank(**settings) if kind == "common" else MatrixNormal(kind, **settings)
    model = Model("y ~ 0 + x0 + x1", "task", relation, Gaussian(noise_sd=1.0))
    problem = model.prepare(regression(N_TASKS, 5, D)).problem
    assert problem.task_covariance is not None
    rng = np.random.default_rng(3)
    found, expected = [], []
    for _ in range(4):
        state = initial_state(problem.prior, rng)
        tasks, _ = simulate_tasks(problem.task_covariance, np.eye(D), rng)
        deviation = simulate_deviations(tasks, np.eye(D), rng)
        state.deviation[:] = pack_tasks(deviation)
        found.append(log_population(problem.prior, state, tasks, problem.task_covariance, 1.0))
        expected.append(
            log_tasks(tasks, common=kind == "common") + log_deviations(tasks, deviation)
        )
        if isinstance(tasks, FactorTasks):
            assert (tasks.variance[~tasks.active] == SPIKE).all()
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9, atol=1e-8)
