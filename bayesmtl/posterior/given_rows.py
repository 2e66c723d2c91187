"""Coefficients of a new task given rows of a likelihood that is not Gaussian.

The rows become a Gaussian site at the penalised mode of their log-likelihood. From it candidates
are drawn for each draw of the fit, then weighted by the likelihood over the site, the draws of the
fit by the average of these weights times the evidence of the site.
"""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmtl.likelihoods.pilot import maximise, sites_at
from bayesmtl.likelihoods.protocol import Predicted, RowLikelihood
from bayesmtl.likelihoods.rows import sort_rows
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.posterior.conditional import TaskRows, conditional_draws
from bayesmtl.posterior.importance import smoothed_weights, systematic
from bayesmtl.posterior.mixture import chosen, log_evidences, pick, warn_of_refit
from bayesmtl.posterior.population import Component, Population, task_draws
from bayesmtl.posterior.predictor import TaskDraws
from bayesmtl.posterior.rows import PredictorRows

__all__ = ["draw_given_rows"]

# Candidates for each draw of the fit.
_CANDIDATES = 8
_FLAT = 1e-12


def draw_given_rows(
    population: Population,
    components: list[Component],
    given: tuple[Any, PredictorRows],
    likelihood: RowLikelihood,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> TaskDraws:
    """Draw the coefficients of a new task given its rows.

    Parameters
    ----------
    population : Population
    components : list of Component
        The distribution of the task without its rows.
    given : label and rows
    likelihood : RowLikelihood
    parameters : (parameter, sample)
        Of the likelihood.
    rng : numpy.random.Generator

    Warns
    -----
    BayesMTLWarning
        Where the rows disagree so much with the fit that it should be repeated.
    """
    label, rows = given
    n_samples = parameters.shape[1]
    design = rows.features
    if population.center is not None:
        design = np.column_stack([np.ones(len(design)), design - population.center])
    site = _site(design, rows, likelihood, components, parameters.mean(axis=1))
    ones = np.ones((1, n_samples))
    logs = log_evidences(components, site, ones)
    coefficients = np.empty((_CANDIDATES, n_samples, design.shape[1]))
    corrections = np.empty((_CANDIDATES, n_samples))
    everyone = np.arange(n_samples)
    for c in range(_CANDIDATES):
        prior = chosen(components, pick(logs, rng), everyone)
        drawn = conditional_draws(prior, site, ones[0], rng)
        predictor = design @ drawn.T + rows.offset[:, None]
        predicted = Predicted(
            predictor, rows.size[:, None], np.full((len(design), 1), np.nan), parameters
        )
        assert rows.response is not None
        exact = rows.weight @ likelihood.log_density(rows.response[:, None], predicted)
        residual = site.response[:, None] - site.design @ drawn.T
        coefficients[c], corrections[c] = drawn, exact + 0.5 * (residual**2).sum(axis=0)
    weights, pareto_k = smoothed_weights(logsumexp(logs, axis=0) + logsumexp(corrections, axis=0))
    warn_of_refit(label, pareto_k)
    samples = systematic(weights, rng)
    candidate = pick(corrections[:, samples], rng)
    return task_draws(population, coefficients[candidate, samples], None, parameters[:, samples])


def _site(
    design: np.ndarray,
    rows: PredictorRows,
    likelihood: RowLikelihood,
    components: list[Component],
    parameters: np.ndarray,
) -> TaskRows:
    """The site of the rows as rows of a Gaussian response of unit precision."""
    weight = np.stack([part.probability for part in components])
    mean = sum(w @ part.prior.mean for w, part in zip(weight, components, strict=True))
    square = sum(
        w @ (part.prior.mean**2 + part.prior.sd**2)
        for w, part in zip(weight, components, strict=True)
    )
    n_samples = weight.shape[1]
    center = np.asarray(mean) / n_samples
    sd = np.sqrt(np.maximum(np.asarray(square) / n_samples - center**2, _FLAT))
    # In units in which the population is standard normal, as the penalty of the mode has it.
    data = sort_rows(
        design * sd,
        rows.response,  # type: ignore[arg-type]
        np.zeros(len(design), dtype=np.int64),
        1,
        offset=rows.offset + design @ center,
        size=rows.size,
        weight=rows.weight,
    )
    mode = maximise(data, likelihood.kernels, parameters, np.zeros((1, design.shape[1])), 1.0)
    site = sites_at(data, likelihood.kernels, parameters, mode)
    gram = unpack_symmetric(site.gram, 1)[0]
    moment = unpack_tasks(site.moment, 1)[0]
    values, vectors = np.linalg.eigh(gram)
    kept = values > _FLAT * max(values.max(), 1.0)
    root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    response = (vectors[:, kept].T @ moment) / np.sqrt(values[kept])
    return TaskRows(root / sd, response + root @ (center / sd), 0.0, 0.0, 0.0)
