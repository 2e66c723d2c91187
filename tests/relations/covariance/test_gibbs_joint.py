"""Joint-distribution tests of whole sweeps over correlated tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.oracles import geweke_full, geweke_joint, geweke_selection, geweke_user
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_covariance import (
    Simulator,
    correlated,
    covariance_scores,
    full_tasks,
    given_tasks,
    low_rank_tasks,
)

GIVEN = np.array([[1.0, 0.6, -0.5], [0.6, 2.0, 0.1], [-0.5, 0.1, 0.7]])
CASES: dict[str, tuple[Callable[[], Case], Any, Simulator]] = {
    "full, joint prior": (geweke_joint.joint_default, "full", full_tasks(4)),
    "full, Huang-Wand features": (geweke_full.huang_wand_covariance, "full", full_tasks(5)),
    "full, separate features": (geweke_full.separate_covariance, "full", full_tasks(5)),
    "full, task features": (geweke_joint.joint_task_features, "full", full_tasks(5)),
    "full, fixed scales": (geweke_user.many_tasks, "full", full_tasks(9)),
    "given": (geweke_user.user_priors, GIVEN, given_tasks(GIVEN)),
    "low rank, joint prior": (geweke_joint.joint_default, "low_rank", low_rank_tasks(4, 2)),
    "low rank, Huang-Wand features": (
        geweke_full.huang_wand_covariance,
        "low_rank",
        low_rank_tasks(5, 2),
    ),
    "low rank, task features": (
        geweke_joint.joint_task_features,
        "low_rank",
        low_rank_tasks(5, 2),
    ),
    "one variance of own parts": (
        geweke_joint.joint_default,
        None,
        low_rank_tasks(4, 2, common=True),
    ),
    "full, selected features": (geweke_selection.selected_features, "full", full_tasks(4)),
    "low rank, selected features": (
        geweke_selection.selected_task_features,
        "low_rank",
        low_rank_tasks(5, 3),
    ),
    "low rank, user's priors": (geweke_user.user_priors, "low_rank", low_rank_tasks(3, 3)),
}


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_leaves_the_joint_distribution_invariant(name: str) -> None:
    make, kind, simulator = CASES[name]
    # Fewer chains would not average the tails of products of scales.
    scores = covariance_scores(correlated(make(), kind), simulator, chains=1200, cycles=6, seed=62)
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 30


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
def test_conjugate_gradients_leave_the_joint_distribution_invariant() -> None:
    case = correlated(geweke_joint.joint_default(), "full")
    scores = covariance_scores(
        case, full_tasks(4), chains=400, cycles=8, seed=3, route="conjugate gradients"
    )
    assert max(abs(z) for z in scores.values()) < 4.0
