"""Formulas: text to checked terms. formulaic expands the algebra of terms, and runs nothing."""

import keyword
import re
from functools import lru_cache
from typing import Any, NamedTuple

from formulaic.errors import FormulaicError
from formulaic.parser import DefaultFormulaParser

from bayesmtl.errors import InvalidModelError
from bayesmtl.formulas.expressions import ALLOWED, Expression, parse_expression
from bayesmtl.formulas.syntax import check_tokens, check_tree

__all__ = ["Formula", "formula_columns", "parse_formula", "parse_response"]


class Formula(NamedTuple):
    """A parsed formula.

    Attributes
    ----------
    response : Expression or None
        The left side; None for a one-sided formula.
    terms : tuple of tuple of str
        The right side: each term the texts of its factors; the intercept is the empty term.
    factors : dict of str to Expression
        Factors of the right side by text.
    """

    response: Expression | None
    terms: tuple[tuple[str, ...], ...]
    factors: dict[str, Expression]

    @property
    def intercept(self) -> bool:
        """Whether the right side has an intercept."""
        return () in self.terms

    @property
    def response_text(self) -> str | None:
        """The left side as the user knows it."""
        return self.response.text if self.response else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the right side."""
        return tuple(dict.fromkeys(name for item in self.factors.values() for name in item.columns))


def formula_columns(formula: str) -> tuple[str, ...]:
    """Return the columns that a formula reads, those of the response first.

    Parameters
    ----------
    formula : str
        A formula.

    Returns
    -------
    tuple of str
        Column names.

    Raises
    ------
    InvalidModelError
        If the formula cannot be read.
    """
    parsed = parse_formula(formula)
    response = parsed.response.columns if parsed.response else ()
    return tuple(dict.fromkeys((*response, *parsed.columns)))


def parse_formula(formula: str) -> Formula:
    """Parse a formula and check every piece of it.

    Parameters
    ----------
    formula : str
        `"y ~ x1 + C(g) + I(x - 22)"`, or one-sided `"~ x"`.

    Returns
    -------
    Formula
        Its response, terms and factors.

    Raises
    ------
    InvalidModelError
        If the text is no formula, or holds anything that is not allowed.
    """
    if not isinstance(formula, str):
        raise InvalidModelError(
            f'the formula must be a text like "y ~ x", not {type(formula).__name__}'
        )
    return _parse(formula)


def parse_response(formula: str) -> Expression:
    """Parse a formula that must have a left side, and return that side.

    Parameters
    ----------
    formula : str
        `"y ~ x"` or `"log(y) ~ x"`.

    Returns
    -------
    Expression
        The response.

    Raises
    ------
    InvalidModelError
        If the formula cannot be read or has no left side.
    """
    response = parse_formula(formula).response
    if response is None:
        raise InvalidModelError(
            f"the formula {formula!r} has no left side, and a response is needed; "
            f'write "y {formula if "~" in formula else "~ " + formula}"'
        )
    return response


@lru_cache(maxsize=64)
def _parse(formula: str) -> Formula:
    bare, quoted = _quote(formula)
    parser = DefaultFormulaParser(feature_flags={"TWOSIDED"})
    try:
        tokens = list(parser.get_tokens(bare))
        check_tokens(formula, tokens)
        tree = parser.get_ast(bare)
        check_tree(formula, tree, quoted)
        sides = parser.get_terms(bare)
    except (FormulaicError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InvalidModelError):
            raise
        raise InvalidModelError(
            f"cannot read the formula {formula!r}: {_plain_reason(error)}{_keyword_hint(bare)}; "
            f"{ALLOWED}"
        ) from error
    two_sided = "lhs" in sides._structure
    response = _parse_response(formula, list(sides.lhs), quoted) if two_sided else None
    terms, factors = _parse_terms(
        formula, list(sides.rhs if two_sided else sides.root), quoted, response
    )
    return Formula(response, terms, factors)


def _quote(formula: str) -> tuple[str, dict[str, str]]:
    """Replace names in backticks by identifiers, since their symbols mean something elsewhere."""
    prefix = "_column"
    while prefix in formula:
        prefix += "_"
    quoted: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__"):
            return name
        known = {column: key for key, column in quoted.items()}
        key = known.get(name, f"{prefix}_{len(quoted)}_")
        quoted[key] = name
        return key

    bare = re.sub(r"`([^`]+)`", stand_in, formula)
    if "`" in bare:
        raise InvalidModelError(
            f"the backticks in {formula!r} do not pair up around names; write them as `a b`"
        )
    return bare, quoted


def _keyword_hint(bare: str) -> str:
    """Say how a column is written whose name is a word of Python, if there is such a word."""
    words = [word for word in re.findall(r"\w+", bare) if keyword.iskeyword(word)]
    return f"; write the column as `{words[0]}`, in backticks" if words else ""


def _plain_reason(error: Exception) -> str:
    """Return the first line of a parser's message without its colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _parse_response(formula: str, terms: list[Any], quoted: dict[str, str]) -> Expression:
    factors = [factor for term in terms for factor in term.factors]
    if len(terms) != 1 or len(factors) != 1 or factors[0].eval_method.value == "literal":
        raise InvalidModelError(
            f"the left side of {formula!r} must be one column or one expression of columns, "
            'like "y" or "log(y)"'
        )
    response = _parse_factor(factors[0], quoted)
    if response.basis is not None:
        raise InvalidModelError(
            f"the response {response.text!r} is a basis of several columns; write the basis on the "
            "right side of the formula"
        )
    if response.category is not None or re.search(r"\b(center|scale)\(", response.text):
        raise InvalidModelError(
            f"the response {response.text!r} cannot be C(), center() or scale(); transform the "
            "column in the data instead"
        )
    return response


def _parse_terms(
    formula: str, terms: list[Any], quoted: dict[str, str], response: Expression | None
) -> tuple[tuple[tuple[str, ...], ...], dict[str, Expression]]:
    if not terms:
        raise InvalidModelError(
            f"the formula {formula!r} has neither features nor an intercept; name a column, or "
            'write "1" for an intercept'
        )
    factors: dict[str, Expression] = {}
    parsed: list[tuple[str, ...]] = []
    for term in terms:
        texts = []
        for factor in term.factors:
            if factor.eval_method.value == "literal":
                if factor.expr == "1":
                    continue
                raise InvalidModelError(
                    f"the number {factor.expr} multiplies a term of {formula!r}; write the "
                    "product inside I(), for example I(2 * x)"
                )
            expression = _parse_factor(factor, quoted)
            factors[expression.text] = expression
            texts.append(expression.text)
        parsed.append(tuple(texts))
    _check_response(formula, factors, response)
    return tuple(parsed), factors


def _parse_factor(factor: Any, quoted: dict[str, str]) -> Expression:
    """Check one factor; a bare name is a column even where Python would read dots or keywords."""
    if factor.eval_method.value == "python":
        return parse_expression(factor.expr, quoted)
    name = factor.expr
    if name in quoted:
        return parse_expression(name, quoted)._replace(text=quoted[name])
    if keyword.iskeyword(name) or any(part.startswith("__") for part in name.split(".")):
        raise InvalidModelError(
            f"the formula holds {name!r}, which is no column name{_keyword_hint(name)}; {ALLOWED}"
        )
    stand_in = "_bare_"
    return parse_expression(stand_in, {stand_in: name})._replace(text=name)


def _check_response(
    formula: str, factors: dict[str, Expression], response: Expression | None
) -> None:
    for factor in factors.values():
        shared = set(factor.columns) & set(response.columns if response else ())
        if shared:
            raise InvalidModelError(
                f'the response column "{min(shared)}" stands on both sides of {formula!r}; '
                "remove it from the right side"
            )
