"""Designs: the features of a formula, the same after JSON and on new rows."""

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesmtl.design import Design, formula_columns, learn_design
from bayesmtl.errors import (
    BayesMTLWarning,
    InvalidDataError,
    InvalidModelError,
    InvalidTypeError,
)
from tests.designs import feature_matrix, response_vector

TABLE: dict[str, list[Any]] = {
    "y": [1.0, 2.0, 4.0, 8.0, 16.0],
    "x": [1.0, 2.0, 3.0, 5.0, 8.0],
    "Jitter(%)": [0.1, 0.2, 0.3, 0.2, 0.1],
    "g": ["b", "a", "c", "a", "b"],
    "h": [10, 20, 10, 20, 10],
    "flag": [True, False, False, True, True],
    "unit": [1, 1, 1, 1, 1],
}
MAKERS: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


@pytest.fixture(params=list(MAKERS))
def table(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param](TABLE)


def reload(design: Design) -> Design:
    return Design.from_dict(json.loads(json.dumps(design.to_dict())))


@pytest.mark.parametrize(
    ("formula", "features", "first", "intercept"),
    [
        ("y ~ 1", [], [], True),
        ("y ~ x", ["x"], [1.0], True),
        ("y ~ 0 + x", ["x"], [1.0], False),
        ("y ~ x - 1", ["x"], [1.0], False),
        ("y ~ x + unit - 1", ["x", "unit"], [1.0, 1.0], False),
        ("~ x", ["x"], [1.0], True),
        ("y ~ I(x - 22) + I(-x**2 / 2)", ["I(x - 22)", "I(-x ** 2 / 2)"], [-21.0, -0.5], True),
        ("y ~ `Jitter(%)`:x", ["Jitter(%):x"], [0.1], True),
        ("y ~ log(`Jitter(%)`)", ["log(`Jitter(%)`)"], [np.log(0.1)], True),
        ("y ~ np.log1p(x) + sqrt(abs(x))", ["np.log1p(x)", "sqrt(abs(x))"], [np.log(2), 1.0], True),
        ("y ~ log2(x) + log10(x) + exp(x)", ["log2(x)", "log10(x)", "exp(x)"], [0, 0, np.e], True),
        ("y ~ flag", ["flag"], [1.0], True),
        ("y ~ h", ["h"], [10.0], True),
        ("y ~ g", ["g[T.b]", "g[T.c]"], [1.0, 0.0], True),
        ("y ~ 0 + g", ["g[a]", "g[b]", "g[c]"], [0.0, 1.0, 0.0], False),
        ("y ~ C(h)", ["C(h)[T.20]"], [0.0], True),
        ("y ~ C(flag)", ["C(flag)[T.True]"], [1.0], True),
        (
            "y ~ C(g, reference='b')",
            ["C(g, reference='b')[T.a]", "C(g, reference='b')[T.c]"],
            [0, 0],
            True,
        ),
        (
            "y ~ C(g, levels=['c', 'b', 'a'])",
            ["C(g, levels=['c', 'b', 'a'])[T.b]", "C(g, levels=['c', 'b', 'a'])[T.a]"],
            [1.0, 0.0],
            True,
        ),
        ("y ~ x:g + x", ["x", "x:g[T.b]", "x:g[T.c]"], [1.0, 1.0, 0.0], True),
        ("y ~ x*flag", ["x", "flag", "x:flag"], [1.0, 1.0, 1.0], True),
        ("y ~ center(x)", ["center(x)"], [1.0 - 3.8], True),
    ],
)
def test_features(
    table: Any, formula: str, features: list[str], first: list[float], intercept: bool
) -> None:
    design = learn_design(formula, table)
    assert design.features == tuple(features)
    assert design.intercept == intercept
    matrix = feature_matrix(design, table)
    assert matrix.shape == (5, len(features))
    np.testing.assert_allclose(matrix[0], first)


def test_scale_is_learned_once_and_kept_as_json(table: Any) -> None:
    design = learn_design("y ~ scale(center(log(x))) + g*x + C(h)", table)
    assert reload(design) == design
    logs = np.log(TABLE["x"])
    expected = (logs - logs.mean()) / logs.std(ddof=1)
    np.testing.assert_allclose(feature_matrix(design, table)[:, 0], expected)
    new = pd.DataFrame({"x": [2.0, 7.0], "g": ["c", "b"], "h": [20, 10]})
    matrix = feature_matrix(reload(design), new)
    np.testing.assert_array_equal(matrix, feature_matrix(design, new))
    np.testing.assert_allclose(matrix[:, 0], (np.log([2.0, 7.0]) - logs.mean()) / logs.std(ddof=1))
    assert design.features == (
        "scale(center(log(x)))", "g[T.b]", "g[T.c]", "x", "C(h)[T.20]", "g[T.b]:x", "g[T.c]:x",
    )  # fmt: skip
    np.testing.assert_array_equal(matrix[:, 1:], [[0, 1, 2, 1, 0, 2], [1, 0, 7, 0, 7, 0]])


def test_one_row_has_all_features(table: Any) -> None:
    design = learn_design("y ~ g + x", table)
    row = pd.DataFrame({"g": ["a"], "x": [9.0]})
    np.testing.assert_array_equal(feature_matrix(design, row), [[0.0, 0.0, 9.0]])


def test_response(table: Any) -> None:
    np.testing.assert_array_equal(
        response_vector(learn_design("log2(y) ~ x", table), table), [0, 1, 2, 3, 4]
    )
    assert learn_design("log2(y) ~ x", table).response == "log2(y)"
    np.testing.assert_array_equal(
        response_vector(learn_design("flag ~ x", table), table), [1, 0, 0, 1, 1]
    )
    with pytest.raises(InvalidTypeError, match='"g" holds text, but g in the formula needs'):
        response_vector(learn_design("g ~ x", table), table)


def test_variables_of_the_caller_are_not_seen(table: Any) -> None:
    outside = np.ones(5)
    assert len(outside) == 5
    with pytest.raises(
        InvalidModelError, match=r'names the column "outside", which the data do not'
    ):
        learn_design("y ~ I(x * outside)", table)


def test_missing_column_is_named_with_the_nearest(table: Any) -> None:
    with pytest.raises(InvalidModelError, match=r'"jitter\(%\)".* did you mean "Jitter\(%\)"'):
        learn_design("y ~ `jitter(%)`", table)
    with pytest.raises(InvalidDataError, match=r'the model names the column "county"'):
        learn_design("y ~ x", table, also=["county"])


def test_unseen_category_names_column_level_and_row(table: Any) -> None:
    design = learn_design("y ~ g", table)
    with pytest.raises(InvalidDataError, match=r'"g" holds "z" \(row 1 .*categories are "a", "b"'):
        feature_matrix(design, pd.DataFrame({"g": ["a", "z"]}))
    with pytest.raises(InvalidDataError, match=r'column "g" holds 1, 2 .row 0'):
        feature_matrix(design, pd.DataFrame({"g": [1, 2]}))


def test_categories_of_a_column_keep_their_order() -> None:
    frame = pd.DataFrame({**TABLE, "g": pd.Categorical(TABLE["g"], categories=list("zcba"))})
    assert learn_design("y ~ g", frame).features == ("g[T.b]", "g[T.a]")


def test_numbers_written_as_text() -> None:
    frame = pd.DataFrame({**TABLE, "g": ["1", "2", "a", "b", "1"]})
    with pytest.raises(InvalidTypeError, match=r'numbers written as text \("1", "2", "1"\)'):
        learn_design("y ~ g", frame)
    assert learn_design("y ~ 0 + C(g)", frame).features[0] == "C(g)[1]"


@pytest.mark.parametrize(
    ("formula", "error", "match"),
    [
        ("y ~ C(g, levels=['a'])", InvalidModelError, 'must list each category once.*"b", "c"'),
        ("y ~ C(g, levels=['a', 'b', 'c', 'c'])", InvalidModelError, "levels repeat"),
        ("y ~ C(g, reference='z')", InvalidModelError, "reference='z' .*categories are \"a\""),
        ("y ~ C(x) + C(half)", InvalidTypeError, 'column "half" names groups but holds 0.5'),
        ("y ~ C(day)", InvalidTypeError, 'column "day" holds dates, which cannot be a feature'),
        ("y ~ I(g + 1)", InvalidTypeError, r'"g" holds text, but I\(g \+ 1\).*"a", "b", "c", by'),
        ("y ~ day", InvalidTypeError, '"day" holds dates.*days since a start'),
        ("y ~ I(k + 1)", InvalidTypeError, '"k" holds categories'),
        ("y ~ log(half)", InvalidDataError, r"log\(half\) .*1 row \(row 1; half = 0 in the first"),
        ("y ~ I(1 / half)", InvalidDataError, r"I\(1 / half\) .* is not a finite number in 1 row"),
        ("y ~ exp(I(x * 1000))", InvalidDataError, "not a finite number in 5 rows"),
        ("y ~ scale(unit)", InvalidDataError, r"scale\(unit\) .*standard deviation"),
        ("y ~ scale(I(unit * 0.1))", InvalidDataError, r".*standard deviation of values that are"),
        ("y ~ gap", InvalidDataError, 'no row is complete .*"gap" has 5 missing values'),
        ("y ~ Intercept", InvalidModelError, "one named Intercept"),
        ("y ~ g + `g[T.b]`", InvalidModelError, "features of the same name"),
    ],
)
def test_unusable_columns(formula: str, error: type[Exception], match: str) -> None:
    frame = pd.DataFrame(
        {
            **TABLE,
            "half": [0.5, 0.0, 1.0, 2.0, 3.0],
            "day": pd.to_datetime(["2020-01-01"] * 5),
            "k": pd.Categorical([1, 2, 3, 1, 2]),
            "gap": [np.nan] * 5,
            "Intercept": TABLE["x"],
            "g[T.b]": TABLE["x"],
        }
    )
    with pytest.raises(error, match=match):
        learn_design(formula, frame)


def test_constant_features_warn_when_learned_only(table: Any) -> None:
    with pytest.warns(BayesMTLWarning, match=r'1 constant feature in the data: "unit"') as caught:
        design = learn_design("y ~ x + unit", table)
    assert len(caught) == 1
    feature_matrix(design, pd.DataFrame({"x": [1.0, 1.0], "unit": [1, 1]}))
    with pytest.warns(BayesMTLWarning, match=r'"C\(unit\)".*one level adds no feature'):
        assert learn_design("y ~ C(unit)", table).features == ()


def test_many_levels_warn_when_learned_only() -> None:
    names = [f"name {i}" for i in range(7)]
    frame = pd.DataFrame({"y": range(12), "who": [*names, *names[:5]], "g": ["a", "b"] * 6})
    with pytest.warns(BayesMTLWarning, match=r"^who \(7 levels\) in 12 rows: ") as caught:
        design = learn_design("y ~ who + g", frame)
    assert len(caught) == 1
    feature_matrix(design, frame)
    learn_design("y ~ who", pd.concat([frame, frame]))
    few = frame.head(5)
    assert len(learn_design("y ~ who", few).features) == 4


def test_incomplete_rows_do_not_teach() -> None:
    frame = pd.DataFrame({**TABLE, "g": ["b", "a", "z", "a", None], "w": [1, 1, None, 1, 1]})
    design = learn_design("y ~ center(x) + g", frame, also=["w"])
    assert design.encoding == {
        "levels": {"g": ["a", "b"]},
        "state": {"center(x)": {"mean": 8.0 / 3.0, "sd": 1.0}},
    }


def test_saved_design_is_checked(table: Any) -> None:
    saved = learn_design("y ~ center(x) + g", table).to_dict()
    with pytest.raises(InvalidModelError, match="needs the entries"):
        Design.from_dict({"formula": "y ~ x"})
    with pytest.raises(InvalidModelError, match="does not fit its formula"):
        Design.from_dict({**saved, "intercept": False})
    with pytest.raises(InvalidModelError, match="a call of another function"):
        Design.from_dict({**saved, "formula": "y ~ open(x)"})
    for change in ({"features": ["x"]}, {"encoding": {**saved["encoding"], "state": {}}}):
        changed = Design.from_dict({**saved, **change})
        with pytest.raises(InvalidModelError, match="it was changed by hand"):
            feature_matrix(changed, table)


def test_formula_columns_name_the_response_first() -> None:
    assert formula_columns("log(y) ~ I(x - 22) + C(g)*x") == ("y", "x", "g")


def test_levels_may_be_negative() -> None:
    data = pd.DataFrame({"y": [0.0, 1.0, 2.0], "change": [-1, 0, 1]})
    design = learn_design("y ~ C(change, reference=-1)", data)
    assert design.features == ("C(change, reference=-1)[T.0]", "C(change, reference=-1)[T.1]")
    assert len(learn_design("y ~ C(change, levels=[1, 0, -1])", data).features) == 2
