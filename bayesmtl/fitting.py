"""Running a prepared model: sampling, then the result."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Prepared, Problem
from bayesmtl.errors import InvalidModelError, UnsupportedError, warn
from bayesmtl.inference.chains import available_cores
from bayesmtl.inference.compilation import told_of_compilation
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.options import NutsOptions, Options
from bayesmtl.inference.support import require_supported
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian

__all__ = ["check_sizes", "run", "run_settings"]

_WEIGHT_BYTES = 1 << 30
_MOST_WEIGHT_BYTES = 1 << 32
NO_DRAWS = (
    "the fit ended before any draw was finished, nothing is kept: fit again; once the tuning is "
    "over, Ctrl-C keeps the finished draws"
)


def check_sizes(
    *, draws: int, tune: int, chains: int, cores: int | None, random_seed: int | None
) -> None:
    """Check the settings of a run.

    Raises
    ------
    InvalidModelError
        For a size that is not a positive integer, or a seed that is not a non-negative one.
    """
    bounds = {"draws": (draws, 1), "tune": (tune, 0), "chains": (chains, 1), "cores": (cores, 1)}
    for name, (value, least) in bounds.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InvalidModelError(f"{name} must be an integer of at least {least}, got {value!r}")
    if random_seed is not None and (
        isinstance(random_seed, bool)
        or not isinstance(random_seed, int | np.integer)
        or random_seed < 0
    ):
        raise InvalidModelError(
            f"random_seed must be a non-negative integer or None, got {random_seed!r}"
        )


def run_settings(
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    random_seed: int | None,
    progressbar: bool,
) -> dict[str, Any]:
    """The settings of a run, checked; as many chains at a time as there are processors by default.

    Raises
    ------
    InvalidModelError
        As `check_sizes`.
    """
    check_sizes(draws=draws, tune=tune, chains=chains, cores=cores, random_seed=random_seed)
    return {
        "draws": draws,
        "tune": tune,
        "chains": chains,
        "cores": cores or min(available_cores(), chains),
        "random_seed": random_seed,
        "progressbar": progressbar,
    }


@told_of_compilation
def run(
    prepared: Prepared,
    likelihood: Likelihood,
    *,
    model: dict[str, Any],
    constant_sharing: float | None,
    inference: str,
    options: Options,
    settings: dict[str, Any],
) -> xr.DataTree:
    """Sample a prepared model and build its result.

    Parameters
    ----------
    prepared : Prepared
    likelihood : Likelihood
    model : dict
        Settings of the model, kept with the result.
    constant_sharing : float or None
        0 or 1 where the relation fixes how much is shared.
    inference : str
        A method of `bayesmtl.inference.options`.
    options : Options
        Of this method.
    settings : dict
        draws, tune, chains, cores, random_seed and progressbar.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    UnsupportedError
        When the method does not work for the model.
    KeyboardInterrupt
        When Ctrl-C comes before there is a draw to keep.

    Warns
    -----
    BayesMTLWarning
        When the diagnostics are not passed, with their verdict.
    """
    from bayesmtl.posterior.build import FitRecord, build_tree

    problem = prepared.problem
    require_supported(problem, likelihood, inference)
    keep = _keeps_weights(problem, settings)
    started = time.perf_counter()
    stats: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {}
    attrs: dict[str, Any] = {}
    try:
        if inference == "gibbs":
            draws, interrupted = _gibbs(problem, likelihood, keep, settings)
            about = {"sites": "exact" if problem.row_data is None else "corrected"}
        elif isinstance(options, NutsOptions):
            from bayesmtl.inference.nuts import sample_nuts

            draws, stats, interrupted = sample_nuts(
                prepared, likelihood, options=options, **settings
            )
        else:
            draws, interrupted, report = _approximate(
                prepared, likelihood, inference, options, settings
            )
            about, attrs = report.summary(), report.attrs()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NO_DRAWS) from None
    sizes = {name: int(settings[name]) for name in ("draws", "tune", "chains")}
    record = FitRecord(
        model=model,
        design=prepared.design,
        task_design=prepared.task_design,
        inference={"method": inference, **sizes, **asdict(options), **about},
        random_seed=settings["random_seed"],
        seconds=time.perf_counter() - started,
        incomplete=interrupted,
        constant_sharing=constant_sharing,
        columns=prepared.columns,
    )
    tree = build_tree(problem, draws, record, sample_stats=stats, cores=settings["cores"])
    tree.attrs.update(attrs)
    if not json.loads(tree.attrs["diagnostics"])["passed"]:
        warn(tree.attrs["verdict"])
    return tree


def _gibbs(
    problem: Problem, likelihood: Likelihood, keep: bool, settings: dict[str, Any]
) -> tuple[Draws, bool]:
    """Gibbs sampling on exact sites, or around approximate ones."""
    if isinstance(likelihood, Gaussian):
        from bayesmtl.inference.gibbs import sample_gibbs

        return sample_gibbs(problem, likelihood, keep_weights=keep, **settings)
    from bayesmtl.inference.corrected import sample_corrected

    return sample_corrected(problem, **settings)


def _approximate(
    prepared: Prepared,
    likelihood: Likelihood,
    inference: str,
    options: Options,
    settings: dict[str, Any],
) -> tuple[Draws, bool, Any]:
    """Draws of an approximation, whether they were interrupted, and its report."""
    if inference == "laplace_sites":
        from bayesmtl.inference.laplace_sites import sample_laplace_sites

        return sample_laplace_sites(prepared.problem, likelihood, **settings)
    needed = {name: settings[name] for name in ("draws", "chains", "random_seed")}
    if inference == "cavi":
        draws, report = _ascend(prepared.problem, likelihood, needed)
        return draws, False, report
    from bayesmtl.inference.variational import sample_variational

    normal, of_normal = sample_variational(
        prepared,
        likelihood,
        method=inference,
        options=options,
        progressbar=settings["progressbar"],
        **needed,
    )
    return normal, False, of_normal


def _ascend(
    problem: Problem, likelihood: Likelihood, settings: dict[str, Any]
) -> tuple[Draws, Any]:
    """Coordinate ascent for clusters, or for correlated tasks."""
    if problem.task_covariance is None:
        from bayesmtl.inference.cavi import sample_clusters

        return sample_clusters(problem, likelihood, **settings)
    from bayesmtl.inference.cavi_covariance import sample_correlated

    return sample_correlated(problem, likelihood, **settings)


def _require_room(problem: Problem, settings: dict[str, Any]) -> None:
    """Refuse more covariances of tasks than memory holds."""
    n_tasks, prior = problem.prior.n_tasks, problem.task_covariance
    n_bytes = 8 * n_tasks**2 * settings["draws"] * settings["chains"]
    if prior is not None and prior.kind != "low_rank" and n_bytes > _MOST_WEIGHT_BYTES:
        raise UnsupportedError(
            f"the covariances of {n_tasks:,} tasks take {n_bytes / 2**30:,.0f} GiB in "
            f"{settings['chains']} x {settings['draws']} draws, more than "
            f"{_MOST_WEIGHT_BYTES / 2**30:.0f} GiB: use fewer draws, or bm.LowRank()"
        )


def _keeps_weights(problem: Problem, settings: dict[str, Any]) -> bool:
    """Whether the draws of the weights are few enough to be kept.

    Raises
    ------
    UnsupportedError
        When they are too many, and sites cannot give them again, or a dense covariance of the
        tasks is too large.
    """
    _require_room(problem, settings)
    n_bytes = 8 * problem.prior.n_tasks * problem.design.shape[1]
    n_bytes *= settings["draws"] * settings["chains"]
    # Only exact sites of tasks that are independent given the population can give them again.
    apart = problem.task_covariance is None and problem.sparse is None
    if problem.row_data is None and apart:
        return bool(n_bytes <= _WEIGHT_BYTES)
    if n_bytes > _MOST_WEIGHT_BYTES:
        raise UnsupportedError(
            f"the weights of {problem.prior.n_tasks:,} tasks take {n_bytes / 2**30:,.0f} GiB "
            f"in {settings['chains']} x {settings['draws']} draws, more than "
            f"{_MOST_WEIGHT_BYTES / 2**30:.0f} GiB: use fewer draws"
        )
    return True
