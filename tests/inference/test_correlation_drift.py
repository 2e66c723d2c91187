"""Gibbs sweeps from draws of correlated tasks: they go on from them, and tell where they lead."""

import json
from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.inference import correlation_drift as module
from bayesmtl.inference.cavi_covariance import sample_correlated
from bayesmtl.inference.correlation_drift import correlated_chain_at, correlation_drift
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.recording import record_structure, structure_storage, task_draw
from tests.oracles.cases import draw, fit, regression

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
RELATIONS: dict[str, Any] = {
    "full": bm.MatrixNormal("full"),
    "both full": bm.MatrixNormal("full", "full"),
    "low_rank, full": bm.MatrixNormal("low_rank", "full"),
    "subspace": bm.LowRank(),
}


def model(relation: Any) -> bm.Model:
    return bm.Model("y ~ x0 + x1", "task", relation)


def approximated(one: bm.Model, data: Any) -> tuple[Any, Draws]:
    problem = one.prepare(data).problem
    settings: dict[str, Any] = {"draws": 50, "chains": 2, "random_seed": 0}
    return problem, sample_correlated(problem, one.likelihood, **settings)[0]


@pytest.mark.parametrize("name", RELATIONS)
def test_a_chain_starts_at_the_draw(name: str) -> None:
    one = model(RELATIONS[name])
    problem, draws = approximated(one, regression(4, 8, 2))
    at = (1, 7)
    state = correlated_chain_at(problem, one.likelihood, draws, at, np.random.default_rng(1))
    storage = structure_storage(problem, None, 1, keep_weights=True)
    found = record_structure(problem, state.population, None, storage, 0)
    for part in ("means", "scale", "correlation", "shared", "weights"):
        ours, theirs = getattr(found, part), getattr(draws, part)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours[0] == pytest.approx(theirs[at])
    assert state.tasks is not None
    assert draws.tasks is not None
    assert problem.task_covariance is not None
    drawn = task_draw(problem.task_covariance, state.tasks.tasks, None, state.population)
    for ours, theirs in zip(drawn, draws.tasks, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert theirs is not None
            assert ours == pytest.approx(theirs[at])
    shape = state.noise.log_sd.shape
    log_sd = np.moveaxis(state.noise.log_sd, -1, 1).reshape(shape[0] * shape[1])[:4]
    assert draws.log_noise is not None
    assert log_sd == pytest.approx(draws.log_noise[at])
    # Standardised deviations are those of the weights.
    center = state.population.center
    whole = center + state.population.scale[:, None] * state.population.deviation
    assert whole == pytest.approx(state.population.weights)


@pytest.mark.parametrize("name", ["full", "subspace"])
def test_draws_of_gibbs_stay_and_wrong_ones_do_not(name: str) -> None:
    rng = np.random.default_rng(3)
    direction = np.array([1.0, 1.0, -1.0, -1.0])[:, None] * rng.normal(size=8)
    data = regression(4, 30, 8)
    features = [f"x{j}" for j in range(8)]
    code = data["task"].str[-1].astype(int).to_numpy()
    weights = direction + 0.1 * rng.normal(size=direction.shape)
    y = (data[features].to_numpy() * weights[code]).sum(axis=1) + rng.normal(size=len(data))
    data = data.assign(y=y)
    one = bm.Model("y ~ " + " + ".join(features), "task", RELATIONS[name])
    exact = draw(one, data, draws=500, tune=300)
    problem = one.prepare(data).problem
    stays = correlation_drift(problem, one.likelihood, exact, np.random.default_rng(1))
    assert stays is not None
    assert stays < 0.1
    assert exact.tasks is not None
    if exact.tasks.covariance is not None:
        wrong = exact.tasks._replace(covariance=np.tile(np.eye(4), (*exact.lp.shape, 1, 1)))
    else:
        assert exact.tasks.loadings is not None
        wrong = exact.tasks._replace(loadings=0.1 * exact.tasks.loadings)
    moves = correlation_drift(
        problem, one.likelihood, exact._replace(tasks=wrong), np.random.default_rng(1)
    )
    assert moves is not None
    assert moves > 0.2


def test_where_nothing_is_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data, rng = regression(3, 8, 2), np.random.default_rng(0)
    given = model(bm.MatrixNormal(np.eye(3)))
    problem, draws = approximated(given, data)
    assert correlation_drift(problem, given.likelihood, draws, rng) is None
    alone = model(bm.LowRank())
    problem, draws = approximated(alone, regression(1, 8, 2))
    assert correlation_drift(problem, alone.likelihood, draws, rng) is None
    full = model(bm.MatrixNormal("full"))
    monkeypatch.setattr(module, "_WORK", 1.0)
    problem, draws = approximated(full, data)
    assert correlation_drift(problem, full.likelihood, draws, rng) is None


def test_the_verdict_names_correlations_that_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmtl.inference import cavi_covariance

    one, data = model(bm.MatrixNormal("full")), regression(3, 8, 2)
    for drift, failed in ((0.02, False), (0.25, True)):
        monkeypatch.setattr(cavi_covariance, "correlation_drift", lambda *_, d=drift: d)
        tree = fit(one, data, inference="cavi", draws=400)
        assert tree.attrs["correlation_drift"] == drift
        diagnosis = json.loads(tree.attrs["diagnostics"])
        said = "a few Gibbs sweeps change the correlations of its tasks by 0.25"
        assert any(said in problem for problem in diagnosis["problems"]) == failed
        assert ("use inference='gibbs' for the correlations" in tree.attrs["verdict"]) == failed
