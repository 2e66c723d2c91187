"""Options of basis terms: literals, checked against a list; nothing in them is run."""

import ast
import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.kernels import KERNELS

__all__ = ["BASES", "LARGEST", "BasisKind", "literal", "nearest_name", "read_options"]

LARGEST = 1e300
MOST_COLUMNS = 1000
# Functions of each input where m= is not given, by the number of inputs.
_FUNCTIONS = {1: 20, 2: 8, 3: 5}


class Option(NamedTuple):
    """What an option may be.

    Attributes
    ----------
    valid : callable
        Whether a literal is a valid value.
    expected : str
        The valid values in words.
    default : object
        Value where the option is not given.
    each : bool
        Whether a list may hold one value for each input.
    """

    valid: Callable[[Any], bool]
    expected: str
    default: Any
    each: bool = False


class BasisKind(NamedTuple):
    """A kind of basis: its options, how many inputs it takes, and how to write it."""

    options: Mapping[str, Option]
    most_inputs: float
    usage: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _is_number(value) and 0.0 < value < LARGEST


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and isinstance(value, int) and low <= value <= high


BASES: Mapping[str, BasisKind] = {
    "hsgp": BasisKind(
        {
            "m": Option(
                _whole(1, MOST_COLUMNS), f"a whole number from 1 to {MOST_COLUMNS}", None, True
            ),
            "lengthscale": Option(_positive, "a positive number", None, True),
            "kernel": Option(
                lambda value: isinstance(value, str) and value in KERNELS,
                "one of " + ", ".join(f'"{name}"' for name in KERNELS),
                "matern52",
            ),
            "c": Option(
                lambda value: _is_number(value) and 1.0 < value <= 100.0,
                "a number above 1 and up to 100",
                1.5,
            ),
        },
        max(_FUNCTIONS),
        'hsgp(x, m=20), hsgp(x, lengthscale=2.0, kernel="matern52", c=1.5) or '
        "hsgp(x1, x2, m=[8, 8])",
    ),
    "spline": BasisKind(
        {
            "df": Option(_whole(1, MOST_COLUMNS), f"a whole number from 1 to {MOST_COLUMNS}", 10),
            "degree": Option(_whole(1, 5), "a whole number from 1 to 5", 3),
        },
        1,
        "spline(x, df=10) or spline(x, df=10, degree=3)",
    ),
    "rbf": BasisKind(
        {
            "centers": Option(
                _whole(1, MOST_COLUMNS), f"a whole number from 1 to {MOST_COLUMNS}", 30
            ),
            "width": Option(
                lambda value: value is None or _positive(value), "a positive number or None", None
            ),
        },
        math.inf,
        "rbf(x1, x2, centers=30) or rbf(x1, x2, centers=30, width=0.5)",
    ),
    "fourier": BasisKind(
        {
            "period": Option(_positive, "a positive number", None),
            "terms": Option(
                _whole(1, MOST_COLUMNS // 2), f"a whole number from 1 to {MOST_COLUMNS // 2}", 3
            ),
        },
        1,
        "fourier(x, period=7) or fourier(x, period=7, terms=3)",
    ),
}


def nearest_name(name: str, names: Any) -> str:
    """Return `; did you mean "..."?`, or nothing where no name is near."""
    near = get_close_matches(name.casefold(), list(names), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def read_options(name: str, node: ast.Call, piece: str) -> dict[str, Any]:
    """Read the options of a basis, and fill in those that are not given.

    Parameters
    ----------
    name : str
        One of `BASES`.
    node : ast.Call
        The call.
    piece : str
        The call as the user wrote it.

    Returns
    -------
    dict
        Value of every option; one for each input where the inputs may differ.

    Raises
    ------
    InvalidModelError
        If there are no or too many inputs, or an option is not known, not a literal, repeated or
        out of its range; names the option, its value and the valid ones.
    """
    kind, n_inputs = BASES[name], len(node.args)
    if not 1 <= n_inputs <= kind.most_inputs:
        most = kind.most_inputs
        allowed = {1: "1 input", math.inf: "1 input or more"}.get(most, f"1 to {most} inputs")
        more = "; use rbf(...) for more inputs" if name == "hsgp" and n_inputs else ""
        raise InvalidModelError(
            f"{piece!r} in the formula has {n_inputs} inputs, but {name} takes {allowed}{more}; "
            f"write {kind.usage}"
        )
    values = {key: option.default for key, option in kind.options.items()}
    seen: set[str] = set()
    for keyword in node.keywords:
        key = keyword.arg
        if key is None or key in seen or key not in kind.options:
            raise _unknown_option(name, key, seen, piece)
        seen.add(key)
        values[key] = _value(kind.options[key], key, keyword.value, n_inputs, piece)
    if name == "fourier" and values["period"] is None:
        raise InvalidModelError(
            f"{piece!r} in the formula needs period=, the length of a wave in the units of its "
            f"input; write {kind.usage}"
        )
    return _complete(name, values, n_inputs, piece)


def _unknown_option(name: str, key: str | None, seen: set[str], piece: str) -> InvalidModelError:
    options = ", ".join(BASES[name].options)
    if key is None:
        return InvalidModelError(
            f"{piece!r} in the formula holds **, and options are written out; {name} has the "
            f"options {options}"
        )
    if key in seen:
        return InvalidModelError(f"{piece!r} in the formula gives {key}= twice; remove one")
    return InvalidModelError(
        f"{piece!r} in the formula has the option {key}=, but the options of {name} are "
        f"{options}{nearest_name(key, BASES[name].options)}"
    )


def _value(option: Option, key: str, node: ast.expr, n_inputs: int, piece: str) -> Any:
    """Check one option; a list holds one value for each input."""
    value = literal(node)
    several = option.each and isinstance(value, list)
    items = value if several else [value]
    if several and len(items) != n_inputs:
        raise InvalidModelError(
            f"{key}= in {piece!r} has {len(items)} values for {n_inputs} inputs; give one for "
            "each, or one number for all"
        )
    if not all(option.valid(item) for item in items):
        inputs = ", or a list of these, one for each input" if option.each else ""
        near = nearest_name(value, KERNELS) if key == "kernel" and isinstance(value, str) else ""
        raise InvalidModelError(
            f"{key}= in {piece!r} is {ast.unparse(node)}, but must be {option.expected}"
            f"{inputs}{near}"
        )
    return [float(v) if key == "lengthscale" else v for v in items] if several else value


def literal(node: ast.expr) -> Any:
    """Return the value of a literal; anything else gives an object that no option accepts."""
    if isinstance(node, ast.List | ast.Tuple):
        return [literal(item) for item in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = literal(node.operand)
        if not _is_number(value):
            return ...
        return -value if isinstance(node.op, ast.USub) else value
    return node.value if isinstance(node, ast.Constant) else ...


def _complete(name: str, values: dict[str, Any], n_inputs: int, piece: str) -> dict[str, Any]:
    """Fill in values that depend on others, and check what they make together."""
    if name == "hsgp":
        m = _FUNCTIONS[n_inputs] if values["m"] is None else values["m"]
        values["m"] = m if isinstance(m, list) else [m] * n_inputs
        scale = values["lengthscale"]
        if scale is not None and not isinstance(scale, list):
            values["lengthscale"] = [float(scale)] * n_inputs
        if math.prod(values["m"]) > MOST_COLUMNS:
            raise InvalidModelError(
                f"m= in {piece!r} makes {math.prod(values['m'])} columns, but at most "
                f"{MOST_COLUMNS} are allowed; use fewer for each input, or rbf(...)"
            )
    if name == "spline" and values["df"] < values["degree"]:
        raise InvalidModelError(
            f"df= in {piece!r} is {values['df']}, but must be at least degree={values['degree']}"
        )
    return values
