"""The sampler of correlated tasks around fixed sites: its state, its proposals and its tuning."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference import corrected
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState, attempt, attempt_by_task, row_values
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.state import DenseTasks, FactorTasks
from tests.inference.test_corrected import yes_or_no
from tests.oracles.geweke_rows import LOGIT

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
RELATIONS = {
    "full": bm.MatrixNormal("full"),
    "full features": bm.MatrixNormal("full", "full"),
    "given": bm.MatrixNormal(np.eye(6) + 0.5, np.array([[1.0, 2.0], [2.0, 9.0]])),
    "low rank": bm.MatrixNormal("low_rank"),
    "low rank features": bm.MatrixNormal("low_rank", "full"),
    "subspace": bm.LowRank(),
}


def problem_of(relation: Any, likelihood: Any = None) -> Problem:
    return (
        bm.Model("y ~ x0 + x1", "task", relation, likelihood or LOGIT).prepare(yes_or_no()).problem
    )


def assert_consistent(problem: Problem, state: CorrectedState) -> None:
    population, tasks = state.population, state.tasks
    expected = population.center + population.scale[:, None] * population.deviation
    np.testing.assert_allclose(population.weights, expected, atol=1e-9)
    np.testing.assert_allclose(state.value, row_values(problem, state), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        population.covariance @ population.precision, np.eye(len(population.scale)), atol=1e-7
    )
    if isinstance(tasks, DenseTasks):
        np.testing.assert_allclose(tasks.covariance @ tasks.precision, np.eye(6), atol=1e-6)


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_state_stays_consistent(relation: str) -> None:
    problem, rng = problem_of(RELATIONS[relation]), np.random.default_rng(2)
    state = start_corrected(problem, rng)
    assert_consistent(problem, state)
    moved = 0.0
    for _ in range(40):
        moved += corrected_sweep(problem, state, rng)
        assert_consistent(problem, state)
    assert 0.0 < moved < 40.0


@pytest.mark.parametrize("relation", ["full", "low rank"])
def test_a_refused_proposal_changes_nothing(relation: str) -> None:
    problem, rng = problem_of(RELATIONS[relation]), np.random.default_rng(2)
    state = start_corrected(problem, rng)
    assert state.tasks is not None
    before = [part.copy() for part in (*state.population, *state.tasks, state.value)]

    def far_away() -> None:
        for part in (*state.population, *(state.tasks or ())):
            part[:] = np.nan

    assert not attempt(problem, state, far_away, rng)
    after = (*state.population, *state.tasks, state.value)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_proposals_are_accepted_task_by_task() -> None:
    """Weights of some tasks go where no likelihood follows, those of the others stay."""
    problem, rng = problem_of(RELATIONS["low rank"]), np.random.default_rng(2)
    state = start_corrected(problem, rng)
    assert isinstance(state.tasks, FactorTasks)
    population, far = state.population, np.array([1, 0, 0, 1, 0, 1], dtype=bool)
    before, value = unpack_tasks(population.weights, 6), unpack_tasks(state.value, 6)
    loadings = state.tasks.loadings.copy()

    def propose() -> None:
        assert isinstance(state.tasks, FactorTasks)
        state.tasks.loadings[:] += 1.0
        for t in np.flatnonzero(far):
            population.weights[0, :, t] = np.nan
            population.deviation[0, :, t] = np.nan

    accepted = attempt_by_task(problem, state, propose, state.tasks.loadings, rng)
    np.testing.assert_array_equal(accepted, ~far)
    np.testing.assert_array_equal(state.tasks.loadings, loadings + ~far[:, None])
    np.testing.assert_array_equal(unpack_tasks(population.weights, 6), before)
    np.testing.assert_allclose(unpack_tasks(state.value, 6), value)


@pytest.mark.parametrize("relation", ["full", "low rank"])
def test_tuning_changes_sites_and_kicks_and_then_stops(relation: str) -> None:
    problem, rng = problem_of(RELATIONS[relation], bm.Bernoulli("probit")), np.random.default_rng(4)
    state, tuning = start_corrected(problem, rng), corrected.CorrectedTuning(problem, 120)
    grams, kicks = [], []
    for iteration in range(150):
        corrected_sweep(problem, state, rng)
        tuning.observe(iteration, problem, state)
        assert_consistent(problem, state)
        grams.append(state.sites.gram.copy())
        kicks.append(state.kicks.copy())
    changes = [i for i in range(1, len(grams)) if np.any(grams[i] != grams[i - 1])]
    assert changes == [17, 41, 71]
    assert not np.array_equal(kicks[0], kicks[119])
    np.testing.assert_array_equal(kicks[119], kicks[-1])
