"""Draws of partitions: effective draws of co-clustering, ours beside those of a peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.effective import Mixing, mixing
from benchmarks.peers.nuts import MINIMUM_DRAWS, Boxed, NutsRun
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["OWN_COLUMNS", "SPEED_COLUMNS", "Partitions", "Sticks", "compare_partitions"]

OWN_COLUMNS = ("ours", "ESS/s", "worst ESS", "of", "one by one", "R-hat", "clusters", "s", "load")
SPEED_COLUMNS = ("peer", "ours ESS/s", "theirs ESS/s", "ratio", "target", "")


class Partitions(NamedTuple):
    """Draws of the partition (chain, draw, task) and the seconds they took."""

    labels: np.ndarray
    seconds: float

    def together(self) -> np.ndarray:
        """Whether two tasks are in one cluster (chain, draw, pair)."""
        i, j = np.tril_indices(self.labels.shape[2], k=-1)
        return self.labels[..., i] == self.labels[..., j]

    def n_clusters(self) -> np.ndarray:
        """Occupied clusters (chain, draw)."""
        ordered = np.sort(self.labels, axis=2)
        return 1.0 + (np.diff(ordered, axis=2) > 0).sum(axis=2)

    def n_by_chain(self) -> str:
        """Mean number of clusters of each chain."""
        return ", ".join(f"{value:.1f}" for value in self.n_clusters().mean(axis=1))

    def mixing(self, undecided: np.ndarray) -> Mixing:
        """Of the pairs that are undecided and the number of clusters."""
        draws = {"n_clusters": self.n_clusters()}
        if undecided.any():
            draws["together"] = self.together()[..., undecided].astype(np.float64)
        return mixing(draws)


@dataclass(frozen=True)
class Sticks:
    """The peer: truncated stick-breaking with the labels summed out, in a time box.

    Parameters
    ----------
    run : callable
        From numbers of tuning steps and draws to the run and its labels (chain, draw, task); None
        where it made too few draws.
    lengths : sequence of (tune, draws)
    limit : float
        Seconds of the time box.
    what : str
        The words that follow "PyMC".
    """

    run: Callable[[int, int], tuple[Boxed, np.ndarray] | None]
    lengths: Sequence[tuple[int, int]]
    limit: float
    what: str


def compare_partitions(
    own: Sequence[Partitions], peer: Sticks | None, *, name: str, seed: int, target: int
) -> None:
    """Print the mixing of our runs, of the peer's, and the ratio of effective draws per second.

    Parameters
    ----------
    own : sequence of Partitions
        Runs with seeds ``seed``, ``seed + 1``, ...; the median rate counts.
    peer : Sticks or None
    name : str
        Of the benchmark.
    seed, target : int
    """
    pairs = np.mean([found.together().mean(axis=(0, 1)) for found in own], axis=0)
    undecided = (pairs >= 0.05) & (pairs <= 0.95)
    print(
        f"Of {pairs.size:,} pairs of tasks {undecided.mean():.0%} are undecided (together in 5% "
        "to 95% of all our draws)."
    )
    rows, rates = [], []
    for i, found in enumerate(own):
        mixed = found.mixing(undecided)
        rates.append(mixed.ess / found.seconds)
        worst = (mixed.ess, mixed.worst, mixed.ess_apart, mixed.rhat)
        after = (found.n_by_chain(), found.seconds, load_average())
        rows.append((f"seed {seed + i}", rates[-1], *worst, *after))
    print_table(OWN_COLUMNS, rows)
    rate = float(np.median(rates))
    lines: list[tuple[object, ...]] = [("-", rate, float("nan"), float("nan"), target, "not run")]
    if peer is not None:
        lines = [
            ("PyMC, nutpie", rate, *_peer(own, peer, undecided, rate, target, length))
            for length in peer.lengths
        ]
    heading(f"{name}: worst bulk ESS per second over undecided pairs and the number of clusters")
    print_table(SPEED_COLUMNS, lines)
    for other, ours, theirs, *_, note in lines:
        headline(f"worst ESS a second of partitions, {name}", ours, f"{other}, {note}", theirs)


def _peer(
    own: Sequence[Partitions],
    peer: Sticks,
    undecided: np.ndarray,
    rate: float,
    target: int,
    length: tuple[int, int],
) -> tuple[object, ...]:
    found = peer.run(*length)
    if found is None:
        print(
            f"PyMC: a chain made fewer than {MINIMUM_DRAWS} draws after {length[0]} "
            f"tuning steps in {peer.limit:g} s; no estimate"
        )
        return float("nan"), float("nan"), target, "too slow to estimate"
    boxed, labels = found
    theirs = Partitions(labels, boxed.seconds)
    result = NutsRun(*boxed[:-1], mixing=theirs.mixing(undecided))
    _print_peer(boxed, result, peer)
    _print_agreement(own, theirs, undecided)
    return result.rate, rate / result.rate, target, result.note


def _print_peer(boxed: Boxed, result: NutsRun, peer: Sticks) -> None:
    mixed = result.mixing
    print(
        f"PyMC, {peer.what}, nutpie: {boxed.chains} chains, {boxed.tune} + {boxed.draws}\n  in "
        f"{boxed.seconds:.0f} s (time box {peer.limit:g} s), compiled in "
        f"{boxed.compile_seconds:.0f} s; {boxed.gradients:.0f} gradients and "
        f"{boxed.seconds_per_draw:.2g} s a draw;\n  worst ESS "
        f"{mixed.ess:.1f} ({mixed.worst}), chains one by one {mixed.ess_apart:.1f}, R-hat "
        f"{mixed.rhat:.2f}; load {load_average()}."
    )
    if not result.complete:
        print(
            f"  Cut by the time box, so extrapolated to as many draws as tuning steps: "
            f"{result.extrapolated_rate:.3g} ESS/s."
        )


def _print_agreement(own: Sequence[Partitions], theirs: Partitions, undecided: np.ndarray) -> None:
    """Whether both have the same posterior, beside how much our own runs differ."""
    ours = np.concatenate([found.labels for found in own])
    pooled = Partitions(ours, 0.0)
    pairs = pooled.together().mean(axis=(0, 1))[undecided]

    def distance(labels: np.ndarray) -> float:
        other = Partitions(labels, 0.0).together().mean(axis=(0, 1))[undecided]
        return float(np.abs(other - pairs).mean())

    one = np.mean([distance(chain[None]) for chain in ours])
    print(
        f"  Mean number of clusters: ours {pooled.n_clusters().mean():.2f}, theirs "
        f"{theirs.n_clusters().mean():.2f} (by chain {theirs.n_by_chain()}).\n  Mean absolute "
        "difference of co-clustering from that of all our draws, undecided pairs:\n  theirs "
        f"{distance(theirs.labels):.3f}, one of our chains {one:.3f}.",
        flush=True,
    )
