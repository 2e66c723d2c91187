"""Basis terms: what they learn, that JSON keeps it, and the columns that they make."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from bayesmtl.design import Design, feature_scales, learn_design
from bayesmtl.errors import (
    BayesMTLWarning,
    InvalidDataError,
    InvalidModelError,
    InvalidTypeError,
)
from bayesmtl.numerics.kernels import kernel_values, scaled_distances
from tests.designs import feature_matrix

TERMS = (
    "hsgp(x)",
    "hsgp(x, z, m=[4, 3], kernel='rbf')",
    "hsgp(center(x), m=6):z",
    "hsgp(x, m=3):spline(z, df=4)",
    "spline(log(x), df=6)",
    "spline(x, df=5)*g",
    "rbf(x, z, centers=7)",
    "rbf(x, `a b`, centers=4, width=0.7) + z",
    "fourier(x, period=3, terms=2):g",
)


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "y": rng.normal(size=70),
            "x": rng.uniform(1.0, 9.0, 70),
            "z": rng.normal(1000.0, 2.0, 70),
            "a b": rng.normal(size=70),
            "g": rng.choice(list("abc"), 70),
        }
    )


def reload(design: Design) -> Design:
    return Design.from_dict(json.loads(json.dumps(design.to_dict(), allow_nan=False)))


@pytest.mark.filterwarnings("ignore:.* rows lie beyond the range")
@pytest.mark.parametrize("term", TERMS)
def test_json_keeps_what_terms_learned(frame: pd.DataFrame, term: str) -> None:
    design = learn_design(f"y ~ {term}", frame)
    matrix = feature_matrix(design, frame)
    assert np.isfinite(matrix).all()
    again = reload(design)
    assert again == design
    np.testing.assert_array_equal(feature_matrix(again, frame), matrix)
    few = frame.iloc[[3, 60]].reset_index(drop=True)
    np.testing.assert_allclose(feature_matrix(again, few), matrix[[3, 60]], rtol=1e-12, atol=1e-14)
    far = few.assign(x=[1e-9, 1e12], z=[-1e9, 1e9])
    assert np.isfinite(feature_matrix(again, far)).all()


def test_names_of_features(frame: pd.DataFrame) -> None:
    features = learn_design("y ~ hsgp(x,m=2) + fourier(z, period=2, terms=1)", frame).features
    waves = "fourier(z, period=2, terms=1)"
    assert features == ("hsgp(x, m=2)[1]", "hsgp(x, m=2)[2]", f"{waves}[sin1]", f"{waves}[cos1]")
    features = learn_design("y ~ hsgp(x, m=2):z", frame).features
    assert features == ("hsgp(x, m=2)[1]:z", "hsgp(x, m=2)[2]:z")


def test_default_lengthscale_is_a_fifth_of_the_range(frame: pd.DataFrame) -> None:
    design = learn_design("y ~ hsgp(x) + hsgp(z, m=8)", frame)
    for column, share in (("x", 0.2), ("z", 2.65 * 1.5 / 8 / 2)):
        text = "hsgp(x)" if column == "x" else "hsgp(z, m=8)"
        expected = share * np.ptp(frame[column])
        assert design.encoding["state"][text]["lengthscale"] == pytest.approx([expected])


def test_columns_give_the_kernel(frame: pd.DataFrame) -> None:
    text = "hsgp(x, m=40, lengthscale=1.2, kernel='matern52', c=1.5)"
    matrix = feature_matrix(learn_design(f"y ~ {text}", frame), frame)
    x = frame[["x"]].to_numpy()
    exact = kernel_values("matern52", scaled_distances(x, x, np.array([1.2])))
    np.testing.assert_allclose(matrix @ matrix.T, exact, atol=0.02)


@pytest.mark.parametrize("factor", [1e-150, 1e150])
def test_units_of_the_inputs_do_not_matter(frame: pd.DataFrame, factor: float) -> None:
    for term in ("hsgp(x)", "hsgp(x, z, m=3)", "spline(x)", "rbf(x, z, centers=9)"):
        matrix = feature_matrix(learn_design(f"y ~ {term}", frame), frame)
        scaled = frame.assign(x=frame["x"] * factor)
        found = feature_matrix(learn_design(f"y ~ {term}", scaled), scaled)
        np.testing.assert_allclose(found, matrix, atol=1e-9)


def test_splines_are_apart_from_the_intercept(frame: pd.DataFrame) -> None:
    matrix = feature_matrix(learn_design("y ~ spline(x, df=7)", frame), frame)
    assert matrix.shape == (70, 7)
    np.testing.assert_allclose(matrix.mean(axis=0), 0.0, atol=1e-12)
    with_ones = np.column_stack([np.ones(70), matrix])
    assert np.linalg.matrix_rank(with_ones) == 8
    x = frame["x"].to_numpy()
    cubic = (x - 4.0) ** 3 + x
    np.testing.assert_allclose(with_ones @ np.linalg.lstsq(with_ones, cubic)[0], cubic, atol=1e-8)


@pytest.mark.parametrize("term", ["hsgp(x)", "spline(x)"])
def test_beyond_the_range_is_as_at_its_edge(frame: pd.DataFrame, term: str) -> None:
    design = learn_design(f"y ~ {term}", frame)
    low, high = frame["x"].min(), frame["x"].max()
    rows = pd.DataFrame({"x": [low - 5.0, low, high, high + 500.0]})
    said = rf"2 rows lie beyond the range of the fit, as x = .* where it was .*: there {term[:4]}"
    with pytest.warns(BayesMTLWarning, match=said):
        below, first, last, above = feature_matrix(design, rows)
    np.testing.assert_array_equal(below, first)
    np.testing.assert_array_equal(above, last)


def test_incomplete_rows_do_not_teach(frame: pd.DataFrame) -> None:
    longer = pd.concat([frame, frame.iloc[:1].assign(x=1e6, z=np.nan)], ignore_index=True)
    formula = "y ~ hsgp(x, m=5) + spline(x) + rbf(x, z, centers=5)"
    assert learn_design(formula, longer) == learn_design(formula, frame)


def test_order_of_the_rows_does_not_matter(frame: pd.DataFrame) -> None:
    formula = "y ~ rbf(x, z, centers=9)"
    other = frame.iloc[::-1].reset_index(drop=True)
    found = feature_matrix(learn_design(formula, other), other)[::-1]
    np.testing.assert_allclose(found, feature_matrix(learn_design(formula, frame), frame))


def test_scales_of_a_basis_and_of_what_it_is_multiplied_with(frame: pd.DataFrame) -> None:
    formula = "y ~ z + hsgp(x, m=2) + hsgp(x, m=3):z + hsgp(x, m=2):spline(z, df=3)"
    design = learn_design(formula, frame)
    scales = feature_scales(design, feature_matrix(design, frame))
    of = dict(zip(design.features, scales, strict=True))
    assert np.isnan(of["z"])
    assert of["hsgp(x, m=2)[2]"] == of["hsgp(x, m=2)[1]:spline(z, df=3)[3]"] == 1.0
    assert of["hsgp(x, m=3)[1]:z"] == of["hsgp(x, m=3)[3]:z"]
    assert of["hsgp(x, m=3)[1]:z"] == pytest.approx(1000.0, rel=1e-2)


@pytest.mark.parametrize(
    ("term", "match"),
    [
        ("hsgp(one)", "needs values that vary, but one is 3 in every row"),
        ("spline(one)", "needs values that vary, but one is 3"),
        ("rbf(x, one)", "needs values that vary, but one is 3"),
        ("fourier(one, period=2)", "needs values that vary, but one is 3"),
        ("hsgp(I(x * 0 + 1))", "needs values that vary"),
        (
            "spline(five)",
            "needs 11 distinct values or more, but the data have 5; use df=4 or fewer",
        ),
        ("spline(two)", r"but the data have 2; use the input itself, or C\(...\)"),
        ("rbf(five)", "needs 30 distinct values or more, .* 5; use centers=5 or fewer"),
        ("rbf(x, centers=30, width=9)", "finds .* centers that differ at width=9 .*smaller width"),
        ("fourier(five, period=5)", "needs 7 distinct values or more, .* 5; use terms=2 or fewer"),
        ("hsgp(log(a))", r"log\(a\) in the formula is not a finite number"),
    ],
)
def test_inputs_that_carry_no_basis(frame: pd.DataFrame, term: str, match: str) -> None:
    some = frame.assign(one=3.0, two=np.arange(70) % 2, five=np.arange(70) % 5, a=-1.0)
    with pytest.raises(InvalidDataError, match=match):
        learn_design(f"y ~ {term}", some)


def test_inputs_are_numbers(frame: pd.DataFrame) -> None:
    dates = frame.assign(day=pd.date_range("2024-01-01", periods=70))
    with pytest.raises(InvalidTypeError, match=r'"day" holds dates, .* days since a start'):
        learn_design("y ~ hsgp(day)", dates)
    with pytest.raises(InvalidTypeError, match='"g" holds text'):
        learn_design("y ~ spline(g)", frame)


def test_too_few_functions_warn_when_learned_only(frame: pd.DataFrame) -> None:
    formula = "y ~ hsgp(x, z, m=[20, 4], lengthscale=[2, 1])"
    with pytest.warns(BayesMTLWarning, match=r"m=\[20, 4\] where 8, 2\d or more are needed"):
        design = learn_design(formula, frame)
    with pytest.warns(BayesMTLWarning, match=r"m=3 where \d+ or more"):
        learn_design("y ~ hsgp(x, m=3, lengthscale=1)", frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feature_matrix(design, frame)
        learn_design("y ~ hsgp(x, m=1) + hsgp(x, z)", frame)


def test_changed_states_are_refused(frame: pd.DataFrame) -> None:
    saved = learn_design("y ~ spline(x, df=4)", frame).to_dict()
    state = saved["encoding"]["state"]["spline(x, df=4)"]
    for change in ({"knots": state["knots"][:0]}, {"mean": None}, {"knots": [50.0]}):
        encoding = {"levels": {}, "state": {"spline(x, df=4)": {**state, **change}}}
        with pytest.raises(InvalidModelError, match=r"(?s)does not fit it .*learn it again"):
            feature_matrix(Design.from_dict({**saved, "encoding": encoding}), frame)
    encoding = {"levels": {}, "state": {}}
    with pytest.raises(InvalidModelError, match="it was changed by hand: learn it again"):
        feature_matrix(Design.from_dict({**saved, "encoding": encoding}), frame)
