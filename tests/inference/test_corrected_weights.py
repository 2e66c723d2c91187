"""Moves of the weights of correlated tasks given the structure."""

import numpy as np
import pytest

from bayesmtl.inference import corrected_weights
from bayesmtl.inference.corrected import start_corrected
from bayesmtl.inference.corrected_state import row_values
from bayesmtl.inference.corrected_weights import move_correlated
from tests.inference.test_corrected_covariance import RELATIONS, assert_consistent, problem_of
from tests.oracles.geweke_correlated import correlated_scores
from tests.oracles.geweke_covariance import full_tasks
from tests.oracles.geweke_rows import LOGIT, joint_default


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("relation", ["full", "low rank"])
def test_a_refused_move_changes_nothing(relation: str) -> None:
    """Where the log-likelihood of wherever it leads is not a number."""
    problem, rng = problem_of(RELATIONS[relation]), np.random.default_rng(2)
    state = start_corrected(problem, rng)
    before = state.population.weights.copy()
    state.value[:] = np.inf
    move_correlated(problem, state, rng)
    assert not state.accepted.any()
    np.testing.assert_allclose(state.population.weights, before, rtol=1e-12, atol=1e-12)
    state.value[:] = row_values(problem, state)
    assert_consistent(problem, state)


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
def test_tasks_in_turn_leave_the_joint_distribution_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of too many coefficients for one Cholesky factor."""
    monkeypatch.setattr(corrected_weights, "DENSE_LIMIT", 0)
    scores = correlated_scores(
        joint_default, LOGIT, "full", full_tasks(4), chains=400, cycles=8, seed=4
    )
    wrong = {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
