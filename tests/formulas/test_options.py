"""Basis terms in formulas: inputs and options, and what is refused."""

import pytest

from bayesmtl.errors import InvalidModelError
from bayesmtl.formulas.parsing import formula_columns, parse_formula


@pytest.mark.parametrize(
    ("term", "options"),
    [
        ("hsgp(x)", {"m": [20], "lengthscale": None, "kernel": "matern52", "c": 1.5}),
        (
            "hsgp(x, z, m=8, lengthscale=[1, +2.5], kernel='rbf', c=2)",
            {"m": [8, 8], "lengthscale": [1.0, 2.5], "kernel": "rbf", "c": 2},
        ),
        (
            "hsgp(x, z, m=(4, 5))",
            {"m": [4, 5], "lengthscale": None, "kernel": "matern52", "c": 1.5},
        ),
        ("spline(log(x), df=5, degree=2)", {"df": 5, "degree": 2}),
        ("rbf(x, z, I(x * z), width=0.5)", {"centers": 30, "width": 0.5}),
        ("rbf(x, width=None)", {"centers": 30, "width": None}),
        ("fourier(x, period=365.25)", {"period": 365.25, "terms": 3}),
    ],
)
def test_options(term: str, options: dict[str, object]) -> None:
    factor = next(iter(parse_formula(f"y ~ {term}").factors.values()))
    assert factor.basis is not None
    assert factor.basis.options == options


def test_columns_and_names_in_backticks() -> None:
    assert formula_columns("y ~ hsgp(`a b`, log(z), m=3):w") == ("y", "a b", "z", "w")
    assert list(parse_formula("y ~ hsgp(`a b`,m=3)").factors) == ["hsgp(`a b`, m=3)"]
    assert formula_columns("y ~ hsgp + spline:rbf") == ("y", "hsgp", "spline", "rbf")


@pytest.mark.parametrize(
    ("term", "match"),
    [
        ("hsgp(m=3)", "has 0 inputs, but hsgp takes 1 to 3 inputs; write"),
        ("hsgp(a, b, c, d)", r"has 4 inputs, .* 1 to 3 inputs; use rbf\(...\) for more"),
        ("spline(a, b)", "has 2 inputs, but spline takes 1 input;"),
        ("rbf(centers=3)", "has 0 inputs, but rbf takes 1 input or more;"),
        ("hsgp(x, n=3)", "the option n=, but the options of hsgp are m, lengthscale, kernel, c"),
        ("hsgp(x, lenghtscale=3)", 'lenghtscale=.*did you mean "lengthscale"'),
        ("hsgp(x, **x)", r"holds \*\*, and options are written out; hsgp has the options m,"),
        ("hsgp(x, m=3, m=4)", "(gives m= twice|cannot read)"),
        ("hsgp(x, m=0)", "m= in .* is 0, but must be a whole number from 1 to 1000, or a list"),
        ("hsgp(x, m=2.5)", "m= in .* is 2.5, but"),
        ("hsgp(x, m=True)", "m= in .* is True, but"),
        ("hsgp(x, m=z)", "m= in .* is z, but"),
        ("hsgp(x, m=-z)", "m= in .* is -z, but"),
        ("hsgp(x, m=[[3]])", r"m= in .* is \[\[3\]\], but"),
        ("hsgp(x, m=f(3))", r"m= in .* is f\(3\), but"),
        ("hsgp(x, m=[3, 4])", "m= in .* has 2 values for 1 inputs"),
        ("hsgp(x, z, m=40)", "makes 1600 columns, but at most 1000"),
        ("hsgp(x, lengthscale=-1)", "lengthscale= in .* is -1, but must be a positive number"),
        ("hsgp(x, lengthscale=1e999)", "lengthscale= in .* is 1e309, but must be a positive"),
        (
            "hsgp(x, kernel='matern25')",
            'is .matern25., but must be one of "matern12".*did you mean',
        ),
        ("hsgp(x, kernel=rbf)", "kernel= in .* is rbf, but must be one of"),
        ("hsgp(x, c=1)", "c= in .* is 1, but must be a number above 1"),
        ("spline(x, df=2)", "df= in .* is 2, but must be at least degree=3"),
        ("spline(x, degree=9)", "degree= in .* is 9, but must be a whole number from 1 to 5"),
        ("rbf(x, width='a')", "width= in .* is 'a', but must be a positive number or None"),
        ("rbf(x, centers=1e3)", "centers= in .* is 1000.0, but must be a whole number"),
        ("fourier(x)", "needs period="),
        ("fourier(x, period=0)", "period= in .* is 0, but must be a positive number"),
        ("fourier(x, period=7, terms=0)", "terms= in .* is 0, but"),
        ("hsgp(x, 20)", "the input 20 of .* reads no column; options are written with their names"),
        ("hsgp(x, x)", "has the same input twice"),
        ("hsgp(*x)", r"holds '\*x'"),
        ("hsgp(spline(x))", "a basis inside another expression is not allowed"),
        ("log(hsgp(x))", "a basis inside another expression is not allowed"),
        ("hsgp(open(x))", r"holds 'open\(x\)', and a call of another function"),
        ("hspg(x)", 'and the bases hsgp, spline, rbf, fourier; did you mean "hsgp"'),
        ("np.hsgp(x)", r"holds 'np.hsgp\(x\)'"),
        ("hsgp(x) + hsgp(x)", "stands twice"),
    ],
)
def test_wrong_terms_are_refused(term: str, match: str) -> None:
    with pytest.raises(InvalidModelError, match=f"(?s){match}"):
        parse_formula(f"y ~ {term}")


def test_a_basis_is_no_response() -> None:
    with pytest.raises(InvalidModelError, match="is a basis of several columns"):
        parse_formula("hsgp(y) ~ x")
