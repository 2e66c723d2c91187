"""Warnings of data that cannot tell what a model asks of them."""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.data import Rows
from bayesmtl.errors import warn
from bayesmtl.frames.opening import shorten
from bayesmtl.likelihoods.gaussian import Gaussian

__all__ = [
    "warn_of_collinear_features",
    "warn_of_separation",
    "warn_of_vague_correlations",
    "warn_of_vague_edges",
    "warn_of_vague_partitions",
    "warn_of_yes_or_no",
]

# More features than these, with fewer rows a task than so many times their number, say little of a
# partition (Chandra, Canale and Dunson 2023, J. Mach. Learn. Res. 24).
_MANY_FEATURES, _FEW_ROWS = 15, 3
# Singular values relative to the largest; their squares are still told from rounding.
_COLLINEAR = 1e-6
_ENOUGH_ROWS = 10_000
_ROUNDING = 1e-13


def warn_of_separation(rows: Rows, features: tuple[str, ...]) -> None:
    """Warn of a feature whose values for one response all lie below those for the other.

    Separation by several features together would take a linear program to find.
    """
    assert rows.response is not None
    yes = rows.response == 1.0
    if yes.all() or not yes.any():
        return
    one, other = rows.features[yes], rows.features[~yes]
    apart = (one.min(axis=0) > other.max(axis=0)) | (one.max(axis=0) < other.min(axis=0))
    if apart.any():
        names = ", ".join(repr(features[j]) for j in np.flatnonzero(apart)[:5])
        warn(
            f"a single feature ({names}) separates the rows with response 1 from those with 0: "
            "the data set no bound to its weights, only their prior does; check that it is not "
            "the response in another guise, or set priors of its mean and scale"
        )


def warn_of_yes_or_no(rows: Rows, likelihood: object) -> None:
    """Warn of a response of zeros and ones under a Gaussian likelihood, the default."""
    assert rows.response is not None
    if not isinstance(likelihood, Gaussian):
        return
    zero, one = rows.response == 0.0, rows.response == 1.0
    if (zero | one).all() and zero.any() and one.any():
        warn(
            "every response is 0 or 1, and likelihood=bm.Gaussian() takes them for measurements: "
            "predictions are no probabilities and leave 0 to 1; for yes or no write "
            "likelihood=bm.Bernoulli()"
        )


def warn_of_collinear_features(
    values: np.ndarray, features: tuple[str, ...], own_scales: np.ndarray, *, intercept: bool
) -> None:
    """Warn of features that are sums of multiples of others, pooled over all tasks.

    Parameters
    ----------
    values : (row, feature)
    features : tuple of str
    own_scales : (feature,)
        NaN but for columns of a basis, whose prior is made for that.
    intercept : bool
        Whether a constant may be among the others.
    """
    columns = np.flatnonzero(np.isnan(own_scales))
    step = max(1, len(values) // _ENOUGH_ROWS)
    # What is collinear in all rows is so in some of them, which are quicker to look at.
    if step > 1 and not _collinear(values[::step, columns], intercept=intercept)[0]:
        return
    n_flat, named = _collinear(values[:, columns], intercept=intercept)
    if n_flat:
        which = "one is" if n_flat == 1 else "some are"
        warn(
            f"collinear features: of {shorten([features[columns[j]] for j in named])}, {which} a "
            "sum of multiples of the others; the data tell only a combination of their weights, "
            "and the prior alone tells the separate ones: leave out what the others say"
        )


def _collinear(x: np.ndarray, *, intercept: bool) -> tuple[int, np.ndarray]:
    """Number of directions in which rows do not vary, and positions of the columns in them."""
    varies = np.ptp(x, axis=0) > _ROUNDING * np.abs(x).max(axis=0, initial=0.0)
    used = np.flatnonzero(varies)
    # With fewer rows than features, some are always so.
    if len(used) < 2 or len(x) <= len(used) + 1:
        return 0, used
    x = x[:, used] - x[:, used].mean(axis=0) if intercept else x[:, used]
    x = x / np.sqrt((x**2).mean(axis=0))
    squares, directions = np.linalg.eigh(x.T @ x)
    flat = squares < _COLLINEAR**2 * squares[-1]
    part = np.sqrt((directions[:, flat] ** 2).sum(axis=1))
    return int(flat.sum()), used[part > 0.1 * part.max()]


def warn_of_vague_partitions(rows: Rows, features: tuple[str, ...]) -> None:
    """Warn where the data cannot say which tasks belong together."""
    d = len(features)
    n_rows = np.median(np.bincount(rows.task, minlength=len(rows.tasks)))
    if d > _MANY_FEATURES and n_rows < _FEW_ROWS * d:
        warn(
            f"{d} features and a median of {n_rows:g} rows a task: with more than about "
            f"{_MANY_FEATURES} features and few rows the clusters follow from the prior of the "
            "weights' scale more than from the data, and tend to one for all tasks or one for each;"
            " use fewer features, or compare the posterior with the prior beside it"
        )


def warn_of_vague_correlations(rows: Rows) -> None:
    """Warn where the features are too few to tell the correlations of the tasks."""
    n_tasks, effective = len(rows.tasks), _effective_features(rows)
    if n_tasks > 1 and effective < 2 * n_tasks:
        # Every feature is one replicate; the prior counts as three.
        sd = 1.0 / math.sqrt(effective + 3.0)
        warn(
            f"a full covariance of {n_tasks} tasks is learned from {effective} effective "
            f"features, fewer than {2 * n_tasks}: even if the weights were known, a correlation of "
            f"0 would have a posterior sd of about {sd:.2f} (prior 0.58); compare task_correlation "
            "with prior_task_correlation in the task relations, or use "
            "task_covariance='low_rank'"
        )


def warn_of_vague_edges(rows: Rows) -> None:
    """Warn where the features are too few to tell which tasks are linked."""
    n_tasks, effective = len(rows.tasks), _effective_features(rows)
    if n_tasks > 2 and effective < n_tasks:
        warn(
            f"a graph of {n_tasks} tasks is learned from {effective} effective features, fewer "
            "than tasks: even if the weights were known, few edges could be told from none; "
            "compare edge_probability with prior_edge_probability in the task relations"
        )


def _effective_features(rows: Rows) -> int:
    return int(np.linalg.matrix_rank(rows.features - rows.features.mean(axis=0)))
