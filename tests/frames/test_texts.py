"""Text where numbers belong: the advice, followed to the letter, mends the column."""

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import bayesmtl as bm
from bayesmtl.errors import InvalidTypeError
from bayesmtl.frames.opening import open_frame
from bayesmtl.frames.texts import are_dates, date_advice, number_advice, numerals, word_advice
from tests.frame_cases import BASE, LIBRARIES, make, read

CODE = re.compile(r"df(?:\[\"[^\"]+\"\])? = .*?(?:\)|days)(?=$|,? and leave|; or write|; to use)")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def refusal(data: Any, formula: str = "y ~ x", **settings: Any) -> str:
    with pytest.raises(InvalidTypeError) as caught:
        read(data, formula, **settings)
    return str(caught.value)


def follow(data: Any, message: str) -> Any:
    """The data after the line of code in a message."""
    own = data.copy() if isinstance(data, pd.DataFrame) else data  # the line may change it
    space: dict[str, Any] = {"df": own, "pd": pd, "pl": pl, "pa": pa, "pc": pc}
    found = CODE.search(message)
    assert found, message
    exec(found[0], space)
    return space["df"]


def test_numerals() -> None:
    cells = ["1", " -2.5e3 ", ".5", "1,5", "two", "1_0", "nan", 3, 4.5]
    expected = [True, True, True, False, False, False, False, True, True]
    assert numerals(np.array(cells, dtype=object)).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-05", True),
        ("2024-01-05 10:30", True),
        ("2024-01-05T10:30:00", True),
        ("2024-13-05", False),
        ("20240105", False),
        ("2024-01-05 early", False),
        ("week 3", False),
    ],
)
def test_dates(text: str, expected: bool) -> None:
    assert are_dates(np.array([text, "2024-02-01"], dtype=object)) == expected


def test_advice_names_cells_words_and_dates() -> None:
    frame, rows = open_frame(pd.DataFrame({"x": list("abcdefghi")})), np.arange(9)
    mostly = np.array(["1", "2", "3", "4", "5", "a", "b", "c", "d"], dtype=object)
    advice = number_advice(frame, "x", rows, mostly)
    assert advice is not None
    assert advice.startswith('"a" in row 5, "b" in row 6, "c" in row 7 and 1 more are no numbers')
    assert number_advice(frame, "x", rows[:2], mostly[4:6]) is None
    advice = word_advice(frame, "x", mostly[5:], any_missing=False)
    assert advice == 'replace each of its values, "a", "b", "c", "d", by a number'
    commas = np.array(["10,7", "3", ",5", "-3,1"], dtype=object)
    advice = number_advice(frame, "x", rows[:4], commas)
    assert advice is not None
    assert advice.startswith("its numbers have decimal commas")
    days = np.array(["2024-02-01", "2024-01-05"], dtype=object)
    assert 'pd.Timestamp("2024-01-05")' in date_advice(frame, "x", days)


@pytest.mark.parametrize("missing", [False, True])
def test_yes_and_no_in_a_response(library: str, missing: bool) -> None:
    words = ["yes", "no", None if missing else "no", "yes", "no", "yes"]
    data = make(library, {**BASE, "y": words})
    drop: dict[str, Any] = {"missing": "drop", "warn_single": False} if missing else {}
    if missing:
        with pytest.warns(bm.BayesMTLWarning, match="left out 1 of 6"):
            message = refusal(data, **drop)
    else:
        message = refusal(data)
    assert '"y" holds text, but y in the formula needs numbers; make "yes" 1 and "no" 0: df' in (
        message
    )
    mended = follow(data, message)
    assert open_frame(mended)["y"].is_null().any() == missing
    if missing:
        mended = open_frame(mended).drop_nulls().to_native()
    response = read(mended, warn_single=False).response
    assert response is not None
    assert response.tolist() == [float(word == "yes") for word in words if word is not None]


def test_one_cell_that_is_no_number(library: str) -> None:
    data = make(library, {**BASE, "x": ["1.4", "4.1", "two", "2", "0", "1"]})
    message = refusal(data)
    assert 'holds numbers written as text ("1.4", "4.1", "2" and 2 more); "two" in row 2' in message
    assert 'leave its row out by bm.Model(..., missing="drop"); or write C(x)' in message
    assert '"two" in row 2 is no number' in refusal(data, "y ~ I(x + 1)")
    with pytest.warns(bm.BayesMTLWarning, match="left out 1 of 6"):
        rows = read(follow(data, message), missing="drop", warn_single=False)
    assert rows.features[:, 0].tolist() == [1.4, 4.1, 2.0, 0.0, 1.0]


def test_one_text_among_numbers() -> None:
    data = pd.DataFrame({**BASE, "x": pd.Series([1, 4.5, "two", 2, "3", 1], dtype=object)})
    message = refusal(data)
    assert '"x" mixes types:' in message
    assert 'to use it as numbers, "two" in row 2 is no number' in message
    assert message.endswith('to use it as labels, df["x"] = df["x"].astype(str)')
    with pytest.warns(bm.BayesMTLWarning, match="left out 1 of 6"):
        rows = read(follow(data, message), missing="drop", warn_single=False)
    assert rows.features[:, 0].tolist() == [1.0, 4.5, 2.0, 3.0, 1.0]
    mostly_text = pd.Series([1, "a", "b", "c", "d", "e"], dtype=object)
    message = refusal(data.assign(x=mostly_text))
    assert 'use one type, for example df["x"] = df["x"].astype(str)' in message


def test_few_numbers_among_words_are_a_category(library: str) -> None:
    message = refusal(make(library, {**BASE, "a b": ["1", "u", "v", "u", "v", "u"]}), "y ~ `a b`")
    assert message.endswith("write C(`a b`) in the formula to use each text as a category")


def test_categories_of_words_have_the_advice_of_text() -> None:
    data = pd.DataFrame({**BASE, "y": pd.Categorical(["no", "yes"] * 3)})
    message = refusal(data)
    assert '"y" holds categories, but' in message
    assert follow(data, message)["y"].tolist() == [0, 1] * 3


def test_a_column_with_a_role_has_the_advice_too() -> None:
    data = pd.DataFrame({**BASE, "se": ["1", "2", "?", "1", "1", "1"]})
    message = refusal(data, extra=["se"])
    assert '"se" must hold numbers, but holds text; "?" in row 2 is no number' in message


def test_dates_written_as_text_are_no_category(library: str) -> None:
    days = ["2024-01-05", "2024-01-07", "2024-01-05", "2024-02-05", "2024-01-06", "2024-01-08"]
    data = make(library, {**BASE, "x": days})
    message = refusal(data)
    assert '"x" holds dates written as text ("2024-01-05", "2024-01-07", "2024-01-05" and 3 mo' in (
        message
    )
    assert "turn them into days since a start: df" in message
    assert '"x" holds dates written as text, but I(x + 1)' in refusal(data, "y ~ I(x + 1)")
    assert len(read(data, "y ~ C(x)").features[0]) == 4
    assert read(follow(data, message)).features[:, 0].tolist() == [0, 2, 0, 31, 1, 3]
    some = make(library, {**BASE, "x": ["never", *days[1:5], days[1]]})
    assert len(read(some).features[0]) == 4
