"""Chains as threads: seeds, progress, interruption."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.inference.console import watched_console

__all__ = ["ChainControl", "ChainResults", "available_cores", "run_chains"]

_POLL_SECONDS = 0.05


def available_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class ChainControl(NamedTuple):
    """What a running chain shares with the thread that waits for it."""

    stop: threading.Event
    done: np.ndarray
    chain: int

    def advance(self) -> None:
        """Count one finished iteration."""
        self.done[self.chain] += 1


class ChainResults(NamedTuple):
    """Results in the order of the chains, and whether the run was interrupted."""

    results: list[Any]
    interrupted: bool


def run_chains[Result](
    chain: Callable[[np.random.Generator, ChainControl], Result],
    *,
    chains: int,
    cores: int,
    iterations: int,
    random_seed: int | None,
    progressbar: bool,
) -> ChainResults:
    """Run ``chain(rng, control)`` once for every chain, in threads.

    Each chain has a random stream of its own, spawned from the seed, so the results do not depend
    on ``cores``. Ctrl-C sets ``control.stop`` and waits: every chain then returns what it has.

    Returns
    -------
    ChainResults
    """
    seeds = np.random.SeedSequence(random_seed).spawn(chains)
    stop = threading.Event()
    done = np.zeros(chains, dtype=np.int64)
    interrupted = False
    with (
        _progress(chains, iterations, progressbar) as show,
        ThreadPoolExecutor(max_workers=min(cores, chains)) as pool,
    ):
        futures: list[Future[Result]] = [
            pool.submit(chain, np.random.default_rng(seed), ChainControl(stop, done, i))
            for i, seed in enumerate(seeds)
        ]
        try:
            _watch(futures, lambda: show(done))
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
        except BaseException:
            stop.set()
            raise
        wait(futures)
    return ChainResults([future.result() for future in futures], interrupted)


def _watch(futures: list[Future[Any]], show: Callable[[], None]) -> None:
    """Show progress until all chains have ended, or one has failed."""
    while True:
        finished, running = wait(futures, timeout=_POLL_SECONDS)
        show()
        for future in finished:
            future.result()
        if not running:
            return


@contextmanager
def _progress(
    chains: int, iterations: int, enabled: bool
) -> Iterator[Callable[[np.ndarray], None]]:
    """A bar for each chain, in a terminal or a notebook; silent elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = watched_console(enabled)
    if console is None:
        yield lambda done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        ids = [bars.add_task(f"chain {i + 1}", total=iterations) for i in range(chains)]

        def show(done: np.ndarray) -> None:
            for task_id, count in zip(ids, done, strict=True):
                bars.update(task_id, completed=int(count))

        yield show
