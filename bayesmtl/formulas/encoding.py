"""From checked columns to a design matrix: categories, expressions, and their refusals."""

import re
from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from formulaic.formula import SimpleFormula
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import FactorValues
from formulaic.parser.types import Factor, Term

from bayesmtl.errors import InvalidDataError, InvalidTypeError, warn
from bayesmtl.formulas.arithmetic import compute
from bayesmtl.formulas.bases import basis_columns
from bayesmtl.formulas.expressions import Expression
from bayesmtl.formulas.levels import encode_levels
from bayesmtl.formulas.parsing import Formula
from bayesmtl.frames.columns import Column, exact_values
from bayesmtl.frames.opening import count_text, rows_text, shorten
from bayesmtl.frames.texts import are_dates, date_advice, number_advice, word_advice

__all__ = ["build_matrix", "compute_numbers", "no_numbers", "warn_constant", "warn_many_levels"]

# So few are a category even in a table of hardly more rows.
_FEW_LEVELS = 5


def compute_numbers(
    factor: Expression,
    frame: nw.DataFrame[Any],
    columns: Mapping[str, Column],
    rows: np.ndarray,
    state: dict[str, dict[str, float]],
) -> np.ndarray:
    """Compute a numeric factor on complete rows.

    Returns
    -------
    numpy.ndarray, shape (used,)
        Finite values.

    Raises
    ------
    InvalidTypeError
        If a column that it reads does not hold numbers.
    InvalidDataError
        If a value is not finite, such as the logarithm of zero.
    """
    values = {}
    for name in factor.columns:
        column = columns[name]
        if column.kind not in {"number", "boolean"}:
            what, advice = no_numbers(frame, column)
            raise InvalidTypeError(
                f'column "{name}" holds {what}, but {factor.text} in the formula needs numbers; '
                f"{advice}"
            )
        values[name] = exact_values(frame, column)[rows]
    with np.errstate(all="ignore"):
        result = np.asarray(compute(factor.node, values, state), dtype=np.float64)
    broken = np.flatnonzero(~np.isfinite(result))
    if len(broken):
        first = ", ".join(f"{name} = {column[broken[0]]:g}" for name, column in values.items())
        raise InvalidDataError(
            f"{factor.text} in the formula is not a finite number in "
            f"{count_text(len(broken), 'row')} ({rows_text(rows[broken])}; {first} in the first); "
            "change the formula or these rows"
        )
    return result


def no_numbers(frame: nw.DataFrame[Any], column: Column) -> tuple[str, str]:
    """What a column holds in place of numbers, and what to do about it."""
    if column.kind == "date":
        return "dates", "turn them into days since a start"
    what = "categories" if column.kind == "category" else "text"
    rows = np.flatnonzero(~column.missing)
    texts = column.values[rows]
    advice = number_advice(frame, column.name, rows, texts)
    if advice is not None:
        return what, advice
    if are_dates(texts):
        return "dates written as text", date_advice(frame, column.name, texts)
    any_missing = bool(column.missing.any())
    return what, word_advice(frame, column.name, texts, any_missing=any_missing)


def build_matrix(
    parsed: Formula,
    frame: nw.DataFrame[Any],
    columns: Mapping[str, Column],
    rows: np.ndarray,
    encoding: Mapping[str, Any],
) -> pd.DataFrame:
    """Build the features of complete rows; factors are computed here, terms by formulaic.

    Parameters
    ----------
    parsed : Formula
        The formula.
    frame : narwhals.DataFrame
        The opened data.
    columns : mapping of str to Column
        Columns that are already read.
    rows : numpy.ndarray, shape (used,)
        Positions of the rows.
    encoding : mapping
        `levels` and `state`; calls that `state` does not hold are learned and added.

    Returns
    -------
    pandas.DataFrame, shape (used, feature)
        Named features, without the intercept.

    Raises
    ------
    InvalidDataError
        If a value is unusable or a category is not among the levels.
    """
    # Stand-ins, since formulaic would read a column named "1" or "a:b" in its own way.
    stand_in = {text: f"\x00{i}\x00" for i, text in enumerate(parsed.factors)}
    series: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for text, factor in parsed.factors.items():
        levels = encoding["levels"].get(text)
        if factor.basis is not None:
            state = encoding["state"]
            inputs = [
                compute_numbers(item, frame, columns, rows, state) for item in factor.basis.inputs
            ]
            block = basis_columns(text, factor.basis, np.column_stack(inputs), state)
            blocks[stand_in[text]] = FactorValues(
                {label: pd.Series(column) for label, column in block.items()}, kind="numerical"
            )
            continue
        if levels is None:
            values: Any = compute_numbers(factor, frame, columns, rows, encoding["state"])
        else:
            values = encode_levels(factor, columns[factor.columns[0]], rows, levels)
        series[stand_in[text]] = values
    terms = [
        Term([Factor(stand_in[text], eval_method="lookup") for text in term])
        if term
        else Term([Factor("1", eval_method="literal")])
        for term in parsed.terms
    ]
    computed = pd.DataFrame(series, index=pd.RangeIndex(len(rows)))
    matrix = PandasMaterializer(computed, blocks).get_model_matrix(
        SimpleFormula(terms, _ordering="degree"), output="pandas", na_action="ignore"
    )
    texts = list(parsed.factors)
    named = pd.DataFrame(matrix).drop(columns="Intercept", errors="ignore")
    named.columns = pd.Index(
        [re.sub("\x00(\\d+)\x00", lambda m: texts[int(m[1])], name) for name in named.columns]
    )
    return named


def warn_constant(parsed: Formula, matrix: pd.DataFrame, encoding: Mapping[str, Any]) -> None:
    """Warn of features that the data cannot tell from the intercept or from nothing.

    Warns
    -----
    BayesMTLWarning
        Once, with every constant feature and every category of one level.
    """
    low, high = matrix.min(), matrix.max()
    constant = [
        str(name)
        for name in matrix.columns
        if low[name] == high[name] and (parsed.intercept or low[name] == 0.0)
    ]
    if parsed.intercept:
        constant += [text for text, levels in encoding["levels"].items() if len(levels) == 1]
    if constant:
        warn(
            f"{count_text(len(constant), 'constant feature')} in the data: {shorten(constant)}; "
            "the data say nothing about the effect, so its posterior is its prior (a category of "
            "one level adds no feature)",
        )


def warn_many_levels(encoding: Mapping[str, Any], n_rows: int) -> None:
    """Warn of categories that hold hardly more than one row each.

    Warns
    -----
    BayesMTLWarning
        Once, with every such category and its levels.
    """
    many = [
        f"{text} ({count_text(len(levels), 'level')})"
        for text, levels in encoding["levels"].items()
        if len(levels) > max(_FEW_LEVELS, n_rows / 2)
    ]
    if many:
        warn(
            f"{', '.join(many)} in {count_text(n_rows, 'row')}: a category with more levels than "
            "half of the rows makes a feature for each, of which hardly one row tells; check that "
            "the column is no name, date or number, or leave it out"
        )
