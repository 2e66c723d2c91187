"""Trees in Newick format, read strictly; nothing in the text is evaluated.

``((a:1,b:1)ab:0.5,'c d':1.5)root;`` - children in parentheses, then the optional name of their
node and, after a colon, the optional length of the branch above it. Labels in single quotes may
hold anything, a quote doubled; comments stand in brackets. Underscores are kept as they are.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from bayesmtl.errors import InvalidModelError
from bayesmtl.relations.graph.trees import FixedTree, make_tree

__all__ = ["as_tree", "parse_newick"]

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<mark>[(),:;])|'(?P<quoted>(?:[^']|'')*)'|(?P<label>[^\s()\[\]':;,]+)"
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SHOWN = 12


class _Token(NamedTuple):
    kind: str  # "(", ")", ",", ":", ";", "label", "quoted" or "end"
    text: str
    position: int


class _Node:
    """A node while it is read: what of it has been seen so far."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.name: str | None = None
        self.length: float | None = None
        self.inner = False
        # 0: nothing yet, 1: its children, 2: its name, 3: its length.
        self.stage = 0


def as_tree(value: Any, what: str) -> FixedTree:
    """Read a tree: a Newick text, or a tree made before.

    Parameters
    ----------
    value : str or FixedTree
    what : str
        The setting, for messages.

    Raises
    ------
    InvalidModelError
        When it is neither, or as `parse_newick`.
    """
    if isinstance(value, FixedTree):
        return value
    if not isinstance(value, str):
        raise InvalidModelError(
            f"{what} must be a tree in Newick format, '((a,b),c);', or one of tree_of_levels, not "
            f"{type(value).__name__}"
        )
    return parse_newick(value, what)


def parse_newick(text: str, what: str) -> FixedTree:
    """Read one tree in Newick format; labels are text.

    Parameters
    ----------
    text : str
    what : str
        The setting, for messages.

    Raises
    ------
    InvalidModelError
        When it is no Newick tree, with the position; when a leaf has no name or that of another;
        when it has a single leaf; when lengths are negative or given for some branches only.
    """
    tokens = _tokens(text, what)
    nodes, current = [_Node(-1)], 0
    at = 0
    while tokens[at].kind != ";":
        token = tokens[at]
        node = nodes[current]
        if token.kind == "(" and node.stage == 0:
            node.inner = True
            nodes.append(_Node(current))
            current = len(nodes) - 1
        elif token.kind in ("label", "quoted") and node.stage < 2:
            node.name, node.stage = token.text, 2
        elif token.kind == ":" and node.stage < 3:
            at += 1
            node.length, node.stage = _length(tokens[at], text, what), 3
        elif token.kind in (",", ")") and node.parent >= 0:
            _close(node, token, text, what)
            current = node.parent
            if token.kind == ",":
                nodes.append(_Node(current))
                current = len(nodes) - 1
            else:
                nodes[current].stage = 1
        else:
            raise _unexpected(token, node, text, what)
        at += 1
    _finish(nodes, current, tokens[at:], text, what)
    names = [node.name or "" for node in nodes]
    labels = [node.name for node in nodes if not node.inner]
    return make_tree(
        [node.parent for node in nodes], [node.length for node in nodes], names, labels, what
    )


def _tokens(text: str, what: str) -> list[_Token]:
    out, at = [], 0
    while at < len(text):
        if text[at] == "[":
            at = _end_of_comment(text, at, what)
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            problem = "a quote that is not closed" if text[at] == "'" else f"a stray {text[at]!r}"
            raise _error(problem, at, text, what)
        kind = str(match.lastgroup)
        if kind == "quoted":
            out.append(_Token(kind, match["quoted"].replace("''", "'"), at))
        elif kind != "space":
            out.append(_Token(match[0] if kind == "mark" else kind, match[0], at))
        at = match.end()
    return [*out, _Token("end", "", len(text))]


def _end_of_comment(text: str, start: int, what: str) -> int:
    """Position after a comment, which may hold others."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise _error("a comment that is not closed", start, text, what)


def _length(token: _Token, text: str, what: str) -> float:
    if token.kind != "label" or not _NUMBER.fullmatch(token.text):
        shown = repr(token.text) if token.text else "nothing"
        raise _error(f"{shown} where a branch length belongs", token.position, text, what)
    value = float(token.text)
    if value < 0.0 or not math.isfinite(value):
        problem = "negative" if value < 0.0 else "infinite"
        raise _error(f"the {problem} branch length {token.text}", token.position, text, what)
    return value


def _close(node: _Node, token: _Token, text: str, what: str) -> None:
    if not node.inner and not node.name:
        raise _error(f"a leaf without a name before {token.kind!r}", token.position, text, what)


def _finish(nodes: list[_Node], current: int, rest: list[_Token], text: str, what: str) -> None:
    if current != 0:
        raise _error("the end of the tree with a '(' that is not closed", rest[0][2], text, what)
    _close(nodes[0], rest[0], text, what)
    if rest[1].kind != "end":
        raise _error(f"{rest[1].text!r} after the end of the tree", rest[1].position, text, what)


def _unexpected(token: _Token, node: _Node, text: str, what: str) -> InvalidModelError:
    problem = {
        "end": "the end of the text without ';'",
        ")": "a ')' without '('",
        ",": "a ',' outside parentheses",
        "(": "a '(' after a node; is a ',' missing?",
        ":": "a second branch length",
    }.get(token.kind)
    if problem is None:
        where = "a branch length" if node.stage == 3 else "another label"
        problem = f"the label {token.text!r} after {where}; quote labels with blanks"
    return _error(problem, token.position, text, what)


def _error(problem: str, position: int, text: str, what: str) -> InvalidModelError:
    start = max(0, position - _SHOWN)
    shown = " ".join(text[start : position + _SHOWN].split())
    before = "..." if start > 0 else ""
    after = "..." if position + _SHOWN < len(text) else ""
    return InvalidModelError(
        f"{what} is no Newick tree: {problem}, at character {position + 1}, near "
        f'"{before}{shown}{after}"'
    )
