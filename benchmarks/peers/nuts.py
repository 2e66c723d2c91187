"""PyMC's hierarchical regression (non-centred weights, LKJ), and NUTS of nutpie in a time box."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from benchmarks.data import Example
from benchmarks.effective import Mixing, correlation_elements, mixing

__all__ = ["MINIMUM_DRAWS", "Boxed", "NutsRun", "row_model", "run_nuts", "sample_in_box"]

MINIMUM_DRAWS = 20
_KEPT = ("mu", "cov_corr", "cov_stds", "noise_sd")


class Boxed(NamedTuple):
    """A run of NUTS that its time box may have cut: `NutsRun` with draws in place of mixing.

    Parameters
    ----------
    posterior : xarray.Dataset
        The draws that every chain has made.
    """

    compile_seconds: float
    seconds: float
    tune: int
    draws: int
    chains: int
    complete: bool
    gradients: float
    seconds_per_draw: float
    cpu_seconds: float
    posterior: xr.Dataset


class NutsRun(NamedTuple):
    """A short run and what it says of a long one.

    Parameters
    ----------
    compile_seconds, seconds : float
        ``seconds`` counts tuning and draws.
    tune, draws, chains : int
        ``draws`` that every chain has made.
    complete : bool
        Whether these are the draws asked for: the time box did not cut the run.
    gradients : float
        Gradient evaluations of a draw after tuning.
    seconds_per_draw : float
        Of one chain, all chains running, after tuning.
    cpu_seconds : float
        Of all processors for ``seconds``, which other programs disturb less.
    mixing : Mixing
    """

    compile_seconds: float
    seconds: float
    tune: int
    draws: int
    chains: int
    complete: bool
    gradients: float
    seconds_per_draw: float
    cpu_seconds: float
    mixing: Mixing

    @property
    def rate(self) -> float:
        """Worst effective draws per second: of this run, or extrapolated where it was cut."""
        measured = self.mixing.ess / self.seconds
        return measured if self.complete else max(measured, self.extrapolated_rate)

    @property
    def extrapolated_rate(self) -> float:
        """That of a long run with as many draws as tuning steps, in the peer's favour.

        Tuning steps are taken to cost what draws cost; disagreement of the chains does not count.
        """
        per_draw = max(self.mixing.ess, self.mixing.ess_apart) / (self.draws * self.chains)
        return per_draw * self.chains / (2.0 * self.seconds_per_draw)

    @property
    def note(self) -> str:
        """Its length, and whether its rate is extrapolated."""
        how = "" if self.complete else ", extrapolated"
        return f"{self.tune}+{self.draws} draws{how}"


def row_model(example: Example) -> Any:
    """The hierarchical regression on its rows, features and response standardised."""
    import pymc as pm

    task = example.frame["task"].to_numpy()
    codes = np.unique(task, return_inverse=True)[1]
    x = example.frame[list(example.features)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = example.frame["y"].to_numpy()
    y = (y - y.mean()) / y.std()
    coords = {"task": np.unique(task), "feature": list(example.features)}
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", 0.0, 2.5, dims="feature")
        chol, _, _ = pm.LKJCholeskyCov(
            "cov", eta=2.0, n=x.shape[1], sd_dist=pm.HalfNormal.dist(1.0, shape=x.shape[1])
        )
        z = pm.Normal("z", dims=("task", "feature"))
        weights = mu + z @ chol.T
        intercept_mean = pm.Normal("intercept_mean", 0.0, 2.5)
        intercept_sd = pm.HalfNormal("intercept_sd", 1.0)
        z_intercept = pm.Normal("z_intercept", dims="task")
        intercept = intercept_mean + intercept_sd * z_intercept
        noise_sd = pm.HalfNormal("noise_sd", 1.0)
        predictor = intercept[codes] + (x * weights[codes]).sum(axis=1)
        pm.Normal("y", predictor, noise_sd, observed=y)
    return model


def run_nuts(
    example: Example, *, tune: int, draws: int, chains: int, cores: int, limit: float, seed: int
) -> NutsRun | None:
    """Sample the hierarchical regression; None where a chain did not reach 20 draws in time."""
    boxed = sample_in_box(
        row_model(example),
        _KEPT,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        limit=limit,
        seed=seed,
    )
    if boxed is None:
        return None
    quantities = {
        "mean": boxed.posterior["mu"].values,
        "sd": boxed.posterior["cov_stds"].values,
        "correlation": correlation_elements(boxed.posterior["cov_corr"].values),
        "noise": boxed.posterior["noise_sd"].values,
    }
    return NutsRun(*boxed[:-1], mixing=mixing(quantities))


def sample_in_box(
    model: Any,
    kept: Sequence[str],
    *,
    tune: int,
    draws: int,
    chains: int,
    cores: int,
    limit: float,
    seed: int,
) -> Boxed | None:
    """Sample at most ``limit`` seconds; None where a chain did not reach 20 draws after tuning.

    `nutpie.sample` is what ``pm.sample(nuts_sampler="nutpie")`` calls; called here, its compilation
    can be timed apart and the run can be stopped.

    Parameters
    ----------
    model : pymc.Model
    kept : sequence of str
        Variables to store.
    tune, draws, chains, cores, limit, seed
        Of nutpie; ``limit`` in seconds.
    """
    import nutpie

    started = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model, var_names=list(kept))
    compile_seconds = time.perf_counter() - started
    started, cpu_started = time.perf_counter(), time.process_time()
    sampler: Any = nutpie.sample(
        compiled,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        seed=seed,
        progress_bar=False,
        blocking=False,
    )
    try:
        tree = sampler.wait(timeout=limit)
    except TimeoutError:
        tree = sampler.abort()
    took = time.perf_counter() - started, time.process_time() - cpu_started
    return _boxed(tree, compile_seconds, took, tune, draws)


def _boxed(
    tree: xr.DataTree, compile_seconds: float, took: tuple[float, float], tune: int, asked: int
) -> Boxed | None:
    gradients = np.asarray(tree["sample_stats"].to_dataset()["n_steps"])
    before = np.asarray(tree["warmup_sample_stats"].to_dataset()["n_steps"])
    # Draws that an interrupted chain has not reached are recorded with no step.
    draws = int((gradients > 0).sum(axis=1).min())
    if draws < MINIMUM_DRAWS:
        return None
    # The chain with the most gradients ran all the time.
    busiest = float((gradients.sum(axis=1) + before.sum(axis=1)).max())
    each = float(gradients[:, :draws].mean())
    return Boxed(
        compile_seconds=compile_seconds,
        seconds=took[0],
        tune=tune,
        draws=draws,
        chains=gradients.shape[0],
        complete=draws == asked,
        gradients=each,
        seconds_per_draw=each * took[0] / busiest,
        cpu_seconds=took[1],
        posterior=tree["posterior"].to_dataset().isel(draw=slice(draws)),
    )
