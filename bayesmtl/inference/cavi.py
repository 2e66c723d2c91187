"""Coordinate ascent for clusters: restarts, then draws from the best approximation.

Responsibilities, cluster means, sticks and the hyperparameters of the sticks are variational; the
other hyperparameters are point estimates (`bayesmtl.relations.exchangeable.hyperparameters`), so
their draws are all equal.

The partition is too narrow as a rule: the labels of tasks are independent in the approximation, so
that many partitions of a little probability each are no optimum, and one cluster often is. The 90%
interval of the number of clusters had the mean of Gibbs in none of 36 fits of simulated data
(``python -m benchmarks overconfidence``). Therefore `bayesmtl.inference.drift` judges the draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.inference.cavi_draws import mean_draws, noise_draws
from bayesmtl.inference.cavi_report import Report, estimated_names
from bayesmtl.inference.draws import Draws, PartitionDraws, join_chains
from bayesmtl.inference.drift import drift_of
from bayesmtl.inference.gibbs import start_chain
from bayesmtl.inference.support import require_supported
from bayesmtl.likelihoods import Likelihood
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.numerics.partitions import canonical
from bayesmtl.posterior.importance import reported_pareto_k, smoothed_weights
from bayesmtl.relations.clusters.allocation import allocate, birth, k_means, responsibilities_of
from bayesmtl.relations.clusters.cavi import (
    Approximation,
    TaskTerms,
    approximate,
    cluster_terms,
    fit_means,
    merge,
    reorder,
    sweep,
)
from bayesmtl.relations.clusters.point_estimates import maximise, task_terms
from bayesmtl.relations.clusters.sticks import StickPrior, draw_settings, fit_sticks, stick_prior
from bayesmtl.relations.exchangeable.hyperparameters import Layout, Point, unpack
from bayesmtl.relations.exchangeable.layouts import layout_of
from bayesmtl.relations.exchangeable.point_slopes import log_prior

__all__ = ["Fit", "fit_clusters", "sample_clusters"]

# Rounds of point estimates, sweeps and moves: in a trial, and until the best trials converge.
_TRIAL, _ROUNDS, _FINALISTS = 1, 100, 3
_SWEEPS = 20
_TOLERANCE, _CONVERGED = 1e-6, 1e-3
_ITERATIONS, _FIRST_ITERATIONS = 15, 30
# Share of the variance between clusters at which the starts are looked for.
_LARGE_SHARE = 0.9


class Fit(NamedTuple):
    """One local optimum.

    Parameters
    ----------
    x : (n,)
        Hyperparameters, see `Layout`.
    terms : TaskTerms
        At these.
    q : Approximation
    value : float
        Bound plus log prior density of the hyperparameters.
    trace : tuple of float
        Of ``value``, one per step; it never falls.
    """

    x: np.ndarray
    terms: TaskTerms
    q: Approximation
    value: float
    trace: tuple[float, ...]


def _update(fit: Fit, q: Approximation) -> Fit:
    """The same hyperparameters with another approximation."""
    value = fit.value - fit.q.elbo + q.elbo
    return fit._replace(q=q, value=value, trace=(*fit.trace, value))


def _estimate(
    layout: Layout, x: np.ndarray, r: np.ndarray, prior: StickPrior, n_iterations: int
) -> Fit:
    """Point estimates given the responsibilities."""
    x = maximise(layout, x, r, n_iterations)
    point = unpack(layout, x)
    terms = task_terms(layout, point)
    q = approximate(terms, r, prior)
    value = q.elbo + log_prior(layout, point)
    return Fit(x, terms, q, value, (value,))


def _climb(
    layout: Layout, fit: Fit, prior: StickPrior, n_rounds: int, rng: np.random.Generator
) -> Fit:
    """Sweeps, moves and point estimates in turn, until nothing rises or for so many rounds."""
    for _ in range(n_rounds):
        before = fit.value
        for _ in range(_SWEEPS):
            last = fit.value
            fit = _update(fit, sweep(fit.terms, fit.q, prior))
            if fit.value - last < _TOLERANCE:
                break
        for move in (reorder, merge):
            fit = _update(fit, move(fit.terms, fit.q, prior))
        if fit.x.size:
            better = _estimate(layout, fit.x, fit.q.responsibilities, prior, _ITERATIONS)
            fit = better._replace(trace=fit.trace + better.trace)
        if fit.value - before < _CONVERGED:
            # All else has come to rest.
            fit = _update(fit, birth(fit.terms, fit.q, prior, rng))
        if fit.value - before < _CONVERGED:
            break
    return fit


def _starts(terms: TaskTerms, most: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Responsibilities to start from: none and all alone, k-means, allocated, random."""
    n_tasks = len(terms.constant)
    given = cluster_terms(terms, fit_means(terms, np.ones((n_tasks, 1))).shared)
    labels = [np.zeros(n_tasks, dtype=np.int64)]
    if n_tasks <= most:
        labels.append(np.arange(n_tasks))
    numbers = [k for k in (2, 3, 4, 5, 7, 10) if k < min(n_tasks, most + 1)]
    labels += [k_means(given, k, rng) for k in numbers for _ in range(2)]
    for alpha in (0.3, 1.0, 3.0):
        order = rng.permutation(n_tasks)
        allocated = np.empty(n_tasks, dtype=np.int64)
        allocated[order] = allocate(given, order, alpha, most, rng)
        labels.append(allocated)
    labels += [rng.integers(min(k, most), size=n_tasks) for k in (2, 4, 8)]
    return [responsibilities_of(one) for one in labels]


def fit_clusters(
    problem: Problem, likelihood: Likelihood, rng: np.random.Generator
) -> tuple[Layout, Fit]:
    """The best of several local optima.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
    rng : numpy.random.Generator

    Returns
    -------
    layout : Layout
    fit : Fit

    Raises
    ------
    UnsupportedError
        For a relation without clusters, or a likelihood that is not Gaussian.
    """
    require_supported(problem, likelihood, "cavi")
    assert problem.partition is not None
    chain = start_chain(problem, likelihood, rng)
    assert chain.partition is not None
    between = float(chain.partition.between[0])
    layout, x = layout_of(problem, chain.population, between, chain.noise)
    n_tasks = problem.prior.n_tasks
    prior = stick_prior(problem.partition, n_tasks)
    together = _estimate(layout, x, np.ones((n_tasks, 1)), prior, _FIRST_ITERATIONS)
    # Clusters show where most of the variance may lie between them.
    start = layout.with_between(together.x, _LARGE_SHARE)
    terms = task_terms(layout, unpack(layout, start))
    trials = []
    for r in _starts(terms, prior.most, rng):
        trial = _estimate(layout, start, r, prior, _ITERATIONS)
        trials.append(_climb(layout, trial, prior, _TRIAL, rng))
    finished = [_climb(layout, trial, prior, _ROUNDS, rng) for trial in _best_distinct(trials)]
    return layout, max(finished, key=lambda trial: trial.value)


def _best_distinct(trials: list[Fit]) -> list[Fit]:
    """The best trials of different partitions: others would end at the same optimum."""
    found: dict[bytes, Fit] = {}
    for trial in sorted(trials, key=lambda trial: -trial.value):
        labels = trial.q.responsibilities.argmax(axis=1)
        found.setdefault(canonical(labels[None]).tobytes(), trial)
    return list(found.values())[:_FINALISTS]


def sample_clusters(
    problem: Problem,
    likelihood: Likelihood,
    *,
    draws: int,
    chains: int,
    random_seed: int | None,
) -> tuple[Draws, Report]:
    """Independent draws from the best approximation.

    Clusters come from their factor, all else from its exact conditionals given these and the point
    estimates of the hyperparameters.

    Parameters
    ----------
    problem : Problem
    likelihood : Likelihood
    draws, chains : int
    random_seed : int or None

    Returns
    -------
    draws : Draws
        (chain, draw, ...), internal units; ``lp`` is the log joint density of data and clusters,
        the rest integrated out.
    report : Report

    Raises
    ------
    UnsupportedError
        For a relation without clusters, or a likelihood that is not Gaussian.
    """
    *seeds, own, sweeps = np.random.SeedSequence(random_seed).spawn(chains + 2)
    layout, fit = fit_clusters(problem, likelihood, np.random.default_rng(own))
    parts = [_draw(layout, fit, draws, np.random.default_rng(seed)) for seed in seeds]
    _, pareto_k = smoothed_weights(np.concatenate([ratios for _, ratios in parts]))
    joined = join_chains([part for part, _ in parts], draws)
    report = Report(
        elbo=fit.q.elbo,
        trace=np.array(fit.trace),
        pareto_k=reported_pareto_k(pareto_k),
        point_estimates=estimated_names(layout, "base_mean", "base_sd"),
        drift=drift_of(problem, likelihood, joined, np.random.default_rng(sweeps)),
    )
    return joined, report


class _GivenClusters(NamedTuple):
    """Draws of the standardised means and of the prior of the clusters.

    Parameters
    ----------
    shared : (draw, m)
    clusters : (draw, cluster, d)
    settings : (draw, 3)
        Concentration, discount and number of components.
    log_joint : (draw,)
        Of data and clusters.
    """

    shared: np.ndarray
    clusters: np.ndarray
    settings: np.ndarray
    log_joint: np.ndarray


def _draw(
    layout: Layout, fit: Fit, n_draws: int, rng: np.random.Generator
) -> tuple[Draws, np.ndarray]:
    """Draws of one chain, and log of posterior over approximation (draw,) up to a constant."""
    point = unpack(layout, fit.x)
    labels = _draw_labels(fit.q.responsibilities, n_draws, rng)
    log_q = np.log(fit.q.responsibilities[np.arange(labels.shape[1]), labels]).sum(axis=1)
    given = _draw_given(layout, fit, labels, rng)
    each = np.arange(n_draws)[:, None]
    of_tasks = given.clusters[each, labels]
    renamed = canonical(labels)
    centers = np.full_like(given.clusters, np.nan)
    centers[each, renamed] = of_tasks
    population = mean_draws(point, given.shared)
    noise = noise_draws(layout, point, n_draws)
    drawn = Draws(
        means=population,
        scale=np.tile(point.scale, (n_draws, 1)),
        correlation=None,
        shared=np.full(n_draws, point.shared) if layout.flags[0] else None,
        noise_median=noise[0],
        noise_spread=noise[1],
        log_noise=noise[2],
        weights=_draw_weights(layout.problem, point, population, of_tasks, rng),
        lp=given.log_joint,
        partition=PartitionDraws(
            labels=renamed.astype(np.int32),
            concentration=given.settings[:, 0],
            discount=given.settings[:, 1],
            between=np.full(n_draws, point.between),
            n_components=given.settings[:, 2].astype(np.int32),
            centers=centers,
        ),
    )
    return drawn, given.log_joint - log_q


def _draw_labels(
    responsibilities: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Clusters (draw, task)."""
    n_tasks, n_clusters = responsibilities.shape
    level = rng.random((n_draws, n_tasks))
    labels = np.zeros((n_draws, n_tasks), dtype=np.int64)
    for below in responsibilities.cumsum(axis=1).T[: n_clusters - 1]:
        labels += level >= below
    return labels


def _draw_given(
    layout: Layout, fit: Fit, labels: np.ndarray, rng: np.random.Generator
) -> _GivenClusters:
    """Standardised means and the prior of the clusters given the clusters (draw, task)."""
    partition = layout.problem.partition
    assert partition is not None
    n_draws, n_clusters = len(labels), fit.q.responsibilities.shape[1]
    distinct, which = np.unique(labels, axis=0, return_inverse=True)
    which = which.reshape(-1)
    m, d = fit.terms.n_shared, fit.terms.linear.shape[1] - fit.terms.n_shared
    shared, clusters = np.empty((n_draws, m)), np.empty((n_draws, n_clusters, d))
    settings, log_joint = np.empty((n_draws, 3)), np.empty(n_draws)
    prior = stick_prior(partition, labels.shape[1])
    for i, one in enumerate(distinct):
        r = (one[:, None] == np.arange(n_clusters)).astype(np.float64)
        means = fit_means(fit.terms, r)
        own = np.flatnonzero(which == i)
        root = np.linalg.cholesky(means.shared_covariance)
        u = means.shared + rng.normal(size=(own.size, m)) @ root.T
        roots = np.linalg.cholesky(means.covariance)
        noise = np.einsum("kij,skj->ski", roots, rng.normal(size=(own.size, n_clusters, d)))
        shared[own] = u
        clusters[own] = means.center - np.einsum("kij,sj->ski", means.slope, u) + noise
        sticks = fit_sticks(r.sum(axis=0), prior)
        renamed = canonical(one[None])[0]
        settings[own] = draw_settings(renamed, own.size, prior, partition, rng)
        log_joint[own] = fit.terms.constant.sum() + means.log_evidence + sticks.bound
    return _GivenClusters(shared, clusters, settings, log_joint)


def _draw_weights(
    problem: Problem,
    point: Point,
    means: np.ndarray,
    clusters: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Weights (draw, task, p) given means (draw, p, q) and cluster means (draw, task, d)."""
    prior = problem.prior
    n_tasks, p = prior.n_tasks, prior.scale_unit.size
    precision = unpack_tasks(problem.sites.precision, n_tasks)
    if problem.fixed_noise is None and problem.standard_error is None:
        precision = np.exp(-2.0 * point.log_sd)
    gram = unpack_symmetric(problem.sites.gram, n_tasks) * precision[:, None, None]
    moment = unpack_tasks(problem.sites.moment, n_tasks) * precision[:, None]
    share = np.where(np.arange(p) < prior.block, 0.0, point.between)
    within = np.sqrt(1.0 - share) * point.scale
    z = unpack_tasks(prior.task_features, n_tasks)
    center = np.einsum("sia,ta->sti", means, z)
    center[..., prior.block :] += (np.sqrt(share) * point.scale)[prior.block :] * clusters
    inverse = np.linalg.inv(np.linalg.cholesky(np.eye(p) + gram * within[:, None] * within))
    score = (moment - np.einsum("tij,stj->sti", gram, center, optimize=True)) * within
    half = np.einsum("tij,stj->sti", inverse, score, optimize=True) + rng.normal(size=score.shape)
    return center + within * np.einsum("tji,stj->sti", inverse, half, optimize=True)
