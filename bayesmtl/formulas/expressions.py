"""Expressions inside formulas: parsed, and checked against a whitelist.

A formula is data. Nothing in it is handed to Python's `eval`: the syntax tree is walked here, and
only arithmetic on columns and numbers and the functions of this module exist.
"""

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

from bayesmtl.errors import InvalidModelError
from bayesmtl.formulas.arithmetic import FUNCTIONS, LEARNED, OPERATORS, called
from bayesmtl.formulas.options import BASES, LARGEST, literal, nearest_name, read_options

__all__ = ["ALLOWED", "Basis", "Category", "Expression", "parse_expression"]

DEEPEST = 40
ALLOWED = (
    "allowed are column names (in backticks where they hold spaces or symbols), numbers, "
    "+ - * / ** and the functions C, I, "
    + ", ".join(sorted((*FUNCTIONS, *LEARNED)))
    + " of one argument, and the bases "
    + ", ".join(BASES)
)


class Category(NamedTuple):
    """Options of `C(column, levels=[...], reference=...)`."""

    column: str
    levels: tuple[str | int | bool, ...] | None
    reference: str | int | bool | None


class Basis(NamedTuple):
    """A basis term, such as `hsgp(x, m=20)`.

    Attributes
    ----------
    name : str
        One of `bayesmtl.formulas.options.BASES`.
    inputs : tuple of Expression
        Numeric expressions that it expands.
    options : dict
        Value of every option.
    """

    name: str
    inputs: "tuple[Expression, ...]"
    options: dict[str, Any]


class Expression(NamedTuple):
    """One checked factor of a formula.

    Attributes
    ----------
    text : str
        The factor as the user knows it: part of the names of its features.
    node : ast.expr
        Checked syntax tree; a plain column is an `ast.Name`.
    columns : tuple of str
        Columns that it reads, in the order of reading.
    category : Category or None
        Set for `C(...)`.
    basis : Basis or None
        Set for a term of several columns.
    """

    text: str
    node: ast.expr
    columns: tuple[str, ...]
    category: Category | None
    basis: Basis | None = None


def parse_expression(text: str, quoted: Mapping[str, str]) -> Expression:
    """Parse and check one factor.

    Parameters
    ----------
    text : str
        The factor, with stand-ins in place of names in backticks.
    quoted : mapping of str to str
        Column name of each stand-in.

    Returns
    -------
    Expression
        The checked factor, with the columns' own names.

    Raises
    ------
    InvalidModelError
        If it holds anything that is not on the whitelist; names the piece.
    """
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidModelError(
            f"cannot read {restore(text, quoted)!r} in the formula; {ALLOWED}"
        ) from error
    category = _parse_category(node, quoted) if called(node) == "C" else None
    if called(node) in BASES:
        return _parse_basis(node, text, quoted)
    columns: dict[str, None] = {}
    if category is None:
        _check(node, quoted, columns, 0)
    else:
        columns[category.column] = None
    if not columns:
        raise InvalidModelError(
            f"{restore(text, quoted)!r} in the formula reads no column; leave it out"
        )
    return Expression(restore(text, quoted), node, tuple(columns), category)


def restore(text: str, quoted: Mapping[str, str]) -> str:
    """Put names in backticks back in place of their stand-ins."""
    for stand_in, name in quoted.items():
        text = text.replace(stand_in, f"`{name}`")
    return text


def _refuse(node: ast.AST, quoted: Mapping[str, str]) -> InvalidModelError:
    kind = {
        ast.Attribute: "attribute access",
        ast.Subscript: "indexing",
        ast.Lambda: "a lambda",
        ast.NamedExpr: "an assignment",
        ast.JoinedStr: "a text",
        ast.Call: "a call of another function, or not of one argument,",
        ast.Compare: "a comparison",
    }.get(type(node), "such a piece")
    piece, near = restore(ast.unparse(node), quoted), ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in BASES:
            kind = "a basis inside another expression"
        elif node.func.id not in (*FUNCTIONS, *LEARNED):
            near = nearest_name(node.func.id, (*BASES, *FUNCTIONS, *LEARNED))
    return InvalidModelError(
        f"the formula holds {piece!r}, and {kind} is not allowed; {ALLOWED}{near}"
    )


def _check(node: ast.expr, quoted: Mapping[str, str], columns: dict[str, None], depth: int) -> None:
    """Walk the tree, collect the columns, and refuse everything that is not listed here."""
    if depth > DEEPEST:
        raise InvalidModelError(f"the formula nests deeper than {DEEPEST} levels; simplify it")
    if isinstance(node, ast.Name):
        if node.id not in quoted and node.id.startswith("__"):
            raise _refuse(node, quoted)
        node.id = quoted.get(node.id, node.id)
        columns[node.id] = None
        return
    children = _children(node)
    if children is None:
        raise _refuse(node, quoted)
    for child in children:
        _check(child, quoted, columns, depth + 1)


def _children(node: ast.expr) -> list[ast.expr] | None:
    """Return the operands of a node that is allowed, None of any other."""
    if isinstance(node, ast.Constant):
        # bool is an int, and integers of any length would overflow.
        value = node.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return [] if is_number and abs(value) < LARGEST else None  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return [node.operand]
    if isinstance(node, ast.Call) and called(node) in {"I", *FUNCTIONS, *LEARNED}:
        return node.args if len(node.args) == 1 and not node.keywords else None
    return None


def _parse_basis(node: ast.expr, text: str, quoted: Mapping[str, str]) -> Expression:
    """Read the inputs and options of a basis."""
    assert isinstance(node, ast.Call)
    name, piece = str(called(node)), restore(ast.unparse(node), quoted)
    options = read_options(name, node, piece)
    inputs = []
    for argument in node.args:
        shown, columns = restore(ast.unparse(argument), quoted), dict[str, None]()
        _check(argument, quoted, columns, 0)
        if not columns:
            raise InvalidModelError(
                f"the input {shown} of {piece!r} in the formula reads no column; options are "
                f"written with their names: {BASES[name].usage}"
            )
        inputs.append(Expression(shown, argument, tuple(columns), None))
    if len({item.text for item in inputs}) < len(inputs):
        raise InvalidModelError(f"{piece!r} in the formula has the same input twice; remove one")
    read = dict.fromkeys(column for item in inputs for column in item.columns)
    basis = Basis(name, tuple(inputs), options)
    return Expression(restore(text, quoted), node, tuple(read), None, basis)


def _parse_category(node: ast.expr, quoted: Mapping[str, str]) -> Category:
    """Read `C(column, levels=[...], reference=...)`."""
    assert isinstance(node, ast.Call)
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    piece = restore(ast.unparse(node), quoted)
    if (
        len(node.args) != 1
        or not isinstance(node.args[0], ast.Name)
        or not set(options) <= {"levels", "reference"}
    ):
        raise InvalidModelError(
            f"cannot read {piece!r} in the formula; write C(column), "
            'C(column, levels=["a", "b"]) or C(column, reference="b")'
        )
    column = node.args[0].id
    levels = options.get("levels")
    if levels is not None and not isinstance(levels, ast.List | ast.Tuple):
        raise InvalidModelError(f"levels= in {piece!r} must be a list of texts or whole numbers")
    reference = options.get("reference")
    return Category(
        quoted.get(column, column),
        None if levels is None else tuple(_level(item, piece) for item in levels.elts),
        None if reference is None else _level(reference, piece),
    )


def _level(node: ast.expr, piece: str) -> str | int | bool:
    value = literal(node)
    if isinstance(value, str | int):
        return value
    raise InvalidModelError(
        f"the levels in {piece!r} must be texts, whole numbers or True and False, "
        f"not {ast.unparse(node)}"
    )
