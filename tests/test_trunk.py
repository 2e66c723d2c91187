"""A trained network in a design."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl.design import Design, learn_design
from bayesmtl.errors import InvalidModelError
from bayesmtl.trunk import forward, learned_names
from tests.designs import feature_matrix

ROWS = pd.DataFrame({"y": [0.0, 1.0, 2.0], "a": [1.0, 2.0, 4.0], "g": ["u", "v", "u"]})


def with_trunk() -> Design:
    plain = learn_design("y ~ a + g", ROWS)
    trunk = {
        "inputs": list(plain.features),
        "center": [1.0, 0.5],
        "scale": [2.0, 1.0],
        "layers": [
            {"weights": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "bias": [0.0, 1.0, -1.0]},
            {"weights": [[1.0], [2.0], [3.0]], "bias": [0.5]},
        ],
        "output_center": [0.25],
        "output_scale": [0.5],
    }
    return Design("y ~ a + g", "y", learned_names(1), True, plain.encoding, trunk)


def test_features_are_the_last_layer_of_those_of_the_formula() -> None:
    design = with_trunk()
    assert design.trunk is not None
    x = np.column_stack([(ROWS["a"] - 1.0) / 2.0, (ROWS["g"] == "v") - 0.5])
    first, second = (
        (np.array(layer["weights"]), np.array(layer["bias"])) for layer in design.trunk["layers"]
    )
    expected = np.tanh(np.tanh(x @ first[0] + first[1]) @ second[0] + second[1])
    np.testing.assert_allclose(feature_matrix(design, ROWS), (expected - 0.25) / 0.5, rtol=1e-12)


def test_json_keeps_every_digit() -> None:
    design = with_trunk()
    saved = Design.from_dict(json.loads(json.dumps(design.to_dict())))
    assert saved == design
    np.testing.assert_array_equal(feature_matrix(saved, ROWS), feature_matrix(design, ROWS))


def test_designs_without_a_trunk_are_saved_without_one() -> None:
    plain = learn_design("y ~ a", ROWS)
    assert "trunk" not in plain.to_dict()
    assert Design.from_dict(plain.to_dict()) == plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "a saved trunk needs the entries"),
        ({"inputs": ["a"]}, r"do not fit together: one has weights of shape \(2, 3\) after 1"),
        ({"layers": []}, "the saved trunk makes 2 features, and the design has 1"),
    ],
)
def test_a_damaged_trunk_is_refused(change: dict[str, Any], message: str) -> None:
    saved = with_trunk().to_dict()
    saved["trunk"] = {**saved["trunk"], **change}
    with pytest.raises(InvalidModelError, match=message):
        Design.from_dict(saved)


def test_a_trunk_of_other_inputs_is_refused() -> None:
    design = with_trunk()
    assert design.trunk is not None
    other = {**design.trunk, "inputs": ["b", "c"]}
    with pytest.raises(InvalidModelError, match="it was changed by hand: learn it again"):
        feature_matrix(Design("y ~ a + g", "y", ("learned1",), True, design.encoding, other), ROWS)


def test_rows_do_not_depend_on_each_other() -> None:
    trunk = with_trunk().trunk
    assert trunk is not None
    x = np.random.default_rng(1).normal(size=(5, 2))
    np.testing.assert_allclose(forward(trunk, x)[2:3], forward(trunk, x[2:3]), rtol=1e-12)
