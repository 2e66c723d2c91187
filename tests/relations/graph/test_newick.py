"""Newick trees: what is read, what is refused and where, and trees for the data's tasks."""

import json
from typing import Any

import numpy as np
import pytest

from bayesmtl import InvalidModelError
from bayesmtl.relations.graph.newick import as_tree, parse_newick
from bayesmtl.relations.graph.trees import make_tree, tree_from_json, tree_to_json

TEXT = "((a:1,b:1.5)ab:0.5,'c d':2e0)root;"


def test_names_lengths_and_levels() -> None:
    tree = parse_newick(TEXT, "tree")
    assert tree.parents == (-1, 0, 1, 1, 0)
    assert tree.names == ("root", "ab", "a", "b", "c d")
    assert tree.lengths == (0.0, 0.5, 1.0, 1.5, 2.0)
    assert tree.labels == ("a", "b", "c d")
    assert tree.leaves == (2, 3, 4)
    assert tree.level == (0, 1, 2, 2, 1)
    assert as_tree(tree, "tree") is tree
    assert "3 tasks and 5 nodes, with branch lengths" in repr(tree)


@pytest.mark.parametrize(
    "text",
    [
        "((a:1,b:1.5)ab:.5,'c d':2)root:7;",  # what lies above the root is ignored
        " ( ( a : 1 , b : 15e-1 ) ab : 0.50 ,\n 'c d' : +2. ) root ; \n",
        "[a [nested] one]((a[&!x=(1,)]:1,b:[;]1.5)'ab':0.5,'c d':2)root;[end]",
    ],
)
def test_spaces_comments_and_quotes_do_not_matter(text: str) -> None:
    tree = parse_newick(text, "tree")
    assert tree == parse_newick(TEXT, "tree")
    assert hash(tree) == hash(parse_newick(TEXT, "tree"))


def test_quotes_inside_quotes_and_odd_names() -> None:
    tree = parse_newick("('it''s (1,2);',a_b);", "tree")
    assert tree.labels == ("it's (1,2);", "a_b")
    assert parse_newick("(1,02,é-x.y|z);", "tree").labels == ("1", "02", "é-x.y|z")
    assert parse_newick("((a,b)0.95,(c,d)0.95);", "tree").names[1] == "0.95"


def test_polytomies_unary_nodes_and_depth() -> None:
    tree = parse_newick("((((a)),b,c,d),e);", "tree")
    assert tree.labels == ("a", "b", "c", "d", "e")
    assert tree.lengths is None
    assert tree.level == (0, 1, 2, 3, 4, 2, 2, 2, 1)
    deep = "(" * 20000 + "a" + ")" * 19999 + ",b);"
    assert max(parse_newick(deep, "tree").level) == 20000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("((a,b),c)", r"the end of the text without ';', at character 10, near"),
        ("((a,b),c;", r"end of the tree with a '\(' that is not closed, at character 9"),
        ("(a,b));", r"a '\)' without '\(', at character 6"),
        ("(a,b),c;", r"a ',' outside parentheses, at character 6"),
        ("(a,b)(c,d);", r"a '\(' after a node; is a ',' missing\?, at character 6"),
        ("(a(b,c),d);", r"a '\(' after a node.*at character 3"),
        ("(a b,c);", "label 'b' after another label; quote labels with blanks, at character 4"),
        ("(a:1 b,c:1);", "label 'b' after a branch length"),
        ("(a:1:2,b:1);", "a second branch length, at character 5"),
        ("(a,);", r"a leaf without a name before '\)', at character 4"),
        ("(,a);", "a leaf without a name before ',', at character 2"),
        ("((a,b),'');", "a leaf without a name"),
        ("();", "a leaf without a name"),
        ("", "the end of the text without ';', at character 1"),
        (";", "a leaf without a name before ';'"),
        ("(a,b); (c,d);", r"'\(' after the end of the tree, at character 8"),
        ("(a:x,b:1);", "'x' where a branch length belongs, at character 4"),
        ("(a:,b:1);", "',' where a branch length belongs, at character 4"),
        ("(a:nan,b:1);", "'nan' where a branch length belongs"),
        ("(a:inf,b:1);", "'inf' where a branch length belongs"),
        ("(a:1_0,b:1);", "'1_0' where a branch length belongs"),
        ("(a:'1',b:1);", "where a branch length belongs"),
        ("(a:1e999,b:1);", "the infinite branch length 1e999, at character 4"),
        ("(a:-0.1,b:1);", "the negative branch length -0.1, at character 4"),
        ("(a,'b);", "a quote that is not closed, at character 4"),
        ("(a,[b);", "a comment that is not closed, at character 4"),
        ("(a,b]);", r"a stray '\]', at character 5"),
        ("((aaaaaaaaaa,bbbbbbbbbb),cccccc", r'near "\.\.\.bbbb\),cccccc"'),
        ("a;", "has a single leaf"),
        ("((a));", "has a single leaf"),
        ("(a,(b,a));", 'names several leaves "a"; name each once'),
        ("(a:1,b);", 'some branches and none above "b"; give all or none'),
        ("((a:1,b:1),c:1);", "none above the node 1, which has no name"),
        ("(a:0,b:0);", "only branches of length zero"),
    ],
)
def test_what_is_no_tree_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        parse_newick(text, "tree")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"must be a tree in Newick format.*not list"):
        as_tree([1, 2], "tree")


def test_json_holds_the_tree() -> None:
    for text in (TEXT, "((a,b),c);"):
        tree = parse_newick(text, "tree")
        again = tree_from_json(json.loads(json.dumps(tree_to_json(tree))))
        assert again == tree
        assert hash(again) == hash(tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": [-1, 0, 3, 1, 0]}, "parents must come before their children"),
        ({"parents": [0, 0, 1, 1, 0]}, "parents must come before their children"),
        ({"lengths": [0.0, 1.0, -1.0, 1.0, 1.0]}, 'branch length -1 above "a"'),
        ({"lengths": [0.0, 1.0, float("nan"), 1.0, 1.0]}, 'branch length nan above "a"'),
        ({"labels": ["a", "b"]}, "has 2 labels for 3 leaves"),
        ({"labels": ["a", "b", 1]}, r"by text \('a'\) and by whole numbers \(1\)"),
    ],
)
def test_json_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    spec = tree_to_json(parse_newick(TEXT, "tree"))
    with pytest.raises(InvalidModelError, match=message):
        tree_from_json(spec | change)


def test_a_tree_is_pruned_to_the_tasks_of_the_data() -> None:
    tree = parse_newick("(((a:1,b:2)x:3,c:4)y:5,((d:6)z:7,e:8):9)r;", "tree")
    some = tree.arranged(["e", "a", "c"], "tree")
    assert some.names == ("r", "y", "x", "a", "c", "", "e")
    np.testing.assert_array_equal(some.parents, [-1, 0, 1, 2, 1, 0, 5])
    assert some.lengths is not None
    np.testing.assert_array_equal(some.lengths, [0, 5, 3, 1, 4, 9, 8])
    np.testing.assert_array_equal(some.level, [0, 1, 2, 3, 2, 1, 2])
    np.testing.assert_array_equal(some.task, [-1, -1, -1, 1, 2, -1, 0])
    every = tree.arranged(np.array(["a", "b", "c", "d", "e"], dtype=object), "tree")
    np.testing.assert_array_equal(every.parents, tree.parents)


def test_tasks_that_are_no_leaves_are_listed() -> None:
    tree = parse_newick(TEXT, "tree")
    with pytest.raises(
        InvalidModelError, match='2 tasks of the data "c", "ab"; add leaves for such tasks'
    ):
        tree.arranged(["a", "c", "ab"], "tree")


def test_whole_numbers_match_leaves_as_they_are_printed() -> None:
    tree = parse_newick("((1,2),(10,x));", "tree")
    np.testing.assert_array_equal(tree.arranged(np.array([2, 10]), "tree").task, [-1, -1, 0, -1, 1])
    with pytest.raises(InvalidModelError, match=r'task of the data "3".*whole numbers match as'):
        tree.arranged([1, 3], "tree")
    with pytest.raises(InvalidModelError, match='leaves "1" and "01" both read as 1'):
        parse_newick("(1,(01,2));", "tree").arranged([1, 2], "tree")
    with pytest.raises(InvalidModelError, match=r"by text \('1'\).*booleans \(True\)"):
        tree.arranged([True, False], "tree")
    whole = make_tree([-1, 0, 0], [None] * 3, ["", "1", "2"], [1, 2], "tree")
    with pytest.raises(InvalidModelError, match=r"by whole numbers \(1\).*by text \('1'\)"):
        whole.arranged(["1"], "tree")
