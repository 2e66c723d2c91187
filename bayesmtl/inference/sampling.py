"""The loop of a Markov chain: tune, draw, record, stop when asked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from bayesmtl.inference.chains import ChainControl, run_chains
from bayesmtl.inference.draws import Draws, join_chains

__all__ = ["Chain", "FinishedChains", "finish_chains", "sample_chains"]


class Chain[Storage](Protocol):
    """A chain with its state and random stream."""

    def advance(self, iteration: int) -> None:
        """One sweep; iterations from ``tune`` on are draws."""

    def storage(self, draws: int) -> Storage:
        """Empty arrays for its draws."""

    def record(self, storage: Storage, draw: int) -> Storage:
        """Write the current state; the storage may have to grow."""


class FinishedChains[Storage](NamedTuple):
    """Storages of the chains that have draws, how many all of them have, whether Ctrl-C came."""

    storages: list[Storage]
    n_draws: int
    interrupted: bool


def sample_chains(
    start: Callable[[np.random.Generator], Chain[Draws]],
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[Draws, bool]:
    """Run the chains that ``start`` makes.

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units.
    interrupted : bool
        Whether Ctrl-C ended the run; the draws are then those that every kept chain had finished.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """
    finished = finish_chains(
        start,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    return join_chains(finished.storages, finished.n_draws), finished.interrupted


def finish_chains[Storage](
    start: Callable[[np.random.Generator], Chain[Storage]],
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> FinishedChains[Storage]:
    """As `sample_chains`, the storages not yet joined.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any chain had a draw.
    """

    def run(rng: np.random.Generator, control: ChainControl) -> tuple[Storage, int]:
        chain = start(rng)
        storage = chain.storage(draws)
        for iteration in range(tune + draws):
            if control.stop.is_set():
                return storage, max(0, iteration - tune)
            chain.advance(iteration)
            if iteration >= tune:
                storage = chain.record(storage, iteration - tune)
            control.advance()
        return storage, draws

    # Chains are what runs in parallel.
    with threadpool_limits(1, "blas"):
        done = run_chains(
            run,
            chains=chains,
            cores=cores,
            iterations=tune + draws,
            random_seed=random_seed,
            progressbar=progressbar,
        )
    finished = [(storage, count) for storage, count in done.results if count > 0]
    if not finished:
        raise KeyboardInterrupt("interrupted before any draw was finished")
    fewest = min(count for _, count in finished)
    return FinishedChains([storage for storage, _ in finished], fewest, done.interrupted)
