"""What a prior of the covariance of tasks with a structure of its own has to say for itself."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.relations.covariance.dense_covariance import standard_sites
from bayesmtl.relations.covariance.exchange import exchange_precision
from bayesmtl.relations.covariance.innovations import by_task, place_deviations_of
from bayesmtl.relations.covariance.state import DenseTasks
from bayesmtl.relations.exchangeable.moves import set_weights
from bayesmtl.relations.exchangeable.state import PopulationPrior, PopulationState

__all__ = [
    "FeaturePart",
    "ScaleDensity",
    "TaskStructure",
    "structure_given_deviations",
    "structure_with_weights",
]


class FeaturePart(NamedTuple):
    """Standardised deviations of the features that vary over tasks.

    Parameters
    ----------
    deviation : (task, d)
    precision : (d, d)
        Of a row; rows and columns of features whose scale is zero are zero.
    n_varying : int
        Number of features that vary.
    """

    deviation: np.ndarray
    precision: np.ndarray
    n_varying: int


class ScaleDensity(NamedTuple):
    """Log prior of a precision matrix times ``e^-2x``, with the Jacobian, as a function of x.

    ``power x - (second e^-2x + fourth e^-4x) / 2``.
    """

    power: float
    second: float
    fourth: float


class TaskStructure(Protocol):
    """A prior of the covariance of tasks: a sparse graph, a known graph, a tree.

    ``own`` is the state that it needs beside the covariance: a NamedTuple of arrays, updated in
    place. ``tasks`` is a `bayesmtl.relations.covariance.state.DenseTasks`, updated in place too.
    """

    def start(self, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        """A dispersed start: precision (task, task), and the state."""

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        """A draw from the prior, as of `start`."""

    def given_weights(
        self, own: Any, tasks: Any, features: FeaturePart, rng: np.random.Generator
    ) -> None:
        """Update given the weights: no likelihood enters."""

    def with_weights(
        self,
        own: Any,
        tasks: Any,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        *,
        exact: bool,
        rng: np.random.Generator,
    ) -> None:
        """Update with the deviations, which change in place.

        ``sites`` are their precision (task, d, d) and linear term (task, d). Unless these are
        ``exact``, the update is reversible under them.
        """

    def scale_density(self, own: Any, tasks: Any) -> ScaleDensity | None:
        """Prior of the whole matrix's scale; None where that is fixed."""

    def log_prior(self, own: Any, tasks: Any) -> float:
        """Log prior density up to a constant."""

    def recorded(self, own: Any) -> dict[str, np.ndarray]:
        """What is kept of ``own`` in a draw, by field of `bayesmtl.inference.draws.TaskDraws`."""


def feature_part(prior: PopulationPrior, state: PopulationState) -> FeaturePart:
    """The features of a state, without separate intercepts.

    Parameters
    ----------
    prior : PopulationPrior
    state : PopulationState
    """
    first = prior.block
    precision = state.precision[first:, first:].copy()
    still = state.scale[first:] == 0.0
    precision[still] = 0.0
    precision[:, still] = 0.0
    deviation = unpack_tasks(state.deviation, prior.n_tasks)[:, first:]
    return FeaturePart(np.ascontiguousarray(deviation), precision, int((~still).sum()))


@kernel
def feature_sites(dense, precision, prior, state):
    """Precision (task, d, d) and linear term (task, d) of the deviations of the features.

    Given separate intercepts.
    """
    first, p = prior.block, state.scale.shape[0]
    center = np.dot(dense.design, state.means.T)
    gram, score = standard_sites(dense, precision, state.scale, center)
    intercepts = by_task(state.deviation, prior.n_tasks, 0, first)
    for t in range(prior.n_tasks):
        for i in range(first, p):
            for j in range(first):
                score[t, i] -= gram[t, i, j] * intercepts[t, j]
    return gram[:, first:, first:].copy(), score[:, first:].copy()


def structure_given_deviations(
    structure: TaskStructure,
    own: Any,
    prior: PopulationPrior,
    state: PopulationState,
    tasks: DenseTasks,
    *,
    noise_variance: float,
    rng: np.random.Generator,
) -> None:
    """Update a structure given the weights, and its scale where that is free, in place.

    Parameters
    ----------
    structure : TaskStructure
    own : NamedTuple of arrays
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    structure.given_weights(own, tasks, feature_part(prior, state), rng)
    density = structure.scale_density(own, tasks)
    if density is not None:
        exchange_precision(prior, state, tasks, density, noise_variance, rng)


def structure_with_weights(
    structure: TaskStructure,
    own: Any,
    sites: Sites,
    dense: Any,
    prior: PopulationPrior,
    state: PopulationState,
    *,
    tasks: DenseTasks,
    exact: bool,
    rng: np.random.Generator,
) -> None:
    """Update a structure with the weights, in place.

    Parameters
    ----------
    structure : TaskStructure
    own : NamedTuple of arrays
    sites : Sites
    dense : DenseSites
        The same, by task.
    prior : PopulationPrior
    state : PopulationState
    tasks : DenseTasks
    exact : bool
        Whether the sites are; else the update is reversible under them.
    rng : numpy.random.Generator
    """
    features = feature_part(prior, state)
    of_features = feature_sites(dense, sites.precision, prior, state)
    structure.with_weights(own, tasks, of_features, features, exact=exact, rng=rng)
    place_features(prior, state, features.deviation)


@kernel
def place_features(prior, state, deviation):
    """Write the deviations (task, d) of the features, and the weights that follow from them."""
    place_deviations_of(state, deviation, prior.block)
    set_weights(prior, state)
