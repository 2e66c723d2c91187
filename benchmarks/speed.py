"""Effective draws per second of a hierarchical regression with full covariance, against peers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmtl.inference.chains import available_cores
from benchmarks.data import Example, read_school, school_like
from benchmarks.effective import Mixing
from benchmarks.own import run_own
from benchmarks.peers.mcmcpack import mcmcpack_missing, run_mcmcpack
from benchmarks.peers.nuts import MINIMUM_DRAWS, run_nuts
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["SpeedSettings", "run"]

COLUMNS = ("data", "peer", "ours ESS/s", "theirs ESS/s", "ratio", "target", "")


@dataclass(frozen=True)
class SpeedSettings:
    """Sizes and lengths.

    Parameters
    ----------
    n_tasks, n_features, n_rows : int
        Of the simulated data; the defaults are School's.
    draws, tune, chains : int
        Of ours.
    repeats : int
        Runs of ours with different seeds; the median counts.
    peers : bool
    nuts_seconds : float
        Time box of each run of PyMC with nutpie.
    nuts_lengths : tuple of (tune, draws)
        The usual length, and a short one, which stops before its adaptation is finished.
    nuts_chains : int
    pack_tune, pack_draws, pack_chains : int
        Of MCMCpack.
    school : bool
        Whether to use the real data too, where they are.
    seed : int
    """

    n_tasks: int = 139
    n_features: int = 27
    n_rows: int = 15_362
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    repeats: int = 3
    peers: bool = True
    nuts_seconds: float = 300.0
    nuts_lengths: tuple[tuple[int, int], ...] = ((1000, 1000), (100, 100))
    nuts_chains: int = 2
    pack_tune: int = 200
    pack_draws: int = 200
    pack_chains: int = 2
    school: bool = True
    seed: int = 1


def run(settings: SpeedSettings) -> None:
    """Print ours and the peers on the simulated data and on School."""
    examples = [school_like(settings.n_tasks, settings.n_features, settings.n_rows)]
    if settings.school:
        school = read_school()
        if school is None:
            print("School: skipped, ../shared/data/school.csv.gz is not there")
        else:
            examples.append(school)
    rows: list[tuple[object, ...]] = []
    for example in examples:
        heading(
            f"speed, {example.name} data: {example.frame['task'].nunique()} tasks x "
            f"{len(example.features)} features x {len(example.frame):,} rows"
        )
        print("Full feature covariance, shared noise, separate exchangeable intercept.")
        rate = _own(example, settings)
        if settings.peers:
            for length in settings.nuts_lengths:
                found = _nuts(example, settings, rate, length)
                rows.append((example.name, "PyMC, nutpie", rate, *found))
            rows.append((example.name, "MCMChregress", rate, *_pack(example, settings, rate)))
        else:
            rows.append((example.name, "-", rate, float("nan"), float("nan"), "-", "not run"))
    heading("speed: worst bulk ESS per second over means, sds, correlations and noise")
    print_table(COLUMNS, rows)
    for data, peer, ours, theirs, _, _, note in rows:
        headline(f"worst ESS a second, {data} data", ours, f"{peer}, {note}", theirs)


def _own(example: Example, settings: SpeedSettings) -> float:
    """Print our runs; the median rate under the default priors."""
    print(
        f"Ours: {settings.chains} chains on {min(available_cores(), settings.chains)} cores, "
        f"{settings.tune} + {settings.draws}, by repeats with different seeds; tuning counts."
    )
    lengths = {"draws": settings.draws, "tune": settings.tune, "chains": settings.chains}
    rows = []
    rates = []
    for repeat in range(settings.repeats + 1):
        lkj = repeat == settings.repeats
        own = run_own(example, **lengths, seed=settings.seed + repeat, lkj=lkj)
        if not lkj:
            rates.append(own.rate)
        rows.append(
            (
                "peer's priors (LKJ)" if lkj else "default (Huang-Wand)",
                own.rate,
                own.mixing.ess,
                own.mixing.worst,
                own.mixing.rhat,
                own.sampling_seconds,
                own.fit_seconds,
                own.compile_seconds,
                load_average(),
            )
        )
    names = (
        "priors",
        "ESS/s",
        "worst ESS",
        "of",
        "R-hat",
        "s",
        "whole fit s",
        "first fit s",
        "load",
    )
    print_table(names, rows)
    return float(np.median(rates))


def _nuts(
    example: Example, settings: SpeedSettings, rate: float, length: tuple[int, int]
) -> tuple[object, ...]:
    cores = min(available_cores(), settings.nuts_chains)
    tune, draws = length
    result = run_nuts(
        example,
        tune=tune,
        draws=draws,
        chains=settings.nuts_chains,
        cores=cores,
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if result is None:
        print(
            f"PyMC: a chain made fewer than {MINIMUM_DRAWS} draws after {tune} tuning steps in "
            f"{settings.nuts_seconds:g} s; no estimate"
        )
        return float("nan"), float("nan"), "3000", "too slow to estimate"
    print(
        f"PyMC, non-centred, LKJ, nutpie: {result.chains} chains on {cores} cores, {result.tune} + "
        f"{result.draws} in {result.seconds:.0f} s (time box {settings.nuts_seconds:g} s),\n"
        f"  compiled in {result.compile_seconds:.0f} s; {result.gradients:.0f} gradients and "
        f"{result.seconds_per_draw:.2f} s a draw; {_mixing(result.mixing)}."
    )
    if not result.complete:
        print(
            f"  Cut by the time box, so extrapolated to as many draws as tuning steps: "
            f"{result.extrapolated_rate:.3g} ESS/s =\n"
            "  ESS per draw (better of together and one by one) x chains / (2 x seconds a draw), "
            "or this run's if larger."
        )
    return result.rate, rate / result.rate, "3000", result.note


def _pack(example: Example, settings: SpeedSettings, rate: float) -> tuple[object, ...]:
    missing = mcmcpack_missing()
    if missing is not None:
        print(f"MCMChregress: skipped, {missing}")
        return float("nan"), float("nan"), "100", f"skipped: {missing}"
    tune, draws, chains = settings.pack_tune, settings.pack_draws, settings.pack_chains
    try:
        result = run_mcmcpack(example, tune=tune, draws=draws, chains=chains, seed=settings.seed)
    except RuntimeError as error:
        print(error)
        return float("nan"), float("nan"), "100", "failed"
    # As many burn-in sweeps as draws: a longer run has the same rate.
    theirs = result.mixing.ess / result.seconds
    print(
        f"MCMCpack {result.version} MCMChregress: {chains} R processes at once, {tune} + {draws} "
        f"in {result.seconds:.0f} s; {_mixing(result.mixing)}.\n"
        "  Its intercept is part of the full covariance; burn-in counts."
    )
    return theirs, rate / theirs, "100", f"{tune}+{draws} draws"


def _mixing(found: Mixing) -> str:
    return (
        f"worst ESS {found.ess:.1f} ({found.worst}), chains one by one {found.ess_apart:.1f}, "
        f"R-hat {found.rhat:.2f}; load {load_average()}"
    )
