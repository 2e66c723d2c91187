"""Hyperparameters as users write them."""

import json
import math
from typing import Any

import numpy as np
import pytest

from bayesmtl import InvalidModelError, Prior
from bayesmtl.relations.settings import (
    clean,
    describe,
    from_json,
    per_feature,
    require_numbers,
    require_support,
    to_json,
)

NORMAL = Prior("Normal", mu=1, sigma=2)
VALUES: list[tuple[Any, Any]] = [
    (None, None),
    (2, 2.0),
    (np.float64(0.5), 0.5),
    ([1, 2], (1.0, 2.0)),
    (np.array([1.0, 2.0]), (1.0, 2.0)),
    ((0.5,), (0.5,)),
    (NORMAL, NORMAL),
    ({"x": NORMAL, "z": 1}, {"x": NORMAL, "z": 1.0}),
    ({1: 2}, {"1": 2.0}),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda x: str(x)[:20])
def test_cleaned_values(value: Any, expected: Any) -> None:
    found = clean(value, "scale")
    assert found == expected
    assert from_json(json.loads(json.dumps(to_json(found)))) == (
        list(expected) if isinstance(expected, tuple) else expected
    )
    assert clean(from_json(to_json(found)), "scale") == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wide", "scale must be a number or a prior such as .*, got 'wide'"),
        ([1.0, "x"], r"scale\[0\] must be a number"),
        ([1.0, math.nan], r"scale\[1\] must be finite, got nan"),
        ({"x": math.inf}, r"scale\['x'\] must be finite, got inf"),
        ([NORMAL, NORMAL], "scale: give priors in a mapping {feature: prior}"),
        (np.ones((2, 2)), r"scale\[0\] must be a number"),
    ],
)
def test_what_cannot_be_cleaned(value: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        clean(value, "scale")


def test_an_array_without_dimensions_is_a_number() -> None:
    assert clean(np.array(5.0), "scale") == 5.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "scale must be at least 0, got -1.0; priors such as HalfNormal, HalfCauchy"),
        ((1.0, -2.0), "scale must be at least 0, got -2.0"),
        (NORMAL, r"scale must be at least 0, got Normal\(1, 2\)"),
        ({"x": NORMAL}, r"scale must be at least 0, got Normal\(1, 2\)"),
        (Prior("Uniform", lower=-1, upper=1), r"scale must be at least 0, got Uniform\(-1, 1\)"),
        (Prior("LKJ"), r"scale: LKJ\(1\) is a prior of correlation matrices"),
    ],
)
def test_supports(value: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        require_support(value, "scale", 0.0)


def test_bounded_supports() -> None:
    with pytest.raises(InvalidModelError, match=r"share must be in \[0, 1\], got Gamma.*Beta fit"):
        require_support(Prior("Gamma", alpha=1, beta=1), "share", 0.0, 1.0)
    require_support(Prior("Beta", alpha=1, beta=1), "share", 0.0, 1.0)
    require_support(None, "share", 0.0, 1.0)
    require_support(Prior("TruncatedNormal", lower=0.5), "scale", 0.0)


def test_numbers_where_priors_are_not_allowed() -> None:
    with pytest.raises(
        InvalidModelError, match=r"mean must be fixed numbers, got Normal\(1, 2\); use another"
    ):
        require_numbers({"x": NORMAL}, "mean", "use another")
    require_numbers((1.0, 2.0), "mean", "use another")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [7.0, 8.0]),
        (1.0, [1.0, 1.0]),
        (NORMAL, [NORMAL, NORMAL]),
        ((1.0, 2.0), [1.0, 2.0]),
        ({"z": NORMAL}, [7.0, NORMAL]),
        ({"z": 1.0, "x": 2.0}, [2.0, 1.0]),
    ],
)
def test_one_entry_a_feature(value: Any, expected: list[Any]) -> None:
    assert per_feature(value, ["x", "z"], [7.0, 8.0], "mean") == expected


def test_entries_that_do_not_fit_the_features() -> None:
    with pytest.raises(
        InvalidModelError, match=r"mean: 'q' is no feature of the model; its .* x, z"
    ):
        per_feature({"q": 1.0}, ["x", "z"], [7.0, 8.0], "mean")
    with pytest.raises(
        InvalidModelError, match="mean has 1 numbers, the model has 2 features: x, z"
    ):
        per_feature((1.0,), ["x", "z"], [7.0, 8.0], "mean")
    with pytest.raises(InvalidModelError, match="its features are none"):
        per_feature({"q": 1.0}, [], [], "mean")


def test_descriptions() -> None:
    assert describe(None, "default") == "default"
    assert describe(0.5, "") == "0.5"
    assert describe((1.0, 2.5), "") == "(1, 2.5)"
    assert describe(NORMAL, "") == "Normal(1, 2)"
    assert describe({"x": NORMAL}, "") == "{x: Normal(1, 2); others: default}"


def test_a_mapping_is_a_value() -> None:
    mapping = {"x": NORMAL, "z": 1}
    found = clean(mapping, "mean")
    assert hash(found) == hash(clean({"z": 1.0, "x": NORMAL}, "mean"))
    assert repr(found) == repr({"x": NORMAL, "z": 1.0})
    mapping["x"] = 5
    assert found == {"x": NORMAL, "z": 1.0}
    with pytest.raises(TypeError, match="item assignment"):
        found["x"] = 5  # type: ignore[index]


def test_the_intercept_among_the_features_points_to_where_it_belongs() -> None:
    with pytest.raises(
        InvalidModelError,
        match=r"are x; intercept=bm\.Exchangeable\(mean=\.\.\.\) .* intercept='relation'",
    ):
        per_feature({"Intercept": 1.0}, ["x"], [7.0], "Exchangeable mean")
