"""Centres and scales of features, task features and response, pooled over all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayesmtl.data import Rows
from bayesmtl.errors import InvalidDataError

__all__ = ["INTERCEPT", "Scaling", "learn_scaling", "response_scaling", "robust_unit"]

INTERCEPT = "Intercept"


class Scaling(NamedTuple):
    """``internal = (user - center) / scale``, for features, task features and the response.

    Parameters
    ----------
    feature_center, feature_scale : (feature,)
        Centres are zero for columns of a basis, and unless the model has an intercept outside the
        relation.
    task_feature_center, task_feature_scale : (task_feature,)
    response_center, response_scale : float
    """

    feature_center: np.ndarray
    feature_scale: np.ndarray
    task_feature_center: np.ndarray
    task_feature_scale: np.ndarray
    response_center: float
    response_scale: float


def _pooled_scale(values: np.ndarray, standardize: bool) -> np.ndarray:
    """Standard deviations of the columns, 1 for constant ones and without standardisation."""
    n_columns = values.shape[1]
    if not standardize or values.shape[0] == 0:
        return np.ones(n_columns)
    sd = values.std(axis=0)
    # A constant column has a spread of rounding errors only.
    noise = 1e-13 * np.abs(values).max(axis=0, initial=0.0)
    return np.where(sd > noise, sd, 1.0)


def _center_and_scale(
    values: np.ndarray, own: np.ndarray | None, standardize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Means and scales of the columns; a basis keeps its zero, and its own scales."""
    center, scale = values.mean(axis=0), _pooled_scale(values, standardize)
    if own is None:
        return center, scale
    basis = ~np.isnan(own)
    return np.where(basis, 0.0, center), np.where(basis & standardize, own, scale)


def learn_scaling(
    rows: Rows,
    task_features: np.ndarray,
    *,
    separate: bool,
    standardize: bool,
    names: Sequence[str],
    response: tuple[float, float],
    own: np.ndarray | None = None,
    task_own: np.ndarray | None = None,
) -> Scaling:
    """Learn the scaling from the rows.

    Parameters
    ----------
    rows : Rows
    task_features : (task, task_feature)
    separate : bool
        Whether there is an intercept outside the relation: then the features are centred.
    standardize : bool
    names : sequence of str
        Of the features.
    response : tuple of float
        Centre and scale of the response.
    own, task_own : (feature,) and (task_feature,), optional
        Scales of columns of a basis, which are not centred, NaN of others.
    """
    center, scale = _center_and_scale(rows.features, own, standardize)
    if not separate:
        center = np.zeros_like(center)
    if not separate:
        scale = np.where([name == INTERCEPT for name in names], 1.0, scale)
    return Scaling(
        center,
        scale,
        *_center_and_scale(task_features, task_own, standardize),
        *response,
    )


def response_scaling(
    response: np.ndarray, *, intercept: bool, standardize: bool
) -> tuple[float, float]:
    """Centre, 0 without an intercept, and scale of a measured response.

    Raises
    ------
    InvalidDataError
        For a constant response.
    """
    spread = float(response.std())
    if standardize and not spread > 1e-13 * float(np.abs(response).max(initial=0.0)):
        raise InvalidDataError(
            f"the response is constant ({response[0]:g} in all {response.size} rows), so it cannot "
            "set the scale of the priors; check the column, or use standardize=False with priors "
            "of your own"
        )
    return float(response.mean()) if intercept else 0.0, spread if standardize else 1.0


def robust_unit(response: np.ndarray, scale: float) -> float:
    """A scale from the median absolute deviation of a response, unless it is zero.

    Raises
    ------
    InvalidDataError
        When half of the rows or more are equal.
    """
    if scale > 1e-13 * float(np.abs(response).max(initial=0.0)):
        return scale
    raise InvalidDataError(
        f"half of the responses or more are equal ({np.median(response):g}), so their median "
        "absolute deviation cannot set the scale of the priors: check the column, use "
        "bm.Gaussian(), or use standardize=False with priors of your own"
    )
