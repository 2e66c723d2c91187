"""The normal population as PyMC variables, on the user's scale, with the names of the posterior."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.assembly import Problem
from bayesmtl.priors import Prior, PriorLike
from bayesmtl.relations.exchangeable.horseshoe import (
    MEAN_SCALE,
    SLAB_RATE,
    SLAB_SHAPE,
    SPREAD_SCALE,
)
from bayesmtl.relations.exchangeable.prior import Block
from bayesmtl.relations.exchangeable.selection import SelectionPrior
from bayesmtl.relations.exchangeable.state import JOINT
from bayesmtl.relations.exchangeable.updates import HUANG_WAND_DOF

__all__ = [
    "Coefficients",
    "add_correlation_root",
    "add_intercept",
    "add_intercept_population",
    "add_population",
    "add_regularised",
    "add_slab",
    "add_weights",
    "huang_wand_correction",
    "intercept_variable",
    "lkj_root",
    "random_variable",
    "scalar_variable",
    "weights_variable",
]


class Coefficients(NamedTuple):
    """Tensors of the task coefficients, user units; None where the model has none.

    Parameters
    ----------
    weights : (task, feature)
    intercept : (task,)
        At the centre of the features.
    """

    weights: Any
    intercept: Any


def random_variable(name: str, prior: Prior, **kwargs: Any) -> Any:
    """A PyMC variable with a prior of ours; families and parameters have the names of PyMC."""
    import pymc as pm

    params = {key: value for key, value in prior.params if math.isfinite(value)}
    return getattr(pm, prior.family)(name, **params, **kwargs)


def _stack(name: str, values: list[PriorLike], labels: list[str], dim: str) -> Any:
    """One variable of several priors: a vector where they share a family, else one by one."""
    import pymc as pm
    import pytensor.tensor as pt

    families = {value.family if isinstance(value, Prior) else None for value in values}
    if families == {None}:
        return pm.Deterministic(name, pt.as_tensor(np.array(values, dtype=float)), dims=dim)
    if len(families) == 1:
        first = values[0]
        assert isinstance(first, Prior)
        columns = {
            key: np.array([dict(value.params)[key] for value in values])  # type: ignore[union-attr]
            for key, _ in first.params
        }
        finite = {key: column for key, column in columns.items() if np.isfinite(column).any()}
        return getattr(pm, first.family)(name, **finite, dims=dim)
    parts = [
        random_variable(f"{name}[{label}]", value)
        if isinstance(value, Prior)
        else pt.as_tensor(float(value))
        for label, value in zip(labels, values, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(parts), dims=dim)


def add_intercept_population(problem: Problem, z: Any) -> tuple[Any, Any]:
    """Mean, (task,) or a scalar, and sd of the intercepts at the centre of the features."""
    block = problem.blocks[0]
    mean = scalar_variable("intercept_mean", block.mean[0][0])
    sd = scalar_variable("intercept_sd", block.scale[0])
    center = mean
    if z is not None:
        names = [str(i) for i in range(problem.task_features.shape[1])]
        effects = [_known(value) for value in block.mean[0][1:]]
        center = center + z @ _stack("intercept_task_effects", effects, names, "task_feature")
    return center, sd


def add_intercept(problem: Problem, z: Any) -> Any:
    """Intercepts at the centre of the features; z is the (task, task_feature) centred data."""
    import pymc as pm

    center, sd = add_intercept_population(problem, z)
    return intercept_variable(center, sd, pm.Normal("intercept_offset", dims="task"))


def intercept_variable(center: Any, sd: Any, offset: Any) -> Any:
    """Intercepts of standardised deviations ``offset`` (task,) from the population."""
    import pymc as pm

    return pm.Deterministic("intercept_at_center", center + sd * offset, dims="task")


def _known(value: PriorLike | None) -> PriorLike:
    assert value is not None
    return value


def scalar_variable(name: str, value: PriorLike | None) -> Any:
    """A PyMC variable with a prior, or a fixed number under its name."""
    import pymc as pm
    import pytensor.tensor as pt

    if isinstance(value, Prior):
        return random_variable(name, value)
    assert value is not None
    return pm.Deterministic(name, pt.as_tensor(value))


def add_population(
    problem: Problem, z: Any, noise: Any, prefix: str = "population"
) -> tuple[Any, Any]:
    """Means and sds of the weights, user units.

    Parameters
    ----------
    problem : Problem
    z : (task, task_feature) or None
        Centred.
    noise : tensor or float
        The sd that the joint prior refers to.
    prefix : str
        Of the names ``*_mean`` and ``*_sd``.

    Returns
    -------
    center : (task or 1, feature)
    sd : (feature,)
    """
    import pymc as pm
    import pytensor.tensor as pt

    block = problem.blocks[-1]
    default = _default(problem, noise)
    mean = _means(problem, block, default, f"{prefix}_mean", column=0)
    sd = _scales(problem, block, default, f"{prefix}_sd")
    center = mean[None, :]
    if z is not None:
        effects = [
            _means(problem, block, default, f"task_effects_{a}", column=a + 1)
            for a in range(problem.task_features.shape[1])
        ]
        stacked = pm.Deterministic(
            "task_effects", pt.stack(effects, axis=1), dims=("feature", "task_feature")
        )
        center = center + z @ stacked.T
    return center, sd


def add_weights(
    problem: Problem,
    z: Any,
    noise: Any,
    name: str = "weights",
    couple: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Weights of the tasks.

    Parameters
    ----------
    problem : Problem
    z : (task, task_feature) or None
        Centred.
    noise : tensor or float
        The sd that the joint prior refers to, user units.
    name : str
    couple : callable, optional
        From standard normal variables (task, feature) and the Cholesky factor of the correlations
        of the features, or None, to standardised deviations of correlated tasks. Means and sds
        are then those of a typical task.
    """
    import pymc as pm

    prefix = "population" if couple is None else "typical"
    center, sd = add_population(problem, z, noise, prefix)
    offset = pm.Normal("weights_offset", dims=("task", "feature"))
    root = add_correlation_root(problem, sd)
    if couple is not None:
        return pm.Deterministic(name, center + sd * couple(offset, root), dims=("task", "feature"))
    return weights_variable(center, sd, root, offset, name)


def weights_variable(center: Any, sd: Any, root: Any, offset: Any, name: str) -> Any:
    """Weights of deviations ``offset`` (task, feature) that are standard normal in the prior."""
    import pymc as pm

    if root is not None:
        offset = offset @ root.T
    return pm.Deterministic(name, center + sd * offset, dims=("task", "feature"))


class _Default(NamedTuple):
    """Tensors of a default prior over several features, internal units.

    Parameters
    ----------
    mean_sd : list of (member,)
        Sds of the means, then of the effects of each task feature.
    scale : (member,)
        Sds of the deviations.
    """

    mean_sd: list[Any]
    scale: Any


def _default(problem: Problem, noise: Any) -> _Default | None:
    """The joint prior or feature selection; None where every feature has priors of its own."""
    if problem.selection is not None:
        return _selected(problem, problem.selection)
    return _joint(problem, noise) if problem.prior.joint.any() else None


def _joint(problem: Problem, noise: Any) -> _Default:
    import pymc as pm
    import pytensor.tensor as pt

    block, prior = problem.blocks[-1], problem.prior
    r2 = random_variable("r2", block.r2)
    shared = random_variable("shared_fraction", block.shared)
    n = int(prior.joint.sum())
    split = pm.Dirichlet("signal_split", np.ones(n)) if n > 1 else pt.ones(1)
    # The joint prior speaks of the signal: features of unit variance, the response in its units.
    signal = (noise / problem.scaling.response_scale) ** 2 * r2 / (1.0 - r2)
    mean_sd = pt.sqrt(shared * signal / int((prior.mean_kind == JOINT).sum())) * pt.ones(n)
    return _Default(
        [mean_sd] * prior.mean_location.shape[1], pt.sqrt((1.0 - shared) * signal * split)
    )


def _selected(problem: Problem, selection: SelectionPrior) -> _Default:
    """Regularised horseshoe; ``selection_local`` is (member, q)."""
    import pymc as pm
    import pytensor.tensor as pt

    n, q = int(selection.member.sum()), selection.means.shape[1]
    of_means = pm.HalfCauchy("selection_mean_scale", selection.global_scale[MEAN_SCALE])
    of_spread = pm.HalfCauchy("selection_spread_scale", selection.global_scale[SPREAD_SCALE])
    variance = add_slab("selection")
    columns = [
        add_regularised(f"mean_local_{a}", of_means, variance, shape=n)
        if selection.means[selection.member, a].all()
        else pt.ones(n)
        for a in range(q)
    ]
    pm.Deterministic("selection_local", pt.stack(columns, axis=1))
    return _Default(columns, add_regularised("spread_local", of_spread, variance, shape=n))


def add_slab(prefix: str) -> Any:
    """Variance of the slab of a regularised horseshoe, and its sd as ``*_slab``."""
    import pymc as pm
    import pytensor.tensor as pt

    variance = pm.InverseGamma(f"{prefix}_slab_variance", SLAB_SHAPE, SLAB_RATE)
    pm.Deterministic(f"{prefix}_slab", pt.sqrt(variance))
    return variance


def add_regularised(name: str, scale: Any, variance: Any, **shape: Any) -> Any:
    """Half-Cauchy scales of a global scale, bounded by a slab; ``name`` is that of their units."""
    import pymc as pm
    import pytensor.tensor as pt

    wide = scale * pm.HalfCauchy(name, 1.0, **shape)
    return wide * pt.sqrt(variance / (variance + wide**2))


def _positions(problem: Problem) -> np.ndarray:
    """Place of each feature among those of the default prior, which are named by None."""
    member = [scale is None for scale in problem.blocks[-1].scale]
    return np.cumsum(member) - 1


def _means(
    problem: Problem, block: Block, default: _Default | None, name: str, *, column: int
) -> Any:
    """Means (column 0) or effects of one task feature, a vector over features."""
    import pymc as pm

    values = [row[column] for row in block.mean]
    if default is None or not any(value is None for value in values):
        return _stack(name, [_known(value) for value in values], list(problem.features), "feature")
    raw = pm.Normal(f"{name}_offset", shape=int(_positions(problem)[-1]) + 1)
    unit = problem.prior.mean_unit[int(problem.separate_intercept) :, column]
    return _fill(problem, name, values, raw * default.mean_sd[column], unit)


def _scales(problem: Problem, block: Block, default: _Default | None, name: str) -> Any:
    import pymc as pm

    first = int(problem.separate_intercept)
    unit = problem.prior.scale_unit[first:]
    if block.covariance == "huang_wand":
        half_t = problem.prior.half_t_scale[first:] * unit
        return pm.HalfStudentT(name, nu=HUANG_WAND_DOF, sigma=half_t, dims="feature")
    if default is None:
        return _stack(name, [_known(v) for v in block.scale], list(problem.features), "feature")
    return _fill(problem, name, block.scale, default.scale, unit)


def _fill(
    problem: Problem, name: str, values: list[PriorLike | None], default: Any, unit: np.ndarray
) -> Any:
    """A vector over features: ``default`` (member,) times ``unit``, else a prior or number."""
    import pymc as pm
    import pytensor.tensor as pt

    place, parts = _positions(problem), []
    for i, value in enumerate(values):
        if value is None:
            parts.append(default[int(place[i])] * unit[i])
        elif isinstance(value, Prior):
            parts.append(random_variable(f"{name}[{problem.features[i]}]", value))
        else:
            parts.append(pt.as_tensor(float(value)))
    return pm.Deterministic(name, pt.stack(parts), dims="feature")


def add_correlation_root(problem: Problem, sd: Any) -> Any:
    """Cholesky factor of the correlation matrix of the features; None where they have none."""
    import pymc as pm
    import pytensor.tensor as pt

    block, first, d = problem.blocks[-1], int(problem.separate_intercept), len(problem.features)
    if block.correlation is not None:
        given = pt.as_tensor(block.correlation)
        pm.Deterministic("feature_correlation", given, dims=("feature", "feature_bis"))
        return pt.as_tensor(np.linalg.cholesky(block.correlation))
    if block.covariance == "diagonal":
        return None
    # A feature that does not vary over tasks has no correlations.
    varying = np.flatnonzero([scale != 0.0 for scale in block.scale])
    root = pt.eye(d)
    if len(varying) > 1:
        small = lkj_root(len(varying), block.correlation_shape)
        root = root[np.ix_(varying, varying)].set(small)
    pm.Deterministic("feature_correlation", root @ root.T, dims=("feature", "feature_bis"))
    if block.covariance == "huang_wand":
        half_t = problem.prior.half_t_scale[first:] * problem.prior.scale_unit[first:]
        pm.Potential("huang_wand", huang_wand_correction(sd / half_t, root, d))
    return root


def lkj_root(d: int, eta: float, name: str = "partial_correlation_unit") -> Any:
    """Cholesky factor of a d x d correlation matrix from LKJ(eta).

    Its partial correlations given the preceding variables are independent, ``2 Beta(b, b) - 1``
    with ``b = eta + (d - 2 - j) / 2`` in column j (Lewandowski, Kurowicka and Joe 2009, J.
    Multivariate Anal. 100, section 2.4).
    """
    import pymc as pm
    import pytensor.tensor as pt

    row, column = np.tril_indices(d, -1)
    shape = eta + 0.5 * (d - 2 - column)
    partial = 2.0 * pm.Beta(name, shape, shape, shape=len(row)) - 1.0
    partials = pt.zeros((d, d))[row, column].set(partial)
    rest = pt.cumprod(pt.sqrt(1.0 - partials**2), axis=1)
    left = pt.concatenate([pt.ones((d, 1)), rest[:, :-1]], axis=1)
    return partials * left + pt.diag(pt.diagonal(left))


def huang_wand_correction(sd: Any, root: Any, d: int) -> Any:
    """Log of the Huang-Wand density over half-t(2) sds times a uniform correlation matrix.

    Huang and Wand 2013, Bayesian Anal. 8, eq. 3, at unit scales, with the Jacobian ``prod_j s_j^d``
    from covariance elements to sds and correlations.
    """
    import pytensor.tensor as pt

    nu = HUANG_WAND_DOF
    log_det = 2.0 * pt.log(pt.diagonal(root)).sum()
    inverse = pt.linalg.solve_triangular(root, pt.eye(d), lower=True)
    inverse_diagonal = (inverse**2).sum(axis=0) / sd**2
    density = (
        -0.5 * (nu + 2.0 * d) * (log_det + 2.0 * pt.log(sd).sum())
        - 0.5 * (nu + d) * pt.log(nu * inverse_diagonal + 1.0).sum()
        + d * pt.log(sd).sum()
    )
    half_t = -0.5 * (nu + 1.0) * pt.log1p(sd**2 / nu).sum()
    return density - half_t
