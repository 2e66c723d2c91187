"""From data and settings to what the samplers work on: sites, priors and scaling, all arrays."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.cautions import (
    warn_of_separation,
    warn_of_vague_correlations,
    warn_of_vague_edges,
    warn_of_vague_partitions,
)
from bayesmtl.data import Rows
from bayesmtl.design import Design
from bayesmtl.likelihoods import (
    Bernoulli,
    Likelihood,
    StudentT,
    resolve_likelihood,
    response_levels,
)
from bayesmtl.likelihoods.gaussian import Gaussian, Sites
from bayesmtl.likelihoods.groups import TaskGroups
from bayesmtl.likelihoods.levels import Levels
from bayesmtl.likelihoods.mixed import Mixed, all_ordinal
from bayesmtl.likelihoods.reference import reference_of
from bayesmtl.likelihoods.rows import RowKernels, RowParameters
from bayesmtl.population import fix_mean, population_prior, resolve_blocks
from bayesmtl.relations.clusters.state import PartitionPrior, partition_prior
from bayesmtl.relations.covariance.state import TaskCovariancePrior
from bayesmtl.relations.exchangeable.horseshoe import global_scales
from bayesmtl.relations.exchangeable.prior import Block
from bayesmtl.relations.exchangeable.selection import (
    SelectionPrior,
    own_prior,
    selection_prior,
    under_selection,
)
from bayesmtl.relations.exchangeable.state import DIAGONAL, PopulationPrior
from bayesmtl.relations.graph.prior import SparseGraph
from bayesmtl.relations.kinds import Clusters, Common, Correlated, Relation
from bayesmtl.relations.sparse.prior import Decomposition
from bayesmtl.relations.sparse.state import SparsePrior
from bayesmtl.row_parts import gaussian_parts, mixed_parts, row_column, row_parts, row_weights
from bayesmtl.scaling import INTERCEPT, Scaling, learn_scaling, response_scaling, robust_unit

__all__ = ["Prepared", "Problem", "assemble"]


class Problem(NamedTuple):
    """One data set under one model, in internal units.

    Coefficients are the separate intercept, if there is one, then the features.

    Parameters
    ----------
    rows : Rows
        With ``features`` as the relation sees them (a column of ones for a shared intercept).
    features : tuple of str
    separate_intercept : bool
    scaling : Scaling
    task_features : (task, task_feature)
        User scale.
    blocks : list of Block
        Resolved priors, intercept first, on the user's scale.
    prior : PopulationPrior
    partition : PartitionPrior or None
        Where tasks fall into clusters.
    task_covariance : TaskCovariancePrior or None
        Where tasks are correlated.
    selection : SelectionPrior or None
        Under feature selection; its rows of ``prior`` are then the state of a chain.
    sparse : SparsePrior or None
        Where tasks deviate in a few weights; all else describes what they share then.
    design : (row, p)
        Internal features of the rows, intercept column first where it is separate.
    response, weight : (row,)
        Internal response without its offset (as it is, where the likelihood is neither Gaussian
        nor Student t); weight of each row (known standard errors included).
    row_weight : (row,)
        The user's weights, else 1.
    size : (row,)
        Trials or exposure, 1 without.
    levels : Levels
        Labels of the response, of all tasks or by task, which holds their codes.
    standard_error : (row,) or None
        Known standard errors, user units.
    offset : (row,)
        User units, 0 without one.
    fixed_noise : (task,) or None
        Noise sds that the model fixes, user units.
    noise_priors : tuple of (6,)
        Prior rows of the shared or median noise sd and of the spread.
    sites : Sites
        Exact under a Gaussian likelihood, else approximate.
    reference_sd : float
        Pooled sd of the response, the scale of its defaults; user units.
    reference_noise : float
        Noise variance that the joint prior refers to where it is not learned; internal units.
    row_data : RowData or None
        For a likelihood that is not Gaussian; one of each group of tasks, where they differ.
    row_kernels : RowKernels or None
    row_parameters : RowParameters
    groups : TaskGroups or None
        Where tasks have different likelihoods: then the response is as it is, the coefficients are
        those of the predictor less the centre of the task, in units of its scale.
    """

    rows: Rows
    features: tuple[str, ...]
    separate_intercept: bool
    scaling: Scaling
    task_features: np.ndarray
    blocks: list[Block]
    prior: PopulationPrior
    partition: PartitionPrior | None
    task_covariance: TaskCovariancePrior | None
    selection: SelectionPrior | None
    sparse: SparsePrior | None
    design: np.ndarray
    response: np.ndarray
    weight: np.ndarray
    row_weight: np.ndarray
    size: np.ndarray
    levels: Levels
    standard_error: np.ndarray | None
    offset: np.ndarray
    fixed_noise: np.ndarray | None
    noise_priors: tuple[np.ndarray, np.ndarray]
    sites: Sites
    reference_sd: float
    reference_noise: float
    row_data: Any
    row_kernels: RowKernels | None
    row_parameters: RowParameters
    groups: TaskGroups | None = None

    def for_chain(self) -> Problem:
        """The same problem, with rows of its own where they are part of the state of a chain."""
        if self.selection is None:
            return self
        return self._replace(prior=own_prior(self.prior))

    @property
    def correlated_features(self) -> bool:
        """Whether the deviations of the features have correlations, learned or given."""
        given = self.blocks[-1].correlation is not None
        return given or self.prior.covariance != DIAGONAL


class Prepared(NamedTuple):
    """A model that has seen its data.

    Parameters
    ----------
    problem : Problem
    design, task_design : Design
        What the formulas learned; ``task_design`` None without task features.
    columns : dict
        Column of each role, "se", "trials", "exposure", "weights" and "offset", or None.
    relation : relation
        Of the weights, a tree of tasks as the columns of the data say it.
    """

    problem: Problem
    design: Design
    task_design: Design | None
    columns: dict[str, Any]
    relation: Relation


def assemble(
    rows: Rows,
    features: tuple[str, ...],
    task_features: np.ndarray,
    *,
    relation: Relation,
    intercept: Common | None,
    likelihood: Likelihood | Mixed,
    columns: dict[str, Any],
    standardize: bool,
    prepared: bool = False,
    own_scales: np.ndarray | None = None,
    own_task_scales: np.ndarray | None = None,
    own_unit: float | None = None,
) -> Problem:
    """Put data and model together.

    Parameters
    ----------
    rows : Rows
        Features as the relation sees them.
    features : tuple of str
    task_features : (task, task_feature)
    relation : relation of the weights
    intercept : relation of a separate intercept, or None
    likelihood : Likelihood or Mixed
    columns : dict
        Names of the columns of each role in ``rows.extra``, or None.
    standardize : bool
    prepared : bool
        Whether features, and a measured response, are in internal units already: a basis.
    own_scales, own_task_scales : (feature,) and (task_feature,), optional
        Scales of columns of a basis, NaN of others: see `bayesmtl.design.feature_scales`.
    own_unit : float, optional
        Of the response, or of its predictor; by default learned from the rows.

    Raises
    ------
    InvalidDataError
        For a response that sets no scale, or standard errors and weights that are not positive.
    """
    assert rows.response is not None
    separate = intercept is not None
    any_intercept = separate or INTERCEPT in features
    common_part, share = _parted(relation)
    offset, weight = row_column(rows, columns["offset"], 0.0), row_weights(rows, columns["weights"])
    size = _size(rows, columns)
    if not isinstance(likelihood, Mixed):
        likelihood.check(rows.response, size, rows.position)
    if isinstance(likelihood, Bernoulli) and not prepared:
        warn_of_separation(rows, features)
    center, unit, noise = _units(rows, likelihood, size, offset, weight, standardize=standardize)
    unit = unit if own_unit is None else own_unit
    center = center if any_intercept else 0.0
    scaling = learn_scaling(
        rows,
        task_features,
        separate=separate,
        standardize=standardize,
        names=features,
        response=(center, unit),
        own=own_scales,
        task_own=own_task_scales,
    )
    scaling = _as_they_are(scaling, likelihood) if prepared else scaling
    if isinstance(common_part, Clusters):
        warn_of_vague_partitions(rows, features)
    blocks = resolve_blocks(common_part, intercept, features, scaling)
    if all_ordinal(likelihood) and any_intercept:
        fix_mean(blocks, features, common_part if intercept is None else intercept)
    design = (rows.features - scaling.feature_center) / scaling.feature_scale
    if separate:
        design = np.column_stack([np.ones(len(design)), design])
    sd = math.sqrt(noise) / (unit if isinstance(likelihood, StudentT) else 1.0)
    prior = population_prior(blocks, features, scaling, task_features)
    common = {
        "rows": rows,
        "features": features,
        "separate_intercept": separate,
        "scaling": scaling,
        "task_features": task_features,
        "blocks": blocks,
        **_priors(prior, blocks[-1].relevant, share if features else None, sd, len(rows.task)),
        "partition": partition_prior(common_part.partition(len(rows.tasks)))
        if isinstance(common_part, Clusters) and features
        else None,
        "task_covariance": _task_covariance(common_part, rows, features, caution=not prepared),
        "design": design,
        "row_weight": weight,
        "size": size,
        "levels": response_levels(likelihood),
        "offset": offset,
        "reference_sd": unit,
    }
    if isinstance(likelihood, Gaussian):
        return Problem(**common, **gaussian_parts(common, likelihood, columns["se"]))
    if isinstance(likelihood, Mixed):
        return Problem(**common, **mixed_parts(common, likelihood, any_intercept, standardize))
    return Problem(**common, **row_parts(common, resolve_likelihood(likelihood, unit), noise))


def _as_they_are(scaling: Scaling, likelihood: Likelihood | Mixed) -> Scaling:
    """Features, and a Gaussian response, without centres and in units of one."""
    scaling = scaling._replace(
        feature_center=np.zeros_like(scaling.feature_center),
        feature_scale=np.ones_like(scaling.feature_scale),
    )
    if isinstance(likelihood, Gaussian):
        return scaling._replace(response_center=0.0, response_scale=1.0)
    return scaling


def _priors(
    prior: PopulationPrior, relevant: float | None, deviating: float | None, sd: float, n_rows: int
) -> dict[str, Any]:
    """The population's prior, and those of selection and of sparse deviations, by their shares."""
    selection, sparse = None, None
    if deviating is not None:
        sparse = SparsePrior(global_scales(deviating, sd, n_rows, prior.n_tasks))
    if relevant is not None:
        selection = selection_prior(prior, relevant, sd, n_rows)
        prior = under_selection(prior)
    return {"prior": prior, "selection": selection, "sparse": sparse}


def _parted(relation: Relation) -> tuple[Common, float | None]:
    """What tasks share, and the expected share of weights that deviate from it, if they may."""
    if isinstance(relation, Decomposition):
        return relation.common, relation.sparse
    return relation, None


def _task_covariance(
    relation: Common, rows: Rows, features: tuple[str, ...], *, caution: bool
) -> TaskCovariancePrior | None:
    if not (isinstance(relation, Correlated) and features):
        return None
    settings = relation.task_settings(rows.tasks, len(features))
    if settings.kind in ("full", "lkj") and caution:
        warn_of_vague_correlations(rows)
    elif isinstance(relation, SparseGraph):
        warn_of_vague_edges(rows)
    return TaskCovariancePrior.of(settings, len(rows.tasks))


def _units(
    rows: Rows,
    likelihood: Likelihood | Mixed,
    size: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray,
    *,
    standardize: bool,
) -> tuple[float, float, float]:
    """Centre and unit of the predictor, noise variance of an average row."""
    assert rows.response is not None
    if isinstance(likelihood, Mixed):
        # Of coefficients in common units; each task has its own beside them.
        return 0.0, 1.0, 1.0
    if isinstance(likelihood, Gaussian):
        measured = rows.response - offset
        return *response_scaling(measured, intercept=True, standardize=standardize), 1.0
    center, noise = reference_of(likelihood, rows.response, size, offset, weight)
    unit = 1.0
    if isinstance(likelihood, StudentT) and standardize:
        unit = robust_unit(rows.response - offset, math.sqrt(noise))
    return center, unit, noise


def _size(rows: Rows, columns: dict[str, Any]) -> np.ndarray:
    """Trials or exposure of each row."""
    return row_column(rows, columns["trials"] or columns["exposure"], 1.0)
