"""A fit of graphs in words."""

import json

import numpy as np
import xarray as xr

from bayesmtl.report.passages import describe_fit


def build(n_tasks: int) -> xr.DataTree:
    """The first task links x and y; every other one y and z as well."""
    tasks, nodes = ["one", "two", "three"][:n_tasks], ["x", "y", "z"]
    chance = np.zeros((n_tasks, 3, 3))
    chance[:, 0, 1] = chance[:, 1, 0] = 0.9
    chance[1:, 1, 2] = chance[1:, 2, 1] = 0.8
    partial = np.repeat((-chance)[..., None], 3, axis=-1)
    node = ("task", "node", "node_bis")
    variables = {
        "edge_probability": (node, chance),
        "partial_correlation": ((*node, "statistic"), partial),
        "prior_edge_probability": ((), 0.4),
    }
    coords = {"task": tasks, "node": nodes, "node_bis": nodes}
    if n_tasks > 1:
        alike = np.full((n_tasks, n_tasks, 3), 0.5)
        alike[-1, -2] = alike[-2, -1] = [0.75, 0.25, 1.0]
        variables |= {
            "graph_similarity": (("task", "task_bis", "statistic"), alike),
            "prior_graph_similarity": (("statistic",), [0.4, 0.0, 1.0]),
            "n_shared_edges": (("statistic",), [1.2, 1.0, 2.0]),
        }
        coords["task_bis"] = tasks
    relations = xr.Dataset(variables, coords | {"statistic": ["mean", "lower", "upper"]})
    attrs = {
        "model": json.dumps(
            {
                "type": "MultiTaskGraphicalModel",
                "task": "clinic",
                "relation": "joint",
                "prior": "horseshoe",
            }
        ),
        "inference": json.dumps({"method": "gibbs"}),
        "verdict": "OK: all quantities mix",
        "sampling_seconds": 2.0,
    }
    posterior = xr.Dataset({"lp": (("chain", "draw"), np.zeros((2, 10)))})
    constant = xr.Dataset({"n_rows": ("task", np.full(n_tasks, 20))}, {"task": tasks})
    groups = {"posterior": posterior, "task_relations": relations, "constant_data": constant}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs)} | groups)


def test_links_and_what_tasks_share() -> None:
    told = describe_fit(build(3), n_listed=1)
    assert told.heading.startswith("A graph of 3 variables for each of 3 tasks (clinic), 60 rows")
    sentences = dict(told.sentences)
    assert sentences["Links"].startswith("1 to 2 of 3 pairs of variables are linked")
    assert sentences["Shared between tasks"] == (
        "1.2 links are in all tasks (90% interval 1 to 2); most alike are two and three: both have "
        "75% of the links of either (25% to 100%; before the data 40%)"
    )
    ((_, table),) = told.tables
    assert table["links"].tolist() == [1, 2, 2]
    assert table["surest links"].tolist() == ["x – y (-0.90)"] * 3


def test_one_task_shares_with_none() -> None:
    told = describe_fit(build(1))
    assert [title for title, _ in told.sentences] == ["Links"]
    assert told.sentences[0][1].startswith("1 of 3 pairs")
