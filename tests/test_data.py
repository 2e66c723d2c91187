"""Reading rows: every frame library the same answer, every bad input its refusal."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayesmtl.data import read_rows
from bayesmtl.design import learn_design
from bayesmtl.errors import BayesMTLWarning, InvalidDataError, InvalidModelError, InvalidTypeError
from tests.frame_cases import BASE, LIBRARIES, make, read


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_rows_of_every_library_are_the_same(library: str) -> None:
    rows = read(make(library, {**BASE, "se": [1, 2, 3, 4, 5, 6]}), extra=["se"])
    np.testing.assert_array_equal(rows.features[:, 0], BASE["x"])
    assert rows.response is not None
    np.testing.assert_array_equal(rows.response, BASE["y"])
    assert rows.tasks.tolist() == ["a", "b", "c"]
    assert rows.task.tolist() == [1, 0, 1, 0, 2, 2]
    assert rows.task.dtype == np.int64
    assert rows.position.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(rows.extra["se"], np.arange(1.0, 7.0))
    assert rows.n_dropped == 0


def test_frame_is_left_as_it_was() -> None:
    frame = pd.DataFrame({**BASE, "g": pd.Categorical(list("uvuvuv")), "n": [None, *"abcde"]})
    before, hashes = frame.copy(deep=True), pd.util.hash_pandas_object(frame)
    with pytest.warns(BayesMTLWarning, match="left out 1 of 6"):
        read(frame, "y ~ scale(x) + g", also=["n"], missing="drop", warn_single=False)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_series_equal(pd.util.hash_pandas_object(frame), hashes)


def test_rows_are_positional_whatever_the_index() -> None:
    plain = read(pd.DataFrame(BASE))
    shuffled = read(pd.DataFrame(BASE, index=[5, 5, 0, 0, 3, 3]))
    for name, value in plain._asdict().items():
        np.testing.assert_array_equal(getattr(shuffled, name), value)


@pytest.mark.parametrize("column", ["y", "x", "task"])
def test_missing_value_is_an_error_with_its_place(library: str, column: str) -> None:
    values = list(BASE[column])
    values[1] = values[4] = None
    data = make(library, {**BASE, column: values})
    with pytest.raises(
        InvalidDataError,
        match=rf'"{column}" has 2 missing values \(rows 1, 4\).*bm.Model\(..., missing="drop"\)',
    ):
        read(data)


def test_nan_beside_null_is_missing_too(library: str) -> None:
    data = make(library, {**BASE, "x": [None, float("nan"), 2.5, 0.0, 1.0, 4.0]})
    with pytest.raises(InvalidDataError, match=r'"x" has 2 missing values \(rows 0, 1\)'):
        read(data)


def test_drop_leaves_rows_out_and_counts_them(library: str) -> None:
    data = make(
        library,
        {
            **BASE,
            "x": [None, *BASE["x"][1:]],
            "task": [*BASE["task"][:4], None, "c"],
            "se": [None, 1.0, 1.0, 1.0, 1.0, 1.0],
        },
    )
    with pytest.warns(BayesMTLWarning, match="left out 2 of 6 rows") as caught:
        rows = read(data, missing="drop", extra=["se"], warn_single=False)
    text = str(caught[0].message)
    assert '"x" has 1 missing value (row 0)' in text
    assert '"task" has 1 missing value (row 4)' in text
    assert rows.n_dropped == 2
    assert rows.position.tolist() == [1, 2, 3, 5]
    assert rows.tasks.tolist() == ["a", "b", "c"]


def test_drop_of_every_row_is_an_error() -> None:
    data = pd.DataFrame({**BASE, "se": [np.nan] * 6})
    with pytest.raises(InvalidDataError, match=r'missing="drop" leaves no row'):
        read(data, extra=["se"], missing="drop")


def test_missing_takes_two_words() -> None:
    with pytest.raises(InvalidModelError, match=r'"error" or "drop", not \'impute\''):
        read(pd.DataFrame(BASE), missing="impute")


@pytest.mark.parametrize("missing", ["error", "drop"])
@pytest.mark.parametrize("column", ["y", "x"])
def test_infinite_value_is_an_error_and_never_dropped(
    library: str, column: str, missing: str
) -> None:
    values = list(BASE[column])
    values[3] = float("-inf")
    with pytest.raises(InvalidDataError, match=f'"{column}" holds -inf in row 3'):
        read(make(library, {**BASE, column: values}), missing=missing)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_standard_error_must_be_finite(bad: float) -> None:
    data = pd.DataFrame({**BASE, "se": [1.0, bad, 1.0, 1.0, 1.0, 1.0]})
    with pytest.raises(InvalidDataError, match=r'"se"'):
        read(data, extra=["se"])


def test_extra_column_must_hold_numbers() -> None:
    with pytest.raises(InvalidTypeError, match=r'"se" must hold numbers, but holds text'):
        read(pd.DataFrame({**BASE, "se": list("abcdef")}), extra=["se"])


def test_one_task_warns() -> None:
    with pytest.warns(BayesMTLWarning, match=r"one task \(a\)"):
        read(pd.DataFrame({**BASE, "task": ["a"] * 6}))


def test_single_rows_warn_once_with_their_number() -> None:
    data = pd.DataFrame({**BASE, "task": list("aabbbc")})
    with pytest.warns(BayesMTLWarning, match=r'1 of 3 tasks has a single row \("c"\)') as caught:
        read(data)
    assert len(caught) == 1
    with pytest.warns(BayesMTLWarning, match=r"6 of 6 tasks have .* cannot be told apart"):
        read(pd.DataFrame({**BASE, "task": list("abcdef")}))


def test_no_warning_at_prediction_or_with_known_noise() -> None:
    data = pd.DataFrame({**BASE, "task": list("abcdef")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(data, tasks=np.array(["a"], dtype=object))
        read(data, warn_single=False)


def test_response_is_not_needed_at_prediction(library: str) -> None:
    design = learn_design("y ~ x", make(library, BASE))
    data = make(library, {name: BASE[name] for name in ("x", "task")})
    assert read_rows(data, design, task="task", need_response=False).response is None
    with pytest.raises(InvalidDataError, match=r'the column "y", which the data do not have'):
        read_rows(data, design, task="task")


def test_missing_columns_are_named_with_the_nearest() -> None:
    data = pd.DataFrame(BASE)
    with pytest.raises(InvalidDataError, match=r'task= names the column "Tasks".*mean "task"'):
        read(data, task="Tasks")
    with pytest.raises(InvalidDataError, match=r'the model names the column "weight".*"y", "x"'):
        read(data, extra=["weight"])


def test_task_column_has_one_role() -> None:
    data = pd.DataFrame({**BASE, "task": [1, 2] * 3})
    with pytest.raises(InvalidModelError, match=r'task column "task" stands in the formula'):
        read(data, "y ~ x + C(task)")
    with pytest.raises(InvalidModelError, match=r'task column "task" is also named for weights'):
        read(data, extra=["task"])


def test_response_needs_a_left_side() -> None:
    with pytest.raises(InvalidModelError, match=r'no left side.*write "y ~ x"'):
        read(pd.DataFrame(BASE), "~ x")
