"""Syntax that formulas of other packages have and these refuse, with a word on what to write."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from formulaic.parser.types import ASTNode, Token

from bayesmtl.errors import InvalidModelError

__all__ = ["check_tokens", "check_tree"]

HIGHEST_POWER = 4
MOST_TERMS = 10_000
SUMS = ("+", "-")
PRODUCTS = (":", "*", "/")
POWERS = ("**", "^")


def check_tokens(formula: str, tokens: list[Token]) -> None:
    """Refuse syntax of other packages with a word on what to write here.

    Parameters
    ----------
    formula : str
        The formula as the user wrote it.
    tokens : list of formulaic.parser.types.Token
        Its pieces.

    Raises
    ------
    InvalidModelError
        If it holds a random effect, `.` or `%in%`, or its right side is empty.
    """
    operators = [token.token for token in tokens if token.kind is Token.Kind.OPERATOR]
    if any("|" in operator for operator in operators):
        raise InvalidModelError(
            f"the formula {formula!r} holds a random effect `|`; every term of the right side "
            "already varies by task: write y ~ x and name the group with task="
        )
    for operator, advice in ((".", "list the columns"), ("in", "write the interaction with `:`")):
        if operator in operators:
            raise InvalidModelError(
                f"the formula {formula!r} holds `{operator}`, which is not supported; {advice}"
            )
    if any(pair == ("(", ")") for pair in pairwise(token.token for token in tokens)):
        raise InvalidModelError(f"the formula {formula!r} holds empty parentheses; remove them")
    right = formula.rpartition("~")[2]
    if not right.strip():
        raise InvalidModelError(
            f'the formula {formula!r} has nothing on its right side; write "y ~ 1" for an '
            "intercept alone"
        )


def check_tree(formula: str, tree: Any, quoted: Mapping[str, str]) -> None:
    """Refuse powers, products and repeats that formulaic would simplify without a word.

    Parameters
    ----------
    formula : str
        The formula as the user wrote it.
    tree : formulaic.parser.types.ASTNode or Token
        Its tree of operators.
    quoted : mapping of str to str
        Column name of each stand-in.

    Raises
    ------
    InvalidModelError
        If a term stands twice, is multiplied by itself, or there are too many terms.
    """
    nodes: list[ASTNode[Any]] = []
    stack = [(tree, "")]
    while stack:
        node, parent = stack.pop()
        if not isinstance(node, ASTNode):
            continue
        symbol = node.operator.symbol
        nodes.append(node)
        stack.extend((argument, symbol) for argument in node.args)
        if symbol in SUMS and parent not in SUMS:
            _check_repeats(formula, node, quoted)
        elif symbol in POWERS:
            _check_power(formula, node, quoted)
        elif symbol in PRODUCTS:
            _check_product(node, quoted)
    _check_size(formula, nodes)


def _shown(token: Token, quoted: Mapping[str, str]) -> str:
    return f"`{quoted[token.token]}`" if token.token in quoted else str(token.token)


def _check_power(formula: str, node: ASTNode[Any], quoted: Mapping[str, str]) -> None:
    base, power = node.args
    if isinstance(base, Token):
        shown = _shown(base, quoted)
        raise InvalidModelError(
            f"{shown} to a power is {shown} itself in a formula; write I({shown}**2) for the square"
        )
    digits = power.token if isinstance(power, Token) else ""
    if not (digits.isdecimal() and len(digits) == 1 and 1 <= int(digits) <= HIGHEST_POWER):
        raise InvalidModelError(
            f"a power of terms in {formula!r} must be a whole number up to {HIGHEST_POWER}"
        )


def _check_product(node: ASTNode[Any], quoted: Mapping[str, str]) -> None:
    left, right = node.args
    if isinstance(left, Token) and isinstance(right, Token) and left.token == right.token:
        shown = _shown(left, quoted)
        raise InvalidModelError(
            f"{shown}{node.operator.symbol}{shown} is {shown} itself in a formula; write "
            f"I({shown}**2) for the square"
        )


def _check_repeats(formula: str, node: ASTNode[Any], quoted: Mapping[str, str]) -> None:
    """Refuse `x + x`; the intercept `1`, which formulaic adds by itself, may repeat."""
    seen: set[str] = set()
    stack: list[Any] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ASTNode) and item.operator.symbol in SUMS:
            stack.extend(item.args)
            continue
        leaf = isinstance(item, Token)
        text = item.token if leaf else repr(item.flatten(str_args=True))
        if text in seen and text != "1":
            shown = _shown(item, quoted) if leaf else "with " + _shown(_leaf(item), quoted)
            raise InvalidModelError(f"the term {shown} stands twice in {formula!r}; remove one")
        seen.add(text)


def _leaf(item: Any) -> Token:
    while not isinstance(item, Token):
        item = item.args[0]
    return item


def _check_size(formula: str, nodes: list[ASTNode[Any]]) -> None:
    """Refuse products that would expand to more terms than anyone means, before expanding them."""
    sizes: dict[int, int] = {}
    for node in reversed(nodes):
        symbol = node.operator.symbol
        parts = [sizes.get(id(argument), 1) for argument in node.args]
        if symbol in POWERS:
            size = parts[0] ** int(node.args[1].token)
        elif symbol in PRODUCTS:
            size = math.prod(part + (symbol == "*") for part in parts)
        else:
            size = sum(parts)
        if size > MOST_TERMS:
            raise InvalidModelError(
                f"the formula expands to more than {MOST_TERMS} terms; make the features in the "
                f"data: {formula[:80]!r}"
            )
        sizes[id(node)] = size
