"""Draws for tasks the fit has not seen: from the population, or conditioned on given rows."""

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.likelihoods import Gaussian, Mixed
from bayesmtl.posterior.conditional import TaskRows, conditional_draws, prior_draws, reduce_rows
from bayesmtl.posterior.given_rows import draw_given_rows
from bayesmtl.posterior.importance import smoothed_weights, systematic
from bayesmtl.posterior.mixed_tasks import NewKind, in_own_units, new_kinds
from bayesmtl.posterior.mixture import (
    chosen,
    log_evidences,
    pick,
    probabilities,
    warn_of_refit,
)
from bayesmtl.posterior.population import (
    Component,
    Population,
    draw_noise,
    priors_of_task,
    read_population,
    task_draws,
)
from bayesmtl.posterior.predictor import TaskDraws, shared_parameters
from bayesmtl.posterior.rows import PredictorRows, name_labels, new_rows, task_labels
from bayesmtl.posterior.settings import FitSettings
from bayesmtl.task_features import read_task_features

__all__ = ["new_task_draws"]

NOISE_CANDIDATES = 8  # noise sds tried per draw: one alone may miss what a few rows say


def new_task_draws(
    idata: xr.DataTree,
    settings: FitSettings,
    rows: PredictorRows,
    frames: tuple[Any, Any],
    new_task: str,
    *,
    need_noise: bool,
    rng: np.random.Generator,
) -> list[TaskDraws]:
    """Draw intercept, weights and noise of every task in `rows` that the fit has not seen.

    Parameters
    ----------
    idata, settings
        The fit and its settings.
    rows : PredictorRows
        Rows to predict; unseen tasks follow the known ones in `rows.tasks`.
    frames : pair of data frames
        The data to predict, and the given rows of new tasks or None.
    new_task : str
        "error" or "population", for unseen tasks without given rows.
    need_noise : bool
        Whether responses are drawn; given rows need the noise too.
    rng : numpy.random.Generator
        Used task after task, in the order of `rows.tasks`.

    Returns
    -------
    list of TaskDraws
        One per unseen task: all rows of a task share its draws.

    Raises
    ------
    InvalidDataError
        If given rows belong to a task of the fit, or a task is unseen and `new_task` is "error".
    UnsupportedError
        If the relation or the noise of the model says nothing about new tasks.

    Warns
    -----
    BayesMTLWarning
        If the given rows of a task disagree so much with the fit that it should be repeated.
    """
    n_known = len(task_labels(idata))
    unseen = rows.tasks[n_known:]
    given = _given_rows(idata, settings, frames[1])
    without = np.array([label for label in unseen.tolist() if label not in given], dtype=object)
    if without.size and new_task == "error":
        raise InvalidDataError(
            f"{name_labels(without)} in column '{settings.task}' but not in the fit: use "
            'new_task="population" to predict a task like the others, or given= with rows of it'
        )
    if not unseen.size:
        return []
    if isinstance(settings.likelihood, Mixed):
        features = _task_features(settings, unseen, given, frames)
        kinds = new_kinds(idata, settings.likelihood, unseen, need_noise=need_noise or bool(given))
        return _draw_kinds(
            idata, dict(zip(unseen.tolist(), kinds, strict=True)), given, features, rng
        )
    known_noise = settings.standard_error is not None
    known_noise |= not isinstance(settings.likelihood, Gaussian)
    population = read_population(idata, known_noise=known_noise)
    fixed_by_task = population.noise_sd is None and population.noise_log_normal is None
    if fixed_by_task and not known_noise and (need_noise or given):
        raise UnsupportedError(
            "the model fixes the noise task by task, so it says nothing of the noise of a new one: "
            "predict kind='response_params' without given=, or fit with one noise_sd for all tasks"
        )
    features = _task_features(settings, unseen, given, frames)
    parameters = shared_parameters(idata, settings.likelihood)
    drawn = []
    for label in unseen.tolist():
        components = priors_of_task(population, features.get(label), rng)
        if label not in given:
            drawn.append(_draw_task(population, components, rng))
        elif isinstance(settings.likelihood, Gaussian):
            noise = draw_noise(population, NOISE_CANDIDATES, rng)
            drawn.append(_draw_given(population, components, (label, given[label]), noise, rng))
        else:
            drawn.append(
                draw_given_rows(
                    population,
                    components,
                    (label, given[label]),
                    settings.likelihood,
                    parameters,
                    rng,
                )
            )
    return drawn


def _draw_kinds(
    idata: xr.DataTree,
    kinds: dict[Any, NewKind],
    given: dict[Any, PredictorRows],
    features: dict[Any, np.ndarray],
    rng: np.random.Generator,
) -> list[TaskDraws]:
    """Draw new tasks beside others with different likelihoods."""
    population = read_population(idata, known_noise=True)
    drawn = []
    for label, kind in kinds.items():
        components = in_own_units(priors_of_task(population, features.get(label), rng), kind, rng)
        drawn.append(_draw_kind(population, components, kind, (label, given.get(label)), rng))
    return drawn


def _draw_kind(
    population: Population,
    components: list[Component],
    new: NewKind,
    task: tuple[Any, PredictorRows | None],
    rng: np.random.Generator,
) -> TaskDraws:
    """Draw one of them, given rows of it if there are any."""
    (noise, parameters, likelihood), (label, rows) = new.kind, task
    if rows is None:
        draws = _draw_task(population, components, rng)
        return draws._replace(noise_sd=noise, parameters=parameters, likelihood=likelihood)
    if not isinstance(likelihood, Gaussian):
        draws = draw_given_rows(population, components, (label, rows), likelihood, parameters, rng)
        return draws._replace(likelihood=likelihood)
    if likelihood.se is None:
        rows = rows._replace(standard_error=None)
    candidates = None if noise is None else noise[None]
    draws = _draw_given(population, components, (label, rows), candidates, rng)
    return draws._replace(parameters=parameters, likelihood=likelihood)


def _given_rows(idata: xr.DataTree, settings: FitSettings, given: Any) -> dict[Any, PredictorRows]:
    """Read the given rows and part them by task."""
    if given is None:
        return {}
    rows = new_rows(given, idata, settings, need_response=True, need_noise=True)
    n_known = len(task_labels(idata))
    known = np.unique(rows.task[rows.task < n_known])
    if known.size:
        raise InvalidDataError(
            f"{name_labels(rows.tasks[known])} in given= and in the fit: give rows of new tasks "
            "only, or fit again with all rows"
        )
    labels = rows.tasks[n_known:].tolist()
    return {label: rows.of_task(n_known + k) for k, label in enumerate(labels)}


def _task_features(
    settings: FitSettings,
    unseen: np.ndarray,
    given: dict[Any, PredictorRows],
    frames: tuple[Any, Any],
) -> dict[Any, np.ndarray]:
    """Read the features of unseen tasks: from the given rows where there are any."""
    if settings.task_design is None:
        return {}
    found: dict[Any, np.ndarray] = {}
    is_given = np.array([label in given for label in unseen.tolist()])
    for frame, labels in zip(frames, (unseen[~is_given], unseen[is_given]), strict=True):
        if labels.size:
            values = read_task_features(
                frame,
                settings.task_design,
                task=settings.task,
                tasks=labels,
                missing=settings.missing,
            )
            found.update(zip(labels.tolist(), values, strict=True))
    return found


def _draw_task(
    population: Population, components: list[Component], rng: np.random.Generator
) -> TaskDraws:
    """Draw the coefficients of one new task from the population."""
    noise = draw_noise(population, 1, rng)
    logs = np.log(probabilities(components))
    prior = chosen(components, pick(logs, rng), np.arange(logs.shape[1]))
    return task_draws(population, prior_draws(prior, rng), None if noise is None else noise[0])


def _draw_given(
    population: Population,
    components: list[Component],
    given: tuple[Any, PredictorRows],
    noise: np.ndarray | None,
    rng: np.random.Generator,
) -> TaskDraws:
    """Draw the coefficients of one new task given its rows, exactly for each draw of the fit.

    ``noise`` (candidate, sample) are noise sds, None with known standard errors.
    """
    label, rows = given
    n_samples = len(components[0].probability)
    sigma = np.ones((1, n_samples)) if noise is None else noise
    evidence = _reduce(population, rows)
    logs = log_evidences(components, evidence, sigma)
    weights, pareto_k = smoothed_weights(logsumexp(logs, axis=0))
    warn_of_refit(label, pareto_k)
    samples = systematic(weights, rng)
    component, candidate = np.divmod(pick(logs[:, samples], rng), len(sigma))
    sigma = sigma[candidate, samples]
    parameters = conditional_draws(chosen(components, component, samples), evidence, sigma, rng)
    return task_draws(population, parameters, None if noise is None else sigma)


def _reduce(population: Population, rows: PredictorRows) -> TaskRows:
    """Reduce given rows to what they say about the parameters."""
    design = rows.features
    if population.center is not None:
        design = np.column_stack([np.ones(len(design)), design - population.center])
    error = rows.standard_error
    precision = np.ones(len(design)) if error is None else 1 / error**2
    response = rows.response - rows.offset
    return reduce_rows(design, response, rows.weight, precision)
