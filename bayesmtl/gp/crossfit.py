"""Learned features of rows that did not train what makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmtl.gp.trunk_train import TrunkRows, train_trunk
from bayesmtl.trunk import forward

__all__ = ["crossfit", "split_rows"]

_RIDGE = 1e-3


def split_rows(task: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold (row,) of each row; the rows of each task are spread evenly over the folds."""
    order = rng.permutation(len(task))
    order = order[np.argsort(task[order], kind="stable")]
    fold = np.empty(len(task), dtype=np.int64)
    # Counted through all tasks, so that tasks of few rows do not all lack the same fold.
    fold[order] = np.arange(len(task)) % folds
    return fold


def crossfit(
    rows: TrunkRows,
    names: Sequence[str],
    n_tasks: int,
    *,
    folds: int,
    rng: np.random.Generator,
    **options: Any,
) -> tuple[dict[str, Any], np.ndarray]:
    """Train a trunk on all rows, and one without each fold, whose features are put into its basis.

    The features of a fold come from the trunk without it, by the affine map that fits them best to
    those of the trunk of all rows on the rows that both have seen. With one fold nothing is left
    out: the features come from the trunk that these rows have trained.

    Parameters
    ----------
    rows : TrunkRows
        Inputs on the user's scale.
    names : sequence of str
        Of the inputs.
    n_tasks, folds : int
    rng : numpy.random.Generator
    **options
        Of `train_trunk`.

    Returns
    -------
    trunk : dict
        Of all rows, as `bayesmtl.trunk.forward` reads it.
    features : numpy.ndarray, shape (row, feature)
    """
    every = np.arange(len(rows.task))
    trunk = _trunk(rows, names, n_tasks, every, rng, options)
    reference = forward(trunk, rows.inputs)
    if folds == 1:
        return trunk, reference
    features = np.empty_like(reference)
    fold = split_rows(rows.task, folds, rng)
    for k in range(folds):
        seen, unseen = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        found = forward(_trunk(rows, names, n_tasks, seen, rng, options), rows.inputs)
        features[unseen] = _align(found[seen], reference[seen], found[unseen])
    return trunk, features


def _align(found: np.ndarray, reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The affine map from ``found`` to ``reference`` (row, feature), applied to ``other``."""
    center = found.mean(axis=0)
    gram = (found - center).T @ (found - center) + _RIDGE * len(found) * np.eye(found.shape[1])
    mean = reference.mean(axis=0)
    slopes = np.linalg.solve(gram, (found - center).T @ (reference - mean))
    return mean + (other - center) @ slopes


def _trunk(
    rows: TrunkRows,
    names: Sequence[str],
    n_tasks: int,
    chosen: np.ndarray,
    rng: np.random.Generator,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Train on some rows; inputs and outputs are standardised over these."""
    part = rows.take(chosen)
    center, scale = part.inputs.mean(axis=0), part.inputs.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    standard = part._replace(inputs=(part.inputs - center) / scale)
    layers = train_trunk(standard, n_tasks, rng=rng, **options)
    width = len(layers[-1]["bias"])
    trunk = {
        "inputs": list(names),
        "center": center.tolist(),
        "scale": scale.tolist(),
        "layers": [{key: value.tolist() for key, value in layer.items()} for layer in layers],
        "output_center": [0.0] * width,
        "output_scale": [1.0] * width,
    }
    made = forward(trunk, part.inputs)
    # A unit that is saturated or dead in all rows stays as it is: a feature without effect.
    spread = np.where(made.std(axis=0) > 1e-6, made.std(axis=0), 1.0)
    return trunk | {
        "output_center": made.mean(axis=0).tolist(),
        "output_scale": spread.tolist(),
    }
