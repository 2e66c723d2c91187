"""Graphs and rows drawn in turn have the distribution that rejection from the prior gives them."""

import numpy as np
import pytest

import bayesmtl.graphical.gibbs as gibbs
from bayesmtl.graphical.field import propensity_nodes
from bayesmtl.graphical.state import GraphPrior
from tests.oracles.geweke import z_scores
from tests.oracles.graphs import graph_prior, graph_statistics, simulate_worlds, successive

TOGETHER = np.array([0, 0])
CASES = {
    "horseshoe": graph_prior("horseshoe", 2, 3),
    "horseshoe, own scales": graph_prior("horseshoe", 2, 3, own_scales=True),
    "horseshoe, apart": graph_prior("horseshoe", 2, 3, family=np.array([0, 1])),
    "horseshoe, pooled": graph_prior(
        "horseshoe", 2, 3, block=TOGETHER, family=np.array([0]), center=np.array([0, 1])
    ),
    "spike and slab": graph_prior("spike_slab", 3, 3),
    "spike and slab, pooled": graph_prior(
        "spike_slab", 2, 3, block=TOGETHER, family=np.array([0]), center=TOGETHER
    ),
}


def scores(prior: GraphPrior, chains: int = 2500, cycles: int = 4) -> dict[str, float]:
    rng = np.random.default_rng(5)
    n_tasks = len(prior.block)
    task = np.repeat(np.arange(n_tasks), 4 if n_tasks == 2 else 3)
    missing = np.zeros((len(task), 3), dtype=np.bool_)
    missing[0, 1] = missing[-1, 0] = missing[-1, 2] = True
    exact = simulate_worlds(prior, 20_000, rng)
    start = type(exact)(*(part[:chains] for part in exact))
    drawn = successive(prior, start, cycles, task, missing, rng)
    begun, moved, known = (graph_statistics(world) for world in (start, drawn, exact))
    return z_scores(begun, moved, known, cycles)


@pytest.mark.mcmc
@pytest.mark.parametrize("name", CASES)
def test_joint_distribution(name: str) -> None:
    found = scores(CASES[name])
    worst = max(found, key=lambda key: abs(found[key]))
    assert abs(found[worst]) < 4.0, (worst, found[worst])


@pytest.mark.mcmc
def test_planted_faults_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row too many, propensities of another distribution, graphs that are never related."""
    horseshoe, spike_slab, nodes = gibbs._horseshoe, gibbs._spike_slab, propensity_nodes
    with monkeypatch.context() as patched:
        patched.setattr(gibbs, "_horseshoe", lambda s, count, *rest: horseshoe(s, count + 1, *rest))
        assert max(map(abs, scores(CASES["horseshoe"]).values())) > 6.0
    with monkeypatch.context() as patched:
        patched.setattr(gibbs, "propensity_nodes", lambda shape, n: nodes((shape[0] + 1, 1.8), n))
        assert max(map(abs, scores(CASES["spike and slab"]).values())) > 6.0

    def unrelated(scatter, count, family, state, *rest):  # type: ignore[no-untyped-def]
        spike_slab(scatter, count, family, state._replace(theta=0.0 * state.theta), *rest)

    with monkeypatch.context() as patched:
        patched.setattr(gibbs, "_spike_slab", unrelated)
        assert max(map(abs, scores(CASES["spike and slab"]).values())) > 6.0
