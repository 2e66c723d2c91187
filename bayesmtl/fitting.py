"""Running a prepared model: sampling, then the result."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Prepared
from bayesmtl.errors import InvalidModelError, warn
from bayesmtl.likelihoods.gaussian import Gaussian

__all__ = ["check_sizes", "run"]

_WEIGHT_BYTES = 1 << 30
_NO_DRAWS = (
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


def run(
    prepared: Prepared,
    likelihood: Gaussian,
    *,
    model: dict[str, Any],
    constant_sharing: float | None,
    inference: str,
    settings: dict[str, Any],
) -> xr.DataTree:
    """Sample a prepared model and build its result.

    Parameters
    ----------
    prepared : Prepared
    likelihood : Gaussian
    model : dict
        Settings of the model, kept with the result.
    constant_sharing : float or None
        0 or 1 where the relation fixes how much is shared.
    inference : {"gibbs", "nuts"}
    settings : dict
        draws, tune, chains, cores, random_seed and progressbar.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C comes before there is a draw to keep.

    Warns
    -----
    BayesMTLWarning
        When the diagnostics are not passed, with their verdict.
    """
    from bayesmtl.posterior.build import FitRecord, build_tree

    problem = prepared.problem
    per_draw = problem.prior.n_tasks * problem.design.shape[1] * 8
    keep = per_draw * settings["draws"] * settings["chains"] <= _WEIGHT_BYTES
    started = time.perf_counter()
    stats: dict[str, np.ndarray] = {}
    try:
        if inference == "gibbs":
            from bayesmtl.inference.gibbs import sample_gibbs

            draws, interrupted = sample_gibbs(problem, likelihood, keep_weights=keep, **settings)
        else:
            from bayesmtl.inference.nuts import sample_nuts

            draws, stats, interrupted = sample_nuts(prepared, likelihood, **settings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_NO_DRAWS) from None
    sizes = {name: int(settings[name]) for name in ("draws", "tune", "chains")}
    record = FitRecord(
        model=model,
        design=prepared.design,
        task_design=prepared.task_design,
        inference={"method": inference, **sizes},
        random_seed=settings["random_seed"],
        seconds=time.perf_counter() - started,
        incomplete=interrupted,
        constant_sharing=constant_sharing,
        columns=prepared.columns,
    )
    tree = build_tree(problem, draws, record, sample_stats=stats, cores=settings["cores"])
    if not json.loads(tree.attrs["diagnostics"])["passed"]:
        warn(tree.attrs["verdict"])
    return tree
