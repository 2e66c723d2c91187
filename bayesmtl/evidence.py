"""Exact log marginal likelihood of a Gaussian model whose hyperparameters are fixed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import logsumexp

from bayesmtl.assembly import Problem
from bayesmtl.errors import UnsupportedError
from bayesmtl.likelihoods import Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.priors import Prior
from bayesmtl.relations.clusters.evidence import partition_sites
from bayesmtl.scaling import INTERCEPT
from bayesmtl.sites import GaussianSites, add_sites, collapse, evaluate

__all__ = ["log_evidence", "task_sites"]


def task_sites(problem: Problem, noise_sd: np.ndarray | None) -> GaussianSites:
    """Sites of the tasks' internal coefficients, constants for the response in user units.

    Parameters
    ----------
    problem : Problem
    noise_sd : (task,) or None
        User units; None where the standard errors are known and part of the row weights.
    """
    n_tasks = problem.prior.n_tasks
    gram = unpack_symmetric(problem.sites.gram, n_tasks)
    moment = unpack_tasks(problem.sites.moment, n_tasks)
    total = unpack_tasks(problem.sites.total, n_tasks)
    unit = problem.scaling.response_scale
    if noise_sd is None:
        # Row weights are w / se^2 in internal units, so log variances come row by row.
        precision = np.ones(n_tasks)
        counts, log_variance = _known(problem)
    else:
        precision = (unit / noise_sd) ** 2
        counts = unpack_tasks(problem.sites.rows, n_tasks)
        log_variance = 2.0 * counts * np.log(noise_sd)
    constant = -0.5 * (precision * total + log_variance + counts * np.log(2.0 * np.pi))
    return GaussianSites(gram * precision[:, None, None], moment * precision[:, None], constant)


def _known(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    rows, n_tasks = problem.rows, problem.prior.n_tasks
    weight, se = problem.row_weight, problem.standard_error
    assert se is not None
    counts = np.bincount(rows.task, weight, minlength=n_tasks)
    return counts, np.bincount(rows.task, 2.0 * weight * np.log(se), minlength=n_tasks)


def log_evidence(problem: Problem, likelihood: Likelihood) -> float:
    """``log p(y)`` in the user's units of y, with the weights integrated out.

    Means may be fixed or have Normal priors, which are integrated out too; scales and noise must be
    fixed, and so must concentration, discount and the share of the variance between clusters, while
    an unknown number of components is summed over.

    Raises
    ------
    UnsupportedError
        Naming what is not fixed; for clusters of more than 10 tasks.
    """
    if not isinstance(likelihood, Gaussian):
        raise UnsupportedError(
            f"log_evidence is exact and so needs a Gaussian likelihood, not {likelihood!r}"
        )
    learned = _learned(problem, likelihood)
    if learned:
        raise UnsupportedError(
            f"log_evidence is exact for fixed hyperparameters only, and {learned[0]} is learned; "
            "fix it with a number (a mean may have a Normal prior)"
        )
    prior = problem.prior
    center = (prior.mean_prior[..., 1] - prior.mean_location) / prior.mean_unit
    normal = prior.mean_prior[..., 0] != FIXED
    sd = np.where(normal, prior.mean_prior[..., 2] / prior.mean_unit, 0.0)
    terms = [
        log_prior + evaluate(collapse(sites, np.diag(sd.reshape(-1) ** 2)), center.reshape(-1))
        for sites, log_prior in _sites_of_means(problem)
    ]
    return float(logsumexp(np.concatenate(terms)))


def _sites_of_means(problem: Problem) -> Iterable[tuple[GaussianSites, np.ndarray]]:
    """Sites (partition, p q) of the population means, and the log prior of each partition."""
    prior = problem.prior
    sites = task_sites(problem, problem.fixed_noise)
    variance = (prior.scale_prior[:, 1] / prior.scale_unit) ** 2
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    if problem.task_covariance is not None:
        return [(_sites_of_correlated(problem, sites, z, variance), np.zeros(1))]
    if problem.partition is not None:
        between = np.where(
            np.arange(variance.size) < prior.block, 0.0, problem.partition.between[1]
        )
        sites = collapse(sites, np.diag((1.0 - between) * variance))
        of_clusters = (between * variance)[prior.block :]
        return partition_sites(sites, z, of_clusters, problem.partition)
    # Coefficient i of task t has mean sum_a means[i, a] z_ta.
    collapsed = collapse(sites, np.diag(variance))
    n_means = prior.mean_location.size
    of_means = GaussianSites(
        np.einsum("tij,ta,tb->tiajb", collapsed.gram, z, z).reshape(-1, n_means, n_means),
        np.einsum("ti,ta->tia", collapsed.moment, z).reshape(-1, n_means),
        collapsed.constant,
    )
    return [(add_sites(of_means), np.zeros(1))]


def _sites_of_correlated(
    problem: Problem, sites: GaussianSites, z: np.ndarray, variance: np.ndarray
) -> GaussianSites:
    """The site (1, p q) of the means, all weights integrated out together."""
    first = problem.prior.block
    assert problem.task_covariance is not None
    n_tasks, p = sites.moment.shape
    scale = np.sqrt(variance)
    features = np.diag(variance[first:])
    given = problem.blocks[-1].correlation
    if given is not None:
        features = scale[first:, None] * given * scale[first:]
    covariance = np.zeros((n_tasks, p, n_tasks, p))
    covariance[:, first:, :, first:] = np.einsum(
        "st,ij->sitj", problem.task_covariance.given, features
    )
    tasks, whole = np.arange(n_tasks), np.zeros((n_tasks, p, n_tasks, p))
    for i in range(first):
        covariance[tasks, i, tasks, i] = variance[i]
    whole[tasks, :, tasks] = sites.gram
    size = n_tasks * p
    joint = GaussianSites(
        whole.reshape(1, size, size),
        sites.moment.reshape(1, size),
        sites.constant.sum(keepdims=True),
    )
    collapsed = collapse(joint, covariance.reshape(size, size))
    # Coefficient i of task t has mean sum_a means[i, a] z_ta.
    design = np.einsum("ij,ta->tija", np.eye(p), z).reshape(size, -1)
    return GaussianSites(
        design.T @ collapsed.gram @ design, collapsed.moment @ design, collapsed.constant
    )


def _learned(problem: Problem, likelihood: Gaussian) -> list[str]:
    """Names of the hyperparameters that are not fixed."""
    names = [INTERCEPT] * int(problem.separate_intercept) + list(problem.features)
    means = [row for block in problem.blocks for row in block.mean]
    scales = [scale for block in problem.blocks for scale in block.scale]
    out = [] if likelihood.fixed else ["the noise"]
    if problem.prior.covariance != 0:
        out.append("the covariance of the features")
    for name, row, scale in zip(names, means, scales, strict=True):
        if scale is None or isinstance(scale, Prior):
            out.append(f"the scale of {name!r}")
        for value in row:
            if value is None or (isinstance(value, Prior) and value.family != "Normal"):
                out.append(f"the mean of {name!r}")
    if problem.task_covariance is not None and problem.task_covariance.kind != "given":
        out.append("the covariance of the tasks")
    out += ["the scale of the sparse deviations"] * (problem.sparse is not None)
    if problem.partition is not None:
        parts = ("concentration", "discount", "between")
        out += [f"{part}=" for part in parts if getattr(problem.partition, part)[0] != FIXED]
    return out
