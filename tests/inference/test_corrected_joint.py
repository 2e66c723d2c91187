"""Joint-distribution tests of the sampler around fixed sites, against independent simulators."""

import numpy as np
import pytest

from bayesmtl import Bernoulli
from tests.oracles.geweke import joint_scores
from tests.oracles.geweke_rows import CASES, exact_draws, successive_rows
from tests.oracles.geweke_selection import selected_bernoulli

CHAINS, CYCLES = 200, 12


@pytest.mark.mcmc
@pytest.mark.parametrize("name", [*CASES, "selected logit"])
def test_the_sweep_leaves_the_joint_distribution_invariant(name: str) -> None:
    """With the sites of one data set for all: they are poor ones for most."""
    if name in CASES:
        make, likelihood = CASES[name]
        case = make(likelihood)
    else:
        case = selected_bernoulli(Bernoulli())
    exact = exact_draws(case, 50_000, np.random.default_rng([1, 21]))
    start = exact_draws(case, CHAINS, np.random.default_rng([2, 21]))
    chains = successive_rows(case, start, CYCLES, np.random.default_rng([3, 21]))
    scores = joint_scores(chains, exact)
    wrong = {key: round(z, 1) for key, z in scores.items() if not abs(z) < 4.0}
    assert not wrong
    assert len(scores) >= 10
