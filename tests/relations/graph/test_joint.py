"""Joint-distribution tests of whole sweeps over tasks that a graph links."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bayesmtl import KnownGraph, Prior, SparseGraph, Tree
from tests.oracles import geweke_full, geweke_joint, geweke_selection, geweke_user
from tests.oracles.geweke_case import Case
from tests.oracles.geweke_correlated import correlated_scores, few_counts
from tests.oracles.geweke_covariance import Simulator, correlated, covariance_scores
from tests.oracles.geweke_graph import (
    car_tasks,
    horseshoe_tasks,
    spike_slab_tasks,
    tree_tasks,
)
from tests.oracles.geweke_rows import COUNTS, LOGIT, RowsCase, joint_default, own_priors

SPIKE_SLAB = partial(SparseGraph, "spike_slab", edge_share=0.4)
HORSESHOE = partial(SparseGraph, "horseshoe", global_scale=0.5)
# Two components and a task by itself.
GRAPH = np.zeros((5, 5))
GRAPH[[0, 1, 3], [1, 2, 4]] = [1.0, 0.5, 2.0]
GRAPH += GRAPH.T
KNOWN = partial(KnownGraph, GRAPH, rho=Prior("Beta", alpha=2.0, beta=1.5))
CYCLE = np.zeros((9, 9))
CYCLE[np.arange(8), (np.arange(8) + 1) % 8] = 1.0
CYCLE += CYCLE.T
OF_NINE = partial(KnownGraph, [(t, (t + 1) % 8) for t in range(8)] + [(8,)])
LEVELS = partial(Tree, "((0,1),(2,3,4));", concentration=[1.0, 2.0])
OF_LEVELS = np.stack([np.zeros((5, 5)), np.eye(5)])
OF_LEVELS[0, :2, :2] = OF_LEVELS[0, 2:, 2:] = 1.0
LENGTHS = partial(Tree, "((0:1,1:1):1,(2:1,3:0.5):0.5);")
OF_LENGTHS = np.stack(
    [
        np.array(
            [[2.0, 1.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.5], [0.0, 0.0, 0.5, 1.0]]
        )
        / 1.625,
        np.eye(4),
    ]
)
CASES: dict[str, tuple[Callable[[], Case], Any, Simulator]] = {
    "spike and slab, joint prior": (
        geweke_joint.joint_default,
        SPIKE_SLAB,
        spike_slab_tasks(4, edge_share=0.4),
    ),
    "spike and slab, Huang-Wand features": (
        geweke_full.huang_wand_covariance,
        SPIKE_SLAB,
        spike_slab_tasks(5, edge_share=0.4),
    ),
    "spike and slab, user's priors": (
        geweke_user.user_priors,
        SPIKE_SLAB,
        spike_slab_tasks(3, edge_share=0.4),
    ),
    "spike and slab, selected features": (
        geweke_selection.selected_features,
        SPIKE_SLAB,
        spike_slab_tasks(4, edge_share=0.4),
    ),
    "horseshoe, joint prior": (
        geweke_joint.joint_default,
        HORSESHOE,
        horseshoe_tasks(4, global_scale=0.5),
    ),
    "horseshoe, task features": (
        geweke_joint.joint_task_features,
        HORSESHOE,
        horseshoe_tasks(5, global_scale=0.5),
    ),
    "known graph, Huang-Wand features": (
        geweke_full.huang_wand_covariance,
        KNOWN,
        car_tasks(GRAPH, (2.0, 1.5)),
    ),
    "known graph, task features": (
        geweke_joint.joint_task_features,
        KNOWN,
        car_tasks(GRAPH, (2.0, 1.5)),
    ),
    "levels, task features": (
        geweke_joint.joint_task_features,
        LEVELS,
        tree_tasks(OF_LEVELS, np.array([1.0, 2.0])),
    ),
    "lengths, joint prior": (
        geweke_joint.joint_default,
        LENGTHS,
        tree_tasks(OF_LENGTHS, np.ones(2)),
    ),
}
ROWS: dict[str, tuple[Callable[[Any], RowsCase], Any, Any, Simulator]] = {
    "spike and slab, logit": (
        joint_default,
        LOGIT,
        SPIKE_SLAB,
        spike_slab_tasks(4, edge_share=0.4),
    ),
    "horseshoe, few counts": (
        few_counts(4),
        COUNTS,
        HORSESHOE,
        horseshoe_tasks(4, global_scale=0.5),
    ),
    "known graph, logit": (own_priors, LOGIT, OF_NINE, car_tasks(CYCLE)),
    "lengths, counts": (few_counts(4), COUNTS, LENGTHS, tree_tasks(OF_LENGTHS, np.ones(2))),
}


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_leaves_the_joint_distribution_invariant(name: str) -> None:
    make, kind, simulator = CASES[name]
    scores = covariance_scores(correlated(make(), kind), simulator, chains=600, cycles=6, seed=7)
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 30


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", ROWS)
def test_any_likelihood_leaves_the_joint_distribution_invariant(name: str) -> None:
    make, likelihood, kind, simulator = ROWS[name]
    scores = correlated_scores(make, likelihood, kind, simulator, chains=400, cycles=8, seed=31)
    wrong = {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 20
