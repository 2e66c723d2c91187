"""Settings of MatrixNormal."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import BayesMTLWarning, InvalidModelError, MatrixNormal, Model, Prior
from bayesmtl.relations.exchangeable.prior import Features

TWO = [[1.0, 0.3], [0.3, 2.0]]
FEATURES = Features(("a", "b"), (0.0, 0.0), (2.0, 0.5), ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task_covariance": "dense"}, "task_covariance must be one of 'low_rank', 'full', 'lkj'"),
        ({"feature_covariance": "none"}, "feature_covariance must be one of 'diagonal'"),
        ({"n_factors": 0}, "positive integer"),
        ({"n_factors": True}, "positive integer"),
        ({"n_factors": 2, "task_covariance": "full"}, "goes with task_covariance='low_rank'"),
        ({"feature_covariance": "identity", "scale": 1.0}, "scale= goes with"),
        ({"feature_covariance": TWO, "r2": Prior("Beta", alpha=1, beta=2)}, "r2= goes with"),
        ({"scale": -1.0}, "scale must be at least 0"),
        ({"scale": 1.0, "shared": Prior("Beta", alpha=1, beta=2)}, "belongs to the joint default"),
        ({"correlation": Prior("LKJ", eta=2)}, "correlation= goes with"),
        ({"task_covariance": [[1.0, 2.0], [2.0, 1.0]]}, "positive definite"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        MatrixNormal(**settings)


def test_the_rank_is_low_above_twelve_tasks() -> None:
    relation = MatrixNormal()
    assert relation.task_settings(np.arange(12), 3).kind == "full"
    many = relation.task_settings(np.arange(13), 3)
    assert (many.kind, many.n_factors) == ("low_rank", 3)
    assert relation.task_settings(np.arange(50), 40).n_factors == 10
    assert MatrixNormal(n_factors=12).task_settings(np.arange(50), 40).n_factors == 12


def test_a_number_of_factors_makes_the_rank_low() -> None:
    few = MatrixNormal(n_factors=2).task_settings(np.arange(5), 3)
    assert (few.kind, few.n_factors) == ("low_rank", 2)


def test_the_scale_of_a_fixed_feature_covariance_is_its_own() -> None:
    block = MatrixNormal(feature_covariance=TWO).resolve(FEATURES)
    np.testing.assert_allclose(block.scale, np.sqrt([1.0, 2.0]))  # type: ignore[arg-type]
    assert block.correlation is not None
    assert block.correlation[0, 1] == pytest.approx(0.3 / np.sqrt(2.0))
    assert MatrixNormal(feature_covariance="identity").resolve(FEATURES).scale == [2.0, 0.5]


def frame(n_tasks: int, d: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(n_tasks), 5)
    data = pd.DataFrame(rng.normal(size=(len(task), d)), columns=[f"x{j}" for j in range(d)])
    return data.assign(task=task, y=rng.normal(size=len(task)))


def test_more_tasks_than_the_features_can_tell_apart_are_told() -> None:
    model = Model("y ~ x0 + x1 + x2", "task", MatrixNormal("full"))
    with pytest.warns(BayesMTLWarning, match="4 tasks is learned from 3 effective features"):
        model.prepare(frame(4, 3))


def test_a_matrix_must_cover_the_tasks() -> None:
    model = Model("y ~ x0", "task", MatrixNormal(np.eye(3)))
    with pytest.raises(InvalidModelError, match="has 3 rows and the model has 4 tasks"):
        model.prepare(frame(4, 1))
    labelled = pd.DataFrame(np.eye(3), index=range(3), columns=range(3))
    with pytest.raises(InvalidModelError, match="no row for the task 3"):
        Model("y ~ x0", "task", MatrixNormal(labelled)).prepare(frame(4, 1))
