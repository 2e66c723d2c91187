"""Running a prepared model of functions: a method, then the result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmtl.errors import InvalidModelError, UnsupportedError, warn
from bayesmtl.fitting import NO_DRAWS
from bayesmtl.gp.basis import choose_basis
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.evidence import exact_marginal
from bayesmtl.gp.gibbs import sample_functions
from bayesmtl.gp.hyperparameters import LOW_RANK
from bayesmtl.gp.kronecker import KroneckerMarginal
from bayesmtl.gp.posterior import HyperDraws, LogPosterior, approximate, sample_nuts
from bayesmtl.gp.problem import Marginal
from bayesmtl.gp.projected import ProjectedBasis, with_untold
from bayesmtl.gp.result import FunctionRecord, build_function_tree
from bayesmtl.gp.sparse import SparseSettings
from bayesmtl.gp.sparse_fits import fit_functions
from bayesmtl.gp.weight_space import HilbertBasis
from bayesmtl.inference.compilation import told_of_compilation
from bayesmtl.inference.options import check_options
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.densities import FIXED
from bayesmtl.posterior.importance import reported_pareto_k

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["run"]

METHODS = {
    "gibbs": ("basis_size",),
    "nuts": (),
    "map": (),
    "svgp": tuple(one.name for one in fields(SparseSettings)),
}
_MOST_ROWS, _MOST_POINTS = 2000, 1500
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class _Outcome:
    """Draws, and what the method has to say beside them."""

    draws: FunctionDraws
    interrupted: bool
    stats: dict[str, np.ndarray]
    about: dict[str, Any]
    basis: Any = None
    core: Any = None
    sparse: Any = None


@told_of_compilation
def run(
    problem: FunctionProblem,
    likelihood: Likelihood,
    model: dict[str, Any],
    *,
    inference: str,
    options: Mapping[str, Any],
    settings: dict[str, Any],
) -> xr.DataTree:
    """Sample a prepared model and build its result.

    Parameters
    ----------
    problem : FunctionProblem
    likelihood : Likelihood
    model : dict
        Settings of the model, kept with the result.
    inference : str
    options : mapping
        Of the method.
    settings : dict
        draws, tune, chains, cores, random_seed and progressbar.

    Raises
    ------
    InvalidModelError
        For an unknown method or option.
    UnsupportedError
        When the method does not work for the model or so many rows.
    KeyboardInterrupt
        When Ctrl-C comes before there is a draw to keep.

    Warns
    -----
    BayesMTLWarning
        When the diagnostics are not passed, with their verdict.
    """
    check_options(inference, options, METHODS)
    started = time.perf_counter()
    try:
        if inference == "gibbs":
            size = _basis_size(options.get("basis_size"), problem.inputs)
            outcome = _gibbs(problem, likelihood, size, settings)
        elif inference == "svgp":
            chosen = SparseSettings(**options)
            draws, found, about = fit_functions(problem, likelihood, model, chosen, settings)
            outcome = _Outcome(draws, found.interrupted, {}, about, sparse=found)
        else:
            marginal = _exact_marginal(problem, likelihood, inference)
            outcome = _exact(problem, marginal, inference, settings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NO_DRAWS) from None
    sizes = {name: int(settings[name]) for name in ("draws", "tune", "chains")}
    record = FunctionRecord(
        model=model,
        inference={"method": inference, **sizes, **outcome.about},
        random_seed=settings["random_seed"],
        seconds=time.perf_counter() - started,
        incomplete=outcome.interrupted,
    )
    tree = build_function_tree(
        problem,
        outcome.draws,
        record,
        likelihood=likelihood,
        basis=outcome.basis,
        core=outcome.core,
        sparse=outcome.sparse,
        sample_stats=outcome.stats,
    )
    if inference in ("map", "svgp"):
        tree.attrs["approximate"] = 1
    if not json.loads(tree.attrs["diagnostics"])["passed"]:
        warn(tree.attrs["verdict"])
    return tree


def _basis_size(given: Any, inputs: tuple[str, ...]) -> tuple[int, ...] | None:
    """Functions of each input."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        lacking = [name for name in inputs if name not in given]
        if lacking or len(given) != len(inputs):
            raise InvalidModelError(
                f"basis_size must name each of {', '.join(inputs)}, got {dict(given)!r}"
            )
        sizes = [given[name] for name in inputs]
    else:
        sizes = [given] * len(inputs)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise InvalidModelError(f"basis_size must be positive integers, got {given!r}")
    return tuple(int(size) for size in sizes)


def _gibbs(
    problem: FunctionProblem,
    likelihood: Likelihood,
    size: tuple[int, ...] | None,
    settings: dict[str, Any],
) -> _Outcome:
    if problem.prior.n_components > 1:
        raise UnsupportedError(
            "inference='gibbs' takes one kernel, coregionalization='icm': use inference='nuts' or "
            "'map' for 'lmc'"
        )
    seed = settings["random_seed"]
    gaussian = isinstance(likelihood, Gaussian)
    rng = np.random.default_rng(seed)
    sampled = choose_basis(problem, size, rng, gaussian=gaussian)
    basis = sampled.fine if isinstance(sampled, ProjectedBasis) else sampled
    n_bytes = 8 * settings["draws"] * settings["chains"] * problem.rows.n_tasks * basis.size
    if n_bytes > _MOST_BYTES:
        raise UnsupportedError(
            f"{settings['chains']} x {settings['draws']} draws of {problem.rows.n_tasks:,} tasks "
            f"and {basis.size:,} basis functions take {n_bytes / 2**30:,.0f} GiB, more than "
            f"{_MOST_BYTES / 2**30:.0f} GiB: use fewer draws, or basis_size="
        )
    draws, core, interrupted = sample_functions(problem, sampled, likelihood, **settings)
    about: dict[str, Any]
    if isinstance(basis, HilbertBasis):
        about = {"basis_size": list(basis.counts)}
        if isinstance(sampled, ProjectedBasis):
            draws = with_untold(draws, sampled, rng)
            about["projected_size"] = sampled.size
        return _Outcome(draws, interrupted, {}, about, basis, core)
    about = {"basis_size": [basis.size]}
    if (problem.prior.lengthscale_rows[..., 0] != FIXED).any():
        about["point_estimates"] = ["lengthscale"]
    return _Outcome(draws, interrupted, {}, about, basis, core)


def _exact_marginal(problem: FunctionProblem, likelihood: Likelihood, inference: str) -> Marginal:
    """The exact marginal likelihood; what it is not for is refused."""
    if not isinstance(likelihood, Gaussian):
        raise UnsupportedError(
            f"inference={inference!r} integrates the functions out, which takes a Gaussian "
            f"likelihood, not {likelihood!r}: use inference='gibbs'"
        )
    if problem.prior.kind == LOW_RANK and problem.prior.n_components == 1:
        raise UnsupportedError(
            f"inference={inference!r} takes a covariance of full rank, and this has factors "
            "(rank=, or more than 12 tasks): use inference='gibbs'"
        )
    marginal = exact_marginal(problem)
    exact = isinstance(marginal, KroneckerMarginal)
    n = len(marginal.inputs) if isinstance(marginal, KroneckerMarginal) else len(problem.order)
    most = _MOST_POINTS if exact else _MOST_ROWS
    if n > most:
        what = "inputs at which all tasks are observed" if exact else "rows"
        raise UnsupportedError(
            f"inference={inference!r} takes up to {most:,} {what}, and the data have {n:,}: use "
            "inference='gibbs'"
        )
    return marginal


def _exact(
    problem: FunctionProblem, marginal: Marginal, inference: str, settings: dict[str, Any]
) -> _Outcome:
    target = LogPosterior(problem.prior, marginal)
    if inference == "nuts":
        found = sample_nuts(target, **settings)
        return _Outcome(_values(problem, found), found.interrupted, found.stats, {})
    rng = np.random.default_rng(settings["random_seed"])
    found = approximate(target, draws=settings["draws"], chains=settings["chains"], rng=rng)
    k = None if found.pareto_k is None else reported_pareto_k(found.pareto_k)
    return _Outcome(_values(problem, found), False, {}, {"pareto_k": k})


def _values(problem: FunctionProblem, found: HyperDraws) -> FunctionDraws:
    """Hyperparameters of draws of the vector; components by their length-scales, short first."""
    shape = found.points.shape[:2]
    points = found.points.reshape(shape[0] * shape[1], problem.prior.size)
    values = [problem.prior.values(point) for point in points]
    covariance = np.array([one.covariance for one in values])
    lengthscale = np.array([one.lengthscale for one in values])
    noise = np.array([one.noise for one in values])
    if problem.prior.n_components > 1:
        order = np.argsort(np.log(lengthscale).sum(axis=2), axis=1)
        lengthscale = np.take_along_axis(lengthscale, order[:, :, None], axis=1)
        covariance = np.take_along_axis(covariance, order[:, :, None, None], axis=1)
    return FunctionDraws(
        covariance=covariance.reshape(*shape, *covariance.shape[1:]),
        lengthscale=lengthscale.reshape(*shape, *lengthscale.shape[1:]),
        noise=noise.reshape(*shape, -1),
        weights=None,
        level=None,
        parameters=None,
        lp=found.lp,
    )
