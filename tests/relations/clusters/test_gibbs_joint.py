"""Joint-distribution tests of the sweep over clusters against an independent prior simulator."""

from collections.abc import Callable

import numpy as np
import pytest

import bayesmtl.inference.gibbs
import bayesmtl.relations.clusters.gibbs
from tests.oracles import geweke_clusters
from tests.oracles.geweke_partition import Case, drift, simulate

CHAINS, CYCLES = 250, 16
CASES = [
    geweke_clusters.dirichlet_default,
    geweke_clusters.dirichlet_user,
    geweke_clusters.dirichlet_identical,
    geweke_clusters.dirichlet_identical_joint,
    geweke_clusters.pitman_yor,
    geweke_clusters.finite_mixture,
    geweke_clusters.two_components,
]


@pytest.mark.mcmc
@pytest.mark.parametrize("kernel", ["collapsed", "plain"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_sweep_leaves_the_joint_distribution_invariant(
    make: Callable[[], Case], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the updates that integrate weights and cluster means out, and without them."""
    if kernel == "plain":
        monkeypatch.setattr(bayesmtl.inference.gibbs, "_COLLAPSED_LIMIT", -1)
        monkeypatch.setattr(bayesmtl.relations.clusters.gibbs, "_CHEAP", -1)
    case = make()
    exact = simulate(case, 25_000, np.random.default_rng([1, 32]))
    start = simulate(case, CHAINS, np.random.default_rng([2, 32]))
    scores = drift(case, start, exact, CYCLES, np.random.default_rng([3, 32]))
    wrong = {name: round(z, 1) for name, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 30
