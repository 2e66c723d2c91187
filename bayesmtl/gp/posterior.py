"""The posterior of the hyperparameters as a density of a vector, and draws from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from bayesmtl.errors import UnsupportedError
from bayesmtl.gp.hyperparameters import Hyper, HyperPrior
from bayesmtl.gp.problem import Marginal
from bayesmtl.inference.approximations import (
    Normal,
    Target,
    evaluate,
    fit_laplace,
    maximise,
)
from bayesmtl.posterior.importance import smoothed_weights

__all__ = ["HyperDraws", "LogPosterior", "approximate", "sample_nuts"]

_ITERATIONS, _STARTS = 2000, 3
_LEAST_CURVATURE = 0.3
_STATS = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "energy": "energy",
    "energy_error": "energy_error",
    "mean_tree_accept": "acceptance_rate",
    "step_size": "step_size",
    "maxdepth_reached": "reached_max_treedepth",
}


class HyperDraws(NamedTuple):
    """Draws of the vector of free hyperparameters.

    Parameters
    ----------
    points : (chain, draw, size)
    lp : (chain, draw)
    stats : dict of (chain, draw) arrays
    pareto_k : float or None
        Of an approximation.
    interrupted : bool
    """

    points: np.ndarray
    lp: np.ndarray
    stats: dict[str, np.ndarray]
    pareto_k: float | None = None
    interrupted: bool = False


class _Recoverable(ValueError):
    """Tells the sampler to step back from where the density cannot be computed."""

    is_recoverable = True


class LogPosterior(NamedTuple):
    """Log density of a vector and its gradient."""

    prior: HyperPrior
    marginal: Marginal

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (size,).

        Raises
        ------
        numpy.linalg.LinAlgError
            Where a covariance is not positive definite in floating point.
        """
        hyper: Hyper = self.prior.values(vector)
        value, gradient = self.marginal(hyper)
        more, by_vector = self.prior.log_prior(vector, hyper)
        return value + more, self.prior.pull_back(vector, hyper, gradient) + by_vector

    def or_nothing(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The same, minus infinity where it cannot be computed."""
        try:
            return self(vector)
        except np.linalg.LinAlgError:
            return -np.inf, np.zeros_like(vector)

    def or_error(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The same, an error that the sampler knows where it cannot be computed."""
        try:
            value, gradient = self(vector)
        except np.linalg.LinAlgError as error:
            raise _Recoverable(str(error)) from None
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise _Recoverable("the density is not finite")
        return value, gradient


def sample_nuts(
    target: LogPosterior,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    random_seed: int | None,
    progressbar: bool,
) -> HyperDraws:
    """Sample by the No-U-Turn sampler of nutpie, from dispersed starts.

    Raises
    ------
    KeyboardInterrupt
        When it was interrupted before any draw.
    """
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    size = target.prior.size
    if size == 0:
        return HyperDraws(np.zeros((chains, draws, 0)), np.zeros((chains, draws)), {})

    def expand(seed1: Any, seed2: Any, chain: Any) -> Any:
        return lambda vector: {"vector": np.array(vector)}

    model = from_pyfunc(
        size,
        lambda: target.or_error,
        expand,
        [np.dtype(np.float64)],
        [(size,)],
        ["vector"],
        make_initial_point_fn=lambda seed: target.prior.start(np.random.default_rng(seed)),
    )
    # Chains are what runs in parallel.
    with threadpool_limits(1, "blas"):
        tree = nutpie.sample(
            model,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=random_seed,
            progress_bar=progressbar,
            save_warmup=False,
        )
    stats = tree["sample_stats"].to_dataset()
    lp = stats["logp"].to_numpy()
    finished = int(np.isfinite(lp).all(axis=0).sum())
    if finished == 0:
        raise KeyboardInterrupt("interrupted before any draw was finished")
    named = {
        name: stats[old].to_numpy()[:, :finished] for old, name in _STATS.items() if old in stats
    }
    points = tree["posterior"]["vector"].to_numpy()[:, :finished]
    return HyperDraws(points, lp[:, :finished], named, interrupted=finished < draws)


def _best_start(target: LogPosterior, rng: np.random.Generator) -> np.ndarray:
    """The highest of the modes that dispersed starts lead to: kernels may share the rows unevenly.

    Raises
    ------
    UnsupportedError
        When the density is not finite at any of them.
    """
    several = _STARTS if target.prior.n_components > 1 else 1
    starts = [target.prior.start(rng) for _ in range(several)]
    found = [maximise(target.or_nothing, start, _ITERATIONS) for start in starts]
    best = min(found, key=lambda one: float(one.fun))
    if not np.isfinite(best.fun):
        raise UnsupportedError(
            "inference='map' found no mode: the posterior density is not finite; use "
            "inference='gibbs'"
        )
    return np.asarray(best.x)


def _bounded_normal(target: Target) -> Normal:
    """The normal where an optimiser stops short of a mode, curvatures at least those of a prior."""
    x, step = target.start, 1e-4
    steps = step * np.eye(x.size)
    hessian = (evaluate(target, x - steps)[1] - evaluate(target, x + steps)[1]) / (2.0 * step)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    root = vectors / np.sqrt(np.maximum(values, _LEAST_CURVATURE))
    return Normal(x, np.linalg.cholesky(root @ root.T))


def approximate(
    target: LogPosterior, *, draws: int, chains: int, rng: np.random.Generator
) -> HyperDraws:
    """Draws of the normal at the mode, with the Pareto k of their importance ratios.

    Raises
    ------
    UnsupportedError
        When no mode is found.
    """
    size = target.prior.size
    if size == 0:
        return HyperDraws(np.zeros((chains, draws, 0)), np.zeros((chains, draws)), {})
    density = Target(target.or_nothing, _best_start(target, rng), ("hyperparameters",) * size)
    try:
        normal: Normal = fit_laplace(density, iterations=_ITERATIONS, rng=rng)
    except UnsupportedError:
        normal = _bounded_normal(density)
    points, log_q = normal.draw(draws * chains, rng)
    log_p, _ = evaluate(density, points)
    k = smoothed_weights(log_p - log_q)[1] if np.isfinite(log_p).all() else np.inf
    return HyperDraws(
        points.reshape(chains, draws, size), log_p.reshape(chains, draws), {}, float(k)
    )
