"""Weights drawn again from structure and sites follow the conditional of the fit."""

import warnings
from typing import Any

import numpy as np
import pytest

from bayesmtl import BayesMTLWarning, DirichletProcess, Exchangeable, Gaussian, Model
from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws, map_draws
from bayesmtl.posterior.redraw import redraw, sites_group
from tests.oracles import dense
from tests.oracles.cases import draw, regression

DATA = regression(9, 4, 2).assign(z=lambda d: d["task"].str[-1].astype(float))
MODELS = {
    "default": Model("y ~ x0 + x1", "task"),
    "full": Model(
        "y ~ x0 + x1", "task", Exchangeable(feature_covariance="full"), Gaussian(noise="shared")
    ),
    "task features": Model("y ~ x0 + x1", "task", task_features="~ z"),
    "fixed": Model("y ~ x0 + x1", "task", likelihood=Gaussian(noise_sd=list(range(1, 10)))),
    "clusters": Model("y ~ x0 + x1", "task", DirichletProcess(concentration=2.0)),
}


def prepare(model: Model) -> Problem:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        return model.prepare(DATA).problem


def repeated(model: Model, n: int) -> tuple[Problem, Draws, Draws]:
    """One draw of the structure, and the weights redrawn n times from it."""
    draws = draw(model, DATA, draws=1, tune=30, chains=1)
    copies = map_draws(lambda parts: np.repeat(parts[0], n, axis=1), [draws])
    problem = prepare(model)
    return problem, draws, redraw(problem, copies._replace(weights=None), n)


@pytest.mark.parametrize("kind", MODELS)
def test_redrawn_weights_have_the_moments_of_the_conditional(kind: str) -> None:
    model, n = MODELS[kind], 4000
    problem, draws, again = repeated(model, n)
    assert again.weights is not None
    assert again.weights.shape == (1, n, 9, 3)
    scale, means = draws.scale[0, 0], draws.means[0, 0]
    correlation = np.eye(3) if draws.correlation is None else draws.correlation[0, 0]
    z = np.ones((9, 1))
    if kind == "task features":
        values = np.arange(9.0)
        z = np.column_stack([z, (values - 4.0) / values.std()])
    noise = np.arange(1.0, 10.0) / DATA["y"].std(ddof=0)
    if draws.log_noise is not None:
        noise = np.broadcast_to(np.exp(draws.log_noise[0, 0]), (9,))
    task = problem.rows.task
    own, within = np.zeros((9, 3)), np.ones(3)
    if draws.partition is not None:
        between = draws.partition.between[0, 0]
        centers = draws.partition.centers[0, 0, draws.partition.labels[0, 0]]
        own[:, 1:], within[1:] = np.sqrt(between) * scale[1:] * centers, np.sqrt(1.0 - between)
    for t in range(9):
        x, y = problem.design[task == t], problem.response[task == t]
        tasks = dense.Tasks(
            gram=(x.T @ x)[None],
            moment=(x.T @ y)[None],
            precision=noise[t : t + 1] ** -2.0,
            columns=z[t : t + 1],
            means=np.column_stack([means[:, 0] + own[t], means[:, 1:]]),
            scale=scale * within,
            deviation=np.zeros((1, 3)),
        )
        mean, covariance = dense.conditional_deviations(tasks, np.linalg.inv(correlation))
        deviation = (again.weights[0, :, t] - tasks.center) / (scale * within)
        white = np.linalg.solve(np.linalg.cholesky(covariance[0]), (deviation - mean).T)
        assert np.abs(white.mean(axis=1)).max() < 4.5 / np.sqrt(n)
        assert np.abs(white @ white.T / n - np.eye(3)).max() < 4.5 * np.sqrt(2 / n)


def test_structure_goes_with_its_weights() -> None:
    model = MODELS["full"]
    draws = draw(model, DATA, draws=50, chains=2)
    again = redraw(prepare(model), draws, 20)
    picks = np.linspace(0, 99, 20).astype(int)
    for name in ("means", "scale", "correlation", "log_noise", "lp"):
        part, whole = getattr(again, name), getattr(draws, name)
        np.testing.assert_array_equal(part[0], whole.reshape(100, *whole.shape[2:])[picks])
    assert again.shared is None


def test_the_same_draws_every_time() -> None:
    model = MODELS["default"]
    draws, problem = draw(model, DATA, draws=5), prepare(model)
    first, second = (redraw(problem, draws).weights for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second)


def test_stored_sites_have_the_scaling() -> None:
    problem = prepare(MODELS["task features"])
    group: Any = sites_group(problem)
    np.testing.assert_array_equal(group["gram"], problem.sites.gram)
    np.testing.assert_array_equal(group["moment"], problem.sites.moment)
    np.testing.assert_array_equal(group["unit"], problem.prior.scale_unit)
    np.testing.assert_array_equal(group["mean_unit"], problem.prior.mean_unit)
    assert group.attrs["response_scale"] == pytest.approx(DATA["y"].std(ddof=0))
