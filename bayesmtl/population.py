"""From priors as they are set to tables in internal units: blocks of coefficients, population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.priors import Prior, PriorLike, table_row
from bayesmtl.relations.exchangeable.prior import Block, Features
from bayesmtl.relations.exchangeable.state import (
    DIAGONAL,
    HUANG_WAND,
    JOINT,
    NORMAL,
    OTHER,
    SEPARATE,
    SET,
    PopulationPrior,
)
from bayesmtl.relations.kinds import Common
from bayesmtl.scaling import INTERCEPT, Scaling

__all__ = ["fix_mean", "population_prior", "resolve_blocks"]

_COVARIANCE = {"diagonal": DIAGONAL, "huang_wand": HUANG_WAND, "separate": SEPARATE}


def resolve_blocks(
    relation: Common,
    intercept: Common | None,
    features: Sequence[str],
    scaling: Scaling,
) -> list[Block]:
    """Priors of the coefficients with all defaults filled in, the separate intercept first."""
    effect_unit = tuple((1.0 / scaling.task_feature_scale).tolist())
    blocks = []
    if intercept is not None:
        center, unit = (scaling.response_center,), (scaling.response_scale,)
        blocks.append(intercept.resolve(Features((INTERCEPT,), center, unit, effect_unit)))
    location = tuple(scaling.response_center if name == INTERCEPT else 0.0 for name in features)
    unit = tuple((scaling.response_scale / scaling.feature_scale).tolist())
    blocks.append(relation.resolve(Features(tuple(features), location, unit, effect_unit)))
    return blocks


def fix_mean(blocks: list[Block], features: tuple[str, ...], owner: Common) -> None:
    """Set the mean of the intercepts to 0: thresholds take its place.

    Raises
    ------
    InvalidModelError
        When the model sets another one.
    """
    means = blocks[0].mean[0 if len(blocks) > 1 else features.index(INTERCEPT)]
    chosen = owner.mean is not None
    if isinstance(owner.mean, Mapping):
        chosen = INTERCEPT in owner.mean
    if chosen and means[0] != 0.0:
        raise InvalidModelError(
            "bm.Ordinal() has thresholds in place of the mean of the intercepts, which is 0: leave "
            f"it out, or give the other means by name, mean={{feature: ...}}; got {means[0]}"
        )
    means[0] = 0.0


def _mean_kind(value: PriorLike | None) -> int:
    if value is None:
        return JOINT
    if isinstance(value, Prior):
        return NORMAL if value.family == "Normal" else OTHER
    return SET


def population_prior(
    blocks: list[Block], features: Sequence[str], scaling: Scaling, task_features: np.ndarray
) -> PopulationPrior:
    """Tables of the resolved priors, in internal units."""
    n_tasks = task_features.shape[0]
    standard = (task_features - scaling.task_feature_center) / scaling.task_feature_scale
    z = np.column_stack([np.ones(n_tasks), standard])
    means = [row for block in blocks for row in block.mean]
    scales = [scale for block in blocks for scale in block.scale]
    p, q = len(scales), z.shape[1]
    extra = p - len(features)
    unit = np.concatenate(
        [
            np.full(extra, scaling.response_scale),
            scaling.response_scale / scaling.feature_scale,
        ]
    )
    location = np.zeros((p, q))
    names = [INTERCEPT] * extra + list(features)
    location[:, 0] = [scaling.response_center if name == INTERCEPT else 0.0 for name in names]
    mean_unit = np.column_stack([unit, *(unit / scale for scale in scaling.task_feature_scale)])
    last = blocks[-1]
    row_length = table_row(0.0).size
    flat = [table_row(0.0 if value is None else value) for row in means for value in row]
    return PopulationPrior(
        mean_prior=np.array(flat).reshape(p, q, row_length),
        mean_location=location,
        mean_unit=mean_unit.reshape(p, q),
        mean_kind=np.array([_mean_kind(value) for row in means for value in row], dtype=np.int64),
        scale_prior=np.array([table_row(0.0 if s is None else s) for s in scales]).reshape(
            p, row_length
        ),
        scale_unit=unit,
        joint=np.array([scale is None for scale in scales], dtype=np.bool_),
        r2_prior=table_row(last.r2),
        shared_prior=table_row(last.shared),
        covariance=_COVARIANCE[last.covariance],
        block=extra,
        half_t_scale=np.ones(p),
        correlation_shape=last.correlation_shape,
        task_features=pack_tasks(z),
        task_cross=z.T @ z,
        n_tasks=n_tasks,
    )
