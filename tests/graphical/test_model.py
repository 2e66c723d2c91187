"""Settings: validated, printed, stored."""

import json
from typing import Any

import numpy as np
import pytest

import bayesmtl as bm

Model = bm.MultiTaskGraphicalModel


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": 3}, "task must be the name of a column, got 3"),
        ({"prior": "lasso"}, "prior must be one of 'horseshoe', 'spike_slab', got 'lasso'"),
        ({"relation": "none"}, "relation must be one of 'joint', 'independent', 'pooled'"),
        ({"means": "zero"}, "means must be one of 'separate', 'pooled', got 'zero'"),
        ({"missing": "keep"}, "missing must be one of 'error', 'drop', 'impute'"),
        ({"own_scales": 1}, "own_scales must be True or False, got 1"),
        ({"slab": -1.0}, r"slab must be a positive number, got -1\.0"),
        ({"mean_sd": float("nan")}, "mean_sd must be a positive number, got nan"),
        ({"global_scale": float("inf")}, "global_scale must be a positive number"),
        ({"diagonal_rate": 0}, "diagonal_rate must be a positive number, got 0"),
        ({"relatedness_rate": "5"}, "relatedness_rate must be a positive number, got '5'"),
        ({"relatedness_probability": 1.0}, "relatedness_probability must be .* between 0 and 1"),
        ({"edge_share": 0.0}, "edge_share must be a number between 0 and 1, got 0.0"),
        ({"edge_threshold": True}, "edge_threshold must be a number between 0 and 1, got True"),
        ({"spike": 2.0}, "spike=2 must be below slab=1"),
        ({"variables": "x"}, "variables must be a list of names of columns or None, got 'x'"),
        ({"variables": ["x", 3]}, "variables must be names of columns, got 3"),
        ({"variables": ["x", "y", "x"]}, 'variables name "x" twice'),
        ({"variables": ["x", "task"]}, 'task column "task" is also named in variables'),
        ({"variables": ["x"]}, r"two variables or more, got \['x'\]"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        Model(**options)


def test_settings_survive_json() -> None:
    model = Model(variables=["a", "b"], prior="spike_slab", edge_share=0.3, slab=2)
    again = Model.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model
    assert again.variables == ("a", "b")


def test_numbers_of_numpy_survive_json() -> None:
    numbers: dict[str, Any] = {"slab": np.float32(0.5), "edge_shape": np.int64(2)}
    model = Model(edge_share=np.float64(0.3), **numbers)
    assert json.loads(json.dumps(model.to_dict())) == model.to_dict()
    assert model == Model(slab=0.5, edge_share=0.3, edge_shape=2)


def test_settings_of_another_model() -> None:
    with pytest.raises(bm.InvalidModelError, match="settings of 'Other', not of"):
        Model.from_dict({"type": "Other"})
    with pytest.raises(bm.InvalidModelError, match="has no setting 'spikes'; its settings are"):
        Model.from_dict({"spikes": 1})


def test_story() -> None:
    text = str(Model(variables=["a", "b"], task="g"))
    assert "a, b   (task: g)" in text
    assert "l_ij" in text
    text = str(Model(prior="spike_slab", means="pooled"))
    assert "theta_gm ~ Gamma(2, 5) with probability 0.9" in text
    assert "the same for all g" in text
    assert "of mean 2 / (variables - 1), between 0.05 and 0.5" in text
    assert "K_g = K" in str(Model(prior="spike_slab", relation="pooled", edge_share=0.2))
    assert "l_gij" in str(Model(relation="independent"))


def test_default_share_of_edges() -> None:
    for n, share in ((2, 0.5), (11, 0.2), (200, 0.05)):
        first, second = Model(prior="spike_slab").graph_prior(2, n).edge_shape
        assert first / (first + second) == pytest.approx(share)


def test_too_many_tasks_to_relate() -> None:
    with pytest.raises(bm.UnsupportedError, match="relates up to 8 tasks, and the data hold 9"):
        Model(prior="spike_slab").graph_prior(9, 3)
    assert Model(prior="spike_slab", relation="independent").graph_prior(9, 3).n_families == 9
    assert Model().graph_prior(9, 3).n_families == 1
