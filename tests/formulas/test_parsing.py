"""Formulas are data: what they may hold, and that nothing else gets through."""

import pytest

from bayesmtl.errors import InvalidModelError
from bayesmtl.formulas.parsing import formula_columns, parse_formula


@pytest.mark.parametrize(
    ("formula", "terms", "columns"),
    [
        ("y ~ x", [(), ("x",)], ("y", "x")),
        ("y ~ 1", [()], ("y",)),
        ("y ~ 0 + x", [("x",)], ("y", "x")),
        ("y ~ x - 1", [("x",)], ("y", "x")),
        ("~ u", [(), ("u",)], ("u",)),
        ("u", [(), ("u",)], ("u",)),
        ("log(y) ~ a*b", [(), ("a",), ("b",), ("a", "b")], ("y", "a", "b")),
        ("y ~ (a + b)**2", [(), ("a",), ("a", "b"), ("b",)], ("y", "a", "b")),
        ("y ~ I(x-22)", [(), ("I(x - 22)",)], ("y", "x")),
        ("y ~ `Jitter(%)`", [(), ("Jitter(%)",)], ("y", "Jitter(%)")),
        ("y ~ log(`a b`*`a b c`)", [(), ("log(`a b` * `a b c`)",)], ("y", "a b", "a b c")),
        ("y ~ `y ~ x|g`", [(), ("y ~ x|g",)], ("y", "y ~ x|g")),
        ("y ~ Sepal.Length", [(), ("Sepal.Length",)], ("y", "Sepal.Length")),
        ("y ~ `1` + `class`", [(), ("1",), ("class",)], ("y", "1", "class")),
        ("y ~ np + np.log(np)", [(), ("np",), ("np.log(np)",)], ("y", "np")),
    ],
)
def test_terms_and_columns(formula: str, terms: list[tuple[str, ...]], columns: tuple[str]) -> None:
    parsed = parse_formula(formula)
    assert list(parsed.terms) == terms
    assert parsed.intercept == (() in terms)
    assert formula_columns(formula) == columns


@pytest.mark.parametrize(
    ("formula", "piece"),
    [
        ("y ~ __import__('os')", r"__import__\('os'\)"),
        ("y ~ x.__class__", "x.__class__"),
        ("y ~ I(x.__class__)", "attribute access"),
        ("y ~ I(x.real)", "'x.real', and attribute access"),
        ("y ~ open('f')", r"open\('f'\)"),
        ("y ~ np.load(x)", r"np.load\(x\)"),
        ("y ~ os.system(x)", r"os.system\(x\)"),
        ("y ~ I(f'{x}')", "f'{x}'"),
        ("y ~ f'{x}'", "Unexpected character"),
        ("y ~ I((z := x))", "an assignment"),
        ("y ~ (z := x)", "cannot read"),
        ("y ~ I(lambda x: 1)", "a lambda"),
        ("y ~ (lambda: 1)()", "empty parentheses"),
        ("y ~ lambda", "'lambda', which is no column name"),
        ("y ~ I([i for i in x])", "such a piece is not allowed"),
        ("y ~ x[0]", "indexing"),
        ("y ~ I(__x)", "__x"),
        ("y ~ I(x)(1)", r"I\(x\)\(1\)"),
        ("y ~ eval(x)", r"eval\(x\)"),
        ("y ~ {exec('x')}", "exec"),
        ("y ~ log(*x)", r"\*x"),
        ("y ~ log(x, 2)", r"log\(x, 2\)"),
        ("y ~ log(x=x)", r"log\(x=x\)"),
        ("y ~ I(x + True)", "True"),
        ("y ~ I(x + 1j)", "1j"),
        ("y ~ I(x + 'a')", "'a'"),
        ("y ~ I(x if x else x)", "x if x else x"),
        ("y ~ I(x > 2)", "a comparison"),
        ("y ~ I(x // 2)", "x // 2"),
        ("y ~ x; import os", "cannot read"),
        ("y ~ I(" + "(" * 300 + "x" + ")" * 300 + ")", "cannot read"),
        ("y ~ I(" + "9" * 400 + " * x)", "999"),
    ],
)
def test_nothing_but_listed_arithmetic(formula: str, piece: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"(?s){piece}.*(allowed are|remove them)"):
        parse_formula(formula)


@pytest.mark.parametrize(
    ("formula", "match"),
    [
        ("y ~ x + (1|g)", "random effect.*task="),
        ("y ~ .", "list the columns"),
        ("y ~ x %in% z", "write the interaction with `:`"),
        ("y ~", "nothing on its right side"),
        ("", "nothing on its right side"),
        ("y ~ 0", "neither features nor an intercept"),
        ("y ~ x ~ z", "cannot read the formula"),
        ("y ~ x y", "Missing operator between `x` and `y`"),
        ("y ~ I(x", "cannot read the formula"),
        ("y ~ [a ~ b]", "cannot read the formula"),
        ("y ~ I(x +)", "cannot read the formula"),
        ("y ~ `x", "do not pair up"),
        ("y ~ ``", "do not pair up"),
        ("y ~ x + x", "term x stands twice"),
        ("y ~ x + `x`", "term x stands twice"),
        ("y ~ `a b` + `a b`", "term `a b` stands twice"),
        ("y ~ a:b + a:b", "term with a stands twice"),
        ("y ~ x**2", r"write I\(x\*\*2\)"),
        ("y ~ x:x", r"write I\(x\*\*2\)"),
        ("y ~ (a + b)**9", "whole number up to 4"),
        ("y ~ (a + b)**c", "whole number up to 4"),
        ("y ~ (" + "+".join(f"x{i}" for i in range(99)) + ")**4", "more than 10000 terms"),
        ("y ~ 2:x", r"number 2 multiplies a term.*I\(2 \* x\)"),
        ("y ~ I(1)", "reads no column"),
        ("y ~ I(" + "-" * 60 + "x)", "nests deeper than 40"),
        ("y + z ~ x", "left side .* must be one column"),
        ("1 ~ x", "left side .* must be one column"),
        ("C(y) ~ x", r"cannot be C\(\)"),
        ("scale(y) ~ x", r"cannot be C\(\), center\(\) or scale\(\)"),
        ("y ~ x + log(y)", 'response column "y" stands on both sides'),
        ("y ~ x + yield", "'yield', which is no column name; write the column as `yield`, in back"),
        (
            "class ~ x",
            "'class', which is no column name; write the column as `class`, in backticks",
        ),
        ("y ~ log(class)", "cannot read the formula .*; write the column as `class`, in backticks"),
        ("y ~ C(x + 1)", r"write C\(column\)"),
        ("y ~ C(x, levels='a')", "must be a list"),
        ("y ~ C(x, levels=[f])", "must be texts, whole numbers"),
    ],
)
def test_unclear_formulas_are_refused(formula: str, match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        parse_formula(formula)


def test_formula_is_a_text() -> None:
    with pytest.raises(InvalidModelError, match=r"must be a text like .*, not int"):
        parse_formula(3)  # type: ignore[arg-type]


def test_long_sums_are_read() -> None:
    names = [f"x{i}" for i in range(1500)]
    assert formula_columns("y ~ " + " + ".join(names)) == ("y", *names)
