"""Normal approximations of the PyMC graph in its unconstrained space: ADVI, Pathfinder, Laplace.

The graph is the one of `bayesmtl.inference.nuts`: non-centred on exact sites, and around the sites
where the likelihood is not Gaussian ("whitened"), which brings its density near a normal one. Every
method ends in independent draws and in the importance ratios of the posterior over the
approximation, whose Pareto k tells how far the two are apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import UnsupportedError
from bayesmtl.evidence import task_sites
from bayesmtl.inference.approximations import (
    Target,
    draw_pathfinder,
    evaluate,
    fit_advi,
    fit_laplace,
)
from bayesmtl.inference.console import watched_console
from bayesmtl.inference.draws import Draws
from bayesmtl.inference.nuts import build_graph, internal_draws
from bayesmtl.inference.options import AdviOptions, LaplaceOptions, Options, PathfinderOptions
from bayesmtl.inference.support import require_supported
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.posterior.importance import (
    reported_pareto_k,
    smoothed_weights,
    systematic,
)

if TYPE_CHECKING:
    from bayesmtl.assembly import Prepared, Problem

__all__ = ["Report", "sample_variational"]


class Report(NamedTuple):
    """What the approximation has to say of itself.

    Parameters
    ----------
    elbo : float or None
        Lower bound of ``log p(y)``, user units of y, where the method maximises it.
    pareto_k : float or None
        Of the importance ratios of posterior over approximation; None where it cannot be told.
    """

    elbo: float | None
    pareto_k: float | None

    def summary(self) -> dict[str, Any]:
        """What the diagnostics judge by."""
        return {"pareto_k": self.pareto_k}

    def attrs(self) -> dict[str, Any]:
        """Root attributes of the result."""
        known = {"elbo": self.elbo, "pareto_k": self.pareto_k}
        return {"approximate": 1} | {
            name: value for name, value in known.items() if value is not None
        }


class _Sample(NamedTuple):
    """Draws (draw, n) in the unconstrained space.

    Parameters
    ----------
    points : (draw, n)
    log_density : (draw,)
    log_ratio : (candidate,)
        Of target over proposal; of the draws, or of what they were resampled from.
    pareto_k : float
    """

    points: np.ndarray
    log_density: np.ndarray
    log_ratio: np.ndarray
    pareto_k: float


def sample_variational(
    prepared: Prepared,
    likelihood: Likelihood,
    *,
    method: str,
    options: Options,
    draws: int,
    chains: int,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[Draws, Report]:
    """Independent draws from an approximation of the posterior.

    Parameters
    ----------
    prepared : Prepared
    likelihood : Likelihood
    method : {"advi", "fullrank_advi", "pathfinder", "laplace"}
        A normal of the largest evidence lower bound, with independent or with correlated
        coordinates; the best normals on several optimisation paths, resampled by their importance;
        or the normal at the mode. Independent coordinates underestimate the sds of what is
        correlated in the posterior: means of different features; under a Gaussian likelihood also
        offsets of the tasks with their population mean, scales with offsets, intercepts with
        slopes.
    options : Options
        Of the method.
    draws, chains : int
    random_seed : int or None
    progressbar : bool

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units; ``lp`` is the log density of the graph.
    report : Report

    Raises
    ------
    UnsupportedError
        For clusters of tasks; when the approximation fails, or is nowhere near the posterior.
    """
    problem = prepared.problem
    require_supported(problem, likelihood, method)
    # Only the sites of a Gaussian likelihood are exact.
    kind = "sites" if isinstance(likelihood, Gaussian) else "whitened"
    rng = np.random.default_rng(random_seed)
    with _status(method, progressbar):
        graph = build_graph(prepared, likelihood, kind)
        target = _compile(graph)
        sample = _sample(target, method, options, draws * chains, rng)
        points = sample.points.reshape(chains, draws, -1)
        posterior = _posterior(graph, points)
    lp = sample.log_density.reshape(chains, draws)
    constant = _constant(problem) if kind == "sites" else 0.0
    report = Report(
        elbo=float(sample.log_ratio.mean()) + constant if "advi" in method else None,
        pareto_k=reported_pareto_k(sample.pareto_k),
    )
    return internal_draws(problem, posterior, lp), report


@contextmanager
def _status(method: str, enabled: bool) -> Iterator[None]:
    """What is running, in a terminal or a notebook; silent elsewhere."""
    console = watched_console(enabled)
    if console is None:
        yield
        return
    with console.status(f"{method}: compiling the graph and approximating the posterior"):
        yield


def _compile(graph: Any) -> Target:
    """The log density of the graph in its unconstrained space."""
    from pymc.logprob.utils import ParameterValueError
    from pymc.pytensorf import join_nonshared_inputs
    from pytensor.compile.maker import function
    from pytensor.gradient import grad

    start = graph.initial_point()
    variables = graph.value_vars
    [density], point = join_nonshared_inputs(start, [graph.logp()], variables)
    gradient: Any = grad(density, point)
    compiled = function([point], [density, gradient])
    named = [(graph.values_to_rvs[variable].name, start[variable.name]) for variable in variables]
    names = tuple(name for name, value in named for _ in range(np.size(value)))
    joined = np.concatenate([np.ravel(value) for _, value in named]) if named else np.zeros(0)

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            log_density, slope = compiled(x)
        except ParameterValueError:
            # So far out that a parameter of a distribution is not a number.
            return -np.inf, np.zeros_like(x)
        return float(log_density), slope

    return Target(value, joined, names)


def _sample(
    target: Target,
    method: str,
    options: Options,
    n_draws: int,
    rng: np.random.Generator,
) -> _Sample:
    """Draws of the approximation, and their importance ratios."""
    if isinstance(options, PathfinderOptions):
        points, log_p, log_ratio = draw_pathfinder(
            target, n_draws, paths=options.paths, iterations=options.iterations, rng=rng
        )
        weights, pareto_k = smoothed_weights(log_ratio)
        kept = rng.permutation(systematic(weights, rng))[:n_draws]
        return _Sample(points[kept], log_p[kept], log_ratio, pareto_k)
    if isinstance(options, AdviOptions):
        normal = fit_advi(
            target,
            full=method == "fullrank_advi",
            elbo_draws=options.elbo_draws,
            iterations=options.iterations,
            rng=rng,
        )
    else:
        assert isinstance(options, LaplaceOptions)
        normal = fit_laplace(target, iterations=options.iterations, rng=rng)
    points, log_q = normal.draw(n_draws, rng)
    log_p, _ = evaluate(target, points)
    broken = int((~np.isfinite(log_p)).sum())
    if broken:
        raise UnsupportedError(
            f"inference={method!r} failed: the posterior density is not finite at {broken:,} of "
            f"{n_draws:,} draws; use inference='gibbs' or 'nuts'"
        )
    log_ratio = log_p - log_q
    return _Sample(points, log_p, log_ratio, smoothed_weights(log_ratio)[1])


def _posterior(graph: Any, points: np.ndarray) -> xr.Dataset:
    """Variables of the graph, on the user's scale, for points (chain, draw, n)."""
    import pytensor.tensor as pt
    from pytensor.compile.maker import function
    from pytensor.graph.replace import vectorize_graph

    start, variables = graph.initial_point(), graph.value_vars
    many = [pt.tensor(shape=(None, *one.type.shape), dtype=one.dtype) for one in variables]
    wanted = graph.free_RVs + graph.deterministics
    outputs = vectorize_graph(
        graph.replace_rvs_by_values(wanted), dict(zip(variables, many, strict=True))
    )
    # Run once, on all draws: not worth compiling.
    compiled = function(many, outputs, mode="FAST_COMPILE", on_unused_input="ignore")
    flat, values, first = points.reshape(-1, points.shape[-1]), [], 0
    for variable in variables:
        shape = np.shape(start[variable.name])
        size = int(np.prod(shape))
        values.append(flat[:, first : first + size].reshape(-1, *shape))
        first += size
    out = {}
    for variable, drawn in zip(wanted, compiled(*values), strict=True):
        named = graph.named_vars_to_dims.get(variable.name)
        shape = drawn.shape[drawn.ndim - variable.ndim :]
        dims = named or tuple(f"{variable.name}_{i}" for i in range(variable.ndim))
        # What does not depend on the point comes once.
        each = np.broadcast_to(drawn, (len(flat), *shape)).reshape(*points.shape[:2], *shape)
        out[variable.name] = (("chain", "draw", *dims), each)
    return xr.Dataset(out)


def _constant(problem: Problem) -> float:
    """What the graph on the sites leaves out of ``log p(y | weights, noise)``, user units of y."""
    unit = np.full(problem.prior.n_tasks, problem.scaling.response_scale)
    sites = task_sites(problem, None if problem.standard_error is not None else unit)
    total = unpack_tasks(problem.sites.total, problem.prior.n_tasks)
    return float((sites.constant + 0.5 * total).sum())
