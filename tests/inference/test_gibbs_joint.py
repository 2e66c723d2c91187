"""Joint-distribution tests of the whole Gibbs kernel against an independent prior simulator."""

from collections.abc import Callable

import numpy as np
import pytest

import bayesmtl.inference.gibbs
from tests.oracles import geweke_full, geweke_joint, geweke_selection, geweke_user
from tests.oracles.generative import simulate
from tests.oracles.geweke import joint_scores, successive_conditional
from tests.oracles.geweke_case import Case

CHAINS, CYCLES = 200, 15
CASES = [
    geweke_joint.joint_default,
    geweke_joint.joint_task_features,
    geweke_joint.joint_user_effects,
    geweke_joint.joint_known_noise,
    geweke_user.user_priors,
    geweke_user.many_tasks,
    geweke_user.pooled,
    geweke_user.independent,
    geweke_full.huang_wand_covariance,
    geweke_full.huang_wand_relation,
    geweke_full.separate_covariance,
    geweke_full.separate_covariance_fixed_scales,
    geweke_selection.selected_features,
    geweke_selection.selected_task_features,
]


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("kernel", ["collapsed", "plain"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_kernel_leaves_the_joint_distribution_invariant(
    make: Callable[[], Case], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the updates that integrate the weights out, of small models, and without them."""
    if kernel == "plain":
        monkeypatch.setattr(bayesmtl.inference.gibbs, "_COLLAPSED_LIMIT", -1)
    case = make()
    layout, structure = case.frame.layout, case.structure
    exact = simulate(layout, structure, 100_000, np.random.default_rng([1, 20]))
    start = simulate(layout, structure, CHAINS, np.random.default_rng([2, 20]))
    rng = np.random.default_rng([3, 20])
    chains = successive_conditional(
        case.frame, case.model, start, CYCLES, collapsed=kernel == "collapsed", rng=rng
    )
    scores = joint_scores(chains, exact)
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 20
