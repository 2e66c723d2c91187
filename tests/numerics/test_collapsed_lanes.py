"""Collapsed lanes against the collapse operator and dense algebra."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.numerics import lanes
from bayesmtl.numerics.collapsed_lanes import (
    apply_rank_two,
    collapse_lanes,
    collapsed_mean_moments,
    collapsed_scores,
)
from bayesmtl.sites import GaussianSites, collapse
from tests.oracles import dense

SHAPES = [(1, 1, 1), (1, 3, 2), (3, 2, 1), (8, 2, 2), (9, 4, 1), (27, 3, 3)]
TIGHT: Any = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=SHAPES, ids=str)
def tasks(request: pytest.FixtureRequest) -> dense.Tasks:
    n_tasks, p, q = request.param
    return dense.make_tasks(n_tasks, p, q, np.random.default_rng(request.param))


def unpacked(packed: np.ndarray, n_tasks: int, p: int) -> np.ndarray:
    """(block, p (p + 1) / 2, lane) -> (task, p, p)."""
    row, column = np.tril_indices(p)
    out = np.empty((n_tasks, p, p))
    out[:, row, column] = out[:, column, row] = lanes.unpack_tasks(packed, n_tasks)
    return out


def all_collapsed(tasks: dense.Tasks, scale: np.ndarray, prior_precision: np.ndarray) -> Any:
    return collapse_lanes(
        lanes.pack_symmetric(tasks.gram),
        lanes.pack_tasks(tasks.moment),
        lanes.pack_tasks(tasks.precision[:, None])[:, 0],
        scale,
        prior_precision,
    )


def collapsed(
    tasks: dense.Tasks, scale: np.ndarray, prior_precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    gram, moment, _ = all_collapsed(tasks, scale, prior_precision)
    return gram, moment


def reference(tasks: dense.Tasks, covariance: np.ndarray) -> GaussianSites:
    gram = tasks.precision[:, None, None] * tasks.gram
    moment = tasks.precision[:, None] * tasks.moment
    return collapse(GaussianSites(gram, moment, np.zeros(len(moment))), covariance)


@pytest.mark.parametrize("kind", ["diagonal", "correlated", "one scale zero", "all scales zero"])
def test_lanes_equal_the_collapse_operator(tasks: dense.Tasks, kind: str) -> None:
    n_tasks, p = tasks.moment.shape
    prior, scale = np.eye(p), tasks.scale.copy()
    if kind == "correlated":
        prior = dense.random_spd(p, np.random.default_rng(1))
    if kind == "one scale zero":
        scale[0] = 0.0
    if kind == "all scales zero":
        scale[:] = 0.0
    gram, moment, evidence = all_collapsed(tasks, scale, prior)
    expected = reference(tasks, np.outer(scale, scale) * np.linalg.inv(prior))
    np.testing.assert_allclose(unpacked(gram, n_tasks, p), expected.gram, **TIGHT)
    np.testing.assert_allclose(lanes.unpack_tasks(moment, n_tasks), expected.moment, **TIGHT)
    constant = lanes.unpack_tasks(evidence[:, None], n_tasks)[:, 0]
    constant += 0.5 * np.linalg.slogdet(prior)[1]
    np.testing.assert_allclose(constant, expected.constant, **TIGHT)
    # Padded tasks have no data.
    assert not np.moveaxis(gram, 1, -1).reshape(-1, gram.shape[1])[n_tasks:].any()


def test_moments_of_the_means(tasks: dense.Tasks) -> None:
    n_tasks, p = tasks.moment.shape
    gram, moment = collapsed(tasks, tasks.scale, np.eye(p))
    found = collapsed_mean_moments(gram, moment, lanes.pack_tasks(tasks.columns))
    sites = reference(tasks, np.diag(tasks.scale**2))
    still = tasks._replace(
        gram=sites.gram,
        moment=sites.moment,
        precision=np.ones(n_tasks),
        deviation=np.zeros_like(tasks.deviation),
    )
    for got, expected in zip(found, dense.mean_moments(still), strict=True):
        np.testing.assert_allclose(got, expected, **TIGHT)


def test_scores(tasks: dense.Tasks) -> None:
    n_tasks, p = tasks.moment.shape
    gram, score = collapsed(tasks, tasks.scale, np.eye(p))
    collapsed_scores(gram, score, lanes.pack_tasks(tasks.center))
    sites = reference(tasks, np.diag(tasks.scale**2))
    expected = sites.moment - np.einsum("tij,tj->ti", sites.gram, tasks.center)
    np.testing.assert_allclose(lanes.unpack_tasks(score, n_tasks), expected, **TIGHT)


def test_a_change_of_rank_two_equals_collapsing_anew() -> None:
    """D moves by ``U diag(a) U'``: K is ``(diag(a)^-1 + U'S U)^-1``."""
    rng = np.random.default_rng(3)
    tasks = dense.make_tasks(9, 4, 1, rng)
    before = np.diag(tasks.scale**2)
    u, a = rng.normal(size=(4, 2)), np.array([0.7, 0.2])
    gram, score = collapsed(tasks, tasks.scale, np.eye(4))
    collapsed_scores(gram, score, lanes.pack_tasks(tasks.center))
    old = reference(tasks, before)
    old_score = old.moment - np.einsum("tij,tj->ti", old.gram, tasks.center)
    image = old.gram @ u
    inner = np.linalg.inv(np.diag(1.0 / a) + u.T @ image)
    ends = old_score @ u
    weights = np.column_stack([inner[:, 0, 0], inner[:, 0, 1], inner[:, 1, 1], ends])
    packed = np.ascontiguousarray(np.moveaxis(lanes.pack_tasks(weights), 1, 0))
    first, second = (lanes.pack_tasks(image[:, :, i]) for i in (0, 1))
    apply_rank_two(gram, score, first, second, packed)
    new = reference(tasks, before + u @ np.diag(a) @ u.T)
    expected = new.moment - np.einsum("tij,tj->ti", new.gram, tasks.center)
    np.testing.assert_allclose(unpacked(gram, 9, 4), new.gram, **TIGHT)
    np.testing.assert_allclose(lanes.unpack_tasks(score, 9), expected, **TIGHT)
