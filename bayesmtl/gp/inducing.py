"""Where the inducing points start."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["choose_inducing"]

_SAMPLE = 20_000
_ROUNDS = 10


def choose_inducing(inputs: np.ndarray, n_inducing: int, rng: np.random.Generator) -> np.ndarray:
    """Cluster centres of the inputs, or the distinct inputs where these are few enough.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (row, input)
        On a common scale.
    n_inducing : int
        At most so many points.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (inducing, input)

    References
    ----------
    Hensman, Fusi & Lawrence (2013), "Gaussian processes for big data".
    """
    distinct = np.unique(inputs, axis=0)
    if len(distinct) <= n_inducing:
        return distinct
    sample = distinct
    if len(distinct) > _SAMPLE:
        sample = distinct[np.sort(rng.choice(len(distinct), _SAMPLE, replace=False))]
    centers = sample[np.sort(rng.choice(len(sample), n_inducing, replace=False))]
    for _ in range(_ROUNDS):
        _, nearest = cKDTree(centers).query(sample)
        count = np.bincount(nearest, minlength=n_inducing)
        total = np.stack(
            [np.bincount(nearest, column, minlength=n_inducing) for column in sample.T], axis=1
        )
        # A centre that lost all its rows stays where it is.
        centers = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], centers)
    return np.ascontiguousarray(centers)
