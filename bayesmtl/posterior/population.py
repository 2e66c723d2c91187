"""The distribution of a new task under each posterior draw."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtri

from bayesmtl.errors import UnsupportedError
from bayesmtl.posterior.conditional import TaskPrior
from bayesmtl.posterior.predictor import TaskDraws, stack_draws
from bayesmtl.posterior.rows import feature_names
from bayesmtl.posterior.sparse import (
    NewDeviations,
    draw_local,
    read_deviations,
    with_deviations,
)

__all__ = [
    "Component",
    "Population",
    "draw_noise",
    "priors_of_task",
    "read_population",
    "task_draws",
]


class Component(NamedTuple):
    """Part of the distribution of a new task: one of the clusters of each draw, or a new one."""

    probability: np.ndarray  # (sample,)
    prior: TaskPrior


class Population(NamedTuple):
    """Per draw, on the user's scale: parameters are the intercept at the centre, then the weights.

    With ``intercept="relation"`` the intercept is one of the weights, and `center` is None.
    """

    components: list[Component]  # without task features; one where tasks form no clusters
    effects: np.ndarray | None  # (sample, parameter, task_feature)
    effects_center: np.ndarray | None  # (task_feature,)
    center: np.ndarray | None  # (feature,); None: no parameter for the intercept
    noise_sd: np.ndarray | None  # (sample,) shared by all tasks
    noise_log_normal: tuple[np.ndarray, np.ndarray] | None  # median and log-sd, (sample,) each
    deviations: NewDeviations | None = None  # sparse ones


def read_population(idata: xr.DataTree, *, known_noise: bool) -> Population:
    """Read the distribution of new tasks from a fit.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit.
    known_noise : bool
        Whether the standard errors are data, so that there is no noise to read.

    Raises
    ------
    UnsupportedError
        If the relation or the noise of the model says nothing about new tasks.
    """
    posterior = idata["posterior"].to_dataset()
    names = feature_names(idata)
    separate = "intercept_mean" in posterior
    prefix = "base" if "clusters" in idata else "population"
    wanted = [f"{prefix}_mean", f"{prefix}_sd"] if names else []
    wanted += ["intercept_mean", "intercept_sd"] if separate else []
    missing = [name for name in wanted if name not in posterior]
    if missing:
        raise UnsupportedError(
            f"the fit does not say how the weights of a new task are distributed (no '{missing[0]}'"
            " in its posterior): fit again with the rows of the new task"
        )
    center = idata["constant_data"]["feature_center"].to_numpy() if separate and names else None
    shared, log_normal = (None, None) if known_noise else _noise(posterior)
    effects, effects_center = _effects(idata, posterior, separate=separate, features=bool(names))
    prior = _prior(posterior, prefix, separate=separate, features=bool(names))
    components = [Component(np.ones(len(prior.mean)), prior)]
    if "clusters" in idata:
        components = _clusters(idata, prior, int(separate))
    return Population(
        components=components,
        effects=effects,
        effects_center=effects_center,
        center=np.zeros(0) if separate and center is None else center,
        noise_sd=shared,
        noise_log_normal=log_normal,
        deviations=_deviations(idata, posterior),
    )


def _deviations(idata: xr.DataTree, posterior: xr.Dataset) -> NewDeviations | None:
    constant = idata["constant_data"]
    if "weight_unit" not in constant:
        return None
    expected = "clusters" not in idata
    return read_deviations(posterior, constant["weight_unit"].to_numpy(), expected=expected)


def _clusters(idata: xr.DataTree, base: TaskPrior, first: int) -> list[Component]:
    """The clusters of each draw and, last, a new one; ``base`` is the prior of the latter.

    The mean of a new cluster is integrated out. Coefficients before ``first`` do not follow the
    clusters.
    """
    posterior, clusters = idata["posterior"].to_dataset(), idata["clusters"].to_dataset()
    between, probability = stack_draws(posterior["between"]), stack_draws(clusters["probability"])
    means = stack_draws(clusters["cluster_mean"].transpose(..., "cluster", "feature"))
    sd = base.sd.copy()
    sd[:, first:] *= np.sqrt(1.0 - between)[:, None]
    components = []
    for k in range(probability.shape[1]):
        occupied = probability[:, k] > 0
        if occupied.any():
            mean = base.mean.copy()
            mean[occupied, first:] = means[occupied, k]
            components.append(Component(probability[:, k], TaskPrior(mean, sd, None)))
    new = np.clip(1.0 - probability.sum(axis=1), 0.0, 1.0)
    return [*components, Component(new, base)]


def _prior(posterior: xr.Dataset, prefix: str, *, separate: bool, features: bool) -> TaskPrior:
    """Stack intercept and weights."""
    means, sds = [], []
    if separate:
        means.append(stack_draws(posterior["intercept_mean"])[:, None])
        sds.append(stack_draws(posterior["intercept_sd"])[:, None])
    if features:
        means.append(stack_draws(posterior[f"{prefix}_mean"]))
        sds.append(stack_draws(posterior[f"{prefix}_sd"]))
    root = None
    # Factors that the tasks share make the weights of a new one more correlated than given them.
    names = [f"{whose}_correlation" for whose in ("population", "feature")]
    found = [name for name in names if name in posterior]
    if found:
        correlation = stack_draws(posterior[found[0]].transpose(..., "feature", "feature_bis"))
        shift, n_features = int(separate), correlation.shape[1]
        root = np.zeros((len(correlation), shift + n_features, shift + n_features))
        root[:, :shift, :shift] = 1.0
        root[:, shift:, shift:] = _root(correlation)
    return TaskPrior(np.concatenate(means, axis=1), np.concatenate(sds, axis=1), root)


def _root(correlation: np.ndarray) -> np.ndarray:
    """Factor R = root root', also where it is singular up to rounding."""
    try:
        return np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlation)
        return vectors * np.sqrt(values.clip(min=0))[:, None, :]


def _noise(
    posterior: xr.Dataset,
) -> tuple[np.ndarray | None, tuple[np.ndarray, np.ndarray] | None]:
    """Read the noise of a new task: shared, or log-normal around a median."""
    if "task" not in posterior["noise_sd"].dims:
        return stack_draws(posterior["noise_sd"]), None
    if "noise_median" not in posterior:
        # Noise fixed task by task says nothing of a new one, which only its response needs.
        return None, None
    return None, (stack_draws(posterior["noise_median"]), stack_draws(posterior["noise_spread"]))


def _effects(
    idata: xr.DataTree, posterior: xr.Dataset, *, separate: bool, features: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Stack the effects of the task features on intercept and weights."""
    if "task_features" not in idata["constant_data"]:
        return None, None
    center = idata["constant_data"]["task_feature_center"].to_numpy()
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    parts = []
    if separate:
        effects = np.zeros((n_samples, center.size))
        if "intercept_task_effects" in posterior:
            effects = stack_draws(posterior["intercept_task_effects"])
        parts.append(effects[:, None, :])
    if features:
        parts.append(
            stack_draws(posterior["task_effects"].transpose(..., "feature", "task_feature"))
        )
    return np.concatenate(parts, axis=1), center


def priors_of_task(
    population: Population, task_features: np.ndarray | None, rng: np.random.Generator
) -> list[Component]:
    """Move the means of the population to the features of one task, and let it deviate.

    Parameters
    ----------
    population : Population
        What `read_population` returned.
    task_features : array (task_feature,) or None
        Features of the task, for models that have any.
    rng : numpy.random.Generator
        Source of the sds of sparse deviations, where tasks have any.
    """
    components = population.components
    new = population.deviations
    if new is not None:
        local = draw_local(new, rng)
        components = [
            part._replace(prior=with_deviations(part.prior, new, local)) for part in components
        ]
    if population.effects is None or task_features is None:
        return components
    shift = population.effects @ (task_features - population.effects_center)
    return [
        part._replace(prior=part.prior._replace(mean=part.prior.mean + shift))
        for part in components
    ]


def draw_noise(
    population: Population, n_candidates: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Draw noise sds of one new task.

    Parameters
    ----------
    population : Population
        What `read_population` returned.
    n_candidates : int
        Values per posterior draw, one from each of as many parts of equal probability.
    rng : numpy.random.Generator
        Source of the uniforms, where the noise differs between tasks.

    Returns
    -------
    array (candidate, sample) or None
        One candidate if the noise is shared; None with known standard errors.
    """
    if population.noise_log_normal is None:
        return None if population.noise_sd is None else population.noise_sd[None]
    median, spread = population.noise_log_normal
    uniforms = np.arange(n_candidates)[:, None] + rng.random((n_candidates, len(median)))
    return median * np.exp(spread * ndtri(uniforms / n_candidates))


def task_draws(
    population: Population,
    coefficients: np.ndarray,
    noise_sd: np.ndarray | None,
    parameters: np.ndarray | None = None,
) -> TaskDraws:
    """Turn draws of the coefficients (sample, coefficient) into intercept at x = 0 and weights."""
    if population.center is None:
        return TaskDraws(np.zeros(len(coefficients)), coefficients, noise_sd, parameters)
    weights = coefficients[:, 1:]
    at_zero = coefficients[:, 0] - weights @ population.center
    return TaskDraws(at_zero, weights, noise_sd, parameters)
