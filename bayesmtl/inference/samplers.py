"""No-U-Turn samplers of other packages on a PyMC graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.inference.options import NutsOptions

__all__ = ["Trace", "run_sampler"]

# Names of nutpie to those of the ArviZ schema.
_OF_NUTPIE = {
    "depth": "tree_depth",
    "mean_tree_accept": "acceptance_rate",
    "maxdepth_reached": "reached_max_treedepth",
    "logp": "lp",
}
_STATS = (
    "diverging",
    "tree_depth",
    "n_steps",
    "energy",
    "energy_error",
    "acceptance_rate",
    "step_size",
    "reached_max_treedepth",
)


class Trace(NamedTuple):
    """Finished draws of all chains.

    Parameters
    ----------
    posterior : xarray.Dataset
        Variables of the graph.
    stats : dict of (chain, draw) arrays
        Named as in the ArviZ schema.
    log_density : (chain, draw)
        In the unconstrained space.
    """

    posterior: xr.Dataset
    stats: dict[str, np.ndarray]
    log_density: np.ndarray


def run_sampler(
    graph: Any,
    options: NutsOptions,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> Trace:
    """Sample a PyMC model.

    Parameters
    ----------
    graph : pymc.Model
    options : NutsOptions
    draws, tune, chains, cores : int
    random_seed : int or None
    progressbar : bool

    Returns
    -------
    Trace
        Interrupted, it has the draws that all chains have finished.
    """
    common = {"draws": draws, "tune": tune, "chains": chains, "cores": cores}
    tree: Any
    if options.sampler == "nutpie":
        import nutpie

        tree = nutpie.sample(
            nutpie.compile_pymc_model(graph),
            **common,
            seed=random_seed,
            progress_bar=progressbar,
            save_warmup=False,
            target_accept=options.target_accept,
            maxdepth=options.max_treedepth,
        )
    else:
        import pymc as pm

        depth = "max_tree_depth" if options.sampler == "numpyro" else "max_treedepth"
        # One chain after the other: those of PyMC are forks of a process that has threads here.
        tree = pm.sample(
            model=graph,
            **(common | {"cores": 1}),
            random_seed=random_seed,
            progressbar=progressbar,
            quiet=not progressbar,
            nuts_sampler=options.sampler,
            nuts={"target_accept": options.target_accept, depth: options.max_treedepth},
            # Ours judge every method alike.
            compute_convergence_checks=False,
        )
    stats = tree["sample_stats"].to_dataset()
    stats = stats.rename({old: new for old, new in _OF_NUTPIE.items() if old in stats})
    if options.sampler == "numpyro":
        # It comes as a potential.
        stats["lp"] = -stats["lp"]
    finished = int(np.isfinite(stats["lp"].to_numpy()).all(axis=0).sum())
    kept = {"draw": slice(0, finished)}
    named = {name: stats[name].isel(kept).to_numpy() for name in _STATS if name in stats}
    posterior = tree["posterior"].to_dataset().isel(kept, missing_dims="ignore")
    return Trace(posterior, named, stats["lp"].isel(kept).to_numpy())
