"""Joint-distribution tests of whole sweeps over decompositions."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.oracles import geweke_joint, geweke_user
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_covariance import Simulator, correlated, low_rank_tasks
from tests.oracles.geweke_sparse import sparse_scores

CASES: dict[str, tuple[Callable[[], Case], Any, Simulator | None]] = {
    "exchangeable": (geweke_joint.joint_default, None, None),
    "pooled": (geweke_user.pooled, None, None),
    "low rank": (geweke_joint.joint_task_features, "low_rank", low_rank_tasks(5, 2)),
}


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_leaves_the_joint_distribution_invariant(name: str) -> None:
    make, kind, simulator = CASES[name]
    case = make() if kind is None else correlated(make(), kind)
    scores = sparse_scores(case, simulator, chains=800, cycles=6, seed=71)
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 25
