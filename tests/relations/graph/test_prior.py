"""Settings of relations in which a graph links the tasks."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import InvalidModelError, KnownGraph, Model, Prior, SparseGraph, Tree
from bayesmtl.posterior.graphs import false_discovery_rate, prior_edge_probability
from bayesmtl.relations.graph.sparse import EdgeState, SparsePrecision
from tests.oracles.geweke_graph import horseshoe_tasks, spike_slab_tasks


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"prior": "lasso"}, "prior must be 'spike_slab' or 'horseshoe', got 'lasso'"),
        ({"prior": "horseshoe", "edge_share": 0.2}, "edge_share= goes with prior='spike_slab'"),
        ({"global_scale": 1.0}, "global_scale= goes with prior='horseshoe'"),
        ({"edge_share": 1.0}, "edge_share must be between 0 and 1"),
        ({"spike": -1.0}, "spike must be a positive number, got -1.0"),
        ({"slab": True}, "slab must be a positive number, got True"),
        ({"spike": 0.6}, "slab must be 2 to 1000 times spike"),
        ({"scale": Prior("Normal", mu=0.0, sigma=1.0)}, "SparseGraph scale"),
        ({"feature_covariance": "banded"}, "feature_covariance"),
    ],
)
def test_settings_of_unknown_graphs_are_checked(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        SparseGraph(**settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"rho": 1.0}, "rho must be from 0 to below 1, got 1"),
        ({"rho": -0.1}, "rho must be from 0 to below 1"),
        ({"rho": Prior("HalfNormal", sigma=1.0)}, "rho must be a Beta prior or a number"),
        ({"rho": [0.1, 0.2]}, "rho must be one prior or number"),
        ({"adjacency": [("a", "a")]}, "adjacency"),
        ({"scale": Prior("Normal", mu=0.0, sigma=1.0)}, "KnownGraph scale"),
    ],
)
def test_settings_of_known_graphs_are_checked(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        KnownGraph(**({"adjacency": [("a", "b")]} | settings))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"tree": []}, "Newick text, or a list of the columns"),
        ({"tree": [1, 2]}, "Newick text, or a list of the columns"),
        ({"tree": "((a,b);"}, "Tree tree"),
        ({"concentration": 0.0}, "concentration must be positive numbers"),
        ({"concentration": []}, "concentration must be positive numbers"),
        ({"concentration": [1.0, "a"]}, "concentration must be positive numbers"),
        ({"shares": [1.5, -0.5]}, "shares must be numbers from 0 to 1"),
        ({"shares": [0.5, 0.2]}, "shares must sum to one"),
        ({"shares": [0.5, 0.5], "concentration": 1.0}, "leave one of them out"),
    ],
)
def test_settings_of_trees_are_checked(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        Tree(**({"tree": "((a,b),(c,d));"} | settings))


def frame(*tasks: str) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    task = np.repeat(tasks, 4)
    return pd.DataFrame({"task": task, "x": rng.normal(size=len(task)), "group": "g"}).assign(
        y=rng.normal(size=len(task))
    )


@pytest.mark.parametrize(
    ("relation", "match"),
    [
        (Tree("((a,b),(c,d));", shares=[0.2, 0.3, 0.5]), "3 numbers, and the tree 2 components"),
        (Tree("((a,b),(c,d));", concentration=[1.0] * 3), "concentration has 3 numbers"),
        (Tree("((a,b),(c,d));", shares=[1.0, 0.0]), "make some tasks identical"),
        (Tree("((a,b),(d,e));"), "does not name the task of the data"),
        (Tree(["state"]), "state"),
        (KnownGraph([("a", "b")]), "does not name the task of the data"),
        (KnownGraph([("a", "b", 1e-9), ("b", "c", 1e9)]), "1e-09 to 1e\\+09 within one connected"),
        (KnownGraph(np.zeros((2, 2))), "has 2 rows and the data have 3 tasks"),
    ],
)
def test_labels_are_checked_against_the_data(relation: Any, match: str) -> None:
    with pytest.raises(InvalidModelError, match=match):
        Model("y ~ x", "task", relation).prepare(frame("a", "b", "c"))


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_very_many_tasks_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="for up to 300 tasks, and the data have 301"):
        SparseGraph().task_settings(np.arange(301), 2)


def test_the_prior_probability_of_an_edge_is_that_of_positive_definite_matrices() -> None:
    simulate = spike_slab_tasks(4, edge_share=0.5)
    edges = simulate(20_000, np.ones((1, 1, 1)), np.random.default_rng(1)).own[0]
    exact = edges[:, *np.tril_indices(4, -1)].mean()
    found = prior_edge_probability(SparsePrecision(4, "spike_slab", edge_share=0.5))
    assert found == pytest.approx(exact, abs=0.02)
    assert found < 0.47


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["spike_slab", "horseshoe"])
def test_simulated_graphs_are_those_of_rejection(kind: str) -> None:
    structure, rng = SparsePrecision(6, kind), np.random.default_rng(3)
    exact = (spike_slab_tasks(6) if kind == "spike_slab" else horseshoe_tasks(6))(
        5_000, np.ones((1, 1, 1)), np.random.default_rng(1)
    )
    pairs = np.tril_indices(6, -1)

    def described(precision: np.ndarray, own: EdgeState) -> tuple[float, float]:
        edges = structure.edges(precision, own)[pairs].sum()
        return float(edges), float(np.log(precision[0, 0]))

    known = np.array(
        [
            described(np.linalg.inv(exact.covariance[i]), EdgeState(*(x[i] for x in exact.own)))
            for i in range(5_000)
        ]
    )
    found = np.array([described(*structure.simulate(rng)) for _ in range(400)])
    error = np.sqrt(known.var(axis=0) / len(known) + found.var(axis=0) / len(found))
    assert np.abs((found.mean(axis=0) - known.mean(axis=0)) / error).max() < 4.0


def test_the_false_discovery_rate_is_that_of_the_edges_in_the_graph() -> None:
    probability = np.array([[0.0, 0.9, 0.6], [0.9, 0.0, 0.2], [0.6, 0.2, 0.0]])
    assert false_discovery_rate(probability) == pytest.approx(0.25)
    assert false_discovery_rate(np.zeros((3, 3))) == 0.0
