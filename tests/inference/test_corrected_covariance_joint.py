"""Joint-distribution tests of correlated tasks around fixed sites, against their own simulators."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.oracles.geweke_correlated import correlated_scores, few_counts
from tests.oracles.geweke_covariance import Simulator, full_tasks, given_tasks, low_rank_tasks
from tests.oracles.geweke_rows import (
    COUNTS,
    LOGIT,
    NOISE,
    PROBIT,
    RATES,
    RowsCase,
    heavy_tails,
    huang_wand_covariance,
    joint_default,
    joint_noise,
    own_priors,
    separate_covariance,
)

GIVEN = np.array([[1.0, 0.6, -0.5], [0.6, 2.0, 0.1], [-0.5, 0.1, 0.7]])
CASES: dict[str, tuple[Callable[[Any], RowsCase], Any, Any, Simulator]] = {
    "full, joint prior, logit": (joint_default, LOGIT, "full", full_tasks(4)),
    "full, few counts": (few_counts(4), COUNTS, "full", full_tasks(4)),
    "full, task features, logit": (own_priors, LOGIT, "full", full_tasks(9)),
    "full, Huang-Wand features, logit": (huang_wand_covariance, LOGIT, "full", full_tasks(5)),
    "full, separate features, probit": (separate_covariance, PROBIT, "full", full_tasks(5)),
    "full, noise": (joint_noise, NOISE, "full", full_tasks(4)),
    "given, probit": (heavy_tails, PROBIT, GIVEN, given_tasks(GIVEN)),
    "given, few rates": (few_counts(3), RATES, GIVEN, given_tasks(GIVEN)),
    "low rank, joint prior, logit": (joint_default, LOGIT, "low_rank", low_rank_tasks(4, 2)),
    "low rank, joint prior, counts": (joint_default, COUNTS, "low_rank", low_rank_tasks(4, 2)),
    "low rank, few rates": (few_counts(6), RATES, "low_rank", low_rank_tasks(6, 2)),
    "low rank, task features, logit": (own_priors, LOGIT, "low_rank", low_rank_tasks(9, 2)),
    "low rank, Huang-Wand features, logit": (
        huang_wand_covariance,
        LOGIT,
        "low_rank",
        low_rank_tasks(5, 2),
    ),
    "low rank, separate features, logit": (
        separate_covariance,
        LOGIT,
        "low_rank",
        low_rank_tasks(5, 3),
    ),
    "one variance of own parts, logit": (
        joint_default,
        LOGIT,
        None,
        low_rank_tasks(4, 2, common=True),
    ),
    "one variance of own parts, noise": (
        joint_noise,
        NOISE,
        None,
        low_rank_tasks(4, 2, common=True),
    ),
}

# Priors of features that other cases, or those under Gaussian responses, have too.
LONGER = {
    "full, Huang-Wand features, logit",
    "full, separate features, probit",
    "full, task features, logit",
    "low rank, Huang-Wand features, logit",
    "low rank, joint prior, counts",
    "low rank, joint prior, logit",
    "low rank, separate features, logit",
    "one variance of own parts, logit",
}


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*(single row|effective features):bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.calibration] if name in LONGER else [])
        for name in CASES
    ],
)
def test_the_sweep_leaves_the_joint_distribution_invariant(name: str) -> None:
    make, likelihood, kind, simulator = CASES[name]
    # Squares of products of normals have heavy tails, most of all with effects of task features.
    chains = 800 if name == "low rank, task features, logit" else 400
    scores = correlated_scores(make, likelihood, kind, simulator, chains=chains, cycles=8, seed=31)
    wrong = {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 20
