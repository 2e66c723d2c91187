"""Parts of the weights under a decomposition: their shares, and those of a new task."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.numerics.lanes import unpack_tasks
from bayesmtl.posterior.conditional import TaskPrior
from bayesmtl.relations.exchangeable.horseshoe import (
    SLAB,
    SPREAD_SCALE,
    expected_variance,
    regularise,
)

__all__ = [
    "NewDeviations",
    "draw_local",
    "expected_sparse",
    "read_deviations",
    "sparse_variables",
    "with_deviations",
]

_SAMPLE = ("chain", "draw")
# Weights of so many numbers at a time.
_NUMBERS = 10_000_000


def expected_sparse(draws: Draws) -> np.ndarray | float:
    """Variance (..., 1) of a deviation of a new task given the draw; 0 without, internal units."""
    if draws.sparse is None:
        return 0.0
    return expected_variance(draws.sparse.hyper)[..., None]


def sparse_variables(problem: Problem, draws: Draws) -> dict[str, Any]:
    """Variables of the posterior group: deviations, their scales and the shares of all parts."""
    assert draws.sparse is not None
    first = problem.prior.block
    unit, hyper = problem.prior.scale_unit[first:], draws.sparse.hyper
    share = _shares(problem, draws)
    return {
        "sparse_part": ((*_SAMPLE, "task", "feature"), unit * draws.sparse.part[..., first:]),
        "sparse_scale": (_SAMPLE, hyper[..., SPREAD_SCALE]),
        "sparse_slab": (_SAMPLE, hyper[..., SLAB]),
        "variance_share": ((*_SAMPLE, "part"), np.stack(list(share.values()), axis=-1)),
        "part": np.array(list(share), dtype=object),
    }


def _shares(problem: Problem, draws: Draws) -> dict[str, np.ndarray]:
    """(chain, draw) share of each part in the sum of their squares, by their predictors."""
    first = problem.prior.block
    design = problem.rows.features - problem.scaling.feature_center
    second = design.T @ design / max(1, len(design))
    unit = problem.prior.scale_unit[first:]
    second = second * np.outer(unit, unit)
    sums: dict[str, list[np.ndarray]] = {}
    n_draws = draws.lp.shape[1]
    step = max(1, _NUMBERS // max(1, problem.prior.n_tasks * unit.size * draws.lp.shape[0]))
    for start in range(0, n_draws, step):
        for name, part in _parts(problem, draws, slice(start, start + step)).items():
            square = np.einsum("...ti,ij,...tj->...", part, second, part, optimize=True)
            sums.setdefault(name, []).append(square)
    squares = {name: np.concatenate(some, axis=1) for name, some in sums.items()}
    total = sum(squares.values())
    return {name: square / total for name, square in squares.items()}


def _parts(problem: Problem, draws: Draws, some: slice) -> dict[str, np.ndarray]:
    """Mean, structure, own and sparse part (chain, draw, task, feature), internal units."""
    prior, first = problem.prior, problem.prior.block
    assert draws.sparse is not None
    assert draws.weights is not None
    z = unpack_tasks(prior.task_features, prior.n_tasks)
    center = np.einsum("...ja,ta->...tj", draws.means[:, some, first:, :], z)
    location = prior.mean_location[first:, 0] / prior.scale_unit[first:]
    center = center + location
    scale = draws.scale[:, some, None, first:]
    sparse = draws.sparse.part[:, some, :, first:]
    parts = {"mean": center}
    if draws.tasks is not None:
        assert draws.tasks.loadings is not None
        assert draws.tasks.factors is not None
        parts["factors"] = scale * (draws.tasks.loadings[:, some] @ draws.tasks.factors[:, some])
    if draws.partition is not None:
        labels, centers = draws.partition.labels[:, some], draws.partition.centers[:, some]
        of_tasks = np.take_along_axis(centers, labels[..., None].astype(np.int64), axis=-2)
        between = np.sqrt(draws.partition.between[:, some])
        parts["clusters"] = scale * between[..., None, None] * of_tasks
    whole = (
        draws.weights[:, some, :, first:]
        + prior.mean_location[first:, 0] / prior.scale_unit[first:]
    )
    parts["own"] = whole - sum(parts.values()) - sparse
    return parts | {"sparse": sparse}


class NewDeviations(NamedTuple):
    """What says how a new task deviates, user units.

    Parameters
    ----------
    scale, slab : (sample,)
    unit : (feature,)
    expected : bool
        Whether the population's variances contain the expected deviations.
    """

    scale: np.ndarray
    slab: np.ndarray
    unit: np.ndarray
    expected: bool


def read_deviations(
    posterior: xr.Dataset, unit: np.ndarray, *, expected: bool
) -> NewDeviations | None:
    """From the posterior group; None where tasks do not deviate."""
    if "sparse_scale" not in posterior:
        return None
    scale, slab = (
        posterior[name].transpose(*_SAMPLE).to_numpy().reshape(-1)
        for name in ("sparse_scale", "sparse_slab")
    )
    return NewDeviations(scale, slab, unit, expected)


def with_deviations(prior: TaskPrior, new: NewDeviations, local: np.ndarray) -> TaskPrior:
    """The prior of a task whose deviations have the sds ``local`` (sample, feature)."""
    d = local.shape[1]
    variance = prior.sd**2
    added = local**2
    if new.expected:
        mean = expected_variance(np.stack([new.scale, new.scale, new.slab], axis=-1))
        added = added - mean[:, None] * new.unit**2
    changed = variance.copy()
    changed[:, -d:] = np.maximum(changed[:, -d:] + added, 0.0)
    if prior.root is None:
        return prior._replace(sd=np.sqrt(changed))
    covariance = prior.root @ np.swapaxes(prior.root, -1, -2)
    covariance = covariance * prior.sd[:, :, None] * prior.sd[:, None, :]
    same = np.arange(prior.sd.shape[1])
    covariance[:, same, same] = changed
    sd = np.sqrt(np.where(changed > 0.0, changed, 1.0))
    correlation = covariance / (sd[:, :, None] * sd[:, None, :])
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(values.clip(min=0.0))[:, None, :]
    return prior._replace(sd=sd, root=root)


def draw_local(new: NewDeviations, rng: np.random.Generator) -> np.ndarray:
    """Sds (sample, feature) of the deviations of one new task."""
    wide = new.scale[:, None] * np.abs(rng.standard_cauchy((new.scale.size, new.unit.size)))
    return new.unit * regularise(wide, new.slab[:, None])
