"""Worst effective draws per second of a hierarchical regression with full covariance, against peers."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import bayesmtl as bm
from bayesmtl.inference.chains import available_cores
from benchmarks.data import Example, formula_of, read_school, school_like
from benchmarks.effective import Mixing, correlation_elements, mixing
from benchmarks.peers.mcmcpack import mcmcpack_missing, run_mcmcpack
from benchmarks.peers.nuts import MINIMUM_DRAWS, run_nuts
from benchmarks.reporting import heading, load_average, print_table

__all__ = ["OwnRun", "SpeedSettings", "run", "run_own"]

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
        Time box of PyMC with nutpie.
    nuts_tune, nuts_draws, nuts_chains : int
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
    nuts_tune: int = 150
    nuts_draws: int = 1000
    nuts_chains: int = 2
    pack_tune: int = 200
    pack_draws: int = 200
    pack_chains: int = 2
    school: bool = True
    seed: int = 1


class OwnRun(NamedTuple):
    """One fit: what it needed and how it mixed.

    Parameters
    ----------
    sampling_seconds, fit_seconds : float
        Tuning and draws; everything from the data frame to the result with its summaries.
    compile_seconds : float
        A first fit of a few draws, which loads or compiles the kernels.
    mixing : Mixing
    """

    sampling_seconds: float
    fit_seconds: float
    compile_seconds: float
    mixing: Mixing

    @property
    def rate(self) -> float:
        """Worst effective draws per second of sampling."""
        return self.mixing.ess / self.sampling_seconds


def run_own(
    example: Example, *, draws: int, tune: int, chains: int, seed: int, lkj: bool = False
) -> OwnRun:
    """Fit the model with the Gibbs sampler; ``lkj`` takes the peer's priors instead of the defaults."""
    features = list(example.features)
    unit = example.frame["y"].std() / example.frame[features].std()
    relation = bm.Exchangeable(
        feature_covariance="full",
        scale={f: bm.Prior("HalfNormal", sigma=float(unit[f])) for f in features} if lkj else None,
        correlation=bm.Prior("LKJ", eta=2.0) if lkj else None,
    )
    model = bm.Model(
        formula_of(example.features),
        task="task",
        relation=relation,
        likelihood=bm.Gaussian(noise="shared"),
    )
    cores = min(available_cores(), chains)
    with warnings.catch_warnings():
        # The verdict is printed as effective draws; the first fit is meant to be too short.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        compile_seconds, fit_seconds = np.nan, np.nan
        for n_draws, n_tune in ((4, 4), (draws, tune)):
            started = time.perf_counter()
            tree = model.fit(
                example.frame,
                draws=n_draws,
                tune=n_tune,
                chains=chains,
                cores=cores,
                random_seed=seed,
                progressbar=False,
            )
            compile_seconds, fit_seconds = fit_seconds, time.perf_counter() - started
    posterior = tree["posterior"]
    quantities = {
        "mean": posterior["population_mean"].values,
        "sd": posterior["population_sd"].values,
        "correlation": correlation_elements(posterior["feature_correlation"].values),
        "noise": posterior["noise_sd"].values,
    }
    seconds = float(tree.attrs["sampling_seconds"])
    return OwnRun(seconds, fit_seconds, compile_seconds, mixing(quantities))


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
            rows.append((example.name, "PyMC, nutpie", rate, *_nuts(example, settings, rate)))
            rows.append((example.name, "MCMChregress", rate, *_pack(example, settings, rate)))
        else:
            rows.append((example.name, "-", rate, float("nan"), float("nan"), "-", "not run"))
    heading("speed: worst bulk ESS per second over means, sds, correlations and noise")
    print_table(COLUMNS, rows)


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
    names = ("priors", "ESS/s", "worst ESS", "of", "R-hat", "s", "whole fit s", "first fit s", "load")
    print_table(names, rows)
    return float(np.median(rates))


def _nuts(example: Example, settings: SpeedSettings, rate: float) -> tuple[object, ...]:
    cores = min(available_cores(), settings.nuts_chains)
    result = run_nuts(
        example,
        tune=settings.nuts_tune,
        draws=settings.nuts_draws,
        chains=settings.nuts_chains,
        cores=cores,
        limit=settings.nuts_seconds,
        seed=settings.seed,
    )
    if result is None:
        print(
            f"PyMC: a chain made fewer than {MINIMUM_DRAWS} draws after {settings.nuts_tune} tuning "
            f"steps in {settings.nuts_seconds:g} s; no estimate"
        )
        return float("nan"), float("nan"), "3000", "too slow to estimate"
    theirs = max(result.measured_rate, result.extrapolated_rate)
    print(
        f"PyMC, non-centred, LKJ, nutpie: {result.chains} chains on {cores} cores, {result.tune} + "
        f"{result.draws} in {result.seconds:.0f} s (time box {settings.nuts_seconds:g} s), compiled in "
        f"{result.compile_seconds:.0f} s,\n"
        f"  {result.gradients:.0f} gradients and {result.seconds_per_draw:.2f} s a draw; worst ESS "
        f"{result.mixing.ess:.1f}, chains one by one {result.mixing.ess_apart:.1f}, R-hat "
        f"{result.mixing.rhat:.2f} ({result.mixing.worst}); load {load_average()}.\n"
        f"  This run: {result.measured_rate:.3g} ESS/s. A run with as many draws as tuning steps:\n"
        f"  {result.extrapolated_rate:.3g} ESS/s = ESS per draw (the better of together and one by one) x "
        f"chains / (2 x seconds a draw).\n  The larger of the two counts."
    )
    note = f"{result.tune}+{result.draws} draws, extrapolated"
    return theirs, rate / theirs, "3000", note


def _pack(example: Example, settings: SpeedSettings, rate: float) -> tuple[object, ...]:
    missing = mcmcpack_missing()
    if missing is not None:
        print(f"MCMChregress: skipped, {missing}")
        return float("nan"), float("nan"), "100", f"skipped: {missing}"
    tune, draws, chains = settings.pack_tune, settings.pack_draws, settings.pack_chains
    result = run_mcmcpack(example, tune=tune, draws=draws, chains=chains, seed=settings.seed)
    # As many burn-in sweeps as draws: a longer run has the same rate.
    theirs = max(result.mixing.ess, result.mixing.ess_apart) / result.seconds
    print(
        f"MCMCpack {result.version} MCMChregress: {chains} R processes at once, {tune} + {draws} in "
        f"{result.seconds:.0f} s; worst ESS {result.mixing.ess:.1f}, chains one by one "
        f"{result.mixing.ess_apart:.1f}, R-hat {result.mixing.rhat:.2f} ({result.mixing.worst}); load "
        f"{load_average()}.\n  Its intercept is part of the full covariance; burn-in counts."
    )
    return theirs, rate / theirs, "100", f"{tune}+{draws} draws"
