"""Levels of all tasks or of some, in trees and tables."""

import json
from typing import Any

import numpy as np
import pytest

from bayesmtl.likelihoods.levels import (
    Levels,
    ResponseKinds,
    from_stored,
    response_kinds,
    stored_attrs,
    to_stored,
)

SOME: dict[str, Any] = {"a": None, "b": ("low", "high"), "c": (1, 2.5, 4)}
TASKS = np.array(["a", "b", "c", "b", "c"], dtype=object)


@pytest.mark.parametrize(
    ("levels", "codes", "stored"),
    [
        (None, [1.5, 0, 2, 1, 0], [1.5, 0, 2, 1, 0]),
        (("x", "y", "z"), [1, 0, 2, 1, 0], ["y", "x", "z", "y", "x"]),
        (SOME, [1.5, 0, 2, 1, 0], [1.5, 0, 4, 1, 1]),
    ],
)
def test_responses_are_stored_and_come_back(levels: Levels, codes: Any, stored: Any) -> None:
    codes = np.array(codes)
    found = to_stored(codes, TASKS, levels)
    assert found.tolist() == stored
    np.testing.assert_array_equal(from_stored(found, TASKS, levels), codes)
    assert to_stored(np.stack([codes, codes]), TASKS, levels)[1].tolist() == stored


def test_a_stored_response_says_its_levels() -> None:
    assert stored_attrs(None) == stored_attrs(("x", "y")) == {}
    assert json.loads(stored_attrs(SOME)["levels"]) == {"b": ["low", "high"], "c": [1, 2.5, 4]}


def test_all_levels_stand_side_by_side() -> None:
    assert response_kinds(None) == ResponseKinds(True, ())
    assert response_kinds(("x", "y")) == ResponseKinds(False, ("x", "y"))
    some = response_kinds(SOME)
    assert some.numbers
    assert some.levels == ("low", "high", "1", "2.5", "4")
    assert some.places(SOME["c"]) == [2, 3, 4]
    both = response_kinds({"a": (1, 2, 3), "b": (0, 2)})
    assert not both.numbers
    assert both.levels == (1, 2, 3, 0)
    assert both.places((0, 2)) == [3, 1]
