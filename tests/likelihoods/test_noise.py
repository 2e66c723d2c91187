"""The target of each noise update differs by the log joint density and a Jacobian."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.inference.gibbs import ChainState
from bayesmtl.likelihoods.noise import (
    _median_target,
    _noncentred_median_target,
    _noncentred_spread_target,
    _shared_target,
    _spread_target,
    _task_target,
)
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from tests.oracles.states import (
    MOVES,
    N_TASKS,
    Setting,
    copy,
    make,
    random_state,
    recorded,
    signal_variance,
)


def with_noise(setting: Setting, chain: ChainState, log_sd: np.ndarray, **values: float) -> float:
    """The log joint at other noise; ``log_sd`` (task,)."""
    other = copy(chain)
    other.noise.log_sd[:] = pack_tasks(log_sd)
    other.noise.precision[:] = np.exp(-2.0 * other.noise.log_sd)
    for name, value in values.items():
        getattr(other.noise, name)[0] = value
    return recorded(setting, other)


def check(target: Any, arguments: tuple[Any, ...], x: float, changes: dict[float, float]) -> None:
    for move, change in changes.items():
        found = target(x + move, arguments) - target(x, arguments)
        assert found == pytest.approx(change, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("kind", ["joint", "diagonal"])
def test_shared_noise(kind: str) -> None:
    setting = make(kind, "shared")
    chain = random_state(setting, np.random.default_rng(11))
    noise, start, signal = chain.noise, recorded(setting, chain), signal_variance(setting, chain)
    x = noise.log_median[0]
    arguments = (
        noise.rows.sum(),
        chain.square.sum(),
        (noise.unit, noise.sd_prior, signal, setting.problem.prior.r2_prior),
    )
    log_sd = unpack_tasks(noise.log_sd, N_TASKS)
    changes = {
        move: with_noise(setting, chain, log_sd + move, log_median=x + move) - start + move
        for move in MOVES
    }
    check(_shared_target, arguments, x, changes)


@pytest.mark.parametrize("kind", ["joint", "diagonal"])
def test_hierarchical_noise(kind: str) -> None:
    setting = make(kind, "hierarchical")
    chain = random_state(setting, np.random.default_rng(12))
    noise, start, signal = chain.noise, recorded(setting, chain), signal_variance(setting, chain)
    r2_row = setting.problem.prior.r2_prior
    median, spread = noise.log_median[0], noise.spread[0]
    log_sd = unpack_tasks(noise.log_sd, N_TASKS)
    deviation = (noise.log_sd - median) / spread
    rows, square = noise.rows, chain.square
    t = N_TASKS - 1
    changes = {
        move: with_noise(setting, chain, log_sd + move * (np.arange(N_TASKS) == t)) - start
        for move in MOVES
    }
    check(_task_target, (rows.ravel()[t], square.ravel()[t], median, spread), log_sd[t], changes)
    changes = {
        move: with_noise(setting, chain, log_sd, log_median=median + move) - start + move
        for move in MOVES
    }
    prior = (noise.unit, noise.sd_prior, signal, r2_row)
    check(_median_target, (N_TASKS, log_sd.mean(), spread, prior), median, changes)
    changes = {
        move: with_noise(setting, chain, log_sd + move, log_median=median + move) - start + move
        for move in MOVES
    }
    arguments = (spread, deviation, rows, square, prior)
    check(_noncentred_median_target, arguments, median, changes)
    changes = {
        move: with_noise(setting, chain, log_sd, spread=spread * np.exp(move)) - start + move
        for move in MOVES
    }
    scatter = ((log_sd - median) ** 2).sum()
    check(_spread_target, (N_TASKS, scatter, noise.spread_prior), np.log(spread), changes)
    changes = {}
    for move in MOVES:
        moved = median + (log_sd - median) * np.exp(move)
        value = with_noise(setting, chain, moved, spread=spread * np.exp(move))
        # Density of the standardised deviations in place of the log sds.
        changes[move] = value - start + (1 + N_TASKS) * move
    stretched = (median, deviation, rows, square, noise.spread_prior)
    check(_noncentred_spread_target, stretched, np.log(spread), changes)
