"""Gibbs sweeps from draws of partitions: what stays, and what drifts away."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.drift import chain_at, drift_of
from bayesmtl.inference.gibbs import record, sample_gibbs, storage_for
from tests.inference.test_cavi import frame, model

LIKELIHOODS: dict[str, Any] = {
    "own noise": bm.Gaussian(),
    "shared": bm.Gaussian(noise="shared"),
    "known": bm.Gaussian(noise_sd=0.9),
}


def posterior(relation: Any, likelihood: Any, draws: int = 1000) -> tuple[Problem, Draws]:
    problem = model(relation, likelihood=likelihood).prepare(frame(9, 0.5)).problem
    sizes = {"draws": draws, "tune": 200, "chains": 2, "cores": 1, "random_seed": 4}
    return problem, sample_gibbs(
        problem, likelihood, **sizes, progressbar=False, keep_weights=True
    )[0]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(
    "relation", [bm.PitmanYor(), bm.FiniteMixture()], ids=["PitmanYor", "FiniteMixture"]
)
def test_a_chain_goes_on_from_the_draw(relation: Any, likelihood: str) -> None:
    part = LIKELIHOODS[likelihood]
    problem, draws = posterior(relation, part, draws=5)
    state = chain_at(problem, part, draws, (1, 3), np.random.default_rng(0))
    again = record(problem, state, storage_for(problem, state, 1, False), 0)
    assert draws.partition is not None
    assert again.partition is not None
    for name in ("means", "scale", "shared", "noise_median", "noise_spread", "log_noise"):
        ours, theirs = getattr(again, name), getattr(draws, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours[0] == pytest.approx(theirs[1, 3])
    count = draws.partition.labels[1, 3].max() + 1
    for name in draws.partition._fields:
        ours, theirs = getattr(again.partition, name)[0], getattr(draws.partition, name)[1, 3]
        if name == "centers":
            ours, theirs = ours[:count], theirs[:count]
        assert ours == pytest.approx(theirs)
    assert state.partition is not None
    assert (
        state.partition.sizes[:count].tolist() == np.bincount(draws.partition.labels[1, 3]).tolist()
    )
    assert state.noise.precision == pytest.approx(np.exp(-2.0 * state.noise.log_sd))


def test_draws_of_the_posterior_stay_and_one_partition_drifts_to_it() -> None:
    likelihood = LIKELIHOODS["shared"]
    problem, draws = posterior(bm.DirichletProcess(), likelihood)
    drift = drift_of(problem, likelihood, draws, np.random.default_rng(1))
    assert drift.n_clusters > 1.5
    assert abs(drift.n_clusters_after - drift.n_clusters) < 4.0 * drift.standard_error
    assert drift.co_clustering < 0.08
    assert draws.partition is not None
    labels = draws.partition.labels
    i, j = np.triu_indices(9, 1)
    apart = 1.0 - (labels[..., i] == labels[..., j]).mean(axis=(0, 1))
    one = draws.partition._replace(labels=np.zeros_like(labels))
    sure = drift_of(problem, likelihood, draws._replace(partition=one), np.random.default_rng(2))
    assert sure.n_clusters == 1.0
    assert abs(sure.n_clusters_after - drift.n_clusters) < 4.0 * sure.standard_error
    assert sure.co_clustering == pytest.approx(np.sqrt((apart**2).mean()), abs=0.08)


@pytest.mark.filterwarnings("ignore:the data hold one task:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("n_tasks", [1, 70])
def test_no_pairs_and_many(n_tasks: int) -> None:
    likelihood = LIKELIHOODS["known"]
    problem = model(bm.DirichletProcess(), likelihood=likelihood).prepare(frame(n_tasks)).problem
    sizes = {"draws": 3, "tune": 0, "chains": 1, "cores": 1, "random_seed": 4}
    draws, _ = sample_gibbs(problem, likelihood, **sizes, progressbar=False, keep_weights=True)
    drift = drift_of(problem, likelihood, draws, np.random.default_rng(0))
    assert np.isfinite(drift).all()
    assert (drift.co_clustering > 0.0) == (n_tasks > 1)
