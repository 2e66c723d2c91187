"""Between models of functions and sparse fits: their inputs, and their arrays in a result."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.errors import UnsupportedError
from bayesmtl.gp.data import MEDIAN_LENGTH, FunctionProblem
from bayesmtl.gp.draws import FunctionDraws
from bayesmtl.gp.hyperparameters import GIVEN
from bayesmtl.gp.sparse import SparseFit, SparseSettings
from bayesmtl.likelihoods import Bernoulli, Likelihood, Poisson
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.densities import FIXED

__all__ = ["fit_functions", "read_sparse", "sparse_constants"]

_NAMES: dict[type, str] = {Gaussian: "gaussian", Bernoulli: "bernoulli", Poisson: "poisson"}
_PARTS = {
    "inducing": ("inducing", "feature"),
    "lengthscale": ("latent", "feature"),
    "loadings": ("task", "latent"),
    "noise_sd": ("task",),
    "intercept": ("task",),
    "mean": ("latent", "inducing"),
    "root": ("latent", "inducing", "inducing_bis"),
}


def fit_functions(
    problem: FunctionProblem,
    likelihood: Likelihood,
    model: dict[str, Any],
    chosen: SparseSettings,
    settings: dict[str, Any],
) -> tuple[FunctionDraws, SparseFit, dict[str, Any]]:
    """Train a sparse fit; its point estimates stand for every draw.

    Parameters
    ----------
    problem : FunctionProblem
    likelihood : Likelihood
    model : dict
        Settings of the model.
    chosen : SparseSettings
    settings : dict
        draws, chains, random_seed and progressbar.

    Returns
    -------
    draws : FunctionDraws
        (chain, draw, ...)
    found : SparseFit
        Internal units.
    about : dict
        What the fit says of the method.

    Raises
    ------
    UnsupportedError
        For fixed hyperparameters, priors of the user's and likelihoods that it does not have; when
        PyTorch is not installed.
    """
    from bayesmtl.gp.variational import fit_sparse

    _check(problem, likelihood, model)
    if chosen.lengthscale_median is None:
        median = MEDIAN_LENGTH * math.sqrt(len(problem.inputs))
        chosen = replace(chosen, lengthscale_median=median)
    offset = None
    exposure = likelihood.columns.get("exposure")
    if exposure is not None:
        offset = likelihood.offset(problem.table.extra[exposure])[problem.order]
    found = fit_sparse(
        problem.rows.inputs,
        problem.rows.task,
        problem.rows.response,
        problem.rows.n_tasks,
        rng=np.random.default_rng(settings["random_seed"]),
        kernel=problem.kernel,
        coregionalization=model["coregionalization"],
        rank=model["rank"],
        likelihood=_NAMES[type(likelihood)],
        offset=offset,
        settings=chosen,
        progressbar=settings["progressbar"],
    )
    shape = (settings["chains"], settings["draws"])

    def repeat(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (*shape, *values.shape)).copy()

    components = np.einsum("tq,sq->qts", found.loadings, found.loadings)
    lengthscale = found.lengthscale
    if problem.prior.n_components == 1:
        components, lengthscale = components.sum(axis=0, keepdims=True), lengthscale[:1]
    draws = FunctionDraws(
        covariance=repeat(components),
        lengthscale=repeat(lengthscale),
        noise=repeat(found.noise_sd) if isinstance(likelihood, Gaussian) else None,
        weights=None,
        level=repeat(found.intercept),
        parameters=None,
        lp=np.full(shape, found.elbo - problem.log_unit),
    )
    estimated = ["task_covariance", "lengthscale", "intercept"]
    estimated += ["noise_sd"] if draws.noise is not None else []
    about = {
        "pareto_k": None,
        "point_estimates": estimated,
        "elbo": found.elbo - problem.log_unit,
        "epochs": len(found.elbo_trace),
        "n_inducing": len(found.inducing),
    }
    return draws, found, about


def _check(problem: FunctionProblem, likelihood: Likelihood, model: dict[str, Any]) -> None:
    if type(likelihood) not in _NAMES:
        names = ", ".join(f"bm.{one.__name__}()" for one in _NAMES)
        raise UnsupportedError(
            f"inference='svgp' has the likelihoods {names}, not {likelihood!r}: use "
            "inference='gibbs'"
        )
    if isinstance(likelihood, Bernoulli) and likelihood.link != "logit":
        raise UnsupportedError(
            f"inference='svgp' of yes or no has link='logit', not {likelihood.link!r}: use "
            "inference='gibbs'"
        )
    prior = problem.prior
    fixed = {
        "task_covariance": prior.kind == GIVEN,
        "lengthscale": model["lengthscale"] is not None
        or (prior.lengthscale_rows[..., 0] == FIXED).any(),
        "noise_sd": model["noise_sd"] is not None,
        "intercept": model["intercept"] is not None,
        "noise": model["noise"] != "task",
    }
    for name, given in fixed.items():
        if given:
            raise UnsupportedError(
                f"inference='svgp' estimates {name} under priors of its own: leave {name}= out, or "
                "use inference='gibbs', 'nuts' or 'map'"
            )
    if not problem.design.intercept:
        raise UnsupportedError(
            "inference='svgp' has intercepts: leave '0 +' out of the formula, or use another method"
        )


def sparse_constants(fit: SparseFit) -> xr.Dataset:
    """The arrays of a sparse fit as variables, internal units."""
    values = {
        f"variational_{name}": (dims, np.asarray(getattr(fit, name)))
        for name, dims in _PARTS.items()
    }
    trace = {"elbo_trace": (("epoch",), fit.elbo_trace)}
    return xr.Dataset(values | trace, attrs={"variational_likelihood": fit.likelihood})


def read_sparse(constant: xr.Dataset, kernel: str) -> SparseFit:
    """Inverse of `sparse_constants`, of what predictions need."""
    parts = {
        name: constant[f"variational_{name}"].transpose(*dims).to_numpy()
        for name, dims in _PARTS.items()
    }
    return SparseFit(
        kernel=kernel,
        likelihood="",
        degrees_of_freedom=np.nan,
        elbo=np.nan,
        elbo_trace=np.zeros(0),
        interrupted=False,
        **parts,
    )
