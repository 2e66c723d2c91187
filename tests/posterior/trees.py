"""Trees with every type of label, variable and attribute that a fit may hold."""

import numpy as np
import xarray as xr

__all__ = ["LABELS", "assert_same", "make_tree"]

LABELS = {
    "object": np.array(["São Paulo", "日本", "", "a/b"], dtype=object),
    "fixed width": np.array(["x", "ÿ", "é", "zzz"]),
    "int": np.array([-3, 0, 7, 2**60]),
    "bool": np.array([True, False, True, False]),
    "date": np.array(["2020-02-29", "1815-06-18", "2022-01-01", "2023-01-01"], "datetime64[s]"),
}


def make_tree(labels: np.ndarray) -> xr.DataTree:
    rng = np.random.default_rng(0)
    sizes = (2, 3, labels.size)
    posterior = xr.Dataset(
        {
            "weights": (("chain", "draw", "task"), rng.normal(size=sizes), {"constant": 1}),
            "labels": (("chain", "draw", "task"), rng.integers(0, 9, sizes).astype(np.int32)),
            "flag": ("task", rng.normal(size=labels.size) > 0),
            "single": ("task", rng.normal(size=labels.size).astype(np.float32)),
            "broken": ("draw", [np.nan, np.inf, -np.inf]),
            "zeros": ("draw", np.zeros(3)),
            "scalar": 2.5,
            "nothing": ("nil", np.zeros(0)),
            "nearest": ("task", labels),
        },
        coords={"task": labels, "draw": [0, 1, 2], "weekday": ("draw", ["mo", "tu", "we"])},
        attrs={"note": "é\n"},
    )
    attrs = {
        "none": None,
        "yes": True,
        "count": 3,
        "share": 0.5,
        "text": "日本",
        "nested": {"a": [1, {}]},
    }
    relations = xr.Dataset(attrs={"correlation_absent": "one feature"})
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs), "/posterior": posterior, "/a_relations": relations}
    )


def assert_same(found: xr.DataTree, expected: xr.DataTree) -> None:
    assert [node.path for node in found.subtree] == [node.path for node in expected.subtree]
    for node in expected.subtree:
        mine, theirs = found[node.path].to_dataset(), node.to_dataset()
        xr.testing.assert_identical(mine, theirs)
        assert list(mine.variables) == list(theirs.variables)
        types = {name: variable.dtype for name, variable in theirs.variables.items()}
        assert {name: variable.dtype for name, variable in mine.variables.items()} == types
