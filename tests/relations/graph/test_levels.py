"""Trees from columns of nested groups."""

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesmtl import InvalidModelError
from bayesmtl.relations.graph.levels import tree_of_levels
from bayesmtl.relations.graph.trees import tree_from_json, tree_to_json

TOWNS: dict[str, list[Any]] = {
    "land": ["n", "n", "n", "s", "s", "n"],
    "county": ["lake", "hill", "lake", "lake", "lake", "hill"],
    "town": [3, 1, 2, 5, 4, 1],
    "y": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
}


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_groups_within_groups(library: Any) -> None:
    """The county "lake" of the south is not that of the north."""
    tree = tree_of_levels(library(TOWNS), ["land", "county"], "town")
    assert tree.labels == (1, 2, 3, 4, 5)
    assert tree.names == ("", "n", "hill", "1", "lake", "2", "3", "s", "lake", "4", "5")
    assert tree.parents == (-1, 0, 1, 2, 1, 4, 4, 0, 7, 8, 8)
    assert tree.lengths is None
    assert max(tree.level) == 3
    turned = library({name: values[::-1] for name, values in TOWNS.items()})
    assert tree_of_levels(turned, ["land", "county"], "town") == tree
    assert tree_from_json(json.loads(json.dumps(tree_to_json(tree)))) == tree
    arranged = tree.arranged(np.array([1, 2, 5]), "tree")
    np.testing.assert_array_equal(arranged.parents, [-1, 0, 1, 2, 1, 4, 0, 6, 7])


def test_labels_of_every_type() -> None:
    days = [datetime.date(2020, 1, 2), datetime.date(2020, 1, 1)]
    tree = tree_of_levels(pd.DataFrame({"g": [True, False], "day": days}), ["g"], "day")
    assert tree.labels == (days[1], days[0])
    assert tree_from_json(json.loads(json.dumps(tree_to_json(tree)))) == tree


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        (
            {"county": ["lake", "lake", *TOWNS["county"][2:]]},
            ["county"],
            "task 1 has two values in",
        ),
        ({"land": [None, *TOWNS["land"][1:]]}, ["land"], '"land" has no value in row 0'),
        ({}, [], "lists the levels from coarse to fine"),
        ({}, "land", "lists the levels from coarse to fine"),
        ({}, ["land", "land"], "each level has its own column"),
        ({}, ["land", "town"], "each level has its own column"),
        ({}, ["state"], 'the tree names the column "state"'),
        ({"town": [1] * 6, "land": ["n"] * 6}, ["land"], "has a single leaf"),
    ],
)
def test_what_is_refused(change: dict[str, Any], columns: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        tree_of_levels(pd.DataFrame(TOWNS | change), columns, "town")
